//! A planned switch under load: the seat moves at the height that the receipt names, and no round
//! is lost.

use anyhow::{Context as _, Result, ensure};
use tandem_chain::codec;
use tandem_chain::modules::{Call, standby};
use tandem_chain::types::Height;

use super::Stage;
use super::scene::{SOON, Seat, rounds_above_zero};
use crate::layout::Spec;
use crate::load::sign;
use crate::watcher::Watcher;

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
        let effective = switch(stage, &watcher, &seat).await?;
        let (holder, partner) = (&seat.holder.name, &seat.partner.name);
        stage.report.holds(format!(
            "a transaction of the admin key gives seat {org} to {partner}: its receipt names height {effective}"
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

/// Gives a seat to its partner by a transaction of its admin key; the height that the receipt
/// names.
pub async fn switch(stage: &Stage, watcher: &Watcher, seat: &Seat) -> Result<Height> {
    let layout = stage.net().layout();
    let org = &seat.holder.org;
    let call =
        standby::Call::Switch { seat: org.clone(), target: seat.partner.key, term: seat.term };
    let call = Call::Standby(call);
    let tx = sign(&layout.chain_id, &layout.admin(org), rand::random(), watcher.height(), call);
    let info = stage.net().rpc(&seat.partner.name).execute(&tx, SOON).await?;
    ensure!(info.receipt.code == 0, "the switch was refused: {}", info.receipt.log);
    let data = &info.receipt.data;
    codec::decode("effective height", data, data.len()).context("data of the receipt")
}
