//! The bounded queue in front of the worker threads.
//!
//! Clients and peers each have a part of it that the others cannot fill. Workers take from the two in
//! turns, and among peers from each in turns: who floods waits behind itself. Where the peers' part
//! is full, a peer with less than an even share of it takes the place of the one with the most.

use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard};

use tandem_chain::Error as ChainError;
use tandem_chain::keys::PublicKey;
use tandem_chain::limits::{MAX_BLOCK_TX_BYTES, MAX_BLOCK_TXS, MAX_TX_BYTES};
use tandem_chain::types::TxHash;
use tokio::sync::oneshot;

use super::AdmissionError;

/// Transactions that wait for their checks.
pub const MAX_QUEUED: usize = 20_000;
/// Bytes of them.
pub const MAX_QUEUED_BYTES: usize = 64 * 1024 * 1024;
/// Of those, what only clients, and what only peers can fill: a quarter each.
const RESERVE: usize = MAX_QUEUED / 4;
const RESERVE_BYTES: usize = MAX_QUEUED_BYTES / 4;
/// Of one peer.
pub const MAX_QUEUED_PER_PEER: usize = 5_000;
/// Bytes of one peer.
const MAX_QUEUED_BYTES_PER_PEER: usize = 8 * 1024 * 1024;

// What is kept for peers holds a block's worth, and so does the share of one.
const _: () = assert!(MAX_QUEUED_PER_PEER >= MAX_BLOCK_TXS);
const _: () = assert!(MAX_QUEUED_PER_PEER <= RESERVE);
const _: () = assert!(MAX_QUEUED_BYTES_PER_PEER >= MAX_BLOCK_TX_BYTES);
const _: () = assert!(MAX_QUEUED_BYTES_PER_PEER <= RESERVE_BYTES);
const _: () = assert!(2 * RESERVE < MAX_QUEUED && 2 * RESERVE_BYTES < MAX_QUEUED_BYTES);
// An even share of a hundred peers holds the longest transaction.
const _: () = assert!(100 * MAX_TX_BYTES <= MAX_QUEUED_BYTES - RESERVE_BYTES);

/// Where the answer to a client goes.
pub type Reply = oneshot::Sender<Result<TxHash, AdmissionError>>;

/// A transaction to be checked and taken in.
pub struct Job {
    pub bytes: Vec<u8>,
    /// The peer that brought it; none for a client's.
    pub from: Option<PublicKey>,
    pub reply: Option<Reply>,
}

#[derive(Default)]
pub struct Queue {
    state: Mutex<State>,
    filled: Condvar,
}

#[derive(Default)]
struct State {
    clients: Line,
    peers: HashMap<PublicKey, Line>,
    /// Those of `peers`, each once; the first is served next.
    turns: VecDeque<PublicKey>,
    /// Whether a peer is served next, if one waits.
    peers_turn: bool,
    /// What waits of all peers together.
    of_peers: Load,
    closed: bool,
}

/// What waits of one.
#[derive(Default)]
struct Line {
    jobs: VecDeque<Job>,
    bytes: usize,
}

