//! Admission of transactions: from clients and peers, through one signature check each, into the
//! mempool, and on to the validators.
//!
//! ```text
//!   client ── submit ──┐                                   ┌── reply
//!                      ├─> bounded queue ─> worker threads ─┤
//!   peer ─── incoming ─┘                                   ├── mempool ─> proposals
//!                                                          └── forwarding (what clients bring)
//! ```
//!
//! # Rules
//!
//! - A worker checks in the order of cost: size, whether the transaction waits already, encoding,
//!   chain, window of validity, sender, whether it is in the chain, and the signature at the end.
//!   A signature that was good once is not checked again: [`Admission::is_verified`].
//! - **What a client brings is forwarded to every validator of the present and the next role
//!   table; what a peer brings is admitted and never forwarded.** So a transaction crosses each
//!   link once, and no loop is possible.
//! - The node that a client brought it to is responsible: it forwards the transaction again every
//!   few seconds while it waits, and at once to a validator that connects or that has just become
//!   one. A crash of any other node loses nothing. If this node crashes, the client sends again, here
//!   or to another node: that one is responsible from then on, also for what a peer had brought to it.
//! - To bring a waiting transaction again is no error: the answer is the same as the first time.
//! - Every queue has a bound; what does not fit is refused with an error that names it.

mod counters;
mod forward;
mod frame;
mod queue;
mod seen;
#[cfg(test)]
mod tests;
mod worker;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use tandem_chain::Error as ChainError;
use tandem_chain::block::Block;
use tandem_chain::keys::PublicKey;
use tandem_chain::limits::MAX_TX_BYTES;
use tandem_chain::mempool::Mempool;
use tandem_chain::modules::Call;
use tandem_chain::store::Store;
use tandem_chain::tip::Tip;
use tandem_chain::tx::Tx;
use tandem_chain::types::{Hash, TxHash};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

pub use counters::{Counted, Counters};
pub use frame::{MAX_FRAME_BYTES, MAX_FRAME_TXS};
pub use queue::{MAX_QUEUED, MAX_QUEUED_BYTES, MAX_QUEUED_PER_PEER};

use counters::Warnings;
use forward::Brought;
use queue::Queue;
use seen::Seen;

/// Connections that wait to be served by forwarding; more are served by the regular repeats.
const MAX_CONNECTED_NEWS: usize = 256;

/// Why a transaction is not admitted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdmissionError {
    /// By the chain's rules, or because a bound is reached.
    #[error(transparent)]
    Refused(#[from] ChainError),
    /// The node is shutting down.
    #[error("the node is stopping: send the transaction again, here later or to another node")]
    Stopping,
}

impl AdmissionError {
    /// The code in an answer: that of [`ChainError::code`].
    #[must_use]
    pub fn code(&self) -> u32 {
        match self {
            Self::Refused(error) => error.code(),
            Self::Stopping => 99,
        }
    }
}

/// Who sends frames of transactions to other nodes.
pub trait Forward: Send + Sync + 'static {
    /// Sends one frame to several nodes; never blocks. A frame that cannot be sent is dropped:
    /// forwarding repeats it.
    fn forward(&self, to: &[PublicKey], frame: Arc<[u8]>);
}

/// What admission needs.
pub struct Setup {
    /// The node's own key, to which nothing is forwarded.
    pub me: PublicKey,
    /// The state, to look up senders and what is committed.
    pub store: Arc<dyn Store + Send + Sync>,
    /// What is known of the chain after the newest block.
    pub tip: watch::Receiver<Arc<Tip>>,
    /// Threads that check signatures; 0 for one per processor.
    pub threads: usize,
    /// The network.
    pub network: Arc<dyn Forward>,
}

/// Admission of transactions. Cheap to clone: all clones are one; it stops when the last is
/// dropped.
#[derive(Clone)]
pub struct Admission(Arc<Handle>);

