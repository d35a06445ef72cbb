//! Requests that are none, and transactions that may not be committed.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tandem_chain::keys::SecretKey;
use tandem_chain::limits::{MAX_TX_BYTES, MAX_TX_VALIDITY};
use tandem_chain::modules::{Call, records, standby};
use tandem_chain::tx::{Tx, TxBody};
use tandem_chain::types::{ChainId, Height, Term};

use super::super::Stage;
use super::super::scene::SOON;
use crate::watcher::Watcher;

/// Plays them; the number of cases.
pub async fn play(stage: &mut Stage, watcher: &Watcher) -> Result<usize> {
    let requests = bad_requests(stage).await?;
    stage.report.holds(format!("{requests} bad RPC requests are refused with their own errors"));
    let txs = bad_transactions(stage, watcher).await?;
    stage.report.holds(format!("{txs} bad transactions are refused with their own codes"));
    let calls = bad_calls(stage, watcher).await?;
    stage.report.holds(format!("{calls} calls that may not be made have receipts that say why"));
    Ok(requests + txs + calls)
}

async fn bad_requests(stage: &Stage) -> Result<usize> {
    let url = stage.net().layout().node("bravo-a")?.rpc_url();
    let http = reqwest::Client::builder().no_proxy().timeout(SOON).build()?;
    let call = |method: &str, params: Value| {
        json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string()
    };
    let cases: Vec<(&str, String, i64)> = vec![
        ("no JSON", "{".into(), -32700),
        ("a zero byte", "\u{0}".into(), -32700),
        ("deeply nested", "[".repeat(100_000), -32700),
        ("an empty batch", "[]".into(), -32600),
        (
            "too large a batch",
            format!("[{}]", vec![call("health", json!({})); 11].join(",")),
            -32600,
        ),
        ("no version", json!({ "id": 1, "method": "health" }).to_string(), -32600),
        ("an unknown method", call("nonsense", json!({})), -32601),
        ("an unknown parameter", call("block", json!({ "hieght": "1" })), -32602),
        ("a height that is none", call("block", json!({ "height": "x" })), -32602),
        ("a negative height", call("block", json!({ "height": "-1" })), -32603),
        ("height 0", call("block", json!({ "height": "0" })), -32603),
        ("a height to come", call("block", json!({ "height": "9999999999" })), -32603),
        ("a page that is not there", call("validators", json!({ "page": "99" })), -32603),
        ("a hash of the wrong length", call("tx", json!({ "hash": "AAAA" })), -32602),
        (
            "a transaction that is not there",
            call("tx", json!({ "hash": "A".repeat(43) + "=" })),
            -32603,
        ),
        ("no transaction", call("broadcast_tx_sync", json!({})), -32602),
        ("a path that is none", call("abci_query", json!({ "path": "/nonsense" })), -32602),
    ];
    let count = cases.len() + 2;
    for (what, body, code) in cases {
        let answer = http.post(&url).body(body).send().await.with_context(|| what.to_owned())?;
        let answer: Value = answer.json().await.with_context(|| what.to_owned())?;
        ensure!(answer["error"]["code"] == code, "{what}: {code} was expected, not {answer}");
    }
    let answer = http.post(&url).body(vec![b'"', 0xff, b'"']).send().await?;
    let answer: Value = answer.json().await?;
    ensure!(answer["error"]["code"] == -32700, "no UTF-8: -32700 was expected, not {answer}");
    let answer = http.post(&url).body(vec![b' '; 2_000_000]).send().await?;
    ensure!(answer.status() == 413, "too long a body: status {}", answer.status());
    Ok(count)
}

/// Makes bad transactions from good ones.
struct Forger {
    chain_id: ChainId,
    key: SecretKey,
    height: Height,
}

impl Forger {
    fn body(&self) -> TxBody {
        let call = records::Call::Create { data_set: "bad-input".parse().expect("a good name") };
        TxBody {
            chain_id: self.chain_id.clone(),
            sender: self.key.public(),
            nonce: rand::random(),
            valid_until: self.height.plus(100),
            call: Call::Records(call),
        }
    }

    fn sign(&self, body: TxBody) -> Vec<u8> {
        Tx::sign(body, &self.key).bytes().to_vec()
    }
}

/// A transaction with a content type in which there is the end of a line.
fn with_bad_content_type(forger: &Forger) -> Result<Vec<u8>> {
    let call = records::Call::Put {
        data_set: "bad-input".parse()?,
        key: b"key".to_vec(),
        content_type: Some("text/plain".parse()?),
        value: b"value".to_vec(),
        expected: None,
    };
    let mut bytes = forger.sign(TxBody { call: Call::Records(call), ..forger.body() });
    let at = bytes.windows(10).position(|part| part == b"text/plain");
    bytes[at.context("the content type stands in it as it is")? + 4] = b'\n';
    Ok(bytes)
}

