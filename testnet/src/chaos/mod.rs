//! A campaign of random faults over real processes, under load, and a verdict from outside.
//!
//! ```text
//!   seed ──> plan: which faults, when, for how long
//!              │ harm: kill -9, pause, wipe, cut, slow, switch ...
//!              ▼
//!   network of node processes ◄── loads: each transaction sent until it has a receipt
//!              ▲                ◄── registers: put and get with versions, a history
//!              │                ◄── witness: certificates and role tables as they come
//!              │ RPC alone
//!   verdict: same blocks everywhere, receipts kept, one signer a seat, the history linearizable
//! ```
//!
//! The seed determines the schedule. What comes of it does not follow from the seed alone, since
//! processes and their links are not deterministic: the simulator is.

mod fault;
mod harm;
mod history;
mod plan;
mod pulse;
mod registers;
mod verdict;
mod witness;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use tokio::time::Instant;

use crate::layout::Spec;
use crate::load::{Load, Plan as LoadPlan};
use crate::stats::ms;
use crate::story::{Place, Stage, perform};
use crate::until::until;
use crate::watcher::Watcher;

use plan::Plan;
use pulse::Pulse;
use registers::Registers;
use witness::Witness;

/// The one observer.
const OBSERVER: &str = "obs-1";
/// Loads at a time, each a client of all nodes.
const LOADS: u32 = 3;
/// Time for every node to be at the tip, and alive by the record, once all is whole again; and for
/// each hundred blocks of the chain in addition: a node whose disk was wiped just before executes all
/// of them anew, while the others leave it little of the machine.
const WHOLE: Duration = Duration::from_secs(60);
const WHOLE_PER_HUNDRED_BLOCKS: Duration = Duration::from_secs(1);

/// Options of `tandem-testnet chaos`.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Minutes for which faults strike
    #[arg(long, default_value_t = 2.0, value_parser = parse_minutes)]
    minutes: f64,
    /// What the schedule of faults follows from [default: any]
    #[arg(long)]
    seed: Option<u64>,
    /// Organisations, each with a pair
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(4..=10))]
    orgs: u8,
    /// Transactions a second, of all loads together
    #[arg(long, default_value_t = 90.0)]
    rate: f64,
    /// Print the schedule, and do nothing
    #[arg(long)]
    schedule: bool,
    #[command(flatten)]
    place: Place,
}

fn parse_minutes(text: &str) -> Result<f64> {
    let minutes: f64 = text.parse()?;
    if !(0.0..=24.0 * 60.0).contains(&minutes) {
        bail!("minutes are from 0 to a day's");
    }
    Ok(minutes)
}

/// Lives through a campaign, and tells what holds.
///
/// # Errors
/// When something does not hold; it has been printed, with the seed and the schedule.
pub async fn run(options: Options) -> Result<()> {
    let seed = options.seed.unwrap_or_else(rand::random);
    let length = Duration::from_secs_f64(options.minutes * 60.0);
    let plan = Plan::new(seed, options.orgs.into(), length);
    if options.schedule {
        print!("{plan}");
        return Ok(());
    }
    let about = format!(
        "seed {seed}, {} faults in {} minutes, {} organisations",
        plan.faults.len(),
        options.minutes,
        options.orgs
    );
    let again = format!(
        "seed {seed}: tandem-testnet chaos --seed {seed} --minutes {} --orgs {} --rate {}",
        options.minutes, options.orgs, options.rate
    );
    let stage = Stage::of_campaign("chaos", &about, options.place.clone())?;
    let pulse = Pulse::start();
    let holds = perform(stage, async |stage| {
        let played = play(stage, &plan, options.rate, &pulse).await;
        let Err(error) = played else { return Ok(()) };
        let stop = pulse.longest_stop().await.as_secs_f64();
        Err(anyhow!(
            "{error:#}\n{again}\n(the longest time for which this program itself did not run: \
             {stop:.1} s)\nschedule:\n{plan}"
        ))
    });
    if !holds.await? {
        bail!("a campaign with seed {seed} does not hold");
    }
    Ok(())
}

/// Those that send transactions and are told what came of them.
struct Clients {
    loads: Vec<Load>,
    registers: Registers,
}

async fn play(stage: &mut Stage, plan: &Plan, rate: f64, pulse: &Pulse) -> Result<()> {
    let spec = Spec { orgs: plan.orgs, observers: 1, ..Spec::default() };
    let watcher = Arc::new(stage.open(spec, &[], &[]).await?);
    let nodes = stage.net().rpcs_but(&[]);
    let witness = Witness::start(nodes.clone(), Arc::clone(&watcher));
    let loads = start_loads(stage, &watcher, rate).await?;
    let (layout, now) = (stage.net().layout(), watcher.height());
    let registers = Registers::start(layout, nodes, now, plan.seed).await?;
    stage.report.holds(format!(
        "{LOADS} clients send {rate} transactions a second, others put to registers and get from them"
    ));

    let from = watcher.height();
    let counts = harm::carry_out(stage, &watcher, plan).await?;
    stage.report.does(format!("block {}: all is healed", watcher.height()));
    let healed = Instant::now();
    harm::heal(stage).await?;
    let last = all_are_well(stage, &watcher).await?;
    let recovery = healed.elapsed();
    stage.report.holds(format!(
        "{:.0} ms later all nodes are at the tip and recorded alive, and their keys are good; \
         {last} was waited for the longest",
        ms(recovery)
    ));

    verdict::check(stage, plan, Clients { loads, registers }, witness).await?;
    verdict::stood_still(stage, &watcher, plan, from, pulse.longest_stop().await)?;
    for (name, count) in counts {
        stage.report.figure(name, count);
    }
    stage.report.figure("healed_to_all_well_ms", ms(recovery));
    Ok(())
}

async fn start_loads(stage: &Stage, watcher: &Watcher, rate: f64) -> Result<Vec<Load>> {
    let mut loads = Vec::new();
    for _ in 0..LOADS {
        loads.push(stage.load(watcher, LoadPlan::steady(rate / f64::from(LOADS))).await?);
    }
    Ok(loads)
}

/// Waits until every node is at the tip with a good key, and recorded alive; the name of the one that
/// took the longest.
async fn all_are_well(stage: &Stage, watcher: &Watcher) -> Result<String> {
    let healed = watcher.height();
    let hundreds = u32::try_from(healed.0 / 100).unwrap_or(u32::MAX);
    let deadline = WHOLE + WHOLE_PER_HUNDRED_BLOCKS * hundreds;
    let mut longest = (Duration::ZERO, String::new());
    let tip = watcher.reached(healed.next(), WHOLE).await?.block.height;
    for node in &stage.net().layout().nodes {
        let rpc = stage.net().rpc(&node.name);
        let (what, start) = (format!("{} is at the tip", node.name), Instant::now());
        let at_tip = until(&what, deadline, || async {
            if let Err(ended) = harm::states(stage).await {
                return Ok(Err(ended));
            }
            let status = rpc.status().await?;
            let (sync, own) = (status.sync_info, status.tandem);
            let height = sync.latest_block_height;
            if height < tip || sync.catching_up {
                bail!("it is at height {height} of {tip}");
            }
            if own.key_lost || own.silent_through >= own.height {
                bail!("its key is lost");
            }
            Ok(Ok(()))
        });
        at_tip.await??;
        // A record from before may be of what it was before.
        stage.recorded(node, true, watcher, watcher.height().next()).await?;
        longest = longest.max((start.elapsed(), node.name.clone()));
    }
    Ok(longest.1)
}
