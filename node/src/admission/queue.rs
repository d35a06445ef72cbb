//! The bounded queue in front of the worker threads.

use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard};

use tandem_chain::Error as ChainError;
use tandem_chain::keys::PublicKey;
use tandem_chain::limits::{MAX_BLOCK_TX_BYTES, MAX_BLOCK_TXS};
use tandem_chain::types::TxHash;
use tokio::sync::oneshot;

use super::AdmissionError;

/// Transactions that wait for their checks.
pub const MAX_QUEUED: usize = 20_000;
/// Bytes of them.
pub const MAX_QUEUED_BYTES: usize = 64 * 1024 * 1024;
/// Of one peer.
pub const MAX_QUEUED_PER_PEER: usize = 5_000;
/// Bytes of one peer.
const MAX_QUEUED_BYTES_PER_PEER: usize = 8 * 1024 * 1024;

// A peer that floods leaves room for clients, and may bring a block's worth.
const _: () = assert!(MAX_QUEUED_PER_PEER >= MAX_BLOCK_TXS);
const _: () = assert!(MAX_QUEUED_PER_PEER * 2 <= MAX_QUEUED);
const _: () = assert!(MAX_QUEUED_BYTES_PER_PEER >= MAX_BLOCK_TX_BYTES);
const _: () = assert!(MAX_QUEUED_BYTES_PER_PEER * 2 <= MAX_QUEUED_BYTES);

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
    jobs: VecDeque<Job>,
    bytes: usize,
    peers: HashMap<PublicKey, Share>,
    closed: bool,
}

#[derive(Default)]
struct Share {
    count: usize,
    bytes: usize,
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of the lock panics")
    }

    /// Adds a transaction, or says which bound is reached. In a closed queue it is dropped, and
    /// its reply with it.
    pub fn push(&self, job: Job) -> Result<(), ChainError> {
        let full = |what, max| Err(ChainError::MempoolFull { what, max });
        let size = job.bytes.len();
        let mut state = self.state();
        if state.closed {
            return Ok(());
        }
        if state.jobs.len() >= MAX_QUEUED {
            return full("transactions in the queue for checks", MAX_QUEUED);
        }
        if state.bytes + size > MAX_QUEUED_BYTES {
            return full("bytes in the queue for checks", MAX_QUEUED_BYTES);
        }
        if let Some(peer) = job.from {
            let share = state.peers.entry(peer).or_default();
            if share.count >= MAX_QUEUED_PER_PEER {
                return full("transactions of one peer in the queue", MAX_QUEUED_PER_PEER);
            }
            if share.bytes + size > MAX_QUEUED_BYTES_PER_PEER {
                return full("bytes of one peer in the queue", MAX_QUEUED_BYTES_PER_PEER);
            }
            share.count += 1;
            share.bytes += size;
        }
        state.bytes += size;
        state.jobs.push_back(job);
        drop(state);
        self.filled.notify_one();
        Ok(())
    }

    /// Waits for work; none when the queue is closed. Gives at most `max` transactions, and leaves
    /// some for the other workers.
    pub fn pop(&self, max: usize, workers: usize) -> Option<Vec<Job>> {
        let mut state = self.state();
        loop {
            if state.closed {
                return None;
            }
            if !state.jobs.is_empty() {
                let count = state.jobs.len().div_ceil(workers).min(max);
                let jobs: Vec<Job> = state.jobs.drain(..count).collect();
                for job in &jobs {
                    state.forget(job);
                }
                return Some(jobs);
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
    fn forget(&mut self, job: &Job) {
        self.bytes -= job.bytes.len();
        let Some(peer) = job.from else { return };
        let share = self.peers.get_mut(&peer).expect("a queued job of a peer is counted");
        share.count -= 1;
        share.bytes -= job.bytes.len();
        if share.count == 0 {
            self.peers.remove(&peer);
        }
    }
}

#[cfg(test)]
mod tests {
    use tandem_chain::keys::SecretKey;

    use super::*;

    fn job(from: Option<PublicKey>, size: usize) -> Job {
        Job { bytes: vec![0; size], from, reply: None }
    }

    fn full(result: Result<(), ChainError>) -> &'static str {
        match result {
            Err(ChainError::MempoolFull { what, .. }) => what,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_flooding_peer_fills_its_share_and_no_more() {
        let [one, two] = [1, 2].map(|i| SecretKey::from_seed(&[i; 32]).public());
        let queue = Queue::default();
        for _ in 0..MAX_QUEUED_PER_PEER {
            queue.push(job(Some(one), 1)).unwrap();
        }
        assert_eq!(full(queue.push(job(Some(one), 1))), "transactions of one peer in the queue");
        queue.push(job(Some(two), MAX_QUEUED_BYTES_PER_PEER)).unwrap();
        assert_eq!(full(queue.push(job(Some(two), 1))), "bytes of one peer in the queue");
        queue.push(job(None, 1)).unwrap();
    }

    #[test]
    fn what_is_taken_out_makes_room() {
        let queue = Queue::default();
        for _ in 0..MAX_QUEUED {
            queue.push(job(None, 1)).unwrap();
        }
        assert_eq!(full(queue.push(job(None, 1))), "transactions in the queue for checks");
        assert_eq!(queue.pop(64, 2).map(|jobs| jobs.len()), Some(64));
        queue.push(job(None, 1)).unwrap();
    }

    #[test]
    fn a_closed_queue_drops_replies() {
        let queue = Queue::default();
        let (reply, mut answer) = oneshot::channel();
        queue.push(Job { bytes: Vec::new(), from: None, reply: Some(reply) }).unwrap();
        queue.close();
        assert!(answer.try_recv().is_err());
        assert!(queue.pop(1, 1).is_none());
    }
}
