//! The newest blocks for all that follow them, each at its own pace.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{Semaphore, SemaphorePermit, watch};

use super::events::BlockEvents;
use crate::view::Committed;

/// Blocks that are kept for who is behind.
pub const MAX_BLOCKS: usize = 256;
/// Bytes of memory that they may take, by what a block takes with its events as texts; the newest is
/// kept, however large it is.
const MAX_BYTES: usize = 128 * 1024 * 1024;

/// Where blocks are published.
#[derive(Debug)]
pub struct Hub {
    kept: Mutex<Kept>,
    /// The number of the next block; blocks are counted from the start of the process.
    next: watch::Sender<u64>,
    is_closed: watch::Sender<bool>,
    turns: Semaphore,
}

/// The blocks before the next, the oldest first.
#[derive(Debug, Default)]
struct Kept {
    blocks: VecDeque<Arc<BlockEvents>>,
    bytes: usize,
}

impl Kept {
    fn drop_oldest(&mut self) {
        if let Some(block) = self.blocks.pop_front() {
            self.bytes -= block.bytes();
        }
    }
}

/// One that follows the blocks.
#[derive(Debug)]
pub struct Follower {
    hub: Arc<Hub>,
    published: watch::Receiver<u64>,
    next: u64,
    given: Option<u64>,
}

/// The next block is not there any more, or never was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behind;

impl Default for Hub {
    fn default() -> Self {
        Self {
            kept: Mutex::default(),
            next: watch::Sender::new(0),
            is_closed: watch::Sender::new(false),
            turns: Semaphore::new(1),
        }
    }
}

impl Hub {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().expect("no holder of the lock panics")
    }

    /// Adds a block. Without followers nothing is kept.
    pub fn publish(&self, committed: Arc<Committed>) {
        let mut kept = self.lock();
        if self.next.receiver_count() == 0 {
            *kept = Kept::default();
        } else {
            let block = Arc::new(BlockEvents::new(committed));
            kept.bytes += block.bytes();
            kept.blocks.push_back(block);
            while kept.blocks.len() > MAX_BLOCKS
                || (kept.bytes > MAX_BYTES && kept.blocks.len() > 1)
            {
                kept.drop_oldest();
            }
        }
        self.next.send_modify(|next| *next += 1);
    }

    /// Blocks were committed that are not here: all followers are behind.
    pub fn missed(&self) {
        let mut kept = self.lock();
        *kept = Kept::default();
        self.next.send_modify(|next| *next += 1);
    }

    /// Follows from the next block on.
    pub fn follow(self: &Arc<Self>) -> Follower {
        let _kept = self.lock();
        let published = self.next.subscribe();
        let next = *published.borrow();
        Follower { hub: self.clone(), published, next, given: None }
    }

    /// How many follow.
    #[cfg(test)]
    pub fn followers(&self) -> usize {
        self.next.receiver_count()
    }

    /// The turn to look for events that a session's queries match, while it is held: one session
    /// does at a time, so that no number of them and of their queries takes more than one processor.
    pub async fn turn(&self) -> SemaphorePermit<'_> {
        self.turns.acquire().await.expect("the semaphore is never closed")
    }

    /// No more blocks come: sessions end.
    pub fn close(&self) {
        self.is_closed.send_replace(true);
    }

    /// Waits until it is closed.
    pub async fn closed(&self) {
        let _ = self.is_closed.subscribe().wait_for(|is_closed| *is_closed).await;
    }

    /// A block by its number; none when it is the next.
    fn get(&self, number: u64) -> Result<Option<Arc<BlockEvents>>, Behind> {
        let kept = self.lock();
        let next = *self.next.borrow();
        let Some(back) = next.checked_sub(number).filter(|back| *back > 0) else {
            return Ok(None);
        };
        let index = usize::try_from(back).ok().and_then(|back| kept.blocks.len().checked_sub(back));
        index.and_then(|index| kept.blocks.get(index).cloned()).ok_or(Behind).map(Some)
    }
}

impl Follower {
    /// The next block, when it is there. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// When blocks were missed.
    pub async fn next(&mut self) -> Result<Arc<BlockEvents>, Behind> {
        loop {
            self.published.borrow_and_update();
            if let Some(block) = self.hub.get(self.next)? {
                self.given = Some(self.next);
                self.next += 1;
                return Ok(block);
            }
            // The sender is in the hub, which this holds.
            let _ = self.published.changed().await;
        }
    }

