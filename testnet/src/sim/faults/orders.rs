//! What organisations order while faults last: switches, other nodes, other partners. Some of it is
//! refused, as it would be.

use tandem_chain::keys::SecretKey;
use tandem_chain::modules::{Call, consortium, standby};
use tandem_chain::tx::{Tx, TxBody};
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
        let name = self.genesis.organizations[org].name.clone();
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

    /// An organisation's admin registers a node, removes one, or names another partner; sometimes it
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
        let name = self.genesis.organizations[org].name.clone();
        let pair = self.invariants.pair(name.as_str());
        let call = if !self.invariants.is_registered(&key) {
            let secret = &self.secrets[node];
            let proof = consortium::registration_proof(&self.genesis.chain_id, &name, secret);
            // A third of a pair is refused.
            let pair = self.random.chance(if pair.len() < 2 { 600 } else { 50 });
            self.install(node);
            consortium::Call::RegisterNode { node: key, proof, pair, addresses: Vec::new() }
        } else if pair.contains(&key) || self.random.chance(300) {
            // A holder that is to go is refused.
            consortium::Call::RemoveNode { node: key }
        } else {
            consortium::Call::SetPartner { node: key }
        };
        self.order(org, Call::Consortium(call));
    }

    /// A machine that is to be registered is set up, before or after it is.
    fn install(&mut self, node: usize) {
        if !self.nodes[node].is_installed {
            self.nodes[node].is_installed = true;
            let delay = self.random.below(2 * S);
            self.queue.after(delay, Event::Start(node));
        }
    }

    /// Hands in a call by an organisation's admin.
    pub(super) fn order(&mut self, org: usize, call: Call) {
        self.tell(|w| format!("{} orders {call:?}", w.genesis.organizations[org].name));
        let key = self.admin(org).clone();
        self.order_by(&key, call);
    }

    /// The admin key that an organisation has now, or had at genesis.
    pub(super) fn admin(&self, org: usize) -> &SecretKey {
        let present = self.invariants.admin(self.genesis.organizations[org].name.as_str());
        let keys = &self.admins[org];
        keys.iter().find(|key| Some(key.public()) == present).unwrap_or(&keys[0])
    }

    /// Hands in a call by the owner of a key.
    pub(super) fn order_by(&mut self, key: &SecretKey, call: Call) {
        let body = TxBody {
            chain_id: self.genesis.chain_id.clone(),
            sender: key.public(),
            nonce: self.random.next(),
            valid_until: self.invariants.height().plus(VALID_FOR),
            call,
        };
        let tx = Tx::sign(body, &*self.plan.scheme.signer(key));
        self.good_txs.insert(tx.hash());
        self.submit(&tx);
    }
}
