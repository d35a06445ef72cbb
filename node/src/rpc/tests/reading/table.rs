//! Executes the table of methods and readers of `docs/rights.md`.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tandem_chain::keys::SecretKey;
use tandem_chain::modules::{Call, records};
use tandem_chain::types::TxHash;

use super::{Node, RECORDS, header, limited, now, post, request, set, signed, token};
use crate::operator::{OperatorCall, OperatorRequest};
use crate::rpc::methods::METHODS;
use crate::rpc::shapes::tandem::StorageInfo;
use crate::rpc::tests::websocket::open_with;
use crate::rpc::websocket;
use crate::testing;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/rights.md");

/// The table that begins so: titles, and rows of cells.
pub fn table_of(start: &str) -> (Vec<String>, Vec<Vec<String>>) {
    let page = std::fs::read_to_string(PAGE).expect("the page can be read");
    let cells = |line: &str| -> Vec<String> {
        let inner = line.trim().trim_start_matches('|').trim_end_matches('|');
        inner.split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let mut lines = page.lines().skip_while(|line| !line.starts_with(start));
    let titles = cells(lines.next().expect("the table is there"));
    let rows: Vec<_> = lines.skip(1).take_while(|line| line.starts_with('|')).map(cells).collect();
    assert!(!rows.is_empty() && rows.iter().all(|row| row.len() == titles.len()));
    (titles, rows)
}

/// The keys of a column; none for who shows no permit.
pub fn keys(column: &str) -> Vec<Option<SecretKey>> {
    let keys = match column {
        "no permit" => return vec![None],
        "stranger" => vec![testing::key(250)],
        "suspended" => vec![testing::admin(3), testing::validator(3)],
        "operator" => vec![testing::key(201)],
        "reader" => vec![testing::key(202)],
        "writer" => vec![testing::user()],
        "auditor" => vec![testing::key(203)],
        "admin" => vec![testing::key(204)],
        "node" => vec![testing::validator(0), testing::standby(0)],
        "admin key" => vec![testing::admin(0)],
        "another's" => vec![testing::admin(1), testing::validator(1)],
        other => panic!("no such column: {other}"),
    };
    keys.into_iter().map(Some).collect()
}

/// Parameters with which a method gives an answer.
pub fn params(method: &str) -> Value {
    match method {
        "subscribe" | "unsubscribe" => json!({ "query": "tm.event = 'NewBlock'" }),
        "motion" => json!({ "motion": 1 }),
        "try_change" => json!({ "change": { "remove_org": { "name": "beta" } } }),
        "key" => json!({ "key": testing::user().public() }),
        "tx_prepare" => {
            let call = json!({ "Records": { "Create": { "data_set": "set" } } });
            json!({ "call": call, "sender": testing::user().public() })
        }
        "header_by_hash" | "block_by_hash" => json!({ "hash": "AB".repeat(32) }),
        "tx_search" => json!({ "query": "tx.height > 0" }),
        "block_search" => json!({ "query": "block.height > 0" }),
        "proof" => json!({ "data_set": "set", "key": hex::encode("a/1") }),
        "users" => json!({ "organization": "alpha" }),
        "rights" => json!({ "data_set": "set" }),
        "may_read" => json!({ "key": testing::user().public(), "data_set": "set" }),
        "storage" => of_operator(OperatorCall::Storage { wait: false }),
        "compact" => of_operator(OperatorCall::Compact),
        "take_snapshot" => of_operator(OperatorCall::Snapshot),
        "prune" => {
            let call = OperatorCall::Prune { keep_blocks: 20_000, keep_days: 0, dry_run: true };
            let mut params = of_operator(call);
            params["keep_blocks"] = json!(20_000);
            params["dry_run"] = json!(true);
            params
        }
        "backup" => {
            let call = OperatorCall::Backup { name: "x".to_owned(), with_key: true };
            let mut params = of_operator(call);
            params["name"] = json!("x");
            params["with_key"] = json!(true);
            params
        }
        _ => json!({}),
    }
}

/// Time and signature of an operator's request, by the organisation's other node.
fn of_operator(call: OperatorCall) -> Value {
    let chain_id = testing::genesis().chain_id;
    let request = OperatorRequest::sign(call, now(0), &chain_id, &testing::standby(0));
    json!({ "time": request.time.0.to_string(), "signature": request.signature })
}

/// A question of a row: a method with parameters.
type Question = (String, Value);

/// Questions about the history of records.
fn of_records(records: &[(&str, &str)]) -> Vec<Question> {
    let question = |method: &str, (set, key): &(&str, &str)| {
        (method.to_owned(), json!({ "data_set": set, "key": hex::encode(key) }))
    };
    records.iter().map(|of| question("record_history", of)).collect()
}

/// The questions of a row that a key asks, whose own transaction is `own`.
fn questions(row: &str, own: Option<TxHash>, another: TxHash) -> Vec<Question> {
    let query = |path: &str| ("abci_query".to_owned(), json!({ "path": path }));
    let tx = |hash: TxHash| ("tx".to_owned(), json!({ "hash": STANDARD.encode(hash.as_bytes()) }));
    match row {
        "`tx` of an own transaction" => vec![tx(own.unwrap_or(another))],
        "`tx` of another's" => vec![tx(another)],
        "`abci_query` of the data sets" => vec![query("/records")],
        "`abci_query` of a record that all members may read" => {
            ["a/1", "a/2", "a/none"].map(|key| query(&format!("/records/set/{key}"))).into()
        }
        "`abci_query` of another record" => ["set/a", "set/a0", "set/b", "set/none", "set2/a/1"]
            .map(|key| query(&format!("/records/{key}")))
            .into(),
        "`abci_query` of a data set's records" => vec![query("/records/set")],
        "`records`" => vec![("records".to_owned(), json!({ "data_set": "set" }))],
        "`record_history` of a record that all members may read" => {
            of_records(&[("set", "a/1"), ("set", "a/2"), ("set", "a/none")])
        }
        "`record_history` of another record" => of_records(&[
            ("set", "a"),
            ("set", "a0"),
            ("set", "b"),
            ("set", "none"),
            ("set2", "a/1"),
        ]),
        methods => {
            let names = methods.split(", ").map(|name| name.trim_matches('`'));
            names.map(|name| (name.to_owned(), params(name))).collect()
        }
    }
}

/// Such as `/abci_query?path="/records"`.
pub fn target((method, params): &Question) -> String {
    let members = params.as_object().into_iter().flatten().map(|(name, value)| match value {
        Value::String(text) if name == "hash" && text.len() == 64 => format!("hash=0x{text}"),
        Value::String(text) if name == "hash" => {
            format!("hash=0x{}", hex::encode(STANDARD.decode(text).unwrap()))
        }
        Value::String(text) if ["key", "sender", "signature"].contains(&name.as_str()) => {
            format!("{name}=0x{text}")
        }
        Value::String(text) if name == "time" => format!("time={text}"),
        Value::String(text) => {
            format!("{name}=%22{}%22", utf8_percent_encode(text, NON_ALPHANUMERIC))
        }
        Value::Object(_) => {
            let text = value.to_string();
            format!("{name}={}", utf8_percent_encode(&text, NON_ALPHANUMERIC))
        }
        other => format!("{name}={other}"),
    });
    let members: Vec<String> = members.collect();
    format!("/{method}?{}", members.join("&"))
}

/// Methods that take a transaction or the like, and are asked without one.
const TAKERS: [&str; 6] = [
    "broadcast_tx_async",
    "broadcast_tx_sync",
    "broadcast_tx_commit",
    "check_tx",
    "tx_assemble",
    "broadcast_evidence",
];

/// What an answer says, in the words of the page.
fn word(status: StatusCode, answer: &Value, question: &Question) -> String {
    let error = &answer["error"];
    if error["code"] == -32001 {
        let text = error["data"].as_str().unwrap();
        match (error["message"].as_str().unwrap(), status) {
            ("Permit needed", StatusCode::UNAUTHORIZED | StatusCode::OK) => {
                assert!(
                    text.contains("reading is limited") && text.contains("permit make"),
                    "{text}"
                );
                return "401".to_owned();
            }
            ("Not permitted", StatusCode::FORBIDDEN | StatusCode::OK) => return "403".to_owned(),
            other => panic!("{other:?}: {text}"),
        }
    }
    assert_eq!(status, StatusCode::OK, "{answer}");
    if error["data"]
        .as_str()
        .is_some_and(|text| text.contains("not signed with the key of this node"))
    {
        return "signed".to_owned();
    }
    let lacks_tx = TAKERS.contains(&question.0.as_str()) && error["code"] == -32602;
    assert!(error.is_null() || lacks_tx, "{question:?}: {answer}");
    let listing: Value = if question.0 == "records" {
        answer["result"].clone()
    } else if question.1["path"] == "/records/set" {
        let value = answer["result"]["response"]["value"].as_str().unwrap();
        serde_json::from_slice(&STANDARD.decode(value).unwrap()).unwrap()
    } else {
        return "yes".to_owned();
    };
    let keys: Vec<String> = listing["records"]
        .as_array()
        .unwrap()
        .iter()
        .map(|record| String::from_utf8(hex::decode(record["key"].as_str().unwrap()).unwrap()))
        .map(Result::unwrap)
        .collect();
    match keys.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["a/1", "a/2"] => "part".to_owned(),
        all if all == RECORDS => "yes".to_owned(),
        other => panic!("{other:?}"),
    }
}

