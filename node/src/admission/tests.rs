//! Admission over a real chain, with a network that keeps what is forwarded.

use std::sync::{Arc, Mutex};

use tandem_chain::Error as ChainError;
use tandem_chain::keys::PublicKey;
use tandem_chain::limits::{MAX_TX_BYTES, MAX_TX_VALIDITY};
use tandem_chain::modules::{Call, records, standby};
use tandem_chain::tip::Tip;
use tandem_chain::tx::{Tx, TxBody};
use tandem_chain::types::{Height, Term};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::forward::{Forwarding, REPEAT_AFTER};
use super::{Admission, AdmissionError, Counted, Forward, Setup, frame, queue, worker};
use crate::testing::{self, Chain};

/// Frames in the order in which they were handed to the network.
type Sent = mpsc::UnboundedReceiver<(Vec<PublicKey>, Vec<Vec<u8>>)>;

struct Network(mpsc::UnboundedSender<(Vec<PublicKey>, Vec<Vec<u8>>)>);

impl Forward for Network {
    fn forward(&self, to: &[PublicKey], frame: Arc<[u8]>) {
        let txs = frame::decode(&frame).expect("a frame of our own");
        let _ = self.0.send((to.to_vec(), txs));
    }
}

struct Node {
    chain: Mutex<Chain>,
    tip: watch::Sender<Arc<Tip>>,
    admission: Admission,
    sent: Sent,
}

/// The node of the first organisation's validator.
fn node() -> Node {
    let chain = Chain::new();
    let (tip, tip_receiver) = watch::channel(chain.tip());
    let (sender, sent) = mpsc::unbounded_channel();
    let admission = Admission::start(Setup {
        me: testing::validator(0).public(),
        store: Arc::new(chain.db.clone()),
        tip: tip_receiver,
        threads: 2,
        network: Arc::new(Network(sender)),
    });
    Node { chain: Mutex::new(chain), tip, admission, sent }
}

impl Node {
    fn chain(&self) -> std::sync::MutexGuard<'_, Chain> {
        self.chain.lock().unwrap()
    }

    async fn submit(&self, tx: &Tx) -> Result<(), AdmissionError> {
        self.admission.submit(tx.bytes().to_vec()).await.map(|hash| assert_eq!(hash, tx.hash()))
    }

    /// Commits a block and tells everybody.
    fn commit(&self, txs: Vec<Tx>) {
        let committed = self.chain().commit(txs);
        self.admission.committed(&committed.block.block);
        self.tip.send_replace(committed.tip);
    }

    fn count(&self, what: Counted) -> u64 {
        self.admission.counters().get(what)
    }
}

fn refused(result: Result<(), AdmissionError>) -> ChainError {
    match result {
        Err(AdmissionError::Refused(error)) => error,
        other => panic!("{other:?}"),
    }
}

fn body(chain: &Chain) -> TxBody {
    chain.put(1, "key", b"value").body().clone()
}

#[tokio::test]
async fn each_bad_transaction_has_its_error_and_its_counter() {
    let node = node();
    let (user, stranger) = (testing::user(), testing::key(250));
    let body = body(&node.chain());
    let cases = [
        (
            Tx::sign(TxBody { chain_id: "other".parse().unwrap(), ..body.clone() }, &user),
            "is for chain other",
            Counted::OtherChain,
        ),
        (
            Tx::sign(TxBody { sender: stranger.public(), ..body.clone() }, &stranger),
            "is no registered key",
            Counted::UnknownSender,
        ),
        (
            Tx::sign(TxBody { valid_until: Height(0), ..body.clone() }, &user),
            "expired at height 0",
            Counted::Validity,
        ),
        (
            Tx::sign(TxBody { valid_until: Height(MAX_TX_VALIDITY + 2), ..body.clone() }, &user),
            "at most 10001 is allowed now",
            Counted::Validity,
        ),
    ];
    for (tx, text, counted) in cases {
        let before = node.count(counted);
        let error = refused(node.submit(&tx).await).to_string();
        assert!(error.contains(text), "{error}");
        assert_eq!(node.count(counted), before + 1);
    }

    let mut bytes = Tx::sign(body.clone(), &user).bytes().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    let bad = node.admission.submit(bytes).await.map(drop);
    assert!(matches!(refused(bad), ChainError::BadSignature { .. }));
    assert_eq!(node.count(Counted::BadSignature), 1);

    let bad = node.admission.submit(vec![0; MAX_TX_BYTES + 1]).await.map(drop);
    assert!(matches!(refused(bad), ChainError::TooLong { .. }));
    let bad = node.admission.submit(vec![1, 2, 3]).await.map(drop);
    assert!(matches!(refused(bad), ChainError::Undecodable { .. }));
    assert_eq!(node.count(Counted::Undecodable), 2);

    assert_eq!(node.admission.waiting(), (0, 0));
    assert_eq!(node.count(Counted::Admitted), 0);
}

