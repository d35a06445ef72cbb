//! Orders for planned switches that are out of the ordinary: by the holder itself, and such as must be
//! refused.

use tandem_chain::keys::PublicKey;
use tandem_chain::modules::{Call, standby};
use tandem_chain::types::{OrgName, Term};

use crate::sim::world::World;

impl World {
    /// Someone orders a switch with something wrong about it, or the holder orders one.
    pub(super) fn order_odd_switch(&mut self) -> bool {
        let org = self.random.index(self.plan.orgs.len());
        let name = self.names[org].clone();
        let pair = self.invariants.pair(name.as_str());
        let any = self.random.pick(&self.nodes.iter().map(|node| node.key).collect::<Vec<_>>());
        let Some(seat) = self.invariants.newest_table().get(name.as_str()) else {
            // One that is left out cannot be switched.
            let term = self.invariants.terms().get(name.as_str()).copied().unwrap_or_default();
            self.order(org, switch(&name, any, term));
            return true;
        };
        let (holder, term) = (seat.holder, seat.term);
        let partner = pair.into_iter().find(|key| *key != holder).unwrap_or(any);
        let good = switch(&name, partner, term);
        match self.random.below(7) {
            0 => self.order(org, switch(&name, partner, term + 1)),
            1 => self.order(org, switch(&name, holder, term)),
            2 => self.order(org, switch(&name, any, term)),
            3 => {
                let nobody = "nobody".parse().expect("letters are a name");
                self.order(org, switch(&nobody, partner, term));
            }
            4 => {
                let other = (org + 1) % self.plan.orgs.len();
                self.order(other, good);
            }
            5 => {
                self.order(org, good.clone());
                self.order(org, good);
            }
            _ => {
                let key = self.secrets[self.by_key[&holder]].clone();
                self.order_by(&key, good);
            }
        }
        true
    }
}

fn switch(seat: &OrgName, target: PublicKey, term: u64) -> Call {
    let (seat, term) = (seat.clone(), Term(term));
    Call::Standby(standby::Call::Switch { seat, target, term })
}