/// Asks in every way: by GET and by POST, with a token and with a permit for the request, and in a
/// batch. All ways have the same answer.
async fn asked(node: &Node, key: Option<&SecretKey>, question: &Question) -> String {
    if websocket::METHODS.iter().any(|method| method.name == question.0) {
        return asked_by_websocket(node, key, question).await;
    }
    let body = request(&question.0, &question.1).to_string();
    let target = target(question);
    let batch = json!([request(&question.0, &question.1), request("health", &json!({}))]);
    let batch = batch.to_string();
    let permits = |request: &str| match key {
        None => vec![None],
        Some(key) => {
            [token(key), signed(key, request.as_bytes())].map(|permit| Some(header(&permit))).into()
        }
    };
    let mut words = BTreeSet::new();
    for permit in permits(&body) {
        let (status, answer) = post(node, permit.as_deref(), body.clone()).await;
        words.insert(word(status, &answer, question));
    }
    for permit in permits(&target) {
        let (status, answer) = super::get(node, permit.as_deref(), &target).await;
        words.insert(word(status, &answer, question));
    }
    for permit in permits(&batch) {
        let (status, answers) = post(node, permit.as_deref(), batch.clone()).await;
        assert_eq!((status, &answers[1]["result"]), (StatusCode::OK, &json!({})));
        words.insert(word(status, &answers[0], question));
    }
    assert_eq!(words.len(), 1, "{question:?}: {words:?}");
    words.pop_first().unwrap()
}

