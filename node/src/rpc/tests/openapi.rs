//! The OpenAPI document: the methods that there are, and what a node answers, are what it says.

pub mod held;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::AUTHORIZATION;
use serde_json::{Value, json};
use tandem_chain::evidence::Evidence;
use tandem_chain::keys::Signature;
use tandem_chain::modules::consortium::{self, Change, UserRole, registration_proof};
use tandem_chain::modules::rights::{self, Grantee, Range, Right};
use tandem_chain::modules::{Call, records, standby};
use tandem_chain::types::{Height, Power, Round, Term, Timestamp};
use tandem_chain::vote::{Vote, VoteKind};
use tandem_consensus::{Ballot, RoundStanding, Standing};

use super::comet::{evidence, vote};
use super::reading::{header, limited, set, table, token};
use super::websocket::open_with;
use super::{Node, node, node_with, tx_param};
use crate::operator::{OperatorCall, OperatorRequest};
use crate::rpc::methods::METHODS;
use crate::rpc::reading::Needs;
use crate::rpc::shapes::{comet, tandem as shapes};
use crate::rpc::{openapi, ready, websocket};
use crate::run::wall_clock;
use crate::testing;
use crate::view::NodeView;
use held::{
    DOCUMENT, check, check_request, check_result, check_schema, check_target, target, validator,
};

