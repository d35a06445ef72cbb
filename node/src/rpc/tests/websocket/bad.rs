//! Clients that are wrong, and limits.

use tokio::io::AsyncWriteExt;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use super::super::{node, node_with, tx_param};
use super::*;

#[tokio::test]
async fn bad_requests_are_answered_and_the_socket_goes_on() {
    let node = node().await;
    let mut ws = open(&node).await;
    let (deep, many) = ("[".repeat(100_000), json!(vec![1; 11]).to_string());
    let cases = [
        ("", -32700, "no JSON"),
        ("{", -32700, "no JSON"),
        ("\u{1b}[31m", -32700, "no JSON"),
        (deep.as_str(), -32700, "no JSON"),
        ("5", -32600, "a request is an object"),
        ("[]", -32600, "empty"),
        (many.as_str(), -32600, "at most 10"),
        (r#"{"jsonrpc":"1.0","id":1,"method":"health"}"#, -32600, "jsonrpc"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"none"}"#, -32601, "no method none"),
    ];
    for (text, code, words) in cases {
        ws.send(text).await;
        let error = ws.next().await["error"].take();
        assert_eq!(error["code"], code, "{text}");
        assert!(error["data"].as_str().unwrap().contains(words), "{text}: {error}");
    }
    // What is not answered is not carried out either.
    let notification = json!({"jsonrpc": "2.0", "method": "subscribe", "params": [NEW_BLOCK]});
    ws.send(&notification.to_string()).await;
    let query = |query: &str| json!({ "query": query });
    let long = format!("a = '{}'", "b".repeat(600));
    let cases = [
        ("subscribe", json!({}), -32602, "query"),
        ("subscribe", json!({ "query": 5 }), -32602, "query"),
        ("subscribe", json!({ "quarry": NEW_BLOCK }), -32602, "quarry"),
        ("subscribe", json!([NEW_BLOCK, 1]), -32602, "2 parameters"),
        ("subscribe", query("tm.event = NewBlock"), -32602, "at byte 11 of the query"),
        ("subscribe", query("tm.event = 'NewBlock"), -32602, "a ' is missing"),
        ("subscribe", query(&long), -32602, "at most 512"),
        ("unsubscribe", json!({}), -32602, "query"),
        ("unsubscribe", query("x"), -32602, "at byte 1 of the query"),
        ("unsubscribe", query(NEW_BLOCK), -32603, "no subscription to tm.event = 'NewBlock'"),
        ("unsubscribe_all", query(NEW_BLOCK), -32602, "query"),
    ];
    for (method, params, code, words) in cases {
        let (got, text) = ws.error(method, params.clone()).await;
        assert!(got == code && text.contains(words), "{method} {params}: {got} {text}");
    }
    ws.subscribe(1, NEW_BLOCK).await;
    node.commit(vec![]);
    assert_eq!(ws.block(1).await, 1);
}

#[tokio::test]
async fn what_no_request_can_be_ends_the_socket_with_the_reason() {
    let node = node_with(|config| config.rpc.max_body_bytes = 2_000).await;
    let text = |bytes: usize| Message::text(" ".repeat(bytes));
    let frame = |bytes: &'static [u8]| {
        Message::Frame(Frame::message(bytes, OpCode::Data(Data::Text), true))
    };
    let cases = [
        (Message::binary("{}"), CloseCode::Unsupported, "a request is a text"),
        (text(2_001), CloseCode::Size, "rpc.max_body_bytes (2000 bytes)"),
        (text(1_000_000), CloseCode::Size, "rpc.max_body_bytes (2000 bytes)"),
        (frame(b"\xff{}"), CloseCode::Invalid, "UTF-8"),
    ];
    for (message, code, words) in cases {
        let mut ws = open(&node).await;
        ws.subscribe(1, NEW_BLOCK).await;
        // It may be cut short.
        let _ = ws.0.send(message).await;
        let (got, reason) = ws.end().await;
        assert!(got == code && reason.contains(words), "{got} {reason}");
    }
    // Parts that are together too long.
    let mut ws = open(&node).await;
    for opcode in [Data::Text, Data::Continue] {
        let part = Frame::message(vec![b' '; 1_500], OpCode::Data(opcode), false);
        ws.0.send(Message::Frame(part)).await.unwrap();
    }
    assert_eq!(ws.end().await.0, CloseCode::Size);
    // An opcode that there is not, bytes without a mask, a claim of 2^63 bytes.
    let frames: [&[u8]; 3] = [
        &[0x83, 0x80, 0, 0, 0, 0],
        &[0x81, 0x02, b'{', b'}'],
        &[0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4],
    ];
    for frame in frames {
        let mut ws = open(&node).await;
        ws.0.get_mut().write_all(frame).await.unwrap();
        let (code, reason) = ws.end().await;
        assert!(matches!(code, CloseCode::Protocol | CloseCode::Size), "{code} {reason}");
    }
    // Of the largest there may be, and of others, the node goes on.
    let mut ws = open(&node).await;
    ws.0.send(text(2_000)).await.unwrap();
    assert_eq!(ws.next().await["error"]["code"], -32700);
}

