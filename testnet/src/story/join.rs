//! A third node of an organisation joins a network under load, by one command at one of the
//! organisation's nodes and one on the new machine, and follows. So does a fifth organisation with
//! its pair, that the others have voted for. No block waits for any of it.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tandem_chain::keys::PublicKey;
use tandem_chain::types::OrgName;
use tokio::time::Instant;

use super::Stage;
use super::calm::Calm;
use super::machine::{
    Machine, Voter, admin_file, block_of, carried, has_block, invite, invite_by, tandem,
};
use super::role_tables::table_at_all;
use super::scene::{SOON, since};
use crate::layout::Spec;
use crate::rpc::Rpc;
use crate::stats::ms;
use crate::until::until;
use crate::watcher::Watcher;

/// Blocks before and behind each step, in which a gap would show.
const BLOCKS: u64 = 20;

/// Plays it.
pub async fn play(stage: &mut Stage) -> Result<()> {
    let watcher = stage.open(Spec::default(), &[], &[]).await?;
    let rate = stage.size(stage.options.rate, 500.0, 200.0);
    let load = stage.steady_load(&watcher, rate).await?;
    let layout = stage.net().layout().clone();
    // It is invited through one node, and watched by another's.
    let (through, other) = (layout.node("alpha-b")?.clone(), layout.node("charlie-a")?.clone());
    let calm = Calm::begin(&watcher, &load, rate);
    watcher.reached(calm.from.plus(BLOCKS), SOON).await?;

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

    let fifth = fifth_organisation(stage, &watcher).await?;
    watcher.reached(watcher.height().plus(BLOCKS), SOON).await?;
    calm.held(stage, &watcher, &load)?;

    let tracker = load.tracker().clone();
    let summary = stage.end_load(load).await?;
    let names = stage.net().names();
    stage.same_state(&names).await?;
    let mut machines = fifth.machines;
    machines.push(machine);
    let host = stage.net().rpc(&other.name).clone();
    for machine in &machines {
        machine.follows(&host, host.height().await?).await?;
    }
    stage.report.holds(format!("so have the {} that joined", machines.len()));
    let chain = stage.read_chain(&other.name).await?;
    chain.has_each_once(&tracker.receipts())?;
    for machine in &mut machines {
        machine.stop().await?;
    }
    stage.report.figure("command_to_register_ms", ms(registered));
    stage.report.figure("command_to_tip_ms", ms(caught_up));
    stage.report.figure("command_to_role_table_ms", ms(fifth.took));
    stage.report.figure("committed_txs", summary.committed);
    Ok(())
}

/// A fifth organisation that has joined.
pub struct Fifth {
    /// Its name.
    pub org: OrgName,
    /// Its pair.
    pub machines: Vec<Machine>,
    /// The members that have voted for it, as many as a motion takes.
    pub voters: Vec<Voter>,
    /// The time from the command on its first machine to the role tables of all nodes.
    pub took: Duration,
}

/// An organisation joins with a pair.
pub async fn fifth_organisation(stage: &mut Stage, watcher: &Watcher) -> Result<Fifth> {
    let layout = stage.net().layout().clone();
    let at = |name: &str| -> Result<Voter> {
        let node = layout.node(name)?;
        Ok(Voter { admin: admin_file(stage, &node.org), url: node.rpc_url() })
    };
    let voters = vec![at("bravo-a")?, at("charlie-b")?, at("delta-a")?];
    let org: OrgName = "echo".parse()?;
    let admin = stage.folder.path().join(format!("{org}-admin.json")).display().to_string();
    tandem(stage, &["keys", "new", &admin]).await?;
    let change = ["add", org.as_str(), "--admin-key", &admin];
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
            let holds = holds_seat(&host, &stage.net().rpcs_but(&[]), &org, &key).await;
            holds.map_err(|error| machine.explain(error))?;
            took = start.elapsed();
        }
        machine.follows(&host, watcher.height()).await?;
        machine.is_alive(&host, &key).await?;
        machines.push(machine);
    }
    stage.report.holds(format!(
        "a fifth organisation joins ({}): its first node is in the role tables of all {:.0} ms \
         after the command, its second is its standby, both are alive",
        summary.unwrap_or_default(),
        ms(took)
    ));
    Ok(Fifth { org, machines, voters, took })
}

/// Waits until a key holds a new seat, by a node's word, and then in the role tables of all.
async fn holds_seat(host: &Rpc, nodes: &[Rpc], org: &OrgName, key: &PublicKey) -> Result<()> {
    let effective = until("it holds the new seat", SOON, || async {
        let seats = host.client().seats(1).await?.seats;
        let seat = seats.into_iter().find(|seat| seat.seat == *org);
        let seat = seat.filter(|seat| seat.holder == Some(*key));
        Ok(seat.context("the seat is left out")?.effective)
    })
    .await?;
    let table = table_at_all(nodes, effective).await?;
    let seat = table.seats().get(org);
    ensure!(seat.is_some_and(|seat| seat.holder == *key), "it does not hold it at {effective}");
    Ok(())
}
