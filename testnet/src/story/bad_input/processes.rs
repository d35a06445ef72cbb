//! Processes that should not be let in, and ones that should not start.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, ensure};
use tandem_chain::genesis::Genesis;
use tandem_chain::keys::SecretKey;
use tandem_chain::types::{Height, Timestamp};
use tandem_node::config::Config;
use tandem_node::home::{Home, Passphrases, files};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::super::Stage;
use super::super::scene::SOON;
use crate::homes;
use crate::layout::{GenesisRole, Node, free_ports};
use crate::process::{Process, log_tail};
use crate::rpc::Rpc;
use crate::until::until;

/// Most blocks, of 512 bytes in most shells, of a file that a node with a full disk may write: more
/// than its log and the files of a new database have, less than its database's log soon has.
const FILE_BLOCKS_MAX: u64 = 512;

/// A process that is no part of the network, with a home folder of its own.
struct Intruder {
    node: Node,
    home: Home,
    log: PathBuf,
}

impl Intruder {
    /// With a key and a genesis, and alpha-a's address.
    fn new(stage: &Stage, name: &str, key: &SecretKey, genesis: &Genesis) -> Result<Self> {
        let folder = stage.folder.path().join("intruders").join(name);
        let ports = free_ports(3)?;
        let node = Node {
            name: name.to_owned(),
            org: stage.net().orgs()[0].clone(),
            role: GenesisRole::Observer,
            key: key.public(),
            p2p_port: ports[0],
            rpc_port: ports[1],
            metrics_port: ports[2],
        };
        let target = stage.net().layout().node("alpha-a")?;
        let dial = BTreeMap::from([(target.key, target.p2p_port)]);
        let home = Home::new(&folder);
        home.init(&homes::config(&node, &dial), key, None)?;
        files::write_atomic(&home.genesis_path(), genesis.to_json().as_bytes(), 0o644)?;
        Ok(Self { node, log: folder.join("node.log"), home })
    }

    async fn start(&self, stage: &Stage) -> Result<Process> {
        Process::start(&stage.tandem, self.home.root(), &self.log).await
    }

    /// Starts it, and waits until alpha-a has refused it with `words`; it gets no peer and no block.
    async fn is_refused(&self, stage: &Stage, words: &[&str]) -> Result<String> {
        let target = stage.net().layout().node("alpha-a")?;
        let before = log_len(&stage.net().layout().log(target));
        let mut process = self.start(stage).await?;
        let line = until("alpha-a refuses it", SOON, || async {
            if let Some(status) = process.exited() {
                return Err(anyhow!("it ended with {status}: {}", log_tail(&self.log, 5)));
            }
            find_line(&stage.net().layout().log(target), before, words)
        })
        .await?;
        let status = Rpc::new(&self.node.name, &self.node.rpc_url())?.status().await?;
        let height = status.sync_info.latest_block_height;
        ensure!(status.tandem.peers == 0, "it has {} peers", status.tandem.peers);
        ensure!(height == Height::ZERO, "it got to height {height}");
        process.kill()?;
        process.gone().await;
        Ok(line)
    }
}

/// Plays them; the number of cases.
pub async fn play(stage: &mut Stage) -> Result<usize> {
    let layout = stage.net().layout().clone();
    let alpha = layout.node("alpha-a")?;
    let json = std::fs::read_to_string(Home::new(layout.home(alpha)).genesis_path())?;
    let genesis = Genesis::from_json(&json)?;

    let stranger = SecretKey::from_seed(&rand::random());
    let intruder = Intruder::new(stage, "stranger", &stranger, &genesis)?;
    intruder.is_refused(stage, &["not registered"]).await.context("an unregistered peer")?;
    stage.report.holds("a peer with an unregistered key is refused at the handshake, by name");

    let registered = Home::new(layout.home(layout.node("obs-1")?)).node_key(&Passphrases::none())?;
    let mut other = genesis.clone();
    other.genesis_time = Timestamp(other.genesis_time.0 + 1);
    let other_genesis = Intruder::new(stage, "other-genesis", &registered, &other)?;
    other_genesis.is_refused(stage, &["genesis"]).await.context("another genesis")?;
    stage.report.holds("a registered peer with another genesis is refused, by name");

    other.chain_id = "tandem-testnet-other".parse()?;
    let other_chain = Intruder::new(stage, "other-chain", &registered, &other)?;
    other_chain.is_refused(stage, &["chain"]).await.context("another chain id")?;
    stage.report.holds("a registered peer with another chain id is refused, by name");

    let mut socket = TcpStream::connect(("127.0.0.1", alpha.p2p_port)).await?;
    // It may be closed before all is written.
    let _ = socket.write_all(&vec![0xff; 100_000]).await;
    drop(socket);
    stage.report.holds("bytes that are no protocol at a peer port are dropped");

    let log = stage.folder.path().join("intruders/second.log");
    let home = layout.home(alpha);
    does_not_start(
        stage,
        "a second process on one data folder",
        &home,
        &log,
        &["another tandem process uses"],
    )
    .await?;

    // Its database was made by the other genesis; now it gets the right one.
    let home = &other_genesis.home;
    files::write_atomic(&home.genesis_path(), json.as_bytes(), 0o644)?;
    let words = ["database", "is of genesis"];
    does_not_start(stage, "a database of another chain", home.root(), &other_genesis.log, &words)
        .await?;

    let broken = Intruder::new(stage, "broken", &stranger, &genesis)?;
    let cases = 6 + broken_files(stage, &broken, &genesis).await?;
    Ok(cases)
}