#[tokio::test]
async fn subscriptions_are_bounded_and_each_is_there_once() {
    let node = node_with(|config| config.rpc.max_subscriptions = 2).await;
    let mut ws = open(&node).await;
    ws.subscribe(1, NEW_BLOCK).await;
    let again = json!({ "query": "tm.event   = 'NewBlock'" });
    let (code, text) = ws.error("subscribe", again).await;
    assert!(code == -32603 && text.contains("subscribed to tm.event = 'NewBlock' already"));
    ws.subscribe(2, "tm.event='Tx'").await;
    let third = json!({ "query": "tm.event='Switch'" });
    let (code, text) = ws.error("subscribe", third.clone()).await;
    assert!(code == -32603 && text.contains("rpc.max_subscriptions (2)"), "{text}");
    // Another has its own.
    open(&node).await.subscribe(1, "tm.event='Switch'").await;
    ws.call(3, "unsubscribe", json!(["tm.event='Tx'"])).await;
    assert_eq!(ws.call(4, "subscribe", third).await["result"], json!({}));
}

#[tokio::test]
async fn websockets_are_bounded_and_make_room_when_they_end() {
    let node = node_with(|config| config.rpc.max_websockets = 2).await;
    let (mut first, second) = (open(&node).await, open(&node).await);
    assert_eq!(open_with(&node, &[]).await.err(), Some(503));
    assert_eq!(first.call(1, "health", Value::Null).await["result"], json!({}));
    drop(second);
    // As soon as the node has seen it.
    while open_with(&node, &[]).await.is_err() {}
    let shared = node_with(|config| config.rpc.max_websockets_per_client = 2).await;
    let _all = (open(&shared).await, open(&shared).await);
    assert_eq!(open_with(&shared, &[]).await.err(), Some(429));
    let none = node_with(|config| config.rpc.max_websockets = 0).await;
    assert_eq!(open_with(&none, &[]).await.err(), Some(503));
}

#[tokio::test]
async fn who_asks_for_no_websocket_or_from_elsewhere_is_refused() {
    let origin = "https://explorer.example.org";
    let node = node_with(|config| config.rpc.cors_origins = vec![origin.to_owned()]).await;
    let own = format!("http://{}", address(&node));
    for allowed in [origin, own.as_str()] {
        let mut ws = open_with(&node, &[("origin", allowed)]).await.unwrap();
        assert_eq!(ws.call(1, "health", Value::Null).await["result"], json!({}));
    }
    for other in ["https://evil.example.org", "null", "http://127.0.0.1"] {
        assert_eq!(open_with(&node, &[("origin", other)]).await.err(), Some(403), "{other}");
    }
    let url = format!("{}/websocket", node.client.url());
    let client = reqwest::Client::new();
    let response = client.get(&url).header("origin", "https://evil.example.org").send().await;
    let answer: Value = response.unwrap().json().await.unwrap();
    assert!(answer["error"]["data"].as_str().unwrap().contains("rpc.cors_origins"), "{answer}");
    let response = client.get(&url).send().await.unwrap();
    assert_eq!(response.status(), 400);
    let answer: Value = response.json().await.unwrap();
    assert!(answer["error"]["data"].as_str().unwrap().contains("asks for none"), "{answer}");
    assert_eq!(client.post(&url).body("{}").send().await.unwrap().status(), 405);
    // And these methods are for WebSockets.
    let (code, text) = node.error("subscribe", json!([NEW_BLOCK])).await;
    assert!(code == -32601 && text.contains("connect to /websocket"), "{text}");
}

#[tokio::test]
async fn what_is_worked_on_is_bounded() {
    // So many calls, or fewer that have as many bytes as a message may.
    for (calls, bytes, max_bytes) in [(8, 0, 100_000), (2, 1_000, 2_000), (1, 2_000, 2_000)] {
        let node = node_with(|config| config.rpc.max_body_bytes = max_bytes).await;
        let mut ws = open(&node).await;
        let mut txs = Vec::new();
        for nonce in (1..).take(calls) {
            let tx = if nonce == 1 {
                node.chain().create(1)
            } else {
                node.chain().put(nonce, "k", b"v")
            };
            let call = json!({
                "jsonrpc": "2.0", "id": "waits", "method": "broadcast_tx_commit",
                "params": tx_param(&tx),
            });
            ws.send(&format!("{:bytes$}", call.to_string())).await;
            node.admission.arrived().await;
            txs.push(tx);
        }
        ws.send(r#"{"jsonrpc":"2.0","id":"later","method":"health"}"#).await;
        // One that is read meanwhile is answered here.
        let mut other = open(&node).await;
        assert_eq!(other.call(1, "health", Value::Null).await["result"], json!({}));
        node.commit(txs);
        let mut ids = Vec::new();
        for _ in 0..=calls {
            let mut answer = ws.next().await;
            assert_eq!(answer["error"], Value::Null, "{answer}");
            ids.push(answer["id"].take());
        }
        assert_eq!(ids[0], "waits");
        assert!(ids.contains(&json!("later")), "{ids:?}");
    }
}