/// Asks over WebSockets that were opened with a token and with a permit for that request.
async fn asked_by_websocket(
    node: &Node,
    key: Option<&SecretKey>,
    (method, params): &Question,
) -> String {
    let permits = match key {
        None => vec![None],
        Some(key) => [token(key), signed(key, websocket::PATH.as_bytes())].map(Some).into(),
    };
    let mut words = BTreeSet::new();
    for permit in permits {
        let permit = permit.map(|permit| header(&permit));
        let headers = permit.as_deref().map(|permit| ("authorization", permit));
        let mut ws = open_with(node, headers.as_slice()).await.unwrap();
        let answer = ws.call(1, method, params.clone()).await;
        // That there is no subscription to end is an answer, too.
        let is_none = answer["error"]["code"] == -32603;
        words.insert(if method == "unsubscribe" && is_none {
            "yes".to_owned()
        } else {
            word(StatusCode::OK, &answer, &(method.clone(), params.clone()))
        });
    }
    assert_eq!(words.len(), 1, "{method}: {words:?}");
    words.pop_first().unwrap()
}

#[tokio::test]
async fn each_method_answers_whom_the_page_says() {
    let (node, another) = limited().await;
    // Everyone who may sends a transaction; that it fails for some is no matter.
    let own = |node: &Node, key: &SecretKey, nonce| {
        let create = records::Call::Create { data_set: set("own") };
        node.chain().sign(key, nonce, Call::Records(create))
    };
    let (titles, rows) = table_of("| method |");
    let mut senders = Vec::new();
    for (number, column) in (1_000..).zip(&titles[1..]) {
        for key in keys(column).into_iter().flatten() {
            if !["stranger", "suspended"].contains(&column.as_str()) {
                senders.push((key.public(), own(&node, &key, number)));
            }
        }
    }
    node.commit(senders.iter().map(|(_, tx)| tx.clone()).collect());
    let mut named = BTreeSet::new();
    for row in &rows {
        for (column, cell) in titles.iter().zip(row).skip(1) {
            for key in keys(column) {
                let sent = senders
                    .iter()
                    .find(|(sender, _)| key.as_ref().is_some_and(|key| key.public() == *sender));
                let own = sent.map(|(_, tx)| tx.hash());
                for question in questions(&row[0], own, another) {
                    let got = asked(&node, key.as_ref(), &question).await;
                    assert_eq!(&got, cell, "{}, {column}: {question:?}", row[0]);
                    named.insert(question.0);
                }
            }
        }
    }
    let methods = METHODS.iter().chain(websocket::METHODS);
    let methods: BTreeSet<String> = methods.map(|method| method.name.to_owned()).collect();
    assert_eq!(named, methods, "every method has its row");
    // What is signed with the node's own key is answered without a permit.
    let chain_id = testing::genesis().chain_id;
    let key = testing::validator(0);
    let request =
        OperatorRequest::sign(OperatorCall::Storage { wait: false }, now(0), &chain_id, &key);
    let info: StorageInfo = node.client.operator(&request).await.unwrap();
    assert_eq!((info.height.0, info.job.is_none()), (2, true));
}
