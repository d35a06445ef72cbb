use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::AsyncWriteExt;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, Stream};
use tandem_chain::codec;
use tandem_chain::keys::{PublicKey, SecretKey};
use tandem_chain::types::Hash;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::network::frames::{FrameWriter, read_frame};
use crate::network::limits::MAX_HELLO_BYTES;
use crate::network::streams::{Purpose, Streams};
use crate::network::visit::{connect, drive};
use crate::network::{
    Channel, Events, Hello, Network, NetworkConfig, NetworkEvent, PROTOCOL_VERSION, Rates,
};

/// The longest that anything here may take.
pub(super) const LIMIT: Duration = Duration::from_secs(30);

/// The key pairs of this many nodes, in the order of their public keys.
pub(super) fn secrets<const N: usize>() -> [SecretKey; N] {
    let mut number = 0;
    let mut secrets = [(); N].map(|()| {
        number += 1;
        SecretKey::from_seed(&[number; 32])
    });
    secrets.sort_by_key(SecretKey::public);
    secrets
}

pub(super) fn config(secret: &SecretKey) -> NetworkConfig {
    NetworkConfig {
        secret: secret.clone(),
        listen: "/ip4/127.0.0.1/tcp/0".to_owned(),
        chain_id: "test-1".parse().unwrap(),
        genesis: Hash([9; 32]),
        dial: BTreeMap::new(),
        bootstrap: BTreeMap::new(),
        rates: Rates::default(),
    }
}

/// A node with its network.
pub(super) struct Node {
    pub(super) key: PublicKey,
    pub(super) network: Network,
    pub(super) events: Events,
}

impl Node {
    pub(super) async fn start(config: NetworkConfig) -> Self {
        let key = config.secret.public();
        let (network, events) = Network::start(config).await.unwrap();
        Self { key, network, events }
    }

    pub(super) fn address(&self) -> String {
        self.network.listening().to_string()
    }

    /// Registers peers; `dial` says which of them this node dials.
    pub(super) fn register(&self, peers: &[(&Node, bool)]) {
        let entry = |(node, dial): &(&Node, bool)| {
            (node.key, if *dial { vec![node.address()] } else { Vec::new() })
        };
        self.network.set_peers(peers.iter().map(entry).collect());
    }

    pub(super) async fn event(&mut self) -> NetworkEvent {
        let event = timeout(LIMIT, self.events.recv()).await;
        event.expect("an event in time").expect("the network runs")
    }

    pub(super) async fn until_connected(&mut self, peer: PublicKey) {
        while !matches!(self.event().await, NetworkEvent::Connected(key) if key == peer) {}
    }

    pub(super) async fn until_disconnected(&mut self, peer: PublicKey) {
        while !matches!(self.event().await, NetworkEvent::Disconnected(key) if key == peer) {}
    }

    /// The next frame in a channel.
    pub(super) async fn frame(&mut self, from: PublicKey, wanted: Channel) -> Vec<u8> {
        loop {
            match self.event().await {
                NetworkEvent::Message { from: key, channel, bytes }
                    if key == from && channel == wanted =>
                {
                    return bytes.into_bytes();
                }
                _ => {}
            }
        }
    }

    pub(super) fn send(&self, to: PublicKey, channel: Channel, bytes: impl Into<Vec<u8>>) {
        self.network.send(&to, channel, bytes.into().into());
    }
}

/// Waits until a counter of `network`, or what else it shows, is as wanted. Counters have no
/// events; the time between two looks is no time that anything waits for.
pub(super) async fn until(network: &Network, is_there: impl Fn(&Network) -> bool) {
    let wait = async {
        while !is_there(network) {
            tokio::task::yield_now().await;
        }
    };
    timeout(LIMIT, wait).await.expect("in time");
}

/// Two nodes, linked; the first has the lesser key and was dialled.
pub(super) async fn linked() -> (Node, Node) {
    let [one, two] = secrets();
    let (mut one, mut two) = (Node::start(config(&one)).await, Node::start(config(&two)).await);
    one.register(&[(&two, false)]);
    two.register(&[(&one, true)]);
    one.until_connected(two.key).await;
    two.until_connected(one.key).await;
    (one, two)
}

/// A peer that does by hand, and wrongly if need be, what a node does.
pub(super) struct Puppet {
    pub(super) key: PublicKey,
    pub(super) streams: Streams,
    pub(super) hello: Hello,
    /// Moves its connection.
    running: JoinHandle<()>,
}

impl Puppet {
    /// Connects to a node that has registered it. Its connection runs in a task of its own.
    pub(super) async fn connect(secret: &SecretKey, to: &Node) -> Self {
        let addresses = vec![to.address().parse().unwrap()];
        let connected = timeout(LIMIT, connect(secret, &to.key, addresses)).await;
        let (swarm, streams) = connected.expect("in time").unwrap();
        let running = tokio::spawn(drive(swarm));
        let hello = Hello {
            protocol: PROTOCOL_VERSION,
            chain_id: "test-1".parse().unwrap(),
            genesis: Hash([9; 32]),
        };
        Self { key: secret.public(), streams, hello, running }
    }

    /// Closes its connection.
    pub(super) fn close(self) {
        self.running.abort();
    }

    /// Makes the link as the side that chooses; both streams, consensus first.
    pub(super) async fn link(&mut self) -> (Stream, Stream) {
        let mut consensus = self.streams.opener.open(Purpose::Consensus).await.unwrap();
        write(&mut consensus, &codec::encode(&self.hello)).await;
        let theirs = read_frame(&mut consensus, MAX_HELLO_BYTES, LIMIT).await.unwrap();
        assert_eq!(self.hello.check(&theirs), Ok(()));
        let transactions = self.streams.opener.open(Purpose::Transactions).await.unwrap();
        (consensus, transactions)
    }

    /// Gives back that by which a node measures how far this is, the first stream on each link.
    pub(super) async fn answer_echo(&mut self) {
        let (purpose, mut stream) = self.streams.opened.recv().await.unwrap();
        assert_eq!(purpose, Purpose::Echo);
        assert!(read_frame(&mut stream, 0, LIMIT).await.unwrap().is_empty());
        write(&mut stream, &[]).await;
        stream.close().await.unwrap();
    }
}

/// Writes one frame.
pub(super) async fn write(stream: &mut Stream, frame: &[u8]) {
    let mut writer = FrameWriter::new(stream, LIMIT);
    writer.write(frame).await.unwrap();
    writer.flush().await.unwrap();
}

/// The port of an address.
pub(super) fn port(address: &Multiaddr) -> u16 {
    let port = address.iter().find_map(|part| match part {
        Protocol::Tcp(port) => Some(port),
        _ => None,
    });
    port.unwrap()
}

/// A frame for many.
pub(super) fn shared(bytes: &[u8]) -> Arc<[u8]> {
    bytes.into()
}
