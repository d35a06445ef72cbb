//! What is HTTP's: routes, batches, limits.

use std::net::SocketAddr;
use std::sync::Arc;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Node, node, node_with};
use crate::config::Reading;
use crate::rpc::methods::METHODS;
use crate::view::NodeView;

async fn get(node: &Node, path: &str) -> (StatusCode, Value) {
    let response = reqwest::get(format!("{}/{path}", node.client.url())).await.unwrap();
    (response.status(), response.json().await.unwrap())
}

async fn post(node: &Node, body: impl Into<reqwest::Body>) -> (StatusCode, String) {
    let request = reqwest::Client::new().post(node.client.url()).body(body);
    let response = request.send().await.unwrap();
    (response.status(), response.text().await.unwrap())
}

#[tokio::test]
async fn get_takes_parameters_in_the_query() {
    let node = node().await;
    node.commit(vec![]);
    let (status, answer) = get(&node, "block?height=1").await;
    assert_eq!((status, &answer["id"]), (StatusCode::OK, &json!(-1)));
    assert_eq!(answer["result"]["block"]["header"]["height"], "1");
    let (_, answer) = get(&node, "abci_query?path=\"/records\"").await;
    assert_eq!(answer["result"]["response"]["code"], 0);
    let (_, answer) = get(&node, "tx?hash=0xABCD").await;
    assert_eq!(answer["error"]["code"], -32602);
    let (_, answer) = get(&node, "block?hieght=1").await;
    assert!(answer["error"]["data"].as_str().unwrap().contains("hieght"));
    let (status, answer) = get(&node, "no_such_method").await;
    assert_eq!((status, &answer["error"]["code"]), (StatusCode::NOT_FOUND, &json!(-32601)));
    let routes = reqwest::get(node.client.url()).await.unwrap().text().await.unwrap();
    assert!(METHODS.iter().all(|method| routes.contains(&format!("/{}", method.name))));
}

#[tokio::test]
async fn every_method_is_there() {
    let node = node().await;
    node.commit(vec![]);
    for method in METHODS {
        let (_, answer) = get(&node, method.name).await;
        let code = &answer["error"]["code"];
        assert!(*code == Value::Null || *code == -32602, "{}: {answer}", method.name);
        let (_, answer) = get(&node, &format!("{}?no_such_parameter=1", method.name)).await;
        assert_eq!(answer["error"]["code"], -32602, "{}", method.name);
    }
}

