//! A machine outside the network's layout: a home folder and a process of its own, which joins by
//! the commands of an operator.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use serde_json::Value;
use tandem_chain::keys::{PublicKey, SecretKey};
use tandem_chain::types::{Height, OrgName};
use tandem_node::config::Config;
use tandem_node::home::{Home, Passphrases, files};
use tokio::process::Command;

use super::Stage;
use super::scene::{READY, SOON};
use crate::cluster::STOP_DEADLINE;
use crate::homes;
use crate::layout::{Node, free_ports};
use crate::process::{Process, log_tail};
use crate::rpc::{Rpc, height};
use crate::until::until;

/// Lines of its log in an error.
const TAIL_LINES: usize = 15;
/// Of what is said to who comes with a token that was used.
const USED: &str = "used";

/// Runs `tandem` to its end; its answer in JSON.
pub async fn tandem(stage: &Stage, arguments: &[&str]) -> Result<Value> {
    tandem_within(stage, arguments, READY).await
}

/// The same, for what may take until `deadline`.
pub async fn tandem_within(stage: &Stage, arguments: &[&str], deadline: Duration) -> Result<Value> {
    let mut command = Command::new(&stage.tandem);
    command.args(arguments).arg("--json").kill_on_drop(true);
    let what =
        format!("tandem {}", arguments.iter().take(2).copied().collect::<Vec<_>>().join(" "));
    let output = tokio::time::timeout(deadline, command.output()).await;
    let output = output.with_context(|| format!("{what} does not end"))??;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{what} ends with {}: {errors}", output.status);
    serde_json::from_slice(&output.stdout).with_context(|| format!("{what} --json"))
}

/// Key file of an organisation's admin.
pub fn admin_file(stage: &Stage, org: &OrgName) -> String {
    stage.net().layout().dir().join(format!("keys/{org}-admin.json")).display().to_string()
}

/// An invitation of an observer by an organisation, made through one of its nodes: the token.
pub async fn invite(stage: &Stage, through: &Node) -> Result<String> {
    let admin = admin_file(stage, &through.org);
    invite_by(stage, &Voter { admin, url: through.rpc_url() }, &["--observer"]).await
}

/// An invitation by an admin key, made through a node: the token.
pub async fn invite_by(stage: &Stage, by: &Voter, options: &[&str]) -> Result<String> {
    let line = [&["node", "invite", "--admin-key", &by.admin, "--node", &by.url], options];
    let answer = tandem(stage, &line.concat()).await?;
    Ok(answer["token"].as_str().context("tandem node invite gives no token")?.to_owned())
}

/// A member whose admin key is here, and a node to which its commands go.
pub struct Voter {
    /// Key file of its admin.
    pub admin: String,
    /// RPC of the node.
    pub url: String,
}

/// A change that the first of these proposes and the others vote for, each at its own node, until it is
/// carried: the answer to the last command, and in a line what the change does.
pub async fn carried(
    stage: &Stage,
    voters: &[Voter],
    change: &[&str],
) -> Result<(Value, Option<String>)> {
    let [first, others @ ..] = voters else { bail!("nobody has a vote") };
    let line = [&["org", "propose"], change, &["--key", &first.admin, "--node", &first.url]];
    let mut answer = tandem(stage, &line.concat()).await?;
    let summary = answer["tried"]["summary"].as_str().map(str::to_owned);
    let motion = answer["motion"].as_str().context("a motion has a number")?.to_owned();
    for Voter { admin, url } in others {
        if answer["effective"].is_string() {
            break;
        }
        answer = tandem(stage, &["org", "vote", &motion, "--key", admin, "--node", url]).await?;
    }
    ensure!(answer["effective"].is_string(), "all have voted for {change:?}: {answer}");
    Ok((answer, summary))
}

/// Waits until a node has the block of a height.
pub async fn has_block(rpc: &Rpc, height: Height) -> Result<()> {
    until(&format!("{} has block {height}", rpc.name()), SOON, || async {
        let at = rpc.height().await?;
        ensure!(at >= height, "it is at height {at}");
        Ok(())
    })
    .await
}

/// The block that a receipt says it is in.
pub fn block_of(answer: &Value) -> Result<Height> {
    height(answer["height"].as_str().context("a receipt has a height")?)
}

