//! What the node reads from clients.

use serde_json::Value;
use tandem_chain::keys::PublicKey;
use tandem_chain::tx::Tx;

use crate::query::{Events, MAX_BYTES, MAX_CONDITIONS, Query};
use crate::rpc::error::RpcError;
use crate::rpc::params::Params;
use crate::rpc::path;
use crate::rpc::request::{Body, Request, response};

/// Names of parameters of the methods.
const NAMES: &[&str] = &[
    "height",
    "page",
    "per_page",
    "hash",
    "prove",
    "tx",
    "path",
    "data",
    "skip",
    "limit",
    "blocks",
    "key",
    "organization",
    "data_set",
    "after",
    "record",
    "name",
    "with_key",
    "time",
    "signature",
    "minHeight",
    "maxHeight",
    "chunk",
    "from",
    "to",
    "prefix",
    "before",
    "query",
    "order_by",
    "evidence",
];

/// Reads every parameter in every way.
fn read(params: &Params) {
    for name in NAMES {
        let _ = (params.integer(name), params.height(name), params.height_or_newest(name));
        let _ = (params.flag(name), params.hash(name));
        if let Ok(Some(bytes)) = params.base64(name) {
            let _ = (PublicKey::from_slice(&bytes), Tx::decode(bytes));
        }
        if let Ok(Some(bytes)) = params.hex(name) {
            let _ = PublicKey::from_slice(&bytes);
        }
        if let Ok(Some(text)) = params.text(name) {
            let _ = path::parse(&text);
        }
    }
}

/// The body of a POST, its parameters, and the answers to what is refused.
pub fn body(bytes: &[u8]) {
    const MAX_BATCH: usize = 3;
    let refused = |id: Value, error: RpcError| {
        let answer = response(id.clone(), Err(error)).to_string();
        let answer: Value = serde_json::from_str(&answer).expect("answers are JSON");
        assert!(answer["id"] == id || has_fraction(&id));
    };
    let requests = match Body::parse(bytes, MAX_BATCH) {
        Err(error) => return refused(Value::Null, error),
        Ok(Body::Single(request)) => vec![request],
        Ok(Body::Batch(requests)) => requests,
    };
    assert!(requests.len() <= MAX_BATCH);
    for request in requests {
        match request {
            Err((id, error)) => refused(id, error),
            Ok(request) => taken(request),
        }
    }
}

/// Whether there is a number that its text may not keep whole.
fn has_fraction(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(values) => values.iter().any(has_fraction),
        Value::Object(members) => members.values().any(has_fraction),
        _ => false,
    }
}

/// A request comes back from its JSON; then its parameters are read.
fn taken(request: Request) {
    let Request { id, method, params } = request.clone();
    let mut again = serde_json::json!({"jsonrpc": "2.0", "method": method, "params": params});
    let is_whole = !has_fraction(&params) && !id.as_ref().is_some_and(has_fraction);
    if let Some(id) = id {
        again["id"] = id;
    }
    let again = Body::parse(again.to_string().as_bytes(), 1);
    assert!(!is_whole || again == Ok(Body::Single(Ok(request))));
    match Params::from_json(NAMES, params) {
        Ok(params) => read(&params),
        Err(error) => assert_eq!(error.code, -32602),
    }
}

pub fn body_seeds() -> Vec<Vec<u8>> {
    let bodies = [
        r#"{"jsonrpc":"2.0","id":1,"method":"block","params":{"height":"5"}}"#,
        r#"{"jsonrpc":"2.0","id":"x","method":"block","params":["5",null,-1,1.5]}"#,
        r#"[{"jsonrpc":"2.0","id":1,"method":"tx","params":{"hash":"AQI=","prove":true}},7]"#,
        r#"{"jsonrpc":"2.0","method":"abci_query","params":{"path":"/records/set?after=6162&limit=5","data":"0102"}}"#,
        r#"{"jsonrpc":"2.0","id":null,"method":"abci_query","params":{"path":"/records/set/%00key"}}"#,
    ];
    bodies.iter().map(|body| body.as_bytes().to_vec()).collect()
}

/// The query of a GET, as the server splits it.
pub fn query(bytes: &[u8]) {
    let Ok(pairs) = serde_urlencoded::from_bytes::<Vec<(String, String)>>(bytes) else { return };
    match Params::from_query(NAMES, pairs) {
        Ok(params) => read(&params),
        Err(error) => assert_eq!(error.code, -32602),
    }
}

pub fn query_seeds() -> Vec<Vec<u8>> {
    let queries = [
        "height=5&page=%225%22",
        "hash=0x0102&prove=true",
        "path=%22/records/set/a%252Fb%22&data=6162",
        "tx=%22text%22&height=-5",
    ];
    queries.iter().map(|query| query.as_bytes().to_vec()).collect()
}

/// A query on the first line, keys and values of an event on the others, by turns.
pub fn events(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.split('\n');
    let line = lines.next().unwrap_or_default();
    let Ok(query) = line.parse::<Query>() else { return };
    assert!(line.len() <= MAX_BYTES && query.conditions.len() <= MAX_CONDITIONS);
    let mut events = Events::default();
    while let (Some(key), Some(value)) = (lines.next(), lines.next()) {
        events.add(key, value);
    }
    let matches = query.matches(&events);
    for condition in &query.conditions {
        let _ = query.range(&condition.tag);
        assert!(!matches || condition.matches(&events));
    }
    // Its own spelling may be longer than what came, never with more conditions.
    match query.to_string() {
        again if again.len() > MAX_BYTES => assert!(again.parse::<Query>().is_err()),
        again => assert_eq!(again.parse(), Ok(query)),
    }
}

pub fn events_seeds() -> Vec<Vec<u8>> {
    let queries = [
        "tm.event='Tx' AND tx.height>5\ntm.event\nTx\ntx.height\n12",
        "a.b CONTAINS 'c' AND a EXISTS AND a.b = ''\na.b\nccc",
        "a.t>=TIME 2026-11-22T23:09:21.5Z AND a.d<DATE 2026-11-22\na.t\n2027-11-22T23:09:21Z",
        "a.n<=00.50 AND a.n > 0\na.n\n.5\na.n\n0.49999",
    ];
    queries.iter().map(|query| query.as_bytes().to_vec()).collect()
}
