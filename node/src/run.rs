//! A node from start to stop: opens what it needs, wires it, and runs until it is told to stop. When it is
//! far behind with few blocks or none, it stops in between, and restores a snapshot that its peers have.

mod answering;
mod durable;
mod opened;
mod restore;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use tandem_chain::block::Certificate;
use tandem_chain::genesis::Genesis;
use tandem_chain::keys::PublicKey;
use tandem_chain::ledger::Ledger;
use tandem_chain::modules::standby;
use tandem_chain::tip::Tip;
use tandem_chain::types::{Hash, Height, Timestamp};
use tandem_consensus::{Replica, Setup as ReplicaSetup};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{broadcast, oneshot, watch};
use tokio::time::timeout;
use tracing::{error, info, warn};

use crate::admission::{self, Admission, Forward};
use crate::backup::BackupError;
use crate::config::{self, Config, ConfigError, Instrumentation, Log};
use crate::driver::{self, Fatal, Publishers, Restores};
use crate::genesis_files;
use crate::home::{Home, HomeError, Passphrases, files};
use crate::hooks::Hooks;
use crate::indexer::Indexer;
use crate::join::Reception;
use crate::maintenance::Maintenance;
use crate::metrics;
use crate::network::{Channel, Network};
use crate::pruning::{Policy, Pruner};
use crate::rpc;
use crate::sink::Sink;
use crate::snapshots::{Server, SnapshotError, Taker, TrustedBlock};
use crate::storage::{self, Database};
use crate::telemetry::{self, Levels};
use crate::view::NodeView;
use answering::Answering;
pub(crate) use durable::durable;
use opened::Opened;

/// Committed blocks that a slow watcher may be behind before it must look them up.
const COMMITS_BUFFER: usize = 256;
/// Time that threads have at the end to let go of the database.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a node does not start, or has stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// A file of the home folder.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// State that is damaged, or storage that fails.
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
    /// A restore that was interrupted cannot be finished.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// A restore from a snapshot.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
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
    /// What a restore trusts first, in the place of what the configuration says.
    pub trust: Option<TrustedBlock>,
    /// Where the passphrase of an encrypted node key comes from.
    pub passphrases: Passphrases,
}

/// Reads and validates the genesis file of a home folder; with it come warnings for the operator.
///
/// # Errors
/// [`NodeError::Home`], with all faults; [`NodeError::GenesisHash`].
pub fn load_genesis(
    home: &Home,
    expected: Option<Hash>,
) -> Result<(Genesis, Vec<String>), NodeError> {
    let path = home.genesis_path();
    let (genesis, warnings) = genesis_files::load(&path)?;
    let got = genesis.hash();
    match expected {
        Some(expected) if expected != got => {
            Err(NodeError::GenesisHash { path: path.display().to_string(), expected, got })
        }
        _ => Ok((genesis, warnings)),
    }
}

/// Runs the node of a home folder until SIGINT or SIGTERM.
///
/// # Errors
/// [`NodeError`]: why it did not start, or stopped by itself.
pub async fn run(home: &Home, options: Options) -> Result<(), NodeError> {
    let config = Config::load(&home.config_path())?;
    let levels = telemetry::init(&config.log).map_err(NodeError::Log)?;
    tokio::spawn(levels_on_hangup(
        home.config_path(),
        config.clone(),
        levels,
        signal(SignalKind::hangup())?,
    ));
    end_on_panic();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut stop = async move || {
        let name = tokio::select! {
            _ = interrupt.recv() => "SIGINT",
            _ = terminate.recv() => "SIGTERM",
        };
        info!(signal = name, "stopping");
    };
    let opened = Opened::read(home, config, &options)?;
    let mut restores =
        if opened.config.snapshots.restore { Restores::Behind } else { Restores::Never };
    let mut is_behind = false;
    loop {
        let db = opened.database(home)?;
        if std::mem::take(&mut is_behind) || db.restoring()?.is_some() {
            let mut closed = db.closed();
            let restored = tokio::select! {
                restored = restore::restore(&opened, db) => Some(restored),
                () = stop() => None,
            };
            if timeout(CLOSE_TIMEOUT, closed.changed()).await.is_err() {
                warn!("the database is still in use after the restore");
            }
            let Some(restored) = restored else { return Ok(()) };
            restored?;
            // A node that has tried to goes on block by block, where it can.
            if restores == Restores::Behind {
                restores = Restores::OutOfReach;
            }
            continue;
        }
        let node = start(home, &opened, db, restores).await?;
        let (end, ends) = oneshot::channel();
        let mut driver = std::pin::pin!(node.drive(ends));
        let ended = tokio::select! {
            ended = &mut driver => ended,
            () = stop() => {
                // The driver has ended by itself when it does not listen.
                let _ = end.send(());
                driver.await?;
                info!("stopped");
                return Ok(());
            }
        };
        if !matches!(ended, Err(NodeError::Fatal(Fatal::Behind))) {
            return ended;
        }
        info!("the node is far behind: it restores a snapshot that its peers have");
        is_behind = true;
    }
}