/// A node's transaction, sent through another; the block that it is in.
pub async fn send(stage: &Stage, through: &Node, arguments: &[&str], key: &Path) -> Result<Height> {
    let (url, key) = (through.rpc_url(), key.display().to_string());
    let line = [arguments, &["--node", &url, "--key", &key]].concat();
    block_of(&tandem(stage, &line).await?)
}

/// A machine.
pub struct Machine {
    home: Home,
    log: PathBuf,
    p2p_port: u16,
    rpc_port: u16,
    process: Option<Process>,
}

impl Machine {
    /// One with nothing on it.
    pub fn new(stage: &Stage, name: &str) -> Result<Self> {
        let folder = stage.folder.path().join("machines").join(name);
        files::create_dir(&folder)?;
        let ports = free_ports(2)?;
        let (home, log) = (Home::new(folder.join("home")), folder.join("node.log"));
        Ok(Self { home, log, p2p_port: ports[0], rpc_port: ports[1], process: None })
    }

    /// The token in a file, as it is named in commands: command lines are seen by all.
    fn token_file(&self, token: &str) -> Result<String> {
        let file = self.log.with_file_name("token");
        files::write_atomic(&file, token.as_bytes(), 0o600)?;
        Ok(format!("@{}", file.display()))
    }

    /// Starts `tandem join TOKEN ADDRESS`, which goes on as the node.
    pub async fn join(&mut self, stage: &Stage, token: &str) -> Result<()> {
        let token = self.token_file(token)?;
        let (address, rpc) = (self.address(), format!("127.0.0.1:{}", self.rpc_port));
        let home = self.home.root().as_os_str();
        let arguments: [&OsStr; 7] = [
            "join".as_ref(),
            token.as_ref(),
            address.as_ref(),
            "--home".as_ref(),
            home,
            "--rpc-listen".as_ref(),
            rpc.as_ref(),
        ];
        self.process = Some(Process::run(&stage.tandem, &arguments, &self.log).await?);
        Ok(())
    }

    /// By a token that was used, it does not join: all members that are reached refuse it.
    pub async fn is_refused(&self, stage: &Stage, token: &str) -> Result<()> {
        let token = self.token_file(token)?;
        let home = self.home.root().display().to_string();
        let rpc = format!("127.0.0.1:{}", self.rpc_port);
        let line = ["join", &token, &self.address(), "--home", &home, "--rpc-listen", &rpc];
        let joined = tandem(stage, &[&line[..], &["--no-start", "--timeout", "1s"]].concat()).await;
        let error = joined.err().context("a token is used a second time")?.to_string();
        ensure!(error.contains(USED), "a token that was used is refused by: {error}");
        Ok(())
    }

    /// Makes a home with this key and genesis by hand, that knows of some nodes, and starts it.
    pub async fn start_by_hand(
        &mut self,
        stage: &Stage,
        key: &SecretKey,
        genesis: &str,
        members: &[Node],
    ) -> Result<()> {
        let mut config = self.config();
        let at = |node: &Node| (node.key, vec![homes::address(node.p2p_port)]);
        config.p2p.bootstrap = members.iter().map(at).collect();
        self.home.init(&config, key, None)?;
        files::write_atomic(&self.home.genesis_path(), genesis.as_bytes(), 0o644)?;
        self.start(stage).await
    }

    /// Imports a node's key from a file, by which its home is made; the command's answer.
    pub async fn import(&self, stage: &Stage, file: &str) -> Result<Value> {
        let (home, address) = (self.home.root().display().to_string(), self.address());
        let rpc = format!("127.0.0.1:{}", self.rpc_port);
        let line = ["keys", "import", file, "--home", &home, "--listen", &address];
        let places = ["--address", &address, "--rpc-listen", &rpc];
        tandem(stage, &[&line[..], &places].concat()).await
    }

    /// Starts the node of its home.
    pub async fn start(&mut self, stage: &Stage) -> Result<()> {
        self.process = Some(Process::start(&stage.tandem, self.home.root(), &self.log).await?);
        Ok(())
    }

