//! Changes of the consortium while faults last: members make motions, and vote on them a while later.
//! Some are refused, since nobody is as it says, or too few seats would be online.

use tandem_chain::modules::Call;
use tandem_chain::modules::consortium::{self, Change};
use tandem_chain::types::{OrgName, Power};

use crate::sim::queue::S;
use crate::sim::world::{Event, Phase, World};

/// Blocks for which a motion can be voted on.
const EXPIRES_IN: u64 = 200;

impl World {
    /// A member proposes other parameters.
    pub(super) fn order_parameters(&mut self) -> bool {
        let parameters = self.plan.other_parameters(&mut self.random);
        self.propose(Change::SetParameters(parameters));
        true
    }

    /// A member proposes that another joins, leaves, is suspended or restored, or has another power.
    pub(super) fn order_motion(&mut self) -> bool {
        let org = self.random.index(self.plan.orgs.len());
        let name: OrgName = self.genesis.organizations[org].name.clone();
        let power = Power(self.random.between(1, 3));
        let change = match self.invariants.is_suspended(name.as_str()) {
            // A machine of it registers later, by the orders for nodes.
            None => {
                let admin_key = self.genesis.organizations[org].admin_key;
                Change::AddOrg { name, admin_key, power }
            }
            Some(true) if self.random.chance(800) => Change::RestoreOrg { name },
            Some(_) => match self.random.below(10) {
                0..=2 => Change::RemoveOrg { name },
                3..=6 => Change::SuspendOrg { name },
                7 => Change::RestoreOrg { name },
                _ => Change::SetPower { name, power },
            },
        };
        self.propose(change);
        true
    }

    fn propose(&mut self, change: Change) {
        let org = self.random.index(self.plan.orgs.len());
        let expires = self.invariants.height().plus(EXPIRES_IN);
        let call = consortium::Call::Propose { change, force: false, expires };
        self.order(org, Call::Consortium(call));
        let delay = self.random.between(S / 2, 2 * S);
        self.queue.after(delay, Event::Ballot);
    }

    /// Most members vote for what can be voted on; who has voted already is refused.
    pub(in crate::sim) fn ballot(&mut self) {
        if self.phase != Phase::Faults {
            return;
        }
        for motion in self.invariants.open_motions() {
            for org in 0..self.plan.orgs.len() {
                if self.random.chance(900) {
                    self.order(org, Call::Consortium(consortium::Call::Vote { motion }));
                }
            }
        }
    }
}
