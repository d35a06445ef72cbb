//! Clients that do not read, or are gone: what they hold ends, and nobody else waits.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, DuplexStream, duplex};
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::super::{Senders, setup};
use super::*;
use crate::rpc::reading::Asking;
use crate::rpc::server::{connection, router};
use crate::rpc::socket::Socket;
use crate::rpc::state::RpcState;
use crate::rpc::websocket::hub::MAX_BLOCKS;
use crate::rpc::websocket::session;
use crate::testing::Chain;

/// Long enough for any machine.
const FOR_EVER: Duration = Duration::from_secs(3_600);

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
    tokio::spawn(connection(Socket::new(near, patience), router(state.clone()), stopped));
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

/// A session with pings at this interval, and the client's side of its stream.
async fn pinged(every: Duration) -> (impl Future<Output = ()>, DuplexStream) {
    let chain = Chain::new();
    let (setup, senders) = setup(&chain, |_| {});
    let state = RpcState::start(setup);
    let (near, far) = duplex(16_384);
    let stream = WebSocketStream::from_raw_socket(near, Role::Server, None).await;
    let asking = Asking::new(&axum::http::HeaderMap::new(), axum::body::Bytes::new());
    let session = async move {
        session::run(stream, state, asking, every).await;
        drop((chain, senders));
    };
    (session, far)
}

#[tokio::test]
async fn who_does_not_answer_a_ping_is_gone() {
    let (session, mut far) = pinged(Duration::from_millis(5)).await;
    session.await;
    // One ping came, and the end.
    let mut got = Vec::new();
    far.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, [0x89, 0x00]);
}

#[tokio::test]
async fn who_answers_pings_stays() {
    let (session, far) = pinged(Duration::from_millis(500)).await;
    tokio::spawn(session);
    let mut ws = Ws(WebSocketStream::from_raw_socket(far, Role::Client, None).await);
    for _ in 0..3 {
        assert!(matches!(ws.0.next().await, Some(Ok(Message::Ping(_)))));
    }
    assert_eq!(ws.call(1, "num_unconfirmed_txs", Value::Null).await["result"]["n_txs"], "0");
}