#[derive(Clone, Copy, Default)]
struct Load {
    count: usize,
    bytes: usize,
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of the lock panics")
    }

    /// Adds a client's transaction, or says which bound is reached. In a closed queue it is dropped,
    /// and its reply with it.
    pub fn push(&self, bytes: Vec<u8>, reply: Option<Reply>) -> Result<(), ChainError> {
        let full = |what, max| Err(ChainError::MempoolFull { what, max });
        let mut state = self.state();
        if state.closed {
            return Ok(());
        }
        let (count, size) = (state.clients.jobs.len() + 1, state.clients.bytes + bytes.len());
        if count > MAX_QUEUED - RESERVE.max(state.of_peers.count) {
            return full("transactions in the queue for checks", MAX_QUEUED);
        }
        if size > MAX_QUEUED_BYTES - RESERVE_BYTES.max(state.of_peers.bytes) {
            return full("bytes in the queue for checks", MAX_QUEUED_BYTES);
        }
        state.clients.push(Job { bytes, from: None, reply });
        drop(state);
        self.filled.notify_one();
        Ok(())
    }

    /// Adds transactions of a peer, as far as they fit. Returns how many were dropped: of these, or of
    /// another peer's in their stead.
    pub fn push_many(&self, from: PublicKey, txs: Vec<Vec<u8>>) -> usize {
        let mut state = self.state();
        if state.closed {
            return 0;
        }
        let dropped = txs.into_iter().map(|bytes| state.push_of_peer(from, bytes)).sum();
        drop(state);
        self.filled.notify_all();
        dropped
    }

    /// Waits for work; none when the queue is closed. Gives at most `max` transactions, and leaves
    /// some for the other workers.
    pub fn pop(&self, max: usize, workers: usize) -> Option<Vec<Job>> {
        let mut state = self.state();
        loop {
            if state.closed {
                return None;
            }
            let waiting = state.clients.jobs.len() + state.of_peers.count;
            if waiting > 0 {
                let count = waiting.div_ceil(workers).min(max);
                return Some((0..count).map_while(|_| state.pop()).collect());
            }
            state = self.filled.wait(state).expect("no holder of the lock panics");
        }
    }

    /// Ends the workers; what waits is dropped.
    pub fn close(&self) {
        let mut state = self.state();
        *state = State { closed: true, ..State::default() };
        self.filled.notify_all();
    }
}

impl State {
    /// Adds a transaction of a peer and returns how many were dropped for want of room.
    fn push_of_peer(&mut self, from: PublicKey, bytes: Vec<u8>) -> usize {
        let size = bytes.len();
        let own = self.peers.get(&from);
        let (own_count, own_bytes) = own.map_or((0, 0), |line| (line.jobs.len(), line.bytes));
        if own_count >= MAX_QUEUED_PER_PEER || own_bytes + size > MAX_QUEUED_BYTES_PER_PEER {
            return 1;
        }
        let room = Load {
            count: MAX_QUEUED - RESERVE.max(self.clients.jobs.len()),
            bytes: MAX_QUEUED_BYTES - RESERVE_BYTES.max(self.clients.bytes),
        };
        let many = self.of_peers.count + 1 > room.count;
        let large = self.of_peers.bytes + size > room.bytes;
        let peers = self.peers.len() + usize::from(own.is_none());
        if many && own_count + 1 > room.count / peers
            || large && own_bytes + size > room.bytes / peers
        {
            return 1;
        }
        // The others have more than an even share each on the average, so that one of them has more
        // than this peer.
        let mut dropped = 0;
        while self.of_peers.count + 1 > room.count {
            dropped += self.drop_of_most(|line| line.jobs.len());
        }
        while self.of_peers.bytes + size > room.bytes {
            dropped += self.drop_of_most(|line| line.bytes);
        }
        let line = self.peers.entry(from).or_default();
        if line.jobs.is_empty() {
            self.turns.push_back(from);
        }
        line.push(Job { bytes, from: Some(from), reply: None });
        self.of_peers.count += 1;
        self.of_peers.bytes += size;
        dropped
    }

    /// Drops the last transaction of the peer that has the most.
    fn drop_of_most(&mut self, load: impl Fn(&Line) -> usize) -> usize {
        let most = self.peers.iter().max_by_key(|(_, line)| load(line)).map(|(peer, _)| *peer);
        let peer = most.expect("the peers' part is full");
        let job = self.take(peer, VecDeque::pop_back);
        if !self.peers.contains_key(&peer) {
            self.turns.retain(|turn| *turn != peer);
        }
        usize::from(job.is_some())
    }

    /// Takes out what is next.
    fn pop(&mut self) -> Option<Job> {
        let peers_turn = self.peers_turn || self.clients.jobs.is_empty();
        if peers_turn && let Some(peer) = self.turns.pop_front() {
            self.peers_turn = false;
            let job = self.take(peer, VecDeque::pop_front);
            if self.peers.contains_key(&peer) {
                self.turns.push_back(peer);
            }
            return job;
        }
        self.peers_turn = true;
        self.clients.take(VecDeque::pop_front)
    }

