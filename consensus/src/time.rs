//! The replica's times: given from outside, never read.

use std::time::Duration;

use tandem_chain::types::Timestamp;

/// Monotonic time in nanoseconds since some fixed point of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(pub u64);

impl Instant {
    /// This time and `by` more, saturating.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// Time since `earlier`; zero when it is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// What both clocks of a node show as it handles an input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// The monotonic clock: for timeouts.
    pub instant: Instant,
    /// The wall clock: for times in headers and votes.
    pub wall: Timestamp,
}
