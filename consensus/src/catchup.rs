//! Catch-up of a replica that is behind: whom to ask for blocks, and the blocks that came.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tandem_chain::block::CertifiedBlock;
use tandem_chain::keys::PublicKey;
use tandem_chain::tip::Tip;
use tandem_chain::types::{Height, OrgName, Power};

use crate::limits::{
    FETCH_AHEAD, FETCH_DELAY, FETCH_PENALTY, FETCH_PENALTY_MAX, FETCH_SLOW, FETCH_TIMEOUT,
    MAX_ASKED, MAX_FETCH_BLOCKS, MAX_FETCH_PEERS, MAX_FETCHED_BLOCKS, MAX_FETCHED_TX_BYTES,
};
use crate::time::Instant;

/// A peer. What height it has is a claim: asked for, and forgotten if not made good. It is remembered
/// when it has gone, so that a new connection does not wipe out its failures.
#[derive(Clone, Copy, Debug)]
struct Peer {
    connected: bool,
    claimed: Height,
    /// The lowest block that it still has, as it says; 0 while it has not said.
    lowest: Height,
    not_before: Instant,
    /// Fetches in a row that gave nothing useful.
    failures: u32,
    /// Blocks to ask for: fewer when they did not come in time.
    count: u64,
    /// Whether its last answer took long.
    slow: bool,
    asked: Instant,
}

impl Default for Peer {
    fn default() -> Self {
        Self {
            connected: true,
            claimed: Height::ZERO,
            lowest: Height::ZERO,
            not_before: Instant::default(),
            failures: 0,
            count: MAX_FETCH_BLOCKS,
            slow: false,
            asked: Instant::default(),
        }
    }
}

impl Peer {
    /// Whether it claims to have this block, and has not said that it has it no more.
    fn has(&self, height: Height) -> bool {
        self.claimed >= height && self.lowest <= height
    }
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    peer: PublicKey,
    first: Height,
    at: Instant,
}

impl Asked {
    fn deadline(&self) -> Instant {
        self.at.plus(FETCH_TIMEOUT)
    }
}

/// A fetch to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Whom to ask.
    pub peer: PublicKey,
    /// The first height.
    pub first: Height,
    /// How many blocks at most.
    pub count: u64,
}

/// A fetched block, with the peer that sent it.
pub type FetchedBlock = (PublicKey, Arc<CertifiedBlock>);

/// Connected peers with their claims, and fetched blocks that wait for their turn.
#[derive(Clone, Debug, Default)]
pub struct CatchUp {
    peers: BTreeMap<PublicKey, Peer>,
    /// Fetches under way, the last one last.
    asked: Vec<Asked>,
    queue: VecDeque<FetchedBlock>,
    /// The block whose signatures are being checked. It stays until the verdict on it has come, or
    /// its height is past: so a verdict is never taken for that on another block of its height.
    verifying: Option<FetchedBlock>,
}

impl CatchUp {
    /// A peer is connected.
    pub fn connected(&mut self, peer: PublicKey) {
        if self.peers.len() >= MAX_FETCH_PEERS {
            self.peers.retain(|_, peer| peer.connected);
        }
        let peer = self.peers.entry(peer).or_default();
        (peer.connected, peer.lowest) = (true, Height::ZERO);
    }

    /// A peer is gone, and so is what was asked of it.
    pub fn disconnected(&mut self, peer: &PublicKey) {
        if let Some(peer) = self.peers.get_mut(peer) {
            (peer.connected, peer.claimed) = (false, Height::ZERO);
        }
        self.asked.retain(|asked| asked.peer != *peer);
    }

    /// A peer claims to have committed a height.
    pub fn claim(&mut self, peer: &PublicKey, height: Height) {
        if let Some(peer) = self.peers.get_mut(peer).filter(|peer| peer.connected) {
            peer.claimed = peer.claimed.max(height);
        }
    }

    /// The highest height that organisations with more than a third of the power claim at least, each
    /// by any of its connected nodes: so neither a few liars nor many nodes of one organisation can
    /// make a node look behind.
    #[must_use]
    pub fn best_claim(&self, tip: &Tip) -> Height {
        let mut claims: BTreeMap<&OrgName, Height> = BTreeMap::new();
        for (key, peer) in self.peers.iter().filter(|(_, peer)| peer.connected) {
            let Some(node) = tip.register.nodes.get(key) else { continue };
            let claim = claims.entry(&node.org).or_default();
            *claim = (*claim).max(peer.claimed);
        }
        let seats = tip.next_table.seats();
        let power = |org: &OrgName| seats.get(org).map_or(0, |seat| seat.power.0);
        let mut claims: Vec<(Height, u64)> =
            claims.into_iter().map(|(org, claim)| (claim, power(org))).collect();
        claims.sort_unstable_by(|a, b| b.cmp(a));
        let mut sum = 0;
        let believed = claims.iter().find(|(_, power)| {
            sum += power;
            tip.next_table.is_third(Power(sum))
        });
        believed.map_or(Height::ZERO, |(claim, _)| *claim)
    }

