//! Who is not registered: received as a guest with a word that counts, and told nothing without.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tandem_chain::codec;
use tandem_chain::keys::{PublicKey, SecretKey};
use tokio::time::timeout;

use super::support::{LIMIT, Node, Puppet, config, secrets, until, write};
use crate::network::frames::read_frame;
use crate::network::limits::{
    GUEST_HELLO_TIMEOUT, MAX_GUEST_ANSWER_BYTES, MAX_GUEST_HELLO_BYTES, MAX_GUEST_REQUEST_BYTES,
    MAX_STRANGERS_PER_SOURCE, MAX_VISIT_BYTES,
};
use crate::network::streams::Purpose;
use crate::network::{Error, Guest, Host, Visit, Welcome};

/// What an invited visitor shows here.
const INVITED: &[u8] = b"invited";
/// What one shows that was invited once.
const LATE: &[u8] = b"late";

/// A host that goes by [`INVITED`] and [`LATE`], and echoes questions.
#[derive(Default)]
struct Porter {
    asked: Arc<AtomicUsize>,
}

impl Host for Porter {
    fn welcome(&self, visitor: PublicKey, hello: Vec<u8>) -> BoxFuture<'static, Welcome> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let welcome = match hello.as_slice() {
            INVITED => Welcome::Guest(b"come in".to_vec(), Arc::new(Echo(visitor))),
            LATE => Welcome::Refused(b"too late".to_vec()),
            _ => Welcome::Stranger,
        };
        async { welcome }.boxed()
    }
}

struct Echo(PublicKey);

impl Guest for Echo {
    fn node(&self) -> PublicKey {
        self.0
    }

    fn answer(&self, question: Vec<u8>) -> BoxFuture<'static, Option<Vec<u8>>> {
        let answer = match question.as_slice() {
            b"no question" => None,
            b"much" => Some(vec![7; MAX_GUEST_ANSWER_BYTES]),
            _ => Some(question),
        };
        async { answer }.boxed()
    }
}

/// A node that receives guests, and the key of somebody whom it does not know.
async fn receiving() -> (Node, SecretKey) {
    let [member, visitor] = secrets();
    let member = Node::start(config(&member)).await;
    member.network.receive_guests(Arc::new(Porter::default()));
    (member, visitor)
}

async fn visit(
    visitor: &SecretKey,
    member: &Node,
    hello: &[u8],
) -> Result<(Visit, Vec<u8>), Error> {
    Visit::open(visitor, member.key, &[member.address()], hello).await
}

fn counted(node: &Node, name: &str) -> u64 {
    node.network.totals()[name]
}

#[tokio::test]
async fn a_guest_is_answered_and_no_link_comes_of_it() {
    let (mut member, visitor) = receiving().await;
    let (mut visit, word) = visit(&visitor, &member, INVITED).await.unwrap();
    assert_eq!((visit.member(), word), (member.key, b"come in".to_vec()));
    for question in [&b"one"[..], b"", &vec![9; MAX_GUEST_REQUEST_BYTES]] {
        assert_eq!(visit.ask(question).await.unwrap(), question);
    }
    assert_eq!(visit.ask(b"much").await.unwrap().len(), MAX_GUEST_ANSWER_BYTES);
    drop(visit);
    assert_eq!((counted(&member, "guests_received"), counted(&member, "links_made")), (1, 0));
    assert!(member.events.try_recv().is_none(), "the driver hears nothing of it");
    assert!(member.network.connected().is_empty());
}

#[tokio::test]
async fn without_an_invitation_there_is_not_a_byte() {
    let (member, visitor) = receiving().await;
    let long = vec![0; MAX_GUEST_HELLO_BYTES + 1];
    for (number, hello) in (1..).zip([&b""[..], b"please", &long]) {
        let refused = visit(&visitor, &member, hello).await.err();
        assert_eq!(refused, Some(Error::NotReceived { peer: member.key }));
        until(&member.network, |network| network.counters().refused_unregistered.get() == number)
            .await;
    }
    // Whoever was invited, but not to this, is told why.
    let (mut late, word) = visit(&visitor, &member, LATE).await.unwrap();
    assert_eq!(word, b"too late");
    assert_eq!(late.ask(b"please").await, Err(Error::NotConnected { peer: member.key }));
    assert_eq!(counted(&member, "guests_received"), 0);
}

