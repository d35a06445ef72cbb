//! Records, proofs of them, and liveness records, in Tandem's own shapes.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tandem_chain::codec;
use tandem_chain::modules::Call;
use tandem_chain::modules::records::{self, Stored, state_key};
use tandem_chain::tree::Proof;
use tandem_chain::types::{Hash, Height};

use super::{Node, node, node_with};
use crate::rpc::shapes::records::{ProofInfo, RecordHistory, RecordsInfo};
use crate::rpc::shapes::tandem::{DataSets, Liveness};
use crate::testing;

async fn typed<T: DeserializeOwned>(node: &Node, method: &str, params: Value) -> T {
    serde_json::from_value(node.call(method, params).await).unwrap()
}

/// A node with four records and two blocks.
async fn with_records() -> Node {
    let node = node().await;
    let txs = {
        let chain = node.chain();
        let put = |nonce, key, value: &[u8]| chain.put(nonce, key, value);
        vec![chain.create(1), put(2, "a/1", b"one"), put(3, "a/2", b"two"), put(4, "b", b"")]
    };
    node.commit(txs);
    node.commit(vec![]);
    node
}

#[tokio::test]
async fn records_are_listed_in_parts() {
    let node = with_records().await;
    let sets: DataSets = typed(&node, "data_sets", json!({})).await;
    assert_eq!((sets.data_sets.len(), sets.data_sets[0].name.as_str()), (1, "set"));
    let all: RecordsInfo = typed(&node, "records", json!({ "data_set": "set" })).await;
    assert_eq!((all.height, all.owner.as_str(), all.records.len()), (Height(2), "alpha", 3));
    assert_eq!(all.next, None);
    let prefix = hex::encode("a/");
    let params = json!({ "data_set": "set", "prefix": prefix, "limit": "1" });
    let first: RecordsInfo = typed(&node, "records", params).await;
    assert_eq!(first.records, all.records[..1]);
    let params = json!({ "data_set": "set", "prefix": prefix, "after": first.next.unwrap() });
    let rest: RecordsInfo = typed(&node, "records", params).await;
    assert_eq!(rest.records, all.records[1..2]);
    for (params, code) in [
        (json!({}), -32602),
        (json!({ "data_set": "No Name" }), -32602),
        (json!({ "data_set": 7 }), -32602),
        (json!({ "data_set": "set", "limit": 0 }), -32602),
        (json!({ "data_set": "set", "limit": 1_001 }), -32602),
        (json!({ "data_set": "set", "limit": -1 }), -32602),
        (json!({ "data_set": "set", "prefix": "x" }), -32602),
        (json!({ "data_set": "set", "after": "0" }), -32602),
        (json!({ "data_set": "none" }), -32603),
    ] {
        assert_eq!(node.error("records", params.clone()).await.0, code, "{params}");
    }
}

#[tokio::test]
async fn what_is_there_and_what_is_not_is_proved_by_the_next_header() {
    let node = with_records().await;
    let prove = async |set: &str, key: &str| -> ProofInfo {
        typed(&node, "proof", json!({ "data_set": set, "key": hex::encode(key) })).await
    };
    let found = [
        (prove("set", "a/1").await, Some((1, "b25l"))),
        (prove("set", "b").await, Some((1, ""))),
        (prove("set", "none").await, None),
        (prove("other", "none").await, None),
    ];
    node.commit(vec![]);
    for (info, expected) in found {
        assert_eq!((info.height, info.header_height), (Height(2), Height(3)));
        let header = node.call("header", json!({ "height": info.header_height.to_string() })).await;
        assert_eq!(header["header"]["app_hash"], json!(info.app_hash));
        let key = hex::decode(&info.key).unwrap();
        let state_key = state_key(&info.data_set, &key);
        assert_eq!(info.state_key, hex::encode_upper(&state_key));
        let value = |text: &String| {
            use base64::Engine;
            base64::engine::general_purpose::STANDARD.decode(text).unwrap()
        };
        let state_value = info.state_value.as_ref().map(value);
        let leaf = info.proof.leaf.as_ref().map(|leaf| (leaf.key, leaf.value));
        let proof = Proof { siblings: info.proof.siblings.clone(), leaf };
        assert!(proof.verify(&info.app_hash, &state_key, state_value.as_deref()));
        assert!(!proof.verify(&Hash::of(b"x"), &state_key, state_value.as_deref()));
        let record = info.version.zip(info.value.as_deref());
        assert_eq!(record, expected);
        let stored: Option<Stored> =
            state_value.map(|bytes| codec::decode("record", &bytes, 1_000_000).unwrap());
        assert_eq!(stored.map(|stored| stored.version), expected.map(|(version, _)| version));
    }
    let long = "AB".repeat(257);
    for params in [
        json!({}),
        json!({ "data_set": "set" }),
        json!({ "data_set": "set", "key": "" }),
        json!({ "data_set": "set", "key": "x" }),
        json!({ "data_set": "set", "key": long }),
        json!({ "key": "AB" }),
    ] {
        assert_eq!(node.error("proof", params.clone()).await.0, -32602, "{params}");
    }
}

