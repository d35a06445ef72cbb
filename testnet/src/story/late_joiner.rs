//! A new process with an empty disk, a genesis file and one address reaches the tip.
//!
//! It is not recorded alive: one validator alone sees it, and more than f power must.

use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::time::Instant;

use super::Stage;
use super::scene::READY;
use crate::control::Command;
use crate::layout::Spec;
use crate::network::owned;
use crate::stats::{ms, per_second};
use crate::until::until;

/// Plays it.
pub async fn play(stage: &mut Stage) -> Result<()> {
    let spec = Spec { observers: 1, addresses: false, ..Spec::default() };
    let watcher = stage.open(spec, &["obs-1"], &[]).await?;
    let load = stage.steady_load(&watcher, stage.size(stage.options.rate, 200.0, 200.0)).await?;
    let secs = Duration::from_secs(stage.size(stage.options.secs, 10, 5));
    tokio::time::sleep(secs).await;

    let (start, tip) = (Instant::now(), watcher.height());
    let dial = Some(owned(&["alpha-a"]));
    stage.net().tell(Command::Start { nodes: owned(&["obs-1"]), dial }).await?;
    stage.net().ready(&["obs-1"], READY).await?;
    stage.report.holds(format!(
        "obs-1 starts with an empty disk at block {tip}; all that it knows is the genesis, which \
         has no addresses, and where alpha-a is"
    ));
    let rpc = stage.net().rpc("obs-1");
    until("obs-1 reaches the tip", READY, || async {
        let status = rpc.status().await?;
        ensure!(
            status.sync_info.latest_block_height >= tip,
            "it is at height {} of {tip}",
            status.sync_info.latest_block_height
        );
        ensure!(
            !status.sync_info.catching_up,
            "it is catching up, at height {}",
            status.sync_info.latest_block_height
        );
        Ok(())
    })
    .await?;
    let took = start.elapsed();
    stage.report.holds(format!("it reaches the tip within {:.0} ms, under load", ms(took)));
    let tracker = load.tracker().clone();
    let summary = stage.end_load(load).await?;
    let names = stage.net().names();
    stage.same_state(&names).await?;
    let chain = stage.read_chain("obs-1").await?;
    chain.has_each_once(&tracker.receipts())?;
    stage.report.holds("it has every transaction");
    stage.report.figure("blocks_behind", tip.0);
    stage.report.figure("time_to_tip_ms", ms(took));
    stage.report.figure("blocks_per_s", per_second(usize::try_from(tip.0)?, took).round());
    stage.report.figure("committed_txs", summary.committed);
    Ok(())
}
