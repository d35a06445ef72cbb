//! Two nodes with empty disks reach the tip of a ledger that has grown large: one fetches every block,
//! the other restores a snapshot of the state and follows. What the members commit meanwhile is measured.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tandem_chain::types::{Height, TxHash};
use tandem_node::client::SyncInfo;
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
/// Transactions under way at once while records are written, and when blocks alone are wanted: with few,
/// they come quickly.
const AT_ONCE: [usize; 2] = [1_000, 8];
/// Blocks that the ledger has in full size, at least.
const BLOCKS: Height = Height(20_000);
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
    let plan =
        Plan { count: Some(records), ..Plan::saturating(stage.size(None, AT_ONCE[0], AT_ONCE[1])) };
    let start = Instant::now();
    let load = stage.load(&watcher, plan).await?;
    load.offered(THOUSAND * u32::try_from(records.div_ceil(1_000))?).await?;
    let mut receipts = HashMap::new();
    let mut records = end_load(stage, load, &mut receipts).await?;
    if is_whole && watcher.height() < BLOCKS {
        let load = stage.load(&watcher, Plan::saturating(AT_ONCE[1])).await?;
        watcher.reached(BLOCKS, THOUSAND * 20).await?;
        records += end_load(stage, load, &mut receipts).await?;
    }
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
    let (mut replay, mut restore) = (Duration::ZERO, Duration::ZERO);
    let synced = meanwhile(&load, async {
        replay = starts(stage, BY_BLOCKS, blocks, deadline).await?;
        is_at_tip(stage, BY_BLOCKS, watcher.height(), deadline).await
    })
    .await?;
    stage.report.holds(format!("{BY_BLOCKS} fetches every block and is at the tip"));
    // Each of the two has the machine with the members alone.
    stage.net().stop(&[BY_BLOCKS]).await?;

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

    let restored = meanwhile(&load, async {
        restore = starts(stage, BY_SNAPSHOT, blocks, deadline).await?;
        is_at_tip(stage, BY_SNAPSHOT, watcher.height(), deadline).await
    })
    .await?;
    let log = stage.net().layout().log(stage.net().layout().node(BY_SNAPSHOT)?);
    let log = std::fs::read_to_string(&log).with_context(|| log.display().to_string())?;
    ensure!(log.contains(RESTORED), "{BY_SNAPSHOT} is at the tip without a snapshot");
    stage.report.holds(format!("{BY_SNAPSHOT} restores it, follows, and is at the tip"));

    end_load(stage, load, &mut receipts).await?;
    starts(stage, BY_BLOCKS, watcher.height(), deadline).await?;
    let names = stage.net().names();
    stage.same_state(&names).await?;
    let chain = stage.read_long_chain(BY_BLOCKS, vec![table]).await?;
    chain.has_each_once(&receipts)?;
    stage.report.holds("every transaction stands in the chain once");

    let report = &mut stage.report;
    let whole = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    report.figure("blocks", blocks.0);
    report.figure("records", records);
    for (name, time) in [("replay", replay), ("restore", restore)] {
        report.figure(&format!("{name}_ms"), ms(time).round());
        report
            .figure(&format!("blocks_per_s_by_{name}"), per_second(whole(blocks.0), time).round());
        report.figure(&format!("records_per_s_by_{name}"), per_second(records, time).round());
    }
    for (name, part) in
        [("replay_to_tip", &synced), ("snapshot", &taking), ("restore_to_tip", &restored)]
    {
        report.figure(&format!("{name}_ms"), ms(part.time).round());
        report.figure(&format!("committed_per_s_{name}"), part.per_second().round());
    }
    report.figure("committed_per_s_before", usual.per_second().round());
    if is_whole {
        let times = replay.as_secs_f64() / restore.as_secs_f64();
        ensure!(
            times >= 10.0,
            "a restore is {times:.1} times faster than replaying blocks, not 10"
        );
        for part in [&synced, &taking, &restored] {
            let share = part.per_second() / usual.per_second();
            ensure!(share >= 0.9, "the members commit {share:.2} of what they did before");
        }
        report.holds("a restore is ten times faster, and members commit 90% of before, or more");
    }
    Ok(())
}

/// Ends a load, takes over its receipts, and says how many transactions were committed: each writes a record.
async fn end_load(
    stage: &mut Stage,
    load: Load,
    receipts: &mut HashMap<TxHash, Height>,
) -> Result<usize> {
    let tracker = load.tracker().clone();
    let summary = stage.end_load(load).await?;
    receipts.extend(tracker.receipts());
    Ok(summary.committed)
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

/// Starts a node with an empty disk; the time until it answers with at least so many blocks of the chain.
async fn starts(stage: &Stage, name: &str, blocks: Height, deadline: Duration) -> Result<Duration> {
    let start = Instant::now();
    stage.net().tell(Command::Start { nodes: owned(&[name]), dial: None }).await?;
    has_come(stage, name, blocks, deadline, |_| true).await?;
    Ok(start.elapsed())
}

/// Waits until a node has what the chain had just now, and follows.
async fn is_at_tip(stage: &Stage, name: &str, tip: Height, deadline: Duration) -> Result<()> {
    has_come(stage, name, tip, deadline, |sync| !sync.catching_up).await
}

async fn has_come(
    stage: &Stage,
    name: &str,
    height: Height,
    deadline: Duration,
    and: fn(&SyncInfo) -> bool,
) -> Result<()> {
    let rpc = stage.net().rpc(name);
    until(&format!("{name} has block {height}"), deadline, || async {
        let sync = rpc.status().await?.sync_info;
        ensure!(sync.latest_block_height >= height && and(&sync), "it has {sync:?}");
        Ok(())
    })
    .await
}