    /// Takes out one of a peer's; a peer of which nothing waits is forgotten.
    fn take(
        &mut self,
        peer: PublicKey,
        end: impl Fn(&mut VecDeque<Job>) -> Option<Job>,
    ) -> Option<Job> {
        let line = self.peers.get_mut(&peer)?;
        let job = line.take(end)?;
        if line.jobs.is_empty() {
            self.peers.remove(&peer);
        }
        self.of_peers.count -= 1;
        self.of_peers.bytes -= job.bytes.len();
        Some(job)
    }
}

impl Line {
    fn push(&mut self, job: Job) {
        self.bytes += job.bytes.len();
        self.jobs.push_back(job);
    }

    fn take(&mut self, end: impl Fn(&mut VecDeque<Job>) -> Option<Job>) -> Option<Job> {
        let job = end(&mut self.jobs)?;
        self.bytes -= job.bytes.len();
        Some(job)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tandem_chain::keys::SecretKey;

    use super::*;

    /// What clients and peers together cannot go beyond, each.
    const PART: usize = MAX_QUEUED - RESERVE;

    fn peers<const N: usize>() -> [PublicKey; N] {
        std::array::from_fn(|i| SecretKey::from_seed(&[u8::try_from(i).unwrap() + 1; 32]).public())
    }

    fn txs(count: usize, size: usize) -> Vec<Vec<u8>> {
        vec![vec![0; size]; count]
    }

    fn full(result: Result<(), ChainError>) -> &'static str {
        match result {
            Err(ChainError::MempoolFull { what, .. }) => what,
            other => panic!("{other:?}"),
        }
    }

    fn count(queue: &Queue, peer: PublicKey) -> usize {
        queue.state().peers.get(&peer).map_or(0, |line| line.jobs.len())
    }

    /// The sums are those of what waits, and every peer of which something waits has its one turn.
    fn check(queue: &Queue) {
        let state = queue.state();
        let lines = || state.peers.values().chain([&state.clients]);
        for line in lines() {
            assert_eq!(line.bytes, line.jobs.iter().map(|job| job.bytes.len()).sum::<usize>());
        }
        assert_eq!(state.of_peers.count, state.peers.values().map(|l| l.jobs.len()).sum::<usize>());
        assert_eq!(state.of_peers.bytes, state.peers.values().map(|l| l.bytes).sum::<usize>());
        let (mut turns, mut peers): (Vec<_>, Vec<_>) =
            (state.turns.iter().collect(), state.peers.keys().collect());
        turns.sort();
        peers.sort();
        assert_eq!(turns, peers);
        assert!(state.peers.values().all(|line| !line.jobs.is_empty()));
        assert!(lines().map(|line| line.jobs.len()).sum::<usize>() <= MAX_QUEUED);
        assert!(lines().map(|line| line.bytes).sum::<usize>() <= MAX_QUEUED_BYTES);
    }

    #[test]
    fn a_flooding_peer_fills_its_share_and_no_more() {
        let [one, two] = peers();
        let queue = Queue::default();
        assert_eq!(queue.push_many(one, txs(MAX_QUEUED_PER_PEER + 3, 1)), 3);
        assert_eq!(queue.push_many(two, txs(1, MAX_QUEUED_BYTES_PER_PEER)), 0);
        assert_eq!(queue.push_many(two, txs(1, 1)), 1);
        queue.push(vec![0], None).unwrap();
        check(&queue);
    }

    #[test]
    fn peers_that_flood_leave_room_for_clients_and_clients_for_peers() {
        let [one, two, three, four, honest] = peers();
        let queue = Queue::default();
        for peer in [one, two, three, four] {
            queue.push_many(peer, txs(MAX_QUEUED_PER_PEER, 1));
        }
        check(&queue);
        for _ in 0..RESERVE {
            queue.push(vec![0], None).unwrap();
        }
        assert_eq!(full(queue.push(vec![0], None)), "transactions in the queue for checks");
        check(&queue);

        let queue = Queue::default();
        for _ in 0..PART {
            queue.push(vec![0], None).unwrap();
        }
        assert_eq!(full(queue.push(vec![0], None)), "transactions in the queue for checks");
        assert_eq!(queue.push_many(honest, txs(MAX_QUEUED_PER_PEER, 1)), 0);
        check(&queue);

        let queue = Queue::default();
        queue.push(vec![0; MAX_QUEUED_BYTES - RESERVE_BYTES], None).unwrap();
        assert_eq!(full(queue.push(vec![0], None)), "bytes in the queue for checks");
        assert_eq!(queue.push_many(honest, txs(1, MAX_QUEUED_BYTES_PER_PEER)), 0);
        check(&queue);
    }

