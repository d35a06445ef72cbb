//! Machines that join by an invitation, as `tandem join` does: a machine calls on the members that its
//! token names, one at a time, and hands them its registration until it is told that it is registered,
//! or all of them refuse it. What it sends and is answered is lost as other messages are, its process
//! dies and starts again, and members lie.
//!
//! What others do with an invitation that they have seen is in `thieves`.

use std::collections::BTreeSet;

use tandem_chain::keys::{PublicKey, SecretKey};
use tandem_chain::ledger::is_committed;
use tandem_chain::limits::MAX_INVITATION_LIFE;
use tandem_chain::modules::Call;
use tandem_chain::modules::consortium::{
    self, Invitation, InvitationBody, InvitedAs, check_invited,
};
use tandem_chain::tx::{Tx, TxBody};
use tandem_chain::types::{Height, Timestamp};

use super::coverage::Entry;
use super::invariants::Issued;
use super::queue::{S, Time};
use super::world::{Event, Phase, World};

/// Blocks for which a registration may wait.
const VALID_FOR: u64 = 50;
/// Most members that a token names, besides one that was asked for.
const MAX_MEMBERS: u64 = 3;
/// Age at which a registration is made anew: what forwarded it may have been lost.
const ANEW: Time = 8 * S;

/// A machine with a token.
pub struct Guest {
    /// The machine.
    pub node: usize,
    pub(super) invitation: Invitation,
    /// Its seed is in the token.
    pub(super) one_time: SecretKey,
    /// Nodes of the members that the token names.
    members: Vec<usize>,
    /// What it sends, and when it was made; gone with its process.
    tx: Option<(Time, Tx)>,
    /// Members that refused it when they were asked last.
    refused_by: BTreeSet<usize>,
    /// Members that have taken its registration in.
    heard_by: BTreeSet<usize>,
    sent: usize,
    has_died: bool,
    /// Whether another machine has the same token.
    is_one_of_two: bool,
    /// Whether it has ended: it is registered, or was refused by all.
    pub(super) is_over: bool,
}

/// What a member answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The node is registered.
    Registered,
    /// The registration waits for a block.
    Waits,
    /// It stands in a block, and was to no effect.
    Failed,
    /// It may not be.
    Refused,
}

impl World {
    /// An organisation's admin key invites a machine, through a member: a node of the register. False
    /// when there is none.
    pub(super) fn invite(&mut self, node: usize, part: InvitedAs, through: Option<usize>) -> bool {
        let org = self.nodes[node].org;
        let known: Vec<usize> = (0..self.nodes.len())
            .filter(|node| self.invariants.is_registered(&self.nodes[*node].key))
            .collect();
        if known.is_empty() {
            return false;
        }
        let mut members: Vec<usize> = through.into_iter().collect();
        for _ in 0..self.random.between(1, MAX_MEMBERS) {
            let member = self.random.pick(&known);
            if !members.contains(&member) {
                members.push(member);
            }
        }
        let week = u64::try_from(MAX_INVITATION_LIFE.as_nanos()).expect("a week");
        let life = match self.random.below(100) {
            0..8 => self.random.between(S, 8 * S),
            8..12 => week + 3_600 * S,
            12..50 => week - 3_600 * S,
            _ => 120 * S,
        };
        let one_time = self.fresh_secret();
        let admin = self.admin(org).clone();
        let body = InvitationBody {
            chain_id: self.genesis.chain_id.clone(),
            org: self.names[org].clone(),
            claim: one_time.public(),
            part,
            valid_until: Timestamp(self.invariants.time() + life),
        };
        let invitation = Invitation::sign(body, &admin);
        let issued = Issued { invitation: invitation.clone(), by: admin.public() };
        self.invariants.issued(issued);
        self.tell(|w| {
            let names: Vec<&str> = members.iter().map(|m| w.nodes[*m].name.as_str()).collect();
            let (org, name) = (&w.names[org], &w.nodes[node].name);
            format!("{org} invites {name} as {part:?}, through {}", names.join(" "))
        });
        let guest = Guest {
            node,
            invitation,
            one_time,
            members,
            tx: None,
            refused_by: BTreeSet::new(),
            heard_by: BTreeSet::new(),
            sent: 0,
            has_died: false,
            is_one_of_two: false,
            is_over: false,
        };
        self.counts.invitations += 1;
        let second = self.free_machine(org, node).filter(|_| self.random.chance(100));
        if let Some(second) = second {
            self.arrives(Guest { is_one_of_two: true, ..guest.again(second) });
        }
        self.arrives(Guest { is_one_of_two: second.is_some(), ..guest });
        true
    }

    fn arrives(&mut self, guest: Guest) {
        self.invariants.chosen(guest.one_time.public(), self.nodes[guest.node].key);
        self.guests.push(guest);
        let delay = self.random.below(S / 2);
        self.queue.after(delay, Event::Guest(self.guests.len() - 1));
    }

