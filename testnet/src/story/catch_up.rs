//! Two nodes with empty disks reach the tip of a ledger that has grown large: one fetches every block,
//! the other restores a snapshot of the state and follows. What the members commit meanwhile is measured.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tandem_chain::types::Height;
use tokio::time::Instant;

use super::Stage;
use super::machine::tandem_within;
use super::scene::READY;
use crate::control::Command;
use crate::layout::Spec;
use crate::load::{Load, Plan};
use crate::network::owned;
use crate::stats::{ms, per_second};
use crate::until::until;

/// The node that fetches every block.
const BY_BLOCKS: &str = "obs-1";
/// The node that restores.
const BY_SNAPSHOT: &str = "obs-2";
/// Blocks by which a snapshot must be ahead to be restored, and some more.
const BLOCKS_MIN: u64 = 1_010;
/// Time for a thousand records, and for a thousand blocks to be fetched, on a machine that is busy.
const THOUSAND: Duration = Duration::from_secs(60);
/// What the log of a node says when it has restored.
const RESTORED: &str = "a snapshot is restored";

/// Plays it.
pub async fn play(stage: &mut Stage) -> Result<()> {
    let is_whole = !stage.options.short && stage.options.txs.is_none();
    let absent = [BY_BLOCKS, BY_SNAPSHOT];
    let spec = Spec {
        pairs: false,
        observers: absent.len(),
        relays: false,
        snapshot_interval: 0,
        ..Spec::default()
    };
    let watcher = stage.open(spec, &absent, &[]).await?;
    let first = stage.net().names().into_iter().next().context("a network has nodes")?;
    let table = stage.net().rpc(&first).role_table(Height(3)).await?;

    let records = stage.size(stage.options.txs, 1_000_000, 10_000);
    let plan = Plan { count: Some(records), ..Plan::saturating(stage.size(None, 50, 8)) };
    let start = Instant::now();
    let load = stage.load(&watcher, plan).await?;
    load.offered(THOUSAND * u32::try_from(records.div_ceil(1_000))?).await?;
    let mut receipts = load.tracker().receipts();
    stage.end_load(load).await?;
    let blocks = watcher.height();
    ensure!(blocks.0 > BLOCKS_MIN, "{records} records stand in {blocks} blocks: more --txs");
    stage.report.holds(format!(
        "the ledger has {records} records in {blocks} blocks, within {:.0} s",
        start.elapsed().as_secs_f64()
    ));

    let load = stage.steady_load(&watcher, stage.size(stage.options.rate, 500.0, 200.0)).await?;
    let secs = Duration::from_secs(stage.size(stage.options.secs, 30, 5));
    let usual = meanwhile(&load, async {
        tokio::time::sleep(secs).await;
        Ok(())
    })
    .await?;

    let deadline = THOUSAND * u32::try_from(blocks.0.div_ceil(1_000))? + READY;
    let synced =
        meanwhile(&load, reaches_tip(stage, BY_BLOCKS, watcher.height(), deadline)).await?;
    stage.report.holds(format!("{BY_BLOCKS} fetches every block and is at the tip"));

    let node = stage.net().layout().node(&first)?;
    let (home, url) = (stage.net().layout().home(node), node.rpc_url());
    let home = home.display().to_string();
    let create = ["snapshot", "create", "--home", &home, "--node", &url];
    let mut taken = serde_json::Value::Null;
    let taking = meanwhile(&load, async {
        taken = tandem_within(stage, &create, deadline).await?;
        Ok(())
    })
    .await?;
    stage.report.holds(format!(
        "{first} takes a snapshot while it makes blocks: height {}, {} chunks, {} bytes",
        taken["height"], taken["chunks"], taken["bytes"]
    ));

    let tip = watcher.height();
    let restored = meanwhile(&load, reaches_tip(stage, BY_SNAPSHOT, tip, deadline)).await?;
    let log = stage.net().layout().log(stage.net().layout().node(BY_SNAPSHOT)?);
    let log = std::fs::read_to_string(&log).with_context(|| log.display().to_string())?;
    ensure!(log.contains(RESTORED), "{BY_SNAPSHOT} is at the tip without a snapshot");
    stage.report.holds(format!("{BY_SNAPSHOT} restores it, follows, and is at the tip"));

    receipts.extend(load.tracker().receipts());
    let tracker = load.tracker().clone();
    stage.end_load(load).await?;
    receipts.extend(tracker.receipts());
    let names = stage.net().names();
    stage.same_state(&names).await?;
    let chain = stage.read_long_chain(BY_BLOCKS, vec![table]).await?;
    chain.has_each_once(&receipts)?;
    stage.report.holds("every transaction stands in the chain once");

    let report = &mut stage.report;
    let whole = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    report.figure("blocks", blocks.0);
    report.figure("records", records);
    report.figure("blocks_per_s_by_sync", per_second(whole(blocks.0), synced.time).round());
    report.figure("records_per_s_by_sync", per_second(records, synced.time).round());
    report.figure("records_per_s_by_restore", per_second(records, restored.time).round());
    for (name, part) in [("sync", &synced), ("snapshot", &taking), ("restore", &restored)] {
        report.figure(&format!("{name}_ms"), ms(part.time).round());
        report.figure(&format!("committed_per_s_{name}"), part.per_second().round());
    }
    report.figure("committed_per_s_before", usual.per_second().round());
    if is_whole {
        let times = synced.time.as_secs_f64() / restored.time.as_secs_f64();
        ensure!(times >= 10.0, "a restore is {times:.1} times faster than fetching blocks, not 10");
        for part in [&synced, &taking, &restored] {
            let share = part.per_second() / usual.per_second();
            ensure!(share >= 0.9, "the members commit {share:.2} of what they did before");
        }
        report.holds("a restore is ten times faster, and members commit 90% of before, or more");
    }
    Ok(())
}

/// What was committed in a time.
struct Part {
    time: Duration,
    committed: usize,
}

impl Part {
    fn per_second(&self) -> f64 {
        per_second(self.committed, self.time)
    }
}

/// What members commit of a load while something is done.
async fn meanwhile(load: &Load, done: impl Future<Output = Result<()>>) -> Result<Part> {
    let committed = || load.tracker().counts().committed;
    let (start, before) = (Instant::now(), committed());
    done.await?;
    Ok(Part { time: start.elapsed(), committed: committed() - before })
}

/// Starts a node with an empty disk and waits until it has what the chain was then, and follows.
async fn reaches_tip(stage: &Stage, name: &str, tip: Height, deadline: Duration) -> Result<()> {
    stage.net().tell(Command::Start { nodes: owned(&[name]), dial: None }).await?;
    let rpc = stage.net().rpc(name);
    until(&format!("{name} reaches the tip"), deadline, || async {
        let sync = rpc.status().await?.sync_info;
        let at = sync.latest_block_height;
        ensure!(at >= tip, "it is at height {at} of {tip}");
        ensure!(!sync.catching_up, "it is catching up, at height {at}");
        Ok(())
    })
    .await
}
