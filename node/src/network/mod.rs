//! The network: links between this node and the registered others.
//!
//! libp2p over TCP with Noise and Yamux; a full mesh; direct streams, no gossip.
//!
//! ```text
//!   driver ── send, broadcast ──> queue ──> writer ─┐              ┌─ reader ──> events ──> driver
//!                                 (one per peer     ├─ connection ─┤
//!                                  and channel)     │  (libp2p)    │
//!   manager ── owns the swarm: dials, lets in, chooses one connection per peer as the link
//! ```
//!
//! - **Who.** Only registered keys are let in, at the handshake, when Noise has shown the key
//!   (`gate`). A key that is removed loses its connections at once.
//!   Where guests are received, a key that is not registered may show an invitation, and is answered
//!   on one stream, within narrow bounds (`guest`); without one it gets nothing. `visit` is the
//!   guest's own side of it.
//! - **What.** A link (`link`) starts with a hello: protocol version, chain id, genesis hash. It
//!   carries two channels, each on a stream of its own, so that votes never wait behind
//!   transactions; and requests with their answers, each on a stream of its own.
//! - **How much.** Frames are bounded before memory is taken (`frames`), queues by number and
//!   bytes (`queue`), what a peer may have unread likewise (`events`), its speed (`rate`),
//!   handshakes by number and by address (`handshakes`). What bounds a peer holds over all its
//!   links (`allowance`). All bounds stand in [`limits`].
//! - **A peer that hangs** is a full queue and then a lost link; it never holds up another one.
//!   Consensus that finds its queue full gives the link up: the replica sends again what matters
//!   when it is back. Transactions that find it full are dropped.
//!
//! Nothing here knows what frames mean.

mod allowance;
mod claim;
mod context;
mod counters;
mod dial;
mod error;
mod events;
mod frames;
mod gate;
mod guest;
mod guests;
mod hall;
mod handle;
mod handshakes;
mod hello;
mod identity;
pub mod limits;
mod link;
mod manager;
mod muxer;
mod peer;
mod queue;
mod rate;
mod requests;
mod source;
mod sparse;
mod streams;
#[cfg(test)]
mod tests;
mod visit;

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tandem_chain::keys::{PublicKey, SecretKey};
use tandem_chain::types::{ChainId, Hash, Timestamp};

#[doc(hidden)]
pub use claim::claim_frame;
pub use counters::{Counter, Counters};
pub(crate) use dial::{Configured, resolve};
pub use error::{Error, HelloError};
pub use events::{Events, Frame, NetworkEvent};
pub use guest::{Guest, Host, Welcome};
pub use guests::GuestId;
pub(crate) use handle::socket;
pub use handle::{Network, try_listen};
pub use hello::{Hello, PROTOCOL_VERSION};
pub use identity::peer_id;
pub use rate::{Rate, Rates};
pub use source::Source;
pub use visit::Visit;

/// One of a link's two channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Channel {
    /// Votes, proposals, follow messages: few, urgent, and sent again when a link was lost.
    Consensus,
    /// Transactions: many, dropped when a peer does not take them.
    Transactions,
}

impl Channel {
    /// Most bytes of a frame.
    #[must_use]
    pub const fn max_frame(self) -> usize {
        match self {
            Self::Consensus => limits::MAX_CONSENSUS_FRAME,
            Self::Transactions => limits::MAX_TRANSACTIONS_FRAME,
        }
    }

    fn stall_max(self) -> Duration {
        match self {
            Self::Consensus => limits::CONSENSUS_STALL_MAX,
            Self::Transactions => limits::TRANSACTIONS_STALL_MAX,
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Consensus => "consensus",
            Self::Transactions => "transactions",
        })
    }
}

/// What a network needs to start.
#[derive(Clone, Debug)]
pub struct NetworkConfig {
    /// The node's key.
    pub secret: SecretKey,
    /// Where to listen: `/ip4/ADDRESS/tcp/PORT` or `/ip6/...`; port 0 takes a free one.
    pub listen: String,
    /// The chain.
    pub chain_id: ChainId,
    /// Hash of its genesis.
    pub genesis: Hash,
    /// Addresses to use for a node in the place of those that [`Network::set_peers`] gives. A node
    /// that has an entry here is dialled even before it is registered, so that a node that is
    /// behind can learn from it ([`Network::set_caught_up`]); it is let in, and its requests are
    /// served, only when it is registered.
    pub dial: BTreeMap<PublicKey, Vec<String>>,
    /// Addresses to try for a node besides those that [`Network::set_peers`] gives. A node that has an
    /// entry here is dialled before it is registered as one of `dial` is.
    pub bootstrap: BTreeMap<PublicKey, Vec<String>>,
    /// How fast each peer may send.
    pub rates: Rates,
}

/// A linked peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerInfo {
    /// Its key.
    pub key: PublicKey,
    /// The other end of the connection, as a multiaddress.
    pub address: String,
    /// Whether this node dialled.
    pub dialled: bool,
    /// When the link was made.
    pub since: Timestamp,
    /// How long it took last to the peer and back; none before it was measured.
    pub round_trip: Option<Duration>,
    /// Bytes of frames received on this link.
    pub bytes_received: u64,
    /// Bytes of frames sent on this link.
    pub bytes_sent: u64,
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}
