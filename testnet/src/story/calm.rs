//! What a change of members under load must not disturb: blocks come in time, and what is offered
//! is committed.

use std::time::Duration;

use anyhow::{Result, ensure};
use tandem_chain::types::Height;
use tokio::time::Instant;

use super::Stage;
use crate::load::Load;
use crate::stats::{ms, per_second};
use crate::watcher::{Watcher, longest_gap};

/// The least part of what the load offers that is committed.
const SHARE: f64 = 0.9;

/// A time in which members change, from its first block on.
pub struct Calm {
    /// The first block.
    pub from: Height,
    start: Instant,
    rate: f64,
    committed: usize,
}

impl Calm {
    /// Begins at the newest block, under a load that offers `rate` transactions a second.
    pub fn begin(watcher: &Watcher, load: &Load, rate: f64) -> Self {
        let committed = load.tracker().counts().committed;
        Self { from: watcher.height(), start: Instant::now(), rate, committed }
    }

    /// Ends now: no block came more than a propose timeout after the one before, and nine tenths of
    /// what the load offers were committed, or more.
    pub fn held(self, stage: &mut Stage, watcher: &Watcher, load: &Load) -> Result<()> {
        let committed = load.tracker().counts().committed - self.committed;
        let (committed, rate) = (per_second(committed, self.start.elapsed()), self.rate);
        let (gap, height) = longest_gap(&watcher.since(self.from));
        let bound = Duration::from_millis(stage.parameters().propose_timeout_ms);
        ensure!(gap <= bound, "block {height} came {:.0} ms after the one before", ms(gap));
        ensure!(
            committed >= SHARE * rate,
            "{committed:.0} transactions a second were committed, of {rate} that the load offers"
        );
        stage.report.holds(format!(
            "no block came more than {:.0} ms after the one before: a propose timeout is {:.0} ms",
            ms(gap),
            ms(bound)
        ));
        stage.report.holds(format!(
            "{committed:.0} transactions a second were committed meanwhile, of {rate} that the \
             load offers"
        ));
        stage.report.figure("longest_gap_between_blocks_ms", ms(gap));
        stage.report.figure("committed_txs_per_s", committed.round());
        Ok(())
    }
}