/// At SIGHUP, reads `log.level` of the configuration again, and nothing else.
async fn levels_on_hangup(path: PathBuf, started: Config, levels: Levels, mut hangup: Signal) {
    while hangup.recv().await.is_some() {
        let read = Config::load(&path).map_err(|error| error.to_string());
        let set = read.and_then(|config| levels.set(&config.log.level).map(|()| config));
        match set {
            Ok(config) => {
                // A warning, so that most levels show it.
                warn!(levels = config.log.level, "SIGHUP: the levels of the log are set");
                let rest = Config {
                    log: Log { level: started.log.level.clone(), ..config.log },
                    ..config
                };
                if rest != started {
                    warn!("config.toml has other changes, too: they count from the next start on");
                }
            }
            Err(error) => warn!(error, "SIGHUP: the levels of the log stay as they are"),
        }
    }
}

/// Makes a panic in any thread or task the end of the process. A node that goes on without one of its
/// threads looks alive and does nothing, and its standby would not be told.
fn end_on_panic() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        tell(panic);
        error!("a part of the node has failed, see above; the process ends: please report this");
        std::process::abort();
    }));
}

/// Everything of a node, ready to run.
struct Node {
    answering: Answering,
    network: Network,
    driver: driver::Setup,
    rpc: rpc::Setup,
    listeners: rpc::Listeners,
    /// None of a node whose metrics are not served.
    metrics: Option<(TcpListener, metrics::Setup)>,
    db: Database,
    maintenance: Arc<Maintenance>,
    /// None of a node that keeps all blocks.
    pruner: Option<Pruner>,
    /// None of a node without an index.
    indexer: Option<Indexer>,
    /// None of a node without a sink.
    sink: Option<Sink>,
    /// None of a node without hooks.
    hooks: Option<Hooks>,
}

impl Node {
    /// Runs driver and RPC until `stop` is told or the driver ends by itself.
    async fn drive(self, stop: oneshot::Receiver<()>) -> Result<(), NodeError> {
        let (end, _) = broadcast::channel::<()>(1);
        let ending = || {
            let mut end = end.subscribe();
            async move {
                let _ = end.recv().await;
            }
        };
        let rpc = self.answering.spawn(rpc::serve(self.listeners, self.rpc, ending()));
        let metrics = self.metrics.map(|(listener, setup)| {
            self.answering.spawn(metrics::serve(listener, setup, ending()))
        });
        let ended = driver::run(self.driver, stop).await;
        drop(end);
        // A hook has a bounded moment, too.
        if let Some(hooks) = self.hooks {
            hooks.stop().await;
        }
        if let Some(sink) = self.sink {
            sink.stop().await;
        }
        // They give open requests a bounded moment.
        let _ = rpc.await;
        if let Some(metrics) = metrics {
            let _ = metrics.await;
        }
        drop(self.answering);
        self.network.shutdown().await;
        // They wait for the disk.
        let (maintenance, pruner, indexer) = (self.maintenance, self.pruner, self.indexer);
        let end = move || {
            maintenance.stop();
            drop((pruner, indexer));
        };
        let _ = tokio::task::spawn_blocking(end).await;
        let synced = self.db.sync();
        let mut closed = self.db.closed();
        drop(self.db);
        // A thread that still had it would use it while the process takes down what it stands on.
        if timeout(CLOSE_TIMEOUT, closed.changed()).await.is_err() {
            warn!("the database is still in use at the end");
        }
        outcome(ended, synced)
    }
}

