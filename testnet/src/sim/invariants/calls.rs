//! What the calls of organisations do, a second time: planned switches, registered and removed nodes,
//! other partners, other parameters.

use std::collections::BTreeMap;

use serde::Serialize;
use tandem_chain::block::Block;
use tandem_chain::keys::PublicKey;
use tandem_chain::limits::MAX_NODES_PER_ORG;
use tandem_chain::modules::parameters::{self, Parameters};
use tandem_chain::modules::standby::{self, Reason};
use tandem_chain::modules::{Call, consortium};

use super::seats::{Moved, Seat, Seats, Table};

/// How much was changed by calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// Nodes that were registered.
    pub registered: u64,
    /// Nodes that were removed.
    pub removed: u64,
    /// Nodes that became partners in the place of others, or where there was none.
    pub partners: u64,
    /// Parameters that came into force.
    pub parameters: u64,
    /// Calls of these kinds that changed nothing.
    pub refused: u64,
}

impl Changes {
    /// Adds another history's.
    pub fn add(&mut self, other: &Self) {
        self.registered += other.registered;
        self.removed += other.removed;
        self.partners += other.partners;
        self.parameters += other.parameters;
        self.refused += other.refused;
    }
}

/// A block at whose calls one looks.
struct Scene<'a> {
    k: u64,
    /// The role table of k + 1.
    next: &'a Table,
    is_alive: &'a dyn Fn(&PublicKey) -> bool,
    moved: &'a mut Vec<Moved>,
}

impl Seats {
    /// The calls of block k, in order. Gives parameters that are in force from k + 1 on.
    pub(super) fn calls(
        &mut self,
        k: u64,
        block: &Block,
        next: &Table,
        is_alive: &dyn Fn(&PublicKey) -> bool,
        moved: &mut Vec<Moved>,
    ) -> Option<Parameters> {
        let mut scene = Scene { k, next, is_alive, moved };
        let mut agreed = None;
        for tx in &block.txs {
            let body = tx.body();
            match &body.call {
                Call::Standby(standby::Call::Switch { seat, target, term }) => {
                    self.switch(&mut scene, body.sender, seat.as_str(), *target, term.0);
                }
                Call::Consortium(call) => {
                    if self.member_call(&mut scene, body.sender, call).is_none() {
                        self.changes.refused += 1;
                    }
                }
                Call::Parameters(parameters::Call::Set(wanted)) => {
                    agreed = self.vote(body.sender, wanted).or(agreed);
                }
                Call::Records(_) => {}
            }
        }
        agreed
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
        let (name, seat) = self.seats.iter_mut().find(|(_, seat)| seat.admin == sender)?;
        let of_org = |members: &BTreeMap<PublicKey, String>, key: &PublicKey| {
            members.get(key).is_some_and(|org| org == name)
        };
        match call {
            consortium::Call::RegisterNode { node, pair, .. } => {
                let nodes = self.members.values().filter(|org| *org == name).count();
                let is_known = self.members.contains_key(node) || self.barred.contains(node);
                let is_full = nodes >= MAX_NODES_PER_ORG || (*pair && seat.pair.len() >= 2);
                if is_known || is_full || (*pair && seat.effective == scene.k + 2) {
                    return None;
                }
                self.members.insert(*node, name.clone());
                self.changes.registered += 1;
                if *pair {
                    seat.pair.insert(*node);
                    self.changes.partners += 1;
                    seat.pair_changed(scene, name, Some(*node));
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
                seat.pair_changed(scene, name, Some(*node));
            }
            _ => {}
        }
        Some(())
    }

    /// An organisation votes on parameters; those that are agreed on now.
    fn vote(&mut self, sender: PublicKey, wanted: &Parameters) -> Option<Parameters> {
        let (name, _) = self.seats.iter().find(|(_, seat)| seat.admin == sender)?;
        if !wanted.faults().is_empty() {
            self.changes.refused += 1;
            return None;
        }
        self.votes.insert(name.clone(), wanted.clone());
        let total: u64 = self.seats.values().map(|seat| seat.power).sum();
        let power = |name: &str| self.seats.get(name).map_or(0, |seat| seat.power);
        let voters = self.votes.iter().filter(|(_, vote)| *vote == wanted);
        let agreed: u64 = voters.map(|(name, _)| power(name)).sum();
        if agreed * 3 <= total * 2 {
            return None;
        }
        self.votes.retain(|_, vote| vote != wanted);
        self.changes.parameters += 1;
        Some(wanted.clone())
    }
}

impl Seat {
    /// Its pair has changed: its window starts anew, and without a good holder it is given to the node
    /// that was named.
    fn pair_changed(&mut self, scene: &mut Scene, name: &str, named: Option<PublicKey>) {
        if named.is_some() && (self.holder.is_none() || self.bad) {
            scene.moved.push(self.give(scene.k, name, named, Reason::Barred));
        } else {
            self.effective = scene.k + 2;
            self.count = 0;
        }
    }
}
