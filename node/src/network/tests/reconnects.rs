//! A peer that comes back has no more than it had.

use std::time::{Duration, Instant};

use futures::AsyncWriteExt as _;
use libp2p::Stream;
use tandem_chain::keys::{PublicKey, SecretKey};

use super::support::{Node, Puppet, config, secrets, write};
use crate::network::limits::{LINKS_APART, MAX_SERVED_OF_PEER, MAX_UNREAD_FRAMES};
use crate::network::streams::Purpose;
use crate::network::{Channel, Frame, NetworkConfig, NetworkEvent, Rate};

/// Links of one puppet with a node, one after the other.
struct Test {
    secret: SecretKey,
    key: PublicKey,
    node: Node,
}

/// One of them.
struct Linked {
    puppet: Puppet,
    consensus: Stream,
    transactions: Stream,
}

impl Test {
    async fn start(change: impl Fn(&mut NetworkConfig)) -> Self {
        let [secret, node] = secrets();
        let mut config = config(&node);
        change(&mut config);
        let node = Node::start(config).await;
        let key = secret.public();
        node.network.set_peers([(key, Vec::new())].into());
        Self { secret, key, node }
    }

    async fn link(&mut self) -> Linked {
        let mut puppet = Puppet::connect(&self.secret, &self.node).await;
        let (consensus, transactions) = puppet.link().await;
        self.node.until_connected(self.key).await;
        Linked { puppet, consensus, transactions }
    }

    async fn close(&mut self, linked: Linked) {
        linked.puppet.close();
        self.node.until_disconnected(self.key).await;
    }
}

#[tokio::test]
async fn frames_of_an_ended_link_count_until_they_are_consumed() {
    let mut test = Test::start(|_| ()).await;
    let mut linked = test.link().await;
    let mut held: Vec<Frame> = Vec::new();
    while held.len() < MAX_UNREAD_FRAMES {
        write(&mut linked.consensus, &[1]).await;
        if let NetworkEvent::Message { bytes, .. } = test.node.event().await {
            held.push(bytes);
        }
    }
    test.close(linked).await;

    // On the next link there is no room for a frame of that channel; the other one is not touched.
    let mut linked = test.link().await;
    write(&mut linked.consensus, &[2]).await;
    for _ in 0..100 {
        write(&mut linked.transactions, &[3]).await;
        match test.node.event().await {
            NetworkEvent::Message { channel, .. } => assert_eq!(channel, Channel::Transactions),
            other => panic!("{other:?}"),
        }
    }
    drop(held);
    assert_eq!(test.node.frame(test.key, Channel::Consensus).await, [2]);
}

#[tokio::test]
async fn a_peer_is_as_fast_on_many_links_as_on_one() {
    let mut test = Test::start(|config| {
        config.rates.transactions = Rate { frames: 10, bytes: u32::MAX };
    })
    .await;
    let start = Instant::now();
    for _ in 0..3 {
        let mut linked = test.link().await;
        for i in 0..10 {
            write(&mut linked.transactions, &[i]).await;
        }
        for i in 0..10 {
            assert_eq!(test.node.frame(test.key, Channel::Transactions).await, [i]);
        }
        test.close(linked).await;
    }
    let least = Duration::from_millis(1_900);
    assert!(start.elapsed() >= least, "a second's worth at once, the rest at the rate");
}

#[tokio::test]
async fn links_of_one_peer_begin_apart() {
    let mut test = Test::start(|_| ()).await;
    let start = Instant::now();
    for _ in 0..3 {
        let linked = test.link().await;
        test.close(linked).await;
    }
    assert!(start.elapsed() >= 2 * LINKS_APART);
}

#[tokio::test]
async fn a_request_of_an_ended_link_is_served_until_the_driver_is_done() {
    let mut test = Test::start(|_| ()).await;
    let linked = test.link().await;
    let mut replies = Vec::new();
    while replies.len() < MAX_SERVED_OF_PEER {
        let mut stream = linked.puppet.streams.opener.open(Purpose::Request).await.unwrap();
        write(&mut stream, &[1]).await;
        replies.push(loop {
            if let NetworkEvent::Request { reply, .. } = test.node.event().await {
                break reply;
            }
        });
    }
    test.close(linked).await;

    let mut linked = test.link().await;
    let mut stream = linked.puppet.streams.opener.open(Purpose::Request).await.unwrap();
    write(&mut stream, &[2]).await;
    stream.close().await.unwrap();
    for _ in 0..100 {
        write(&mut linked.transactions, &[3]).await;
        match test.node.event().await {
            NetworkEvent::Message { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    drop(replies.pop());
    match test.node.event().await {
        NetworkEvent::Request { bytes, .. } => assert_eq!(bytes, [2]),
        other => panic!("{other:?}"),
    }
}