    #[test]
    fn a_peer_with_little_takes_the_place_of_those_that_flood() {
        let [one, two, three, four, honest] = peers();
        let queue = Queue::default();
        for peer in [one, two, three, four] {
            queue.push_many(peer, txs(MAX_QUEUED_PER_PEER, 1));
        }
        // Each comes to an even share, and no further.
        let share = PART / 5;
        assert_eq!(queue.push_many(honest, txs(share, 1)), share, "others were dropped for them");
        assert_eq!(count(&queue, honest), share);
        assert_eq!(queue.push_many(honest, txs(1, 1)), 1);
        assert_eq!(count(&queue, honest), share);
        check(&queue);

        // The same by bytes: a few long transactions.
        let queue = Queue::default();
        let long = MAX_QUEUED_BYTES_PER_PEER / 32;
        let many: [PublicKey; 8] = peers();
        for peer in &many[..7] {
            queue.push_many(*peer, txs(32, long));
        }
        let share = (MAX_QUEUED_BYTES - RESERVE_BYTES) / 8 / long;
        assert_eq!(queue.push_many(many[7], txs(share, long)), share);
        assert_eq!(count(&queue, many[7]), share);
        assert_eq!(queue.push_many(many[7], txs(1, long)), 1);
        check(&queue);
    }

    #[test]
    fn clients_and_peers_are_served_in_turns_and_each_in_its_order() {
        let [one, two] = peers();
        let queue = Queue::default();
        queue.push_many(one, (0..4).map(|i| vec![1, i]).collect());
        queue.push_many(two, (0..2).map(|i| vec![2, i]).collect());
        for i in 0..3 {
            queue.push(vec![0, i], None).unwrap();
        }
        let mut taken = Vec::new();
        while taken.len() < 9 {
            taken.extend(queue.pop(2, 1).unwrap().into_iter().map(|job| job.bytes));
            check(&queue);
        }
        let expected = [[0, 0], [1, 0], [0, 1], [2, 0], [0, 2], [1, 1], [2, 1], [1, 2], [1, 3]];
        assert_eq!(taken, expected);
    }

    #[test]
    fn what_is_taken_out_makes_room() {
        let queue = Queue::default();
        for _ in 0..PART {
            queue.push(vec![0], None).unwrap();
        }
        assert_eq!(full(queue.push(vec![0], None)), "transactions in the queue for checks");
        assert_eq!(queue.pop(64, 2).map(|jobs| jobs.len()), Some(64));
        queue.push(vec![0], None).unwrap();
        check(&queue);
    }

    /// Many small steps, each of which must leave the queue in order.
    #[test]
    fn no_mix_of_peers_clients_and_workers_breaks_the_bounds() {
        let all: [PublicKey; 12] = peers();
        let queue = Queue::default();
        let mut served = BTreeMap::<Option<PublicKey>, usize>::new();
        for step in 0..120_usize {
            let peer = all[(step * 7 + step / 5) % 12];
            let (count, size) = if step % 3 == 0 { (30, 200_000) } else { (400 + step, 500) };
            queue.push_many(peer, txs(count, size));
            let _ = queue.push(vec![0; size], None);
            if step % 5 == 0 {
                for job in queue.pop(64, 1).unwrap() {
                    *served.entry(job.from).or_default() += 1;
                }
            }
            check(&queue);
        }
        assert!(served[&None] > 0 && served.len() > 1);
    }

    #[test]
    fn a_closed_queue_drops_replies() {
        let queue = Queue::default();
        let (reply, mut answer) = oneshot::channel();
        queue.push(Vec::new(), Some(reply)).unwrap();
        queue.close();
        assert!(answer.try_recv().is_err());
        assert!(queue.pop(1, 1).is_none());
        let (reply, mut answer) = oneshot::channel();
        queue.push(Vec::new(), Some(reply)).unwrap();
        assert!(answer.try_recv().is_err());
        assert_eq!(queue.push_many(peers::<1>()[0], txs(1, 1)), 0);
    }
}
