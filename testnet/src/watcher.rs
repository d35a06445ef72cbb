//! Follows the chain as a client does, block by block over RPC, and remembers what it saw when.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use tandem_chain::types::Height;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::load::Tracker;
use crate::rpc::{BlockView, Rpc};

/// Time between two questions whether there is a new block: the resolution of what is measured.
pub const POLL: Duration = Duration::from_millis(5);
/// After this a node that does not answer, or has no new block, is left for the next.
const PATIENCE: Duration = Duration::from_secs(1);

/// A block and when it was first seen committed.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The block.
    pub block: Arc<BlockView>,
    /// When a node first said that it has it.
    pub at: Instant,
}

/// A task that follows the chain; it ends when the value is dropped.
pub struct Watcher {
    shared: Arc<Shared>,
    height: watch::Receiver<Height>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    seen: Mutex<Vec<Seen>>,
    trackers: Mutex<Vec<Arc<Tracker>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Values are whole between any two statements that change them.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watcher {
    /// Follows from the block after `from` on, by the first of `nodes` that answers; the next is
    /// asked when it stops answering.
    #[must_use]
    pub fn start(nodes: Vec<Rpc>, from: Height) -> Self {
        let shared = Arc::new(Shared::default());
        let (progress, height) = watch::channel(from);
        let task = tokio::spawn(follow(nodes, from, Arc::clone(&shared), progress));
        Self { shared, height, task }
    }

    /// Reports transactions in blocks that are seen from now on to `tracker` too.
    pub fn report_to(&self, tracker: Arc<Tracker>) {
        lock(&self.shared.trackers).push(tracker);
    }

    /// The highest block seen.
    #[must_use]
    pub fn height(&self) -> Height {
        *self.height.borrow()
    }

    /// The highest block seen, for those who follow it.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Height> {
        self.height.clone()
    }

    /// All blocks seen, from height `from` on.
    #[must_use]
    pub fn since(&self, from: Height) -> Vec<Seen> {
        let seen = lock(&self.shared.seen);
        let start = seen.partition_point(|seen| seen.block.height < from);
        seen[start..].to_vec()
    }

    /// The first block from height `from` on for which `wanted` gives a value, with that value.
    ///
    /// # Errors
    /// When none was seen within `deadline`: `what` was waited for.
    pub async fn find<T>(
        &self,
        what: &str,
        from: Height,
        deadline: Duration,
        mut wanted: impl FnMut(&BlockView) -> Option<T>,
    ) -> Result<(Seen, T)> {
        let end = Instant::now() + deadline;
        let mut height = self.height.clone();
        let mut next = from;
        loop {
            height.borrow_and_update();
            for seen in self.since(next) {
                next = seen.block.height.next();
                if let Some(value) = wanted(&seen.block) {
                    return Ok((seen, value));
                }
            }
            tokio::time::timeout_at(end, height.changed())
                .await
                .map_err(|_| {
                    anyhow!("{what}: not seen within {deadline:?}, by height {}", self.height())
                })?
                .context("the watcher ended")?;
        }
    }

    /// Waits for block `height`.
    ///
    /// # Errors
    /// When it was not seen within `deadline`.
    pub async fn reached(&self, height: Height, deadline: Duration) -> Result<Seen> {
        let what = format!("block {height}");
        Ok(self.find(&what, height, deadline, |_| Some(())).await?.0)
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(
    nodes: Vec<Rpc>,
    from: Height,
    shared: Arc<Shared>,
    progress: watch::Sender<Height>,
) {
    let mut next = from.next();
    for node in nodes.iter().cycle() {
        let result = follow_one(node, &mut next, &shared, &progress).await;
        tracing::debug!(node = node.name(), ?result, "the watcher goes on to another node");
        tokio::time::sleep(POLL).await;
    }
}

/// Follows by one node until it fails to answer, or stands still: it may be cut off.
async fn follow_one(
    node: &Rpc,
    next: &mut Height,
    shared: &Shared,
    progress: &watch::Sender<Height>,
) -> Result<()> {
    let mut news = Instant::now();
    loop {
        let tip = tokio::time::timeout(PATIENCE, node.height()).await??;
        let at = Instant::now();
        if tip < *next {
            ensure!(at - news < PATIENCE, "it stands still at height {tip}");
            tokio::time::sleep(POLL).await;
        } else {
            news = at;
        }
        while *next <= tip {
            let block = tokio::time::timeout(PATIENCE, node.block(*next)).await??;
            for tracker in lock(&shared.trackers).iter() {
                tracker.committed(&block.txs, *next, at);
            }
            lock(&shared.seen).push(Seen { block: Arc::new(block), at });
            progress.send_replace(*next);
            *next = next.next();
        }
    }
}

/// The longest time between two blocks that follow each other in `seen`, with the later's height.
#[must_use]
pub fn longest_gap(seen: &[Seen]) -> (Duration, Height) {
    seen.windows(2)
        .map(|pair| (pair[1].at - pair[0].at, pair[1].block.height))
        .max()
        .unwrap_or_default()
}
