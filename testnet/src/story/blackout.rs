//! All nodes killed at once under load, again and again: the chain resumes, and keeps every
//! promise.

use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::time::Instant;

use super::Stage;
use super::scene::{READY, SOON, wall_clock};
use crate::layout::Spec;
use crate::rpc::BlockView;
use crate::stats::{Latency, ms};

/// Blocks that the chain makes between two blackouts.
const BLOCKS_BETWEEN: u64 = 20;

/// Plays it.
pub async fn play(stage: &mut Stage) -> Result<()> {
    let watcher = stage.open(Spec::default(), &[], &[]).await?;
    let load = stage.steady_load(&watcher, stage.size(stage.options.rate, 200.0, 200.0)).await?;
    let tracker = load.tracker().clone();
    let names = stage.net().names();
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    let bound = Duration::from_millis(stage.parameters().timeout_max_ms);

    let mut resumptions = Vec::new();
    let times = stage.size(stage.options.times, 10, 3);
    for time in 1..=times {
        let tip = watcher.height();
        watcher.reached(tip.plus(BLOCKS_BETWEEN), READY).await?;
        stage.net().kill(&all).await?;
        let (killed, tip, told) = (wall_clock(), watcher.height(), tracker.counts().committed);
        let started = Instant::now();
        stage.net().start(&all, READY).await?;
        let ready = Instant::now();
        // A block that was proposed before the blackout may be shown only now: what counts is one
        // that was made since.
        let made = |block: &BlockView| (block.time > killed).then_some(());
        let (first, ()) = watcher.find("a new block", tip.next(), SOON, made).await?;
        let after = first.at.saturating_duration_since(ready);
        ensure!(after <= bound, "blackout {time}: no block for {after:.1?} after all were ready");
        resumptions.push(after);
        stage.report.holds(format!(
            "blackout {time} at block {tip}, {told} transactions promised: all answer after {:.0} ms, \
             a new block {:.0} ms later",
            ms(ready - started),
            ms(after)
        ));
    }
    let summary = stage.end_load(load).await?;
    stage.same_state(&names).await?;
    let chain = stage.read_chain(&names[0]).await?;
    chain.has_each_once(&tracker.receipts())?;
    stage.report.holds(format!(
        "all {} transactions that were promised are still there, once",
        summary.committed
    ));
    stage.report.figure("blackouts", times);
    stage.report.figure("longest_resumption_ms", Latency::of(resumptions).max_ms);
    stage.report.figure("committed_txs", summary.committed);
    Ok(())
}
