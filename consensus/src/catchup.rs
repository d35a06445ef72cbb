//! Catch-up of a replica that is behind: whom to ask for blocks, and the blocks that came.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tandem_chain::block::CertifiedBlock;
use tandem_chain::keys::PublicKey;
use tandem_chain::types::Height;

use crate::limits::{
    FETCH_AHEAD, FETCH_DELAY, FETCH_PENALTY, FETCH_TIMEOUT, MAX_FETCH_BLOCKS, MAX_FETCHED_BLOCKS,
};
use crate::time::Instant;

/// A connected peer. What height it has is a claim: asked for, and forgotten if not made good.
#[derive(Clone, Copy, Debug, Default)]
struct Peer {
    claimed: Height,
    not_before: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    peer: PublicKey,
    first: Height,
    deadline: Instant,
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
    asked: Option<Asked>,
    queue: VecDeque<FetchedBlock>,
    /// The block whose signatures are being checked. It stays until the verdict on it has come, or
    /// its height is past: so a verdict is never taken for that on another block of its height.
    verifying: Option<FetchedBlock>,
}

impl CatchUp {
    /// A peer is connected.
    pub fn connected(&mut self, peer: PublicKey) {
        self.peers.insert(peer, Peer::default());
    }

    /// A peer is gone, and so is what was asked of it.
    pub fn disconnected(&mut self, peer: &PublicKey) {
        self.peers.remove(peer);
        if self.asked.is_some_and(|asked| asked.peer == *peer) {
            self.asked = None;
        }
    }

    /// The connected peers.
    pub fn peers(&self) -> impl Iterator<Item = &PublicKey> {
        self.peers.keys()
    }

    /// A peer claims to have committed a height.
    pub fn claim(&mut self, peer: &PublicKey, height: Height) {
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.claimed = peer.claimed.max(height);
        }
    }

    /// The highest height that more than a third of the connected peers claim at least, so that no
    /// few liars can make a node look behind.
    #[must_use]
    pub fn best_claim(&self) -> Height {
        let mut claims: Vec<Height> = self.peers.values().map(|peer| peer.claimed).collect();
        claims.sort_by(|a, b| b.cmp(a));
        claims.get(claims.len() / 3).copied().unwrap_or_default()
    }

    /// What a peer sent is wrong, or it sent nothing: its claim is forgotten, it is not asked for a
    /// while, and everything that it sent and that still waits is dropped.
    pub fn failed(&mut self, peer: &PublicKey, now: Instant) {
        if let Some(peer) = self.peers.get_mut(peer) {
            *peer = Peer { claimed: Height::ZERO, not_before: now.plus(FETCH_PENALTY) };
        }
        if let Some(first) = self.queue.iter().position(|(from, _)| from == peer) {
            self.queue.truncate(first);
        }
    }

    /// The answer to a fetch. False when it is not an answer to what was asked, or not consecutive
    /// blocks from there on: then nothing of it is kept.
    #[must_use]
    pub fn fetched(&mut self, from: PublicKey, first: Height, blocks: Vec<CertifiedBlock>) -> bool {
        match self.asked {
            Some(asked) if asked.peer == from && asked.first == first => self.asked = None,
            // An answer after its deadline: the peer has had its penalty.
            _ => return true,
        }
        let heights = (first.0..).map(Height);
        let good = !blocks.is_empty()
            && blocks.len() as u64 <= MAX_FETCH_BLOCKS
            && blocks.iter().zip(heights).all(|(b, height)| b.block.header.height == height);
        if good && self.queue.back().is_none_or(|(_, b)| b.block.header.height.next() == first) {
            self.queue.extend(blocks.into_iter().map(|block| (from, Arc::new(block))));
        }
        good
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

    fn wanted(&self, tip: Height) -> Height {
        self.queue.back().map_or(tip, |(_, b)| b.block.header.height.max(tip)).next()
    }

    /// Whether a peer that claims `claimed` is worth a fetch.
    fn is_worth(&self, claimed: Height, tip: Height, entered: Instant, now: Instant) -> bool {
        let wanted = self.wanted(tip);
        claimed >= wanted
            && (!self.queue.is_empty()
                || claimed.0 >= tip.0 + FETCH_AHEAD
                || now.since(entered) >= FETCH_DELAY)
    }

    /// Whether another answer might not fit.
    fn is_full(&self) -> bool {
        self.queue.len() as u64 + MAX_FETCH_BLOCKS > MAX_FETCHED_BLOCKS
    }

    /// A fetch that ran out of time; its peer is to be reported.
    pub fn expired(&mut self, now: Instant) -> Option<(PublicKey, Height)> {
        let asked = self.asked.filter(|asked| asked.deadline <= now)?;
        self.asked = None;
        self.failed(&asked.peer, now);
        Some((asked.peer, asked.first))
    }

    /// The fetch to make now: of a peer that claims to have the next block that is lacking, the one
    /// with the highest claim.
    pub fn request(&mut self, tip: Height, entered: Instant, now: Instant) -> Option<Request> {
        if self.asked.is_some() || self.is_full() {
            return None;
        }
        let first = self.wanted(tip);
        let (peer, _) = self
            .peers
            .iter()
            .filter(|(_, p)| p.not_before <= now && self.is_worth(p.claimed, tip, entered, now))
            .max_by_key(|(_, p)| p.claimed)?;
        let peer = *peer;
        self.asked = Some(Asked { peer, first, deadline: now.plus(FETCH_TIMEOUT) });
        Some(Request { peer, first, count: MAX_FETCH_BLOCKS })
    }

    /// When something here is next due.
    #[must_use]
    pub fn next_wakeup(&self, tip: Height, entered: Instant) -> Option<Instant> {
        if let Some(asked) = self.asked {
            return Some(asked.deadline);
        }
        if self.is_full() {
            return None;
        }
        let wanted = self.wanted(tip);
        self.peers
            .values()
            .filter(|p| p.claimed >= wanted)
            .map(|p| p.not_before.max(entered.plus(FETCH_DELAY)))
            .min()
    }
}
