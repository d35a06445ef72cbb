//! The RPC over real sockets and a real chain, and its answers read by the types that light
//! clients use.

mod comet;
mod explorer;
mod hostile;
mod http;
mod motions;
mod openapi;
mod own;
mod prepare;
mod pruned;
mod rates;
mod reading;
mod records;
mod search;
mod shapes;
mod slow;
mod storage;
mod tls;
mod websocket;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::{Value, json};
use tandem_chain::keys::PublicKey;
use tandem_chain::tip::Tip;
use tandem_chain::tx::Tx;
use tandem_chain::types::Round;
use tandem_consensus::{Standing, Step};
use tokio::sync::{broadcast, oneshot, watch};

use super::{Listeners, Peer, Peers, Setup, serve};
use crate::admission::{self, Admission, Forward};
use crate::client::{Client, ClientError};
use crate::config::{Config, Rpc};
use crate::driver::Accusation;
use crate::home::Home;
use crate::indexer::Indexer;
use crate::maintenance::Maintenance;
use crate::snapshots::{Server, Shelf};
use crate::storage::StorageConfig;
use crate::testing::{self, Chain};
use crate::view::{Committed, NodeView};

struct Network;

impl Forward for Network {
    fn forward(&self, _: &[PublicKey], _: Arc<[u8]>) {}
}

impl Peers for Network {
    fn peers(&self) -> Vec<Peer> {
        vec![Peer {
            key: testing::validator(1).public(),
            address: "/ip4/10.0.0.2/tcp/26656".to_owned(),
            ip: [10, 0, 0, 2].into(),
            is_outbound: true,
            connected_for: Duration::from_secs(10),
            round_trip: Some(Duration::from_micros(1_234)),
            received: 1_000,
            sent: 2_000,
        }]
    }

    fn counters(&self) -> BTreeMap<&'static str, u64> {
        BTreeMap::from([("stalls", 3)])
    }
}

/// A node of the first organisation's validator, with its RPC on a port of the system's choice.
struct Node {
    chain: Mutex<Chain>,
    tip: watch::Sender<Arc<Tip>>,
    view: watch::Sender<Arc<NodeView>>,
    commits: broadcast::Sender<Arc<Committed>>,
    admission: Admission,
    accusations: Mutex<Receiver<Accusation>>,
    _indexer: Indexer,
    client: Client,
    /// Where it answers over TLS, if it does.
    tls: Option<SocketAddr>,
    stop: oneshot::Sender<()>,
}

/// The senders of what the RPC watches.
struct Senders {
    tip: watch::Sender<Arc<Tip>>,
    view: watch::Sender<Arc<NodeView>>,
    commits: broadcast::Sender<Arc<Committed>>,
    accusations: Receiver<Accusation>,
}

/// What the RPC of that node is started with.
fn setup(chain: &Chain, change: impl FnOnce(&mut Config)) -> (Setup, Senders) {
    let me = testing::validator(0).public();
    let (tip, tip_receiver) = watch::channel(chain.tip());
    let (commits, commits_receiver) = broadcast::channel(16);
    let of = chain.tip();
    let standing = Standing {
        height: of.height.next(),
        round: Round::ZERO,
        step: Step::Propose,
        proposer: me,
        proposed: None,
        locked: None,
        valid: None,
        table: of.next_table.clone(),
        rounds: Vec::new(),
    };
    let standing = Some(Arc::new(standing));
    let view = NodeView { catching_up: false, standing, ..NodeView::default() };
    let (view, view_receiver) = watch::channel(Arc::new(view));
    let admission = Admission::start(admission::Setup {
        me,
        store: Arc::new(chain.db.clone()),
        tip: tip_receiver.clone(),
        threads: 1,
        network: Arc::new(Network),
    });
    let mut config = Config::default();
    change(&mut config);
    let (accuse, accusations) = crate::driver::accusations();
    let genesis = Arc::new(chain.genesis.clone());
    let storage = StorageConfig::default();
    let shelf = Shelf::new(chain.home.snapshots_path(), None);
    let (db, of) = (chain.db.clone(), genesis.clone());
    let maintenance = Maintenance::new(&chain.home, &config, storage, of, me, db, shelf.clone());
    let setup = Setup {
        me,
        genesis,
        config,
        db: chain.db.clone(),
        tip: tip_receiver,
        view: view_receiver,
        commits: commits_receiver,
        admission,
        network: Arc::new(Network),
        maintenance: Arc::new(maintenance),
        snapshots: Server::new(Arc::new(chain.genesis.clone()), shelf),
        accuse,
        requests: Arc::default(),
    };
    (setup, Senders { tip, view, commits, accusations })
}

async fn node_with(change: impl FnOnce(&mut Config)) -> Node {
    let chain = Chain::new();
    let (setup, Senders { tip, view, commits, accusations }) = setup(&chain, change);
    let (accusations, chain) = (Mutex::new(accusations), Mutex::new(chain));
    let indexer = Indexer::start(setup.db.clone(), commits.subscribe());
    let admission = setup.admission.clone();
    let at = Rpc { listen: ([127, 0, 0, 1], 0).into(), ..setup.config.rpc.clone() };
    let listeners = Listeners::open(&Home::new("/"), &at).unwrap();
    let client = Client::new(&listeners.plain.local_addr().unwrap().to_string()).unwrap();
    let tls = listeners.tls.as_ref().map(|(listener, _)| listener.local_addr().unwrap());
    let (stop, stopped) = oneshot::channel::<()>();
    tokio::spawn(serve(listeners, setup, async {
        let _ = stopped.await;
    }));
    Node { chain, tip, view, commits, admission, accusations, _indexer: indexer, client, tls, stop }
}

async fn node() -> Node {
    node_with(|_| {}).await
}

impl Node {
    fn chain(&self) -> MutexGuard<'_, Chain> {
        self.chain.lock().unwrap()
    }

    fn publish(&self, committed: Committed) {
        self.admission.committed(&committed.block.block);
        self.tip.send_replace(committed.tip.clone());
        self.commits.send(Arc::new(committed)).unwrap();
    }

    fn commit(&self, txs: Vec<Tx>) {
        let committed = self.chain().commit(txs);
        self.publish(committed);
    }

    /// Commits a block in which the nodes that `seen` names are alive.
    fn commit_seen(&self, seen: impl Fn(&PublicKey) -> bool) {
        let committed = self.chain().commit_seen(Vec::new(), seen);
        self.publish(committed);
    }

    async fn call(&self, method: &str, params: Value) -> Value {
        self.client.call(method, params).await.unwrap()
    }

    /// Code and detail of the error that a call gives.
    async fn error(&self, method: &str, params: Value) -> (i64, String) {
        match self.client.call::<Value>(method, params).await {
            Err(ClientError::Rpc { code, data, .. }) => (code, data),
            other => panic!("{other:?}"),
        }
    }
}

fn tx_param(tx: &Tx) -> Value {
    json!({ "tx": super::shapes::comet::base64(tx.bytes()) })
}
