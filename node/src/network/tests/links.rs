use std::collections::BTreeMap;
use std::time::Instant;

use super::support::{LIMIT, Node, config, linked, port, secrets, shared, until};
use crate::network::limits::{MAX_CONSENSUS_FRAME, MAX_TRANSACTIONS_FRAME};
use crate::network::{Channel, Error, Network, NetworkEvent};

#[tokio::test]
async fn frames_arrive_in_order_in_both_channels_and_both_directions() {
    let (mut one, mut two) = linked().await;
    let number = |bytes: &[u8]| u32::from_be_bytes(bytes[..4].try_into().unwrap());
    for i in 0..500u32 {
        for channel in [Channel::Consensus, Channel::Transactions] {
            let mut frame = i.to_be_bytes().to_vec();
            frame.resize(4 + (i as usize * 37) % 5_000, 7);
            one.send(two.key, channel, frame.clone());
            two.send(one.key, channel, frame);
        }
    }
    let (one_key, two_key) = (one.key, two.key);
    for (node, from) in [(&mut one, two_key), (&mut two, one_key)] {
        let mut next = BTreeMap::from([(Channel::Consensus, 0), (Channel::Transactions, 0)]);
        while next.values().any(|next| *next < 500) {
            let NetworkEvent::Message { from: peer, channel, bytes } = node.event().await else {
                panic!("a frame was expected");
            };
            assert_eq!(peer, from);
            let expected = next.get_mut(&channel).unwrap();
            assert_eq!(number(&bytes), *expected);
            assert_eq!(bytes.len(), 4 + (*expected as usize * 37) % 5_000);
            *expected += 1;
        }
    }
    let info = one.network.peers();
    assert_eq!(info.len(), 1);
    assert_eq!((info[0].key, info[0].dialled), (two.key, false));
    assert_eq!(info[0].bytes_sent, info[0].bytes_received);
    assert!(info[0].bytes_sent > 1_000_000);
    assert_eq!(one.network.counters().frames_sent.get(), 1_000);
    assert_eq!(one.network.connected(), [two.key]);
}

#[tokio::test]
async fn the_time_to_a_peer_and_back_is_measured_without_the_driver() {
    let (one, mut two) = linked().await;
    for node in [&one, &two] {
        until(&node.network, |network| {
            network.peers().first().is_some_and(|peer| peer.round_trip.is_some())
        })
        .await;
        let time = node.network.peers()[0].round_trip.unwrap();
        assert!(time > std::time::Duration::ZERO && time < LIMIT, "{time:?}");
    }
    assert!(two.events.try_recv().is_none(), "no request comes to the driver");
}

#[tokio::test]
async fn the_largest_frames_pass() {
    let (one, mut two) = linked().await;
    let largest = [
        (Channel::Consensus, MAX_CONSENSUS_FRAME),
        (Channel::Transactions, MAX_TRANSACTIONS_FRAME),
    ];
    for (channel, size) in largest {
        one.send(two.key, channel, vec![5; size]);
        assert_eq!(two.frame(one.key, channel).await, vec![5; size]);
    }
    assert_eq!(one.network.counters().links_ended.get(), 0);
}

#[tokio::test]
#[should_panic(expected = "frame of transactions has 1048577 bytes")]
async fn a_frame_of_our_own_over_the_limit_is_a_mistake_of_ours() {
    let (one, two) = linked().await;
    one.send(two.key, Channel::Transactions, vec![0; MAX_TRANSACTIONS_FRAME + 1]);
}

