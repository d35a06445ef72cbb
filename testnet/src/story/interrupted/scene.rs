//! What all kinds of steps are done with: the network, commands at the homes of its nodes, their logs.

use std::ffi::OsStr;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tandem_chain::types::Height;
use tandem_node::home::Home;

use super::super::Stage;
use super::super::machine::tandem;
use super::super::scene::{READY, SOON};
use super::Moment;
use crate::control::Command;
use crate::load::Plan;
use crate::network::owned;
use crate::process::{Process, log_tail};
use crate::rpc::{Rpc, height};
use crate::until::until;
use crate::watcher::Watcher;

/// The validator that is killed.
pub const VICTIM: &str = "delta-a";
/// The node whose disk is empty before it restores.
pub const OBSERVER: &str = "obs-1";
/// The validator that is not harmed: through it others join, and it has the snapshots that they restore.
pub const SOURCE: &str = "alpha-a";
/// Transactions under way at once while the chain is to grow: with few, blocks come quickly.
const AT_ONCE: usize = 8;
/// Blocks that a machine that is busy makes in a second, then, at least.
const BLOCKS_PER_S: u64 = 20;
/// Lines of a command's output in an error.
const TAIL_LINES: usize = 10;

/// The network and its chain.
pub struct Scene<'a> {
    /// Where it is played.
    pub stage: &'a Stage,
    /// The chain.
    pub watcher: &'a Watcher,
}

