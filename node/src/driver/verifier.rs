//! Decoding and verification of messages, off the loop, in threads of their own.
//!
//! What waits stands in one lane for each peer, and the lanes are served by turns: a peer that sends
//! much waits for itself.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, RwLock};
use std::thread;

use tandem_chain::block::CertifiedBlock;
use tandem_chain::keys::PublicKey;
use tandem_chain::roles::RoleTable;
use tandem_chain::tip::Tip;
use tandem_chain::tx::Tx;
use tandem_consensus::Input;
use tandem_consensus::message::Message;
use tandem_consensus::verify::{Fault, Keys, Triage, certified_block};
use tokio::sync::mpsc;

use super::memo::Memo;
use super::{Done, claim_of};
use crate::admission::Admission;
use crate::network::Frame;

/// The threads that verify; they end when it is dropped.
pub(super) struct Verifiers(Arc<Shared>);

struct Shared {
    keys: RwLock<Arc<Keys>>,
    memo: Memo,
    admission: Admission,
    done: mpsc::Sender<Done>,
    lanes: Mutex<Lanes<Job>>,
    arrivals: Condvar,
}

enum Job {
    /// A message. The frame counts against its peer until it is verified, so that a peer that sends
    /// faster than this node verifies is not read from.
    Message(PublicKey, Frame),
    /// A fetched block.
    Block(Arc<CertifiedBlock>, Arc<RoleTable>),
}

impl Shared {
    fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.keys.read().expect("no holder of the lock panics"))
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes<Job>> {
        self.lanes.lock().expect("no holder of the lock panics")
    }

    /// Serves lanes until they are closed.
    fn run(&self) {
        let mut lanes = self.lanes();
        loop {
            let Some(job) = lanes.pop() else {
                if lanes.closed {
                    return;
                }
                lanes = self.arrivals.wait(lanes).expect("no holder of the lock panics");
                continue;
            };
            drop(lanes);
            if let Some(done) = self.done_with(&job)
                && self.done.blocking_send(done).is_err()
            {
                // The loop has ended.
                return;
            }
            drop(job);
            lanes = self.lanes();
        }
    }

    fn done_with(&self, job: &Job) -> Option<Done> {
        match job {
            Job::Message(from, frame) => match verify(self, *from, frame) {
                Ok(input) => input.map(|input| Done::Input(Box::new(input))),
                Err(fault) => Some(Done::Misbehaved(*from, fault)),
            },
            Job::Block(block, table) => {
                let height = block.block.header.height;
                let verdict = certified_block(&self.memo, &self.keys(), table, block);
                Some(Done::Input(Box::new(Input::BlockVerified { height, verdict })))
            }
        }
    }
}

impl Verifiers {
    pub fn start(tip: &Tip, admission: Admission, done: mpsc::Sender<Done>) -> Self {
        let shared = Arc::new(Shared {
            keys: RwLock::new(Arc::new(Keys::of(tip))),
            memo: Memo::default(),
            admission,
            done,
            lanes: Mutex::default(),
            arrivals: Condvar::new(),
        });
        for number in 0..thread::available_parallelism().map_or(1, usize::from) {
            let shared = Arc::clone(&shared);
            thread::Builder::new()
                .name(format!("verifier-{number}"))
                .spawn(move || shared.run())
                .expect("the system gives a thread");
        }
        Self(shared)
    }

    /// Messages are verified with the keys of this tip from now on.
    pub fn set_tip(&self, tip: &Tip) {
        let keys = Arc::new(Keys::of(tip));
        *self.0.keys.write().expect("no holder of the lock panics") = keys;
    }

    /// Decodes and verifies a message; what comes of it goes to the loop.
    pub fn message(&self, from: PublicKey, frame: Frame) {
        self.push(Some(from), Job::Message(from, frame));
    }

    /// Verifies a fetched block.
    pub fn block(&self, block: Arc<CertifiedBlock>, table: Arc<RoleTable>) {
        self.push(None, Job::Block(block, table));
    }

    fn push(&self, lane: Lane, job: Job) {
        self.0.lanes().push(lane, job);
        self.0.arrivals.notify_one();
    }
}

impl Drop for Verifiers {
    fn drop(&mut self) {
        self.0.lanes().close();
        self.0.arrivals.notify_all();
    }
}

fn verify(shared: &Shared, from: PublicKey, bytes: &[u8]) -> Result<Option<Input>, Fault> {
    let keys = shared.keys();
    let message = Keys::decode(bytes)?;
    let triage = keys.triage(&message);
    if triage != Triage::Verify {
        return Ok(claim_of(triage, from));
    }
    let known = |tx: &Tx| shared.admission.is_verified(&tx.hash());
    let message = keys.verify(&shared.memo, message, &known)?;
    if let Message::Proposal(proposal) = message.get() {
        shared.admission.verified(proposal.block.txs.iter().map(Tx::hash));
    }
    Ok(Some(Input::Message { from, message }))
}

/// A peer's lane, or that of the node's own work.
type Lane = Option<PublicKey>;

/// What waits, by lane; bounded by what the network lets each peer have under way.
struct Lanes<T> {
    waiting: BTreeMap<Lane, VecDeque<T>>,
    /// Lanes in which something waits, the next one first.
    turns: VecDeque<Lane>,
    closed: bool,
}

impl<T> Default for Lanes<T> {
    fn default() -> Self {
        Self { waiting: BTreeMap::new(), turns: VecDeque::new(), closed: false }
    }
}

impl<T> Lanes<T> {
    fn push(&mut self, lane: Lane, job: T) {
        if self.closed {
            return;
        }
        let waiting = self.waiting.entry(lane).or_default();
        if waiting.is_empty() {
            self.turns.push_back(lane);
        }
        waiting.push_back(job);
    }

    fn pop(&mut self) -> Option<T> {
        let lane = self.turns.pop_front()?;
        let waiting = self.waiting.get_mut(&lane)?;
        let job = waiting.pop_front();
        if waiting.is_empty() {
            self.waiting.remove(&lane);
        } else {
            self.turns.push_back(lane);
        }
        job
    }

    /// Drops what waits, and takes nothing more.
    fn close(&mut self) {
        *self = Self { closed: true, ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_are_served_by_turns_and_each_in_order() {
        let (loud, quiet) = (Some(PublicKey([1; 32])), Some(PublicKey([2; 32])));
        let mut lanes = Lanes::default();
        (0..4).for_each(|n| lanes.push(loud, n));
        lanes.push(quiet, 10);
        lanes.push(None, 20);
        lanes.push(quiet, 11);
        let order: Vec<i32> = std::iter::from_fn(|| lanes.pop()).collect();
        assert_eq!(order, [0, 10, 20, 1, 11, 2, 3]);
        assert!(lanes.waiting.is_empty() && lanes.turns.is_empty());
        lanes.push(loud, 5);
        lanes.close();
        lanes.push(loud, 6);
        assert_eq!(lanes.pop(), None);
    }
}
