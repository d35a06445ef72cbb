//! What admission counts, and how often it warns.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

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
    /// A peer's that found its share of the queue full, or had to make room for other peers'.
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
            ChainError::BadSignature { what: "transaction", .. } => Counted::BadSignature,
            ChainError::Expired { .. } | ChainError::TooFar { .. } => Counted::Validity,
            ChainError::UnknownSender { .. } | ChainError::Suspended { .. } => {
                Counted::UnknownSender
            }
            ChainError::Repeated { .. } => Counted::Committed,
            ChainError::MempoolFull { .. } => Counted::Full,
            _ => Counted::Other,
        };
        self.count(what, 1);
    }
}

/// Least time between two warnings of one kind.
const WARN_EVERY: Duration = Duration::from_secs(1);

/// Lets a warning through now and then, so that whoever causes them cannot fill the log.
#[derive(Debug, Default)]
pub(super) struct Warnings(Mutex<Option<Instant>>);

impl Warnings {
    /// Whether the next one may be given.
    pub fn is_due(&self, now: Instant) -> bool {
        let mut last = self.0.lock().expect("no holder of the lock panics");
        let is_due = last.is_none_or(|last| now.saturating_duration_since(last) >= WARN_EVERY);
        if is_due {
            *last = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_come_once_a_second() {
        let (start, warnings) = (Instant::now(), Warnings::default());
        let due = [0, 1, 999, 1_000, 1_500, 2_001]
            .map(|ms| warnings.is_due(start + Duration::from_millis(ms)));
        assert_eq!(due, [true, false, false, true, false, true]);
        assert!(!warnings.is_due(start), "another thread was slower");
    }

    #[test]
    fn every_kind_has_its_name_at_its_place() {
        for (place, (what, _)) in NAMES.iter().enumerate() {
            assert_eq!(*what as usize, place);
        }
    }
}