/// How a node has ended. What the driver says comes first: it names the cause, and a disk that failed
/// there fails here, too.
fn outcome(
    ended: Result<(), Fatal>,
    synced: Result<(), tandem_chain::Error>,
) -> Result<(), NodeError> {
    if let (Err(_), Err(error)) = (&ended, &synced) {
        error!(%error, "nor can the database be brought to the disk");
    }
    ended?;
    Ok(synced?)
}

async fn start(
    home: &Home,
    opened: &Opened,
    db: Database,
    restores: Restores,
) -> Result<Node, NodeError> {
    let Opened { genesis, key, config, storage, shelf, .. } = opened;
    let me = key.public();
    db.initialise(&Ledger::<Database>::genesis(genesis))?;
    let ledger = Ledger::open(db.clone(), genesis)?;
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
    let listeners = rpc::Listeners::open(home, &config.rpc)?;
    let since = last_change(&db, &tip, me)?;
    let hooks = Hooks::start(&config.hooks, home, me, genesis.chain_id.clone(), since)?;
    let roles = hooks.as_ref().map(Hooks::roles);
    let metrics = match &config.instrumentation {
        Instrumentation { prometheus: true, prometheus_listen_addr: at, .. } => {
            Some(rpc::bind(*at, "instrumentation.prometheus_listen_addr")?)
        }
        _ => None,
    };
    let (network, events) = opened.network().await?;
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
    network.receive_guests(Arc::new(Reception::new(
        genesis,
        me,
        db.clone(),
        tip_receiver.clone(),
        admission.clone(),
    )));
    if home.join_path().exists() {
        tokio::spawn(end_of_join(home.clone(), me, tip_receiver.clone()));
    }
    let restores = restores.from(tip.height);
    let signer = Arc::new(key.clone());
    let replica = Replica::new(ReplicaSetup { signer, tip, certificate, durable });
    let (kept, of) = (storage.clone(), Arc::clone(genesis));
    let maintenance = Maintenance::new(home, config, kept, of, me, db.clone(), shelf.clone());
    let maintenance = Arc::new(maintenance);
    let snapshots = Server::new(Arc::clone(genesis), shelf.clone());
    let config::Snapshots { interval, keep, .. } = config.snapshots;
    let taker = Taker::start(db.clone(), Arc::clone(genesis), shelf.clone(), interval as u64, keep);
    let indexed = config.index.enabled.then(|| commits.subscribe());
    let indexer = indexed.map(|commits| Indexer::start(db.clone(), commits));
    let sink = opened
        .sink
        .clone()
        .map(|server| Sink::start(server, Arc::clone(genesis), db.clone(), tip_receiver.clone()));
    let (accuse, accusations) = driver::accusations();
    let connected: Arc<dyn rpc::Peers> = Arc::new(Connected(network.clone()));
    let requests = Arc::new(rpc::Requests::default());
    let metrics = metrics.map(|listener| {
        let sources = metrics::Sources {
            me,
            db: db.clone(),
            tip: tip_receiver.clone(),
            view: view_receiver.clone(),
            admission: admission.clone(),
            network: Arc::clone(&connected),
            requests: Arc::clone(&requests),
            roles: roles.clone(),
            sink: sink.as_ref().map(Sink::figures),
        };
        let setup = metrics::Setup {
            config: config.instrumentation.clone(),
            chain_id: genesis.chain_id.clone(),
            commits: commits_receiver.resubscribe(),
            sources,
        };
        (listener, setup)
    });
    let rpc = rpc::Setup {
        me,
        genesis: Arc::clone(genesis),
        config: config.clone(),
        db: db.clone(),
        tip: tip_receiver,
        view: view_receiver,
        commits: commits_receiver,
        admission: admission.clone(),
        network: connected,
        maintenance: Arc::clone(&maintenance),
        snapshots: snapshots.clone(),
        accuse,
        requests,
    };
    let node_network = network.clone();
    let driver = driver::Setup {
        replica,
        db: db.clone(),
        publishers: Publishers { tip: tip_sender, commits, snapshots: Some(taker) },
        ledger,
        admission,
        network,
        events,
        view: view_sender,
        snapshots,
        accusations,
        restores,
        roles,
    };
    let pruner = Pruner::start(db.clone(), shelf.clone(), Policy::from(&config.storage));
    Ok(Node {
        answering: Answering::start()?,
        network: node_network,
        driver,
        rpc,
        listeners,
        metrics,
        db,
        maintenance,
        pruner,
        indexer,
        sink,
        hooks,
    })
}

