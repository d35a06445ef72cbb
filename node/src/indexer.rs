//! The thread that brings committed blocks into the index of transactions and events. It follows the
//! chain behind all other threads; what it misses, as after a start, it reads from the database.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tandem_chain::Error;
use tokio::runtime::Handle;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, oneshot};
use tracing::warn;

use crate::snapshots::{Pace, stand_back};
use crate::storage::Database;
use crate::view::Committed;

/// Time to the next attempt after one that failed.
const AGAIN: Duration = Duration::from_secs(10);

/// Keeps the index. It ends when it is dropped, which is when the database is about to be closed.
pub struct Indexer {
    /// None once it is dropped.
    end: Option<oneshot::Sender<()>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread is woken by.
enum News {
    /// A block is committed.
    Committed(Arc<Committed>),
    /// Blocks may have been: the database has them.
    Missed,
    /// The node stops.
    End,
}

impl Indexer {
    /// For the node with this database, in which the blocks that are told of are already. Called within a
    /// tokio runtime.
    ///
    /// # Panics
    /// When the system gives no thread.
    #[must_use]
    pub fn start(db: Database, mut commits: broadcast::Receiver<Arc<Committed>>) -> Self {
        let (end, mut ended) = oneshot::channel();
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, runtime) = (Arc::clone(&stop), Handle::current());
        let work = move || {
            stand_back();
            let (mut told, mut at_hand) = (String::new(), None::<Arc<Committed>>);
            loop {
                let wait = match bring(&db, at_hand.as_deref(), &stopped) {
                    Ok(()) => None,
                    // What is damaged or cannot be written ends the node when it is needed. Once is
                    // enough.
                    Err(error) => {
                        if error.to_string() != told {
                            warn!(%error, "blocks do not come into the index: what is searched is not found");
                            told = error.to_string();
                        }
                        Some(AGAIN)
                    }
                };
                at_hand = match runtime.block_on(news(&mut ended, &mut commits)) {
                    News::Committed(committed) => Some(committed),
                    News::Missed => None,
                    News::End => return,
                };
                if let Some(wait) = wait {
                    thread::park_timeout(wait);
                }
            }
        };
        let thread = thread::Builder::new()
            .name("indexer".to_owned())
            .spawn(work)
            .expect("the system gives a thread");
        Self { end: Some(end), stop, thread: Some(thread) }
    }
}

async fn news(
    ended: &mut oneshot::Receiver<()>,
    commits: &mut broadcast::Receiver<Arc<Committed>>,
) -> News {
    tokio::select! {
        biased;
        _ = ended => News::End,
        received = commits.recv() => match received {
            Ok(committed) => News::Committed(committed),
            Err(RecvError::Lagged(_)) => News::Missed,
            Err(RecvError::Closed) => News::End,
        },
    }
}

/// Brings all blocks into the index that are not in it.
fn bring(db: &Database, at_hand: Option<&Committed>, stop: &AtomicBool) -> Result<(), Error> {
    let mut pace = Pace::begin();
    let at_hand = at_hand.map(|committed| {
        let Committed { block, receipts, events, .. } = committed;
        (&*block.block, receipts.as_slice(), events.as_slice())
    });
    while !stop.load(Ordering::Relaxed) && db.index_next(at_hand)? {
        if db.indexed() < db.height() {
            pace.rest();
        }
    }
    Ok(())
}

impl Drop for Indexer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.end = None;
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // Its panic has ended the process, or is the test's that drops it.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use tandem_chain::types::Height;

    use super::*;
    use crate::storage::{EventKind, Place};
    use crate::testing::Chain;

    #[tokio::test]
    async fn blocks_come_into_the_index_those_of_before_first() {
        let mut chain = Chain::new();
        for _ in 1..=3 {
            chain.commit(Vec::new());
        }
        let (commits, receiver) = broadcast::channel(2);
        let indexer = Indexer::start(chain.db.clone(), receiver);
        let mut indexed = chain.db.follow_indexed();
        let mut until = async |height| drop(indexed.wait_for(|at| *at >= height).await.unwrap());
        until(Height(3)).await;
        let committed = Arc::new(chain.commit(Vec::new()));
        commits.send(committed).unwrap();
        until(Height(4)).await;
        // Of those that were missed only the last is told.
        (0..8).for_each(|_| drop(chain.commit(Vec::new())));
        commits.send(Arc::new(chain.commit(Vec::new()))).unwrap();
        until(Height(13)).await;
        drop(indexer);
        chain.commit(Vec::new());
        assert_eq!(chain.db.indexed(), Height(13));
        // A later run goes on.
        let indexer = Indexer::start(chain.db.clone(), commits.subscribe());
        until(Height(14)).await;
        let heights = chain.db.events().heights().unwrap();
        assert_eq!(heights, Some((Height(1), Height(14))));
        drop(commits);
        drop(indexer);
    }

    #[tokio::test]
    async fn runs_that_are_cut_short_have_each_block_once() {
        let mut chain = Chain::new();
        let create = chain.create(1);
        chain.commit(vec![create]);
        for nonce in 2..=80 {
            let put = chain.put(nonce, &format!("key {}", nonce % 7), b"value");
            chain.commit(vec![put]);
        }
        let (commits, _) = broadcast::channel(1);
        while chain.db.indexed() < chain.db.height() {
            let before = chain.db.indexed();
            let indexer = Indexer::start(chain.db.clone(), commits.subscribe());
            drop(chain.db.follow_indexed().wait_for(|at| *at > before).await.unwrap());
            drop(indexer);
        }
        let index = chain.db.events();
        assert_eq!(index.heights(), Ok(Some((Height(1), Height(80)))));
        for height in 1..=80 {
            // The liveness record and one more.
            assert_eq!(index.transactions(Height(height)), Ok(Some((2, 2 * height))));
        }
        let mut places = Vec::new();
        let all = Height(1)..=Height(80);
        let visit = |_: &str, place| {
            places.push(place);
            Ok::<_, Error>(())
        };
        index.visit(EventKind::Transaction, "record_put.key", &all, visit).unwrap();
        places.sort_unstable();
        let expected = (2..=80).map(|height| Place { height: Height(height), tx: 1, event: 0 });
        assert_eq!(places, expected.collect::<Vec<_>>());
    }
}
