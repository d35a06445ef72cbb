//! Changes of the consortium while faults last: members make motions, and vote on them a while later.
//! Some are refused, since nobody is as it says, or too few seats would be online.

use std::time::Duration;

use tandem_chain::modules::Call;
use tandem_chain::modules::consortium::{self, Change};
use tandem_chain::types::{OrgName, Power, Timestamp};

use crate::sim::plan::any_policy;
use crate::sim::queue::S;
use crate::sim::world::{Event, Phase, World};

/// Times for which a motion can be voted on, in milliseconds, from the newest block on: the short ones
/// are at times too short for the block that it comes into, and refused.
const SHORT_MS: u64 = 10_500;
const LONG_MS: u64 = 30_000;

impl World {
    /// A member proposes other parameters.
    pub(super) fn order_parameters(&mut self) -> bool {
        let parameters = self.plan.other_parameters(&mut self.random);
        self.propose(Change::SetParameters(parameters));
        true
    }

    /// A member proposes that another joins, leaves, is suspended or restored, has another power or
    /// another admin key, or another policy; or it replaces its own admin key.
    pub(super) fn order_motion(&mut self) -> bool {
        let org = self.random.index(self.plan.orgs.len());
        let name: OrgName = self.names[org].clone();
        let power = Power(self.random.between(1, 3));
        let key = self.random.index(3);
        let key = self.admins[org][key].clone();
        let change = match self.invariants.is_suspended(name.as_str()) {
            // A machine of it registers later, by the orders for nodes.
            None => Change::AddOrg { name, admin_key: key.public(), power },
            Some(true) if self.random.chance(800) => Change::RestoreOrg { name },
            Some(_) => match self.random.below(14) {
                0..=2 => Change::RemoveOrg { name },
                3..=6 => Change::SuspendOrg { name },
                7 => Change::RestoreOrg { name },
                8..=9 => Change::SetPower { name, power },
                10..=11 => Change::ReplaceAdminKey { name, key: key.public() },
                12 => Change::SetPolicy(any_policy(&mut self.random)),
                _ => {
                    let proof = consortium::registration_proof(&self.genesis.chain_id, &name, &key);
                    let call = consortium::Call::SetAdminKey { key: key.public(), proof };
                    self.order(org, Call::Consortium(call));
                    return true;
                }
            },
        };
        self.propose(change);
        true
    }

    fn propose(&mut self, change: Change) {
        let org = self.random.index(self.plan.orgs.len());
        let life = Duration::from_millis(self.random.between(SHORT_MS, LONG_MS));
        let expires = Timestamp(self.invariants.time()).plus(life);
        let force = self.plan.may_force && self.random.chance(150);
        let call = consortium::Call::Propose { change, force, expires };
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
