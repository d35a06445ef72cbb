//! For a person: a network from its first block, over a failover, to a planned switch.

use anyhow::{Context as _, Result, ensure};
use tokio::time::Instant;

use super::Stage;
use super::scene::{READY, SOON, since};
use crate::layout::Spec;
use crate::network::Network;
use crate::table;

/// Blocks of the picture of the liveness record.
const GRID_BLOCKS: u64 = 40;

/// Plays it.
pub async fn play(stage: &mut Stage) -> Result<()> {
    stage.report.shows(
        "Four organisations run one ledger. Each holds one seat in its consensus, and fills it with \
         a pair:\na validator (-a), and a hot standby (-b) with a key of its own.",
    );
    let watcher = stage.open(Spec::default(), &[], &["bravo-a"]).await?;
    show_nodes(stage).await?;

    let load = stage.steady_load(&watcher, stage.size(stage.options.rate, 100.0, 100.0)).await?;
    let names = stage.net().names();
    stage.same_state(&names).await?;

    let org = stage.net().orgs()[1].clone();
    let seat = stage.seat(&org, &watcher).await?;
    let (holder, partner) = (seat.holder.name.as_str(), seat.partner.name.as_str());
    let (struck, before) = (Instant::now(), watcher.height());
    stage.net().kill(&[holder]).await?;
    stage.report.holds(format!("{holder}, which holds the seat of {org}, is killed with -9"));
    let dead = stage.recorded(&seat.holder, false, &watcher, before.next()).await?;
    stage.report.holds(format!(
        "{} later the liveness record, in block {}, calls it dead",
        since(struck, dead.at),
        dead.block.height
    ));
    let moved = stage.seat_moves(&org, &seat, &watcher, before, SOON).await?;
    let effective = moved.block.height;
    stage.report.holds(format!(
        "{} after the kill {partner} holds the seat, from height {effective}, in term {}",
        since(struck, moved.at),
        seat.term.next()
    ));
    let address = seat.partner.key.address();
    let (voted, ()) = watcher
        .find("a certificate with the standby's vote", effective, SOON, |block| {
            block.last_commit.signatures.iter().flatten().find(|s| s.address == address).map(|_| ())
        })
        .await?;
    stage.report.holds(format!(
        "its vote stands in the certificate of height {}",
        voted.block.last_commit.height
    ));
    stage.report.shows("The liveness record of that time, a column a block (█ alive, · dead):");
    stage.report.shows(grid(stage, &watcher, voted.block.height.back(GRID_BLOCKS - 5)));

    let back = watcher.height();
    stage.net().start(&[holder], READY).await?;
    stage.is_standby_at_tip(&seat.holder, &watcher).await?;
    stage.recorded(&seat.holder, true, &watcher, back).await?;
    stage.report.holds(format!("{holder}, started again, catches up and is the standby now"));

    let seat = stage.seat(&org, &watcher).await?;
    let from = watcher.height();
    let effective = super::planned::switch(stage, &seat).await?;
    let moved = stage.seat_moves(&org, &seat, &watcher, from, SOON).await?;
    ensure!(moved.block.height == effective, "the seat moved at {}", moved.block.height);
    stage.report.holds(format!(
        "a planned switch, signed by the admin key of {org}, gives the seat back to {} from height {effective}",
        seat.partner.name
    ));
    let tracker = load.tracker().clone();
    let summary = stage.end_load(load).await?;
    stage.same_state(&names).await?;
    let chain = stage.read_chain(holder).await?;
    chain.has_each_once(&tracker.receipts())?;
    show_nodes(stage).await?;
    stage.report.figure("committed_txs", summary.committed);
    stage.report.figure("latency_p50_ms", summary.latency.p50_ms);
    if stage.options.leave_up {
        invite(stage)?;
    }
    Ok(())
}

async fn show_nodes(stage: &Stage) -> Result<()> {
    let rows = table::nodes(stage.net()).await?;
    stage.report.shows(table::render(&rows));
    Ok(())
}

/// The record's bits of all nodes, block by block.
fn grid(
    stage: &Stage,
    watcher: &crate::watcher::Watcher,
    from: tandem_chain::types::Height,
) -> String {
    let blocks = watcher.since(from);
    let blocks = &blocks[..blocks.len().min(usize::try_from(GRID_BLOCKS).unwrap_or(usize::MAX))];
    let rows = stage.net().layout().nodes.iter().map(|node| {
        let bits = blocks
            .iter()
            .map(|seen| if stage.is_alive(&seen.block, &node.key) { '█' } else { '·' });
        format!("{:10} {}", node.name, bits.collect::<String>())
    });
    rows.collect::<Vec<_>>().join("\n")
}

/// What a person can do with the network that is left up.
fn invite(stage: &Stage) -> Result<()> {
    let network: &Network = stage.net();
    let program = std::env::current_exe()?;
    let program = program.parent().context("a program lies in a folder")?.display();
    let dir = network.layout().dir().display();
    let rpc = network.layout().nodes[0].rpc_url();
    stage.report.shows(format!(
        "The network stays up. To look at it and harm it:\n  \
         {program}/tandem-testnet status --dir {dir}\n  \
         {program}/tandem-testnet kill alpha-a --dir {dir}\n  \
         {program}/tandem seats --node {rpc}\n  \
         xdg-open {rpc}/explorer\n  \
         {program}/tandem-testnet down --dir {dir}"
    ));
    Ok(())
}
