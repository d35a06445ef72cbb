//! Clients that hold one node up as far as it lets them, while the network is under load: connections
//! that are idle or slow, and subscribers that do not read. Blocks go on, and others are answered.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use reqwest::Client;
use tokio::time::Instant;

use super::super::Stage;
use super::super::scene::{SOON, rounds_above_zero};
use crate::bench::crowd::Crowd;
use crate::process::usage;
use crate::stats::ms;
use crate::until::until;
use crate::watcher::{Watcher, longest_gap};

/// The node, a validator. Who follows the chain asks another.
const HELD: &str = "charlie-a";
/// Connections: several times as many as a node takes of one address.
const CONNECTIONS: usize = 1_000;
/// Subscribers that do not read.
pub const DEAF: usize = 100;
/// Blocks that are made meanwhile.
const BLOCKS: u64 = 100;
/// Bytes by which the node's memory may grow.
const MEMORY_MAX: u64 = 256 * 1024 * 1024;
/// Time for an answer when the crowd has gone, on a machine that is busy.
const AT_ONCE: Duration = Duration::from_secs(5);
/// Where the crowd is, and with it all other clients of a network on this machine.
const CROWDED: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// Where nobody else is.
const QUIET: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// Asks the node for its health, each time by a new connection.
struct Asker {
    http: Client,
    url: String,
}

impl Asker {
    fn new(url: &str, from: Ipv4Addr) -> Result<Self> {
        let http = Client::builder()
            .no_proxy()
            .local_address(IpAddr::V4(from))
            .pool_max_idle_per_host(0)
            .timeout(SOON)
            .build()?;
        Ok(Self { http, url: url.to_owned() })
    }

    /// The time until it has said that it is well.
    async fn ask(&self) -> reqwest::Result<Duration> {
        let begun = Instant::now();
        self.http.get(&self.url).send().await?.error_for_status()?;
        Ok(begun.elapsed())
    }
}

/// Lets the network's processes, which are not started yet, have as many files open as it takes.
pub fn prepare() -> Result<()> {
    Crowd::prepare(CONNECTIONS, DEAF)
}

/// Plays it; the number of cases.
pub async fn play(stage: &mut Stage, watcher: &Watcher) -> Result<usize> {
    let url = format!("{}/health", stage.net().layout().node(HELD)?.rpc_url());
    let (crowded, quiet) = (Asker::new(&url, CROWDED)?, Asker::new(&url, QUIET)?);
    let load = stage.steady_load(watcher, stage.size(stage.options.rate, 200.0, 200.0)).await?;
    let pid = stage.net().pid(HELD).await?;
    let (before, from) = (usage(pid)?.peak_memory_bytes, watcher.height());
    let crowd = Crowd::start(stage.net().rpc(HELD), CONNECTIONS, DEAF).await?;
    until("the crowd has all places of its address", SOON, || async {
        match crowded.ask().await {
            Ok(_) => bail!("one more is answered"),
            Err(error) if error.is_timeout() || error.is_status() => Err(error.into()),
            // It was closed.
            Err(_) => Ok(()),
        }
    })
    .await?;

    let held = watcher.height();
    let mut longest = Duration::ZERO;
    for block in 1..=BLOCKS {
        watcher.reached(held.plus(block), SOON).await?;
        let took = quiet.ask().await.with_context(|| format!("{HELD}, asked from {QUIET}"))?;
        longest = longest.max(took);
    }
    let end = watcher.height();
    watcher.reached(end.next(), SOON).await?;
    let (gap, height) = longest_gap(&watcher.since(from));
    let grown = usage(pid)?.peak_memory_bytes.saturating_sub(before);
    let crowd = crowd.finish();
    let gone = Instant::now();
    until("the crowd's address is answered", AT_ONCE, || async { Ok(crowded.ask().await?) })
        .await?;
    let again = gone.elapsed();

    ensure!(crowd.ended > 0, "{HELD} has ended no connection");
    stage.report.holds(format!("{HELD} is held up over {BLOCKS} blocks: {}", crowd.row()));
    // In short it is played beside other work, by which a proposer may be late.
    let parameters = stage.parameters();
    let whole = (0, parameters.propose_timeout_ms);
    let (rounds_max, gap_max) = stage.size(None, whole, (5, parameters.timeout_max_ms));
    let above = rounds_above_zero(watcher, from, end);
    ensure!(above <= rounds_max, "{above} rounds above 0 from height {from} to {end}");
    let bound = Duration::from_millis(gap_max);
    ensure!(gap <= bound, "block {height} came {:.0} ms after the one before", ms(gap));
    stage.report.holds(format!(
        "{above} rounds above 0 from height {from} to {end}, and no block came more than {:.0} ms after \
         the one before, where {:.0} ms are allowed",
        ms(gap),
        ms(bound)
    ));
    let mib = |bytes: u64| bytes / (1024 * 1024);
    ensure!(grown <= MEMORY_MAX, "the memory of {HELD} has grown by {} MiB", mib(grown));
    stage.report.holds(format!(
        "meanwhile it answers another address within {:.0} ms, and its memory grows by {} MiB; when the \
         crowd has gone, it answers there after {:.0} ms",
        ms(longest),
        mib(grown),
        ms(again)
    ));
    stage.end_load(load).await?;
    stage.report.figure("crowd_longest_gap_between_blocks_ms", ms(gap));
    stage.report.figure("crowd_longest_answer_elsewhere_ms", ms(longest));
    stage.report.figure("crowd_memory_growth_mib", mib(grown));
    Ok(2)
}
