//! Messages and fetches: what nodes, and the actors in them, send, what becomes of it on the way, and
//! how it is taken.

use std::rc::Rc;
use std::sync::Arc;

use tandem_chain::block::CertifiedBlock;
use tandem_chain::codec;
use tandem_chain::keys::PublicKey;
use tandem_chain::limits::MAX_ENCODED_BYTES;
use tandem_chain::tx::Tx;
use tandem_chain::types::Height;
use tandem_consensus::Input;
use tandem_consensus::limits::FETCH_TIMEOUT;
use tandem_consensus::message::Message;
use tandem_consensus::verify::Triage;

use super::invariants::broken;
use super::packet::Packet;
use super::queue::Time;
use super::world::{Done, Event, World};

/// Blocks in an answer to a fetch: fewer than are asked for, so that answers come in parts.
pub(super) const MAX_ANSWER: u64 = 20;

impl World {
    /// Sends what a node, or the actor in it, has for another.
    pub(super) fn send(&mut self, from: usize, to: usize, message: &Message, packet: &Rc<Packet>) {
        let Some(epoch) = self.net.sees(from, to) else { return };
        match self.falsified(from, to, message) {
            None => self.transmit(from, to, epoch, packet),
            Some(packets) => packets
                .into_iter()
                .for_each(|packet| self.transmit(from, to, epoch, &Rc::new(packet))),
        }
    }

    pub(super) fn transmit(&mut self, from: usize, to: usize, epoch: u64, packet: &Rc<Packet>) {
        self.counts.messages += 1;
        self.counts.bytes += packet.len() as u64;
        self.digest.mix((from << 32 | to) as u64);
        self.digest.mix(packet.digest());
        for delay in self.delays(from, to) {
            let at = self.net.arrival(from, to, self.queue.now() + delay, self.links.ordered);
            let packet = Rc::clone(packet);
            self.queue.at(at, Event::Packet { from, to, epoch, packet });
        }
    }

    /// Times on the way of the copies of a message that arrive.
    pub(super) fn delays(&mut self, from: usize, to: usize) -> Vec<Time> {
        if self.net.is_cut(from, to) || self.random.chance(self.links.loss) {
            return Vec::new();
        }
        let copies = 1 + u64::from(self.random.chance(self.links.duplicates));
        (0..copies)
            .map(|_| {
                let late = if self.random.chance(self.links.late) {
                    self.random.below(self.links.late_max)
                } else {
                    0
                };
                self.random.between(self.links.delay_min, self.links.delay_max) + late
            })
            .collect()
    }

    /// Whether what was sent over a connection arrives: both ends still have it.
    pub(super) fn can_arrive(&mut self, from: usize, to: usize, epoch: u64) -> bool {
        let is_same = self.net.connection(from, to).epoch == epoch;
        is_same && self.net.sees(to, from) == Some(epoch) && !self.net.is_cut(from, to)
    }

    /// A message arrives.
    pub(super) fn packet(&mut self, from: usize, to: usize, epoch: u64, packet: &Packet) {
        if !self.can_arrive(from, to, epoch) || self.nodes[to].process.is_none() {
            return;
        }
        let message = match packet.decode() {
            Ok(message) => message,
            Err(fault) => {
                if self.nodes[from].is_correct() {
                    let what = format!("a correct node's message is refused: {fault}");
                    self.verdict(broken("codec", what));
                }
                return;
            }
        };
        if !self.hears(to, from, &message) {
            return;
        }
        let Some(process) = &self.nodes[to].process else { return };
        let from_key = self.nodes[from].key;
        match process.keys.triage(&message) {
            Triage::Drop => {}
            Triage::Claim(height) => self.later(to, Input::Claim { from: from_key, height }),
            Triage::Verify => {
                // Those of liars are signed as the history's scheme has it.
                let (memo, chain_id) = (&self.memo, &self.genesis.chain_id);
                let good = |tx: &Tx| {
                    self.good_txs.contains(&tx.hash()) || tx.verify(memo, chain_id).is_ok()
                };
                match packet.verify(message, &process.keys, &self.memo, &good) {
                    Ok(message) => self.later(to, Input::Message { from: from_key, message }),
                    Err(fault) => {
                        self.watch.refused(to);
                        let verdict = self.invariants.refused(to, from, &fault);
                        self.verdict(verdict);
                        self.reported(to, &from_key, &format!("verify: {fault}"));
                    }
                }
            }
        }
    }

    /// Asks a peer for blocks.
    pub(super) fn ask(&mut self, node: usize, peer: PublicKey, first: Height, count: u64) {
        self.fetches += 1;
        self.counts.fetches += 1;
        let id = self.fetches;
        self.digest.mix_bytes(peer.as_bytes());
        [node as u64, first.0, count].into_iter().for_each(|part| self.digest.mix(part));
        let incarnation = self.nodes[node].incarnation;
        if let Some(process) = self.nodes[node].process.as_mut() {
            process.fetches.insert(id, self.queue.now());
        }
        let input = Input::Fetched { from: peer, first, blocks: Vec::new() };
        let timeout = u64::try_from(FETCH_TIMEOUT.as_nanos()).expect("a few seconds");
        self.done_after(node, timeout, Done::Fetched { id, input: Box::new(input) });
        let Some(to) = self.machines(&peer).find(|to| self.net.sees(node, *to).is_some()) else {
            return;
        };
        if let Some(delay) = self.delays(node, to).first() {
            let asked = Event::Asked { from: node, incarnation, to, first, count, id };
            self.queue.after(*delay, asked);
        }
    }

    /// Answers a question for blocks, from all that the process sees of its disk.
    pub(super) fn asked(
        &mut self,
        from: usize,
        incarnation: u64,
        to: usize,
        first: Height,
        count: u64,
        id: u64,
    ) {
        let Some(process) = &self.nodes[to].process else { return };
        if first.0 < self.nodes[to].lowest {
            self.counts.lacked += 1;
            let (key, lowest) = (self.nodes[to].key, Height(self.nodes[to].lowest));
            self.reply((from, incarnation, id), to, Input::Lacks { from: key, first, lowest });
            return;
        }
        let skip = usize::try_from(first.0.saturating_sub(1)).unwrap_or(usize::MAX);
        let count = usize::try_from(count.min(MAX_ANSWER)).expect("a small number");
        let blocks: Vec<&CertifiedBlock> =
            process.blocks.iter().skip(skip).take(count).map(Arc::as_ref).collect();
        let bytes = codec::encode(&blocks);
        let decoded = codec::decode("blocks", &bytes, MAX_ENCODED_BYTES);
        let blocks: Vec<CertifiedBlock> = match decoded {
            Ok(blocks) => blocks,
            Err(error) => {
                self.verdict(broken("codec", format!("stored blocks are refused: {error}")));
                return;
            }
        };
        let Some(blocks) = self.answer(to, first, blocks) else { return };
        self.digest.mix_bytes(&codec::encode(&blocks));
        let input = Input::Fetched { from: self.nodes[to].key, first, blocks };
        self.reply((from, incarnation, id), to, input);
    }

    /// The answer to a question of a process goes on its way.
    fn reply(&mut self, (asker, incarnation, id): (usize, u64, u64), by: usize, input: Input) {
        if let Some(delay) = self.delays(by, asker).first() {
            let done = Done::Fetched { id, input: Box::new(input) };
            self.queue.after(*delay, Event::Done { node: asker, incarnation, done });
        }
    }
}
