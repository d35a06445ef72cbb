//! Catch-up of a replica that is behind: whom to ask for blocks, and the blocks that came.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tandem_chain::block::CertifiedBlock;
use tandem_chain::keys::PublicKey;
use tandem_chain::tip::Tip;
use tandem_chain::types::{Height, OrgName, Power};

use crate::limits::{
    FETCH_AHEAD, FETCH_DELAY, FETCH_PENALTY, FETCH_PENALTY_MAX, FETCH_REST, FETCH_SLOW,
    FETCH_TIMEOUT, MAX_ASKED, MAX_FETCH_BLOCKS, MAX_FETCH_PEERS, MAX_FETCHED_BLOCKS,
    MAX_FETCHED_TX_BYTES,
};
use crate::time::Instant;

/// A peer. What height it has is a claim: asked for, and forgotten if not made good. It is remembered
/// when it has gone, so that a new connection does not wipe out its failures.
#[derive(Clone, Copy, Debug)]
struct Peer {
    connected: bool,
    claimed: Height,
    /// The lowest block that it has, where it has said that it does not have lower ones.
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

impl Peer {
    /// Whether its last answer came soon, and nothing that it sent since a good block was refused.
    fn is_quick(&self) -> bool {
        !self.slow && self.failures == 0
    }
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
    /// Whether it has the block of a height, by what it says.
    fn has(&self, height: Height) -> bool {
        (self.lowest..=self.claimed).contains(&height)
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

    /// The heights asked for.
    fn heights(&self) -> Range<Height> {
        self.first..self.first.plus(self.count)
    }
}

/// A fetched block that waits for its turn.
#[derive(Clone, Debug)]
struct Waiting {
    from: PublicKey,
    block: Arc<CertifiedBlock>,
    /// Bytes of its transactions.
    tx_bytes: usize,
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
    /// Fetched blocks, of each height the first that came: answers come in any order.
    blocks: BTreeMap<Height, Waiting>,
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
            (peer.connected, peer.claimed, peer.lowest) = (false, Height::ZERO, Height::ZERO);
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
        self.blocks.retain(|_, block| block.from != *peer);
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
        if !good {
            return false;
        }
        // What others were asked for beside it is not waited for any more.
        self.asked.retain(|asked| !asked.heights().contains(&first));
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.slow = now.since(asked.at) > FETCH_SLOW;
            peer.count =
                if peer.slow { peer.count } else { (peer.count * 2).min(MAX_FETCH_BLOCKS) };
        }
        // More than was asked for may be the answer to an earlier question, for which another's came.
        for block in blocks.into_iter().zip(0..asked.count).map(|(block, _)| block) {
            let tx_bytes = block.block.txs.iter().map(|tx| tx.bytes().len()).sum();
            let height = block.block.header.height;
            let waiting = Waiting { from, block: Arc::new(block), tx_bytes };
            self.blocks.entry(height).or_insert(waiting);
        }
        true
    }

    /// The answer to a fetch is that the peer has no block below `lowest`: it is asked for none of them
    /// again while it is connected. Its claim stands: it may well have later ones.
    pub fn lacks(&mut self, from: &PublicKey, first: Height, lowest: Height) {
        let count = self.asked.len();
        self.asked.retain(|asked| asked.peer != *from || asked.first != first);
        // Else it came after its deadline.
        if self.asked.len() < count
            && let Some(peer) = self.peers.get_mut(from)
        {
            peer.lowest = lowest;
        }
    }

    /// The fetched block of the height after `tip`, to be verified now; none while one is.
    pub fn next_block(&mut self, tip: Height) -> Option<FetchedBlock> {
        while self.blocks.first_key_value().is_some_and(|(height, _)| *height <= tip) {
            self.blocks.pop_first();
        }
        self.verifying.take_if(|(_, b)| b.block.header.height <= tip);
        let Waiting { from, block, .. } = self.blocks.get(&tip.next())?;
        if self.verifying.is_some() {
            return None;
        }
        self.verifying = Some((*from, Arc::clone(block)));
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
        let verifying = self.verifying.as_ref();
        self.blocks.contains_key(&height)
            || verifying.is_some_and(|(_, block)| block.block.header.height == height)
    }

    /// The first height above `tip` whose block is not here.
    fn head(&self, tip: Height) -> Height {
        let mut head = tip.next();
        for height in self.blocks.range(head..).map(|(height, _)| *height) {
            if height != head {
                break;
            }
            head = head.next();
        }
        head
    }

    /// The first height from `head` on that is neither here nor asked for.
    fn wanted(&self, head: Height) -> Height {
        let mut height = head;
        loop {
            let asked = self.asked.iter().map(Asked::heights).find(|asked| asked.contains(&height));
            height = match asked {
                Some(asked) => asked.end,
                None if self.blocks.contains_key(&height) => height.next(),
                None => return height,
            }
        }
    }

    /// How many blocks from `first` on lack before the next one that is here or asked for.
    fn gap(&self, first: Height) -> u64 {
        let here = self.blocks.range(first..).map(|(height, _)| *height).next();
        let asked = self.asked.iter().map(|asked| asked.first).filter(|asked| *asked > first);
        let end = here.into_iter().chain(asked).min();
        end.map_or(u64::MAX, |end| end.0 - first.0)
    }

