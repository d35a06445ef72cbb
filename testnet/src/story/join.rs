//! A third node of an organisation joins a network under load, by one command at one of the
//! organisation's nodes and one on the new machine; it follows, and leaves again. No block waits
//! for any of it.

use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::time::Instant;

use super::Stage;
use super::machine::{Machine, admin_file, invite, send};
use super::scene::{SOON, since};
use crate::layout::Spec;
use crate::stats::ms;
use crate::until::until;
use crate::watcher::longest_gap;

/// Blocks before and behind each step, in which a gap would show.
const BLOCKS: u64 = 20;

/// Plays it.
pub async fn play(stage: &mut Stage) -> Result<()> {
    let watcher = stage.open(Spec::default(), &[], &[]).await?;
    let load = stage.steady_load(&watcher, stage.size(stage.options.rate, 500.0, 200.0)).await?;
    let layout = stage.net().layout().clone();
    // It is invited through one node, and watched by another's.
    let (through, other) = (layout.node("alpha-b")?.clone(), layout.node("charlie-a")?.clone());
    let from = watcher.height();
    watcher.reached(from.plus(BLOCKS), SOON).await?;

    let token = invite(stage, &through).await?;
    stage.report.holds(format!(
        "`tandem node invite` at {} prints a token of {} characters",
        through.name,
        token.len()
    ));
    let mut machine = Machine::new(stage, "alpha-c")?;
    let start = Instant::now();
    machine.join(stage, &token).await?;
    let key = machine.is_registered(stage.net().rpc(&other.name)).await?;
    let registered = start.elapsed();
    stage.report.holds(format!(
        "`tandem join` on a new machine: {} is in the register {:.0} ms after the command",
        &key.to_string()[..12],
        ms(registered)
    ));
    machine.follows(stage.net().rpc(&other.name), watcher.height()).await?;
    let caught_up = start.elapsed();
    machine.is_alive(stage.net().rpc(&other.name), &key).await?;
    stage.report.holds(format!(
        "it is at the tip after {:.0} ms, and recorded alive after {}",
        ms(caught_up),
        since(start, Instant::now())
    ));
    let status = machine.rpc()?.status().await?.tandem;
    let org = status.organization.as_ref().map(ToString::to_string).unwrap_or_default();
    ensure!(status.role == "observer" && org == "alpha", "it is {} of {org}", status.role);
    let members = layout.nodes.len();
    until("it is connected with all others", SOON, || async {
        let peers = machine.rpc()?.status().await?.tandem.peers;
        ensure!(peers == members, "it has {peers} peers of {members}");
        Ok(())
    })
    .await?;
    stage.report.holds(format!("knowing where one member is, it has found all {members}"));
    watcher.reached(watcher.height().plus(BLOCKS), SOON).await?;

    let start = Instant::now();
    let remove = ["node", "remove", &key.to_string()];
    let admin = admin_file(stage, &through.org);
    let removed = send(stage, &other, &remove, admin.as_ref()).await?;
    until("it has lost its connections", SOON, || async {
        for node in &layout.nodes {
            let nodes = stage.net().rpc(&node.name).nodes().await?.nodes;
            ensure!(nodes.iter().all(|node| node.key != key), "{} knows it", node.name);
        }
        let peers = machine.rpc()?.status().await?.tandem.peers;
        ensure!(peers == 0, "it has {peers} peers");
        Ok(())
    })
    .await?;
    let last = machine.rpc()?.height().await?;
    ensure!(last <= removed.plus(2), "removed in block {removed}, it has block {last}");
    stage.report.holds(format!(
        "`tandem node remove`: in block {removed} it leaves the register and loses its connections, \
         {} after the command; its last block is {last}",
        since(start, Instant::now())
    ));
    watcher.reached(watcher.height().plus(BLOCKS), SOON).await?;
    ensure!(machine.rpc()?.height().await? == last, "it got a block after it was removed");
    machine.stop().await?;

    let (gap, height) = longest_gap(&watcher.since(from));
    let bound = Duration::from_millis(stage.parameters().propose_timeout_ms);
    ensure!(gap <= bound, "block {height} came {:.0} ms after the one before", ms(gap));
    stage.report.holds(format!(
        "no block came more than {:.0} ms after the one before: a propose timeout is {:.0} ms",
        ms(gap),
        ms(bound)
    ));
    let tracker = load.tracker().clone();
    let summary = stage.end_load(load).await?;
    let names = stage.net().names();
    stage.same_state(&names).await?;
    let chain = stage.read_chain(&other.name).await?;
    chain.has_each_once(&tracker.receipts())?;
    stage.report.figure("command_to_register_ms", ms(registered));
    stage.report.figure("command_to_tip_ms", ms(caught_up));
    stage.report.figure("longest_gap_between_blocks_ms", ms(gap));
    stage.report.figure("committed_txs", summary.committed);
    Ok(())
}