    /// How many blocks this node lacks, by the best claim.
    #[must_use]
    pub fn lacking(&self, tip: &Tip) -> u64 {
        // Most of the time none claims more, and there is nothing to count.
        if self.peers.values().all(|peer| peer.claimed <= tip.height) {
            return 0;
        }
        self.best_claim(tip).0.saturating_sub(tip.height.0)
    }

    /// What a peer sent is wrong, or it sent nothing: its claim is forgotten, it is not asked for a
    /// while that doubles each time, and everything that it sent and that still waits is dropped.
    pub fn failed(&mut self, peer: &PublicKey, now: Instant) {
        if let Some(peer) = self.peers.get_mut(peer) {
            let penalty = FETCH_PENALTY.saturating_mul(1 << peer.failures.min(16));
            peer.failures = peer.failures.saturating_add(1);
            peer.claimed = Height::ZERO;
            peer.not_before = now.plus(penalty.min(FETCH_PENALTY_MAX));
        }
        if let Some(first) = self.queue.iter().position(|(from, _)| from == peer) {
            self.queue.truncate(first);
        }
    }

    /// The answer to a fetch. False when it is not an answer to what was asked, or not consecutive
    /// blocks from there on: then nothing of it is kept.
    #[must_use]
    pub fn fetched(
        &mut self,
        from: PublicKey,
        first: Height,
        blocks: Vec<CertifiedBlock>,
        now: Instant,
    ) -> bool {
        // Else it came after its deadline, and the peer has had its penalty; or after another's answer.
        let is_answer = |asked: &Asked| asked.peer == from && asked.first == first;
        let Some(answered) = self.asked.iter().position(is_answer) else { return true };
        let asked = self.asked.remove(answered);
        let heights = (first.0..).map(Height);
        let good = !blocks.is_empty()
            && blocks.len() as u64 <= MAX_FETCH_BLOCKS
            && blocks.iter().zip(heights).all(|(b, height)| b.block.header.height == height);
        if good {
            // What others were asked for beside it is not waited for any more.
            self.asked.retain(|asked| asked.first != first);
        }
        if let Some(peer) = self.peers.get_mut(&from).filter(|_| good) {
            peer.slow = now.since(asked.at) > FETCH_SLOW;
            peer.count =
                if peer.slow { peer.count } else { (peer.count * 2).min(MAX_FETCH_BLOCKS) };
        }
        if good && self.queue.back().is_none_or(|(_, b)| b.block.header.height.next() == first) {
            self.queue.extend(blocks.into_iter().map(|block| (from, Arc::new(block))));
        }
        good
    }

    /// The answer to a fetch: the peer has had these blocks, and the lowest that it still has is `lowest`.
    /// That is no fault; it is not asked for lower ones again while it is connected.
    pub fn lacks(&mut self, from: &PublicKey, first: Height, lowest: Height) {
        let is_answer = |asked: &Asked| asked.peer == *from && asked.first == first;
        let Some(answered) = self.asked.iter().position(is_answer) else { return };
        self.asked.remove(answered);
        if let Some(peer) = self.peers.get_mut(from) {
            peer.lowest = lowest.max(first.next());
        }
    }

    /// The lowest block that a peer still has, when this node lacks blocks and everyone who claims to
    /// have the next one has said that it has it no more.
    #[must_use]
    pub fn out_of_reach(&self, tip: &Tip) -> Option<Height> {
        if self.lacking(tip) == 0 {
            return None;
        }
        let next = tip.height.next();
        let claiming = self.peers.values().filter(|peer| peer.claimed >= next);
        let lowest = claiming.map(|peer| peer.lowest).min()?;
        (lowest > next && !self.has(next)).then_some(lowest)
    }

    /// The fetched block of the height after `tip`, to be verified now; none while one is.
    pub fn next_block(&mut self, tip: Height) -> Option<FetchedBlock> {
        while self.queue.front().is_some_and(|(_, b)| b.block.header.height <= tip) {
            self.queue.pop_front();
        }
        self.verifying.take_if(|(_, b)| b.block.header.height <= tip);
        if self.queue.front()?.1.block.header.height != tip.next() {
            self.queue.clear();
            return None;
        }
        if self.verifying.is_some() {
            return None;
        }
        self.verifying = self.queue.front().cloned();
        self.verifying.clone()
    }

    /// There is a verdict on the block of this height that was being verified: that block.
    pub fn verified(&mut self, height: Height) -> Option<FetchedBlock> {
        self.verifying.take_if(|(_, b)| b.block.header.height == height)
    }