/// A node whose database cannot grow any more: the system refuses to write beyond a size of file, as
/// it does when a disk is full. The number of cases.
pub async fn full_disk(stage: &mut Stage) -> Result<usize> {
    let layout = stage.net().layout();
    let of_node = Home::new(layout.home(layout.node("obs-1")?));
    let genesis = Genesis::from_json(&std::fs::read_to_string(of_node.genesis_path())?)?;
    let node =
        Intruder::new(stage, "full-disk", &of_node.node_key(&Passphrases::none())?, &genesis)?;
    let program = node.home.root().join("with-a-limit");
    let tandem = stage.tandem.display();
    // Ignored, the signal leaves it at the error that the write returns.
    let script =
        format!("#!/bin/sh\ntrap '' XFSZ\nulimit -f {FILE_BLOCKS_MAX}\nexec '{tandem}' \"$@\"\n");
    std::fs::write(&program, script)?;
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700))?;
    let what = "a write to disk that fails";
    let words = ["storage:", "File too large", "the node stops, since going on could lose"];
    ends(stage, &program, what, node.home.root(), &node.log, &words).await?;
    Ok(1)
}

/// Broken files in a home folder; the number of cases.
async fn broken_files(stage: &mut Stage, broken: &Intruder, genesis: &Genesis) -> Result<usize> {
    let Intruder { home, log, .. } = broken;
    let config = homes::config(&broken.node, &BTreeMap::new()).to_toml();
    let mut twice = genesis.clone();
    twice.organizations.push(twice.organizations[0].clone());
    let mut timeless = twice.clone();
    timeless.genesis_time = Timestamp::default();
    let genesis_path = home.genesis_path();
    let cases: [(&str, PathBuf, String, &[&str]); 6] = [
        (
            "a configuration with an unknown key",
            home.config_path(),
            format!("colour = 1\n{config}"),
            &["colour", "unknown field"],
        ),
        (
            "a configuration with a value out of range",
            home.config_path(),
            "rpc.max_batch = 0".into(),
            &["rpc.max_batch", "1 to"],
        ),
        ("a configuration that is no TOML", home.config_path(), "[rpc".into(), &["config.toml"]),
        (
            "a genesis that is no JSON",
            genesis_path.clone(),
            "{".into(),
            &["genesis", "not readable"],
        ),
        (
            "a genesis with two faults",
            genesis_path.clone(),
            timeless.to_json(),
            &["two organisations are named alpha", "genesis_time"],
        ),
        ("no genesis", genesis_path, String::new(), &["genesis"]),
    ];
    let count = cases.len();
    for (what, path, text, words) in cases {
        let good = std::fs::read(&path)?;
        if text.is_empty() {
            std::fs::remove_file(&path)?;
        } else {
            std::fs::write(&path, text)?;
        }
        does_not_start(stage, what, home.root(), log, words).await?;
        std::fs::write(&path, good)?;
    }
    Config::load(&home.config_path())?;
    Ok(count)
}

/// A process that must end at once, not with status 0, with all of `words` in what it prints.
async fn does_not_start(
    stage: &mut Stage,
    what: &str,
    home: &Path,
    log: &Path,
    words: &[&str],
) -> Result<()> {
    let program = stage.tandem.clone();
    ends(stage, &program, what, home, log, words).await
}

/// A process of `program` that must end soon, not with status 0, with all of `words` in what it
/// prints.
async fn ends(
    stage: &mut Stage,
    program: &Path,
    what: &str,
    home: &Path,
    log: &Path,
    words: &[&str],
) -> Result<()> {
    let before = log_len(log);
    let mut process = Process::start(program, home, log).await?;
    let status = tokio::time::timeout(SOON, process.gone()).await;
    let status = status.map_err(|_| anyhow!("{what}: the process goes on"))?;
    let printed = read_from(log, before)?;
    ensure!(!status.success(), "{what}: it ended with status 0");
    for word in words {
        ensure!(printed.contains(word), "{what}: {word:?} is not in what it printed:\n{printed}");
    }
    ensure!(!printed.contains("panicked"), "{what}: it panicked:\n{printed}");
    stage.report.holds(format!("{what}: the process says so and ends"));
    Ok(())
}

/// Bytes that a log has so far.
pub fn log_len(log: &Path) -> u64 {
    std::fs::metadata(log).map_or(0, |meta| meta.len())
}

fn read_from(log: &Path, start: u64) -> Result<String> {
    let bytes = std::fs::read(log).with_context(|| log.display().to_string())?;
    let start = usize::try_from(start)?.min(bytes.len());
    Ok(String::from_utf8_lossy(&bytes[start..]).into_owned())
}

/// The first line behind `start` in which all of `words` are, in whatever case.
pub fn find_line(log: &Path, start: u64, words: &[&str]) -> Result<String> {
    let text = read_from(log, start)?;
    let has = |line: &&str| {
        let line = line.to_lowercase();
        words.iter().all(|word| line.contains(&word.to_lowercase()))
    };
    text.lines().find(has).map(str::to_owned).with_context(|| format!("no line has {words:?}"))
}
