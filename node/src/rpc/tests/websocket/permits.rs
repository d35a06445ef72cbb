//! Where reading is limited: subscriptions last as long as permit and rights.

use tandem_chain::keys::SecretKey;
use tandem_chain::modules::Call;
use tandem_chain::modules::consortium;
use tandem_chain::permit::{Permit, PermitBody};

use super::super::reading::{body, header, limited, now, signed, token};
use super::*;
use crate::testing;

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

#[tokio::test]
async fn a_permit_that_ends_ends_subscriptions() {
    let (node, _) = limited().await;
    let key = auditor();
    let short = Permit::sign(PermitBody { ends: now(3), ..body(&key) }, &key);
    let mut ws = open_as(&node, &short).await;
    ws.subscribe(1, NEW_BLOCK).await;
    loop {
        node.commit(vec![]);
        let next = ws.next().await;
        assert_eq!(next["id"], 1);
        if next["result"].is_object() {
            continue;
        }
        assert_eq!(next["error"]["message"], "Permit needed");
        assert!(next["error"]["data"].as_str().unwrap().contains("permit ended"), "{next}");
        break;
    }
    assert!(now(0) >= short.body.ends);
    let (code, text) = ws.error("organizations", Value::Null).await;
    assert!(code == -32001 && text.contains("permit ended"), "{text}");
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
