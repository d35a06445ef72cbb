use std::time::Duration;

use futures::future::join_all;
use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::oneshot;

use super::support::{LIMIT, Node, Puppet, config, linked, secrets, until, write};
use crate::network::frames::read_frame;
use crate::network::limits::{
    MAX_ANSWER_BYTES, MAX_REQUEST_BYTES, MAX_REQUESTS_OF_PEER, MAX_REQUESTS_TO_PEER,
    MAX_SERVED_OF_PEER,
};
use crate::network::streams::Purpose;
use crate::network::{Error, NetworkEvent};

async fn request(node: &mut Node) -> (Vec<u8>, oneshot::Sender<Vec<u8>>) {
    loop {
        if let NetworkEvent::Request { bytes, reply, .. } = node.event().await {
            return (bytes, reply);
        }
    }
}

#[tokio::test]
async fn requests_are_answered_in_both_directions_up_to_the_limits() {
    let (mut one, mut two) = linked().await;
    for swap in [false, true] {
        let (asking, asked) = if swap { (&mut two, &mut one) } else { (&mut one, &mut two) };
        for (question, answer) in [(0, 0), (1, 10), (MAX_REQUEST_BYTES, MAX_ANSWER_BYTES)] {
            let question = vec![1; question];
            let to = asked.key;
            let serve = async {
                let (bytes, reply) = request(asked).await;
                reply.send(vec![2; answer]).unwrap();
                bytes
            };
            let (got, bytes) = tokio::join!(asking.network.request(&to, &question, LIMIT), serve);
            assert_eq!(bytes, question);
            assert_eq!(got.unwrap(), vec![2; answer]);
        }
    }
}

#[tokio::test]
async fn a_refused_and_a_late_answer_are_named_and_the_link_stays() {
    let (one, mut two) = linked().await;
    let to = two.key;
    let refuse = async { drop(request(&mut two).await) };
    let (got, ()) = tokio::join!(one.network.request(&to, b"?", LIMIT), refuse);
    assert_eq!(got, Err(Error::Refused { peer: to }));

    let late = Duration::from_millis(50);
    let got = one.network.request(&to, b"?", late).await;
    assert_eq!(got, Err(Error::TimedOut { peer: to }));
    assert_eq!(one.network.counters().requests_timed_out.get(), 1);

    // The late one is still there to be answered, to nobody.
    let (_, reply) = request(&mut two).await;
    reply.send(vec![1]).unwrap();
    let answer = async { request(&mut two).await.1.send(vec![2]).unwrap() };
    let (got, ()) = tokio::join!(one.network.request(&to, b"?", LIMIT), answer);
    assert_eq!(got, Ok(vec![2]));
    assert_eq!(one.network.counters().links_ended.get(), 0);
}

#[tokio::test]
async fn few_requests_to_a_peer_run_at_a_time_and_the_others_wait() {
    let [puppet, node] = secrets();
    let mut node = Node::start(config(&node)).await;
    node.network.set_peers([(puppet.public(), Vec::new())].into());
    let mut puppet = Puppet::connect(&puppet, &node).await;
    let _link = puppet.link().await;
    let to = puppet.key;
    node.until_connected(to).await;
    puppet.answer_echo().await;
    let total = MAX_REQUESTS_TO_PEER * 3;
    let ask = join_all((0..total).map(|i| {
        let network = node.network.clone();
        async move {
            let number = [u8::try_from(i).unwrap()];
            assert_eq!(network.request(&to, &number, LIMIT).await.unwrap(), number);
        }
    }));
    let serve = async {
        let mut done = Vec::new();
        while done.len() < total {
            let mut open = Vec::new();
            while open.len() < MAX_REQUESTS_TO_PEER {
                let (_, mut stream) = puppet.streams.opened.recv().await.unwrap();
                let bytes = read_frame(&mut stream, MAX_REQUEST_BYTES, LIMIT).await.unwrap();
                open.push((bytes, stream));
            }
            tokio::task::yield_now().await;
            assert!(puppet.streams.opened.try_recv().is_err(), "no more than allowed at a time");
            for (bytes, mut stream) in open {
                write(&mut stream, &bytes).await;
                stream.close().await.unwrap();
                done.push(stream);
            }
        }
    };
    tokio::join!(ask, serve);
}

