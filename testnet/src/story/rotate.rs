//! A validator's key is rotated under load: a machine with a new key joins as an observer, takes
//! the place of the standby, is given the seat by a planned switch, and the old key leaves. No
//! block takes a second round, and no transaction is lost.

use anyhow::{Context as _, Result, ensure};
use tandem_chain::keys::PublicKey;
use tandem_chain::types::{Height, OrgName};
use tokio::time::Instant;

use super::Stage;
use super::calm::Calm;
use super::leave::{is_cut_off, is_forgotten};
use super::machine::{Machine, admin_file, invite, send};
use super::planned::switch;
use super::role_tables::table_at_all;
use super::scene::{SOON, Seat, rounds_above_zero, since};
use crate::layout::{Node, Preset, Spec};
use crate::rpc::Rpc;
use crate::stats::ms;
use crate::until::until;
use crate::watcher::Watcher;

/// Blocks before the first step and behind others, in which a round that one cost would show.
const BLOCKS: u64 = 10;

/// Plays it.
pub async fn play(stage: &mut Stage) -> Result<()> {
    // In short it is played beside other work: there a proposer has the time that it has between
    // sites.
    let preset = stage.size(None, Preset::Lan, Preset::Wan);
    let watcher = stage.open(Spec { preset, ..Spec::default() }, &[], &[]).await?;
    let rate = stage.size(stage.options.rate, 500.0, 200.0);
    let load = stage.steady_load(&watcher, rate).await?;
    let org = stage.net().orgs()[2].clone();
    let seat = stage.seat(&org, &watcher).await?;
    let (old, standby) = (&seat.holder, &seat.partner);
    let calm = Calm::begin(&watcher, &load, rate);
    let from = calm.from;
    watcher.reached(from.plus(BLOCKS), SOON).await?;

    let start = Instant::now();
    let (mut machine, key) = joins(stage, &watcher, standby).await?;
    stage.report.holds(format!(
        "`tandem node invite --observer` at {}, `tandem join` on a new machine: {} follows, and is \
         connected with all others, {} after the first command",
        standby.name,
        &key.to_string()[..12],
        since(start, Instant::now())
    ));
    let named = change(stage, standby, "set-partner", &key).await?;
    could_take(&machine.rpc()?, &org, &key).await?;
    stage.report.holds(format!(
        "`tandem node set-partner` in block {named}: it is the standby of {org} in the place of {}",
        standby.name
    ));

    let asked = Instant::now();
    let effective = switch(stage, &seat).await?;
    let mut nodes = stage.net().rpcs_but(&[]);
    nodes.push(machine.rpc()?);
    let held = holds_from(&nodes, &seat, &key, effective).await?;
    stage.report.holds(format!(
        "`tandem switch {org}` gives it the seat at height {effective}, which the receipt names: \
         it is in the role tables of all {} nodes {} after the command, {} after the first of all",
        nodes.len(),
        since(asked, held),
        since(start, held)
    ));
    watcher.reached(effective.plus(BLOCKS), SOON).await?;

    let removed = change(stage, standby, "remove", &old.key).await?;
    nodes.retain(|rpc| rpc.name() != old.name);
    is_forgotten(&nodes, |node| node.key == old.key).await?;
    is_cut_off(stage.net().rpc(&old.name)).await?;
    stage.net().stop(&[old.name.as_str()]).await?;
    stage.report.holds(format!(
        "`tandem node remove` in block {removed}: the key of {} is in no register and has lost its \
         connections; its node is stopped",
        old.name
    ));
    let named = change(stage, standby, "set-partner", &standby.key).await?;
    could_take(stage.net().rpc(&standby.name), &org, &standby.key).await?;
    stage.report.holds(format!(
        "`tandem node set-partner` in block {named}: {} is the standby again",
        standby.name
    ));

    let end = watcher.height().plus(BLOCKS);
    watcher.reached(end.next(), SOON).await?;
    let above = rounds_above_zero(&watcher, from, end);
    ensure!(above == 0, "{above} rounds above 0 from height {from} to {end}");
    stage.report.holds(format!("no round above 0 from height {from} to {end}"));
    calm.held(stage, &watcher, &load)?;

    let tracker = load.tracker().clone();
    let summary = stage.end_load(load).await?;
    ensure!(summary.offered == summary.committed, "{} were offered", summary.offered);
    let mut names = stage.net().names();
    names.retain(|name| *name != old.name);
    stage.same_state(&names).await?;
    let host = stage.net().rpc(&standby.name).clone();
    let tip = host.height().await?;
    machine.follows(&host, tip).await?;
    let table = table_at_all(&nodes, tip).await?;
    let holder = table.seats().get(&org).map(|seat| seat.holder);
    ensure!(holder == Some(key), "at height {tip} seat {org} is held by {holder:?}");
    stage.report.holds(format!("so has the new one, which holds the seat at height {tip}"));

    let chain = stage.read_chain(&standby.name).await?;
    let signed = chain.signed_by(&key, effective, tip).len();
    ensure!(signed > 0, "the new key stands in no certificate from height {effective} to {tip}");
    let receipts = tracker.receipts();
    ensure!(receipts.len() == summary.offered, "{} receipts are known", receipts.len());
    chain.has_each_once(&receipts)?;
    stage.report.holds(format!(
        "the new key has signed {signed} blocks, and each of the {} transactions that were offered \
         stands in the chain once: none is lost",
        receipts.len()
    ));
    machine.stop().await?;
    let report = &mut stage.report;
    report.figure("command_to_role_table_ms", ms(held - asked));
    report.figure("first_command_to_role_table_ms", ms(held - start));
    report.figure("blocks", end.0 - from.0 + 1);
    report.figure("rounds_above_0", above);
    report.figure("offered_txs", summary.offered);
    report.figure("committed_txs", summary.committed);
    report.figure("lost_txs", summary.offered - summary.committed);
    report.figure("latency_p99_ms", summary.latency.p99_ms);
    Ok(())
}

