//! Clients that do not read, or are gone: what they hold ends, and nobody else waits.

use std::sync::Arc;
use std::time::Duration;

use futures::stream;
use tokio::io::{AsyncReadExt, DuplexStream, duplex};
use tokio::sync::{mpsc, watch};
use tokio_tungstenite::tungstenite::protocol::Role;

use super::super::slow::{CLIENT, FOR_EVER};
use super::super::{Senders, setup};
use super::*;
use crate::rpc::reading::Asking;
use crate::rpc::server::{connection, router};
use crate::rpc::socket::Socket;
use crate::rpc::state::RpcState;
use crate::rpc::websocket::hub::MAX_BLOCKS;
use crate::rpc::websocket::session;
use crate::testing::Chain;

/// What lives as long as the node.
struct Served {
    chain: Chain,
    state: Arc<RpcState>,
    _senders: Senders,
    _stopping: watch::Sender<bool>,
}

/// A subscriber to blocks over a connection that holds so many bytes, at a node with such patience.
async fn subscriber(bytes: usize, patience: Duration) -> (Served, Ws<DuplexStream>) {
    let chain = Chain::new();
    let (setup, senders) = setup(&chain, |_| {});
    let state = RpcState::start(setup);
    let (near, far) = duplex(bytes);
    let (stopping, stopped) = watch::channel(false);
    tokio::spawn(connection(Socket::new(near, patience), CLIENT, router(state.clone()), stopped));
    let (stream, _) = client_async("ws://node/websocket", far).await.unwrap();
    let mut ws = Ws(stream);
    ws.subscribe(1, NEW_BLOCK).await;
    assert_eq!(state.hub.followers(), 1);
    (Served { chain, state, _senders: senders, _stopping: stopping }, ws)
}

#[tokio::test]
async fn who_takes_no_events_is_dropped_and_holds_nothing() {
    let (mut served, mut ws) = subscriber(1_024, Duration::from_millis(5)).await;
    served.state.hub.publish(Arc::new(served.chain.commit(vec![])));
    served.state.websockets.all_gone().await;
    assert_eq!(served.state.hub.followers(), 0);
    // The beginning of the event came, and then the end.
    let mut rest = Vec::new();
    ws.0.get_mut().read_to_end(&mut rest).await.unwrap();
    assert!(!rest.is_empty() && rest.len() <= 1_024, "{}", rest.len());
}

#[tokio::test]
async fn who_falls_behind_is_told_and_nobody_waits() {
    let (mut served, mut ws) = subscriber(16_384, FOR_EVER).await;
    let block = Arc::new(served.chain.commit(vec![]));
    // Nothing is read meanwhile; no block waits.
    for _ in 0..2 * MAX_BLOCKS {
        served.state.hub.publish(block.clone());
    }
    let mut events = 0;
    let error = loop {
        let next = ws.next().await;
        assert_eq!(next["id"], 1);
        if next["error"].is_object() {
            break next["error"].clone();
        }
        events += 1;
    };
    assert!(events < MAX_BLOCKS, "{events}");
    assert_eq!(error["code"], -32000);
    assert!(error["data"].as_str().unwrap().contains("faster than they are taken"), "{error}");
    assert_eq!(ws.end().await.0, CloseCode::Policy);
    served.state.websockets.all_gone().await;
}