struct Handle {
    shared: Arc<Shared>,
    connected: mpsc::Sender<PublicKey>,
    forwarding: JoinHandle<()>,
    workers: Vec<thread::JoinHandle<()>>,
}

impl Drop for Handle {
    /// Waits for what each worker has in hand: none reads the database after this.
    fn drop(&mut self) {
        self.shared.queue.close();
        self.forwarding.abort();
        for worker in self.workers.drain(..) {
            if worker.join().is_err() {
                tracing::error!("a thread that checks transactions had panicked");
            }
        }
    }
}

/// What the threads and tasks of admission have in common.
struct Shared {
    queue: Queue,
    /// Number of worker threads.
    workers: usize,
    mempool: Mutex<Mempool>,
    seen: Mutex<Seen>,
    store: Arc<dyn Store + Send + Sync>,
    tip: watch::Receiver<Arc<Tip>>,
    brought: Mutex<Brought>,
    forward_wakes: Notify,
    arrivals: Notify,
    counters: Counters,
    /// Counts blocks that may have changed whose keys may send.
    members: AtomicU64,
    /// Of peers' bad signatures.
    warnings: Warnings,
}

impl Shared {
    fn mempool(&self) -> MutexGuard<'_, Mempool> {
        self.mempool.lock().expect("no holder of the lock panics")
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("no holder of the lock panics")
    }

    fn brought(&self) -> MutexGuard<'_, Brought> {
        self.brought.lock().expect("no holder of the lock panics")
    }

    fn tip(&self) -> Arc<Tip> {
        self.tip.borrow().clone()
    }
}

