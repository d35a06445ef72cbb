//! What a local network consists of: organisations, nodes, ports, keys, folders.
//!
//! Everything is under one folder:
//!
//! ```text
//! DIR/network.json        this module's Layout: names, keys, ports
//! DIR/control.sock        where the supervisor takes commands
//! DIR/supervisor.log
//! DIR/keys/ORG-admin.json, ORG-user.json
//! DIR/NODE/config, NODE/data, NODE/node.log
//! ```

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
pub use tandem_chain::genesis::GenesisRole;
use tandem_chain::keys::{PublicKey, SecretKey};
use tandem_chain::types::{ChainId, Hash, OrgName};
use tandem_node::config::{Hooks, Rpc, Snapshots};

/// Names of the organisations, in order; as many as a local network can have.
pub const ORGS: [&str; 26] = [
    "alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "juliett",
    "kilo", "lima", "mike", "november", "oscar", "papa", "quebec", "romeo", "sierra", "tango",
    "uniform", "victor", "whiskey", "x-ray", "yankee", "zulu",
];
/// Observers of one network at most.
const MAX_OBSERVERS: usize = 32;
/// Ports that nodes listen on; Linux serves outgoing connections from 32768 on.
const PORTS: std::ops::Range<u16> = 10_000..32_000;
/// Ports that are tried before giving up.
const MAX_PORT_TRIES: usize = 2_000;
/// The longest path that a Unix socket can have, with its final zero byte.
const MAX_SOCKET_PATH: usize = 108;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is asked for on its own")]
pub struct Spec {
    /// Organisations, each with one seat.
    pub orgs: usize,
    /// Whether each seat has a standby.
    pub pairs: bool,
    /// Registered nodes outside pairs.
    pub observers: usize,
    /// Users of each organisation, whose keys the load is signed with.
    pub users_per_org: usize,
    /// Preset of the chain's parameters.
    pub preset: Preset,
    /// Whether the genesis says where the nodes listen; without, they know what they are told.
    pub addresses: bool,
    /// Whether nodes reach each other through relays; without, links cannot be cut or delayed, and
    /// the relays' CPU time is saved.
    pub relays: bool,
    /// Blocks from one snapshot to the next; 0 for none but those that are asked for.
    pub snapshot_interval: usize,
    /// What nodes run when their role changes.
    pub hooks: Hooks,
    /// Whether nodes have an index of transactions and events.
    pub index: bool,
    /// WebSockets that a node takes, also of one client.
    pub websockets: usize,
    /// Which nodes write what they commit to a PostgreSQL.
    pub sink: Option<Sink>,
}

/// Nodes that write what they commit to a PostgreSQL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sink {
    /// Their names.
    pub nodes: Vec<String>,
    /// How they reach it.
    pub url: String,
    /// The file with the password for it.
    pub password_file: PathBuf,
}

/// Preset of the chain's parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// One site: 100 ms between idle blocks.
    Lan,
    /// Members in different places: 500 ms between idle blocks.
    Wan,
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            orgs: 4,
            pairs: true,
            observers: 0,
            users_per_org: 16,
            preset: Preset::Lan,
            addresses: true,
            relays: true,
            snapshot_interval: Snapshots::default().interval,
            hooks: Hooks::default(),
            index: true,
            websockets: Rpc::default().max_websockets,
            sink: None,
        }
    }
}

/// One node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Node {
    /// Its name in commands.
    pub name: String,
    /// Its organisation.
    pub org: OrgName,
    /// Role at genesis: `ORG-a` holds the seat, `ORG-b` is its standby, `obs-N` neither.
    pub role: GenesisRole,
    /// Its public key.
    pub key: PublicKey,
    /// Loopback port for peers.
    pub p2p_port: u16,
    /// Loopback port for RPC.
    pub rpc_port: u16,
    /// Loopback port for metrics.
    pub metrics_port: u16,
}

impl Node {
    /// Address of its RPC.
    #[must_use]
    pub fn rpc_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.rpc_port)
    }

    /// Where its metrics are.
    #[must_use]
    pub fn metrics_url(&self) -> String {
        format!("http://127.0.0.1:{}/metrics", self.metrics_port)
    }
}

