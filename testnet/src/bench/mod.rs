//! Measures a network on this machine: throughput, latency, cost, and the machine's own limits.

pub(crate) mod crowd;
mod machine;
mod measure;
mod reading;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Serialize;
use tandem_chain::types::Height;

use crate::layout::Spec;
use crate::load::{Signer, Size};
use crate::network::Network;
use crate::process::{find_tandem, interrupted};
use crate::watcher::Watcher;

use crowd::{Crowd, Crowded};
use machine::Machine;
use measure::{Figures, Offer, SATURATED, measure};
use reading::{Readers, Reading};

/// Time for all nodes to answer.
const READY: Duration = Duration::from_secs(60);
/// A load before the measured one: connections, caches and data sets are there then.
const WARM_UP: Duration = Duration::from_secs(3);
const WARM_UP_RATE: f64 = 200.0;
/// The first rate of the search for saturation, and the factor from one to the next.
const FIRST_RATE: f64 = 500.0;
const RAISE: f64 = 1.5;
/// Times that the gap between a rate that was kept and one that was not is halved.
const HALVINGS: usize = 3;
/// Factor from a rate that was not kept up with for the whole time to the next, and how many are tried.
const RETREAT: f64 = 0.9;
const RETREATS: usize = 6;
/// Times that saturation is measured: the best counts, as with the machine itself, since what else
/// runs on a machine can only make a measurement worse.
const SATURATIONS: usize = 3;
/// Time at each rate of the search.
const PROBE: Duration = Duration::from_secs(6);
/// Rates above this are no network's on one machine.
const MAX_RATE: f64 = 200_000.0;

/// What kind of transactions are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Of many senders; --size counts the whole transaction
    Signed,
    /// Of four senders; --size counts the payload alone
    Payload,
}

/// Whether nodes have an index of transactions and events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Index {
    /// Yes
    On,
    /// No
    Off,
    /// A network with and one without, one after the other: what the index costs
    Both,
}

/// Options of `bench`.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Organisations
    #[arg(long, default_value_t = 4)]
    orgs: usize,
    /// Validators only, no standbys
    #[arg(long)]
    no_pairs: bool,
    /// Transactions a second; 0 looks for the highest rate that the network keeps up with
    #[arg(long, default_value_t = 0.0)]
    rate: f64,
    /// Bytes of a transaction, or of its payload
    #[arg(long, default_value_t = 512)]
    size: usize,
    /// What is sent
    #[arg(long, value_enum, default_value_t = Mode::Signed)]
    mode: Mode,
    /// Whether nodes have an index of transactions and events
    #[arg(long, value_enum, default_value_t = Index::On)]
    index: Index,
    /// Requests a second to one validator meanwhile, `tx`, `block` and `tx_search` in turn; with --rate
    #[arg(long, default_value_t = 0.0)]
    reads: f64,
    /// Subscribers of new headers at that validator meanwhile; with --rate
    #[arg(long, default_value_t = 0)]
    subscribers: usize,
    /// Connections meanwhile to that validator that send half a request or nothing, and are held; with --rate
    #[arg(long, default_value_t = 0)]
    idle: usize,
    /// Subscribers of all events there that do not read; with --rate
    #[arg(long, default_value_t = 0)]
    deaf: usize,
    /// Seconds of the measurement
    #[arg(long, default_value_t = 20)]
    secs: u64,
    /// Folder in which the network's folder is made, on a disk or on tmpfs [default: the system's]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// The node binary [default: the one beside this program]
    #[arg(long)]
    tandem: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Options {
    fn has_readers(&self) -> bool {
        self.reads > 0.0 || self.subscribers > 0
    }

    fn has_crowd(&self) -> bool {
        self.idle > 0 || self.deaf > 0
    }
}

/// The outcome, for comparison.
#[derive(Serialize)]
struct Outcome {
    orgs: usize,
    pairs: bool,
    nodes: usize,
    mode: Mode,
    size_bytes: usize,
    index: bool,
    machine: Machine,
    #[serde(flatten)]
    measured: Measured,
    /// Committed a second, at saturation where that was measured, as a share of verifications a
    /// second on all cores divided by the number of nodes: each of them verifies every transaction.
    share_of_verification_limit: f64,
}

/// What was measured of a network.
#[derive(Serialize)]
struct Measured {
    /// At the rate asked for, or else at the highest that was kept up with.
    figures: Figures,
    /// With more offered than the network can do, the best of three; where no rate was asked for.
    saturated: Option<Figures>,
    /// The same rate again with clients that read, where any were asked for.
    read: Option<(Figures, Reading)>,
    /// The same again with clients that hold the node up, where any were asked for.
    crowded: Option<(Figures, Crowded)>,
}

impl Measured {
    /// Committed a second, at saturation where that was measured.
    fn committed_per_s(&self) -> f64 {
        self.saturated.as_ref().unwrap_or(&self.figures).committed_per_s
    }
}