#[tokio::test]
async fn requests_of_a_peer_are_served_a_few_at_a_time() {
    let (one, mut two) = linked().await;
    let total = MAX_SERVED_OF_PEER * 6;
    let to = two.key;
    let ask = join_all((0..total).map(|i| {
        let network = one.network.clone();
        async move {
            let number = [u8::try_from(i).unwrap()];
            assert_eq!(network.request(&to, &number, LIMIT).await.unwrap(), number);
        }
    }));
    let serve = async {
        for _ in 0..total / MAX_SERVED_OF_PEER {
            let mut served = Vec::new();
            while served.len() < MAX_SERVED_OF_PEER {
                served.push(request(&mut two).await);
            }
            tokio::task::yield_now().await;
            assert!(two.events.try_recv().is_none(), "no more than allowed at a time");
            for (bytes, reply) in served {
                reply.send(bytes).unwrap();
            }
        }
    };
    tokio::join!(ask, serve);
    assert_eq!(two.network.counters().requests_refused.get(), 0);
}

#[tokio::test]
async fn peers_that_ask_for_all_they_may_leave_places_for_another() {
    let [one, two, node, other] = secrets();
    let mut node = Node::start(config(&node)).await;
    let mut other = Node::start(config(&other)).await;
    let keys = [one.public(), two.public(), other.key];
    node.network.set_peers(keys.map(|key| (key, Vec::new())).into());
    other.register(&[(&node, true)]);
    other.until_connected(node.key).await;

    let mut puppets = Vec::new();
    let mut held = Vec::new();
    for secret in [one, two] {
        let mut puppet = Puppet::connect(&secret, &node).await;
        let link = puppet.link().await;
        let mut streams = Vec::new();
        for _ in 0..MAX_REQUESTS_OF_PEER {
            let mut stream = puppet.streams.opener.open(Purpose::Request).await.unwrap();
            write(&mut stream, b"?").await;
            streams.push(stream);
        }
        // Kept by the driver, as one is in the network whose answer its peer does not read.
        held.push(request(&mut node).await);
        puppets.push((puppet, link, streams));
    }

    let (network, to) = (other.network.clone(), node.key);
    let ask = async move { network.request(&to, b"!", LIMIT).await };
    let serve = async {
        loop {
            let (bytes, reply) = request(&mut node).await;
            if bytes == b"!" {
                break reply.send(vec![1]).unwrap();
            }
            held.push((bytes, reply));
        }
    };
    let (got, ()) = tokio::join!(ask, serve);
    assert_eq!(got, Ok(vec![1]));
    assert_eq!(held.len(), 2 * MAX_SERVED_OF_PEER);
}

#[tokio::test]
async fn a_peer_that_asks_for_too_much_or_answers_with_too_much_is_refused() {
    let [puppet, node] = secrets();
    let mut node = Node::start(config(&node)).await;
    node.network.set_peers([(puppet.public(), Vec::new())].into());
    let mut puppet = Puppet::connect(&puppet, &node).await;
    let _link = puppet.link().await;
    node.until_connected(puppet.key).await;
    puppet.answer_echo().await;

    // More requests at a time than are served.
    let mut streams = Vec::new();
    for _ in 0..MAX_REQUESTS_OF_PEER {
        let mut stream = puppet.streams.opener.open(Purpose::Request).await.unwrap();
        write(&mut stream, b"?").await;
        streams.push(stream);
    }
    streams.push(puppet.streams.opener.open(Purpose::Request).await.unwrap());
    until(&node.network, |network| network.counters().requests_refused.get() == 1).await;
    for _ in 0..MAX_REQUESTS_OF_PEER {
        request(&mut node).await.1.send(vec![1]).unwrap();
    }
    drop(streams);

    // A request over its limit; those before may still be on their way out.
    let too_long = |network: &crate::network::Network| network.counters().frames_too_long.get();
    while too_long(&node.network) == 0 {
        let mut stream = puppet.streams.opener.open(Purpose::Request).await.unwrap();
        let claim = u32::try_from(MAX_REQUEST_BYTES + 1).unwrap().to_be_bytes();
        let mut rest = Vec::new();
        let _ = stream.write_all(&claim).await;
        let _ = stream.flush().await;
        let _ = stream.read_to_end(&mut rest).await;
        assert!(rest.is_empty());
    }

    // An answer over its limit.
    let key = puppet.key;
    let network = node.network.clone();
    let asked = tokio::spawn(async move { network.request(&key, b"?", LIMIT).await });
    let (purpose, mut stream) = puppet.streams.opened.recv().await.unwrap();
    assert_eq!(purpose, Purpose::Request);
    let max = MAX_ANSWER_BYTES;
    let claim = u32::try_from(max + 1).unwrap().to_be_bytes();
    stream.write_all(&claim).await.unwrap();
    stream.flush().await.unwrap();
    let got = asked.await.unwrap();
    assert_eq!(got, Err(Error::AnswerTooLong { peer: key, max, got: max + 1 }));
    assert_eq!(node.network.counters().links_ended.get(), 0);
}
