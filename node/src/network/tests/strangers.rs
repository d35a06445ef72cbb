//! Needs many addresses of one machine: Linux has all of 127.0.0.0/8.

use std::net::Ipv4Addr;

use tokio::net::{TcpSocket, TcpStream};

use super::support::{Node, config, port, secrets};
use crate::network::limits::MAX_HANDSHAKES;

/// A connection from an address of this machine, on which nothing is ever said.
async fn silent_stranger(from: Ipv4Addr, to: &Node) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    let to = (Ipv4Addr::LOCALHOST, port(to.network.listening()));
    socket.connect(to.into()).await.unwrap()
}

#[tokio::test]
async fn strangers_that_take_all_places_do_not_keep_a_member_out() {
    let [one, two] = secrets();
    let one = Node::start(config(&one)).await;
    let mut two = Node::start(config(&two)).await;
    // Known to be at this address, where this node does not reach it.
    one.network.set_peers([(two.key, vec!["/ip4/127.0.0.1/tcp/1".to_owned()])].into());
    let mut strangers = Vec::new();
    while one.network.counters().refused_limit.get() == 0 {
        for host in 2..6 {
            strangers.push(silent_stranger(Ipv4Addr::new(127, 0, 0, host), &one).await);
        }
        assert!(strangers.len() < 10 * MAX_HANDSHAKES, "they are not limited");
    }
    two.register(&[(&one, true)]);
    two.until_connected(one.key).await;
    assert_eq!(two.network.counters().dials_failed.get(), 0);
}