/// The height from which the last change of the node's seat or pair is in effect, if it is at the height
/// after the tip; none of a node that is not registered.
fn last_change(
    db: &Database,
    tip: &Tip,
    me: PublicKey,
) -> Result<Option<Height>, tandem_chain::Error> {
    let Some(entry) = tip.register.nodes.get(&me) else { return Ok(None) };
    let seats = standby::seats(&db.snapshot())?;
    let seat = seats.into_iter().find(|seat| seat.seat == entry.org);
    Ok(seat.map(|seat| seat.effective).filter(|effective| *effective <= tip.height.next()))
}

/// A join is over when the node itself finds, by certified blocks, that it is registered: what members
/// told it was no more than that. Until then `tandem join` goes on with it.
async fn end_of_join(home: Home, me: PublicKey, mut tip: watch::Receiver<Arc<Tip>>) {
    let is_registered = |tip: &Arc<Tip>| tip.register.nodes.contains_key(&me);
    // An error means that the node stops.
    let Ok(height) = tip.wait_for(is_registered).await.map(|tip| tip.height) else { return };
    match files::remove(&home.join_path()) {
        Ok(()) => info!(%height, "this node is in the register: its join is over"),
        Err(error) => warn!(%error, "the file of the join that is over stays"),
    }
}

/// This machine's clock.
#[must_use]
pub fn wall_clock() -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(now.as_nanos()).unwrap_or(u64::MAX))
}

/// Tells the RPC who is connected.
struct Connected(Network);

impl rpc::Peers for Connected {
    fn counters(&self) -> BTreeMap<&'static str, u64> {
        self.0.totals()
    }

    fn peers(&self) -> Vec<rpc::Peer> {
        let now = wall_clock();
        let peers = self.0.peers().into_iter();
        peers
            .map(|peer| rpc::Peer {
                key: peer.key,
                ip: ip(&peer.address),
                address: peer.address,
                is_outbound: peer.dialled,
                connected_for: now.since(peer.since),
                round_trip: peer.round_trip,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::key;

    #[tokio::test]
    async fn a_join_is_over_when_the_node_finds_itself_in_its_own_register() {
        let mut chain = crate::testing::Chain::new();
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path());
        std::fs::create_dir_all(home.join_path().parent().unwrap()).unwrap();
        std::fs::write(home.join_path(), "{}").unwrap();
        let (tip, receiver) = watch::channel(chain.tip());
        let registered = crate::testing::validator(0).public();
        // One that is not: the join stays under way.
        let stands = || home.join_path().exists();
        let other = end_of_join(home.clone(), key(50).public(), receiver.clone());
        let mut other = std::pin::pin!(other);
        assert!(futures::poll!(&mut other).is_pending());
        tip.send_replace(chain.commit(Vec::new()).tip);
        assert!(futures::poll!(&mut other).is_pending() && stands());
        end_of_join(home.clone(), registered, receiver).await;
        assert!(!stands());
        drop(tip);
        other.await;
    }

    #[test]
    fn the_drivers_own_error_comes_before_that_of_the_last_sync() {
        let storage = |reason: &str| tandem_chain::Error::Storage { reason: reason.to_owned() };
        let fatal = || Err(Fatal::Storage(storage("no space left")));
        let fault = || Err(storage("sync failed"));
        let text = |result: Result<(), NodeError>| result.unwrap_err().to_string();
        assert!(outcome(Ok(()), Ok(())).is_ok());
        assert!(text(outcome(fatal(), fault())).contains("no space left; the node stops"));
        assert!(text(outcome(fatal(), Ok(()))).contains("no space left; the node stops"));
        assert!(text(outcome(Ok(()), fault())).contains("sync failed"));
    }
}