/// A network as it was made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Layout {
    /// What was asked for.
    pub spec: Spec,
    /// Id of the chain, used by no other network.
    pub chain_id: ChainId,
    /// Organisations in order.
    pub orgs: Vec<OrgName>,
    /// Nodes: each organisation's a and b, then observers.
    pub nodes: Vec<Node>,
    /// Where all keys but the nodes' come from: this network guards nothing of value.
    seed: Hash,
    #[serde(skip)]
    dir: PathBuf,
}

impl Layout {
    /// A new network in `dir`, with new keys and ports that are free now. Writes nothing. The
    /// nodes' secret keys are returned beside it, in the order of its nodes.
    ///
    /// # Errors
    /// When `spec` asks for too much, or no port is free.
    pub fn new(dir: &Path, spec: Spec) -> Result<(Self, Vec<SecretKey>)> {
        if spec.orgs == 0 || spec.orgs > ORGS.len() {
            bail!("--orgs must be 1 to {}", ORGS.len());
        }
        if spec.observers > MAX_OBSERVERS {
            bail!("--observers must be at most {MAX_OBSERVERS}");
        }
        let orgs: Vec<OrgName> =
            ORGS[..spec.orgs].iter().map(|name| name.parse()).collect::<Result<_, _>>()?;
        let mut places = Vec::new();
        for org in &orgs {
            places.push((format!("{org}-a"), org, GenesisRole::Validator));
            if spec.pairs {
                places.push((format!("{org}-b"), org, GenesisRole::Standby));
            }
        }
        for i in 0..spec.observers {
            let org = &orgs[i % orgs.len()];
            places.push((format!("obs-{}", i + 1), org, GenesisRole::Observer));
        }
        let ports = free_ports(3 * places.len())?;
        let mut secrets = Vec::new();
        let nodes = places.into_iter().zip(ports.chunks(3)).map(|((name, org, role), ports)| {
            let secret = SecretKey::from_seed(&rand::random());
            let key = secret.public();
            secrets.push(secret);
            let org = org.clone();
            let (p2p_port, rpc_port, metrics_port) = (ports[0], ports[1], ports[2]);
            Node { name, org, role, key, p2p_port, rpc_port, metrics_port }
        });
        let nodes = nodes.collect();
        let chain_id = format!("tandem-testnet-{:08x}", rand::random::<u32>()).parse()?;
        let seed = Hash(rand::random());
        Ok((Self { spec, chain_id, orgs, nodes, seed, dir: dir.to_owned() }, secrets))
    }

    /// The network in `dir`.
    ///
    /// # Errors
    /// When there is none, or its file is damaged.
    pub fn load(dir: &Path) -> Result<Self> {
        let path = dir.join("network.json");
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("no network in {}: `up` makes one", dir.display()))?;
        let layout: Self =
            serde_json::from_str(&text).with_context(|| path.display().to_string())?;
        Ok(Self { dir: dir.to_owned(), ..layout })
    }

    /// Writes `network.json`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self) -> Result<()> {
        let path = self.dir.join("network.json");
        let text = serde_json::to_string_pretty(self)?;
        std::fs::write(&path, text).with_context(|| path.display().to_string())
    }

    /// The folder of the network.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The folder of a node.
    #[must_use]
    pub fn home(&self, node: &Node) -> PathBuf {
        self.dir.join(&node.name)
    }

    /// Where a node's output goes.
    #[must_use]
    pub fn log(&self, node: &Node) -> PathBuf {
        self.home(node).join("node.log")
    }

    /// The node with this name.
    ///
    /// # Errors
    /// When there is none; names those there are.
    pub fn node(&self, name: &str) -> Result<&Node> {
        self.nodes.iter().find(|node| node.name == name).with_context(|| {
            let names: Vec<&str> = self.nodes.iter().map(|node| node.name.as_str()).collect();
            format!("no node is called {name}: there are {}", names.join(", "))
        })
    }

    /// The node with this key.
    #[must_use]
    pub fn by_key(&self, key: &PublicKey) -> Option<&Node> {
        self.nodes.iter().find(|node| node.key == *key)
    }

    /// The nodes of an organisation's pair.
    pub fn pair(&self, org: &OrgName) -> impl Iterator<Item = &Node> {
        let of_pair = |node: &&Node| node.role != GenesisRole::Observer;
        self.nodes.iter().filter(of_pair).filter(move |node| node.org == *org)
    }

    /// Place of a node's bit in liveness records: nodes are registered at genesis alone, and bits
    /// are in the order of their keys.
    #[must_use]
    pub fn place_in_register(&self, key: &PublicKey) -> Option<usize> {
        self.by_key(key)?;
        Some(self.nodes.iter().filter(|node| node.key < *key).count())
    }

    /// An organisation's admin key.
    #[must_use]
    pub fn admin(&self, org: &OrgName) -> SecretKey {
        self.derive(&format!("admin {org}"))
    }

    /// The keys of an organisation's users.
    #[must_use]
    pub fn users(&self, org: &OrgName) -> Vec<SecretKey> {
        (0..self.spec.users_per_org).map(|i| self.derive(&format!("user {i} {org}"))).collect()
    }

    fn derive(&self, purpose: &str) -> SecretKey {
        let bytes = [self.seed.as_bytes().as_slice(), purpose.as_bytes()].concat();
        SecretKey::from_seed(Hash::of(&bytes).as_bytes())
    }
}

