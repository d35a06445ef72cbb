//! What must hold when all faults are over, seen from outside, over RPC alone.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tandem_chain::types::{Height, TxHash};

use super::plan::Plan;
use super::witness::Witness;
use super::{Clients, harm};
use crate::checks::{Chain, one_signer_a_seat};
use crate::rpc::Rpc;
use crate::stats::ms;
use crate::story::Stage;
use crate::watcher::{Watcher, longest_gap};

/// Time without a block beyond that of the longest fault that harms more than may fail: the others
/// go on while at most f organisations are harmed, and after such a fault all do.
const STANDSTILL: Duration = Duration::from_secs(20);
/// Receipts, spread over the campaign, that every node is asked for.
const RECEIPTS: usize = 500;
/// Switches in one answer.
const SWITCHES: u64 = 100;

/// Ends the loads and the clients of registers, and checks everything: of the whole chain as one
/// node has it, that the others have the same, and what clients were told.
pub async fn check(
    stage: &mut Stage,
    plan: &Plan,
    clients: Clients,
    witness: Witness,
) -> Result<()> {
    let mut receipts = HashMap::new();
    for load in clients.loads {
        let tracker = load.tracker().clone();
        stage.end_load(load).await?;
        receipts.extend(tracker.receipts().into_iter().map(|(tx, height)| (tx, (height, 0))));
    }
    let outcome = clients.registers.finish().await?;
    receipts.extend(&outcome.receipts);

    let names = stage.net().names();
    stage.same_state(&names).await?;
    let chain = stage.read_long_chain(&names[0], witness.tables()).await?;
    same_everywhere(stage, &chain).await?;
    chain.has_each_receipt_once(&receipts)?;
    let count = receipts.len();
    stage.report.holds(format!(
        "each of {count} transactions with a receipt stands in the chain once, as the receipt says"
    ));
    receipts_everywhere(stage, &receipts).await?;
    one_signer(stage, &chain, witness)?;

    let (returned, open) = outcome.history.counts();
    let checked = outcome.history.check()?;
    stage.report.holds(format!(
        "{returned} operations on {checked} registers are linearizable; {} had no answer in time, \
         of which {open} had no effect",
        outcome.unheard
    ));

    let switches = switches(stage.net().rpc(&names[0])).await?;
    let barred = switches.get("barred").copied().unwrap_or(0);
    ensure!(barred == 0, "{barred} nodes were barred, and none has signed twice");
    let rounds: u64 = chain.blocks.iter().map(|block| u64::from(block.last_commit.round.0)).sum();
    // Nobody has ended by itself meanwhile either.
    harm::states(stage).await?;
    ensure!(count > 0 && checked > 0, "nothing was done that could be checked");
    let report = &mut stage.report;
    report.figure("seed", plan.seed);
    report.figure("blocks", chain.blocks.len());
    report.figure("rounds_above_0", rounds);
    report.figure("transactions", count);
    report.figure("register_operations", returned + open);
    report.figure("register_operations_unheard", outcome.unheard);
    for reason in ["automatic", "planned"] {
        let count = switches.get(reason).copied().unwrap_or(0);
        report.figure(&format!("{reason}_switches"), count);
    }
    Ok(())
}

/// The chain never stood still for longer than storms explain, and a `stop` of this very program,
/// which may have been one of the nodes, too.
pub fn stood_still(
    stage: &mut Stage,
    watcher: &Watcher,
    plan: &Plan,
    from: Height,
    stop: Duration,
) -> Result<()> {
    let (gap, before) = longest_gap(&watcher.since(from));
    let bound = plan.longest_storm() + STANDSTILL + stop;
    ensure!(gap <= bound, "{gap:.1?} passed before block {before}, more than {bound:.1?}");
    stage.report.holds(format!(
        "the chain stood still for {:.1} s at most, before block {before} (bound {:.1} s)",
        gap.as_secs_f64(),
        bound.as_secs_f64()
    ));
    stage.report.figure("longest_gap_between_blocks_ms", ms(gap));
    stage.report.figure("longest_stop_of_this_program_ms", ms(stop));
    Ok(())
}

/// Every node tells the same receipts: of some, since there are very many.
async fn receipts_everywhere(
    stage: &mut Stage,
    receipts: &HashMap<TxHash, (Height, u32)>,
) -> Result<()> {
    let mut receipts: Vec<_> = receipts.iter().collect();
    receipts.sort_unstable_by_key(|(tx, (height, _))| (*height, **tx));
    let step = receipts.len().div_ceil(RECEIPTS).max(1);
    for rpc in stage.net().rpcs_but(&[]) {
        for (tx, (height, code)) in receipts.iter().step_by(step) {
            let info = rpc.receipt(tx).await?;
            ensure!(
                (info.height, info.receipt.code) == (*height, *code),
                "{} tells that {tx} ended at height {} with code {}, its client was told {height} \
                 and {code}",
                rpc.name(),
                info.height,
                info.receipt.code
            );
        }
    }
    let count = receipts.len().div_ceil(step);
    stage.report.holds(format!("every node tells the same {count} of these receipts"));
    Ok(())
}

/// One node signs for a seat at a height, by the role tables and whatever they say.
fn one_signer(stage: &mut Stage, chain: &Chain, witness: Witness) -> Result<()> {
    let layout = stage.net().layout();
    let mut shown = witness.certificates();
    // Some may be of blocks that have come since the chain was read.
    shown.retain(|commit| chain.block(commit.height).is_some());
    for commit in &shown {
        chain.certifies(layout, commit)?;
    }
    let in_chain = chain.blocks.iter().map(|block| &block.last_commit);
    one_signer_a_seat(layout, in_chain.chain(&shown))?;
    stage.report.holds(format!(
        "{} certificates that nodes showed of their newest blocks are for blocks of the chain; in \
         these and the chain's, no seat has two signers at a height",
        shown.len()
    ));
    Ok(())
}

/// Every node has the chain, block by block.
async fn same_everywhere(stage: &mut Stage, chain: &Chain) -> Result<()> {
    let nodes = stage.net().rpcs_but(&[]);
    let count = nodes.len();
    for rpc in &nodes {
        chain.is_that_of(rpc).await?;
    }
    stage.report.holds(format!(
        "all {count} nodes have the same {} blocks, and the same state after each",
        chain.blocks.len()
    ));
    Ok(())
}

/// Changes of holders, counted by their reason.
async fn switches(rpc: &Rpc) -> Result<BTreeMap<String, u64>> {
    let mut counts = BTreeMap::new();
    let mut skip = 0;
    loop {
        let page = rpc.client().switches(skip, SWITCHES).await;
        let page = page.context("the history of switches")?.switches;
        if page.is_empty() {
            return Ok(counts);
        }
        skip += page.len() as u64;
        for switch in page {
            *counts.entry(switch.reason).or_default() += 1;
        }
    }
}
