//! Counters of the network, by reason.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Channel;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Its value.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(super) fn count(&self) {
        self.add(1);
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What happened between this node and its peers since it started.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[$doc])* pub $name: Counter,)*
        }

        impl Counters {
            /// All by name.
            pub fn all(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name.get()),)*].into_iter()
            }
        }
    };
}

impl Counters {
    /// Bytes of frames received in a channel.
    pub(super) fn received(&self, channel: Channel) -> &Counter {
        match channel {
            Channel::Consensus => &self.consensus_bytes_received,
            Channel::Transactions => &self.transactions_bytes_received,
        }
    }

    /// Bytes of frames sent in a channel.
    pub(super) fn sent(&self, channel: Channel) -> &Counter {
        match channel {
            Channel::Consensus => &self.consensus_bytes_sent,
            Channel::Transactions => &self.transactions_bytes_sent,
        }
    }
}

counters! {
    /// Connections refused since the key that the peer proved is not registered, and it showed no
    /// invitation.
    refused_unregistered,
    /// Visits of guests whose invitation was good.
    guests_received,
    /// Visits that ended with one word: the invitation is of no use any more, or the node is registered
    /// already.
    guests_told,
    /// Visits that were ended since the guest was over a limit, or did what none may.
    guests_ended,
    /// Connections refused since too many are open, or in the handshake.
    refused_limit,
    /// Links made.
    links_made,
    /// Links that had to wait to begin, since the last one with the peer had begun just before.
    links_delayed,
    /// Links that ended.
    links_ended,
    /// Dials that failed.
    dials_failed,
    /// Connections closed since the peer speaks another protocol version.
    hello_protocol,
    /// Connections closed since the peer is of another chain.
    hello_chain,
    /// Connections closed since the peer has another genesis.
    hello_genesis,
    /// Connections closed since the peer's hello could not be read.
    hello_unreadable,
    /// Connections closed since a frame, a request or an answer was over its limit.
    frames_too_long,
    /// Connections closed since too many frames of consensus waited for the peer.
    overflows,
    /// Connections closed since the peer took nothing, or nothing was heard of it.
    stalls,
    /// Connections closed since the peer broke the protocol of streams.
    violations,
    /// Frames of transactions dropped since too many waited for the peer.
    transactions_dropped,
    /// Frames dropped since the peer was not connected.
    unconnected_dropped,
    /// Times that reading from a peer was held back since it sent faster than it may.
    throttled,
    /// Requests of peers refused since too many were being served, or by the driver.
    requests_refused,
    /// Requests refused since the peer is not registered.
    requests_unregistered,
    /// Answers given up since the peer took them too slowly.
    answers_too_slow,
    /// Own requests that had no answer in time.
    requests_timed_out,
    /// Bytes of frames of consensus received.
    consensus_bytes_received,
    /// Bytes of frames of consensus sent.
    consensus_bytes_sent,
    /// Bytes of frames of transactions received.
    transactions_bytes_received,
    /// Bytes of frames of transactions sent.
    transactions_bytes_sent,
    /// Frames received.
    frames_received,
    /// Frames sent.
    frames_sent,
}
