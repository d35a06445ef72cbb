//! A validator fails under load: killed, frozen or cut off. Its partner takes the seat when the
//! rule says, nothing is lost, and it comes back as the standby.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use tandem_chain::modules::standby::{Run, Step};
use tandem_chain::types::{Height, Power, Round};
use tandem_consensus::proposer::proposer;
use tokio::time::Instant;

use super::Stage;
use super::scene::{READY, SOON, Seat, rounds_above_zero, since};
use crate::checks::Chain;
use crate::control::Command;
use crate::layout::Spec;
use crate::network::owned;
use crate::stats::ms;
use crate::watcher::{Watcher, longest_gap};

/// Added to a propose and a precommit timeout for the longest gap between two blocks.
const GAP_SLACK: Duration = Duration::from_secs(1);

/// What happens to the validator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// SIGKILL.
    Killed,
    /// SIGSTOP.
    Frozen,
    /// All its links are cut.
    CutOff,
}

impl Fault {
    fn done(self) -> &'static str {
        match self {
            Self::Killed => "is killed (SIGKILL)",
            Self::Frozen => "is frozen (SIGSTOP)",
            Self::CutOff => "is cut off from all others",
        }
    }

    /// Seconds before it is undone.
    fn default_secs(self) -> u64 {
        match self {
            Self::Killed => 10,
            Self::Frozen => 60,
            Self::CutOff => 15,
        }
    }

    async fn strike(self, stage: &Stage, name: &str) -> Result<()> {
        let nodes = owned(&[name]);
        let command = match self {
            Self::Killed => Command::Kill { nodes },
            Self::Frozen => Command::Pause { nodes },
            Self::CutOff => Command::Partition { groups: vec![nodes], one_way: false },
        };
        stage.net().tell(command).await.map(|_| ())
    }

    async fn undo(self, stage: &Stage, name: &str) -> Result<()> {
        match self {
            Self::Killed => stage.net().start(&[name], READY).await,
            Self::Frozen => {
                stage.net().tell(Command::Resume { nodes: owned(&[name]) }).await.map(|_| ())
            }
            Self::CutOff => stage.net().tell(Command::Heal).await.map(|_| ()),
        }
    }
}

/// Plays it.
pub async fn play(stage: &mut Stage, fault: Fault) -> Result<()> {
    let watcher = stage.open(Spec::default(), &[], &["bravo-a"]).await?;
    let org = stage.net().orgs()[1].clone();
    let seat = stage.seat(&org, &watcher).await?;
    let load = stage.steady_load(&watcher, stage.size(stage.options.rate, 500.0, 500.0)).await?;

    let (struck, before) = (Instant::now(), watcher.height());
    fault.strike(stage, &seat.holder.name).await?;
    let (holder, partner) = (seat.holder.name.clone(), seat.partner.name.clone());
    stage
        .report
        .holds(format!("{holder}, holder of seat {org}, {} after block {before}", fault.done()));

    let dead = stage.recorded(&seat.holder, false, &watcher, before.next()).await?;
    let dead_at = dead.block.height;
    let after = since(struck, dead.at);
    stage.report.holds(format!("the record of block {dead_at} calls {holder} dead, after {after}"));

    let moved = stage.seat_moves(&org, &seat, &watcher, before, SOON).await?;
    let effective = moved.block.height;
    let term = seat.term.next();
    stage.report.holds(format!("{partner} holds the seat from height {effective}, in term {term}"));

    let address = seat.partner.key.address();
    let (voted, ()) = watcher
        .find("a certificate with the partner's vote", effective, SOON, |block| {
            block.last_commit.signatures.iter().flatten().find(|s| s.address == address).map(|_| ())
        })
        .await?;
    stage.report.holds(format!(
        "its vote stands in the certificate of height {}, {} after the fault",
        voted.block.last_commit.height,
        since(struck, voted.at)
    ));

    let pause = Duration::from_secs(stage.size(stage.options.secs, fault.default_secs(), 8));
    tokio::time::sleep_until(struck + pause).await;
    if fault == Fault::CutOff {
        let height = stage.net().rpc(&holder).height().await?;
        ensure!(height < effective, "{holder} is cut off and yet got to height {height}");
        stage.report.holds(format!("{holder}, alone, stands still at height {height}"));
    }
    let (undone, tip) = (Instant::now(), watcher.height());
    fault.undo(stage, &holder).await?;
    stage.is_standby_at_tip(&seat.holder, &watcher).await?;
    stage.report.holds(format!(
        "back again, {holder} is a standby at the tip within {} (block {tip})",
        since(undone, Instant::now())
    ));
    let alive = stage.recorded(&seat.holder, true, &watcher, tip).await?;
    stage.report.holds(format!("the record of block {} calls it alive", alive.block.height));

    let receipts = load.tracker().clone();
    let summary = stage.end_load(load).await?;
    let names = stage.net().names();
    stage.same_state(&names).await?;
    let chain = stage.read_chain(&holder).await?;
    chain.has_each_once(&receipts.receipts())?;
    stage.report.holds("every transaction stands in the chain once, where its receipt said");
    let late = chain.signed_by(&seat.holder.key, effective, Height(u64::MAX));
    ensure!(late.is_empty(), "{holder} signed at heights {late:?}, which it did not hold");
    due_exactly(stage, &chain, &seat, effective)?;
    stage.report.holds("the seat moved at the height that follows from the record by the rule");

    let gap = check_gap(stage, &watcher, before)?;
    let above = rounds_above_zero(&watcher, before, alive.block.height);
    let due_to_dead = rounds_by_dead(stage, &chain, &seat, dead_at.next(), effective);
    ensure!(
        due_to_dead <= 1,
        "{due_to_dead} rounds failed by {holder}'s turn after it was recorded dead"
    );
    let report = &mut stage.report;
    report.figure("longest_gap_between_blocks_ms", ms(gap));
    report.figure("fault_to_recorded_dead_ms", ms(dead.at - struck));
    report.figure("fault_to_first_counted_vote_of_partner_ms", ms(voted.at - struck));
    report.figure("rounds_above_0", above);
    report.figure("rounds_above_0_by_the_dead_once_recorded", due_to_dead);
    report.figure("committed_txs", summary.committed);
    report.figure("latency_p50_ms", summary.latency.p50_ms);
    report.figure("latency_p99_ms", summary.latency.p99_ms);
    Ok(())
}

