//! A planned switch under load: the seat moves at the height that the receipt names, and no round
//! is lost.

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use tandem_chain::types::Height;
use tokio::process::Command;

use super::Stage;
use super::scene::{SOON, Seat, rounds_above_zero};
use crate::layout::Spec;
use crate::rpc::height;

/// Blocks behind the switch in which a round that it cost would show.
const BLOCKS_AFTER: u64 = 30;

/// Plays it.
pub async fn play(stage: &mut Stage) -> Result<()> {
    let watcher = stage.open(Spec::default(), &[], &[]).await?;
    let org = stage.net().orgs()[2].clone();
    let load = stage.steady_load(&watcher, stage.size(stage.options.rate, 200.0, 200.0)).await?;
    let times = stage.size(stage.options.times, 2, 1);
    let mut above = 0;
    for _ in 0..times {
        let seat = stage.seat(&org, &watcher).await?;
        let from = watcher.height();
        let effective = switch(stage, &seat).await?;
        let (holder, partner) = (&seat.holder.name, &seat.partner.name);
        stage.report.holds(format!(
            "`tandem switch {org}` gives the seat to {partner}: its receipt names height {effective}"
        ));
        let moved = stage.seat_moves(&org, &seat, &watcher, from, SOON).await?;
        ensure!(moved.block.height == effective, "the seat moved at {}", moved.block.height);
        let end = effective.plus(BLOCKS_AFTER);
        watcher.reached(end.next(), SOON).await?;
        let rounds = rounds_above_zero(&watcher, from, end);
        ensure!(rounds == 0, "{rounds} rounds above 0 from height {from} to {end}");
        above += rounds;
        stage.report.holds(format!(
            "it moves from {holder} at that height, in term {}, with no round above 0 up to block {end}",
            seat.term.next()
        ));
    }
    let tracker = load.tracker().clone();
    let summary = stage.end_load(load).await?;
    let names = stage.net().names();
    stage.same_state(&names).await?;
    let chain = stage.read_chain(&names[0]).await?;
    chain.has_each_once(&tracker.receipts())?;
    stage.report.figure("switches", times);
    stage.report.figure("rounds_above_0", above);
    stage.report.figure("committed_txs", summary.committed);
    stage.report.figure("latency_p99_ms", summary.latency.p99_ms);
    Ok(())
}

/// Gives a seat to its partner by `tandem switch`, signed with its admin key; the height that the
/// receipt names.
pub async fn switch(stage: &Stage, seat: &Seat) -> Result<Height> {
    #[derive(Deserialize)]
    struct Answer {
        effective: String,
    }
    let (layout, org) = (stage.net().layout(), &seat.holder.org);
    let mut command = Command::new(&stage.tandem);
    command.args(["switch", org.as_str(), "--json", "--node", &seat.partner.rpc_url(), "--key"]);
    command.arg(layout.dir().join(format!("keys/{org}-admin.json"))).kill_on_drop(true);
    let output = tokio::time::timeout(SOON, command.output()).await;
    let output = output.context("tandem switch does not end")??;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "tandem switch ends with {}: {errors}", output.status);
    let answer: Answer = serde_json::from_slice(&output.stdout).context("tandem switch --json")?;
    height(&answer.effective)
}