impl Scene<'_> {
    /// RPC of a node.
    pub fn rpc(&self, name: &str) -> &Rpc {
        self.stage.net().rpc(name)
    }

    /// The home of a node.
    pub fn home(&self, name: &str) -> Result<Home> {
        let layout = self.stage.net().layout();
        Ok(Home::new(layout.home(layout.node(name)?)))
    }

    /// `--home` of a node, and what else says at a command line which node is meant.
    fn at(&self, name: &str) -> Result<[String; 4]> {
        let node = self.stage.net().layout().node(name)?;
        let home = self.stage.net().layout().home(node).display().to_string();
        Ok(["--home".to_owned(), home, "--node".to_owned(), node.rpc_url()])
    }

    /// Begins `tandem` with these arguments at the home of a node.
    pub async fn begin(&self, name: &str, arguments: &[impl AsRef<str>]) -> Result<Process> {
        let at = self.at(name)?;
        let line: Vec<&OsStr> = line(arguments, &at).map(AsRef::as_ref).collect();
        let log = self.home(name)?.root().join("command.log");
        Process::run(&self.stage.tandem, &line, &log).await
    }

    /// Runs `tandem` with these arguments at the home of a node to its end; its answer.
    pub async fn run(&self, name: &str, arguments: &[impl AsRef<str>]) -> Result<Value> {
        let at = self.at(name)?;
        tandem(self.stage, &line(arguments, &at).collect::<Vec<_>>()).await
    }

    /// Whether a command that was begun at a node's home is done.
    ///
    /// # Errors
    /// When it has failed.
    pub fn is_done(&self, name: &str, command: &Process) -> Result<bool> {
        use std::os::unix::process::ExitStatusExt as _;
        let Some(status) = command.exited() else { return Ok(false) };
        if status.signal().is_some() {
            // It was killed.
            return Ok(false);
        }
        let log = self.home(name)?.root().join("command.log");
        ensure!(
            status.success(),
            "the command ends with {status}; its log:\n{}",
            log_tail(&log, TAIL_LINES)
        );
        Ok(true)
    }

    /// Kills a node.
    pub async fn kill(&self, name: &str) -> Result<()> {
        self.stage.net().kill(&[name]).await
    }

    /// Starts a node.
    pub async fn start(&self, name: &str) -> Result<()> {
        self.stage.net().start(&[name], READY).await
    }

    /// Stops a node, if it runs.
    pub async fn stop(&self, name: &str) -> Result<()> {
        if self.stage.net().pid(name).await.is_ok() {
            self.stage.net().tell(Command::Stop { nodes: owned(&[name]) }).await?;
        }
        Ok(())
    }

    /// Empties the disk of a node, which is stopped first.
    pub async fn wipe(&self, name: &str) -> Result<()> {
        self.stop(name).await?;
        self.stage.net().tell(Command::Wipe { nodes: owned(&[name]) }).await?;
        Ok(())
    }

    /// Waits until a node is at the tip, and has the same block and state there as [`SOURCE`] has.
    pub async fn is_at_tip(&self, name: &str) -> Result<()> {
        let (tip, rpc) = (self.watcher.height(), self.rpc(name));
        until(&format!("{name} is at the tip"), READY, || async {
            let sync = rpc.status().await?.sync_info;
            let at = sync.latest_block_height;
            ensure!(at >= tip && !sync.catching_up, "it is at height {at} of {tip}");
            Ok(())
        })
        .await?;
        // This block names the state that the node itself has come to.
        let (height, source) = (rpc.height().await?, self.rpc(SOURCE));
        let own = rpc.block(height).await?;
        let what = format!("{SOURCE} has block {height}");
        let others = until(&what, SOON, || async { source.block(height).await }).await?;
        let same = own.id == others.id && own.app_hash == others.app_hash;
        ensure!(same, "{name} has another block {height} than {SOURCE}");
        Ok(())
    }

    /// Has the chain grow to a height.
    pub async fn grow_to(&self, height: Height) -> Result<()> {
        let left = height.0.saturating_sub(self.watcher.height().0);
        if left == 0 {
            return Ok(());
        }
        let load = self.stage.load(self.watcher, Plan::saturating(AT_ONCE)).await?;
        let deadline = READY + Duration::from_secs(left / BLOCKS_PER_S);
        self.watcher.reached(height, deadline).await?;
        load.finish(READY).await?;
        Ok(())
    }

    /// A snapshot of a node that runs, taken now; its height.
    pub async fn take_snapshot(&self, name: &str) -> Result<Height> {
        let taken = self.run(name, &["snapshot", "create"]).await?;
        height(taken["height"].as_str().context("a snapshot has a height")?)
    }

    /// The lowest block that a node has.
    pub async fn lowest(&self, name: &str) -> Result<Height> {
        let status: Value = self.rpc(name).call("status", Value::Null).await?;
        let lowest = &status["sync_info"]["earliest_block_height"];
        height(lowest.as_str().context("a node has a lowest block")?)
    }

    /// How far a step is, by the words with which it begins and ends in the log of a node, from this byte
    /// on.
    pub fn moment(&self, name: &str, from: u64, [begins, ends]: [&str; 2]) -> Result<Moment> {
        Ok(if self.log_has(name, from, ends)? {
            Moment::After
        } else if self.log_has(name, from, begins)? {
            Moment::Within
        } else {
            Moment::Before
        })
    }

    /// Bytes that the log of a node has.
    pub fn log_len(&self, name: &str) -> Result<u64> {
        let layout = self.stage.net().layout();
        let log = layout.log(layout.node(name)?);
        Ok(std::fs::metadata(&log).map_or(0, |meta| meta.len()))
    }

    /// Whether the log of a node, from this byte on, has these words.
    pub fn log_has(&self, name: &str, from: u64, words: &str) -> Result<bool> {
        let layout = self.stage.net().layout();
        let path = layout.log(layout.node(name)?);
        let read = || -> std::io::Result<Vec<u8>> {
            let mut file = std::fs::File::open(&path)?;
            file.seek(SeekFrom::Start(from))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let bytes = read().with_context(|| path.display().to_string())?;
        Ok(String::from_utf8_lossy(&bytes).contains(words))
    }
}

/// Arguments of a command, with those that say at which node.
fn line<'a>(arguments: &'a [impl AsRef<str>], at: &'a [String]) -> impl Iterator<Item = &'a str> {
    arguments.iter().map(AsRef::as_ref).chain(at.iter().map(String::as_str))
}

/// Names in a folder; none when it is not there.
pub fn names_in(folder: &Path) -> Result<Vec<String>> {
    match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries
            .with_context(|| folder.display().to_string())?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect(),
    }
}