#[tokio::test]
async fn nodes_that_all_dial_each_other_are_all_linked() {
    let secrets = secrets::<5>();
    let mut nodes = Vec::new();
    for secret in &secrets {
        nodes.push(Node::start(config(secret)).await);
    }
    for node in &nodes {
        node.register(&nodes.iter().map(|peer| (peer, true)).collect::<Vec<_>>());
    }
    let keys: Vec<_> = nodes.iter().map(|node| node.key).collect();
    for node in &mut nodes {
        let mut missing: Vec<_> = keys.iter().copied().filter(|key| *key != node.key).collect();
        while !missing.is_empty() {
            match node.event().await {
                NetworkEvent::Connected(key) => missing.retain(|missing| *missing != key),
                NetworkEvent::Disconnected(key) => missing.push(key),
                _ => {}
            }
        }
    }
    for (i, node) in (0u8..).zip(&nodes) {
        node.network.broadcast(Channel::Consensus, &shared(&[i]));
        node.network.broadcast(Channel::Transactions, &shared(&[i]));
    }
    for node in &mut nodes {
        let mut missing: Vec<_> = [Channel::Consensus, Channel::Transactions]
            .into_iter()
            .flat_map(|channel| keys.iter().map(move |key| (*key, channel)))
            .filter(|(key, _)| *key != node.key)
            .collect();
        while !missing.is_empty() {
            if let NetworkEvent::Message { from, channel, bytes } = node.event().await {
                assert_eq!(keys[usize::from(bytes[0])], from);
                missing.retain(|missing| *missing != (from, channel));
            }
        }
    }
}

#[tokio::test]
async fn a_node_that_starts_again_is_linked_again_within_a_second() {
    let [one, two] = secrets();
    let mut one = Node::start(config(&one)).await;
    let two_config = config(&two);
    let mut two = Node::start(two_config.clone()).await;
    let two_key = two.key;
    one.register(&[(&two, true)]);
    two.register(&[(&one, false)]);
    one.until_connected(two_key).await;
    two.until_connected(one.key).await;
    for _ in 0..3 {
        let listen = format!("/ip4/127.0.0.1/tcp/{}", port(two.network.listening()));
        two.network.shutdown().await;
        assert!(two.network.connected().is_empty());
        one.until_disconnected(two_key).await;
        let mut again = two_config.clone();
        again.listen = listen;
        two = Node::start(again).await;
        two.register(&[(&one, false)]);
        let start = Instant::now();
        one.until_connected(two_key).await;
        two.until_connected(one.key).await;
        assert!(start.elapsed().as_millis() < 2_000, "{:?}", start.elapsed());
        one.send(two_key, Channel::Consensus, [1]);
        assert_eq!(two.frame(one.key, Channel::Consensus).await, [1]);
    }
}

#[tokio::test]
async fn a_stranger_is_refused_at_the_handshake_and_counted() {
    let [one, two, stranger] = secrets();
    let one = Node::start(config(&one)).await;
    let mut two = Node::start(config(&two)).await;
    let mut stranger = Node::start(config(&stranger)).await;
    one.register(&[(&two, false)]);
    stranger.register(&[(&one, true)]);
    until(&one.network, |network| network.counters().refused_unregistered.get() >= 2).await;
    assert!(one.network.connected().is_empty());
    assert!(stranger.events.try_recv().is_none(), "the stranger saw no link");
    assert_eq!(one.network.counters().links_made.get(), 0);

    // The others go on, and it is let in as soon as it is registered.
    two.register(&[(&one, true)]);
    two.until_connected(one.key).await;
    one.register(&[(&two, false), (&stranger, false)]);
    stranger.until_connected(one.key).await;
}

#[tokio::test]
async fn a_node_that_is_removed_loses_its_link_at_once_and_may_come_back() {
    let (mut one, mut two) = linked().await;
    one.network.set_peers(BTreeMap::new());
    one.until_disconnected(two.key).await;
    two.until_disconnected(one.key).await;
    until(&one.network, |network| network.counters().refused_unregistered.get() >= 1).await;
    assert!(one.network.connected().is_empty());
    assert!(matches!(
        one.network.request(&two.key, b"?", LIMIT).await,
        Err(Error::NotConnected { peer }) if peer == two.key
    ));
    one.register(&[(&two, false)]);
    one.until_connected(two.key).await;
    two.until_connected(one.key).await;
    assert_eq!(one.network.counters().links_made.get(), 2);
}

