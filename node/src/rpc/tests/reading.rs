//! Reading that is limited: the table of `docs/rights.md`, cell by cell, and permits that are no good.

mod bad;
pub mod table;

use std::time::Duration;

use reqwest::header::AUTHORIZATION;
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tandem_chain::keys::SecretKey;
use tandem_chain::ledger::Receipt;
use tandem_chain::modules::consortium::{self, Change, UserRole, registration_proof};
use tandem_chain::modules::rights::{self, Grantee, Range, Right};
use tandem_chain::modules::{Call, records};
use tandem_chain::permit::{Part, Permit, PermitBody};
use tandem_chain::types::{Hash, Timestamp, TxHash};

use super::{Node, node_with};
use crate::config::Reading;
use crate::run::wall_clock;
use crate::testing;

/// Users of the first organisation, whose node is asked; [`testing::user`] is a writer of it.
const USERS: [(u8, UserRole); 4] = [
    (201, UserRole::Operator),
    (202, UserRole::Reader),
    (203, UserRole::Auditor),
    (204, UserRole::Admin),
];
/// Records of the data sets; all members may read those that begin with `a/`.
const RECORDS: [&str; 5] = ["a", "a/1", "a/2", "a0", "b"];

pub fn set(name: &str) -> tandem_chain::types::DataSetName {
    name.parse().unwrap()
}

fn members() -> Grantee {
    Grantee::Members
}

/// A node whose reading is limited, of a chain with users of every role, the data sets `set` and
/// `set2` with [`RECORDS`] each, of which all members may read those with `a/` in `set`, and the
/// organisation delta, which is suspended. And the transaction that wrote `b` in `set`.
pub(super) async fn limited() -> (Node, TxHash) {
    let node = node_with(|config| config.rpc.reading = Reading::Limited).await;
    let mut nonce = 0;
    let mut sign = |key: &SecretKey, call: Call| {
        nonce += 1;
        node.chain().sign(key, nonce, call)
    };
    let admin = testing::admin(0);
    let chain_id = testing::genesis().chain_id;
    let mut txs = Vec::new();
    for (number, role) in USERS {
        let key = testing::key(number);
        let proof = registration_proof(&chain_id, &"alpha".parse().unwrap(), &key);
        let call = consortium::Call::AddUser { user: key.public(), role, proof };
        txs.push(sign(&admin, Call::Consortium(call)));
    }
    for name in ["set", "set2"] {
        let create = records::Call::Create { data_set: set(name) };
        txs.push(sign(&admin, Call::Records(create)));
        for key in RECORDS {
            let value = format!("{name}/{key}").into_bytes();
            let (data_set, key) = (set(name), key.into());
            let (content_type, expected) = (None, None);
            let put = records::Call::Put { data_set, key, content_type, value, expected };
            txs.push(sign(&admin, Call::Records(put)));
        }
        let (to, range) = (Grantee::Org("alpha".parse().unwrap()), Range::all());
        let revoke = rights::Call::Revoke { data_set: set(name), to, range };
        txs.push(sign(&admin, Call::Rights(revoke)));
    }
    // The last of `set`, behind its creation.
    let of_another = txs[USERS.len() + RECORDS.len()].hash();
    let grant = |range, right| {
        Call::Rights(rights::Call::Grant { data_set: set("set"), to: members(), range, right })
    };
    txs.push(sign(&admin, grant(Range::prefix(b"a/"), Right::Read)));
    let expires = node.chain().tip().time.plus(Duration::from_secs(3_600));
    let change = Change::SuspendOrg { name: "delta".parse().unwrap() };
    let propose = consortium::Call::Propose { change, force: false, expires };
    txs.push(sign(&admin, Call::Consortium(propose)));
    for org in [1, 2] {
        let vote = Call::Consortium(consortium::Call::Vote { motion: 1 });
        txs.push(sign(&testing::admin(org), vote));
    }
    let count = txs.len();
    let committed = node.chain().commit(txs);
    assert_eq!(committed.receipts.len(), count + 1);
    assert!(committed.receipts.iter().all(Receipt::is_ok), "{:?}", committed.receipts);
    node.publish(committed);
    (node, of_another)
}

/// This machine's time, some seconds later or earlier.
pub(super) fn now(seconds: i64) -> Timestamp {
    Timestamp(wall_clock().0.checked_add_signed(seconds * 1_000_000_000).unwrap())
}

/// What a token of a key says that is good for an hour, for any node.
fn body(key: &SecretKey) -> PermitBody {
    PermitBody {
        chain_id: testing::genesis().chain_id,
        reader: key.public(),
        node: None,
        request: None,
        ends: now(3_600),
        only: None,
    }
}

pub(super) fn token(key: &SecretKey) -> Permit {
    Permit::sign(body(key), key)
}

/// A token for a part of the records alone.
fn token_for(key: &SecretKey, name: &str, range: Range) -> Permit {
    let only = Some(Part { data_set: set(name), range });
    Permit::sign(PermitBody { only, ..body(key) }, key)
}

/// Shows a permit, or whatever stands in its place.
fn shows(request: RequestBuilder, header: Option<&str>) -> RequestBuilder {
    match header {
        Some(header) => request.header(AUTHORIZATION, header),
        None => request,
    }
}

pub(super) fn header(permit: &Permit) -> String {
    format!("Tandem-Permit {permit}")
}

async fn sent(request: RequestBuilder) -> (StatusCode, Value) {
    let response = request.send().await.unwrap();
    let status = response.status();
    let asks_for = response.headers().get("www-authenticate").cloned();
    let asks_for = asks_for.map(|value| value.to_str().unwrap().to_owned());
    let is_asked = status == StatusCode::UNAUTHORIZED;
    assert_eq!(asks_for.as_deref(), is_asked.then_some("Tandem-Permit"));
    (status, response.json().await.unwrap())
}

fn request(method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })
}

async fn post(node: &Node, header: Option<&str>, body: String) -> (StatusCode, Value) {
    let request = reqwest::Client::new().post(node.client.url()).body(body);
    sent(shows(request, header)).await
}

async fn get(node: &Node, header: Option<&str>, target: &str) -> (StatusCode, Value) {
    let request = reqwest::Client::new().get(format!("{}{target}", node.client.url()));
    sent(shows(request, header)).await
}

/// The answer to a record's question by POST.
async fn record(node: &Node, permit: &Permit, path: &str) -> (StatusCode, Value) {
    let body = request("abci_query", &json!({ "path": path })).to_string();
    post(node, Some(&header(permit)), body).await
}

/// A permit that is for a request alone.
pub(super) fn signed(key: &SecretKey, request: &[u8]) -> Permit {
    let node = Some(testing::validator(0).public());
    let request = Some(Hash::of(request));
    Permit::sign(PermitBody { node, request, ends: now(60), ..body(key) }, key)
}
