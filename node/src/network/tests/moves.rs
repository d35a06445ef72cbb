//! Nodes that move: where they are dialled follows the register at once.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;

use super::support::{Node, config, secrets};
use crate::network::limits::BACK_OFF_MAX;

/// Far below the time between attempts that fail again and again, and that for one that hangs.
const SOON: Duration = Duration::from_secs(2);

#[tokio::test]
async fn a_node_that_has_moved_is_dialled_at_its_new_address_at_once() {
    assert!(SOON < BACK_OFF_MAX);
    let [one, two] = secrets();
    let mut one = Node::start(config(&one)).await;
    let mut two = Node::start(config(&two)).await;
    two.register(&[(&one, false)]);
    // Where it was, a port is open that says nothing, so that attempts hang.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let old = format!("/ip4/127.0.0.1/tcp/{}", silent.local_addr().unwrap().port());
    one.network.set_peers(BTreeMap::from([(two.key, vec![old])]));
    let (_held, _) = silent.accept().await.unwrap();
    let start = Instant::now();
    one.network.set_peers(BTreeMap::from([(two.key, vec![two.address()])]));
    one.until_connected(two.key).await;
    two.until_connected(one.key).await;
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());

    // A link that stands is left alone when only the address changes.
    one.network.set_peers(BTreeMap::from([(two.key, vec!["/ip4/127.0.0.1/tcp/1".to_owned()])]));
    one.send(two.key, crate::network::Channel::Consensus, [1]);
    assert_eq!(two.frame(one.key, crate::network::Channel::Consensus).await, [1]);
    assert_eq!(one.network.totals()["links_ended"], 0);
}

#[tokio::test]
async fn a_member_to_begin_with_is_tried_where_the_configuration_says_and_where_the_chain_does() {
    let [one, two] = secrets();
    let mut two = Node::start(config(&two)).await;
    let mut late = config(&one);
    let nowhere = "/ip4/127.0.0.1/tcp/1".to_owned();
    late.bootstrap = BTreeMap::from([(two.key, vec![nowhere.clone()])]);
    let mut late = Node::start(late).await;
    two.register(&[(&late, false)]);
    late.network.set_peers(BTreeMap::from([(two.key, vec![two.address()])]));
    late.until_connected(two.key).await;
    two.until_connected(late.key).await;
    // And the other way round: the chain has an old address.
    late.network.shutdown().await;
    two.until_disconnected(late.key).await;
    let [one, _] = secrets();
    let mut again = config(&one);
    again.bootstrap = BTreeMap::from([(two.key, vec![two.address()])]);
    let mut again = Node::start(again).await;
    again.until_connected(two.key).await;
    two.until_connected(again.key).await;
    again.network.set_peers(BTreeMap::from([(two.key, vec![nowhere])]));
    again.network.set_caught_up(true);
    again.send(two.key, crate::network::Channel::Consensus, [2]);
    assert_eq!(two.frame(again.key, crate::network::Channel::Consensus).await, [2]);
}
