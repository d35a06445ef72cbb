//! A node moves to another port: all reach it within two blocks of its transaction, and nobody else
//! restarts. That it is reached, and not merely there, is seen since it cannot dial anyone itself.

use anyhow::{Result, ensure};
use tokio::time::Instant;

use super::Stage;
use super::machine::{Machine, invite, send};
use super::scene::{SOON, since};
use crate::layout::{Preset, Spec};
use crate::until::until;

/// Blocks after the one with the transaction by which all have reached it.
const WITHIN: u64 = 2;

/// Plays it.
pub async fn play(stage: &mut Stage) -> Result<()> {
    // Blocks every half second, so that two of them are more than a handshake on a busy machine.
    let spec = Spec { preset: Preset::Wan, ..Spec::default() };
    let watcher = stage.open(spec, &[], &[]).await?;
    let layout = stage.net().layout().clone();
    let (through, other) = (layout.node("bravo-a")?.clone(), layout.node("delta-b")?.clone());
    let token = invite(stage, &through).await?;
    let mut machine = Machine::new(stage, "bravo-c")?;
    machine.join(stage, &token).await?;
    let key = machine.is_registered(stage.net().rpc(&other.name)).await?;
    machine.follows(stage.net().rpc(&other.name), watcher.height()).await?;
    stage.report.holds("bravo-c has joined, and follows");

    machine.stop().await?;
    let before = machine.address();
    let address = machine.move_away(&layout.nodes)?;
    machine.start(stage).await?;
    let rpc = machine.rpc()?;
    until("it answers", SOON, || async { rpc.status().await }).await?;
    // The others dial where it was, again and again, more and more rarely.
    watcher.reached(watcher.height().plus(10), SOON).await?;
    let peers = rpc.status().await?.tandem.peers;
    ensure!(peers == 0, "it has {peers} peers, though nobody knows where it is");
    stage.report.holds(format!("it has moved from {before} to {address}: nobody reaches it"));

    let start = Instant::now();
    let set = ["node", "address", "set", address.as_str()];
    let moved = send(stage, &other, &set, &machine.key_file()).await?;
    let reached = until("all reach it", SOON, || async {
        for node in &layout.nodes {
            let nodes = stage.net().rpc(&node.name).nodes().await?.nodes;
            let entry = nodes.into_iter().find(|node| node.key == key);
            let is_there = entry.is_some_and(|entry| {
                entry.connected && entry.addresses == std::slice::from_ref(&address)
            });
            ensure!(is_there, "{} does not reach it", node.name);
        }
        Ok(watcher.height())
    })
    .await?;
    let took = Instant::now();
    ensure!(reached <= moved.plus(WITHIN), "its transaction is in block {moved}, it is {reached}");
    stage.report.holds(format!(
        "`tandem node address set` is in block {moved}: all {} reach it by block {reached}, {} after \
         the command, and nobody else restarted",
        layout.nodes.len(),
        since(start, took)
    ));
    machine.follows(stage.net().rpc(&other.name), watcher.height()).await?;
    machine.is_alive(stage.net().rpc(&other.name), &key).await?;
    stage.report.holds("it is at the tip, and recorded alive");
    machine.stop().await?;
    let names = stage.net().names();
    stage.same_state(&names).await?;
    stage.read_chain(&other.name).await?;
    stage.report.figure("blocks_until_all_reach_it", reached.0.saturating_sub(moved.0));
    Ok(())
}
