//! What the calls of organisations do, a second time: planned switches, registered and removed nodes,
//! other partners and addresses. Motions are in `motions`, invitations in `invitations`.

use std::collections::BTreeMap;

use serde::Serialize;
use tandem_chain::block::Block;
use tandem_chain::keys::PublicKey;
use tandem_chain::ledger::Receipt;
use tandem_chain::limits::MAX_NODES_PER_ORG;
use tandem_chain::modules::parameters::Parameters;
use tandem_chain::modules::standby::{self, Reason};
use tandem_chain::modules::{Call, consortium};
use tandem_chain::tx::Tx;

use super::Violation;
use super::invitations::Fate;
use super::motions::Counted;
use super::seats::{Moved, Seat, Seats, Table};

/// How much was changed by calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// Nodes that were registered by admin keys.
    pub registered: u64,
    /// Nodes that registered themselves by invitations.
    pub invited: u64,
    /// Addresses that nodes gave themselves.
    pub addresses: u64,
    /// Nodes that were removed.
    pub removed: u64,
    /// Nodes that became partners in the place of others, or where there was none.
    pub partners: u64,
    /// Parameters that came into force.
    pub parameters: u64,
    /// Organisations that joined.
    pub joined: u64,
    /// Organisations that were removed.
    pub left: u64,
    /// Organisations that were suspended.
    pub suspended: u64,
    /// Suspensions that ended.
    pub restored: u64,
    /// Voting powers that were changed.
    pub powers: u64,
    /// Admin keys that were replaced.
    pub admin_keys: u64,
    /// Policies that were set.
    pub policies: u64,
    /// Calls of these kinds that changed nothing.
    pub refused: u64,
}

impl Changes {
    /// Adds another history's.
    pub fn add(&mut self, other: &Self) {
        self.registered += other.registered;
        self.invited += other.invited;
        self.addresses += other.addresses;
        self.removed += other.removed;
        self.partners += other.partners;
        self.parameters += other.parameters;
        self.joined += other.joined;
        self.left += other.left;
        self.suspended += other.suspended;
        self.restored += other.restored;
        self.powers += other.powers;
        self.admin_keys += other.admin_keys;
        self.policies += other.policies;
        self.refused += other.refused;
    }
}

/// A block at whose calls one looks.
pub(super) struct Scene<'a> {
    pub(super) k: u64,
    /// Its time.
    pub(super) time: u64,
    /// The role table of k + 1.
    pub(super) next: &'a Table,
    pub(super) is_alive: &'a dyn Fn(&PublicKey) -> bool,
    /// Whether there is a record that says who is alive.
    pub(super) has_record: bool,
    pub(super) moved: &'a mut Vec<Moved>,
}

impl Seats {
    /// The calls of block k, in order, held against their receipts as far as these are at hand. Gives
    /// parameters that are in force from k + 1 on.
    pub(super) fn calls(
        &mut self,
        mut scene: Scene,
        block: &Block,
        receipts: &[Receipt],
    ) -> Result<Option<Parameters>, Violation> {
        let mut agreed = None;
        for (i, tx) in block.txs.iter().enumerate() {
            let has_role = self.has_role(&tx.body().sender);
            let fate = match self.call(&mut scene, tx, &mut agreed) {
                // What it does otherwise is nobody's concern here.
                Fate::Any if !has_role => Fate::Refused("its key has no role"),
                fate => fate,
            };
            self.invitations.outsiders += u64::from(!has_role && fate != Fate::Done);
            // The first is the record's.
            if let Some(receipt) = receipts.get(i + 1) {
                fate.compare(tx, receipt)?;
            }
        }
        Ok(agreed)
    }

    fn call(&mut self, scene: &mut Scene, tx: &Tx, agreed: &mut Option<Parameters>) -> Fate {
        let body = tx.body();
        let call = match &body.call {
            Call::Standby(standby::Call::Switch { seat, target, term }) => {
                self.switch(scene, body.sender, seat.as_str(), *target, term.0);
                return Fate::Any;
            }
            Call::Records(call) => {
                self.record_call(body.sender, call);
                return Fate::Any;
            }
            Call::Rights(_) => return Fate::Any,
            Call::Consortium(call) => call,
        };
        let sender = body.sender;
        let counted = match call {
            consortium::Call::RegisterInvited { invitation, addresses, .. } => {
                let fate = self.register_invited(scene, sender, invitation, addresses);
                self.changes.refused += u64::from(fate != Fate::Done);
                return fate;
            }
            consortium::Call::Propose { change, force, expires } => {
                self.propose(scene, sender, change, *force, expires.0)
            }
            consortium::Call::Vote { motion } => self.vote(scene, sender, *motion),
            consortium::Call::SetAdminKey { key, .. } => {
                self.set_admin_key(sender, *key).map(|()| Counted::TooFew)
            }
            consortium::Call::SetAddresses { addresses } => {
                self.set_addresses(sender, addresses).map(|()| Counted::TooFew)
            }
            _ => self.member_call(scene, sender, call).map(|()| Counted::TooFew),
        };
        match counted {
            Some(Counted::Carried(parameters)) => *agreed = parameters.or(agreed.take()),
            Some(Counted::TooFew) => {}
            None => {
                self.changes.refused += 1;
                return Fate::Refused("it is to be refused");
            }
        }
        Fate::Done
    }