/// A machine with a new key joins as an observer, invited through a node of the organisation: it is
/// at the tip, recorded alive, and connected with all others.
async fn joins(stage: &Stage, watcher: &Watcher, through: &Node) -> Result<(Machine, PublicKey)> {
    let token = invite(stage, through).await?;
    let mut machine = Machine::new(stage, &format!("{}-c", through.org))?;
    machine.join(stage, &token).await?;
    let host = stage.net().rpc(&through.name);
    let key = machine.is_registered(host).await?;
    machine.follows(host, watcher.height()).await?;
    machine.is_alive(host, &key).await?;
    let (rpc, others) = (machine.rpc()?, stage.net().layout().nodes.len());
    until("the new machine is connected with all others", SOON, || async {
        let peers = rpc.status().await?.tandem.peers;
        ensure!(peers == others, "it has {peers} peers of {others}");
        Ok(())
    })
    .await?;
    Ok((machine, key))
}

/// `tandem node CHANGE KEY`, signed with the organisation's admin key and sent through a node of
/// it; the block that it is in.
async fn change(stage: &Stage, through: &Node, change: &str, key: &PublicKey) -> Result<Height> {
    let admin = admin_file(stage, &through.org);
    send(stage, through, &["node", change, &key.to_string()], admin.as_ref()).await
}

/// Waits until a node says of itself what `tandem switch` needs: it is the seat's standby, and the
/// record calls it alive.
async fn could_take(node: &Rpc, org: &OrgName, key: &PublicKey) -> Result<()> {
    until(&format!("{} could take the seat", node.name()), SOON, || async {
        let role = node.status().await?.tandem.role;
        ensure!(role == "standby", "it is {role}");
        let seats = node.client().seats(1).await?.seats;
        let seat = seats.into_iter().find(|seat| seat.seat == *org).context("no such seat")?;
        ensure!(seat.partner == Some(*key), "another is the seat's standby");
        ensure!(seat.partner_ready == Some(true), "the newest record calls it dead");
        Ok(())
    })
    .await
}

/// Waits until all nodes have block `effective`, and says when they had. In its role table a key
/// holds the seat, in the next term; in the one before the old holder does, and no other seat
/// changes.
async fn holds_from(
    nodes: &[Rpc],
    before: &Seat,
    key: &PublicKey,
    effective: Height,
) -> Result<Instant> {
    let table = table_at_all(nodes, effective).await?;
    let at = Instant::now();
    let mut expected = table_at_all(nodes, effective.back(1)).await?.seats().clone();
    let seat = expected.get_mut(&before.holder.org).context("the seat was empty")?;
    ensure!(seat.holder == before.holder.key, "the seat moved before height {effective}");
    (seat.holder, seat.term) = (*key, before.term.next());
    ensure!(*table.seats() == expected, "of height {effective} is the table {:?}", table.seats());
    Ok(at)
}
