//! Keys of nodes that were removed, suspended, or never registered, in other hands: they vote for what
//! is proposed, at every height, though they hold no seat there, and whoever has no connection any more
//! finds someone who passes it on.

use std::rc::Rc;

use tandem_chain::comet;
use tandem_chain::keys::Signature;
use tandem_chain::liveness::{Bits, Observation};
use tandem_chain::vote::{Vote, VoteKind};
use tandem_consensus::Input;
use tandem_consensus::message::{Message, Proposal};
use tandem_consensus::verify::Triage;

use crate::sim::packet::Packet;
use crate::sim::queue::MS;
use crate::sim::world::{Event, Phase, World};

impl World {
    /// A correct node sends a message to all; strangers hear of some proposals.
    pub(in crate::sim) fn overheard(&mut self, node: usize, message: &Message) {
        let Message::Proposal(proposal) = message else { return };
        let is_heard = self.phase == Phase::Faults && self.nodes[node].is_correct();
        if !is_heard || !self.random.chance(60) {
            return;
        }
        let Some(table) = self.invariants.table(proposal.height) else { return };
        let strangers: Vec<usize> = (0..self.peers.len())
            .filter(|node| {
                let key = &self.nodes[*node].key;
                let holds = table.values().any(|seat| seat.holder == *key);
                !holds && !self.invariants.is_registered(key)
            })
            .collect();
        let seats = table.len();
        if !strangers.is_empty() {
            let stranger = self.random.pick(&strangers);
            self.invariants.in_other_hands(stranger, proposal.height);
            self.stranger_votes(stranger, seats, proposal);
        }
    }

    fn stranger_votes(&mut self, node: usize, seats: usize, proposal: &Proposal) {
        let index = u16::try_from(self.random.index(seats + 1)).unwrap_or(u16::MAX);
        for kind in [VoteKind::Prevote, VoteKind::Precommit] {
            let vote = self.vote_of(node, index, kind, proposal);
            let packet = Rc::new(Packet::of(&Message::Vote(Box::new(vote))));
            self.digest.mix(packet.digest());
            // A node that is shown a signature of its own that it does not know stops, as it must.
            let is_other = |to: &usize| self.nodes[*to].key != self.nodes[node].key;
            for to in (0..self.nodes.len()).filter(is_other).collect::<Vec<_>>() {
                let delay = self.random.below(20 * MS);
                let packet = Rc::clone(&packet);
                self.queue.after(delay, Event::Strange { from: node, to, packet });
            }
            self.counts.strangers_votes += 1;
        }
    }

    fn vote_of(&self, node: usize, index: u16, kind: VoteKind, proposal: &Proposal) -> Vote {
        let (chain_id, signer) = (&self.genesis.chain_id, &self.nodes[node].signer);
        let (height, round) = (proposal.height, proposal.round);
        let observation = (kind == VoteKind::Precommit).then(|| {
            let seen: Bits = proposal.block.record.record.alive.iter().map(|_| true).collect();
            let extension = seen.to_extension();
            let bytes = comet::extension_sign_bytes(chain_id, height, round, &extension);
            Observation { signature: signer.sign(&bytes), seen }
        });
        let mut vote = Vote {
            kind,
            height,
            round,
            block: Some(proposal.block_id),
            timestamp: self.wall(node),
            validator_index: index,
            validator_address: self.nodes[node].key.address(),
            signature: Signature([0; Signature::LEN]),
            observation,
        };
        vote.signature = signer.sign(&vote.sign_bytes(chain_id));
        vote
    }

    /// A stranger's vote arrives: it is refused, or is to be without effect.
    pub(in crate::sim) fn strange(&mut self, from: usize, to: usize, packet: &Packet) {
        let Some(process) = self.nodes[to].process.as_ref().filter(|_| self.nodes[to].is_up())
        else {
            return;
        };
        let message = packet.decode().expect("a vote is a message");
        if !matches!(process.keys.triage(&message), Triage::Verify) {
            return;
        }
        match packet.verify(message, &process.keys, &self.memo, &|_| false) {
            Ok(message) => {
                let from = self.nodes[from].key;
                self.later(to, Input::Message { from, message });
            }
            Err(_) => self.watch.refused(to),
        }
    }
}
