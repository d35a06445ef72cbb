//! A third node of an organisation leaves a network under load, by one command, and so does a fifth
//! organisation with its pair, by a motion that the others have voted for. They lose their
//! connections and get no block more; no block of the others waits for any of it.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tandem_chain::types::Height;
use tandem_node::rpc::shapes::tandem::NodeEntry;
use tokio::time::Instant;

use super::Stage;
use super::calm::Calm;
use super::join::{Fifth, fifth_organisation};
use super::machine::{Machine, admin_file, block_of, carried, invite, send};
use super::role_tables::table_at_all;
use super::scene::{SOON, since};
use crate::layout::{Node, Spec};
use crate::rpc::{Rpc, height};
use crate::stats::ms;
use crate::until::until;
use crate::watcher::Watcher;

/// Blocks before and behind each step, in which a gap would show; who has left gets none of them.
const BLOCKS: u64 = 20;
/// Blocks from the one that removes a node to the last that it may get.
const WITHIN: u64 = 2;

/// Plays it.
pub async fn play(stage: &mut Stage) -> Result<()> {
    let watcher = stage.open(Spec::default(), &[], &[]).await?;
    let layout = stage.net().layout().clone();
    let (through, other) = (layout.node("alpha-b")?.clone(), layout.node("charlie-a")?.clone());
    let host = stage.net().rpc(&other.name).clone();
    let token = invite(stage, &through).await?;
    let mut third = Machine::new(stage, "alpha-c")?;
    third.join(stage, &token).await?;
    third.is_registered(&host).await?;
    third.follows(&host, watcher.height()).await?;
    stage.report.holds("alpha-c has joined, and follows");
    let mut fifth = fifth_organisation(stage, &watcher).await?;

    let rate = stage.size(stage.options.rate, 500.0, 200.0);
    let load = stage.steady_load(&watcher, rate).await?;
    let calm = Calm::begin(&watcher, &load, rate);
    watcher.reached(calm.from.plus(BLOCKS), SOON).await?;
    // It is removed by its organisation's key, through another's node.
    let node = node_leaves(stage, &watcher, &mut third, &through, &other).await?;
    let seat = organisation_leaves(stage, &watcher, &mut fifth).await?;
    calm.held(stage, &watcher, &load)?;

    let tracker = load.tracker().clone();
    let summary = stage.end_load(load).await?;
    let names = stage.net().names();
    stage.same_state(&names).await?;
    let chain = stage.read_chain(&other.name).await?;
    chain.has_each_once(&tracker.receipts())?;
    stage.report.figure("command_to_out_of_register_ms", ms(node));
    stage.report.figure("command_to_out_of_role_table_ms", ms(seat));
    stage.report.figure("committed_txs", summary.committed);
    Ok(())
}

/// A node leaves by one command, sent through `other`; the time from it until the node is in no
/// register.
async fn node_leaves(
    stage: &mut Stage,
    watcher: &Watcher,
    machine: &mut Machine,
    own: &Node,
    other: &Node,
) -> Result<Duration> {
    let (key, admin) = (machine.secret()?.public(), admin_file(stage, &own.org));
    let start = Instant::now();
    let remove = ["node", "remove", &key.to_string()];
    let removed = send(stage, other, &remove, admin.as_ref()).await?;
    is_forgotten(&stage.net().rpcs_but(&[]), |node| node.key == key).await?;
    let took = start.elapsed();
    stage.report.holds(format!(
        "`tandem node remove`: in block {removed} it leaves the register, at all nodes {} after \
         the command",
        since(start, start + took)
    ));
    is_cut_off(&machine.rpc()?).await.map_err(|error| machine.explain(error))?;
    watcher.reached(watcher.height().plus(BLOCKS), SOON).await?;
    let last = gets_no_more(machine, removed).await?;
    stage.report.holds(format!("it is cut off: its last block is {last}"));
    Ok(took)
}

/// An organisation leaves by a motion; the time from its first command until the seat is out of the
/// role table that is in effect at all nodes.
async fn organisation_leaves(
    stage: &mut Stage,
    watcher: &Watcher,
    fifth: &mut Fifth,
) -> Result<Duration> {
    let (org, nodes) = (&fifth.org, stage.net().rpcs_but(&[]));
    let start = Instant::now();
    let (answer, summary) = carried(stage, &fifth.voters, &["remove", org.as_str()]).await?;
    let removed = block_of(&answer)?;
    let effective =
        answer["effective"].as_str().context("a motion that is carried has a height")?;
    let effective = height(effective)?;
    let table = table_at_all(&nodes, effective).await?;
    let took = start.elapsed();
    let before = table_at_all(&nodes, effective.back(1)).await?;
    let mut others = before.seats().clone();
    ensure!(others.remove(org).is_some(), "{org} has no seat before height {effective}");
    ensure!(*table.seats() == others, "of height {effective} is the table {:?}", table.seats());
    is_forgotten(&nodes, |node| node.organization == *org).await?;
    stage.report.holds(format!(
        "`tandem org propose remove {org}` and {} votes ({}): carried in block {removed}, from \
         height {effective} on its seat is out of the role tables of all, {} after the first \
         command",
        fifth.voters.len() - 1,
        summary.unwrap_or_default(),
        since(start, start + took)
    ));
    for machine in &fifth.machines {
        is_cut_off(&machine.rpc()?).await.map_err(|error| machine.explain(error))?;
    }
    watcher.reached(watcher.height().plus(BLOCKS), SOON).await?;
    let mut last = Height::ZERO;
    for machine in &mut fifth.machines {
        last = last.max(gets_no_more(machine, removed).await?);
    }
    stage.report.holds(format!("its nodes are cut off: their last block is {last}"));
    Ok(took)
}

/// Waits until no node has in its register what is `gone`.
pub async fn is_forgotten(nodes: &[Rpc], gone: impl Fn(&NodeEntry) -> bool) -> Result<()> {
    until("it is in no register", SOON, || async {
        for rpc in nodes {
            let known = rpc.nodes().await?.nodes;
            ensure!(!known.iter().any(&gone), "{} knows it", rpc.name());
        }
        Ok(())
    })
    .await
}

/// Waits until a node that was removed has no connection.
pub async fn is_cut_off(rpc: &Rpc) -> Result<()> {
    until("who was removed has lost its connections", SOON, || async {
        let peers = rpc.status().await?.tandem.peers;
        ensure!(peers == 0, "it has {peers} peers");
        Ok(())
    })
    .await
}

/// A machine that was removed has got no block of those since, and is stopped; its last block.
async fn gets_no_more(machine: &mut Machine, removed: Height) -> Result<Height> {
    let last = machine.rpc()?.height().await?;
    ensure!(last <= removed.plus(WITHIN), "removed in block {removed}, it has block {last}");
    machine.stop().await?;
    Ok(last)
}
