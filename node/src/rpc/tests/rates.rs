//! How often one client may ask, in every way.

use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

use super::openapi::held::check;
use super::websocket::open_with;
use super::{Node, node_with};

/// Requests of a batch, for which a client pays longer than a test takes.
pub(super) const BATCH: usize = 1_000;
/// What pages may come from.
const ORIGIN: &str = "https://explorer.example.org";

/// The error of a refusal, with HTTP's part of it.
async fn refused(way: &str, path: &str, response: Response) -> String {
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    let after: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=1_001).contains(&after), "{after}");
    let answer = check(way, path, response).await;
    assert_eq!(answer["error"]["code"], -32000);
    answer["error"]["data"].as_str().unwrap().to_owned()
}

fn call(method: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method })
}

pub(super) fn batch() -> Value {
    (0..BATCH).map(|_| call("abci_info")).collect()
}

/// A node of which one client may ask once a second.
async fn limited_node() -> Node {
    node_with(|config| {
        config.rpc.max_requests_per_s = 1;
        config.rpc.max_batch = BATCH;
        config.rpc.cors_origins = vec![ORIGIN.to_owned()];
    })
    .await
}

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_ask_again() {
    let node = limited_node().await;
    let http = reqwest::Client::new();
    let url = node.client.url();
    // The whole batch is answered, and owed for.
    let request = http.post(url).body(batch().to_string());
    let answers = check("post", "/", request.send().await.unwrap()).await;
    assert!(answers.as_array().unwrap().iter().all(|answer| answer["error"].is_null()));
    let get = |path: &str| http.get(format!("{url}{path}")).header("accept", "text/html");
    for path in ["/", "/status", "/ready", "/openapi.json", "/websocket"] {
        let text = refused("get", path, get(path).send().await.unwrap()).await;
        assert!(text.contains("rpc.max_requests_per_s (1)"), "{text}");
    }
    let page = get("/explorer").send().await.unwrap();
    assert_eq!(page.status(), StatusCode::TOO_MANY_REQUESTS);
    for body in [call("status"), batch()] {
        let request = http.post(url).body(body.to_string());
        refused("post", "/", request.send().await.unwrap()).await;
    }
    // A page of another origin may read that it is so, and ask whether it may ask.
    let response = get("/status").header("origin", ORIGIN).send().await.unwrap();
    assert_eq!(response.headers()["access-control-allow-origin"], ORIGIN);
    let preflight = http.request(reqwest::Method::OPTIONS, url).header("origin", ORIGIN);
    let preflight = preflight.header("access-control-request-method", "POST");
    assert_eq!(preflight.send().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn requests_over_a_websocket_count() {
    let node = limited_node().await;
    let mut ws = open_with(&node, &[]).await.unwrap();
    // Opening it is to be paid for first; what is refused is not.
    loop {
        ws.send(&batch().to_string()).await;
        let answer = ws.next().await;
        if answer.is_array() {
            break;
        }
        assert_eq!((&answer["id"], &answer["error"]["code"]), (&Value::Null, &json!(-32000)));
    }
    let answer = ws.call(7, "status", Value::Null).await;
    assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(7), &json!(-32000)));
    let text = answer["error"]["data"].as_str().unwrap();
    assert!(text.contains("rpc.max_requests_per_s (1)"), "{text}");
    let answer = ws.call(8, "subscribe", json!({ "query": "tm.event = 'NewBlock'" })).await;
    assert_eq!(answer["error"]["code"], -32000, "{answer}");
}