/// The longest gap between two blocks from `from` on is within the bound.
fn check_gap(stage: &mut Stage, watcher: &Watcher, from: Height) -> Result<Duration> {
    let parameters = stage.parameters();
    let timeouts = parameters.propose_timeout_ms + parameters.vote_timeout_ms;
    let bound = Duration::from_millis(timeouts) + GAP_SLACK;
    let (gap, height) = longest_gap(&watcher.since(from));
    ensure!(gap <= bound, "{gap:.1?} passed before block {height}, more than {bound:?}");
    stage.report.holds(format!(
        "the longest gap between two blocks was {:.0} ms, before block {height} (at most {} ms)",
        ms(gap),
        bound.as_millis()
    ));
    Ok(gap)
}

/// Checks that the switch took effect at the one height that follows from the records in the
/// blocks: the ledger's rule, applied to what RPC shows.
fn due_exactly(stage: &Stage, chain: &Chain, seat: &Seat, effective: Height) -> Result<()> {
    let parameters = stage.parameters();
    let mut run = Run::default();
    for pair in chain.blocks.windows(2) {
        let (parent, block) = (&pair[0], &pair[1]);
        let table = chain.table(block.height).context("each block has its table")?;
        let power = table.by_key(&seat.holder.key).map_or(Power::ZERO, |(_, entry)| entry.power);
        let (after, switches) = run.step(&Step {
            height: block.height,
            effective: Height::ZERO,
            holder_is_dead: !stage.is_alive(block, &seat.holder.key),
            partner_is_alive: stage.is_alive(block, &seat.partner.key),
            power,
            f: table.f(),
            interval: block.time.since(parent.time),
            idle_block_interval: parameters.idle_block_interval(),
            failover_blocks: parameters.failover_blocks(table),
            failover_min: parameters.failover_min(table),
        });
        if switches {
            let expected = block.height.plus(2);
            ensure!(effective == expected, "by the rule it moves at {expected}, not {effective}");
            return Ok(());
        }
        run = after;
    }
    bail!("seat moved at {effective}, and by the rule it never does")
}

/// Rounds of heights `from` to `to` that were lost by a turn of the seat's dead holder.
fn rounds_by_dead(stage: &Stage, chain: &Chain, seat: &Seat, from: Height, to: Height) -> usize {
    let mut lost = 0;
    for next in chain.blocks.iter().filter(|b| (from..=to).contains(&b.last_commit.height)) {
        let height = next.last_commit.height;
        let (Some(table), Some(before)) = (chain.table(height), chain.block(height.back(1))) else {
            continue;
        };
        let nodes = &stage.net().layout().nodes;
        let alive = nodes.iter().map(|node| node.key).filter(|key| stage.is_alive(before, key));
        let alive = alive.collect();
        let by_dead = |round: &u32| {
            let turn = proposer(table, Some(&alive), height, Round(*round));
            turn.holder == seat.holder.key
        };
        lost += (0..next.last_commit.round.0).filter(by_dead).count();
    }
    lost
}
