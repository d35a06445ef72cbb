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
            not_before: Instant::default(),
            failures: 0,
            count: MAX_FETCH_BLOCKS,
            slow: false,
            asked: Instant::default(),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    peer: PublicKey,
    first: Height,
    count: u64,
    at: Instant,
}

impl Asked {
    fn deadline(&self) -> Instant {
        self.at.plus(FETCH_TIMEOUT)
    }

    /// The height behind what was asked for.
    fn end(&self) -> Height {
        self.first.plus(self.count)
    }
}

/// Consecutive blocks that one peer sent, not empty.
#[derive(Clone, Debug)]
struct Answer {
    from: PublicKey,
    blocks: Vec<Arc<CertifiedBlock>>,
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
    /// Blocks from the next one on, without a gap.
    queue: VecDeque<FetchedBlock>,
    /// Answers that came before those to what was asked for in front of them, by their first height.
    early: BTreeMap<Height, Answer>,
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
        self.peers.entry(peer).or_default().connected = true;
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
        self.early.retain(|_, answer| answer.from != *peer);
    }

    /// The answer to a fetch. False when it is not an answer to what was asked, or not consecutive
    /// blocks from there on: then nothing of it is kept.
    #[must_use]
    pub fn fetched(
        &mut self,
        tip: Height,
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
            && blocks.len() as u64 <= asked.count
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
        if good {
            let blocks = blocks.into_iter().map(Arc::new).collect();
            self.early.insert(first, Answer { from, blocks });
            self.join(tip);
        }
        good
    }

    /// Puts answers into the queue as far as there is no gap.
    fn join(&mut self, tip: Height) {
        loop {
            let next = self.behind_queue(tip);
            let joins = self.early.first_entry().filter(|entry| *entry.key() <= next);
            let Some(Answer { from, blocks }) = joins.map(|entry| entry.remove()) else { return };
            let lacking = blocks.into_iter().filter(|block| block.block.header.height >= next);
            self.queue.extend(lacking.map(|block| (from, block)));
        }
    }

    /// The first height that is not in the queue.
    fn behind_queue(&self, tip: Height) -> Height {
        self.queue.back().map_or(tip, |(_, b)| b.block.header.height.max(tip)).next()
    }

    /// The fetched block of the height after `tip`, to be verified now; none while one is.
    pub fn next_block(&mut self, tip: Height) -> Option<FetchedBlock> {
        self.join(tip);
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

    /// The first height that is neither here nor asked for.
    fn wanted(&self, tip: Height) -> Height {
        let mut height = self.behind_queue(tip);
        loop {
            let asked = self.asked.iter().filter(|a| (a.first..a.end()).contains(&height));
            let early = self.early.range(..=height).next_back();
            let early = early.map(|(first, answer)| first.plus(answer.blocks.len() as u64));
            let behind = asked.map(Asked::end).chain(early).max();
            match behind {
                Some(behind) if behind > height => height = behind,
                _ => return height,
            }
        }
    }

    /// Whether a peer that claims `claimed` is far enough ahead, or this node has waited for long
    /// enough, for a fetch.
    fn is_worth(&self, claimed: Height, tip: Height, entered: Instant, now: Instant) -> bool {
        claimed > tip
            && (!self.queue.is_empty()
                || claimed.0 >= tip.0 + FETCH_AHEAD
                || now.since(entered) >= FETCH_DELAY)
    }

    /// Whether another answer might not fit.
    fn is_full(&self) -> bool {
        let early = self.early.values().flat_map(|answer| &answer.blocks);
        let blocks = self.queue.iter().map(|(_, block)| block).chain(early);
        let asked = self.asked.iter().map(|asked| asked.count).sum::<u64>();
        let txs = blocks.clone().flat_map(|block| &block.block.txs);
        blocks.count() as u64 + asked + MAX_FETCH_BLOCKS > MAX_FETCHED_BLOCKS
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

    /// The fetch to make now: of the first blocks that are neither here nor asked for. Of the peers that
    /// claim to have them, one that is not slow, has all that can be asked for, and was asked longest
    /// ago. By turns, so that none can hold up this node alone, whatever it claims; from up to
    /// [`MAX_ASKED`] peers at once.
    ///
    /// When the answer that all others wait for does not come in time, another peer is asked for the
    /// same beside the first: see [`CatchUp::asks_another_at`].
    pub fn request(&mut self, tip: &Tip, entered: Instant, now: Instant) -> Option<Request> {
        if self.asked.len() >= MAX_ASKED {
            return None;
        }
        let head = self.behind_queue(tip.height);
        if self.asks_another_at(tip).is_some_and(|at| at <= now) {
            for Asked { peer, .. } in self.asked.iter().filter(|asked| asked.first <= head) {
                if let Some(peer) = self.peers.get_mut(peer) {
                    peer.slow = true;
                }
            }
            if let Some(request) = self.ask(head, tip, entered, now) {
                return Some(request);
            }
        }
        let first = self.next_first(tip)?;
        self.ask(first, tip, entered, now)
    }

    /// The first height that is neither here nor asked for; none when that is enough for now, or it is
    /// not the next one and not believed to be there.
    fn next_first(&self, tip: &Tip) -> Option<Height> {
        let (first, head) = (self.wanted(tip.height), self.behind_queue(tip.height));
        let is_believed = || first <= self.best_claim(tip);
        (!self.is_full() && (first == head || is_believed())).then_some(first)
    }

    fn ask(&mut self, first: Height, tip: &Tip, entered: Instant, now: Instant) -> Option<Request> {
        let may = |p: &Peer| {
            let is_worth = self.is_worth(p.claimed, tip.height, entered, now);
            p.not_before <= now && p.claimed >= first && is_worth
        };
        let candidates: Vec<(&PublicKey, &Peer)> =
            self.not_asked().filter(|(_, peer)| may(peer)).collect();
        let plenty = self.best_claim(tip).min(first.plus(MAX_FETCH_BLOCKS - 1));
        let order = |p: &Peer| (p.slow, p.claimed < plenty, p.asked);
        let key = *candidates.into_iter().min_by_key(|(_, peer)| order(peer))?.0;
        let peer = self.peers.get_mut(&key)?;
        peer.asked = now;
        let count = peer.count;
        self.asked.push(Asked { peer: key, first, count, at: now });
        Some(Request { peer: key, first, count })
    }

    /// Peers of which no answer is waited for.
    fn not_asked(&self) -> impl Iterator<Item = (&PublicKey, &Peer)> {
        self.peers.iter().filter(|(key, _)| self.asked.iter().all(|asked| asked.peer != **key))
    }

    /// While blocks are asked for that all others wait for: from when on another peer may be asked for
    /// them beside those that were.
    ///
    /// Near the tip after the network's bound: a node would look dead before the first had run out of
    /// time. Else when an answer is slow: what comes behind it waits.
    fn asks_another_at(&self, tip: &Tip) -> Option<Instant> {
        let head = self.behind_queue(tip.height);
        let asked = self.asked.iter().filter(|asked| (asked.first..asked.end()).contains(&head));
        let last = asked.map(|asked| asked.at).max().filter(|_| self.queue.is_empty())?;
        let is_near = self.early.is_empty() && self.lacking(tip) <= MAX_FETCH_BLOCKS;
        let bound = Duration::from_millis(tip.parameters.network_bound_ms);
        let patience = if is_near { bound } else { FETCH_SLOW };
        (self.asked.len() < MAX_ASKED).then(|| last.plus(patience))
    }

    /// When something here is next due.
    #[must_use]
    pub fn next_wakeup(&self, tip: &Tip, entered: Instant) -> Option<Instant> {
        let deadline = self.asked.iter().map(Asked::deadline).min();
        if self.asked.len() >= MAX_ASKED {
            return deadline;
        }
        let able = |first: Height, from: Instant| {
            let able = self.not_asked().filter(move |(_, peer)| peer.claimed >= first);
            able.map(|(_, peer)| peer.not_before.max(entered.plus(FETCH_DELAY)).max(from)).min()
        };
        let another = self.asks_another_at(tip);
        let another = another.and_then(|at| able(self.behind_queue(tip.height), at));
        let more = self.next_first(tip).and_then(|first| able(first, entered));
        deadline.into_iter().chain(another).chain(more).min()
    }
}
