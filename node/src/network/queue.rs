//! Frames that wait to be written to one peer in one channel: bounded by number and by bytes.
//! Putting one in never waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;

use super::Channel;
use super::limits::{
    MAX_QUEUED_CONSENSUS_BYTES, MAX_QUEUED_FRAMES, MAX_QUEUED_TRANSACTIONS_BYTES, WRITE_FRAMES,
};

/// The queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// Where frames are put in.
pub(super) struct Queue {
    frames: mpsc::Sender<Arc<[u8]>>,
    bytes: Arc<AtomicUsize>,
    max_bytes: usize,
}

/// Where they are taken out.
pub(super) struct Waiting {
    frames: mpsc::Receiver<Arc<[u8]>>,
    bytes: Arc<AtomicUsize>,
}

impl Queue {
    pub(super) fn new(channel: Channel) -> (Self, Waiting) {
        let max_bytes = match channel {
            Channel::Consensus => MAX_QUEUED_CONSENSUS_BYTES,
            Channel::Transactions => MAX_QUEUED_TRANSACTIONS_BYTES,
        };
        let (sender, frames) = mpsc::channel(MAX_QUEUED_FRAMES);
        let bytes = Arc::new(AtomicUsize::new(0));
        let waiting = Waiting { frames, bytes: Arc::clone(&bytes) };
        (Self { frames: sender, bytes, max_bytes }, waiting)
    }

    pub(super) fn push(&self, frame: Arc<[u8]>) -> Result<(), Full> {
        let length = frame.len();
        let before = self.bytes.fetch_add(length, Ordering::Relaxed);
        if before + length <= self.max_bytes && self.frames.try_send(frame).is_ok() {
            return Ok(());
        }
        self.bytes.fetch_sub(length, Ordering::Relaxed);
        Err(Full)
    }
}

impl Waiting {
    /// Waits for frames and moves up to [`WRITE_FRAMES`] of them into `batch`; false when there
    /// will be no more. Nothing is lost when the future is dropped. They count as waiting until
    /// [`Waiting::written`].
    pub(super) async fn take(&mut self, batch: &mut Vec<Arc<[u8]>>) -> bool {
        self.frames.recv_many(batch, WRITE_FRAMES).await > 0
    }

    /// `frame` has been written.
    pub(super) fn written(&self, frame: &[u8]) {
        self.bytes.fetch_sub(frame.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_full_by_bytes_until_frames_are_written() {
        let (queue, mut waiting) = Queue::new(Channel::Transactions);
        let quarter: Arc<[u8]> = vec![0; MAX_QUEUED_TRANSACTIONS_BYTES / 4].into();
        for _ in 0..4 {
            queue.push(Arc::clone(&quarter)).unwrap();
        }
        assert_eq!(queue.push(vec![0].into()), Err(Full));
        let mut batch = Vec::new();
        assert!(waiting.take(&mut batch).await);
        assert_eq!(batch.len(), 4);
        assert_eq!(queue.push(vec![0].into()), Err(Full), "taken is not yet written");
        waiting.written(&batch[0]);
        queue.push(vec![0].into()).unwrap();
    }

    #[tokio::test]
    async fn it_is_full_by_number() {
        let (queue, mut waiting) = Queue::new(Channel::Consensus);
        let frame: Arc<[u8]> = vec![0].into();
        for _ in 0..MAX_QUEUED_FRAMES {
            queue.push(Arc::clone(&frame)).unwrap();
        }
        assert_eq!(queue.push(Arc::clone(&frame)), Err(Full));
        let mut batch = Vec::new();
        assert!(waiting.take(&mut batch).await);
        assert_eq!(batch.len(), WRITE_FRAMES);
        queue.push(frame).unwrap();
        drop(queue);
        let mut left = 0;
        loop {
            batch.clear();
            if !waiting.take(&mut batch).await {
                break;
            }
            left += batch.len();
        }
        assert_eq!(left, MAX_QUEUED_FRAMES - WRITE_FRAMES + 1);
    }
}