    /// Whether another answer might not fit.
    fn is_full(&self) -> bool {
        let asked: u64 = self.asked.iter().map(|asked| asked.count).sum();
        let tx_bytes: usize = self.blocks.values().map(|block| block.tx_bytes).sum();
        self.blocks.len() as u64 + asked + MAX_FETCH_BLOCKS > MAX_FETCHED_BLOCKS
            || tx_bytes > MAX_FETCHED_TX_BYTES
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
    /// claim to have them, one that is quick, has all that can be asked for, and was asked longest ago.
    /// By turns, so that none can hold up this node alone, whatever it claims; from up to
    /// [`MAX_ASKED`] peers at once.
    ///
    /// When the answer that all others wait for does not come in time, another peer is asked for the
    /// same beside the first: see [`CatchUp::asks_another_at`].
    pub fn request(&mut self, tip: &Tip, entered: Instant, now: Instant) -> Option<Request> {
        let head = self.head(tip.height);
        if self.asks_another_at(tip, head).is_some_and(|at| at <= now) {
            for asked in self.asked.iter().filter(|asked| asked.heights().contains(&head)) {
                if let Some(peer) = self.peers.get_mut(&asked.peer) {
                    peer.slow = true;
                }
            }
            if let Some(request) = self.ask(head, tip, entered, now) {
                return Some(request);
            }
        }
        let first = self.next_first(tip, head)?;
        self.ask(first, tip, entered, now)
    }

    /// The first height that is neither here nor asked for; none when that is enough for now, or it is
    /// not the first that lacks and not believed to be there. The block after the tip is asked for
    /// whatever else is: all that waits would wait for ever.
    fn next_first(&self, tip: &Tip, head: Height) -> Option<Height> {
        let first = self.wanted(head);
        let may = if first == tip.height.next() {
            self.asked.len() <= MAX_ASKED
        } else {
            self.asked.len() < MAX_ASKED
                && !self.is_full()
                && (first == head || first <= self.best_claim(tip))
        };
        may.then_some(first)
    }

    fn ask(&mut self, first: Height, tip: &Tip, entered: Instant, now: Instant) -> Option<Request> {
        let able = self.able(first, tip, entered).filter(|(.., from)| *from <= now);
        let able: Vec<(PublicKey, Peer)> = able.map(|(key, peer, _)| (key, *peer)).collect();
        if able.is_empty() {
            return None;
        }
        let plenty = self.best_claim(tip).min(first.plus(MAX_FETCH_BLOCKS - 1));
        let order = |p: &Peer| (!p.is_quick(), p.claimed < plenty, p.asked);
        let (key, _) = able.into_iter().min_by_key(|(_, peer)| order(peer))?;
        let gap = self.gap(first);
        let peer = self.peers.get_mut(&key)?;
        peer.asked = now;
        let count = peer.count.min(gap);
        self.asked.push(Asked { peer: key, first, count, at: now });
        Some(Request { peer: key, first, count })
    }

    /// The peers that claim to have the block at `first` and of which no answer is waited for, each with
    /// the time from which on it may be asked: at once when this node lacks many blocks, else when it
    /// has waited for them a while.
    ///
    /// Far behind, who is not quick is left alone for [`FETCH_REST`] while anyone who is has the blocks,
    /// be that one busy: it would hold up all that comes behind its own. It is asked all the same for
    /// what this node needs next, when nobody is asked for that.
    fn able(
        &self,
        first: Height,
        tip: &Tip,
        entered: Instant,
    ) -> impl Iterator<Item = (PublicKey, &Peer, Instant)> {
        let is_asked_for = || self.asked.iter().any(|asked| asked.heights().contains(&first));
        let has_quick = || self.peers.values().any(|peer| peer.has(first) && peer.is_quick());
        let can_do_without = if first == tip.height.next() { is_asked_for() } else { has_quick() };
        let leaves_slow = can_do_without && !self.is_near(tip);
        let is_free = |key: &PublicKey| self.asked.iter().all(|asked| asked.peer != *key);
        let free = self.peers.iter().filter(move |(key, peer)| peer.has(first) && is_free(key));
        free.map(move |(key, peer)| {
            let is_far = peer.claimed.0 >= tip.height.0 + FETCH_AHEAD || !self.blocks.is_empty();
            let waited = if is_far { Instant::default() } else { entered.plus(FETCH_DELAY) };
            let is_left = leaves_slow && !peer.is_quick();
            let left = if is_left { peer.asked.plus(FETCH_REST) } else { Instant::default() };
            (*key, peer, peer.not_before.max(waited).max(left))
        })
    }

    /// Whether one answer may hold all that this node lacks.
    fn is_near(&self, tip: &Tip) -> bool {
        self.lacking(tip) <= MAX_FETCH_BLOCKS
    }

    /// While `head` is asked for and there is nothing to execute before it comes: from when on another
    /// peer may be asked for it beside those that were.
    ///
    /// Near the tip after the network's bound: a node would look dead before the first had run out of
    /// time. Else when an answer is slow, and in one place more: all others may be taken by peers that
    /// do not answer.
    fn asks_another_at(&self, tip: &Tip, head: Height) -> Option<Instant> {
        let asked = self.asked.iter().filter(|asked| asked.heights().contains(&head));
        let last = asked.map(|asked| asked.at).max().filter(|_| head == tip.height.next())?;
        let bound = Duration::from_millis(tip.parameters.network_bound_ms);
        let (most, patience) =
            if self.is_near(tip) { (MAX_ASKED, bound) } else { (MAX_ASKED + 1, FETCH_SLOW) };
        (self.asked.len() < most).then(|| last.plus(patience))
    }

    /// When something here is next due.
    #[must_use]
    pub fn next_wakeup(&self, tip: &Tip, entered: Instant) -> Option<Instant> {
        let deadline = self.asked.iter().map(Asked::deadline).min();
        let able_at = |first| self.able(first, tip, entered).map(|(.., from)| from).min();
        let head = self.head(tip.height);
        let another = self.asks_another_at(tip, head);
        let another = another.and_then(|at| able_at(head).map(|able| able.max(at)));
        let more = self.next_first(tip, head).and_then(able_at);
        deadline.into_iter().chain(another).chain(more).min()
    }
}
