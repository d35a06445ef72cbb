//! The deterministic simulator: whole networks of production replicas, ledgers and mempools in one
//! thread and virtual time, under faults, with the invariants of the design's section 9 checked after
//! every commit and every message.
//!
//! ```text
//!   seed ──> plan (network, parameters, load, faults, liars)
//!                │
//!   queue ──> world ──> driver: the production Replica, Ledger, Mempool of each node
//!     ▲          │          │ effects, in order        ├──> disk: a log, its end unsynced
//!     └──────────┴──────────┴──────────────────────────┴──> net: links, connections
//!                │
//!                └──> invariants: one a file
//! ```
//!
//! A history has two halves: faults, then everything but the Byzantine and some dead holders is
//! whole again, and progress, switches and receipts are demanded within bounds. The same seed gives
//! the same history, and the same digest of it, on every machine.

pub mod actor;
mod clock;
pub mod coverage;
mod crypto;
mod digest;
mod disk;
mod driver;
mod faults;
mod guests;
mod health;
pub mod invariants;
mod liars;
mod links;
mod load;
mod members;
mod messages;
mod net;
mod node;
mod packet;
pub mod plan;
mod queue;
pub(crate) mod random;
pub mod report;
mod states;
#[cfg(test)]
mod tests;
mod thieves;
mod world;

use std::any::Any;
use std::fmt;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use anyhow::{Result, bail, ensure};
use serde::Serialize;
use tandem_chain::limits::MAX_ORGS;

use self::coverage::ENOUGH_SEEDS;
use self::crypto::Scheme;
use self::plan::Shape;
use self::report::Counts;
pub use self::world::World;

/// Options of `tandem-testnet sim`.
#[derive(Clone, Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub struct Options {
    /// Seeds, from A up to but not with B
    #[arg(long, value_name = "A..B", default_value = "0..100", value_parser = parse_seeds)]
    pub seeds: Range<u64>,
    /// Histories at a time; 0 for one per processor
    #[arg(long, default_value_t = 0)]
    pub jobs: usize,
    /// End at the first seed that fails
    #[arg(long)]
    pub until_failure: bool,
    /// Tell each history
    #[arg(long)]
    pub trace: bool,
    /// So many organisations with a pair of nodes each, instead of what a seed picks
    #[arg(long, value_name = "N", value_parser = parse_orgs)]
    pub orgs: Option<usize>,
    /// Neither faults nor liars, and about one transaction a block: what a block costs
    #[arg(long)]
    pub calm: bool,
    /// What signatures are, instead of what a seed picks
    #[arg(long, value_enum)]
    pub signatures: Option<Scheme>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

fn parse_seeds(text: &str) -> Result<Range<u64>> {
    let Some((first, end)) = text.split_once("..") else {
        bail!("seeds are given as A..B, such as 0..100");
    };
    let (first, end) = (first.trim().parse()?, end.trim().parse()?);
    ensure!(first < end, "there is no seed from {first} up to {end}");
    Ok(first..end)
}

fn parse_orgs(text: &str) -> Result<usize> {
    let orgs = text.parse()?;
    ensure!((1..=MAX_ORGS).contains(&orgs), "there can be 1 to {MAX_ORGS} organisations");
    Ok(orgs)
}

impl Options {
    fn shape(&self) -> Shape {
        Shape { orgs: self.orgs, calm: self.calm, signatures: self.signatures }
    }

    /// The command that tells the history of one of these seeds.
    fn replay(&self, seed: u64) -> String {
        let orgs = self.orgs.map(|orgs| format!(" --orgs {orgs}")).unwrap_or_default();
        let calm = if self.calm { " --calm" } else { "" };
        let signatures = self.signatures.map(|scheme| format!(" --signatures {scheme}"));
        let signatures = signatures.unwrap_or_default();
        format!("tandem-testnet sim --seeds {seed}..{}{orgs}{calm}{signatures} --trace", seed + 1)
    }
}

/// What became of one seed.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What did not hold.
    pub violation: Option<String>,
    /// Digest of the history.
    pub digest: u64,
    /// Its numbers.
    pub counts: Counts,
    /// Its story, when one was wanted.
    pub story: Vec<String>,
}