/// Runs the measurements and prints them.
///
/// # Errors
/// When the network cannot be started or does not commit what it took.
pub async fn run(options: Options) -> Result<()> {
    ensure!(
        options.rate > 0.0 || !(options.has_readers() || options.has_crowd()),
        "--reads, --subscribers, --idle and --deaf are measured beside a load: say its --rate"
    );
    let tandem = find_tandem(options.tandem.as_deref())?;
    let base = options.dir.clone().unwrap_or_else(std::env::temp_dir);
    std::fs::create_dir_all(&base).with_context(|| base.display().to_string())?;
    let base = base.canonicalize()?;
    let kinds: &[bool] = match options.index {
        Index::On => &[true],
        Index::Off => &[false],
        Index::Both => &[true, false],
    };
    let mut outcomes = Vec::new();
    for index in kinds {
        let outcome = one(&options, *index, &tandem, &base).await?;
        if !options.json {
            print(&outcome);
        }
        outcomes.push(outcome);
    }
    if options.json {
        for outcome in &outcomes {
            println!("{}", serde_json::to_string_pretty(outcome)?);
        }
    } else if let [with, without] = &outcomes[..] {
        println!(
            "  with the index, {:.1} % of what is committed a second without",
            100.0 * with.measured.committed_per_s() / without.measured.committed_per_s()
        );
    }
    Ok(())
}

/// Measures one network.
async fn one(options: &Options, index: bool, tandem: &Path, base: &Path) -> Result<Outcome> {
    let folder = tempfile::Builder::new().prefix("tandem-bench-").tempdir_in(base)?;
    say(options, "measuring the machine");
    let before = Machine::measure(folder.path())?;

    let (senders, size) = match options.mode {
        Mode::Signed => (usize::MAX, Size::Whole(options.size)),
        Mode::Payload => (4, Size::Value(options.size)),
    };
    let spec = Spec {
        orgs: options.orgs,
        pairs: !options.no_pairs,
        users_per_org: 64,
        relays: false,
        index,
        ..Spec::default()
    };
    let spec =
        Spec { websockets: spec.websockets.max(options.subscribers).max(options.deaf), ..spec };
    let dir = folder.path().join("network");
    Network::create(&dir, spec)?;
    let network = Network::launch(&dir, tandem).await?;
    let measured = async {
        let names = network.names();
        let all: Vec<&str> = names.iter().map(String::as_str).collect();
        network.start(&all, READY).await?;
        let watcher = Arc::new(Watcher::start(network.rpcs_but(&[]), Height::ZERO));
        watcher.reached(Height(3), READY).await?;
        let signer = Signer::new(network.layout(), senders, size);
        search_and_measure(options, &network, &watcher, &signer).await
    };
    let measured = tokio::select! {
        measured = measured => measured?,
        () = interrupted() => bail!("interrupted"),
    };
    say(options, "measuring the machine again");
    let machine = before.best(Machine::measure(folder.path())?);
    let nodes = network.names().len();
    let limit = machine.verifications_per_s / crate::stats::float(nodes);
    Ok(Outcome {
        orgs: options.orgs,
        pairs: !options.no_pairs,
        nodes,
        mode: options.mode,
        size_bytes: options.size,
        index,
        share_of_verification_limit: measured.committed_per_s() / limit,
        machine,
        measured,
    })
}

async fn search_and_measure(
    options: &Options,
    network: &Network,
    watcher: &Arc<Watcher>,
    signer: &Signer,
) -> Result<Measured> {
    let probe = async |rate: f64, time: Duration| {
        say(options, &format!("{rate:.0} transactions a second for {} s", time.as_secs()));
        measure(network, watcher, signer.clone(), Offer::Rate(rate), time).await
    };
    probe(WARM_UP_RATE, WARM_UP).await?;
    let time = Duration::from_secs(options.secs);
    if options.rate > 0.0 {
        let figures = probe(options.rate, time).await?;
        let mut measured = Measured { figures, saturated: None, read: None, crowded: None };
        let node = network.rpc(&network.names()[0]);
        if options.has_crowd() {
            say(options, "the same while clients hold a node up");
            let crowd = Crowd::start(node, options.idle, options.deaf).await?;
            let figures = probe(options.rate, time).await?;
            measured.crowded = Some((figures, crowd.finish()));
        }
        if options.has_readers() {
            say(options, "the same while clients read");
            let (watcher, reads) = (Arc::clone(watcher), options.reads);
            let readers = Readers::start(node, watcher, reads, options.subscribers).await?;
            let figures = probe(options.rate, time).await?;
            measured.read = Some((figures, readers.finish()?));
        }
        return Ok(measured);
    }
    let (mut kept, mut lost) = (WARM_UP_RATE, FIRST_RATE);
    while lost < MAX_RATE && probe(lost, PROBE).await?.kept_up() {
        (kept, lost) = (lost, lost * RAISE);
    }
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(kept, lost).round();
        if probe(middle, PROBE).await?.kept_up() {
            kept = middle;
        } else {
            lost = middle;
        }
    }
    // A short probe may have been lucky: what is reported was kept up with for the whole time.
    for _ in 0..RETREATS {
        let figures = probe(kept, time).await?;
        if figures.kept_up() {
            let mut best: Option<Figures> = None;
            for _ in 0..SATURATIONS {
                let what = format!("{SATURATED} transactions at a time for {} s", time.as_secs());
                say(options, &what);
                let offer = Offer::Saturating { kept };
                let saturated = measure(network, watcher, signer.clone(), offer, time).await?;
                let is_better = |best: &Figures| saturated.committed_per_s > best.committed_per_s;
                if best.as_ref().is_none_or(is_better) {
                    best = Some(saturated);
                }
            }
            return Ok(Measured { figures, saturated: best, read: None, crowded: None });
        }
        kept = (kept * RETREAT).round();
    }
    bail!(
        "no rate was kept up with for {} s, down to {kept:.0} transactions a second",
        time.as_secs()
    )
}