#[tokio::test]
async fn liveness_records_of_a_range() {
    let node = node().await;
    let dead = testing::validator(1).public();
    node.commit(vec![]);
    node.commit_seen(|key| *key != dead);
    node.commit(vec![]);
    // What is remembered follows the commits in a task of its own.
    let remembered = async || loop {
        let found: Liveness = typed(&node, "liveness", json!({})).await;
        if found.records.last().unwrap().alive_nodes.is_some() {
            break found;
        }
    };
    let third = remembered().await.records[2].clone();
    for _ in 4..=130 {
        node.commit(vec![]);
    }
    let newest = remembered().await;
    assert_eq!((newest.from, newest.to, newest.records.len()), (Height(101), Height(130), 30));
    let range: Liveness = typed(&node, "liveness", json!({ "from": 1, "to": "100" })).await;
    assert_eq!(range.records.len(), 100);
    assert_eq!((range.records[0].alive.len(), range.records[1].alive.len()), (0, 8));
    let seen = &range.records[2];
    assert_eq!(*seen, third);
    assert_eq!(seen.alive.iter().filter(|alive| *alive).count(), 7);
    let alive = seen.alive_nodes.as_ref().unwrap();
    assert!(alive.len() == 7 && !alive.contains(&dead));
    assert_eq!(seen.observations.len(), 4);
    let block = node.chain().db.block(Height(3)).unwrap().unwrap().block;
    assert_eq!((seen.signature, seen.height), (block.record.signature, Height(3)));
    assert_eq!(seen.time, block.header.time.to_rfc3339());

    for (params, code, words) in [
        (json!({ "from": 1, "to": 101 }), -32602, "at most 100"),
        (json!({ "from": 9, "to": 8 }), -32602, "from is 9, and to is 8"),
        (json!({ "from": "0" }), -32603, "greater than 0"),
        (json!({ "to": "-1" }), -32603, "greater than 0"),
        (json!({ "to": 131 }), -32603, "less than or equal"),
        (json!({ "from": u64::MAX }), -32602, "below it"),
        (json!({ "from": "x" }), -32602, "whole number"),
    ] {
        let (got, text) = node.error("liveness", params).await;
        assert!(got == code && text.contains(words), "{got} {text}");
    }
    while node.chain().db.prune(Height(120)).unwrap().blocks > 0 {}
    let (_, text) = node.error("liveness", json!({ "from": 119 })).await;
    assert_eq!(text, "height 119 is not available, lowest height is 120");
    let rest: Liveness = typed(&node, "liveness", json!({})).await;
    assert_eq!(rest.from, Height(120));
}

#[tokio::test]
async fn the_history_of_a_record_is_what_was_written_there() {
    let node = node().await;
    let sign = |nonce, call| node.chain().sign(&testing::user(), nonce, Call::Records(call));
    let delete = |nonce| {
        let (data_set, key, expected) = ("set".parse().unwrap(), b"a".to_vec(), None);
        sign(nonce, records::Call::Delete { data_set, key, expected })
    };
    let put = |nonce, value: &[u8]| node.chain().put(nonce, "a", value);
    let fails = {
        let (data_set, key, value) = ("set".parse().unwrap(), b"a".to_vec(), Vec::new());
        let (content_type, expected) = (None, Some(9));
        sign(3, records::Call::Put { data_set, key, content_type, value, expected })
    };
    let other = node.chain().put(4, "ab", b"other");
    let create = node.chain().create(1);
    node.commit(vec![create, put(2, b"one"), fails, other]);
    node.commit(vec![put(5, b"two"), delete(6)]);
    let last = node.chain().put_as(7, "a", Some("text/csv"), b"");
    node.commit(vec![last.clone()]);
    let ask = async |mut params: Value| -> RecordHistory {
        params["data_set"] = json!("set");
        params["key"] = json!(hex::encode("a"));
        typed(&node, "record_history", params).await
    };
    let all = ask(json!({})).await;
    assert_eq!((all.from, all.to, all.next), (Height(1), Height(3), None));
    let short: Vec<_> = all
        .versions
        .iter()
        .map(|v| (v.version, v.is_deleted, v.height.0, v.index, v.value.as_deref()))
        .collect();
    let expected = [
        (3, false, 3, 1, Some("")),
        (2, true, 2, 2, None),
        (2, false, 2, 1, Some("dHdv")),
        (1, false, 1, 2, Some("b25l")),
    ];
    assert_eq!(short, expected);
    let newest = &all.versions[0];
    assert_eq!((newest.tx, newest.sender), (last.hash(), testing::user().public()));
    assert_eq!(newest.digest, Some(Hash::of(b"")));
    let types: Vec<_> =
        all.versions.iter().map(|v| v.content_type.as_ref().map(ToString::to_string)).collect();
    assert_eq!(types, [Some("text/csv".to_owned()), None, None, None]);
    let (mut parts, mut before) = (Vec::new(), None);
    loop {
        let part = ask(json!({ "limit": 1, "before": before })).await;
        assert_eq!(part.versions.len(), 1);
        parts.extend(part.versions);
        before = part.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(parts, all.versions);
    let none = json!({ "data_set": "none", "key": "AB" });
    let none: RecordHistory = typed(&node, "record_history", none).await;
    assert_eq!(none.versions, []);
    for before in ["1", "/", "1/x", "-1/1", "x/1", "1/4294967296"] {
        let params = json!({ "data_set": "set", "key": "AB", "before": before });
        assert_eq!(node.error("record_history", params).await.0, -32602, "{before}");
    }
    for params in [json!({}), json!({ "data_set": "set" }), json!({ "key": "AB" })] {
        assert_eq!(node.error("record_history", params).await.0, -32602);
    }

    // What a pruned node can answer.
    node.chain().db.prune(Height(2)).unwrap();
    let rest = ask(json!({})).await;
    assert_eq!((rest.from, rest.versions), (Height(2), all.versions[..3].to_vec()));
}

#[tokio::test]
async fn a_node_without_an_index_says_so() {
    let node = node_with(|config| config.index.enabled = false).await;
    let params = json!({ "data_set": "set", "key": "AB" });
    let (code, text) = node.error("record_history", params).await;
    assert!(code == -32603 && text.contains("index.enabled"), "{text}");
    node.commit(vec![]);
    let status = node.call("status", json!({})).await;
    assert_eq!(status["node_info"]["other"]["tx_index"], "off");
}
