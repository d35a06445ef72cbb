//! A node that stands still does not slow the others: committed transactions a second with one
//! node paused, and without, in turns.

use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::time::Instant;

use super::Stage;
use super::scene::{READY, SOON};
use crate::control::Command;
use crate::layout::Spec;
use crate::load::{Load, Plan};
use crate::network::owned;
use crate::stats::{median, per_second};
use crate::watcher::Watcher;

/// Transactions without a receipt at a time, which keeps the network busy and its queues short.
const IN_FLIGHT: usize = 1_000;
/// Share of the rate without a paused node that must be left with one.
const SHARE: f64 = 0.9;

/// Plays it.
pub async fn play(stage: &mut Stage) -> Result<()> {
    let watcher = stage.open(Spec::default(), &[], &["bravo-a", "bravo-b"]).await?;
    let org = stage.net().orgs()[1].clone();
    let secs = Duration::from_secs(stage.size(stage.options.secs, 5, 3));
    let times = stage.size(stage.options.times, 5, 3);
    // The paused node is sent nothing: what is measured is what it does to the other nodes.
    let signer = stage.signer();
    let nodes = stage.net().rpcs_but(&["bravo-a", "bravo-b"]);
    let load = Load::start(nodes, &watcher, signer, Plan::saturating(IN_FLIGHT)).await?;
    measure(&load, secs).await;

    // First as a validator: its seat moves, and from then on it is a follower that stands still.
    let seat = stage.seat(&org, &watcher).await?;
    let name = seat.holder.name.clone();
    let from = watcher.height();
    stage.net().tell(Command::Pause { nodes: owned(&[&name]) }).await?;
    let moved = stage.seat_moves(&org, &seat, &watcher, from, SOON).await?;
    stage
        .report
        .holds(format!("{name} is paused, and its seat moves at height {}", moved.block.height));
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in 0..times {
        with.push(measure(&load, secs).await);
        stage.net().tell(Command::Resume { nodes: owned(&[&name]) }).await?;
        back_at_tip(stage, &seat.holder, &watcher).await?;
        without.push(measure(&load, secs).await);
        stage.net().tell(Command::Pause { nodes: owned(&[&name]) }).await?;
    }
    stage.net().tell(Command::Resume { nodes: owned(&[&name]) }).await?;
    let (with_median, without_median) = (median(&with), median(&without));
    ensure!(
        with_median >= SHARE * without_median,
        "{with_median:.0} transactions a second with {name} paused, {without_median:.0} without: \
         {with:.0?} and {without:.0?}"
    );
    stage.report.holds(format!(
        "{with_median:.0} transactions a second with {name} paused, {without_median:.0} without \
         (medians of {times} runs in turns)"
    ));
    stage.end_load(load).await?;
    let names = stage.net().names();
    stage.same_state(&names).await?;
    stage.report.figure("committed_per_s_with_a_node_paused", with_median.round());
    stage.report.figure("committed_per_s_without", without_median.round());
    Ok(())
}

/// Committed transactions a second over `time`.
async fn measure(load: &Load, time: Duration) -> f64 {
    let (start, before) = (Instant::now(), load.tracker().counts().committed);
    tokio::time::sleep(time).await;
    per_second(load.tracker().counts().committed - before, start.elapsed())
}

async fn back_at_tip(stage: &Stage, node: &crate::layout::Node, watcher: &Watcher) -> Result<()> {
    stage.is_standby_at_tip(node, watcher).await?;
    tokio::time::timeout(READY, stage.recorded(node, true, watcher, watcher.height())).await??;
    Ok(())
}