    /// A block that a peer sent was verified.
    pub fn made_good(&mut self, peer: &PublicKey) {
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.failures = 0;
        }
    }

    /// Whether a block of this height was fetched and waits for its verdict.
    #[must_use]
    pub fn has(&self, height: Height) -> bool {
        let waiting = self.queue.front().into_iter().chain(&self.verifying);
        waiting.into_iter().any(|(_, block)| block.block.header.height == height)
    }

    fn wanted(&self, tip: Height) -> Height {
        self.queue.back().map_or(tip, |(_, b)| b.block.header.height.max(tip)).next()
    }

    /// Whether a peer is worth a fetch.
    fn is_worth(&self, peer: &Peer, tip: Height, entered: Instant, now: Instant) -> bool {
        peer.has(self.wanted(tip))
            && (!self.queue.is_empty()
                || peer.claimed.0 >= tip.0 + FETCH_AHEAD
                || now.since(entered) >= FETCH_DELAY)
    }

    /// Whether another answer might not fit.
    fn is_full(&self) -> bool {
        let txs = self.queue.iter().flat_map(|(_, block)| &block.block.txs);
        self.queue.len() as u64 + MAX_FETCH_BLOCKS > MAX_FETCHED_BLOCKS
            || txs.map(|tx| tx.bytes().len()).sum::<usize>() > MAX_FETCHED_TX_BYTES
    }

    /// A fetch that ran out of time; its peer is to be reported.
    pub fn expired(&mut self, now: Instant) -> Option<(PublicKey, Height)> {
        let late = self.asked.iter().position(|asked| asked.deadline() <= now)?;
        let asked = self.asked.remove(late);
        if let Some(peer) = self.peers.get_mut(&asked.peer) {
            peer.count = (peer.count / 2).max(1);
        }
        self.failed(&asked.peer, now);
        Some((asked.peer, asked.first))
    }

    /// The fetch to make now: of the peers that claim to have the next block that is lacking, one
    /// that is not slow, has all that can be asked for, and was asked longest ago. By turns, so that
    /// none can hold up this node alone, whatever it claims.
    ///
    /// While an answer is waited for, nobody else is asked; but a node that lacks few blocks, and has
    /// waited for longer than the network's bound, asks another peer for the same beside the first:
    /// it would look dead before the first had run out of time.
    pub fn request(&mut self, tip: &Tip, entered: Instant, now: Instant) -> Option<Request> {
        if self.is_full() {
            return None;
        }
        if !self.asked.is_empty() {
            if self.asks_another_at(tip).is_none_or(|at| now < at) {
                return None;
            }
            for Asked { peer, .. } in &self.asked {
                if let Some(peer) = self.peers.get_mut(peer) {
                    peer.slow = true;
                }
            }
        }
        let first = self.wanted(tip.height);
        let may = |p: &Peer| p.not_before <= now && self.is_worth(p, tip.height, entered, now);
        let candidates: Vec<(&PublicKey, &Peer)> =
            self.not_asked().filter(|(_, peer)| may(peer)).collect();
        if candidates.is_empty() {
            return None;
        }
        let plenty = self.best_claim(tip).min(first.plus(MAX_FETCH_BLOCKS - 1));
        let order = |p: &Peer| (p.slow, p.claimed < plenty, p.asked);
        let key = *candidates.into_iter().min_by_key(|(_, peer)| order(peer))?.0;
        let peer = self.peers.get_mut(&key)?;
        peer.asked = now;
        self.asked.push(Asked { peer: key, first, at: now });
        Some(Request { peer: key, first, count: peer.count })
    }

    /// Peers of which no answer is waited for.
    fn not_asked(&self) -> impl Iterator<Item = (&PublicKey, &Peer)> {
        self.peers.iter().filter(|(key, _)| self.asked.iter().all(|asked| asked.peer != **key))
    }

    /// While an answer is waited for: from when on another peer may be asked too; none if not at all.
    fn asks_another_at(&self, tip: &Tip) -> Option<Instant> {
        let last = self.asked.last()?;
        let is_near = self.queue.is_empty() && self.lacking(tip) <= MAX_FETCH_BLOCKS;
        let bound = Duration::from_millis(tip.parameters.network_bound_ms);
        (is_near && self.asked.len() < MAX_ASKED).then(|| last.at.plus(bound))
    }

    /// When something here is next due.
    #[must_use]
    pub fn next_wakeup(&self, tip: &Tip, entered: Instant) -> Option<Instant> {
        let deadline = self.asked.iter().map(Asked::deadline).min();
        let from = if deadline.is_some() { self.asks_another_at(tip) } else { Some(entered) };
        let from = from.filter(|_| !self.is_full());
        let wanted = self.wanted(tip.height);
        let request = from.and_then(|from| {
            self.not_asked()
                .filter(|(_, p)| p.has(wanted))
                .map(|(_, p)| p.not_before.max(entered.plus(FETCH_DELAY)).max(from))
                .min()
        });
        deadline.into_iter().chain(request).min()
    }
}
