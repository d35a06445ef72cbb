use std::sync::mpsc;
use std::time::{Duration, Instant};

use futures::AsyncReadExt as _;
use futures::AsyncWriteExt as _;
use tandem_chain::codec;
use tandem_chain::keys::{PublicKey, SecretKey};
use tandem_chain::types::Hash;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::support::{LIMIT, Node, Puppet, config, secrets, shared, until, write};
use crate::network::frames::read_frame;
use crate::network::limits::{
    MAX_CONSENSUS_FRAME, MAX_HELLO_BYTES, MAX_QUEUED_CONSENSUS_BYTES,
    MAX_QUEUED_TRANSACTIONS_BYTES, MAX_TRANSACTIONS_FRAME,
};
use crate::network::streams::Purpose;
use crate::network::{Channel, Counters, NetworkConfig, NetworkEvent, Rate};

/// More than the socket buffers and windows of one connection hold.
const SOCKETS: usize = 16 * 1024 * 1024;

/// Two nodes that dial each other and differ in something refuse each other, both by name, and
/// neither sees a link.
async fn refuse_each_other(change: impl Fn(&mut NetworkConfig), count: impl Fn(&Counters) -> u64) {
    let [one, two] = secrets();
    let mut changed = config(&two);
    change(&mut changed);
    let mut one = Node::start(config(&one)).await;
    let mut two = Node::start(changed).await;
    one.register(&[(&two, true)]);
    two.register(&[(&one, true)]);
    for node in [&mut one, &mut two] {
        until(&node.network, |network| count(network.counters()) >= 1).await;
        assert!(node.events.try_recv().is_none());
        assert_eq!(node.network.counters().links_made.get(), 0);
    }
}

#[tokio::test]
async fn a_peer_of_another_chain_is_refused_by_both_sides() {
    let change = |config: &mut NetworkConfig| config.chain_id = "test-2".parse().unwrap();
    refuse_each_other(change, |counters| counters.hello_chain.get()).await;
}

#[tokio::test]
async fn a_peer_with_another_genesis_is_refused_by_both_sides() {
    let change = |config: &mut NetworkConfig| config.genesis = Hash([1; 32]);
    refuse_each_other(change, |counters| counters.hello_genesis.get()).await;
}

/// A node, and the key of a puppet that may connect to it and chooses the link.
async fn node_for_puppet() -> (Node, SecretKey) {
    let [puppet, node] = secrets();
    let node = Node::start(config(&node)).await;
    node.network.set_peers([(puppet.public(), Vec::new())].into());
    (node, puppet)
}

#[tokio::test]
async fn a_hello_of_another_version_or_none_at_all_is_refused() {
    let (node, puppet) = node_for_puppet().await;
    let good = Puppet::connect(&puppet, &node).await.hello;
    let other = codec::encode(&crate::network::Hello { protocol: 7, ..good.clone() });
    let cases: [(Vec<u8>, fn(&Counters) -> u64); 3] = [
        (other, |counters| counters.hello_protocol.get()),
        (b"?".to_vec(), |counters| counters.hello_unreadable.get()),
        (vec![1; MAX_HELLO_BYTES + 1], |counters| counters.hello_unreadable.get() - 1),
    ];
    for (hello, count) in cases {
        let puppet = Puppet::connect(&puppet, &node).await;
        let mut stream = puppet.streams.opener.open(Purpose::Consensus).await.unwrap();
        write(&mut stream, &hello).await;
        if hello.len() <= MAX_HELLO_BYTES {
            let theirs = read_frame(&mut stream, MAX_HELLO_BYTES, LIMIT).await.unwrap();
            assert_eq!(good.check(&theirs), Ok(()), "it says what it is");
        }
        drop(stream);
        until(&node.network, |network| count(network.counters()) == 1).await;
    }
    assert_eq!(node.network.counters().links_made.get(), 0);
}

#[tokio::test]
async fn a_frame_over_its_limit_ends_the_link_and_is_counted() {
    let cases = [
        (Channel::Consensus, MAX_CONSENSUS_FRAME),
        (Channel::Transactions, MAX_TRANSACTIONS_FRAME),
    ];
    for (channel, max) in cases {
        let (mut node, puppet) = node_for_puppet().await;
        let mut puppet = Puppet::connect(&puppet, &node).await;
        let (mut consensus, mut transactions) = puppet.link().await;
        node.until_connected(puppet.key).await;
        let stream = match channel {
            Channel::Consensus => &mut consensus,
            Channel::Transactions => &mut transactions,
        };
        let claim = u32::try_from(max + 1).unwrap().to_be_bytes();
        stream.write_all(&claim).await.unwrap();
        stream.flush().await.unwrap();
        node.until_disconnected(puppet.key).await;
        until(&node.network, |network| network.counters().frames_too_long.get() == 1).await;
        let mut rest = Vec::new();
        let read = timeout(LIMIT, stream.read_to_end(&mut rest)).await.expect("the stream ends");
        drop((read, rest));
    }
}