#[tokio::test]
async fn who_takes_too_long_for_one_event_is_dropped_within_it() {
    let (mut served, mut ws) = subscriber(16_384, FOR_EVER).await;
    let chain = &mut served.chain;
    chain.commit(vec![chain.create(1)]);
    let puts = (2..4).map(|nonce| chain.put(nonce, "key", &[7].repeat(180_000))).collect();
    let large = Arc::new(chain.commit(puts));
    let small = Arc::new(chain.commit(vec![]));
    served.state.hub.publish(large);
    // It has begun, and has no room to end.
    let stream = ws.0.get_mut();
    let mut sent = vec![0; 16];
    stream.read_exact(&mut sent).await.unwrap();
    for _ in 0..MAX_BLOCKS {
        served.state.hub.publish(small.clone());
    }
    stream.read_to_end(&mut sent).await.unwrap();
    let (kind, begin, mut rest) = frame(&sent);
    assert_eq!(kind, 0x01, "a text that goes on");
    let mut last = (kind, begin);
    while !rest.is_empty() {
        let (kind, bytes, more) = frame(rest);
        assert!(kind == 0x00 || (kind == 0x88 && more.is_empty()), "{kind:x}");
        assert!(bytes.len() <= 65_536);
        (last, rest) = ((kind, bytes), more);
    }
    let (kind, reason) = last;
    let code = u16::from(CloseCode::Policy).to_be_bytes();
    assert_eq!((kind, &reason[..2]), (0x88, &code[..]), "it ends within the text");
    assert_eq!(&reason[2..], b"events come faster than they are taken");
    served.state.websockets.all_gone().await;
}

/// The first byte of the server's next frame, what is in it, and what comes behind.
fn frame(bytes: &[u8]) -> (u8, &[u8], &[u8]) {
    let (begin, len) = match bytes[1] {
        126 => (4, usize::from(u16::from_be_bytes(bytes[2..4].try_into().unwrap()))),
        127 => (10, u64::from_be_bytes(bytes[2..10].try_into().unwrap()).try_into().unwrap()),
        short => (2, usize::from(short)),
    };
    let (frame, rest) = bytes.split_at(begin + len);
    (frame[0], &frame[begin..], rest)
}

#[tokio::test]
async fn a_node_that_stops_does_not_wait_for_who_takes_nothing() {
    let (mut served, _ws) = subscriber(1_024, FOR_EVER).await;
    served.state.hub.publish(Arc::new(served.chain.commit(vec![])));
    served.state.close();
    served.state.websockets.all_gone().await;
}

#[tokio::test]
async fn blocks_that_the_rpc_itself_missed_end_subscriptions() {
    let (served, mut ws) = subscriber(16_384, FOR_EVER).await;
    served.state.hub.missed();
    assert_eq!(ws.next().await["error"]["code"], -32000);
    assert_eq!(ws.end().await.0, CloseCode::Policy);
}

/// A session, the client's side of its stream, and what makes the session look for signs of life.
async fn pinged() -> (impl Future<Output = ()>, DuplexStream, mpsc::UnboundedSender<()>) {
    let chain = Chain::new();
    let (setup, senders) = setup(&chain, |_| {});
    let state = RpcState::start(setup);
    let (near, far) = duplex(16_384);
    let stream = WebSocketStream::from_raw_socket(near, Role::Server, None).await;
    let asking = Asking::new(&axum::http::HeaderMap::new(), axum::body::Bytes::new());
    let (tick, mut ticks) = mpsc::unbounded_channel();
    let session = async move {
        let ticks = stream::poll_fn(move |cx| ticks.poll_recv(cx));
        session::run(stream, state, asking, [127, 0, 0, 1].into(), ticks).await;
        drop((chain, senders));
    };
    (session, far, tick)
}

#[tokio::test]
async fn who_does_not_answer_a_ping_is_gone() {
    let (session, mut far, tick) = pinged().await;
    for _ in 0..2 {
        tick.send(()).unwrap();
    }
    session.await;
    // One ping came, and the end.
    let mut got = Vec::new();
    far.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, [0x89, 0x00]);
}

#[tokio::test]
async fn who_answers_pings_stays() {
    let (session, far, tick) = pinged().await;
    tokio::spawn(session);
    let mut ws = Ws(WebSocketStream::from_raw_socket(far, Role::Client, None).await);
    for _ in 0..5 {
        tick.send(()).unwrap();
        assert!(matches!(ws.0.next().await, Some(Ok(Message::Ping(_)))));
        // The answer is there before the next is asked for.
        ws.0.flush().await.unwrap();
    }
    assert_eq!(ws.call(1, "num_unconfirmed_txs", Value::Null).await["result"]["n_txs"], "0");
}
