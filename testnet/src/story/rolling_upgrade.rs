//! A rolling upgrade under load: in each pair the standby gets the new program, takes the seat by a planned
//! switch, and then the other node gets it. No block takes a second round, and no transaction is lost.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tandem_chain::types::Height;
use tokio::time::Instant;

use super::Stage;
use super::planned::switch;
use super::scene::{READY, SOON, rounds_above_zero, since};
use crate::control::Command;
use crate::layout::{Node, Preset, Spec};
use crate::network::owned;
use crate::stats::ms;
use crate::until::until;
use crate::watcher::{Seen, Watcher};

/// Blocks before the first step and behind each other one, in which a round that it cost would show.
const BLOCKS: u64 = 10;

/// Plays it.
pub async fn play(stage: &mut Stage) -> Result<()> {
    // In short it is played beside other work: there a proposer has the time that it has between sites.
    let preset = stage.size(None, Preset::Lan, Preset::Wan);
    let watcher = stage.open(Spec { preset, ..Spec::default() }, &[], &[]).await?;
    let load = stage.steady_load(&watcher, stage.size(stage.options.rate, 500.0, 200.0)).await?;
    let next = next_program(stage).await?;
    let (start, from) = (Instant::now(), watcher.height());
    watcher.reached(from.plus(BLOCKS), SOON).await?;

    for org in stage.net().orgs().to_vec() {
        let seat = stage.seat(&org, &watcher).await?;
        let (holder, standby) = (&seat.holder, &seat.partner);
        upgrade(stage, standby, &next, &watcher).await?;
        let before = watcher.height();
        let effective = switch(stage, &seat).await?;
        let moved = stage.seat_moves(&org, &seat, &watcher, before, SOON).await?;
        ensure!(moved.block.height == effective, "the seat moved at {}", moved.block.height);
        watcher.reached(effective.plus(BLOCKS), SOON).await?;
        stage.report.holds(format!(
            "`tandem switch {org}`: {} holds the seat from height {effective}, in term {}",
            standby.name,
            seat.term.next()
        ));
        upgrade(stage, holder, &next, &watcher).await?;
    }
    let took = start.elapsed();
    for node in &stage.net().layout().nodes {
        runs(stage, node, &next).await?;
    }
    let nodes = stage.net().layout().nodes.len();
    stage.report.holds(format!(
        "all {nodes} nodes run the new file, {} after the first was stopped",
        since(start, Instant::now())
    ));

    let end = watcher.height().plus(BLOCKS);
    watcher.reached(end.next(), SOON).await?;
    let above = rounds_above_zero(&watcher, from, end);
    ensure!(above == 0, "{above} rounds above 0 from height {from} to {end}");
    let gap = longest_gap(&watcher, from);
    stage.report.holds(format!("no round above 0 from height {from} to {end}"));

    let tracker = load.tracker().clone();
    let summary = stage.end_load(load).await?;
    ensure!(summary.offered == summary.committed, "{} were offered", summary.offered);
    let names = stage.net().names();
    stage.same_state(&names).await?;
    let chain = stage.read_chain(&names[0]).await?;
    let receipts = tracker.receipts();
    ensure!(receipts.len() == summary.offered, "{} receipts are known", receipts.len());
    chain.has_each_once(&receipts)?;
    stage.report.holds(format!(
        "each of the {} transactions that were offered stands in the chain once: none is lost",
        receipts.len()
    ));
    let report = &mut stage.report;
    report.figure("upgrade_s", took.as_secs_f64());
    report.figure("blocks", end.0 - from.0 + 1);
    report.figure("rounds_above_0", above);
    report.figure("longest_gap_between_blocks_ms", ms(gap));
    report.figure("offered_txs_per_s", summary.offered_per_s);
    report.figure("offered_txs", summary.offered);
    report.figure("committed_txs", summary.committed);
    report.figure("lost_txs", summary.offered - summary.committed);
    report.figure("latency_p99_ms", summary.latency.p99_ms);
    Ok(())
}

/// The longest time between two blocks by the times in them: when they were seen depends on the node that is
/// asked, and all of them are stopped once. It tells how far the machine is loaded, too.
fn longest_gap(watcher: &Watcher, from: Height) -> Duration {
    let seen = watcher.since(from);
    let gap = |pair: &[Seen]| pair[1].block.time.since(pair[0].block.time);
    seen.windows(2).map(gap).max().unwrap_or_default()
}

/// The new program: the same bytes in another file, so that the kernel tells which of them a process runs.
async fn next_program(stage: &mut Stage) -> Result<PathBuf> {
    let folder = stage.folder.path().join("next");
    std::fs::create_dir(&folder)?;
    let path = folder.join("tandem");
    tokio::fs::copy(&stage.tandem, &path).await.context("copying the program")?;
    let path = path.canonicalize()?;
    for node in &stage.net().layout().nodes {
        runs(stage, node, &stage.tandem).await?;
    }
    stage.report.does(format!("the new program is at {}", path.display()));
    Ok(path)
}

/// Stops a standby, replaces its program, starts it, and waits until it could take the seat again.
async fn upgrade(stage: &mut Stage, node: &Node, next: &Path, watcher: &Watcher) -> Result<()> {
    let (start, name) = (Instant::now(), node.name.as_str());
    let role = stage.net().rpc(name).status().await?.tandem.role;
    ensure!(role == "standby", "{name} is to be stopped and is a {role}");
    let stopped = watcher.height();
    stage.net().stop(&[name]).await?;
    let nodes = owned(&[name]);
    stage.net().tell(Command::Program { nodes, path: next.to_owned() }).await?;
    stage.net().start(&[name], READY).await?;
    runs(stage, node, next).await?;
    stage.is_standby_at_tip(node, watcher).await?;
    stage.recorded(node, true, watcher, watcher.height().next()).await?;
    is_ready(stage, node).await?;
    watcher.reached(watcher.height().plus(BLOCKS), SOON).await?;
    stage.report.holds(format!(
        "{name}, standby, stopped after block {stopped}, runs the new file and could take the seat again {} \
         later",
        since(start, Instant::now())
    ));
    Ok(())
}

/// Waits until `seats` of the node itself says what `tandem switch` needs: the record calls it alive.
async fn is_ready(stage: &Stage, node: &Node) -> Result<()> {
    let client = stage.net().rpc(&node.name).client();
    until(&format!("{} could take the seat", node.name), SOON, || async {
        let seats = client.seats(1).await?.seats;
        let seat = seats.into_iter().find(|seat| seat.seat == node.org).context("no such seat")?;
        ensure!(seat.partner == Some(node.key), "it is not the seat's standby");
        ensure!(seat.partner_ready == Some(true), "the newest record calls it dead");
        Ok(())
    })
    .await
}

/// A node's process runs this very file.
async fn runs(stage: &Stage, node: &Node, program: &Path) -> Result<()> {
    let pid = stage.net().pid(&node.name).await?;
    let file = std::fs::read_link(format!("/proc/{pid}/exe"))?;
    ensure!(file == program, "{} runs {}", node.name, file.display());
    Ok(())
}
