//! A network as stories and commands see it: named nodes that can be killed, cut off and asked.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command as Program, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use tandem_chain::types::OrgName;

use crate::cluster::STOP_DEADLINE;
use crate::control::{self, Command, NodeProcess, State};
use crate::homes;
use crate::layout::{self, Layout, Node, Spec};
use crate::process::log_tail;
use crate::rpc::Rpc;
use crate::supervisor::SUPERVISE;
use crate::until::until;

/// Time for a supervisor to carry out a command, nodes that stop in order included.
const COMMAND: Duration = Duration::from_secs(30);
/// Time for a supervisor to come up.
const SUPERVISOR_UP: Duration = Duration::from_secs(20);
/// Lines of a log in an error.
const TAIL_LINES: usize = 15;

/// A network with its supervisor.
pub struct Network {
    layout: Layout,
    rpcs: BTreeMap<String, Rpc>,
    /// The supervisor, where this process started it and it ends with it.
    supervisor: Option<Child>,
}

impl Network {
    /// Makes a new network in `dir`, which may exist if it is empty. Starts nothing.
    ///
    /// # Errors
    /// When `dir` has something in it, or cannot be written to.
    pub fn create(dir: &Path, spec: Spec) -> Result<()> {
        layout::socket_path(dir)?;
        if std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some()) {
            bail!("{} is not empty", dir.display());
        }
        let (layout, secrets) = Layout::new(dir, spec)?;
        std::fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
        homes::create(&layout, &secrets)
    }

    /// Starts the supervisor of the network in `dir`, and none of its nodes yet. It ends, and
    /// every node with it, when the value is dropped or this process dies; [`Network::detach`]
    /// makes it stay.
    ///
    /// # Errors
    /// When the network is up already, or the supervisor does not come up.
    pub async fn launch(dir: &Path, tandem: &Path) -> Result<Self> {
        Self::launch_by(&std::env::current_exe()?, dir, tandem).await
    }

    /// As [`Network::launch`], from a program that is not `tandem-testnet` itself: `testnet` is.
    ///
    /// # Errors
    /// As [`Network::launch`].
    pub async fn launch_by(testnet: &Path, dir: &Path, tandem: &Path) -> Result<Self> {
        let layout = Layout::load(dir)?;
        let log = dir.join("supervisor.log");
        let output = File::create(&log).with_context(|| log.display().to_string())?;
        let mut program = Program::new(testnet);
        program.arg(SUPERVISE).arg("--dir").arg(dir).arg("--tandem").arg(tandem);
        program.stdin(Stdio::piped()).stdout(output.try_clone()?).stderr(output);
        let supervisor = program.spawn().context("cannot start the supervisor")?;
        let mut network = Self::of(layout, Some(supervisor))?;
        let up = until("the supervisor answers", SUPERVISOR_UP, || {
            let ended = network.supervisor.as_mut().map(Child::try_wait);
            let dir = network.layout.dir().to_owned();
            async move {
                if let Some(Ok(Some(status))) = ended {
                    return Ok(Err(anyhow!("the supervisor ended with {status}")));
                }
                control::send(&dir, &Command::Nodes, COMMAND).await.map(|_| Ok(()))
            }
        });
        up.await
            .and_then(|up| up)
            .with_context(|| format!("log of the supervisor:\n{}", log_tail(&log, TAIL_LINES)))?;
        Ok(network)
    }

    /// The network in `dir`, whose supervisor another process started.
    ///
    /// # Errors
    /// When there is none, or it is not up.
    pub async fn attach(dir: &Path) -> Result<Self> {
        let network = Self::of(Layout::load(dir)?, None)?;
        network.tell(Command::Nodes).await?;
        Ok(network)
    }

    fn of(layout: Layout, supervisor: Option<Child>) -> Result<Self> {
        let rpc = |node: &Node| Ok((node.name.clone(), Rpc::new(&node.name, &node.rpc_url())?));
        let rpcs = layout.nodes.iter().map(rpc).collect::<Result<_>>()?;
        Ok(Self { layout, rpcs, supervisor })
    }

    /// What it consists of.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Names of all nodes.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.layout.nodes.iter().map(|node| node.name.clone()).collect()
    }

    /// RPC of a node.
    ///
    /// # Panics
    /// When there is no such node.
    #[must_use]
    pub fn rpc(&self, name: &str) -> &Rpc {
        self.rpcs.get(name).expect("the node was named by the layout")
    }

    /// RPC of all nodes but some.
    #[must_use]
    pub fn rpcs_but(&self, left_out: &[&str]) -> Vec<Rpc> {
        let kept = self.layout.nodes.iter().filter(|node| !left_out.contains(&node.name.as_str()));
        kept.map(|node| self.rpc(&node.name).clone()).collect()
    }

    /// RPC of all nodes, those named `last` behind the others.
    #[must_use]
    pub fn rpcs_with_last(&self, last: &[&str]) -> Vec<Rpc> {
        let mut rpcs = self.rpcs_but(last);
        rpcs.extend(last.iter().map(|name| self.rpc(name).clone()));
        rpcs
    }

    /// Organisations in order.
    #[must_use]
    pub fn orgs(&self) -> &[OrgName] {
        &self.layout.orgs
    }

    /// Gives the supervisor a command.
    ///
    /// # Errors
    /// When it fails.
    pub async fn tell(&self, command: Command) -> Result<Vec<NodeProcess>> {
        control::send(self.layout.dir(), &command, COMMAND).await
    }

    /// Starts nodes, and waits until each answers.
    ///
    /// # Errors
    /// When one does not within `deadline`, or ends; with the end of its log.
    pub async fn start(&self, nodes: &[&str], deadline: Duration) -> Result<()> {
        self.tell(Command::Start { nodes: owned(nodes), dial: None }).await?;
        self.ready(nodes, deadline).await
    }

    /// Waits until each of `nodes` answers.
    ///
    /// # Errors
    /// When one does not within `deadline`, or ends; with the end of its log.
    pub async fn ready(&self, nodes: &[&str], deadline: Duration) -> Result<()> {
        until("the nodes answer", deadline, || async {
            for process in self.tell(Command::Nodes).await? {
                let State::Exited(status) = process.state else { continue };
                if nodes.contains(&process.name.as_str()) {
                    return Ok(Err(anyhow!("{} ended with {status}", process.name)));
                }
            }
            for name in nodes {
                self.rpc(name).status().await.with_context(|| (*name).to_owned())?;
            }
            Ok(Ok(()))
        })
        .await?
    }

    /// Kills nodes at one moment (SIGKILL).
    ///
    /// # Errors
    /// When one is not running.
    pub async fn kill(&self, nodes: &[&str]) -> Result<()> {
        self.tell(Command::Kill { nodes: owned(nodes) }).await.map(|_| ())
    }

    /// Stops nodes in order (SIGTERM).
    ///
    /// # Errors
    /// When one is not running, or does not stop.
    pub async fn stop(&self, nodes: &[&str]) -> Result<()> {
        self.tell(Command::Stop { nodes: owned(nodes) }).await.map(|_| ())
    }

    /// Process id of a running node.
    ///
    /// # Errors
    /// When it is not running.
    pub async fn pid(&self, name: &str) -> Result<u32> {
        let processes = self.tell(Command::Nodes).await?;
        let process = processes.into_iter().find(|process| process.name == name);
        process.and_then(|process| process.pid).with_context(|| format!("{name} is not running"))
    }

    /// The last lines that a node wrote.
    #[must_use]
    pub fn log_tail(&self, node: &Node) -> String {
        log_tail(&self.layout.log(node), TAIL_LINES)
    }

    /// Lets the network outlive this process.
    ///
    /// # Errors
    /// When the supervisor has gone.
    pub async fn detach(mut self) -> Result<()> {
        self.tell(Command::Detach).await?;
        self.supervisor = None;
        Ok(())
    }

    /// Stops all nodes and the supervisor, and waits until they are gone.
    ///
    /// # Errors
    /// When they are not in time.
    pub async fn down(&self) -> Result<()> {
        self.tell(Command::Down).await?;
        let socket = layout::socket_path(self.layout.dir())?;
        until("the supervisor has ended", 2 * STOP_DEADLINE, || async {
            if socket.exists() { Err(anyhow!("it is still there")) } else { Ok(()) }
        })
        .await
    }

    /// Ends the network in order, and waits for the supervisor that this value has started.
    ///
    /// # Errors
    /// When the supervisor does not end, or not with success.
    pub async fn end(mut self) -> Result<()> {
        self.down().await?;
        if let Some(mut supervisor) = self.supervisor.take() {
            let status = supervisor.wait()?;
            ensure!(status.success(), "the supervisor ended with {status}");
        }
        Ok(())
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let Some(mut supervisor) = self.supervisor.take() else { return };
        // It stops its nodes when its standard input ends.
        drop(supervisor.stdin.take());
        let end = Instant::now() + 2 * STOP_DEADLINE;
        while Instant::now() < end {
            if !matches!(supervisor.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        // Its nodes die with it.
        let _ = supervisor.kill();
        let _ = supervisor.wait();
    }
}

/// Owned names.
#[must_use]
pub fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}