impl Admission {
    /// Starts the worker threads and the task that forwards. Called within a tokio runtime.
    ///
    /// # Panics
    /// When the system gives no thread.
    #[must_use]
    pub fn start(setup: Setup) -> Self {
        let workers = match setup.threads {
            0 => thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let shared = Arc::new(Shared {
            queue: Queue::default(),
            workers,
            mempool: Mutex::new(Mempool::new()),
            seen: Mutex::new(Seen::default()),
            store: setup.store,
            tip: setup.tip,
            brought: Mutex::default(),
            forward_wakes: Notify::new(),
            arrivals: Notify::new(),
            counters: Counters::default(),
            members: AtomicU64::new(0),
            warnings: Warnings::default(),
        });
        let spawn = |number| {
            let shared = shared.clone();
            thread::Builder::new()
                .name(format!("admission-{number}"))
                .spawn(move || worker::run(&shared))
                .expect("the system gives a thread")
        };
        let workers = (0..workers).map(spawn).collect();
        let (connected, news) = mpsc::channel(MAX_CONNECTED_NEWS);
        let task = forward::Forwarding::new(setup.me, setup.network, shared.clone());
        let forwarding = tokio::spawn(task.run(news));
        Self(Arc::new(Handle { shared, connected, forwarding, workers }))
    }

    /// Takes in a transaction from a client; the answer comes when it is in the mempool or
    /// refused.
    ///
    /// # Errors
    /// [`AdmissionError::Refused`]: too long, not decodable, for another chain, expired or valid
    /// for too long, from an unknown sender, in the chain already, with a bad signature, or a
    /// queue or the mempool is full.
    pub async fn submit(&self, bytes: Vec<u8>) -> Result<TxHash, AdmissionError> {
        let (reply, answer) = oneshot::channel();
        self.enqueue(bytes, Some(reply))?;
        answer.await.unwrap_or(Err(AdmissionError::Stopping))
    }

    /// As [`Admission::submit`], without waiting for the checks.
    ///
    /// # Errors
    /// When it is too long or the queue is full; what the checks find is not told.
    pub fn submit_unchecked(&self, bytes: Vec<u8>) -> Result<TxHash, AdmissionError> {
        check_length(&bytes)?;
        let hash = Hash::of(&bytes);
        self.enqueue(bytes, None)?;
        Ok(hash)
    }

    /// The checks of [`Admission::submit`] alone: the transaction is not taken in. It reads the database.
    ///
    /// # Errors
    /// As those of [`Admission::submit`], but for a mempool or queue that is full.
    pub fn check(&self, bytes: Vec<u8>) -> Result<TxHash, AdmissionError> {
        check_length(&bytes)?;
        Ok(worker::judge(&self.0.shared, bytes)?)
    }

    fn enqueue(&self, bytes: Vec<u8>, reply: Option<queue::Reply>) -> Result<(), AdmissionError> {
        let counters = &self.0.shared.counters;
        let queued = check_length(&bytes).and_then(|()| self.0.shared.queue.push(bytes, reply));
        queued.inspect_err(|error| counters.refused(error))?;
        Ok(())
    }

    /// Takes in a frame of transactions from a peer. Those that do not fit in the peer's share of
    /// the queue are dropped and counted: the peer forwards them again.
    ///
    /// # Errors
    /// When the frame as a whole is bad: too long, not decodable, too many in it.
    pub fn incoming(&self, frame: &[u8], from: PublicKey) -> Result<(), ChainError> {
        let counters = &self.0.shared.counters;
        let txs = frame::decode(frame).inspect_err(|_| counters.count(Counted::BadFrame, 1))?;
        let dropped = self.0.shared.queue.push_many(from, txs);
        counters.count(Counted::PeerQueueFull, dropped as u64);
        Ok(())
    }

    /// Whether this transaction's signature was found good, lately.
    #[must_use]
    pub fn is_verified(&self, hash: &TxHash) -> bool {
        self.0.shared.seen().contains(hash)
    }

    /// Remembers transactions whose signatures were found good in a proposal.
    pub fn verified(&self, hashes: impl Iterator<Item = TxHash>) {
        let mut seen = self.0.shared.seen();
        hashes.for_each(|hash| seen.insert(hash));
    }

    /// The longest-waiting transactions for a block: see [`Mempool::take`].
    #[must_use]
    pub fn take(&self, max_bytes: usize, max_txs: usize) -> Vec<Tx> {
        self.0.shared.mempool().take(max_bytes, max_txs)
    }

    /// Takes the transactions of a committed block out of the mempool, and the expired ones. The
    /// block is in the database already.
    pub fn committed(&self, block: &Block) {
        let of_members = |tx: &Tx| matches!(tx.body().call, Call::Consortium(_));
        if !block.evidence.is_empty() || block.txs.iter().any(of_members) {
            self.0.shared.members.fetch_add(1, Ordering::Release);
        }
        self.0.shared.mempool().committed(block);
    }

    /// Takes a transaction out of the mempool that no block may carry.
    pub fn remove(&self, hash: &TxHash) {
        self.0.shared.mempool().remove(hash);
    }

    /// Number and bytes of the transactions that wait.
    #[must_use]
    pub fn waiting(&self) -> (usize, usize) {
        let mempool = self.0.shared.mempool();
        (mempool.len(), mempool.bytes())
    }

    /// Whether this transaction waits for a block.
    #[must_use]
    pub fn is_waiting(&self, hash: &TxHash) -> bool {
        self.0.shared.mempool().contains(hash)
    }

    /// Returns when a transaction has come into the mempool since the last return; one waiter.
    pub async fn arrived(&self) {
        self.0.shared.arrivals.notified().await;
    }

    /// Tells that a peer has connected: what waits is forwarded to it if it is a validator.
    pub fn connected(&self, peer: PublicKey) {
        // When the list is full the regular repeats serve it.
        let _ = self.0.connected.try_send(peer);
    }

    /// How often what has happened since the start.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.0.shared.counters
    }
}

fn check_length(bytes: &[u8]) -> Result<(), ChainError> {
    if bytes.len() > MAX_TX_BYTES {
        let got = bytes.len();
        return Err(ChainError::TooLong { what: "transaction", max: MAX_TX_BYTES, got });
    }
    Ok(())
}
