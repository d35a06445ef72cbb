//! What organisations order while faults last: switches, other nodes, other partners. Some of it is
//! refused, as it would be.

use std::collections::BTreeSet;

use tandem_chain::keys::{PublicKey, SecretKey};
use tandem_chain::modules::consortium::InvitedAs;
use tandem_chain::modules::{Call, consortium, standby};
use tandem_chain::types::Term;

use crate::sim::queue::S;
use crate::sim::world::{Event, World};

/// Blocks for which an order may wait to be executed.
const VALID_FOR: u64 = 50;

impl World {
    /// An organisation's admin orders a planned switch.
    pub(super) fn order_switch(&mut self) -> bool {
        let org = self.random.index(self.plan.orgs.len());
        self.order_switch_of(org)
    }

    fn order_switch_of(&mut self, org: usize) -> bool {
        let name = self.names[org].clone();
        let table = self.invariants.newest_table();
        let Some(seat) = table.get(name.as_str()) else { return false };
        let (holder, term) = (seat.holder, Term(seat.term));
        let partner = self.invariants.pair(name.as_str()).into_iter().find(|k| *k != holder);
        // A target that is not of the pair is refused.
        let any = self.random.pick(&self.nodes_of(org));
        let is_wrong = self.random.chance(100);
        let target = if is_wrong { Some(self.nodes[any].key) } else { partner };
        let Some(target) = target else { return false };
        self.order(org, Call::Standby(standby::Call::Switch { seat: name, target, term }));
        true
    }

    fn nodes_of(&self, org: usize) -> Vec<usize> {
        (0..self.nodes.len()).filter(|node| self.nodes[*node].org == org).collect()
    }

    /// Any organisation; more often one whose holder is down.
    fn pick_troubled(&mut self) -> usize {
        let table = self.invariants.newest_table();
        let holders = table.values().map(|seat| self.by_key[&seat.holder]);
        let down = holders.filter(|node| !self.nodes[*node].is_up());
        let down: Vec<usize> = down.map(|node| self.nodes[node].org).collect();
        if down.is_empty() || self.random.chance(500) {
            self.random.index(self.plan.orgs.len())
        } else {
            self.random.pick(&down)
        }
    }

    /// An organisation's admin registers or invites a node, removes one, or names another partner; sometimes it
    /// orders more at once, of which the second is refused if it is for the same block.
    pub(super) fn order_members(&mut self) -> bool {
        let org = self.pick_troubled();
        self.order_member_of(org);
        if self.random.chance(250) {
            self.order_member_of(org);
        }
        if self.random.chance(250) {
            self.order_switch_of(org);
        }
        true
    }

    fn order_member_of(&mut self, org: usize) {
        let node = self.random.pick(&self.nodes_of(org));
        let key = self.nodes[node].key;
        let name = self.names[org].clone();
        let pair = self.invariants.pair(name.as_str());
        let call = if !self.invariants.is_registered(&key) {
            if self.is_free(node) && self.random.chance(700) {
                self.invite_as_it_is(node, &pair);
                return;
            }
            let secret = &self.secrets[node];
            let proof = consortium::registration_proof(&self.genesis.chain_id, &name, secret);
            // A third of a pair is refused.
            let pair = self.random.chance(if pair.len() < 2 { 600 } else { 50 });
            self.install(node);
            let addresses = vec![self.address(node)];
            consortium::Call::RegisterNode { node: key, proof, pair, addresses }
        } else if pair.contains(&key) || self.random.chance(300) {
            // A holder that is to go is refused.
            consortium::Call::RemoveNode { node: key }
        } else {
            consortium::Call::SetPartner { node: key }
        };
        self.order(org, Call::Consortium(call));
    }

    /// An organisation invites a machine, as what it has a place for; most often in the place of one
    /// of its pair that is down or has lost its key.
    pub(super) fn invite_as_it_is(&mut self, node: usize, pair: &BTreeSet<PublicKey>) {
        let table = self.invariants.newest_table();
        let holds = |key: &PublicKey| table.values().any(|seat| seat.holder == *key);
        let is_lost = |key: &PublicKey| {
            let node = &self.nodes[self.by_key[key]];
            !node.is_up() || node.key_was_lost
        };
        let lost = pair.iter().copied().find(|key| !holds(key) && is_lost(key));
        let any = pair.iter().copied().next();
        let part = match (lost, any) {
            (Some(lost), _) if self.random.chance(700) => InvitedAs::Replacement { lost },
            // One that is well, or holds the seat: the latter is refused.
            (_, Some(lost)) if self.random.chance(100) => InvitedAs::Replacement { lost },
            // A third of a pair is refused.
            _ if self.random.chance(if pair.len() < 2 { 600 } else { 50 }) => InvitedAs::Standby,
            _ => InvitedAs::Observer,
        };
        self.invite(node, part, None);
    }

    /// A node gives itself another address; sometimes it is one that was removed.
    pub(super) fn order_address(&mut self) -> bool {
        let is_removed = self.random.chance(200);
        let nodes = 0..self.nodes.len();
        let nodes: Vec<usize> = nodes
            .filter(|node| {
                let node = &self.nodes[*node];
                node.is_installed && self.invariants.is_registered(&node.key) != is_removed
            })
            .collect();
        if nodes.is_empty() {
            return false;
        }
        let node = self.random.pick(&nodes);
        let addresses = vec![self.address(node)];
        let key = self.secrets[node].clone();
        self.tell(|w| format!("{} has other addresses: {addresses:?}", w.nodes[node].name));
        self.order_by(&key, Call::Consortium(consortium::Call::SetAddresses { addresses }));
        true
    }

    /// A machine that is registered, or to be so, is set up.
    pub(in crate::sim) fn install(&mut self, node: usize) {
        if self.nodes[node].is_installed {
            return;
        }
        self.nodes[node].is_installed = true;
        let delay = self.random.below(2 * S);
        self.queue.after(delay, Event::Start(node));
        if self.healing.is_some() {
            // It has all blocks to catch up with.
            self.last_change = self.queue.now();
            self.healing = Some(self.healing());
        }
    }

    /// Hands in a call by an organisation's admin.
    pub(super) fn order(&mut self, org: usize, call: Call) {
        self.tell(|w| format!("{} orders {call:?}", w.names[org]));
        let key = self.admin(org).clone();
        self.order_by(&key, call);
    }

    /// The admin key that an organisation has now, or had at genesis.
    pub(in crate::sim) fn admin(&self, org: usize) -> &SecretKey {
        let present = self.invariants.admin(self.names[org].as_str());
        let keys = &self.admins[org];
        keys.iter().find(|key| Some(key.public()) == present).unwrap_or(&keys[0])
    }

    /// Hands in a call by the owner of a key.
    pub(super) fn order_by(&mut self, key: &SecretKey, call: Call) {
        let tx = self.signed(key, call, VALID_FOR);
        self.submit(&tx);
    }
}