    /// A node has other addresses.
    fn set_addresses(&mut self, sender: PublicKey, addresses: &[String]) -> Option<()> {
        if !self.members.contains_key(&sender) || !self.has_role(&sender) {
            return None;
        }
        self.addresses.insert(sender, addresses.to_vec());
        self.changes.addresses += 1;
        Some(())
    }

    fn switch(
        &mut self,
        scene: &mut Scene,
        sender: PublicKey,
        name: &str,
        target: PublicKey,
        term: u64,
    ) {
        let Some(seat) = self.seats.get_mut(name) else { return };
        let holder = scene.next.get(name).map(|seat| seat.holder);
        let may = sender == seat.admin || holder == Some(sender);
        let sound = seat.effective != scene.k + 2
            && !seat.is_closed()
            && seat.term == term
            && seat.holder.is_some_and(|holder| holder != target)
            && seat.pair.contains(&target);
        if may && sound && (scene.is_alive)(&target) {
            scene.moved.push(seat.give(scene.k, name, Some(target), Reason::Planned));
        }
    }

    /// A call about nodes; none when it changes nothing.
    fn member_call(
        &mut self,
        scene: &mut Scene,
        sender: PublicKey,
        call: &consortium::Call,
    ) -> Option<()> {
        let name = &self.admin_of(sender)?;
        let is_of_user = |key: &PublicKey| self.motions.is_user(key);
        let is_shelved = |key: &PublicKey| self.seats.values().any(|s| s.shelved.contains(key));
        let is_admin =
            |key: &PublicKey| self.seats.values().any(|s| s.admin == *key && !s.is_removed());
        let (has_role, waits) = match call {
            consortium::Call::RegisterNode { node, pair, .. } => {
                let has_role = is_of_user(node) || is_shelved(node) || is_admin(node);
                (has_role, *pair && self.waits(scene, name, node))
            }
            consortium::Call::SetPartner { node } => (false, self.waits(scene, name, node)),
            _ => (false, false),
        };
        let seat = self.seats.get_mut(name)?;
        let of_org = |members: &BTreeMap<PublicKey, String>, key: &PublicKey| {
            members.get(key).is_some_and(|org| org == name)
        };
        match call {
            consortium::Call::RegisterNode { node, pair, addresses, .. } => {
                let nodes = self.members.values().filter(|org| *org == name).count();
                let is_known =
                    has_role || self.members.contains_key(node) || self.barred.contains(node);
                let is_full = nodes >= MAX_NODES_PER_ORG || (*pair && seat.pair.len() >= 2);
                if is_known || is_full || (*pair && seat.effective == scene.k + 2) {
                    return None;
                }
                self.members.insert(*node, name.clone());
                self.addresses.insert(*node, addresses.clone());
                self.changes.registered += 1;
                if *pair {
                    seat.pair.insert(*node);
                    self.changes.partners += 1;
                    seat.pair_changed(scene, name, Some(*node).filter(|_| !waits));
                }
            }
            consortium::Call::RemoveNode { node } => {
                let in_table = scene.next.values().any(|seat| seat.holder == *node);
                let holds = in_table || seat.holder == Some(*node);
                let is_of_pair = seat.pair.contains(node);
                let is_second = is_of_pair && seat.effective == scene.k + 2;
                if !of_org(&self.members, node) || holds || is_second {
                    return None;
                }
                self.members.remove(node);
                self.changes.removed += 1;
                if is_of_pair {
                    seat.pair.remove(node);
                    seat.pair_changed(scene, name, None);
                }
            }
            consortium::Call::SetPartner { node } => {
                let is_barred = self.barred.contains(node);
                let is_of_pair = seat.pair.contains(node);
                let is_second = seat.effective == scene.k + 2;
                if !of_org(&self.members, node) || is_of_pair || is_barred || is_second {
                    return None;
                }
                seat.pair.retain(|key| seat.holder == Some(*key));
                seat.pair.insert(*node);
                self.changes.partners += 1;
                seat.pair_changed(scene, name, Some(*node).filter(|_| !waits));
            }
            _ => {}
        }
        Some(())
    }

    /// Whether a node that is named for the seat of one that has joined does not get it yet: it is not
    /// alive, and without it too few of the seats would be.
    pub(super) fn waits(&self, scene: &Scene, name: &str, node: &PublicKey) -> bool {
        let Some(seat) = self.seats.get(name).filter(|seat| seat.joining) else { return false };
        if (scene.is_alive)(node) {
            return false;
        }
        let filled = self.seats.values().filter_map(|seat| Some((seat.holder?, seat.power)));
        let is_up = |key: &PublicKey| !scene.has_record || (scene.is_alive)(key);
        let online: u64 = filled.clone().filter(|(key, _)| is_up(key)).map(|(_, p)| p).sum();
        3 * online <= 2 * (filled.map(|(_, power)| power).sum::<u64>() + seat.power)
    }
}

impl Seat {
    /// Its pair has changed: its window starts anew, and without a good holder it is given to the node
    /// that was named.
    pub(super) fn pair_changed(&mut self, scene: &mut Scene, name: &str, named: Option<PublicKey>) {
        if named.is_some() && (self.holder.is_none() || self.bad) {
            let reason = if self.joining { Reason::Membership } else { Reason::Barred };
            scene.moved.push(self.give(scene.k, name, named, reason));
        } else {
            self.effective = scene.k + 2;
            self.count = 0;
        }
    }
}
