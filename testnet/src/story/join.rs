//! A third node of an organisation joins a network under load, by one command at one of the
//! organisation's nodes and one on the new machine; it follows, and leaves again. So does a fifth
//! organisation with its pair, that the others have voted for. No block waits for any of it.

use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::time::Instant;

use super::Stage;
use super::machine::{
    Machine, Voter, admin_file, block_of, carried, has_block, invite, invite_by, send, tandem,
};
use super::scene::{SOON, since};
use crate::layout::Spec;
use crate::stats::ms;
use crate::until::until;
use crate::watcher::{Watcher, longest_gap};

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

    let fifth = fifth_organisation(stage, &watcher).await?;

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
    stage.report.figure("command_to_role_table_ms", ms(fifth));
    stage.report.figure("longest_gap_between_blocks_ms", ms(gap));
    stage.report.figure("committed_txs", summary.committed);
    Ok(())
}

/// An organisation joins with a pair, and is removed; the time from the command on its first machine to the
/// role table.
async fn fifth_organisation(stage: &mut Stage, watcher: &Watcher) -> Result<Duration> {
    let layout = stage.net().layout().clone();
    let at = |name: &str| -> Result<Voter> {
        let node = layout.node(name)?;
        Ok(Voter { admin: admin_file(stage, &node.org), url: node.rpc_url() })
    };
    let voters = [at("bravo-a")?, at("charlie-b")?, at("delta-a")?];
    let admin = stage.folder.path().join("echo-admin.json").display().to_string();
    tandem(stage, &["keys", "new", &admin]).await?;
    let change = ["add", "echo", "--admin-key", &admin];
    let (answer, summary) = carried(stage, &voters, &change).await?;
    let by = Voter { admin, url: voters[0].url.clone() };
    let host = stage.net().rpc("bravo-a").clone();
    // It may be a block behind the node that had the last vote.
    has_block(&host, block_of(&answer)?).await?;
    let mut machines = Vec::new();
    let mut took = Duration::ZERO;
    for (name, is_first) in [("echo-a", true), ("echo-b", false)] {
        let token = invite_by(stage, &by, &[]).await?;
        let mut machine = Machine::new(stage, name)?;
        let start = Instant::now();
        machine.join(stage, &token).await?;
        let key = machine.is_registered(&host).await?;
        if is_first {
            let holds = until("it holds the new seat", SOON, || async {
                let seats = host.client().seats(1).await?.seats;
                let seat = seats.into_iter().find(|seat| seat.seat.as_str() == "echo");
                ensure!(seat.is_some_and(|seat| seat.holder == Some(key)), "the seat is left out");
                Ok(())
            });
            holds.await.map_err(|error| machine.explain(error))?;
            took = start.elapsed();
        }
        machine.follows(&host, watcher.height()).await?;
        machine.is_alive(&host, &key).await?;
        machines.push(machine);
    }
    stage.report.holds(format!(
        "a fifth organisation joins ({}): its first node is in the role table {:.0} ms after the \
         command, its second is its standby, both are alive",
        summary.unwrap_or_default(),
        ms(took)
    ));
    watcher.reached(watcher.height().plus(BLOCKS), SOON).await?;
    let (answer, _) = carried(stage, &voters, &["remove", "echo"]).await?;
    let removed = block_of(&answer)?;
    for machine in &mut machines {
        let rpc = machine.rpc()?;
        let quiet = until("its node has lost its connections", SOON, || async {
            let peers = rpc.status().await?.tandem.peers;
            ensure!(peers == 0, "it has {peers} peers");
            Ok(())
        });
        quiet.await.map_err(|error| machine.explain(error))?;
        let last = rpc.height().await?;
        ensure!(last <= removed.plus(2), "removed in block {removed}, it has block {last}");
        machine.stop().await?;
    }
    stage.report.holds(format!(
        "it is removed in block {removed}: its nodes lose their connections, and get no block more"
    ));
    watcher.reached(watcher.height().plus(BLOCKS), SOON).await?;
    Ok(took)
}