#[tokio::test]
async fn the_window_of_validity_is_that_of_the_next_block() {
    let node = node();
    let (user, body) = (testing::user(), body(&node.chain()));
    for (nonce, valid_until) in [(1, 1), (2, MAX_TX_VALIDITY + 1)] {
        let tx =
            Tx::sign(TxBody { nonce, valid_until: Height(valid_until), ..body.clone() }, &user);
        node.submit(&tx).await.unwrap();
    }
    // A block later the first has expired, and is gone.
    node.commit(Vec::new());
    assert_eq!(node.admission.waiting().0, 1);
}

#[tokio::test]
async fn again_is_no_error_while_it_waits_and_one_when_it_is_committed() {
    let node = node();
    let tx = node.chain().create(1);
    node.submit(&tx).await.unwrap();
    node.submit(&tx).await.unwrap();
    assert_eq!(node.admission.waiting(), (1, tx.bytes().len()));
    assert_eq!((node.count(Counted::Admitted), node.count(Counted::Duplicate)), (1, 1));
    assert!(node.admission.is_verified(&tx.hash()));

    node.commit(vec![tx.clone()]);
    assert_eq!(node.admission.waiting(), (0, 0));
    assert!(matches!(refused(node.submit(&tx).await), ChainError::Repeated { .. }));
    assert_eq!(node.count(Counted::Committed), 1);
}

#[tokio::test]
async fn a_sender_that_is_taken_out_may_send_no_more() {
    let node = node();
    let call =
        tandem_chain::modules::consortium::Call::RemoveUser { user: testing::user().public() };
    let (tx, remove) = {
        let chain = node.chain();
        (chain.create(1), chain.sign(&testing::admin(0), 1, Call::Consortium(call)))
    };
    node.commit(vec![remove]);
    assert!(matches!(refused(node.submit(&tx).await), ChainError::UnknownSender { .. }));
}

#[tokio::test]
async fn what_a_client_brings_goes_to_the_other_validators_in_frames() {
    let mut node = node();
    let txs: Vec<Tx> = (0..20).map(|i| node.chain().put(i, "key", b"value")).collect();
    for tx in &txs {
        node.submit(tx).await.unwrap();
    }
    let others: Vec<PublicKey> = {
        let mut keys: Vec<_> = (1..4).map(|i| testing::validator(i).public()).collect();
        keys.sort();
        keys
    };
    let mut forwarded = Vec::new();
    while forwarded.len() < txs.len() {
        let (to, frame) = node.sent.recv().await.unwrap();
        assert_eq!(to, others);
        forwarded.extend(frame);
    }
    let expected: Vec<Vec<u8>> = txs.iter().map(|tx| tx.bytes().to_vec()).collect();
    assert_eq!(forwarded, expected);
}

#[tokio::test]
async fn what_a_peer_brings_is_admitted_and_not_forwarded() {
    let mut node = node();
    let peer = testing::validator(1).public();
    let of_peer = node.chain().put(1, "key", b"peer");
    let of_client = node.chain().put(2, "key", b"client");
    for frame in frame::encode(std::slice::from_ref(&of_peer)) {
        node.admission.incoming(&frame, peer).unwrap();
    }
    node.admission.arrived().await;
    assert!(node.admission.is_waiting(&of_peer.hash()));
    node.submit(&of_client).await.unwrap();
    // The first frame that goes out has the client's alone.
    let (_, frame) = node.sent.recv().await.unwrap();
    assert_eq!(frame, [of_client.bytes().to_vec()]);
    assert_eq!(node.admission.incoming(&[1, 2, 3], peer).unwrap_err().code(), 1);
    assert_eq!(node.count(Counted::BadFrame), 1);
}

/// The node that a client brought it to first forwards it no more, if it has crashed.
#[tokio::test]
async fn what_a_client_brings_after_a_peer_is_forwarded_too() {
    let mut node = node();
    let peer = testing::validator(1).public();
    let [twice, later] = [1, 2].map(|nonce| node.chain().put(nonce, "key", b"value"));
    for frame in frame::encode(std::slice::from_ref(&twice)) {
        node.admission.incoming(&frame, peer).unwrap();
    }
    node.admission.arrived().await;
    for tx in [&twice, &twice, &later] {
        node.submit(tx).await.unwrap();
    }
    let mut forwarded = Vec::new();
    while !forwarded.contains(&later.bytes().to_vec()) {
        forwarded.extend(node.sent.recv().await.unwrap().1);
    }
    // On a slow machine the regular repeat may be among them.
    forwarded.dedup();
    assert_eq!(forwarded, [twice.bytes().to_vec(), later.bytes().to_vec()]);
    assert_eq!((node.count(Counted::Admitted), node.count(Counted::Duplicate)), (2, 2));
}