    /// A key that nobody has.
    pub(super) fn fresh_secret(&mut self) -> SecretKey {
        let mut seed = [0; 32];
        for part in seed.chunks_mut(8) {
            part.copy_from_slice(&self.random.next().to_le_bytes());
        }
        SecretKey::from_seed(&seed)
    }

    /// Another machine of an organisation that has no role and is about to join nowhere.
    fn free_machine(&self, org: usize, but: usize) -> Option<usize> {
        (0..self.nodes.len()).find(|node| {
            let machine = &self.nodes[*node];
            *node != but && machine.org == org && machine.is_correct() && self.is_free(*node)
        })
    }

    /// Whether a machine is not registered, and about to join nowhere.
    pub(super) fn is_free(&self, node: usize) -> bool {
        let joins = self.guests.iter().any(|guest| guest.node == node && !guest.is_over);
        !joins && !self.invariants.is_registered(&self.nodes[node].key)
    }

    /// A guest calls on one of its members, and some time later on another.
    pub(super) fn guest(&mut self, index: usize) {
        let guest = &self.guests[index];
        let node = guest.node;
        if guest.is_over || self.nodes[node].stays_dead {
            return;
        }
        if self.knows_itself(node) {
            self.guests[index].is_over = true;
            return;
        }
        let delay = if self.phase == Phase::Faults && self.random.chance(80) {
            self.guest_dies(index)
        } else {
            let guest = &self.guests[index];
            let to = guest.members[guest.sent % guest.members.len()];
            self.visit(index, to);
            self.random.between(S / 5, 3 * S / 2)
        };
        self.queue.after(delay, Event::Guest(index));
    }

    /// Whether a node finds itself in its own register.
    fn knows_itself(&self, node: usize) -> bool {
        let process = self.nodes[node].process.as_ref();
        let key = &self.nodes[node].key;
        process.is_some_and(|process| process.ledger.tip().register.nodes.contains_key(key))
    }

    /// A guest's process dies: token and key are on its disk.
    fn guest_dies(&mut self, index: usize) -> Time {
        let guest = &mut self.guests[index];
        (guest.tx, guest.has_died) = (None, true);
        self.tell(|w| format!("{} dies while it joins", w.nodes[w.guests[index].node].name));
        let most = self.random.pick(&self.plan.fault_lengths);
        self.random.below(most)
    }

    /// A guest hands its registration to a member.
    fn visit(&mut self, index: usize, to: usize) {
        let (now, height) = (self.queue.now(), self.invariants.height());
        let is_stale =
            |(made, tx): &(Time, Tx)| *made + ANEW <= now || tx.body().valid_until <= height;
        if self.guests[index].tx.as_ref().is_none_or(is_stale) {
            let guest = &self.guests[index];
            let (invitation, one_time) = (guest.invitation.clone(), guest.one_time.clone());
            let key = self.secrets[guest.node].clone();
            let claim = invitation.claim(&one_time, &key.public());
            let addresses = vec![self.address(guest.node)];
            let call = consortium::Call::RegisterInvited { invitation, claim, addresses };
            let tx = self.signed(&key, Call::Consortium(call), VALID_FOR);
            self.guests[index].tx = Some((now, tx));
        }
        let guest = &mut self.guests[index];
        guest.sent += 1;
        let (node, (_, tx)) = (guest.node, guest.tx.clone().expect("it was made just now"));
        self.digest.mix_bytes(&tx.hash().0);
        for delay in self.delays(node, to) {
            self.queue.after(delay, Event::Visit { guest: index, to, tx: tx.clone() });
        }
    }

    /// A guest's registration arrives at a member, which answers.
    pub(super) fn visited(&mut self, index: usize, to: usize, tx: Tx) {
        if !self.nodes[to].is_up() {
            return;
        }
        if self.phase == Phase::Faults && self.random.chance(200) {
            self.steal(index, &tx);
        }
        let Some(answer) = self.answers_guest(index, to, tx) else { return };
        let node = self.guests[index].node;
        if let Some(delay) = self.delays(to, node).first() {
            self.queue.after(*delay, Event::Answered { guest: index, by: to, answer });
        }
    }

