//! Both nodes of one pair are killed: the rest go on, the seat keeps its holder, both rejoin.

use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::time::Instant;

use super::Stage;
use super::scene::{READY, SOON, since};
use crate::layout::Spec;
use crate::stats::ms;
use crate::watcher::longest_gap;

/// Plays it.
pub async fn play(stage: &mut Stage) -> Result<()> {
    let watcher = stage.open(Spec::default(), &[], &["charlie-a", "charlie-b"]).await?;
    let org = stage.net().orgs()[2].clone();
    let seat = stage.seat(&org, &watcher).await?;
    let pair = [seat.holder.name.as_str(), seat.partner.name.as_str()];
    let load = stage.steady_load(&watcher, stage.size(stage.options.rate, 200.0, 200.0)).await?;

    let (struck, before) = (Instant::now(), watcher.height());
    stage.net().kill(&pair).await?;
    stage.report.holds(format!("{} and {} are killed after block {before}", pair[0], pair[1]));
    for node in [&seat.holder, &seat.partner] {
        let dead = stage.recorded(node, false, &watcher, before.next()).await?;
        let (height, after) = (dead.block.height, since(struck, dead.at));
        stage
            .report
            .holds(format!("the record of block {height} calls {} dead, after {after}", node.name));
    }
    let secs = Duration::from_secs(stage.size(stage.options.secs, 8, 5));
    tokio::time::sleep_until(struck + secs).await;
    let tip = watcher.height();
    let made = tip.0 - before.0;
    ensure!(made > 2 * stage.parameters().failover_blocks, "only {made} blocks in {secs:?}");
    let still = stage.seat(&org, &watcher).await?;
    ensure!(still.holder.key == seat.holder.key && still.term == seat.term, "the seat moved");
    stage.report.holds(format!("the rest made {made} blocks, and the seat keeps its holder"));
    let (gap, _) = longest_gap(&watcher.since(before));

    let restarted = Instant::now();
    stage.net().start(&pair, READY).await?;
    for node in [&seat.holder, &seat.partner] {
        let alive = stage.recorded(node, true, &watcher, tip).await?;
        stage.report.holds(format!(
            "{}, started again, is recorded alive in block {}, after {}",
            node.name,
            alive.block.height,
            since(restarted, alive.at)
        ));
    }
    stage.is_standby_at_tip(&seat.partner, &watcher).await?;
    let address = seat.holder.key.address();
    let (voted, ()) = watcher
        .find("a certificate with the holder's vote", tip.next(), SOON, |block| {
            block.last_commit.signatures.iter().flatten().find(|s| s.address == address).map(|_| ())
        })
        .await?;
    let height = voted.block.last_commit.height;
    stage.report.holds(format!("{} votes again, in the certificate of height {height}", pair[0]));

    let tracker = load.tracker().clone();
    let summary = stage.end_load(load).await?;
    let names = stage.net().names();
    stage.same_state(&names).await?;
    let chain = stage.read_chain(pair[0]).await?;
    chain.has_each_once(&tracker.receipts())?;
    stage.report.figure("longest_gap_between_blocks_ms", ms(gap));
    stage.report.figure(
        "restart_to_first_counted_vote_ms",
        ms(voted.at.saturating_duration_since(restarted)),
    );
    stage.report.figure("committed_txs", summary.committed);
    Ok(())
}
