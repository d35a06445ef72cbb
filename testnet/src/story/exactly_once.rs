//! Many signed transactions, each sent to every node: each is committed exactly once.

use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::time::Instant;

use super::Stage;
use crate::layout::Spec;
use crate::load::Plan;
use crate::stats::per_second;

/// Transactions without a receipt at a time: what all mempools hold with room to spare.
const IN_FLIGHT: usize = 20_000;
/// Time for a thousand transactions to be committed, on a slow machine.
const THOUSAND: Duration = Duration::from_secs(15);

/// Plays it.
pub async fn play(stage: &mut Stage) -> Result<()> {
    let watcher = stage.open(Spec::default(), &[], &[]).await?;
    let count = stage.size(stage.options.txs, 20_000, 4_000);
    let start = Instant::now();
    let plan = Plan { count: Some(count), everywhere: true, ..Plan::saturating(IN_FLIGHT) };
    let load = stage.load(&watcher, plan).await?;
    let tracker = load.tracker().clone();
    let deadline = THOUSAND * u32::try_from(count.div_ceil(1_000))?;
    load.offered(deadline).await?;
    let nodes = stage.net().names();
    stage.report.holds(format!(
        "{count} signed transactions, each sent to all {} nodes, within {:.1} s",
        nodes.len(),
        start.elapsed().as_secs_f64()
    ));
    let summary = stage.end_load(load).await?;
    let time = start.elapsed();
    stage.same_state(&nodes).await?;

    for node in [&nodes[0], &nodes[nodes.len() - 1]] {
        let chain = stage.read_chain(node).await?;
        chain.has_each_once(&tracker.receipts())?;
        let sent = chain.transactions();
        let committed = tracker.receipts().keys().filter(|hash| sent.contains_key(*hash)).count();
        ensure!(committed == count, "{committed} of {count} are in the chain that {node} has");
        stage.report.holds(format!("{node} has each of the {count} exactly once"));
    }
    let report = &mut stage.report;
    report.figure("txs", count);
    report.figure("committed_per_s", per_second(count, time).round());
    report.figure("sent_again", summary.sent_again);
    report.figure("latency_p50_ms", summary.latency.p50_ms);
    report.figure("latency_p99_ms", summary.latency.p99_ms);
    Ok(())
}