/// Where the supervisor of the network in `dir` takes commands.
///
/// # Errors
/// When the path is too long for a Unix socket.
pub fn socket_path(dir: &Path) -> Result<PathBuf> {
    let path = dir.join("control.sock");
    if path.as_os_str().len() >= MAX_SOCKET_PATH {
        bail!("{} is too long a path for a socket: choose a shorter --dir", path.display());
    }
    Ok(path)
}

/// The folder of a network when none is named.
#[must_use]
pub fn default_dir() -> PathBuf {
    std::env::temp_dir().join("tandem-testnet")
}

/// `count` different loopback ports that nobody listens on now.
///
/// They are outside the range from which the kernel serves outgoing connections: a node that is
/// down for a while must find its port free when it comes back, and someone who dials it meanwhile
/// must not, by chance, be connected to himself.
///
/// # Errors
/// When too few are free.
pub fn free_ports(count: usize) -> Result<Vec<u16>> {
    // All are held until the last is found, so that none is found twice.
    let mut held = Vec::new();
    for _ in 0..MAX_PORT_TRIES {
        if held.len() == count {
            break;
        }
        let port = rand::random_range(PORTS);
        held.extend(TcpListener::bind((Ipv4Addr::LOCALHOST, port)));
    }
    if held.len() < count {
        bail!("fewer than {count} loopback ports are free in {PORTS:?}");
    }
    held.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_roles_and_ports() {
        let spec = Spec { orgs: 2, observers: 1, ..Spec::default() };
        let (layout, secrets) = Layout::new(Path::new("/x"), spec).unwrap();
        let names: Vec<&str> = layout.nodes.iter().map(|node| node.name.as_str()).collect();
        assert_eq!(names, ["alpha-a", "alpha-b", "bravo-a", "bravo-b", "obs-1"]);
        let of_node = |node: &Node| [node.p2p_port, node.rpc_port, node.metrics_port];
        let mut ports: Vec<u16> = layout.nodes.iter().flat_map(of_node).collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 15);
        for (node, secret) in layout.nodes.iter().zip(&secrets) {
            assert_eq!(node.key, secret.public());
        }
        assert_eq!(layout.pair(&layout.orgs[0]).count(), 2);
        assert!(layout.node("zulu-a").unwrap_err().to_string().contains("alpha-a, alpha-b"));
    }

    #[test]
    fn a_saved_network_has_the_same_keys() {
        let dir = tempfile::tempdir().unwrap();
        let spec = Spec { orgs: 1, pairs: false, ..Spec::default() };
        let (layout, _) = Layout::new(dir.path(), spec).unwrap();
        layout.save().unwrap();
        let loaded = Layout::load(dir.path()).unwrap();
        let org = &layout.orgs[0];
        assert_eq!(loaded.admin(org).public(), layout.admin(org).public());
        assert_eq!(loaded.users(org)[3].public(), layout.users(org)[3].public());
        assert_ne!(loaded.users(org)[0].public(), loaded.users(org)[1].public());
        assert_eq!(loaded.home(&loaded.nodes[0]), dir.path().join("alpha-a"));
    }

    #[test]
    fn too_large_a_network_is_refused() {
        for spec in [
            Spec { orgs: 0, ..Spec::default() },
            Spec { orgs: 27, ..Spec::default() },
            Spec { observers: 33, ..Spec::default() },
        ] {
            assert!(Layout::new(Path::new("/x"), spec).is_err());
        }
        assert!(socket_path(Path::new(&"/x".repeat(60))).is_err());
    }
}
