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
mod crypto;
mod disk;
mod driver;
mod faults;
mod health;
pub mod invariants;
mod links;
mod load;
mod net;
mod node;
mod packet;
pub mod plan;
mod queue;
mod random;
pub mod report;
#[cfg(test)]
mod tests;
mod world;

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use anyhow::{Result, bail, ensure};

use self::report::Counts;
pub use self::world::World;

/// Options of `tandem-testnet sim`.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Seeds, from A up to but not with B
    #[arg(long, value_name = "A..B", default_value = "0..100", value_parser = parse_seeds)]
    pub seeds: Range<u64>,
    /// Tell each history
    #[arg(long)]
    pub trace: bool,
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
    let mut world = World::new(seed, with_story);
    let verdict = catch_unwind(AssertUnwindSafe(|| world.run()));
    let violation = match verdict {
        Ok(verdict) => verdict.err().map(|violation| violation.to_string()),
        Err(_) => Some("a node panicked: see above".to_owned()),
    };
    Outcome {
        violation,
        digest: world.digest(),
        counts: world.counts().clone(),
        story: world.story().to_vec(),
    }
}

/// Lives through the histories of all seeds, and prints what happened.
///
/// # Errors
/// When an invariant did not hold in one, or a seed did not give the same history twice.
pub fn run(options: &Options) -> Result<()> {
    let started = Instant::now();
    let mut total = Counts::default();
    let mut failed = Vec::new();
    for seed in options.seeds.clone() {
        let outcome = run_seed(seed, options.trace);
        total.add(&outcome.counts);
        if options.trace {
            println!("seed {seed}\n{}", World::new(seed, false).plan());
            outcome.story.iter().for_each(|line| println!("{line}"));
            println!("digest {:016x}", outcome.digest);
        }
        if let Some(violation) = outcome.violation {
            println!("seed {seed} FAILED: {violation}");
            println!("  replay: tandem-testnet sim --seeds {seed}..{} --trace", seed + 1);
            failed.push(seed);
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    if options.json {
        let report = serde_json::json!({
            "counts": total,
            "failed": failed,
            "seconds": seconds,
        });
        println!("{report}");
    } else {
        println!("{total}");
        println!("{:.1} s, {:.0} blocks a second", seconds, total.blocks as f64 / seconds);
        for ((is_unjust, what), count) in &total.reports {
            if *is_unjust {
                println!("  correct nodes reported correct ones {count} times: {what}");
            }
        }
    }
    ensure!(failed.is_empty(), "{} of {} seeds failed", failed.len(), total.seeds);
    Ok(())
}