    fn answers_guest(&mut self, index: usize, to: usize, tx: Tx) -> Option<Answer> {
        let lies = self.nodes[to].byzantine.as_ref().is_some_and(|liar| !liar.reformed);
        if lies && self.random.chance(500) {
            let all = [Answer::Registered, Answer::Waits, Answer::Failed, Answer::Refused];
            return Some(self.random.pick(&all));
        }
        let process = self.nodes[to].process.as_ref()?;
        let (tip, store) = (process.ledger.tip(), process.ledger.store());
        let body = tx.body();
        if tip.register.nodes.contains_key(&body.sender) {
            return Some(Answer::Registered);
        }
        if is_committed(store, &tx.hash()).expect("memory does not fail") {
            return Some(Answer::Failed);
        }
        let Call::Consortium(consortium::Call::RegisterInvited { invitation, claim, addresses }) =
            &body.call
        else {
            return None;
        };
        let checked = check_invited(store, tip, &body.sender, invitation, claim, addresses);
        if let Err(error) = checked {
            self.tell(|w| {
                let (name, by) = (&w.nodes[w.guests[index].node].name, &w.nodes[to].name);
                format!("{by} refuses {name}: {error}")
            });
            return Some(Answer::Refused);
        }
        self.guests[index].heard_by.insert(to);
        self.admit(to, tx, true);
        Some(Answer::Waits)
    }

    /// A member's answer arrives.
    pub(super) fn answered(&mut self, index: usize, by: usize, answer: Answer) {
        let guest = &mut self.guests[index];
        if guest.is_over {
            return;
        }
        match answer {
            Answer::Registered => {
                // It is believed so far: whether it is true, its own register tells.
                let node = guest.node;
                self.install(node);
            }
            Answer::Waits => {
                guest.refused_by.remove(&by);
            }
            Answer::Failed => guest.tx = None,
            Answer::Refused => {
                guest.refused_by.insert(by);
                guest.is_over = guest.members.iter().all(|m| guest.refused_by.contains(m));
            }
        }
    }

    /// Guests that are to come in: their invitation holds, and one of their members is well.
    pub(super) fn awaited(&self) -> Vec<String> {
        let is_well = |node: &usize| {
            let member = &self.nodes[*node];
            member.is_correct() && member.is_up() && self.invariants.is_registered(&member.key)
        };
        let awaited = self.guests.iter().filter(|guest| {
            let node = &self.nodes[guest.node];
            let comes = !guest.is_over && !node.stays_dead && guest.members.iter().any(is_well);
            comes && self.invariants.would_admit(&node.key, &guest.invitation)
        });
        awaited.map(|guest| self.nodes[guest.node].name.clone()).collect()
    }

    /// A node has registered itself by an invitation.
    pub(super) fn came(&mut self, key: PublicKey, one_time: PublicKey) {
        let is_it = |guest: &&Guest| {
            guest.one_time.public() == one_time && self.nodes[guest.node].key == key
        };
        let Some(guest) = self.guests.iter().find(is_it) else { return };
        let org = self.nodes[guest.node].org;
        let of_others = guest.heard_by.iter().any(|member| self.nodes[*member].org != org);
        let is_alone = self.invariants.pair(self.names[org].as_str()).len() < 2;
        let how = match guest.invitation.body.part {
            InvitedAs::Standby if is_alone => Entry::FirstNode,
            InvitedAs::Standby => Entry::Standby,
            InvitedAs::Observer => Entry::Observer,
            InvitedAs::Replacement { .. } => Entry::Replacement,
        };
        let (node, is_over) = (guest.node, guest.is_over || self.healing.is_some());
        let rows = [
            (true, how),
            (of_others, Entry::Elsewhere),
            (guest.sent > 1, Entry::SentAgain),
            (guest.has_died, Entry::Died),
            (guest.is_one_of_two, Entry::OneOfTwo),
        ];
        rows.into_iter().filter(|(is_so, _)| *is_so).for_each(|(_, row)| self.watch.entry(row));
        if is_over {
            // All members have refused it, which was too early, or nobody may tell it any more: its
            // operator learns that it came in.
            self.install(node);
        }
        self.tell(|w| format!("{} is registered by its invitation", w.nodes[node].name));
    }

    /// Where a machine listens for peers, by now.
    pub(super) fn address(&mut self, node: usize) -> String {
        let port = self.random.between(1, 65_535);
        // The second of a twin has the name of the first with a mark.
        let name = self.nodes[node].name.trim_end_matches('\'');
        format!("/dns4/{name}.example/tcp/{port}")
    }

    /// A transaction of the owner of a key.
    pub(super) fn signed(&mut self, key: &SecretKey, call: Call, valid_for: u64) -> Tx {
        let body = TxBody {
            chain_id: self.genesis.chain_id.clone(),
            sender: key.public(),
            nonce: self.random.next(),
            valid_until: Height(self.invariants.height().0 + valid_for),
            call,
        };
        let tx = Tx::sign(body, &*self.plan.scheme.signer(key));
        self.good_txs.insert(tx.hash());
        tx
    }
}

impl Guest {
    /// The same token on another machine.
    fn again(&self, node: usize) -> Self {
        Self {
            node,
            invitation: self.invitation.clone(),
            one_time: self.one_time.clone(),
            members: self.members.clone(),
            tx: None,
            refused_by: BTreeSet::new(),
            heard_by: BTreeSet::new(),
            ..*self
        }
    }
}
