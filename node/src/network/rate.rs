//! How fast a peer may send. One that is faster is read from later: its own stream fills up.

use std::time::{Duration, Instant};

use super::Channel;

/// A bound on frames and bytes per second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Frames per second.
    pub frames: u32,
    /// Bytes per second.
    pub bytes: u32,
}

/// The bounds of both channels, for each peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// Votes, proposals, follow messages.
    pub consensus: Rate,
    /// Transactions; a frame holds many.
    pub transactions: Rate,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            consensus: Rate { frames: 5_000, bytes: 64 * 1024 * 1024 },
            transactions: Rate { frames: 2_000, bytes: 32 * 1024 * 1024 },
        }
    }
}

impl Rates {
    pub(super) fn of(&self, channel: Channel) -> Rate {
        match channel {
            Channel::Consensus => self.consensus,
            Channel::Transactions => self.transactions,
        }
    }
}

/// What a peer may save up by sending nothing.
const BURST: Duration = Duration::from_secs(1);

/// Measures what one peer sends in one channel.
pub(super) struct Meter {
    rate: Rate,
    /// When all that came so far would have come at the allowed rate.
    due: Instant,
}

impl Meter {
    pub(super) fn new(rate: Rate, now: Instant) -> Self {
        Self { rate, due: now }
    }

    /// Counts a frame.
    pub(super) fn count(&mut self, length: usize, now: Instant) {
        let per_second = |amount: f64, rate: u32| amount / f64::from(rate.max(1));
        #[expect(clippy::cast_precision_loss, reason = "lengths are far below 2^52")]
        let seconds =
            per_second(length as f64, self.rate.bytes).max(per_second(1.0, self.rate.frames));
        self.due = self.due.max(now) + Duration::from_secs_f64(seconds);
    }

    /// The time to wait before the next frame is read.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        self.due.saturating_duration_since(now).checked_sub(BURST).filter(|wait| !wait.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let start = Instant::now();
        let rate = Rate { frames: 10, bytes: 1_000 };
        let mut meter = Meter::new(rate, start);
        let mut count = |length, now| {
            meter.count(length, now);
            meter.wait(now)
        };
        for _ in 0..10 {
            assert_eq!(count(1, start), None);
        }
        assert_eq!(count(1, start), Some(Duration::from_millis(100)));
        assert_eq!(count(500, start), Some(Duration::from_millis(600)));
        let later = start + Duration::from_millis(700);
        assert_eq!(count(1, later), None, "both were waited for");
        assert_eq!(count(1, later), Some(Duration::from_millis(100)));
        let much_later = start + Duration::from_secs(60);
        assert_eq!(count(1_000, much_later), None, "no more than a burst is saved up");
        assert_eq!(count(1_000, much_later), Some(Duration::from_secs(1)));
    }
}
