//! The thread that takes snapshots while the node goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tandem_chain::block::Header;
use tandem_chain::genesis::Genesis;
use tandem_chain::types::{Height, Timestamp};
use tokio::sync::watch;
use tracing::{info, warn};

use super::pace::stand_back;
use super::{Shelf, SnapshotError, Source, take};
use crate::storage::Database;

/// Time to wait for the block above: a chain that stands still makes one in the end.
const WAIT: Duration = Duration::from_secs(600);

/// Age of a block above which no snapshot is taken of it: a node that catches up would take one after
/// another, and none of them is new.
const MAX_AGE: Duration = Duration::from_secs(60);

/// Takes a snapshot at every height that is a multiple of the interval. It ends, with what it works on,
/// when it is dropped.
pub struct Taker {
    interval: u64,
    /// None once it is dropped.
    ask: Option<Sender<SyncSender<()>>>,
    /// Whether one is being taken, or what an earlier run left is still taken away.
    pub(super) is_busy: Arc<watch::Sender<bool>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Taker {
    /// Every `interval` blocks, of which the newest `keep` are kept; 0 for none.
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
        let is_busy = Arc::new(watch::Sender::new(true));
        let busy = Arc::clone(&is_busy);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let work = move || {
            stand_back();
            if let Err(error) = shelf.pen().clean() {
                warn!(%error, "what is left of an unfinished snapshot cannot be taken away");
            }
            busy.send_replace(false);
            while let Ok(begun) = asked.recv() {
                let view = db.snapshot();
                // Who waits for the view may go on: the database may change again.
                let _ = begun.send(());
                let source = Source { db: &db, view: &view, genesis: &genesis, stop: &stopped };
                match take_and_keep(&source, &shelf, keep) {
                    Ok(_) => {}
                    Err(SnapshotError::Stopped) => return,
                    Err(error) => warn!(%error, "no snapshot is taken"),
                }
                drop(view);
                busy.send_replace(false);
            }
        };
        let thread = thread::Builder::new()
            .name("snapshots".to_owned())
            .spawn(work)
            .expect("the system gives a thread");
        Self { interval, ask: Some(ask), is_busy, stop, thread: Some(thread) }
    }

    /// A block was committed, and the next is not yet: when it is time, a view of the state is taken
    /// before this returns. `now` is this machine's clock.
    pub fn committed(&self, header: &Header, now: Timestamp) {
        let Header { height, time, .. } = header;
        let is_due = self.interval > 0 && height.0.is_multiple_of(self.interval);
        if !is_due || now.since(*time) > MAX_AGE {
            return;
        }
        if self.is_busy.send_replace(true) {
            warn!(%height, "no snapshot is taken: the one before is not finished");
            return;
        }
        let (begun, begins) = sync_channel(1);
        if self.ask.as_ref().is_some_and(|ask| ask.send(begun).is_ok()) {
            // It comes in a moment: the thread works on nothing else.
            let _ = begins.recv();
        }
    }
}

/// Takes one, and takes away all but the newest `keep`.
///
/// # Errors
/// Those of [`take()`].
pub fn take_and_keep(source: &Source, shelf: &Shelf, keep: usize) -> Result<Height, SnapshotError> {
    let began = Instant::now();
    let height = take(source, shelf, WAIT)?;
    info!(%height, seconds = began.elapsed().as_secs_f64(), "a snapshot is taken");
    shelf.pen().keep(keep)?;
    Ok(height)
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
