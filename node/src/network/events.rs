//! What the network tells the driver.
//!
//! Two queues: links and consensus before transactions and requests, so that a vote never waits
//! behind a flood of transactions. Both are bounded, and so is what one peer may have in them (see
//! [`Budget`]): a peer that sends faster than the driver takes is not read from, the others are.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use tandem_chain::keys::PublicKey;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::Channel;
use super::limits::{
    MAX_EVENTS, MAX_UNREAD_CONSENSUS_BYTES, MAX_UNREAD_FRAMES, MAX_UNREAD_TRANSACTIONS_BYTES,
};

/// Something from the network.
#[derive(Debug)]
pub enum NetworkEvent {
    /// A link with this node is there: what is sent to it from now on goes out, in both channels.
    Connected(PublicKey),
    /// The link is gone, with whatever was on its way. A new one is being tried for unless the
    /// node was removed.
    Disconnected(PublicKey),
    /// A frame. Those of one peer and channel come in order. Frames of
    /// [`Channel::Consensus`] come between the peer's `Connected` and `Disconnected`; those of
    /// [`Channel::Transactions`] may come later.
    Message {
        /// The peer.
        from: PublicKey,
        /// The channel.
        channel: Channel,
        /// The frame's bytes.
        bytes: Frame,
    },
    /// A request. Dropping `reply` refuses it.
    Request {
        /// The peer.
        from: PublicKey,
        /// The request's bytes.
        bytes: Vec<u8>,
        /// Takes the answer, of at most [`super::limits::MAX_ANSWER_BYTES`].
        reply: oneshot::Sender<Vec<u8>>,
    },
}

/// Bytes that a peer sent. While it is kept, it counts against what that peer may have unread.
pub struct Frame {
    bytes: Vec<u8>,
    _share: Option<OwnedSemaphorePermit>,
}

impl Frame {
    /// The bytes; they no longer count against the peer.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

impl From<Vec<u8>> for Frame {
    /// A frame that counts against nobody.
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, _share: None }
    }
}

impl Deref for Frame {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame({} bytes)", self.bytes.len())
    }
}

/// What one peer may have unread in one channel, in bytes and in frames, whatever links the frames
/// came on: a small frame takes the share of one in [`MAX_UNREAD_FRAMES`].
pub(super) struct Budget {
    shares: Arc<Semaphore>,
    bytes: usize,
    least: usize,
}

impl Budget {
    pub(super) fn new(channel: Channel) -> Self {
        let bytes = match channel {
            Channel::Consensus => MAX_UNREAD_CONSENSUS_BYTES,
            Channel::Transactions => MAX_UNREAD_TRANSACTIONS_BYTES,
        };
        Self { shares: Arc::new(Semaphore::new(bytes)), bytes, least: bytes / MAX_UNREAD_FRAMES }
    }

    /// Whether nothing of it is used.
    pub(super) fn is_whole(&self) -> bool {
        self.shares.available_permits() == self.bytes
    }

    /// Waits until a frame of this length has room.
    pub(super) async fn share(&self, length: usize) -> Share {
        let share = u32::try_from(length.max(self.least)).expect("a budget is below 4 GiB");
        let permit = Arc::clone(&self.shares).acquire_many_owned(share).await;
        Share(permit.expect("the semaphore is never closed"))
    }
}

/// Room for a frame.
pub(super) struct Share(OwnedSemaphorePermit);

impl Share {
    pub(super) fn hold(self, bytes: Vec<u8>) -> Frame {
        Frame { bytes, _share: Some(self.0) }
    }
}

/// The driver is gone.
#[derive(Clone, Copy, Debug)]
pub(super) struct NoDriver;

/// Takes events in.
#[derive(Clone)]
pub(super) struct EventSender {
    urgent: mpsc::Sender<NetworkEvent>,
    bulk: mpsc::Sender<NetworkEvent>,
}

impl EventSender {
    pub(super) async fn send(&self, event: NetworkEvent) -> Result<(), NoDriver> {
        let queue = match event {
            NetworkEvent::Message { channel: Channel::Transactions, .. }
            | NetworkEvent::Request { .. } => &self.bulk,
            _ => &self.urgent,
        };
        queue.send(event).await.map_err(|_| NoDriver)
    }
}

/// The driver's end.
#[derive(Debug)]
pub struct Events {
    urgent: mpsc::Receiver<NetworkEvent>,
    bulk: mpsc::Receiver<NetworkEvent>,
}

impl Events {
    pub(super) fn new() -> (EventSender, Self) {
        let (urgent, urgent_end) = mpsc::channel(MAX_EVENTS);
        let (bulk, bulk_end) = mpsc::channel(MAX_EVENTS);
        (EventSender { urgent, bulk }, Self { urgent: urgent_end, bulk: bulk_end })
    }

    /// The next event: links and consensus first. None when the network has stopped. Nothing is
    /// lost when the future is dropped.
    pub async fn recv(&mut self) -> Option<NetworkEvent> {
        tokio::select! {
            biased;
            Some(event) = self.urgent.recv() => Some(event),
            Some(event) = self.bulk.recv() => Some(event),
            else => None,
        }
    }

    /// The next event if one is there.
    pub fn try_recv(&mut self) -> Option<NetworkEvent> {
        self.urgent.try_recv().or_else(|_| self.bulk.try_recv()).ok()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    const PEER: PublicKey = PublicKey([1; 32]);

    fn message(channel: Channel, byte: u8) -> NetworkEvent {
        NetworkEvent::Message { from: PEER, channel, bytes: vec![byte].into() }
    }

    #[tokio::test]
    async fn consensus_comes_before_transactions_and_each_in_order() {
        let (sender, mut events) = Events::new();
        for byte in [1, 2] {
            sender.send(message(Channel::Transactions, byte)).await.unwrap();
        }
        sender.send(NetworkEvent::Connected(PEER)).await.unwrap();
        for byte in [3, 4] {
            sender.send(message(Channel::Consensus, byte)).await.unwrap();
        }
        drop(sender);
        let mut order = Vec::new();
        while let Some(event) = events.recv().await {
            order.push(match event {
                NetworkEvent::Message { bytes, .. } => bytes[0],
                _ => 0,
            });
        }
        assert_eq!(order, [0, 3, 4, 1, 2]);
    }

    #[test]
    fn a_budget_counts_bytes_and_frames() {
        let budget = Budget::new(Channel::Consensus);
        assert!(budget.is_whole());
        let whole = budget.share(MAX_UNREAD_CONSENSUS_BYTES).now_or_never().unwrap();
        assert!(!budget.is_whole());
        assert!(budget.share(0).now_or_never().is_none());
        let frame = whole.hold(vec![1]);
        assert!(budget.share(0).now_or_never().is_none());
        assert_eq!(frame.into_bytes(), [1]);
        let small: Vec<_> =
            (0..MAX_UNREAD_FRAMES).map(|_| budget.share(1).now_or_never().unwrap()).collect();
        assert!(budget.share(0).now_or_never().is_none());
        drop(small);
        assert!(budget.is_whole());
        assert!(budget.share(MAX_UNREAD_CONSENSUS_BYTES).now_or_never().is_some());
    }
}