/// Lives through one seed's history.
#[must_use]
pub fn run_seed(seed: u64, with_story: bool) -> Outcome {
    run_shaped(seed, Shape::default(), with_story)
}

/// Lives through one seed's history, in the shape that is asked for.
#[must_use]
pub fn run_shaped(seed: u64, shape: Shape, with_story: bool) -> Outcome {
    let mut world = World::shaped(seed, shape, with_story);
    let verdict = catch_unwind(AssertUnwindSafe(|| world.run()));
    let violation = match verdict {
        Ok(verdict) => verdict.err().map(|violation| violation.to_string()),
        // After a violation the invariants know less of the chain than they may be asked about, up to
        // the end of the event in which it happened.
        Err(panic) => Some(world.violation.as_ref().map_or_else(
            || format!("panicked: {}", panic_message(panic.as_ref())),
            ToString::to_string,
        )),
    };
    Outcome {
        violation,
        digest: world.digest(),
        counts: world.counts().clone(),
        story: world.story().to_vec(),
    }
}

/// What a panic said; where it was said stands on the standard error.
fn panic_message(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("without a word")
}

/// Lives through the histories of all seeds, and prints what happened.
///
/// # Errors
/// When an invariant did not hold in one.
pub fn run(options: &Options) -> Result<()> {
    let started = Instant::now();
    let mut report = Report::default();
    for_each_seed(options, |seed, outcome| {
        report.total.add(&outcome.counts);
        report.digest ^= outcome.digest.rotate_left((seed % 64) as u32);
        if options.trace {
            let world = World::shaped(seed, options.shape(), false);
            println!("seed {seed}\n{}", world.plan());
            outcome.story.iter().for_each(|line| println!("{line}"));
            println!("digest {:016x}", outcome.digest);
        }
        if let Some(violation) = &outcome.violation {
            println!("seed {seed} FAILED: {violation}");
            println!("  replay: {}", options.replay(seed));
            report.failed.push(seed);
        }
    });
    report.seconds = started.elapsed().as_secs_f64();
    report.failed.sort_unstable();
    report.never = report.total.coverage.never();
    let undone = report.total.deeds.never().map(|deed| format!("deeds: {deed}"));
    report.never.extend(undone);
    if options.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        println!("{report}");
    }
    let (failed, seeds) = (report.failed.len(), report.total.seeds);
    ensure!(failed == 0, "{failed} of {seeds} seeds failed");
    let is_covered = seeds < ENOUGH_SEEDS || report.never.is_empty();
    ensure!(is_covered, "coverage FAILED, never hit: {}", report.never.join("; "));
    Ok(())
}

/// Hands the outcome of each seed to `tell`, in the order in which they end. Every history is of its
/// own: how many run at a time changes none.
fn for_each_seed(options: &Options, mut tell: impl FnMut(u64, &Outcome)) {
    let jobs = match options.jobs {
        0 => thread::available_parallelism().map_or(1, usize::from),
        jobs => jobs,
    };
    let next = AtomicU64::new(options.seeds.start);
    let (sender, outcomes) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..jobs {
            let (next, sender) = (&next, sender.clone());
            scope.spawn(move || {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if !options.seeds.contains(&seed) {
                        return;
                    }
                    let outcome = run_shaped(seed, options.shape(), options.trace);
                    if outcome.violation.is_some() && options.until_failure {
                        next.store(options.seeds.end, Ordering::Relaxed);
                    }
                    if sender.send((seed, outcome)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        outcomes.iter().for_each(|(seed, outcome)| tell(seed, &outcome));
    });
}

/// What is printed of all histories together.
#[derive(Default, Serialize)]
struct Report {
    total: Counts,
    failed: Vec<u64>,
    /// Rows of the tables of coverage that were never hit.
    never: Vec<String>,
    /// Of all digests together.
    digest: u64,
    seconds: f64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}", self.total, self.total.coverage)?;
        write!(
            f,
            "{:.1} s, {:.0} blocks a second, digest {:016x}",
            self.seconds,
            self.total.blocks as f64 / self.seconds,
            self.digest
        )?;
        for ((is_unjust, what), count) in &self.total.reports {
            if *is_unjust {
                write!(f, "\n  correct nodes reported correct ones {count} times: {what}")?;
            }
        }
        Ok(())
    }
}
