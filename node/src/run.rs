//! A node from start to stop: opens what it needs, wires it, and runs until it is told to stop.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use tandem_chain::block::Certificate;
use tandem_chain::genesis::Genesis;
use tandem_chain::keys::PublicKey;
use tandem_chain::ledger::Ledger;
use tandem_chain::types::{Hash, Height, Timestamp};
use tandem_consensus::journal::{Durable, Journal, KeyState, VoteGuard};
use tandem_consensus::{Replica, Setup as ReplicaSetup};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{broadcast, oneshot, watch};
use tracing::{info, warn};

use crate::admission::{self, Admission, Forward};
use crate::config::{Config, ConfigError};
use crate::driver::{self, Fatal, Publishers};
use crate::home::{GuardFile, GuardState, Home, HomeError, files};
use crate::network::{Channel, Network, NetworkConfig, Rates};
use crate::rpc;
use crate::storage::{self, Database, StorageConfig};
use crate::telemetry;
use crate::view::NodeView;

/// Bytes that a genesis file may have.
const MAX_GENESIS_BYTES: u64 = 16 * 1024 * 1024;
/// Committed blocks that a slow watcher may be behind before it must look them up.
const COMMITS_BUFFER: usize = 256;

/// Why a node does not start, or has stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// A file of the home folder.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The genesis, or state that is damaged.
    #[error(transparent)]
    Chain(#[from] tandem_chain::Error),
    /// The genesis file is not the one that was asked for.
    #[error("{path} has hash {got}, not {expected}: get the genesis file of this chain")]
    GenesisHash {
        /// The file.
        path: String,
        /// What was asked for.
        expected: Hash,
        /// What the file has.
        got: Hash,
    },
    /// The guard file is about another key.
    #[error("{path} is about key {got}, the node's key is {expected}: put the right one back")]
    GuardKey {
        /// The file.
        path: String,
        /// The node's key.
        expected: PublicKey,
        /// The key in the file.
        got: PublicKey,
    },
    /// The database.
    #[error(transparent)]
    Storage(#[from] storage::Error),
    /// The network.
    #[error(transparent)]
    Network(#[from] crate::network::Error),
    /// A socket or signal.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// Logging.
    #[error("{0}")]
    Log(String),
    /// The node has stopped itself.
    #[error(transparent)]
    Fatal(#[from] Fatal),
}

/// What can be asked for at the start.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The hash that the genesis file must have.
    pub genesis_hash: Option<Hash>,
}

/// Reads and validates the genesis file of a home folder.
///
/// # Errors
/// [`NodeError::Home`], [`NodeError::Chain`] with all faults, [`NodeError::GenesisHash`].
pub fn load_genesis(home: &Home, expected: Option<Hash>) -> Result<Genesis, NodeError> {
    let path = home.genesis_path();
    let text = files::read(&path, MAX_GENESIS_BYTES)?.ok_or_else(|| HomeError::Missing {
        path: path.clone(),
        hint: "copy the chain's genesis file there, or assemble one with tandem genesis",
    })?;
    let genesis = Genesis::from_json(&text)?;
    genesis.validate()?;
    let got = genesis.hash();
    match expected {
        Some(expected) if expected != got => {
            Err(NodeError::GenesisHash { path: path.display().to_string(), expected, got })
        }
        _ => Ok(genesis),
    }
}

/// Runs the node of a home folder until SIGINT or SIGTERM.
///
/// # Errors
/// [`NodeError`]: why it did not start, or stopped by itself.
pub async fn run(home: &Home, options: Options) -> Result<(), NodeError> {
    let config = Config::load(&home.config_path())?;
    telemetry::init(&config.log).map_err(NodeError::Log)?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let node = start(home, config, options).await?;
    let (stop, stopped) = oneshot::channel();
    let mut driver = std::pin::pin!(node.drive(stopped));
    let name = tokio::select! {
        ended = &mut driver => return ended,
        _ = interrupt.recv() => "SIGINT",
        _ = terminate.recv() => "SIGTERM",
    };
    info!(signal = name, "stopping");
    // The driver has ended by itself when it does not listen.
    let _ = stop.send(());
    driver.await?;
    info!("stopped");
    Ok(())
}

/// Everything of a node, ready to run.
struct Node {
    network: Network,
    driver: driver::Setup,
    rpc: rpc::Setup,
    listener: tokio::net::TcpListener,
    db: Database,
}

impl Node {
    /// Runs driver and RPC until `stop` is told or the driver ends by itself.
    async fn drive(self, stop: oneshot::Receiver<()>) -> Result<(), NodeError> {
        let (rpc_stop, rpc_stopped) = oneshot::channel::<()>();
        let rpc = tokio::spawn(rpc::serve(self.listener, self.rpc, async {
            let _ = rpc_stopped.await;
        }));
        let ended = driver::run(self.driver, stop).await;
        let _ = rpc_stop.send(());
        // The RPC gives open requests a bounded moment.
        let _ = rpc.await;
        self.network.shutdown().await;
        self.db.sync()?;
        Ok(ended?)
    }
}

async fn start(home: &Home, config: Config, options: Options) -> Result<Node, NodeError> {
    let genesis = load_genesis(home, options.genesis_hash)?;
    for warning in genesis.validate()? {
        warn!(%warning, "genesis");
    }
    let key = home.node_key()?;
    let me = key.public();
    let db = Database::open(&home.data_path(), genesis.hash(), &StorageConfig::default())?;
    db.initialise(&Ledger::<Database>::genesis(&genesis))?;
    let ledger = Ledger::open(db.clone(), &genesis)?;
    let durable = durable(home, &db, me)?;
    let tip = Arc::clone(ledger.tip());
    let certificate = match tip.height {
        Height::ZERO => Certificate::default(),
        height => db.block(height)?.map(|b| b.certificate).ok_or_else(|| {
            let reason = format!("block {height} is missing");
            tandem_chain::Error::Damaged { what: "block", reason }
        })?,
    };
    info!(
        version = env!("CARGO_PKG_VERSION"), chain = %genesis.chain_id, genesis = %genesis.hash(),
        node = %me, height = %tip.height, "starting"
    );
    let listener = rpc::bind(config.rpc.listen).await?;
    let (network, events) = Network::start(NetworkConfig {
        secret: key.clone(),
        listen: config.p2p.listen.clone(),
        chain_id: genesis.chain_id.clone(),
        genesis: genesis.hash(),
        dial: config.p2p.dial.clone(),
        rates: Rates::default(),
    })
    .await?;
    let (tip_sender, tip_receiver) = watch::channel(Arc::clone(&tip));
    let (view_sender, view_receiver) = watch::channel(Arc::new(NodeView::default()));
    let (commits, commits_receiver) = broadcast::channel(COMMITS_BUFFER);
    let admission = Admission::start(admission::Setup {
        me,
        store: Arc::new(db.clone()),
        tip: tip_receiver.clone(),
        threads: config.admission.threads,
        network: Arc::new(Transactions(network.clone())),
    });
    let replica = Replica::new(ReplicaSetup { signer: Arc::new(key), tip, certificate, durable });
    let rpc = rpc::Setup {
        me,
        genesis: Arc::new(genesis),
        config,
        db: db.clone(),
        tip: tip_receiver,
        view: view_receiver,
        commits: commits_receiver,
        admission: admission.clone(),
        network: Arc::new(Connected(network.clone())),
    };
    let node_network = network.clone();
    let driver = driver::Setup {
        replica,
        db: db.clone(),
        publishers: Publishers { tip: tip_sender, commits },
        ledger,
        admission,
        network,
        events,
        view: view_sender,
    };
    Ok(Node { network: node_network, driver, rpc, listener, db })
}

/// What the replica starts from, and the key's state by the guard file beside it.
///
/// The file says `new` until the first journal is durable, and `used` from then on: an empty
/// database with a used key is a lost key, never a new one.
fn durable(home: &Home, db: &Database, me: PublicKey) -> Result<Durable, NodeError> {
    let path = home.guard_path();
    let guard = home.guard()?;
    if let Some(other) = guard.as_ref().filter(|guard| guard.public_key != me) {
        let (path, got) = (path.display().to_string(), other.public_key);
        return Err(NodeError::GuardKey { path, expected: me, got });
    }
    let state = guard.as_ref().map(|guard| guard.state);
    let mut durable = match (driver::load_durable(db)?, state) {
        (Some(durable), Some(GuardState::New | GuardState::Used)) => durable,
        (Some(durable), Some(GuardState::Restored) | None) => {
            let journal = Journal { guard: VoteGuard::new(KeyState::Lost), ..durable.journal };
            Durable { journal, ..durable }
        }
        (None, Some(GuardState::New)) => Durable::new(KeyState::Good),
        (None, _) => Durable::new(KeyState::Lost),
    };
    if durable.journal.guard.is_lost() {
        // Votes and lock of a record that is not whole are no basis to go on from.
        durable = Durable::new(KeyState::Lost);
        warn!(
            "the key's signing record is lost: the node signs nothing until the others have told \
             how far the chain is"
        );
    }
    driver::store_journal(db, &durable.journal)?;
    if state != Some(GuardState::Used) {
        GuardFile { public_key: me, state: GuardState::Used }.store(&path)?;
    }
    Ok(durable)
}

/// Tells the RPC who is connected.
struct Connected(Network);

impl rpc::Peers for Connected {
    fn peers(&self) -> Vec<rpc::Peer> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = Timestamp(u64::try_from(now.as_nanos()).unwrap_or(u64::MAX));
        let peers = self.0.peers().into_iter();
        peers
            .map(|peer| rpc::Peer {
                key: peer.key,
                ip: ip(&peer.address),
                address: peer.address,
                is_outbound: peer.dialled,
                connected_for: now.since(peer.since),
                received: peer.bytes_received,
                sent: peer.bytes_sent,
            })
            .collect()
    }
}

/// The IP address in a multiaddress; the unspecified one when there is none.
fn ip(address: &str) -> IpAddr {
    let parsed = address.parse::<Multiaddr>().ok();
    let found = parsed.iter().flatten().find_map(|part| match part {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(ip.into()),
        _ => None,
    });
    found.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

/// Carries frames of transactions.
struct Transactions(Network);

impl Forward for Transactions {
    fn forward(&self, to: &[PublicKey], frame: Arc<[u8]>) {
        for peer in to {
            self.0.send(peer, Channel::Transactions, Arc::clone(&frame));
        }
    }
}