#[tokio::test]
async fn what_waits_no_longer_is_forgotten_by_forwarding() {
    let node = node();
    let tx = node.chain().create(1);
    node.submit(&tx).await.unwrap();
    let shared = node.admission.0.shared.clone();
    let (sender, _sent) = mpsc::unbounded_channel();
    let me = testing::validator(0).public();
    let mut forwarding = Forwarding::new(me, Arc::new(Network(sender)), shared.clone());
    let start = Instant::now();
    forwarding.keep(vec![tx.clone()], start);
    forwarding.repeat(start + REPEAT_AFTER);
    assert!(shared.brought().contains(&tx.hash()));
    node.commit(vec![tx.clone()]);
    forwarding.repeat(start + REPEAT_AFTER * 2);
    assert!(!shared.brought().contains(&tx.hash()));
}

/// Lines of a log.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn bad_signatures_of_peers_are_warned_of_and_do_not_fill_the_log() {
    let node = node();
    let peer = testing::validator(1).public();
    let mut bytes = node.chain().create(1).bytes().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::WARN)
        .with_writer(move || writer.clone())
        .finish();
    let take_in = |from| {
        let job = || queue::Job { bytes: bytes.clone(), from, reply: None };
        let jobs = (0..3).map(|_| job()).collect();
        worker::take_in(&node.admission.0.shared, &mut worker::Senders::default(), jobs);
    };
    tracing::subscriber::with_default(subscriber, || {
        take_in(None);
        assert!(log.0.lock().unwrap().is_empty(), "clients may be wrong");
        take_in(Some(peer));
    });
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert_eq!(log.lines().count(), 1, "{log}");
    assert!(log.contains(&peer.to_string()) && log.contains("bad signatures"), "{log}");
    assert_eq!(node.count(Counted::BadSignature), 6);
}

#[tokio::test]
async fn what_waits_is_forwarded_again_until_it_is_committed() {
    let node = node();
    let tx = node.chain().create(1);
    node.submit(&tx).await.unwrap();
    let (sender, mut sent) = mpsc::unbounded_channel();
    let me = testing::validator(0).public();
    let shared = node.admission.0.shared.clone();
    let mut forwarding = Forwarding::new(me, Arc::new(Network(sender)), shared);
    let start = Instant::now();
    forwarding.keep(vec![tx.clone()], start);
    forwarding.repeat(start);
    assert!(sent.try_recv().is_err(), "it is not due yet");
    for round in 1..4 {
        forwarding.repeat(start + REPEAT_AFTER * round);
        let (to, frame) = sent.try_recv().unwrap();
        assert_eq!((to.len(), frame), (3, vec![tx.bytes().to_vec()]));
        assert!(sent.try_recv().is_err(), "once is enough");
    }
    node.commit(vec![tx]);
    forwarding.repeat(start + REPEAT_AFTER * 9);
    assert!(sent.try_recv().is_err(), "a committed transaction is not forwarded");
}

#[tokio::test]
async fn a_validator_that_connects_is_brought_what_waits() {
    let mut node = node();
    let tx = node.chain().create(1);
    node.submit(&tx).await.unwrap();
    node.sent.recv().await.unwrap();
    let (observer, validator) = (testing::standby(1).public(), testing::validator(2).public());
    node.admission.connected(observer);
    node.admission.connected(validator);
    let sent = node.sent.recv().await.unwrap();
    assert_eq!(sent, (vec![validator], vec![tx.bytes().to_vec()]));
}

#[tokio::test]
async fn a_new_validator_is_brought_what_waits() {
    let mut node = node();
    let tx = node.chain().create(1);
    node.submit(&tx).await.unwrap();
    node.sent.recv().await.unwrap();
    let target = testing::standby(1).public();
    let call = standby::Call::Switch { seat: "beta".parse().unwrap(), target, term: Term(0) };
    node.commit(Vec::new());
    let switch = node.chain().sign(&testing::admin(1), 1, Call::Standby(call));
    node.commit(vec![switch]);
    let sent = node.sent.recv().await.unwrap();
    assert_eq!(sent, (vec![target], vec![tx.bytes().to_vec()]));
}

#[tokio::test]
async fn a_stopping_node_says_so() {
    let node = node();
    let tx = node.chain().create(1);
    node.admission.0.shared.queue.close();
    assert_eq!(node.submit(&tx).await, Err(AdmissionError::Stopping));
}

#[tokio::test]
async fn what_no_block_may_carry_can_be_taken_out() {
    let node = node();
    let data_set = "set".parse().unwrap();
    let call = Call::Records(records::Call::Create { data_set });
    let tx = node.chain().sign(&testing::admin(0), 1, call);
    node.submit(&tx).await.unwrap();
    assert_eq!(node.admission.take(1_000_000, 10), std::slice::from_ref(&tx));
    node.admission.remove(&tx.hash());
    assert_eq!(node.admission.waiting(), (0, 0));
}