/// A method with parameters.
type Question = (&'static str, Value);

/// What a client sends to open a WebSocket.
const HANDSHAKE: [(&str, &str); 4] = [
    ("connection", "Upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

fn names(object: &Value) -> Vec<&str> {
    object.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect()
}

#[test]
fn the_document_has_every_method_with_its_parameters_and_no_other() {
    let written = openapi::methods();
    let methods: BTreeSet<&str> = METHODS.iter().map(|method| method.name).collect();
    assert_eq!(
        names(&written).into_iter().collect::<BTreeSet<_>>(),
        methods,
        "openapi/methods.json"
    );
    for method in METHODS {
        let of = &written[method.name];
        let params: BTreeSet<&str> = method.params.iter().copied().collect();
        assert_eq!(
            names(&of["params"]).into_iter().collect::<BTreeSet<_>>(),
            params,
            "{}",
            method.name
        );
        assert!(of.get("result").is_some(), "{}", method.name);
        let get = &DOCUMENT["paths"][format!("/{}", method.name)]["get"];
        let in_order = get["parameters"].as_array().unwrap().iter();
        let in_order: Vec<&str> = in_order.map(|param| param["name"].as_str().unwrap()).collect();
        assert_eq!(in_order, method.params, "{}", method.name);
        for param in get["parameters"].as_array().unwrap() {
            let has_kind = param.get("schema").is_some()
                || param["content"]["application/json"]["schema"].is_object();
            assert!(
                has_kind,
                "{}: the kind of {} is in openapi/kinds.json",
                method.name, param["name"]
            );
        }
    }
    let others = ["/", websocket::PATH, ready::PATH, openapi::PATH].map(str::to_owned);
    let paths: BTreeSet<String> =
        METHODS.iter().map(|m| format!("/{}", m.name)).chain(others).collect();
    assert_eq!(
        names(&DOCUMENT["paths"]).into_iter().map(str::to_owned).collect::<BTreeSet<_>>(),
        paths
    );
    let websocket = DOCUMENT["paths"][websocket::PATH]["get"]["description"].as_str().unwrap();
    assert!(websocket::METHODS.iter().all(|method| websocket.contains(method.name)));
}

#[test]
fn every_schema_of_the_document_is_one_and_is_used() {
    let text = DOCUMENT.to_string();
    for name in names(&DOCUMENT["components"]["schemas"]) {
        validator(false, &format!("/components/schemas/{name}"));
        assert!(text.contains(&format!("\"#/components/schemas/{name}\"")), "{name} is used");
    }
}

/// A node of a chain with something of everything.
async fn with_everything() -> Node {
    let node = node_with(|config| config.storage.backup_dir = PathBuf::from("backups")).await;
    node.commit(vec![]);
    node.commit(vec![]);
    let txs = {
        let chain = node.chain();
        let admin = |number, nonce, call| chain.sign(&testing::admin(number), nonce, call);
        let org = "alpha".parse().unwrap();
        let reader = testing::key(202);
        let proof = registration_proof(&chain.genesis.chain_id, &org, &reader);
        let add =
            consortium::Call::AddUser { user: reader.public(), role: UserRole::Reader, proof };
        let grant = |nonce, to| {
            let (data_set, range, right) = (set("set"), Range::prefix(b"a/"), Right::Read);
            admin(0, nonce, Call::Rights(rights::Call::Grant { data_set, to, range, right }))
        };
        let expires = chain.tip().time.plus(std::time::Duration::from_secs(3_600));
        let propose = |change| consortium::Call::Propose { change, force: false, expires };
        let motion =
            |number, nonce, change| admin(number, nonce, Call::Consortium(propose(change)));
        let delete =
            records::Call::Delete { data_set: set("set"), key: b"gone".to_vec(), expected: None };
        let to_standby = standby::Call::Switch {
            seat: "gamma".parse().unwrap(),
            target: testing::standby(2).public(),
            term: Term(0),
        };
        let delta = || "delta".parse().unwrap();
        let (name, admin_key) = ("epsilon".parse().unwrap(), testing::key(240).public());
        vec![
            chain.create(1),
            chain.put(2, "a/1", b"one"),
            chain.put_as(3, "a/2", Some("text/csv; header=absent"), b"two"),
            chain.put(4, "gone", b"x"),
            chain.sign(&testing::user(), 5, Call::Records(delete)),
            chain.create(6),
            admin(0, 10, Call::Consortium(add)),
            grant(11, Grantee::Members),
            grant(12, Grantee::User { org, key: reader.public() }),
            admin(2, 13, Call::Standby(to_standby)),
            motion(0, 14, Change::SuspendOrg { name: delta() }),
            motion(1, 15, Change::AddOrg { name, admin_key, power: Power(1) }),
            motion(1, 16, Change::SetParameters(chain.genesis.parameters.clone())),
            motion(1, 17, Change::SetPolicy(chain.genesis.policy.clone())),
            motion(1, 18, Change::SetPower { name: delta(), power: Power(2) }),
            admin(1, 19, Call::Consortium(consortium::Call::Vote { motion: 1 })),
            admin(2, 20, Call::Consortium(consortium::Call::Vote { motion: 1 })),
        ]
    };
    node.commit(txs);
    node.commit(vec![]);
    let waits = node.chain().put(30, "a/3", b"three");
    node.admission.submit(waits.bytes().to_vec()).await.unwrap();
    node
}

/// The round that is decided, with votes.
fn with_votes(node: &Node) {
    let ballot = |block| {
        let (timestamp, signature) =
            (Timestamp::from_millis(1_800_000_000_500), Signature([7; 64]));
        Some(Ballot { block, timestamp, signature })
    };
    let id = node.chain().tip().block;
    let votes = vec![ballot(id), ballot(None), None, ballot(id)];
    let round = RoundStanding { round: Round(0), prevotes: votes.clone(), precommits: votes };
    node.view.send_modify(|view| {
        let standing = view.standing.as_deref().unwrap().clone();
        let standing = Standing { proposed: id, valid: id, rounds: vec![round], ..standing };
        *view = Arc::new(NodeView { standing: Some(Arc::new(standing)), ..(**view).clone() });
    });
}

/// Questions that have good answers, of all methods but the operator's.
fn questions(node: &Node) -> Vec<Question> {
    let block = node.chain().db.block(Height(3)).unwrap().unwrap().block;
    let (id, txs) = (block.id().to_string(), &block.txs);
    let [hash, failed] = [1, 5].map(|place: usize| txs[place].hash().to_string());
    let [a1, gone, none] = ["a/1", "gone", "none"].map(hex::encode);
    let four = node.chain().put(40, "a/4", b"four");
    let (body, tx) = (four.body(), tx_param(&four));
    let (call, sender) = (testing::call_json(&body.call), body.sender);
    let sign_bytes = STANDARD.encode(body.sign_bytes());
    let signature = testing::user().sign(&body.sign_bytes());
    let remove = Change::RemoveOrg { name: "beta".parse().unwrap() };
    let [one, two] = [b"one", b"two"].map(|of| {
        let block = tandem_chain::types::Hash::of(of);
        vote(node, 1, 2, Some(block), 2)
    });
    let key = |number| testing::key(number).public();
    vec![
        ("health", json!({})),
        ("status", json!({})),
        ("net_info", json!({})),
        ("genesis", json!({})),
        ("genesis_chunked", json!({ "chunk": 0 })),
        ("abci_info", json!({})),
        ("num_unconfirmed_txs", json!({})),
        ("unconfirmed_txs", json!({ "limit": 5 })),
        ("blockchain", json!({ "minHeight": 1, "maxHeight": 3 })),
        ("header", json!({ "height": 1 })),
        ("header_by_hash", json!({ "hash": id })),
        ("header_by_hash", json!({ "hash": "AB".repeat(32) })),
        ("consensus_state", json!({})),
        ("consensus_params", json!({ "height": 2 })),
        ("block", json!({ "height": 1 })),
        ("block", json!({ "height": 3 })),
        ("block_by_hash", json!({ "hash": id })),
        ("block_by_hash", json!({ "hash": "AB".repeat(32) })),
        ("block_results", json!({ "height": 3 })),
        ("block_results", json!({})),
        ("commit", json!({ "height": 1 })),
        ("commit", json!({})),
        ("validators", json!({ "height": 3, "page": 1, "per_page": 2 })),
        ("validators", json!({})),
        ("tx", json!({ "hash": hash, "prove": true })),
        ("tx", json!({ "hash": failed, "prove": false })),
        ("tx_search", json!({ "query": "tx.height = 3", "prove": true, "order_by": "desc" })),
        ("block_search", json!({ "query": "block.height > 0", "page": 1, "per_page": 10 })),
        ("check_tx", tx.clone()),
        ("broadcast_tx_async", json!({ "tx": "AAEC" })),
        ("broadcast_tx_sync", tx),
        ("broadcast_tx_sync", json!({ "tx": "AAEC" })),
        ("broadcast_tx_commit", tx_param(&txs[0])),
        ("broadcast_tx_commit", json!({ "tx": "AAEC" })),
        ("tx_prepare", json!({ "call": call, "sender": sender })),
        ("tx_prepare", json!({ "call": call, "sender": sender, "nonce": 7, "valid_until": 20 })),
        ("tx_assemble", json!({ "sign_bytes": sign_bytes, "signature": signature })),
        ("broadcast_evidence", evidence(&one, &two)),
        ("abci_query", json!({ "path": "/records" })),
        ("abci_query", json!({ "path": "/records/set", "data": "61", "height": 0 })),
        ("abci_query", json!({ "path": "/records/set/a%2F2", "prove": false })),
        ("abci_query", json!({ "path": "/records/set/none" })),
        ("data_sets", json!({})),
        ("records", json!({ "data_set": "set", "limit": 1 })),
        ("records", json!({ "data_set": "set", "prefix": "61", "after": a1 })),
        ("proof", json!({ "data_set": "set", "key": a1 })),
        ("proof", json!({ "data_set": "set", "key": gone })),
        ("proof", json!({ "data_set": "set", "key": none })),
        ("record_history", json!({ "data_set": "set", "key": gone, "limit": 1 })),
        ("record_history", json!({ "data_set": "set", "key": a1, "before": "9/1" })),
        ("liveness", json!({ "from": 1, "to": 4 })),
        ("seats", json!({ "blocks": 4 })),
        ("switches", json!({ "skip": 0, "limit": 10 })),
        ("organizations", json!({})),
        ("nodes", json!({})),
        ("parameters", json!({})),
        ("policy", json!({})),
        ("motions", json!({ "open": false, "before": 100, "limit": 10 })),
        ("motion", json!({ "motion": 1 })),
        ("motion", json!({ "motion": 2 })),
        ("try_change", json!({ "change": remove })),
        ("try_change", json!({ "change": Change::RestoreOrg { name: "beta".parse().unwrap() } })),
        ("users", json!({ "organization": "alpha" })),
        ("rights", json!({ "data_set": "set", "limit": 1 })),
        ("rights", json!({ "data_set": "set", "after": "*" })),
        ("may_read", json!({ "key": key(202), "data_set": "set", "record": a1 })),
        ("may_read", json!({ "key": key(250), "data_set": "set" })),
        ("snapshots", json!({})),
        ("key", json!({ "key": key(202) })),
        ("key", json!({ "key": key(250) })),
    ]
}

/// Asks by GET or by POST what has a good answer; question and answer are held to the document.
async fn good(node: &Node, by_get: bool, (method, params): &Question) -> Value {
    let answer = if by_get {
        let target = target(method, params);
        check_target(&target);
        let response = reqwest::get(format!("{}{target}", node.client.url())).await.unwrap();
        check("get", &format!("/{method}"), response).await
    } else {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        check_request(&request);
        let order = METHODS.iter().find(|known| known.name == *method).unwrap().params;
        let values: Vec<&Value> = order.iter().map(|name| &params[name]).collect();
        check_request(&json!({ "jsonrpc": "2.0", "method": method, "params": values }));
        post(node, request.to_string()).await
    };
    assert!(answer["error"].is_null(), "{method} {params}: {answer}");
    answer["result"].clone()
}

async fn post(node: &Node, body: String) -> Value {
    let request = reqwest::Client::new().post(node.client.url()).body(body);
    check("post", "/", request.send().await.unwrap()).await
}

/// The operator's call as a question, signed with the node's key.
fn of_operator(method: &'static str, call: OperatorCall, mut params: Value) -> Question {
    let (chain_id, key) = (testing::genesis().chain_id, testing::validator(0));
    let request = OperatorRequest::sign(call, wall_clock(), &chain_id, &key);
    params["time"] = json!(request.time.0.to_string());
    params["signature"] = json!(request.signature);
    (method, params)
}

/// Asks for a job, and waits for its end.
async fn job(node: &Node, by_get: bool, method: &'static str, call: OperatorCall, params: Value) {
    good(node, by_get, &of_operator(method, call, params)).await;
    loop {
        // A snapshot waits for the block that proves it.
        node.commit(vec![]);
        let call = OperatorCall::Storage { wait: false };
        let info =
            good(node, by_get, &of_operator("storage", call, json!({ "wait": false }))).await;
        match info["job"]["state"].as_str() {
            Some("running") => {}
            state => return assert_eq!(state, Some("done"), "{info}"),
        }
    }
}

#[tokio::test]
async fn good_answers_are_what_the_document_says() {
    for by_get in [false, true] {
        let node = with_everything().await;
        with_votes(&node);
        let mut asked = BTreeSet::new();
        for question in questions(&node) {
            let result = good(&node, by_get, &question).await;
            check_result(question.0, &result);
            asked.insert(question.0);
        }
        let backup = OperatorCall::Backup { name: format!("by-get-{by_get}"), with_key: false };
        let name = json!({ "name": format!("by-get-{by_get}"), "with_key": false });
        job(&node, by_get, "backup", backup, name).await;
        job(&node, by_get, "compact", OperatorCall::Compact, json!({})).await;
        job(&node, by_get, "take_snapshot", OperatorCall::Snapshot, json!({})).await;
        let prune = OperatorCall::Prune { keep_blocks: 20_000, keep_days: 0, dry_run: true };
        let of = json!({ "keep_blocks": 20_000, "dry_run": true });
        job(&node, by_get, "prune", prune, of).await;
        asked.extend(["backup", "compact", "take_snapshot", "prune", "storage"]);
        let methods: BTreeSet<&str> = METHODS.iter().map(|method| method.name).collect();
        assert_eq!(asked, methods, "every method has its question");
    }
}

#[tokio::test]
async fn what_seldom_comes_is_what_the_document_says() {
    let absent = tandem_chain::block::Commit { signatures: vec![None], ..Default::default() };
    check_schema("Commit", &comet::commit(&absent));
    let key = testing::validator(0).public();
    let vote = |block| Vote {
        kind: VoteKind::Precommit,
        height: Height(1),
        round: Round(0),
        block,
        timestamp: Timestamp::from_millis(1_800_000_000_500),
        validator_index: 0,
        validator_address: key.address(),
        signature: Signature([7; 64]),
        observation: None,
    };
    let evidence = Evidence {
        vote_a: vote(None),
        vote_b: vote(Some(tandem_chain::types::Hash::EMPTY)),
        key,
        total_power: Power(4),
        validator_power: Power(1),
        timestamp: Timestamp::from_millis(1_800_000_000_000),
    };
    check_schema("Evidence", &comet::evidence(&evidence));
    let failed = shapes::Job {
        job: "backup".to_owned(),
        name: Some("a".to_owned()),
        state: shapes::JobState::Failed,
        error: Some("the disk is full".to_owned()),
        height: None,
        bytes: None,
        blocks: None,
        kept_for: None,
    };
    check_schema("Job", &json!(failed));
    let snapshot = shapes::SnapshotEntry {
        height: Height(1),
        manifest: tandem_chain::types::Hash::EMPTY,
        chunks: 1,
        above: tandem_chain::types::Hash::EMPTY,
    };
    check_schema("SnapshotEntry", &json!(snapshot));
    // A chain without a block.
    let empty = node().await;
    for (method, params) in [("status", json!({})), ("seats", json!({})), ("validators", json!({}))]
    {
        let response = reqwest::get(format!("{}{}", empty.client.url(), target(method, &params)));
        check("get", &format!("/{method}"), response.await.unwrap()).await;
    }
}

#[tokio::test]
async fn errors_are_what_the_document_says() {
    let node = node_with(|config| {
        config.rpc.max_body_bytes = 2_000;
        config.rpc.request_timeout = std::time::Duration::from_secs(20);
    })
    .await;
    let get = async |path: &str, query: &str| {
        let response = reqwest::get(format!("{}{path}{query}", node.client.url())).await.unwrap();
        let status = response.status().as_u16();
        (status, check("get", path, response).await["error"]["code"].clone())
    };
    for (path, query, expected) in [
        ("/health", "?x=1", (400, json!(-32602))),
        ("/block", "?height=7", (200, json!(-32603))),
        ("/block", "?height=x", (200, json!(-32602))),
        ("/block", "?height=1&height=1", (200, json!(-32602))),
        ("/websocket", "", (400, json!(-32600))),
        ("/ready", "", (200, Value::Null)),
        ("/", "", (200, Value::Null)),
        ("/openapi.json", "", (200, Value::Null)),
    ] {
        assert_eq!(get(path, query).await, expected, "{path}{query}");
    }
    node.view.send_modify(|view| {
        let alarms = vec!["clock: it is 7 s ahead".to_owned()];
        *view = Arc::new(NodeView { alarms, catching_up: true, ..(**view).clone() });
    });
    assert_eq!(get("/health", "").await, (503, json!(-32000)));
    assert_eq!(get("/ready", "").await, (503, Value::Null));

    let call = |id: Value, method: &str| json!({ "jsonrpc": "2.0", "id": id, "method": method });
    let notification = json!({ "jsonrpc": "2.0", "method": "health" });
    for (body, code) in [
        ("{".to_owned(), json!(-32700)),
        ("[]".to_owned(), json!(-32600)),
        ("5".to_owned(), json!(-32600)),
        (call(json!("x"), "none").to_string(), json!(-32601)),
        (call(json!(1), "subscribe").to_string(), json!(-32601)),
        (call(json!(null), "tx").to_string(), json!(-32602)),
        (notification.to_string(), Value::Null),
        (
            json!([call(json!(1.5), "status"), 5, notification, call(json!(2), "tx")]).to_string(),
            Value::Null,
        ),
        (" ".repeat(2_001), json!(-32600)),
    ] {
        assert_eq!(post(&node, body.clone()).await["error"]["code"], code, "{body:.100}");
    }
}

#[tokio::test]
async fn refusals_are_what_the_document_says() {
    let (node, _) = limited().await;
    let stranger = header(&token(&testing::key(250)));
    for method in METHODS {
        let params = table::params(method.name);
        for (permit, status) in [(None, 401), (Some(stranger.as_str()), 403)] {
            let url = format!("{}{}", node.client.url(), target(method.name, &params));
            let mut request = reqwest::Client::new().get(url);
            if let Some(permit) = permit {
                request = request.header(AUTHORIZATION, permit);
            }
            let response = request.send().await.unwrap();
            let is_limited = method.needs != Needs::Nothing;
            assert_eq!(response.status() == status, is_limited, "{}", method.name);
            check("get", &format!("/{}", method.name), response).await;
        }
    }
    let http = reqwest::Client::new();
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "seats" }).to_string();
    for (permit, status) in [("Tandem-Permit 00", 401), (stranger.as_str(), 403)] {
        let request = http.post(node.client.url()).header(AUTHORIZATION, permit);
        let response = request.body(body.clone()).send().await.unwrap();
        assert_eq!(response.status(), status);
        check("post", "/", response).await;
    }
    let none = node_with(|config| config.rpc.max_websockets = 0).await;
    let one = node_with(|config| config.rpc.max_websockets_per_client = 1).await;
    let _open = open_with(&one, &[]).await.unwrap();
    for (node, origin, status) in
        [(&none, None, 503), (&one, None, 429), (&one, Some("http://evil.example"), 403)]
    {
        let mut request = http.get(format!("{}/websocket", node.client.url()));
        for (name, value) in HANDSHAKE {
            request = request.header(name, value);
        }
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), status);
        check("get", "/websocket", response).await;
    }
}

#[tokio::test]
async fn the_document_is_served_to_everyone() {
    let (limited, _) = limited().await;
    let response = reqwest::get(format!("{}/openapi.json", limited.client.url())).await.unwrap();
    let served: Value = response.json().await.unwrap();
    assert_eq!(served, *DOCUMENT);
    let routes = reqwest::get(limited.client.url()).await.unwrap().text().await.unwrap();
    assert!(routes.contains("/openapi.json"), "{routes}");
}