    /// Waits until the block that was given last is not kept any more: who still works on it then is
    /// behind, and would hold it for himself alone.
    pub fn lost(&self) -> impl Future<Output = ()> + use<> {
        let (hub, mut published) = (self.hub.clone(), self.published.clone());
        let given = self.given;
        async move {
            while given.is_none_or(|given| hub.get(given).is_ok()) {
                let _ = published.changed().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use tandem_chain::types::Height;

    use super::*;
    use crate::testing::Chain;

    /// So many blocks.
    fn blocks(count: usize) -> Vec<Arc<Committed>> {
        let mut chain = Chain::new();
        (0..count).map(|_| Arc::new(chain.commit(vec![]))).collect()
    }

    #[tokio::test]
    async fn followers_get_each_block_once_from_where_they_begin() {
        let blocks = blocks(4);
        let hub = Arc::new(Hub::default());
        hub.publish(blocks[0].clone());
        let mut first = hub.follow();
        assert!(first.next().now_or_never().is_none());
        hub.publish(blocks[1].clone());
        let mut second = hub.follow();
        hub.publish(blocks[2].clone());
        for expected in [2, 3] {
            assert_eq!(first.next().await.unwrap().height(), Height(expected));
        }
        assert_eq!(second.next().await.unwrap().height(), Height(3));
        assert!(first.next().now_or_never().is_none());
        let waits = tokio::spawn(async move { first.next().await.unwrap().height() });
        hub.publish(blocks[3].clone());
        assert_eq!(waits.await.unwrap(), Height(4));

        // Without followers nothing is kept, with the next count goes on.
        drop(second);
        hub.publish(blocks[3].clone());
        {
            let kept = hub.lock();
            assert_eq!((kept.blocks.len(), kept.bytes), (0, 0));
        }
        assert!(hub.follow().next().now_or_never().is_none());
    }

    #[tokio::test]
    async fn who_is_too_far_behind_is_told() {
        let block = blocks(1).remove(0);
        let hub = Arc::new(Hub::default());
        let mut slow = hub.follow();
        for _ in 0..MAX_BLOCKS {
            hub.publish(block.clone());
        }
        assert!(slow.next().await.is_ok());
        hub.publish(block.clone());
        assert!(slow.next().await.is_ok(), "the oldest that is kept");
        hub.publish(block.clone());
        hub.publish(block.clone());
        assert_eq!(slow.next().await.unwrap_err(), Behind);
        let kept = hub.lock();
        assert_eq!(
            (kept.blocks.len(), kept.bytes),
            (MAX_BLOCKS, MAX_BLOCKS * kept.blocks[0].bytes())
        );
    }

    #[tokio::test]
    async fn who_holds_a_block_is_told_when_it_is_not_kept_any_more() {
        let block = blocks(1).remove(0);
        let hub = Arc::new(Hub::default());
        let mut slow = hub.follow();
        let mut lost = Box::pin(slow.lost());
        for _ in 0..MAX_BLOCKS {
            hub.publish(block.clone());
            assert!((&mut lost).now_or_never().is_none(), "nothing was given");
        }
        drop(lost);
        slow.next().await.unwrap();
        let mut lost = Box::pin(slow.lost());
        assert!((&mut lost).now_or_never().is_none());
        hub.publish(block);
        lost.await;
        slow.next().await.unwrap();
        let lost = tokio::spawn(slow.lost());
        hub.missed();
        lost.await.unwrap();
    }

    #[tokio::test]
    async fn blocks_that_were_missed_are_not_passed_over() {
        let block = blocks(1).remove(0);
        let hub = Arc::new(Hub::default());
        let mut follower = hub.follow();
        hub.missed();
        hub.publish(block.clone());
        assert_eq!(follower.next().await.unwrap_err(), Behind);
        let mut fresh = hub.follow();
        hub.publish(block);
        assert!(fresh.next().await.is_ok());
    }

    #[test]
    fn what_is_kept_is_bounded_in_bytes() {
        let mut chain = Chain::new();
        chain.commit(vec![chain.create(1)]);
        let puts = (2..6).map(|nonce| chain.put(nonce, "key", &[7].repeat(180_000))).collect();
        let committed = Arc::new(chain.commit(puts));
        let hub = Arc::new(Hub::default());
        let _follower = hub.follow();
        for _ in 0..MAX_BLOCKS {
            hub.publish(committed.clone());
        }
        let kept = hub.lock();
        let one = kept.blocks[0].bytes();
        assert!(one > 3_000_000, "{one}");
        assert_eq!(kept.blocks.len(), MAX_BYTES / one);
    }
}