#[tokio::test]
async fn ready_tells_load_balancers_yes_or_why_not() {
    let node = node_with(|config| config.rpc.reading = Reading::Limited).await;
    let (status, answer) = get(&node, "ready").await;
    assert_eq!((status, answer), (StatusCode::OK, json!({ "ready": true, "height": "0" })));
    node.commit(vec![]);
    node.view.send_replace(Arc::new(NodeView { catching_up: true, ..NodeView::default() }));
    let (status, answer) = get(&node, "ready").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let reason = "sync: at height 1, fetching what the others have";
    assert_eq!(answer, json!({ "ready": false, "height": "1", "reasons": [reason] }));
    let head = reqwest::Client::new().head(format!("{}/ready", node.client.url()));
    assert_eq!(head.send().await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    let (status, _) = post(&node, r#"{"jsonrpc":"2.0","id":1,"method":"ready"}"#).await;
    assert_eq!(status, StatusCode::OK, "it is no method: an error of JSON-RPC");
}

#[tokio::test]
async fn batches_are_answered_in_order_and_bounded() {
    let node = node().await;
    let call = |id: Value, method: &str| json!({"jsonrpc": "2.0", "id": id, "method": method});
    let notification = json!({"jsonrpc": "2.0", "method": "health"});
    let batch = json!([call(json!("a"), "health"), notification, call(json!(2), "none"), 5]);
    let (status, text) = post(&node, batch.to_string()).await;
    let answers: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert_eq!((status, answers.len()), (StatusCode::OK, 3));
    assert_eq!((&answers[0]["id"], &answers[0]["result"]), (&json!("a"), &json!({})));
    assert_eq!((&answers[1]["id"], &answers[1]["error"]["code"]), (&json!(2), &json!(-32601)));
    assert_eq!((&answers[2]["id"], &answers[2]["error"]["code"]), (&Value::Null, &json!(-32600)));

    let many = vec![call(json!(1), "health"); 11];
    let (_, text) = post(&node, json!(many).to_string()).await;
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert!(answer["error"]["data"].as_str().unwrap().contains("at most 10"), "{answer}");
    for nothing in [notification.clone(), json!([notification])] {
        let (status, text) = post(&node, nothing.to_string()).await;
        assert_eq!((status, text.as_str()), (StatusCode::NO_CONTENT, ""));
    }
    let (_, text) = post(&node, "{").await;
    assert!(text.contains("-32700"), "{text}");
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let node = node_with(|config| config.rpc.max_body_bytes = 2_000).await;
    let (status, text) = post(&node, vec![b' '; 2_001]).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(text.contains("rpc.max_body_bytes (2000 bytes)"), "{text}");
    let (status, _) = post(&node, vec![b' '; 2_000]).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn health_names_what_is_not_well() {
    let node = node().await;
    let (status, answer) = get(&node, "health").await;
    assert_eq!((status, &answer["result"]), (StatusCode::OK, &json!({})));
    let view = NodeView {
        catching_up: true,
        silent_through: tandem_chain::types::Height(1),
        alarms: vec!["clock: it is 7 s ahead".to_owned()],
        ..NodeView::default()
    };
    node.view.send_replace(Arc::new(view));
    let long_ago = tandem_chain::types::Timestamp::default();
    node.tip.send_modify(|tip| {
        *tip = Arc::new(tandem_chain::tip::Tip { time: long_ago, ..(**tip).clone() });
    });
    let (status, answer) = get(&node, "health").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let data = answer["error"]["data"].as_str().unwrap();
    for part in ["clock", "sync", "key", "chain: no block for"] {
        assert!(data.contains(part), "{data}");
    }
}

#[tokio::test]
async fn connections_over_the_bound_wait_for_a_place() {
    let node = node_with(|config| config.rpc.max_connections = 1).await;
    let address = node.client.url().strip_prefix("http://").unwrap().to_owned();
    let request = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut answer = [0; 12];
    let mut first = tokio::net::TcpStream::connect(&address).await.unwrap();
    first.write_all(request).await.unwrap();
    first.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    // The first has the only place, the second is answered when the first is gone.
    let mut second = tokio::net::TcpStream::connect(&address).await.unwrap();
    second.write_all(request).await.unwrap();
    drop(first);
    second.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
}

#[tokio::test]
async fn one_client_does_not_have_all_places() {
    let node = node_with(|config| {
        config.rpc.max_connections = 2;
        config.rpc.max_connections_per_client = 1;
    })
    .await;
    let address: SocketAddr = node.client.url().strip_prefix("http://").unwrap().parse().unwrap();
    let request = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut answer = [0; 12];
    let mut first = tokio::net::TcpStream::connect(address).await.unwrap();
    first.write_all(request).await.unwrap();
    first.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    // More of the same client are closed, and take the place of nobody.
    for _ in 0..3 {
        let mut more = tokio::net::TcpStream::connect(address).await.unwrap();
        assert!(!matches!(more.read(&mut answer).await, Ok(1..)));
    }
    let other = tokio::net::TcpSocket::new_v4().unwrap();
    other.bind(SocketAddr::from(([127, 0, 0, 2], 0))).unwrap();
    let mut other = other.connect(address).await.unwrap();
    other.write_all(request).await.unwrap();
    other.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
}

#[tokio::test]
async fn a_page_whose_name_leads_here_reads_nothing() {
    let node = node_with(|config| config.rpc.hosts = vec!["node.example.org".to_owned()]).await;
    let http = reqwest::Client::new();
    for path in ["/", "/status", "/websocket", "/openapi.json", "/explorer", "/explorer/blocks"] {
        let url = format!("{}{path}", node.client.url());
        let asked = async |host: &str| {
            let request =
                http.get(&url).header("host", host).header("origin", format!("http://{host}"));
            request.send().await.unwrap()
        };
        let refused = asked("evil.example:26657").await;
        assert_eq!(refused.status(), StatusCode::MISDIRECTED_REQUEST, "{path}");
        let text = refused.text().await.unwrap();
        assert!(text.contains("evil.example:26657") && text.contains("rpc.hosts"), "{text}");
        for own in ["localhost:26657", "node.example.org", "[::1]:26657"] {
            assert_ne!(asked(own).await.status(), StatusCode::MISDIRECTED_REQUEST, "{path} {own}");
        }
    }
    let post = http.post(node.client.url()).header("host", "evil.example").body("{}");
    assert_eq!(post.send().await.unwrap().status(), StatusCode::MISDIRECTED_REQUEST);
}

#[tokio::test]
async fn pages_of_allowed_origins_may_ask() {
    let origin = "https://explorer.example.org";
    let node = node_with(|config| config.rpc.cors_origins = vec![origin.to_owned()]).await;
    let http = reqwest::Client::new();
    let url = |path: &str| format!("{}{path}", node.client.url());
    for (asks, allowed) in [(origin, true), ("https://evil.example.org", false), ("null", false)] {
        // What a browser asks before a page's POST with JSON or a permit, and then asks.
        let preflight = http
            .request(Method::OPTIONS, url("/"))
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,content-type");
        let post = http.post(url("/")).body("{");
        for request in [http.get(url("/health")), http.get(url("/openapi.json")), preflight, post] {
            let response = request.header("origin", asks).send().await.unwrap();
            let header = response.headers().get("access-control-allow-origin");
            assert_eq!(header.map(|value| value.to_str().unwrap()), allowed.then_some(origin));
            assert!(response.headers().get("access-control-allow-credentials").is_none());
        }
        // Pages of others have no part in the explorer, allowed or not.
        let page = http.get(url("/explorer")).header("origin", asks).send().await.unwrap();
        assert!(page.headers().get("access-control-allow-origin").is_none());
    }
}
