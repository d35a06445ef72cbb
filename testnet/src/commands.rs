//! The commands on a network that stays up.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::control::{self, Command, State};
use crate::layout::{Layout, Spec};
use crate::load::{Load, Plan, Signer, Size};
use crate::network::Network;
use crate::process::find_tandem;
use crate::table;
use crate::until::until;
use crate::watcher::Watcher;

/// Time for all nodes to answer.
const READY: Duration = Duration::from_secs(60);
/// Time for every transaction of a load to get its receipt.
const RECEIPTS: Duration = Duration::from_secs(60);
/// Time between two renewals of the table.
const RENEWAL: Duration = Duration::from_secs(1);

/// Starts the network in `dir`, which is made when there is none.
///
/// # Errors
/// When it is up already, was made otherwise than `spec` asks for, or a node does not answer.
pub async fn up(dir: &Path, spec: Spec, tandem: Option<&Path>) -> Result<()> {
    let tandem = find_tandem(tandem)?;
    std::fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
    let dir = &dir.canonicalize()?;
    if control::send(dir, &Command::Nodes, RENEWAL).await.is_ok() {
        bail!("a network is up in {} already", dir.display());
    }
    if dir.join("network.json").exists() {
        let made = Layout::load(dir)?.spec;
        if made != spec {
            bail!(
                "the network in {} is another ({made:?}): `down --wipe` deletes it",
                dir.display()
            );
        }
    } else {
        Network::create(dir, spec)?;
    }
    let network = Network::launch(dir, &tandem).await?;
    let names = network.names();
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    network.start(&all, READY).await?;
    println!("{}", table::render(&table::nodes(&network).await?));
    println!("The network is up in {}; keys of its organisations are in keys/.", dir.display());
    network.detach().await
}

/// Stops the network in `dir`, and deletes the folder if `wipe`.
///
/// # Errors
/// When none is up and none is to be deleted.
pub async fn down(dir: &Path, wipe: bool) -> Result<()> {
    match Network::attach(dir).await {
        Ok(network) => network.down().await?,
        Err(error) if !wipe => return Err(error),
        Err(_) => {}
    }
    if wipe {
        // Only what is a network's folder is deleted.
        let layout = Layout::load(dir)?;
        std::fs::remove_dir_all(layout.dir()).with_context(|| dir.display().to_string())?;
    }
    Ok(())
}

/// Prints the table of nodes, at a terminal again and again until Ctrl-C.
///
/// # Errors
/// When the network is not up.
pub async fn status(dir: &Path, once: bool, json: bool) -> Result<()> {
    let network = Network::attach(dir).await?;
    if json {
        println!("{}", serde_json::to_string_pretty(&table::nodes(&network).await?)?);
        return Ok(());
    }
    let live = !once && std::io::stdout().is_terminal();
    loop {
        let text = table::render(&table::nodes(&network).await?);
        if !live {
            println!("{text}");
            return Ok(());
        }
        // To the upper left corner, and clear what is below.
        println!("\x1b[H\x1b[2J{text}");
        std::io::stdout().flush()?;
        tokio::select! {
            () = tokio::time::sleep(RENEWAL) => {}
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
    }
}

/// Starts nodes anew; those that run are stopped first.
///
/// # Errors
/// When one does not stop or start.
pub async fn restart(dir: &Path, nodes: &[String]) -> Result<()> {
    let network = Network::attach(dir).await?;
    let processes = network.tell(Command::Nodes).await?;
    let runs = |name: &&String| {
        let process = processes.iter().find(|process| process.name == **name);
        process.is_some_and(|process| matches!(process.state, State::Up | State::Paused))
    };
    let running: Vec<&str> = nodes.iter().filter(runs).map(String::as_str).collect();
    if !running.is_empty() {
        network.stop(&running).await?;
    }
    let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
    network.start(&nodes, READY).await
}

/// Sends `rate` transactions of `size` bytes a second for `secs` to the nodes named, or to all.
///
/// # Errors
/// When one of them gets no receipt.
pub async fn load(
    dir: &Path,
    rate: f64,
    size: usize,
    secs: u64,
    to: &[String],
    json: bool,
) -> Result<()> {
    let network = Network::attach(dir).await?;
    for name in to {
        network.layout().node(name)?;
    }
    let others: Vec<String> =
        network.names().into_iter().filter(|name| !to.is_empty() && !to.contains(name)).collect();
    let others: Vec<&str> = others.iter().map(String::as_str).collect();
    let nodes = network.rpcs_but(&others);
    let from = until("a node answers", READY, || async {
        let first = nodes.first().context("no node")?;
        first.height().await
    });
    let watcher = Watcher::start(network.rpcs_with_last(&others), from.await?);
    let signer = Signer::new(network.layout(), usize::MAX, Size::Whole(size));
    let load = Load::start(nodes, &watcher, signer, Plan::steady(rate)).await?;
    tokio::select! {
        () = tokio::time::sleep(Duration::from_secs(secs)) => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    let summary = load.finish(RECEIPTS).await?;
    if json {
        println!("{}", serde_json::to_string_pretty(&summary)?);
    } else {
        let latency = summary.latency;
        println!(
            "{} transactions in {:.1} s ({:.0} a second), all committed; {} were sent again; \
             submit to commit p50 {:.0} ms, p95 {:.0} ms, p99 {:.0} ms",
            summary.offered,
            summary.offered_s,
            summary.offered_per_s,
            summary.sent_again,
            latency.p50_ms,
            latency.p95_ms,
            latency.p99_ms
        );
    }
    Ok(())
}
