//! The processes and links of one network, owned by its supervisor.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::control::{Command, NodeProcess, State};
use crate::homes;
use crate::layout::{Layout, Node};
use crate::process::Process;
use crate::relay::{Conditions, Relay};

/// How long a node may take to stop.
pub const STOP_DEADLINE: Duration = Duration::from_secs(10);

/// Processes and links of one network; dropping it kills all processes.
pub struct Cluster {
    layout: Layout,
    tandem: PathBuf,
    /// Of nodes that run another file than `tandem`.
    programs: BTreeMap<String, PathBuf>,
    processes: BTreeMap<String, Process>,
    /// By the names of the node that dials and the node that listens.
    relays: BTreeMap<(String, String), Relay>,
}

impl Cluster {
    /// A network with its links and none of its nodes running.
    ///
    /// # Errors
    /// When the relays find no ports.
    pub async fn new(layout: Layout, tandem: PathBuf) -> Result<Self> {
        let mut relays = BTreeMap::new();
        if layout.spec.relays {
            for from in &layout.nodes {
                for to in layout.nodes.iter().filter(|to| to.name != from.name) {
                    let relay = Relay::start(to.p2p_port, Conditions::default()).await;
                    let relay = relay.context("cannot start a relay")?;
                    relays.insert((from.name.clone(), to.name.clone()), relay);
                }
            }
        }
        let (programs, processes) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self { layout, tandem, programs, processes, relays })
    }

    /// Carries out one command.
    ///
    /// # Errors
    /// When it names a node that is not there, or one that is not in the state that it needs.
    pub async fn handle(&mut self, command: Command) -> Result<Vec<NodeProcess>> {
        match command {
            Command::Nodes | Command::Detach | Command::Down => {}
            Command::Kill { nodes } => self.kill(&nodes).await?,
            Command::Stop { nodes } => self.stop(&nodes).await?,
            Command::Start { nodes, dial } => self.start(&nodes, dial.as_deref()).await?,
            Command::Program { nodes, path } => self.set_program(&nodes, &path)?,
            Command::Pause { nodes } => self.each(&nodes, Process::pause)?,
            Command::Resume { nodes } => self.each(&nodes, Process::resume)?,
            Command::Wipe { nodes } => self.wipe(&nodes)?,
            Command::Partition { groups, one_way } => self.partition(&groups, one_way)?,
            Command::Heal => self.set_links(|_, _| true, |link| *link = Conditions::default()),
            Command::Link { between, and, delay_ms, loss_percent } => {
                self.degrade(&between, &and, Duration::from_millis(delay_ms), loss_percent)?;
            }
        }
        Ok(self.states())
    }

    fn states(&self) -> Vec<NodeProcess> {
        let state = |node: &Node| {
            let process = self.processes.get(&node.name);
            let (state, pid) = match process.map(|process| (process, process.exited())) {
                None => (State::Down, None),
                Some((_, Some(status))) => (State::Exited(status.to_string()), None),
                Some((process, None)) if process.paused() => (State::Paused, Some(process.pid())),
                Some((process, None)) => (State::Up, Some(process.pid())),
            };
            NodeProcess { name: node.name.clone(), state, pid }
        };
        self.layout.nodes.iter().map(state).collect()
    }

    fn each(&mut self, names: &[String], act: fn(&mut Process) -> Result<()>) -> Result<()> {
        for name in names {
            let process = running(&self.layout, &mut self.processes, name)?;
            act(process).with_context(|| name.clone())?;
        }
        Ok(())
    }

    async fn start(&mut self, names: &[String], dial: Option<&[String]>) -> Result<()> {
        for name in names.iter().chain(dial.unwrap_or_default()) {
            self.layout.node(name)?;
        }
        for name in names {
            if running(&self.layout, &mut self.processes, name).is_ok() {
                bail!("{name} is running already");
            }
            let node = self.layout.node(name)?;
            let known = |to: &Node| dial.is_none_or(|names| names.contains(&to.name));
            let dial = self.layout.nodes.iter().filter(|to| to.name != node.name && known(to));
            let dial = dial.map(|to| {
                let relay = self.relays.get(&(node.name.clone(), to.name.clone()));
                (to.key, relay.map_or(to.p2p_port, Relay::port))
            });
            homes::write_config(&self.layout, node, &dial.collect())?;
            let (home, log) = (self.layout.home(node), self.layout.log(node));
            let program = self.programs.get(name).unwrap_or(&self.tandem);
            let process = Process::start(program, &home, &log).await?;
            self.processes.insert(name.clone(), process);
        }
        Ok(())
    }

    fn set_program(&mut self, names: &[String], path: &Path) -> Result<()> {
        for name in names {
            let node = self.layout.node(name)?;
            self.programs.insert(node.name.clone(), path.to_owned());
        }
        Ok(())
    }

    async fn kill(&mut self, names: &[String]) -> Result<()> {
        for name in names {
            running(&self.layout, &mut self.processes, name)?;
        }
        // All are sent the signal before any is waited for: they die at one moment.
        self.each(names, Process::kill)?;
        for name in names {
            if let Some(mut process) = self.processes.remove(name) {
                process.gone().await;
            }
        }
        Ok(())
    }

    async fn stop(&mut self, names: &[String]) -> Result<()> {
        for name in names {
            running(&self.layout, &mut self.processes, name)?;
        }
        let mut stopping = Vec::new();
        for name in names {
            if let Some(mut process) = self.processes.remove(name) {
                let name = name.clone();
                stopping.push(tokio::spawn(async move {
                    process.stop(STOP_DEADLINE).await.context(name)
                }));
            }
        }
        for stopped in stopping {
            stopped.await??;
        }
        Ok(())
    }

    /// Stops whatever runs; what does not stop in time is killed.
    pub async fn stop_all(&mut self) {
        let running: Vec<String> =
            self.states().into_iter().filter(|node| node.pid.is_some()).map(|n| n.name).collect();
        if let Err(error) = self.stop(&running).await {
            tracing::warn!("{error:#}");
        }
    }

    fn wipe(&mut self, names: &[String]) -> Result<()> {
        for name in names {
            if running(&self.layout, &mut self.processes, name).is_ok() {
                bail!("{name} is running: stop it first");
            }
            homes::wipe(&self.layout, self.layout.node(name)?)?;
        }
        Ok(())
    }

    fn need_relays(&self, names: &[String]) -> Result<()> {
        if self.relays.is_empty() {
            bail!("this network was made without relays");
        }
        names.iter().try_for_each(|name| self.layout.node(name).map(|_| ()))
    }

    fn set_links(&self, which: impl Fn(&str, &str) -> bool, change: impl Fn(&mut Conditions)) {
        for ((from, to), relay) in &self.relays {
            if which(from, to) {
                relay.set(&change);
            }
        }
    }

    fn partition(&self, groups: &[Vec<String>], one_way: bool) -> Result<()> {
        self.need_relays(&groups.concat())?;
        let group = |name: &str| groups.iter().position(|group| group.iter().any(|n| n == name));
        let apart = |from: &str, to: &str| match (group(from), group(to)) {
            (Some(from), Some(to)) => from != to,
            (None, None) => false,
            _ => groups.len() == 1,
        };
        let is_cut = |from: &str, to: &str| apart(from, to) && (!one_way || group(from) == Some(0));
        for ((from, to), relay) in &self.relays {
            relay.set(|link| {
                link.cut_out = is_cut(from, to);
                link.cut_back = is_cut(to, from);
            });
        }
        Ok(())
    }

    fn degrade(
        &self,
        one: &[String],
        other: &[String],
        delay: Duration,
        percent: f64,
    ) -> Result<()> {
        self.need_relays(&[one, other].concat())?;
        if !(0.0..100.0).contains(&percent) {
            bail!("loss is from 0 to below 100 percent");
        }
        let within = |set: &[String], name: &str| set.is_empty() || set.iter().any(|n| n == name);
        let which = |from: &str, to: &str| {
            within(one, from) && within(other, to) || within(other, from) && within(one, to)
        };
        self.set_links(which, |link| {
            link.delay = delay;
            link.loss = percent / 100.0;
        });
        Ok(())
    }
}

/// The process of a node that runs or is paused.
fn running<'a>(
    layout: &Layout,
    processes: &'a mut BTreeMap<String, Process>,
    name: &str,
) -> Result<&'a mut Process> {
    layout.node(name)?;
    match processes.get_mut(name) {
        Some(process) if process.exited().is_none() => Ok(process),
        _ => bail!("{name} is not running"),
    }
}