async fn bad_transactions(stage: &Stage, watcher: &Watcher) -> Result<usize> {
    let layout = stage.net().layout();
    let key = layout.users(&layout.orgs[0]).remove(0);
    let forger = Forger { chain_id: layout.chain_id.clone(), key, height: watcher.height() };
    let good = forger.sign(forger.body());
    let changed = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bytes
    };
    let stranger = SecretKey::from_seed(&rand::random());
    let unknown = TxBody { sender: stranger.public(), ..forger.body() };
    let too_far = forger.height.plus(2 * MAX_TX_VALIDITY);
    let cases: Vec<(&str, Vec<u8>, u32)> = vec![
        ("no bytes", vec![], 1),
        ("bytes that are no transaction", vec![0xff; 300], 1),
        ("a transaction that is cut", good[..good.len() - 1].to_vec(), 1),
        ("bytes behind a transaction", [good.as_slice(), &[0]].concat(), 1),
        ("too long a transaction", vec![0; MAX_TX_BYTES + 1], 1),
        ("a content type that is none", with_bad_content_type(&forger)?, 1),
        ("a wrong signature", changed(good.len() - 1), 2),
        ("another chain's", forger.sign(TxBody { chain_id: "other".parse()?, ..forger.body() }), 3),
        ("an expired one", forger.sign(TxBody { valid_until: Height(1), ..forger.body() }), 4),
        ("valid for too long", forger.sign(TxBody { valid_until: too_far, ..forger.body() }), 5),
        ("an unknown sender's", Tx::sign(unknown, &stranger).bytes().to_vec(), 7),
    ];
    let count = cases.len() + 1;
    for rpc in [stage.net().rpc("bravo-a"), stage.net().rpc("charlie-b")] {
        for (what, bytes, code) in &cases {
            let answer = rpc.submit_bytes(bytes).await.with_context(|| (*what).to_owned())?;
            let named = answer.code == *code && !answer.log.is_empty();
            ensure!(named, "{what}: code {code} was expected, not {}: {}", answer.code, answer.log);
        }
    }
    let rpc = stage.net().rpc("delta-b");
    let tx = Tx::decode(good)?;
    let info = rpc.execute(&tx, SOON).await?;
    ensure!(info.receipt.code == 0, "the good one failed: {}", info.receipt.log);
    let again = rpc.submit_bytes(tx.bytes()).await?;
    ensure!(again.code == 6, "one that is in the chain: code {}: {}", again.code, again.log);
    Ok(count)
}

/// Calls in good transactions that fail when they are executed.
async fn bad_calls(stage: &Stage, watcher: &Watcher) -> Result<usize> {
    let layout = stage.net().layout();
    let (alpha, bravo) = (&layout.orgs[0], &layout.orgs[1]);
    let (user, other) = (layout.users(alpha).remove(0), layout.users(bravo).remove(0));
    let put = |set: &str, expected| -> Result<Call> {
        let (data_set, key, value) = (set.parse()?, b"key".to_vec(), b"value".to_vec());
        let content_type = None;
        Ok(Call::Records(records::Call::Put { data_set, key, content_type, value, expected }))
    };
    let create = Call::Records(records::Call::Create { data_set: "bad-input".parse()? });
    let target = layout.pair(alpha).nth(1).context("a pair has two nodes")?.key;
    let switch = |term| {
        Call::Standby(standby::Call::Switch { seat: alpha.clone(), target, term: Term(term) })
    };
    let admin = layout.admin(alpha);
    let cases: Vec<(&str, &SecretKey, Call, u32)> = vec![
        ("a data set that is not there", &user, put("nowhere", None)?, 10),
        ("a data set that is there", &user, create, 11),
        ("another organisation's data set", &other, put("bad-input", None)?, 12),
        ("a record's wrong version", &user, put("bad-input", Some(7))?, 13),
        ("a switch by a user", &user, switch(0), 12),
        ("a switch of another term", &admin, switch(7), 14),
    ];
    let count = cases.len();
    for (what, key, call, code) in cases {
        let tx = crate::load::sign(&layout.chain_id, key, rand::random(), watcher.height(), call);
        let info = stage.net().rpc("alpha-b").execute(&tx, SOON).await?;
        let receipt = info.receipt;
        let named = receipt.code == code && !receipt.log.is_empty();
        ensure!(named, "{what}: code {code} was expected, not {}: {}", receipt.code, receipt.log);
    }
    Ok(count)
}
