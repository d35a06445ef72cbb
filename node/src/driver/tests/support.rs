use std::sync::Arc;
use std::sync::mpsc as std_mpsc;
use std::time::Duration;

use tandem_chain::block::Certificate;
use tandem_chain::codec;
use tandem_chain::genesis::Genesis;
use tandem_chain::keys::{PublicKey, SecretKey};
use tandem_chain::ledger::Ledger;
use tandem_chain::limits::MAX_ENCODED_BYTES;
use tandem_chain::modules::{Call, records};
use tandem_chain::tip::Tip;
use tandem_chain::tx::{Tx, TxBody};
use tandem_chain::types::{Hash, Height};
use tandem_consensus::journal::{Durable, KeyState};
use tandem_consensus::message::Message;
use tandem_consensus::{Replica, Setup as ReplicaSetup};
use tokio::sync::{broadcast, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::admission::{self, Admission, Forward};
use crate::driver::executor::Job;
use crate::driver::offers::Offers;
use crate::driver::persister::Values;
use crate::driver::wire::{Answer, Question};
use crate::driver::{Driver, Fatal, Publishers, Restores, Setup, Sources};
use crate::network::{Channel, Events, Network, NetworkEvent};
use crate::snapshots::{Server, Shelf, wire};
use crate::storage::{Database, StorageConfig};
use crate::testing;
use crate::view::NodeView;

/// The longest that anything here may take.
pub const LIMIT: Duration = Duration::from_secs(30);

/// The key of the node under test: the holder of the first seat.
pub fn me() -> SecretKey {
    testing::validator(0)
}

/// Four organisations; nothing happens by a timeout while a test runs, and nobody is dialled.
pub fn four_seats() -> Genesis {
    let mut genesis = testing::genesis();
    let parameters = &mut genesis.parameters;
    parameters.idle_block_interval_ms = 60_000;
    parameters.propose_timeout_ms = 60_000;
    parameters.vote_timeout_ms = 60_000;
    parameters.timeout_max_ms = 60_000;
    for org in &mut genesis.organizations {
        org.nodes.iter_mut().for_each(|node| node.addresses.clear());
    }
    genesis
}

/// The first organisation alone, whose vote is a certificate.
pub fn one_seat() -> Genesis {
    let mut genesis = four_seats();
    genesis.organizations.truncate(1);
    genesis
}

/// Stands between the driver and one of its threads, and holds back what is handed over.
pub struct Tap<T> {
    held: std_mpsc::Receiver<T>,
    thread: std_mpsc::Sender<T>,
}

impl<T> Tap<T> {
    fn on(sender: &mut std_mpsc::Sender<T>) -> Self {
        let (to_tap, held) = std_mpsc::channel();
        Self { held, thread: std::mem::replace(sender, to_tap) }
    }

    /// Waits for the next thing. It blocks: the driver runs in another thread.
    pub fn take(&self) -> T {
        self.held.recv_timeout(LIMIT).expect("something is handed over in time")
    }

    /// What has been handed over and not been taken.
    pub fn try_take(&self) -> Option<T> {
        self.held.try_recv().ok()
    }

    /// Lets the thread have it.
    pub fn pass(&self, thing: T) {
        self.thread.send(thing).expect("the thread runs");
    }
}

/// Nobody: no transaction is forwarded.
struct Nobody;

impl Forward for Nobody {
    fn forward(&self, _: &[PublicKey], _: Arc<[u8]>) {}
}

/// What a test holds of a driver.
pub struct Hands {
    pub persists: Tap<Values>,
    pub jobs: Tap<Job>,
    pub genesis: Genesis,
    pub admission: Admission,
    pub db: Database,
    network: Network,
    tip: watch::Receiver<Arc<Tip>>,
    view: watch::Receiver<Arc<NodeView>>,
    dir: tempfile::TempDir,
}

/// A driver before its first turn.
pub async fn prepare(genesis: Genesis) -> (Driver, Sources, Hands) {
    let dir = tempfile::tempdir().unwrap();
    // Small, so that `break_disk` needs to write little.
    let config = StorageConfig { write_buffer_bytes: 1 << 20, ..StorageConfig::default() };
    let db = Database::open(dir.path(), genesis.hash(), &config).unwrap();
    db.initialise(&Ledger::<Database>::genesis(&genesis)).unwrap();
    let ledger = Ledger::open(db.clone(), &genesis).unwrap();
    let first_tip = Arc::clone(ledger.tip());
    let (network, events) = Network::start(testing::network_config(me(), &genesis)).await.unwrap();
    let (tip_sender, tip) = watch::channel(Arc::clone(&first_tip));
    let (commits, _) = broadcast::channel(1);
    let (view_sender, view) = watch::channel(Arc::default());
    let admission = Admission::start(admission::Setup {
        me: me().public(),
        store: Arc::new(db.clone()),
        tip: tip.clone(),
        threads: 1,
        network: Arc::new(Nobody),
    });
    let replica = Replica::new(ReplicaSetup {
        signer: Arc::new(me()),
        tip: first_tip,
        certificate: Certificate::default(),
        durable: Durable::new(KeyState::Good),
    });
    let (mut driver, sources) = Driver::new(Setup {
        replica,
        db: db.clone(),
        publishers: Publishers { tip: tip_sender, commits, snapshots: None },
        ledger,
        admission: admission.clone(),
        network: network.clone(),
        events,
        view: view_sender,
        snapshots: Server::new(
            Arc::new(genesis.clone()),
            Shelf::new(dir.path().join("snapshots"), None),
        ),
        accusations: crate::driver::accusations().1,
        restores: Restores::Never,
        roles: None,
    });
    let persists = Tap::on(&mut driver.persister.0);
    let jobs = Tap::on(&mut driver.executor.0);
    let hands = Hands { persists, jobs, genesis, admission, db, network, tip, view, dir };
    (driver, sources, hands)
}

impl Hands {
    /// Brings a client's transaction; returns when it is in the mempool.
    pub async fn submit(&self) -> Tx {
        let call = records::Call::Create { data_set: "set".parse().unwrap() };
        let body = TxBody {
            chain_id: self.genesis.chain_id.clone(),
            sender: testing::user().public(),
            nonce: 1,
            valid_until: Height(100),
            call: Call::Records(call),
        };
        let tx = Tx::sign(body, &testing::user());
        self.admission.submit(tx.bytes().to_vec()).await.unwrap();
        tx
    }

    /// Makes every write from now on fail; returns the folder that is gone.
    pub fn break_disk(&self) -> String {
        std::fs::remove_dir_all(self.dir.path()).unwrap();
        let fails = || self.db.persist(&[("filler", vec![7; 1 << 20])]).is_err();
        assert!((0..64).any(|_| fails()), "the next file of the log cannot be made");
        self.dir.path().display().to_string()
    }
}

/// A node whose driver runs, and a peer that is linked with it.
pub struct Node {
    pub peer: Peer,
    pub hands: Hands,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Result<(), Fatal>>,
}

impl Node {
    /// Returns when the peer has been sent what a new peer is sent.
    pub async fn start(genesis: Genesis) -> Self {
        Self::run(prepare(genesis).await).await
    }

    /// As [`Node::start`], of a node that may end to restore a snapshot.
    pub async fn start_to_restore(genesis: Genesis, restores: Restores) -> Self {
        let (mut driver, sources, hands) = prepare(genesis).await;
        driver.offers = Offers::new(restores);
        Self::run((driver, sources, hands)).await
    }

    async fn run((driver, sources, hands): (Driver, Sources, Hands)) -> Self {
        let (stop, stopped) = oneshot::channel();
        let ended = tokio::spawn(driver.run(sources, stopped));
        let mut peer = Peer::link(&hands.genesis, &hands.network).await;
        assert_eq!(peer.message().await, Message::Status { committed: Height::ZERO });
        Self { peer, hands, stop, ended }
    }

    /// Brings a transaction, and lets the executor choose it for a block.
    pub async fn begin_block(&self) -> Tx {
        let tx = self.hands.submit().await;
        let job = self.hands.jobs.take();
        assert!(matches!(job, Job::Build { height: Height(1), .. }));
        self.hands.jobs.pass(job);
        tx
    }

    /// Returns when the loop has begun another turn: a question is answered by one.
    pub async fn turn(&self) {
        self.peer.ask(1, 1).await;
    }

    /// Names of what the peer has been sent by now. There is no wait for what should not come: a
    /// frame is sent behind it all, and frames of one link come in order.
    pub async fn sent(&mut self) -> Vec<String> {
        let mark = Message::LostAnswer { committed: Height(u64::MAX) };
        self.hands.network.send(&self.peer.key, Channel::Consensus, codec::encode(&mark).into());
        self.peer.until(|message| *message == mark).await
    }

    pub async fn until_view(&mut self, wanted: impl FnMut(&Arc<NodeView>) -> bool) {
        let view = timeout(LIMIT, self.hands.view.wait_for(wanted)).await;
        view.expect("in time").expect("the driver runs");
    }

    pub async fn until_height(&mut self, height: u64) -> Arc<Tip> {
        let tip = timeout(LIMIT, self.hands.tip.wait_for(|tip| tip.height == Height(height))).await;
        Arc::clone(&tip.expect("in time").expect("the executor runs"))
    }

    /// Tells the driver to stop; how it ended.
    pub async fn stop(self) -> Result<(), Fatal> {
        self.stop.send(()).expect("the driver listens");
        timeout(LIMIT, self.ended).await.expect("in time").expect("no panic")
    }

    /// How the driver ended by itself.
    pub async fn ended(&mut self) -> Result<(), Fatal> {
        timeout(LIMIT, &mut self.ended).await.expect("in time").expect("no panic")
    }
}

/// The other end of a link: it does nothing by itself.
pub struct Peer {
    pub key: PublicKey,
    pub network: Network,
    events: Events,
}

impl Peer {
    async fn link(genesis: &Genesis, to: &Network) -> Self {
        let secret = testing::standby(0);
        let key = secret.public();
        let (network, events) =
            Network::start(testing::network_config(secret, genesis)).await.unwrap();
        network.set_peers([(me().public(), vec![to.listening().to_string()])].into());
        Self { key, network, events }
    }

    async fn event(&mut self) -> NetworkEvent {
        let event = timeout(LIMIT, self.events.recv()).await;
        event.expect("an event in time").expect("the network runs")
    }

    /// The next message.
    pub async fn message(&mut self) -> Message {
        loop {
            match self.event().await {
                NetworkEvent::Message { channel: Channel::Consensus, bytes, .. } => {
                    return codec::decode("message", &bytes, MAX_ENCODED_BYTES).unwrap();
                }
                NetworkEvent::Disconnected(_) => panic!("the link is lost"),
                _ => {}
            }
        }
    }

    /// Names of messages up to the one that is wanted, which is left out. So are status messages
    /// and votes that came before: they are sent again from time to time.
    pub async fn until(&mut self, wanted: impl Fn(&Message) -> bool) -> Vec<String> {
        let mut names = Vec::new();
        loop {
            let message = self.message().await;
            if wanted(&message) {
                return names;
            }
            let name = name(&message);
            if !matches!(message, Message::Status { .. }) && !names.contains(&name) {
                names.push(name);
            }
        }
    }

    /// Waits until the node asks for blocks, and refuses. No message comes before.
    pub async fn until_asked(&mut self) {
        loop {
            match self.event().await {
                NetworkEvent::Request { .. } => return,
                NetworkEvent::Message { bytes, .. } => {
                    let message: Message = codec::decode("message", &bytes, bytes.len()).unwrap();
                    assert!(matches!(message, Message::Status { .. }), "{}", name(&message));
                }
                _ => {}
            }
        }
    }

    /// Waits until the node asks for blocks, and answers.
    pub async fn answer(&mut self, answer: &Answer) {
        loop {
            let NetworkEvent::Request { bytes, reply, .. } = self.event().await else { continue };
            if Question::decode(&bytes).is_ok() {
                return reply.send(codec::encode(answer)).expect("the node waits");
            }
        }
    }

    /// Waits until the node asks for snapshots, and offers one of this height; what else it asks for is
    /// refused.
    pub async fn offer(&mut self, height: u64) {
        loop {
            let NetworkEvent::Request { bytes, reply, .. } = self.event().await else { continue };
            if let Ok(wire::Question::List) = wire::Question::decode(&bytes) {
                let (height, manifest) = (Height(height), Hash([7; 32]));
                let offers = wire::Offers(vec![wire::Offer { height, manifest, chunks: 1 }]);
                return reply.send(codec::encode(&offers)).expect("the node waits");
            }
        }
    }

    pub fn send(&self, message: &Message) {
        self.network.send(&me().public(), Channel::Consensus, codec::encode(message).into());
    }

    /// Asks the node for blocks; the bytes of its answer.
    pub async fn ask(&self, first: u64, count: u64) -> Vec<u8> {
        let question = codec::encode(&(first, count));
        self.network.request(&me().public(), &question, LIMIT).await.unwrap()
    }
}

fn name(message: &Message) -> String {
    match message {
        Message::Proposal(p) => format!("proposal {}/{}", p.height, p.round),
        Message::Vote(vote) => format!("{:?} {}/{}", vote.kind, vote.height, vote.round),
        Message::Follow(_) => "follow".to_owned(),
        Message::Status { .. } => "status".to_owned(),
        Message::LostQuery => "lost query".to_owned(),
        Message::LostAnswer { .. } => "lost answer".to_owned(),
    }
}
