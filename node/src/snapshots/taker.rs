//! The thread that takes snapshots while the node goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tandem_chain::genesis::Genesis;
use tandem_chain::types::Height;
use tracing::{info, warn};

use super::{Shelf, SnapshotError, Source, take};
use crate::storage::Database;

/// Time to wait for the block above: a chain that stands still makes one in the end.
const WAIT: Duration = Duration::from_secs(600);

/// Asks a [`Taker`] for a snapshot of the next block. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Wish(Arc<AtomicBool>);

impl Wish {
    /// The next block that is committed is to have one.
    pub fn make(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

/// Takes a snapshot at every height that is a multiple of the interval. It ends, with what it works on,
/// when it is dropped.
pub struct Taker {
    interval: u64,
    wish: Wish,
    /// None once it is dropped.
    ask: Option<Sender<SyncSender<()>>>,
    /// Whether one is being taken.
    pub(super) is_busy: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Taker {
    /// Every `interval` blocks, of which the newest `keep` are kept; 0 for none but those that are wished
    /// for.
    ///
    /// # Panics
    /// When the system gives no thread.
    #[must_use]
    pub fn start(
        db: Database,
        genesis: Arc<Genesis>,
        shelf: Shelf,
        interval: u64,
        keep: usize,
    ) -> Self {
        let (ask, asked) = channel::<SyncSender<()>>();
        let is_busy = Arc::new(AtomicBool::new(false));
        let busy = Arc::clone(&is_busy);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let work = move || {
            if let Err(error) = shelf.clean() {
                warn!(%error, "what is left of an unfinished snapshot cannot be taken away");
            }
            while let Ok(begun) = asked.recv() {
                let view = db.snapshot();
                // Who waits for the view may go on: the database may change again.
                let _ = begun.send(());
                let began = Instant::now();
                let source = Source { db: &db, view: &view, genesis: &genesis, stop: &stopped };
                match take(&source, &shelf, WAIT).and_then(|height| {
                    shelf.keep(keep)?;
                    Ok(height)
                }) {
                    Ok(height) => {
                        let seconds = began.elapsed().as_secs_f64();
                        info!(%height, seconds, "a snapshot is taken");
                    }
                    Err(SnapshotError::Stopped) => return,
                    Err(error) => warn!(%error, "no snapshot is taken"),
                }
                busy.store(false, Ordering::Release);
            }
        };
        let thread = thread::Builder::new()
            .name("snapshots".to_owned())
            .spawn(work)
            .expect("the system gives a thread");
        let (wish, ask, thread) = (Wish::default(), Some(ask), Some(thread));
        Self { interval, wish, ask, is_busy, stop, thread }
    }

    /// To ask for one between.
    #[must_use]
    pub fn wish(&self) -> Wish {
        self.wish.clone()
    }

    /// A block was committed, and the next is not yet: when it is time, a view of the state is taken
    /// before this returns.
    pub fn committed(&self, height: Height) {
        let is_due = self.interval > 0 && height.0.is_multiple_of(self.interval);
        if self.is_busy.load(Ordering::Acquire) {
            if is_due {
                warn!(%height, "no snapshot is taken: the one before is not finished");
            }
            return;
        }
        if !self.wish.take() && !is_due {
            return;
        }
        self.is_busy.store(true, Ordering::Release);
        let (begun, begins) = sync_channel(1);
        if self.ask.as_ref().is_some_and(|ask| ask.send(begun).is_ok()) {
            // It comes in a moment: the thread works on nothing else.
            let _ = begins.recv();
        }
    }
}

impl Drop for Taker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.ask = None;
        if let Some(thread) = self.thread.take() {
            // Its panic has ended the process, or is the test's that drops it.
            let _ = thread.join();
        }
    }
}
