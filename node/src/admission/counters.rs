//! What admission counts.

use std::sync::atomic::{AtomicU64, Ordering};

use tandem_chain::Error as ChainError;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Came into the mempool.
    Admitted,
    /// Waited in the mempool already.
    Duplicate,
    /// Sent in frames to validators, one for each frame that it went in.
    Forwarded,
    /// Over the limit of length, or not decodable.
    Undecodable,
    /// For another chain.
    OtherChain,
    /// Signature that is not the sender's.
    BadSignature,
    /// Expired, or valid for too long.
    Validity,
    /// From a key that no organisation has registered.
    UnknownSender,
    /// In the chain already.
    Committed,
    /// A client's that found queue or mempool full.
    Full,
    /// A peer's that found its share of the queue full.
    PeerQueueFull,
    /// Frame of a peer that was refused as a whole.
    BadFrame,
    /// Refused for another reason.
    Other,
}

const NAMES: [(Counted, &str); 13] = [
    (Counted::Admitted, "admitted"),
    (Counted::Duplicate, "duplicate"),
    (Counted::Forwarded, "forwarded"),
    (Counted::Undecodable, "undecodable"),
    (Counted::OtherChain, "other_chain"),
    (Counted::BadSignature, "bad_signature"),
    (Counted::Validity, "validity"),
    (Counted::UnknownSender, "unknown_sender"),
    (Counted::Committed, "committed"),
    (Counted::Full, "full"),
    (Counted::PeerQueueFull, "peer_queue_full"),
    (Counted::BadFrame, "bad_frame"),
    (Counted::Other, "other"),
];

/// Counters since the start; each only rises.
#[derive(Debug, Default)]
pub struct Counters([AtomicU64; NAMES.len()]);

impl Counters {
    /// The count of one kind.
    #[must_use]
    pub fn get(&self, what: Counted) -> u64 {
        self.0[what as usize].load(Ordering::Relaxed)
    }

    /// All, by name.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        NAMES.iter().map(|(what, name)| (*name, self.get(*what)))
    }

    pub(super) fn count(&self, what: Counted, by: u64) {
        self.0[what as usize].fetch_add(by, Ordering::Relaxed);
    }

    pub(super) fn refused(&self, error: &ChainError) {
        let what = match error {
            ChainError::TooLong { .. }
            | ChainError::Undecodable { .. }
            | ChainError::NotCanonical { .. } => Counted::Undecodable,
            ChainError::OtherChain { .. } => Counted::OtherChain,
            ChainError::BadSignature { .. } => Counted::BadSignature,
            ChainError::Expired { .. } | ChainError::TooFar { .. } => Counted::Validity,
            ChainError::UnknownSender { .. } => Counted::UnknownSender,
            ChainError::Repeated { .. } => Counted::Committed,
            ChainError::MempoolFull { .. } => Counted::Full,
            _ => Counted::Other,
        };
        self.count(what, 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_name_at_its_place() {
        for (place, (what, _)) in NAMES.iter().enumerate() {
            assert_eq!(*what as usize, place);
        }
    }
}