fn say(options: &Options, what: &str) {
    if !options.json {
        println!("  {what}");
    }
}

fn print(outcome: &Outcome) {
    let Outcome { measured, machine, .. } = outcome;
    let Measured { figures, saturated, read, crowded } = measured;
    let kind = match outcome.mode {
        Mode::Signed => "signed transactions",
        Mode::Payload => "payloads",
    };
    let index = if outcome.index { "with an index" } else { "without an index" };
    let network = format!(
        "{} organisations, {} nodes {index}, {kind} of {} B",
        outcome.orgs, outcome.nodes, outcome.size_bytes
    );
    let highest = if saturated.is_some() { ", the highest that was kept up with" } else { "" };
    let mut rows =
        vec![("network", network), ("rate", format!("{:.0} tx/s{highest}", figures.rate))];
    rows.extend(rows_of(figures));
    rows.push((
        "machine",
        format!(
            "{} cores, {:.0} strict verifications/s on all, {:.0} fsyncs/s",
            machine.cores, machine.verifications_per_s, machine.fsyncs_per_s
        ),
    ));
    rows.push((
        "share",
        format!(
            "{:.2} of verifications/s divided by the number of nodes (the floor is 0.25)",
            outcome.share_of_verification_limit
        ),
    ));
    if let Some(saturated) = saturated {
        rows.push((
            "saturation",
            format!(
                "{:.0} tx/s committed with {SATURATED} at a time: p50 {:.0} ms, {:.1} blocks a second, \
                 {:.2} s of CPU for 1,000 tx in all nodes",
                saturated.committed_per_s,
                saturated.latency.p50_ms,
                saturated.blocks_per_s,
                saturated.cpu_s_per_1000_tx
            ),
        ));
    }
    if let Some((figures, crowded)) = crowded {
        rows.push(("crowd", "the same while clients hold a node up:".to_owned()));
        rows.extend(rows_of(figures));
        rows.push(("held", crowded.row()));
    }
    if let Some((figures, reading)) = read {
        rows.push(("read", "the same while clients read:".to_owned()));
        rows.extend(rows_of(figures));
        rows.extend(reading.rows());
    }
    for (name, value) in rows {
        println!("  {name:11} {value}");
    }
}

/// Figures for people: a name and a value each.
fn rows_of(figures: &Figures) -> Vec<(&'static str, String)> {
    let mib = |bytes: Option<&u64>| bytes.map_or(0, |bytes| bytes / (1024 * 1024));
    let memory = figures.peak_memory_bytes.values();
    let (least, most) = (mib(memory.clone().min()), mib(memory.max()));
    vec![
        ("offered", format!("{:.0} tx/s for {:.1} s", figures.offered_per_s, figures.secs)),
        ("committed", format!("{:.0} tx/s", figures.committed_per_s)),
        (
            "latency",
            format!(
                "p50 {:.0} ms, p95 {:.0} ms, p99 {:.0} ms (submit to commit)",
                figures.latency.p50_ms, figures.latency.p95_ms, figures.latency.p99_ms
            ),
        ),
        (
            "blocks",
            format!("{:.1} a second, {:.3} rounds each", figures.blocks_per_s, figures.mean_rounds),
        ),
        (
            "CPU",
            format!(
                "{:.2} s for 1,000 tx in all nodes, {:.2} s in the load generator",
                figures.cpu_s_per_1000_tx, figures.load_cpu_s_per_1000_tx
            ),
        ),
        ("memory", format!("{least} to {most} MiB at most in a node")),
        ("disk", format!("{:.0} B for a transaction in a node", figures.disk_bytes_per_tx)),
    ]
}
