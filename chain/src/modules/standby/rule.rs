//! The rule of the automatic switch, as the design's section 6 has it, on numbers alone.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::types::{Height, Power};

/// The run of a seat: blocks in a row whose record calls its holder dead and its partner alive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Blocks in the run.
    pub count: u64,
    /// Nanoseconds from the first block of the run to the last, each interval capped.
    pub sum_ns: u64,
}

/// What the rule looks at in block k for one seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// k.
    pub height: Height,
    /// e: effective height of the seat's last change of holder or pair.
    pub effective: Height,
    /// Whether R_k calls the holder in table(k+1) dead.
    pub holder_is_dead: bool,
    /// Whether there is a partner and R_k calls it alive.
    pub partner_is_alive: bool,
    /// Power of the seat.
    pub power: Power,
    /// f of table(k+1).
    pub f: Power,
    /// T(k) - T(k-1).
    pub interval: Duration,
    /// Most that an interval counts.
    pub idle_block_interval: Duration,
    /// N.
    pub failover_blocks: u64,
    /// Least time from the first block of the run to the last.
    pub failover_min: Duration,
}

impl Run {
    /// The run after block k, and whether the seat goes to the partner.
    #[must_use]
    pub fn step(self, step: &Step) -> (Self, bool) {
        let counts = step.height > step.effective
            && step.holder_is_dead
            && step.partner_is_alive
            && step.power <= step.f;
        if !counts {
            return (Self::default(), false);
        }
        let interval = nanos(step.interval.min(step.idle_block_interval));
        let run = Self {
            count: self.count + 1,
            sum_ns: if self.count == 0 { 0 } else { self.sum_ns.saturating_add(interval) },
        };
        let is_over = run.count >= step.failover_blocks && run.sum_ns >= nanos(step.failover_min);
        (run, is_over)
    }

    /// The least number of further blocks after which the seat goes to the partner; none when no
    /// run is under way.
    #[must_use]
    pub fn blocks_left(
        self,
        idle_block_interval: Duration,
        failover_blocks: u64,
        failover_min: Duration,
    ) -> Option<u64> {
        if self.count == 0 {
            return None;
        }
        let time_left = nanos(failover_min).saturating_sub(self.sum_ns);
        let for_time = time_left.div_ceil(nanos(idle_block_interval).max(1));
        Some(failover_blocks.saturating_sub(self.count).max(for_time))
    }
}

/// Nanoseconds as in [`Run::sum_ns`]: 584 years at most.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