#[tokio::test]
async fn streams_out_of_order_or_twice_end_the_connection() {
    let (mut node, puppet) = node_for_puppet().await;
    let violations = |count| {
        move |network: &crate::network::Network| network.counters().violations.get() == count
    };
    let first = Puppet::connect(&puppet, &node).await;
    // The node may be faster in closing than this side in seeing its stream open.
    let stream = first.streams.opener.open(Purpose::Transactions).await;
    until(&node.network, violations(1)).await;
    drop(stream);

    let mut second = Puppet::connect(&puppet, &node).await;
    let streams = second.link().await;
    node.until_connected(second.key).await;
    let stream = second.streams.opener.open(Purpose::Consensus).await;
    node.until_disconnected(second.key).await;
    until(&node.network, violations(2)).await;
    drop((streams, stream));
}

#[tokio::test]
async fn a_peer_that_sends_too_fast_is_read_from_later() {
    let [one, two] = secrets();
    let mut slow = config(&two);
    slow.rates.transactions = Rate { frames: 50, bytes: 1_000_000 };
    let (mut one, mut two) = (Node::start(config(&one)).await, Node::start(slow).await);
    one.register(&[(&two, true)]);
    two.register(&[(&one, false)]);
    one.until_connected(two.key).await;
    let start = Instant::now();
    for i in 0..60u8 {
        one.send(two.key, Channel::Transactions, [i]);
    }
    for i in 0..60u8 {
        assert_eq!(two.frame(one.key, Channel::Transactions).await, [i]);
    }
    let least = Duration::from_millis(9 * 1_000 / 50);
    assert!(start.elapsed() >= least, "a second's worth at once, the rest at the rate");
    assert_eq!(two.network.counters().links_ended.get(), 0);
}

/// Runs a node in a thread of its own until it hears from `peer`. Then it stops dead, like a
/// process that is sent SIGSTOP: its sockets stay open and nothing is read. It goes on when the
/// sender that comes out of the channel is dropped.
fn stopping_node(
    secret: SecretKey,
    peer: PublicKey,
    address: String,
) -> oneshot::Receiver<mpsc::Sender<()>> {
    let (stopped, is_stopped) = oneshot::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut node = Node::start(config(&secret)).await;
            node.network.set_peers([(peer, vec![address])].into());
            node.frame(peer, Channel::Consensus).await;
            let (go_on, stay) = mpsc::channel();
            stopped.send(go_on).unwrap();
            // Blocks the only thread that its tasks have.
            let _: Result<(), _> = stay.recv();
            // Back again, it finds its link gone, makes a new one, and works.
            node.until_disconnected(peer).await;
            node.until_connected(peer).await;
            node.send(peer, Channel::Consensus, *b"back");
            while node.events.recv().await.is_some() {}
        });
    });
    is_stopped
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_hangs_fills_its_own_queue_only_and_comes_back() {
    let [one, two, wedged] = secrets();
    let mut one = Node::start(config(&one)).await;
    let mut two = Node::start(config(&two)).await;
    let wedged_key = wedged.public();
    one.network.set_peers([(two.key, vec![two.address()]), (wedged_key, Vec::new())].into());
    two.register(&[(&one, false)]);
    two.until_connected(one.key).await;
    let is_stopped = stopping_node(wedged, one.key, one.address());
    one.until_connected(wedged_key).await;
    one.send(wedged_key, Channel::Consensus, *b"stop");
    let go_on = timeout(LIMIT, is_stopped).await.expect("in time").unwrap();

    // More than its sockets and its queue take, of both channels: dropped for the peer that hangs,
    // all there for the other. It loses its link, by its queue or by its silence.
    let size = MAX_TRANSACTIONS_FRAME / 2;
    let mut lost = false;
    for channel in [Channel::Transactions, Channel::Consensus] {
        let max = match channel {
            Channel::Consensus => MAX_QUEUED_CONSENSUS_BYTES,
            Channel::Transactions => MAX_QUEUED_TRANSACTIONS_BYTES,
        };
        for i in 0..u8::try_from(max / size + SOCKETS / size).unwrap() {
            one.network.broadcast(channel, &shared(&vec![i; size]));
            assert_eq!(two.frame(one.key, channel).await, vec![i; size]);
            while let Some(event) = one.events.try_recv() {
                lost |= matches!(event, NetworkEvent::Disconnected(key) if key == wedged_key);
            }
        }
        let counters = one.network.counters();
        assert!(counters.transactions_dropped.get() > 0 || counters.links_ended.get() > 0);
    }
    if !lost {
        one.until_disconnected(wedged_key).await;
    }
    until(&one.network, |network| {
        let counters = network.counters();
        counters.overflows.get() + counters.stalls.get() == 1
    })
    .await;
    assert_eq!(one.network.connected(), [two.key]);

    drop(go_on);
    one.until_connected(wedged_key).await;
    assert_eq!(one.frame(wedged_key, Channel::Consensus).await, b"back");
}
