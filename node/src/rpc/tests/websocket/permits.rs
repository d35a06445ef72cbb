//! Where reading is limited: subscriptions last as long as permit and rights.

use axum::body::Bytes;
use axum::http::HeaderMap;
use tandem_chain::keys::SecretKey;
use tandem_chain::modules::Call;
use tandem_chain::modules::consortium;
use tandem_chain::permit::Permit;
use tandem_chain::types::Timestamp;

use super::super::reading::{header, limited, now, signed, token};
use super::super::setup;
use super::*;
use crate::config::Reading;
use crate::rpc::reading::Asking;
use crate::rpc::state::RpcState;
use crate::rpc::websocket::SUBSCRIBE;
use crate::testing::{self, Chain};

/// An auditor of the node's organisation.
fn auditor() -> SecretKey {
    testing::key(203)
}

async fn open_as(node: &Node, permit: &Permit) -> Ws<TcpStream> {
    open_with(node, &[("authorization", &header(permit))]).await.unwrap()
}

/// Code and detail of the error with which the subscription 1 ends.
async fn ended(ws: &mut Ws<TcpStream>) -> (String, String) {
    let last = ws.next().await;
    assert_eq!((&last["id"], &last["error"]["code"]), (&json!(1), &json!(-32001)), "{last}");
    let text = |name: &str| last["error"][name].as_str().unwrap().to_owned();
    (text("message"), text("data"))
}

#[tokio::test]
async fn rights_that_are_taken_back_end_subscriptions() {
    let (node, _) = limited().await;
    let mut ws = open_as(&node, &token(&auditor())).await;
    ws.subscribe(1, NEW_BLOCK).await;
    node.commit(vec![]);
    assert_eq!(ws.block(1).await, 2);
    let remove = consortium::Call::RemoveUser { user: auditor().public() };
    let remove = node.chain().sign(&testing::admin(0), 1_000, Call::Consortium(remove));
    node.commit(vec![remove]);
    // Of the block that does it nothing is told any more.
    let (message, data) = ended(&mut ws).await;
    assert_eq!(message, "Not permitted", "{data}");
    node.commit(vec![]);
    // What everyone is told is told still.
    assert_eq!(ws.call(2, "health", Value::Null).await["result"], json!({}));
    assert_eq!(ws.error("subscribe", json!([NEW_BLOCK])).await.0, -32001);
}

/// What a session asks before each block.
#[tokio::test]
async fn a_permit_that_was_good_ends() {
    let chain = Chain::new();
    let (setup, _senders) = setup(&chain, |config| config.rpc.reading = Reading::Limited);
    let state = RpcState::start(setup);
    let permit = token(&testing::validator(0));
    let ends = permit.body.ends;
    let mut headers = HeaderMap::new();
    headers.insert("authorization", header(&permit).parse().unwrap());
    let asking = Asking::new(&headers, Bytes::new());
    let before = Timestamp(ends.0 - 1);
    for now in [now(0), before, now(0)] {
        asking.reader_at(&state, &SUBSCRIBE, now).await.unwrap();
    }
    let error = asking.reader_at(&state, &SUBSCRIBE, ends).await.unwrap_err();
    assert_eq!((error.code, error.message), (-32001, "Permit needed"));
    assert!(error.data.contains("permit ended"), "{}", error.data);
}

#[tokio::test]
async fn a_permit_for_a_request_alone_is_for_the_one_that_opens() {
    let (node, _) = limited().await;
    let mut ws = open_as(&node, &signed(&auditor(), b"/websocket")).await;
    ws.subscribe(1, NEW_BLOCK).await;
    let mut ws = open_as(&node, &signed(&auditor(), b"/block")).await;
    let (code, text) = ws.error("subscribe", json!([NEW_BLOCK])).await;
    assert!(code == -32001 && text.contains("for another request"), "{text}");
    // Without one, what everyone is told.
    let mut ws = open(&node).await;
    assert_eq!(ws.call(1, "status", Value::Null).await["error"], Value::Null);
    assert_eq!(ws.error("block", Value::Null).await.0, -32001);
}