#[tokio::test]
async fn a_stranger_opens_no_stream_of_members() {
    let (mut member, visitor) = receiving().await;
    let puppet = Puppet::connect(&visitor, &member).await;
    for purpose in [Purpose::Consensus, Purpose::Transactions, Purpose::Request] {
        assert!(puppet.streams.opener.open(purpose).await.is_err(), "{purpose:?}");
    }
    // One that shows a member's hello, in the stream that it may open, gets no other.
    let mut stream = puppet.streams.opener.open(Purpose::Visit).await.unwrap();
    write(&mut stream, &codec::encode(&puppet.hello)).await;
    assert!(read_frame(&mut stream, 1 << 20, LIMIT).await.is_err());
    assert!(member.events.try_recv().is_none());
    assert!(member.network.connected().is_empty());
}

#[tokio::test]
async fn a_guest_that_asks_what_it_may_not_or_too_much_is_shown_out() {
    let (member, visitor) = receiving().await;
    let ended = |number| {
        let network = &member.network;
        until(network, move |network| network.counters().guests_ended.get() == number)
    };
    let gone = Err(Error::NotConnected { peer: member.key });
    let (mut one, _) = visit(&visitor, &member, INVITED).await.unwrap();
    assert_eq!(one.ask(b"no question").await, gone);
    ended(1).await;
    let (mut one, _) = visit(&visitor, &member, INVITED).await.unwrap();
    assert_eq!(one.ask(&vec![0; MAX_GUEST_REQUEST_BYTES + 1]).await, gone);
    ended(2).await;
    let (mut one, _) = visit(&visitor, &member, INVITED).await.unwrap();
    let mut bytes = 0;
    while let Ok(answer) = one.ask(b"much").await {
        bytes += answer.len();
        assert!(bytes <= MAX_VISIT_BYTES, "they are not bounded");
    }
    ended(3).await;
    assert!(bytes > MAX_VISIT_BYTES - 2 * MAX_GUEST_ANSWER_BYTES);
}

#[tokio::test]
async fn strangers_have_few_places_and_members_do_not_need_them() {
    let (member, visitor) = receiving().await;
    let mut inside = Vec::new();
    for _ in 0..MAX_STRANGERS_PER_SOURCE {
        inside.push(visit(&visitor, &member, INVITED).await.unwrap());
    }
    let other = SecretKey::from_seed(&[77; 32]);
    let refused = visit(&other, &member, INVITED).await.err();
    assert_eq!(refused, Some(Error::NotReceived { peer: member.key }));
    let registered = SecretKey::from_seed(&[78; 32]);
    let mut registered = Node::start(config(&registered)).await;
    member.register(&[(&registered, false)]);
    registered.register(&[(&member, true)]);
    registered.until_connected(member.key).await;
    // A place comes free.
    inside.pop();
    let received = async { while visit(&other, &member, INVITED).await.is_err() {} };
    timeout(LIMIT, received).await.expect("in time");
}

#[tokio::test]
async fn who_is_registered_while_it_waits_as_a_stranger_comes_in_by_the_other_door() {
    let (mut member, visitor) = receiving().await;
    let mut puppet = Puppet::connect(&visitor, &member).await;
    let _stream = puppet.streams.opener.open(Purpose::Visit).await.unwrap();
    member.network.set_peers(BTreeMap::from([(puppet.key, Vec::new())]));
    let closed = timeout(GUEST_HELLO_TIMEOUT / 2, puppet.streams.opened.recv()).await;
    assert!(closed.expect("sooner than a stranger's time is over").is_none());
    let mut new = Node::start(config(&visitor)).await;
    new.register(&[(&member, true)]);
    member.until_connected(new.key).await;
    new.until_connected(member.key).await;
}
