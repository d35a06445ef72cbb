//! One measurement: a load at one rate, and what it cost.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Serialize;
use tandem_chain::types::Height;
use tokio::time::Instant;

use crate::load::{Load, Plan, Signer};
use crate::network::Network;
use crate::process::{Usage, disk_bytes, usage};
use crate::stats::{Latency, float, per_second};
use crate::watcher::{Seen, Watcher};

/// Time for what was offered to be committed after the load has ended.
const DRAIN: Duration = Duration::from_secs(120);
/// Time before the measurement begins: the first transactions are committed then.
const SETTLE: Duration = Duration::from_secs(1);
/// Transactions without a receipt at a time: below what a mempool holds.
const IN_FLIGHT: usize = 40_000;
/// The same where the network is to be saturated: more than a second's worth, and less than what it takes
/// until a transaction is sent again.
pub const SATURATED: usize = 3_000;
/// Rate, as a multiple of one that was kept up with, for which transactions are signed before the network
/// is saturated, so that the cores are the network's meanwhile.
const HEADROOM: f64 = 1.5;

/// What is offered.
#[derive(Clone, Copy, Debug)]
pub enum Offer {
    /// Transactions a second.
    Rate(f64),
    /// As many as keep [`SATURATED`] of them without a receipt.
    Saturating {
        /// Transactions a second that the network kept up with.
        kept: f64,
    },
}

impl Offer {
    /// The load for a measurement of `time`.
    fn plan(self, time: Duration) -> Plan {
        match self {
            Self::Rate(rate) => Plan { in_flight: IN_FLIGHT, ..Plan::steady(rate) },
            Self::Saturating { kept } => {
                let for_the_time = kept * HEADROOM * (SETTLE + time).as_secs_f64();
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a count"
                )]
                let signed_before = for_the_time as usize;
                Plan { signed_before, ..Plan::saturating(SATURATED) }
            }
        }
    }
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// Rate asked for, transactions a second.
    pub rate: f64,
    /// Seconds for which transactions were offered.
    pub secs: f64,
    /// Offered a second.
    pub offered_per_s: f64,
    /// Committed a second, in that time.
    pub committed_per_s: f64,
    /// From the first sending to the sight of the block (looked for every 5 ms), of all that were
    /// offered.
    pub latency: Latency,
    /// Blocks a second.
    pub blocks_per_s: f64,
    /// Rounds that a block took, on average; 1 is the least.
    pub mean_rounds: f64,
    /// CPU seconds of all nodes together for a thousand committed transactions.
    pub cpu_s_per_1000_tx: f64,
    /// CPU seconds of the load generator for a thousand committed transactions.
    pub load_cpu_s_per_1000_tx: f64,
    /// By node, the most memory that it has had since it was started, in bytes.
    pub peak_memory_bytes: BTreeMap<String, u64>,
    /// Bytes on disk that each committed transaction cost each node, on average.
    pub disk_bytes_per_tx: f64,
    /// Transactions committed.
    pub committed: usize,
    /// Sent again for want of a receipt.
    pub sent_again: usize,
}

impl Figures {
    /// Whether the network kept up: at least 95 of 100 offered were committed in the time, and the
    /// generator itself kept to its rate.
    #[must_use]
    pub fn kept_up(&self) -> bool {
        self.committed_per_s >= 0.95 * self.rate
    }
}

/// What is read before and after.
struct Reading {
    at: Instant,
    committed: usize,
    height: Height,
    nodes: Vec<Usage>,
    own: Usage,
}

/// Offers transactions to all nodes for `time`.
///
/// # Errors
/// When a node dies, or what was offered is not committed long after.
pub async fn measure(
    network: &Network,
    watcher: &Watcher,
    signer: Signer,
    offer: Offer,
    time: Duration,
) -> Result<Figures> {
    let names = network.names();
    let mut pids = Vec::new();
    for name in &names {
        pids.push(network.pid(name).await?);
    }
    let disk = disk(network);
    let plan = offer.plan(time);
    let load = Load::start(network.rpcs_but(&[]), watcher, signer, plan).await?;
    tokio::time::sleep(SETTLE).await;
    let before = read(&load, watcher, &pids)?;
    tokio::time::sleep(time).await;
    let after = read(&load, watcher, &pids)?;
    let summary = load.finish(DRAIN).await?;
    let disk = self::disk(network).saturating_sub(disk);

    let spent = after.at - before.at;
    let committed = after.committed - before.committed;
    let cpu = |reading: &Reading| reading.nodes.iter().map(|node| node.cpu_s).sum::<f64>();
    let per_1000 = |seconds: f64| seconds * 1000.0 / float(committed.max(1));
    let seen = watcher.since(before.height);
    let blocks: Vec<&Seen> = seen.iter().filter(|seen| seen.block.height <= after.height).collect();
    let rounds: u32 = blocks.iter().map(|seen| seen.block.last_commit.round.0 + 1).sum();
    Ok(Figures {
        rate: plan.rate.unwrap_or(summary.offered_per_s),
        secs: spent.as_secs_f64(),
        offered_per_s: summary.offered_per_s,
        committed_per_s: per_second(committed, spent),
        latency: summary.latency,
        blocks_per_s: per_second(blocks.len(), spent),
        mean_rounds: f64::from(rounds) / float(blocks.len().max(1)),
        cpu_s_per_1000_tx: per_1000(cpu(&after) - cpu(&before)),
        load_cpu_s_per_1000_tx: per_1000(after.own.cpu_s - before.own.cpu_s),
        peak_memory_bytes: names
            .iter()
            .cloned()
            .zip(after.nodes.iter().map(|node| node.peak_memory_bytes))
            .collect(),
        disk_bytes_per_tx: disk_per_tx(disk, names.len(), summary.committed),
        committed: summary.committed,
        sent_again: summary.sent_again,
    })
}

fn read(load: &Load, watcher: &Watcher, pids: &[u32]) -> Result<Reading> {
    Ok(Reading {
        at: Instant::now(),
        committed: load.tracker().counts().committed,
        height: watcher.height(),
        nodes: pids
            .iter()
            .map(|pid| usage(*pid))
            .collect::<Result<_>>()
            .context("a node has gone")?,
        own: usage(std::process::id())?,
    })
}

/// Bytes that all nodes' data folders take.
fn disk(network: &Network) -> u64 {
    let homes = network.layout().nodes.iter().map(|node| network.layout().home(node));
    homes.map(|home| disk_bytes(&home.join("data"))).sum()
}

#[expect(clippy::cast_precision_loss, reason = "bytes of a test run are far below 2^52")]
fn disk_per_tx(bytes: u64, nodes: usize, committed: usize) -> f64 {
    bytes as f64 / float(nodes) / float(committed.max(1))
}
