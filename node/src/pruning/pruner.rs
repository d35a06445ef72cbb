//! The thread that takes away old blocks while the node runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tracing::{info, warn};

use super::{Policy, PruneError, plan, prune};
use crate::snapshots::{Pace, Shelf, stand_back};
use crate::storage::Database;

/// Time between two looks at what may go.
const EVERY: Duration = Duration::from_secs(10);
/// Bytes of blocks that are gone after which their room is given back to the system: that reads and writes
/// what lies beside them, and is worth it seldom.
const COMPACT_BYTES: u64 = 64 << 20;

/// Takes away what the policy lets go, behind all other threads. It ends, with what it works on, when it
/// is dropped, which is when the database is about to be closed: a compaction is given up for good.
pub struct Pruner {
    /// None once it is dropped.
    end: Option<Sender<()>>,
    flags: Arc<Flags>,
    db: Database,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Flags {
    stop: AtomicBool,
    is_compacting: AtomicBool,
}

impl Pruner {
    /// For the node with this database, these snapshots and this policy; none when that keeps all blocks.
    ///
    /// # Panics
    /// When the system gives no thread.
    #[must_use]
    pub fn start(db: Database, shelf: Shelf, policy: Policy) -> Option<Self> {
        (!policy.is_archive()).then(|| Self::start_every(EVERY, db, shelf, policy))
    }

    pub(super) fn start_every(every: Duration, db: Database, shelf: Shelf, policy: Policy) -> Self {
        let (end, ended) = channel();
        let flags = Arc::new(Flags::default());
        let (own, seen) = (db.clone(), Arc::clone(&flags));
        let work = move || {
            stand_back();
            let (mut gone, mut told) = (0, String::new());
            while ended.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                match look(&db, &shelf, &policy, &seen.stop) {
                    Ok(bytes) => gone += bytes,
                    Err(PruneError::Stopped) => return,
                    // What is damaged or cannot be written ends the node when it is needed. Once is enough.
                    Err(error) if error.to_string() == told => {}
                    Err(error) => {
                        warn!(%error, "old blocks are not taken away");
                        told = error.to_string();
                    }
                }
                if gone >= COMPACT_BYTES {
                    seen.is_compacting.store(true, Ordering::SeqCst);
                    // Looked at after the other is set, as the other is after this: one of both is seen.
                    if !seen.stop.load(Ordering::SeqCst) {
                        db.compact_pruned();
                    }
                    seen.is_compacting.store(false, Ordering::SeqCst);
                    gone = 0;
                }
            }
        };
        let thread = thread::Builder::new()
            .name("pruner".to_owned())
            .spawn(work)
            .expect("the system gives a thread");
        Self { end: Some(end), flags, db: own, thread: Some(thread) }
    }
}

/// Takes away what may go; bytes of the blocks that went.
fn look(
    db: &Database,
    shelf: &Shelf,
    policy: &Policy,
    stop: &AtomicBool,
) -> Result<u64, PruneError> {
    let floor = plan(db, shelf, policy)?;
    let mut pace = Pace::begin();
    let gone = prune(db, floor.height, stop, || pace.rest())?;
    if gone.blocks > 0 {
        info!(blocks = gone.blocks, lowest = %floor.height, kept_for = %floor.bound, "old blocks are gone");
    }
    Ok(gone.bytes)
}

impl Drop for Pruner {
    fn drop(&mut self) {
        self.flags.stop.store(true, Ordering::SeqCst);
        self.end = None;
        if self.flags.is_compacting.load(Ordering::SeqCst) {
            self.db.stop_background();
        }
        if let Some(thread) = self.thread.take() {
            // Its panic has ended the process, or is the test's that drops it.
            let _ = thread.join();
        }
    }
}