    /// Kills what runs on it, unless that has ended.
    pub async fn kill(&mut self) -> Result<()> {
        self.process.take().context("nothing was started on it")?.end().await;
        Ok(())
    }

    /// Stops the node.
    pub async fn stop(&mut self) -> Result<()> {
        let mut process = self.process.take().context("it is not running")?;
        process.stop(STOP_DEADLINE).await
    }

    fn config(&self) -> Config {
        let mut config = Config::default();
        config.p2p.listen = self.address();
        config.p2p.addresses = vec![self.address()];
        config.rpc.listen = ([127, 0, 0, 1], self.rpc_port).into();
        config
    }

    /// Moves it to another port, from which it dials none of `unreachable`: whoever links with them
    /// has been dialled. The new address.
    pub fn move_away(&mut self, unreachable: &[Node]) -> Result<String> {
        let ports = free_ports(2)?;
        self.p2p_port = ports[0];
        let mut config = Config::load(&self.home.config_path())?;
        config.p2p.listen = self.address();
        config.p2p.addresses = vec![self.address()];
        // Nobody listens there.
        let nowhere = homes::address(ports[1]);
        config.p2p.bootstrap = BTreeMap::new();
        config.p2p.dial =
            unreachable.iter().map(|node| (node.key, vec![nowhere.clone()])).collect();
        files::write_atomic(&self.home.config_path(), config.to_toml().as_bytes(), 0o644)?;
        Ok(self.address())
    }

    /// Where it listens for peers.
    pub fn address(&self) -> String {
        homes::address(self.p2p_port)
    }

    /// File of its node key.
    pub fn key_file(&self) -> PathBuf {
        self.home.node_key_path()
    }

    /// Its home folder.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// Its node key.
    pub fn secret(&self) -> Result<SecretKey> {
        Ok(self.home.node_key(&Passphrases::none())?)
    }

    /// Where it answers RPC.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.rpc_port)
    }

    /// Its RPC.
    pub fn rpc(&self) -> Result<Rpc> {
        Rpc::new("the new machine", &self.url())
    }

    /// The error, with the end of its log; where its process has ended, how.
    pub fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        let ended = self.process.as_ref().and_then(Process::exited);
        let ended = ended.map(|status| format!(", it ended with {status}")).unwrap_or_default();
        let tail = log_tail(&self.log, TAIL_LINES);
        error.context(format!("the new machine{ended}; the end of its log:\n{tail}"))
    }

    /// Waits until a node has it in its register; its key.
    pub async fn is_registered(&self, by: &Rpc) -> Result<PublicKey> {
        let registered = until("the new machine is in the register", READY, || async {
            ensure!(self.key_file().exists(), "it has made no key yet");
            let key = self.secret()?.public();
            let nodes = by.nodes().await?.nodes;
            ensure!(nodes.iter().any(|node| node.key == key), "it is not in it yet");
            Ok(key)
        });
        registered.await.map_err(|error| self.explain(error))
    }

    /// Waits until it has the block of a height that the chain has, and the same as `other` has.
    pub async fn follows(&self, other: &Rpc, tip: Height) -> Result<()> {
        let rpc = self.rpc()?;
        let reached = until("the new machine is at the tip", READY, || async {
            let status = rpc.status().await?;
            let at = status.sync_info.latest_block_height;
            ensure!(at >= tip && !status.sync_info.catching_up, "it is at height {at} of {tip}");
            Ok(())
        });
        reached.await.map_err(|error| self.explain(error))?;
        let (own, others) = (rpc.block(tip).await?, other.block(tip).await?);
        let same = own.id == others.id && own.app_hash == others.app_hash;
        ensure!(same, "it has another block {tip} than {}", other.name());
        Ok(())
    }

    /// Waits until a node's newest record calls it alive.
    pub async fn is_alive(&self, by: &Rpc, key: &PublicKey) -> Result<()> {
        until("the new machine is recorded alive", SOON, || async {
            let nodes = by.nodes().await?.nodes;
            let node = nodes.into_iter().find(|node| node.key == *key);
            let node = node.ok_or_else(|| anyhow!("it is not registered"))?;
            ensure!(node.alive == Some(true), "it is recorded as {:?}", node.alive);
            Ok(())
        })
        .await
    }
}
