//! What can go wrong between nodes.

use tandem_chain::keys::PublicKey;
use tandem_chain::types::{ChainId, Hash};

use super::Channel;
use super::counters::Counters;

/// Why the network does not start, or a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the message of each variant says what it is")]
pub enum Error {
    #[error("cannot listen on {address}: {reason}")]
    Listen { address: String, reason: String },
    #[error("the node key cannot be used for connections: {reason}")]
    Key { reason: String },
    #[error("node {peer} is not connected")]
    NotConnected { peer: PublicKey },
    #[error("node {peer} is not reachable: {reason}")]
    Unreachable { peer: PublicKey, reason: String },
    #[error(
        "node {peer} closed the connection without a word: it does not know the invitation (is that of \
         its chain, signed by a member's admin key; is its chain up to date, its protocol this \
         program's?), or receives too many guests now: try again, or ask for a new one"
    )]
    NotReceived { peer: PublicKey },
    #[error("node {peer} did not answer in time")]
    TimedOut { peer: PublicKey },
    #[error("node {peer} refused the request")]
    Refused { peer: PublicKey },
    #[error("node {peer} answered with {got} bytes, at most {max} are allowed")]
    AnswerTooLong { peer: PublicKey, max: usize, got: usize },
}

/// Why a peer's first frame was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the message of each variant says what it is")]
pub enum HelloError {
    #[error("it speaks protocol {theirs}, this node speaks {ours}")]
    Protocol { ours: u32, theirs: u32 },
    #[error("it is of chain {theirs}, this node is of {ours}")]
    Chain { ours: ChainId, theirs: ChainId },
    #[error("its genesis is {theirs}, this node's is {ours}")]
    Genesis { ours: Hash, theirs: Hash },
    #[error("its hello cannot be read: {reason}")]
    Unreadable { reason: String },
}

/// Why a link with a peer ended. A new one is made unless the peer was removed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum End {
    #[error("it is not registered")]
    Removed,
    #[error("another connection with it is in use")]
    Surplus,
    #[error("it made a new connection")]
    Replaced,
    #[error("this node stops")]
    Shutdown,
    #[error("closed by the other side")]
    Closed,
    #[error("connection lost: {0}")]
    Lost(String),
    #[error("nothing was heard of it for too long")]
    Silent,
    #[error("it took nothing of {0} for too long")]
    Stalled(Channel),
    #[error("too many frames of {0} wait for it")]
    Overflow(Channel),
    #[error("frame of {channel} has {got} bytes, at most {max} are allowed")]
    TooLong { channel: Channel, max: usize, got: usize },
    #[error("hello refused: {0}")]
    Hello(#[from] HelloError),
    #[error("no agreement on the connection's streams in time")]
    SetUp,
    #[error("it broke the protocol: {0}")]
    Violation(&'static str),
}

impl End {
    pub(super) fn count(&self, counters: &Counters) {
        match self {
            Self::Hello(error) => error.count(counters),
            Self::TooLong { .. } => counters.frames_too_long.count(),
            Self::Overflow(_) => counters.overflows.count(),
            Self::Silent | Self::Stalled(_) | Self::SetUp => counters.stalls.count(),
            Self::Violation(_) => counters.violations.count(),
            Self::Removed
            | Self::Surplus
            | Self::Replaced
            | Self::Shutdown
            | Self::Closed
            | Self::Lost(_) => {}
        }
    }

    /// Whether an operator should look into it.
    pub(super) fn is_fault(&self) -> bool {
        matches!(self, Self::Hello(_) | Self::TooLong { .. } | Self::Violation(_))
    }
}
