//! A standby whose disk was wiped is not given the seat before it has caught up, though its
//! validator is dead; then it is.

use anyhow::{Result, ensure};

use super::Stage;
use super::scene::{READY, SOON};
use crate::control::Command;
use crate::layout::Spec;
use crate::network::owned;
use crate::until::until;

/// Delay of the standby's links while it must stay behind; a dead validator would be replaced
/// within less than the time that this makes it wait.
const DELAY_MS: u64 = 1_000;
/// Blocks that must pass without a switch, in failover windows.
const WINDOWS: u64 = 3;

/// Plays it.
pub async fn play(stage: &mut Stage) -> Result<()> {
    let watcher = stage.open(Spec::default(), &[], &["delta-a", "delta-b"]).await?;
    let org = stage.net().orgs()[3].clone();
    let seat = stage.seat(&org, &watcher).await?;
    let (holder, partner) = (seat.holder.name.as_str(), seat.partner.name.as_str());
    let load = stage.steady_load(&watcher, stage.size(stage.options.rate, 200.0, 200.0)).await?;
    watcher.reached(watcher.height().plus(100), READY).await?;

    stage.net().stop(&[partner]).await?;
    stage.net().tell(Command::Wipe { nodes: owned(&[partner]) }).await?;
    stage.report.holds(format!("{partner} is stopped and its data folder wiped"));
    stage.net().kill(&[holder]).await?;
    let killed = watcher.height();
    stage.report.holds(format!("{holder}, holder of seat {org}, is killed after block {killed}"));

    let between = owned(&[partner]);
    let slow = Command::Link { between, and: vec![], delay_ms: DELAY_MS, loss_percent: 0.0 };
    stage.net().tell(slow).await?;
    stage.net().start(&[partner], READY).await?;
    stage
        .report
        .holds(format!("{partner} starts with an empty disk, behind links of {DELAY_MS} ms"));

    let dead = stage.recorded(&seat.holder, false, &watcher, killed.next()).await?;
    let blocks = WINDOWS * stage.parameters().failover_blocks;
    let later = watcher.reached(dead.block.height.plus(blocks), READY).await?;
    let status = stage.net().rpc(partner).status().await?;
    ensure!(
        status.sync_info.latest_block_height < dead.block.height,
        "{partner} caught up to {} behind its slow links: nothing was shown",
        status.sync_info.latest_block_height
    );
    let still = stage.seat(&org, &watcher).await?;
    ensure!(still.holder.key == seat.holder.key && still.term == seat.term, "the seat moved");
    let framed = watcher.since(dead.block.height).into_iter().find(|seen| {
        seen.block.height <= later.block.height && stage.is_alive(&seen.block, &seat.partner.key)
    });
    ensure!(framed.is_none(), "{partner} is behind and yet was recorded alive");
    stage.report.holds(format!(
        "{blocks} blocks after {holder} was recorded dead, {partner} is at height {} and has not \
         been given the seat",
        status.sync_info.latest_block_height
    ));

    stage.net().tell(Command::Heal).await?;
    let tip = watcher.height();
    until(&format!("{partner} catches up"), READY, || async {
        let status = stage.net().rpc(partner).status().await?;
        ensure!(
            status.sync_info.latest_block_height >= tip,
            "it is at height {} of {tip}",
            status.sync_info.latest_block_height
        );
        Ok(())
    })
    .await?;
    stage.report.holds(format!("its links healed, {partner} catches up to block {tip}"));
    let alive = stage.recorded(&seat.partner, true, &watcher, later.block.height).await?;
    let moved = stage.seat_moves(&org, &seat, &watcher, killed, SOON).await?;
    let effective = moved.block.height;
    let least = alive.block.height.plus(stage.parameters().failover_blocks);
    ensure!(
        effective > least,
        "the seat moved at {effective}, too soon after {}",
        alive.block.height
    );
    stage.report.holds(format!(
        "recorded alive from block {} on, it holds the seat from height {effective}",
        alive.block.height
    ));
    stage.net().start(&[holder], READY).await?;
    stage.is_standby_at_tip(&seat.holder, &watcher).await?;
    stage.report.holds(format!("{holder}, started again, is the standby"));

    let tracker = load.tracker().clone();
    stage.end_load(load).await?;
    let names = stage.net().names();
    stage.same_state(&names).await?;
    let chain = stage.read_chain(partner).await?;
    chain.has_each_once(&tracker.receipts())?;
    stage.report.figure("blocks_without_a_switch", blocks);
    stage.report.figure("alive_to_switch_blocks", effective.0 - alive.block.height.0);
    Ok(())
}