#[tokio::test]
async fn a_node_of_the_configuration_is_dialled_before_it_is_known_but_not_let_in() {
    let [one, two] = secrets();
    let mut guide = Node::start(config(&two)).await;
    let mut late = config(&one);
    late.dial = BTreeMap::from([(guide.key, vec![guide.address()])]);
    let mut late = Node::start(late).await;
    guide.network.set_peers(BTreeMap::from([(late.key, Vec::new())]));
    late.until_connected(guide.key).await;
    guide.until_connected(late.key).await;

    // It is learnt from, and may not learn: at this node's height it is a stranger.
    assert_eq!(
        guide.network.request(&late.key, b"?", LIMIT).await,
        Err(Error::Refused { peer: late.key })
    );
    assert_eq!(late.network.counters().requests_unregistered.get(), 1);
    let to = guide.key;
    let serve = async {
        loop {
            if let NetworkEvent::Request { reply, .. } = guide.event().await {
                break reply.send(vec![1]).unwrap();
            }
        }
    };
    let (got, ()) = tokio::join!(late.network.request(&to, b"?", LIMIT), serve);
    assert_eq!(got, Ok(vec![1]));

    // Caught up, it is not needed any more; it is when this node falls behind.
    late.network.set_caught_up(true);
    late.until_disconnected(guide.key).await;
    guide.until_disconnected(late.key).await;
    late.network.set_caught_up(false);
    late.until_connected(guide.key).await;
    guide.until_connected(late.key).await;

    // Learnt from the chain, and then removed there: the configuration no longer counts.
    late.network.set_peers(BTreeMap::from([(guide.key, Vec::new())]));
    late.network.set_peers(BTreeMap::new());
    late.until_disconnected(guide.key).await;
    guide.until_disconnected(late.key).await;
    guide.register(&[(&late, true)]);
    until(&late.network, |network| network.counters().refused_unregistered.get() >= 1).await;
    assert!(late.network.connected().is_empty());
}

#[tokio::test]
async fn a_node_of_the_configuration_that_was_removed_before_the_start_has_no_link() {
    let [one, two, removed] = secrets();
    let mut removed = Node::start(config(&removed)).await;
    let mut two = Node::start(config(&two)).await;
    let mut again = config(&one);
    again.dial = BTreeMap::from([(removed.key, vec![removed.address()])]);
    let mut again = Node::start(again).await;
    removed.register(&[(&again, true)]);
    two.register(&[(&again, false)]);
    again.until_connected(removed.key).await;
    removed.until_connected(again.key).await;
    again.register(&[(&two, true)]);
    again.until_connected(two.key).await;
    two.until_connected(again.key).await;
    again.network.set_caught_up(true);
    again.until_disconnected(removed.key).await;
    removed.until_disconnected(again.key).await;
    until(&again.network, |network| network.counters().refused_unregistered.get() >= 1).await;
    assert_eq!(again.network.connected(), [two.key]);
    assert_eq!(again.network.totals()["links_made"], 2);
}

#[tokio::test]
async fn a_port_in_use_and_an_address_that_is_none_are_named() {
    let [one, two] = secrets();
    let one = Node::start(config(&one)).await;
    for listen in [one.address(), "/ip4/127.0.0.1/udp/1".to_owned(), "localhost:1".to_owned()] {
        let mut config = config(&two);
        config.listen.clone_from(&listen);
        match Network::start(config).await {
            Err(Error::Listen { address, .. }) => assert_eq!(address, listen),
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("{listen} was accepted"),
        }
    }
}

#[tokio::test]
async fn the_driver_hears_the_end() {
    let (one, mut two) = linked().await;
    two.network.shutdown().await;
    assert!(matches!(two.event().await, NetworkEvent::Disconnected(key) if key == one.key));
    drop(two.network);
    assert!(two.events.recv().await.is_none());
}
