//! CometBFT's routes beside those in `shapes`: headers, chunks, checks, evidence.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use tandem_chain::comet::vote_sign_bytes;
use tandem_chain::keys::SecretKey;
use tandem_chain::types::{BlockId, Hash, Height, Round, Timestamp};
use tandem_chain::vote::VoteKind;
use tendermint::block::{Header, Id, Meta};
use tendermint::consensus::Params;
use tendermint::tx::Proof;

use super::{Node, node, tx_param};
use crate::testing;

fn read<T: for<'de> Deserialize<'de>>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{error} in {value:#}"))
}

/// A node with as many blocks, of which the second has two transactions.
async fn with_blocks(count: u64) -> Node {
    let node = node().await;
    let txs = {
        let chain = node.chain();
        [chain.create(1), chain.put(2, "key", b"value")]
    };
    for height in 1..=count {
        node.commit(if height == 2 { txs.to_vec() } else { Vec::new() });
    }
    node
}

fn id_of(node: &Node, height: u64) -> BlockId {
    node.chain().db.block(Height(height)).unwrap().unwrap().block.id()
}

#[tokio::test]
async fn headers_and_blocks_are_found_by_height_and_by_hash() {
    let node = with_blocks(3).await;
    let id = id_of(&node, 2);
    let block = node.call("block", json!({ "height": 2 })).await;
    let header = node.call("header", json!({ "height": "2" })).await;
    assert_eq!(header["header"], block["block"]["header"]);
    let _: Header = read(&header["header"]);
    assert_eq!(node.call("header", json!({})).await["header"]["height"], "3");
    // In base64 as for a block, or in hex as for a header: clients send both.
    for hash in [STANDARD.encode(id.as_bytes()), id.to_string(), id.to_string().to_lowercase()] {
        let params = json!({ "hash": hash });
        assert_eq!(node.call("header_by_hash", params.clone()).await, header);
        assert_eq!(node.call("block_by_hash", params).await, block);
    }
    let unknown = json!({ "hash": Hash::of(b"none").to_string() });
    assert_eq!(node.call("header_by_hash", unknown.clone()).await, json!({ "header": null }));
    let none = node.call("block_by_hash", unknown).await;
    assert_eq!(none["block"], Value::Null);
    let _: Id = read(&none["block_id"]);

    node.chain().db.prune(Height(3)).unwrap();
    let gone = json!({ "hash": id.to_string() });
    assert_eq!(node.call("header_by_hash", gone.clone()).await, json!({ "header": null }));
    assert_eq!(node.call("block_by_hash", gone).await["block"], Value::Null);
    let (_, text) = node.error("header", json!({ "height": 2 })).await;
    assert_eq!(text, "height 2 is not available, lowest height is 3");
    for method in ["header_by_hash", "block_by_hash"] {
        for bad in [json!({}), json!({ "hash": "AB" }), json!({ "hash": 7 })] {
            assert_eq!(node.error(method, bad).await.0, -32602, "{method}");
        }
    }
}

#[tokio::test]
async fn blockchain_gives_the_newest_headers_of_a_range() {
    let node = with_blocks(25).await;
    let heights = async |params: Value| {
        let answer = node.call("blockchain", params).await;
        assert_eq!(answer["last_height"], "25");
        let metas: Vec<Meta> = read(&answer["block_metas"]);
        let heights: Vec<u64> = metas.iter().map(|meta| meta.header.height.value()).collect();
        assert!(heights.iter().rev().is_sorted());
        (*heights.last().unwrap(), heights[0])
    };
    assert_eq!(heights(json!({})).await, (6, 25));
    assert_eq!(heights(json!({ "minHeight": "0", "maxHeight": "0" })).await, (6, 25));
    assert_eq!(heights(json!({ "minHeight": "2", "maxHeight": "4" })).await, (2, 4));
    assert_eq!(heights(json!({ "minHeight": 1, "maxHeight": 24 })).await, (5, 24));
    assert_eq!(heights(json!({ "maxHeight": u64::MAX.to_string() })).await, (6, 25));
    assert_eq!(heights(json!({ "minHeight": 25 })).await, (25, 25));
    let meta = &node.call("blockchain", json!({ "minHeight": 2, "maxHeight": 2 })).await;
    let meta = &meta["block_metas"][0];
    assert_eq!(
        (&meta["num_txs"], &meta["block_id"]["hash"]),
        (&json!("3"), &json!(id_of(&node, 2)))
    );
    assert!(meta["block_size"].as_str().unwrap().parse::<u64>().unwrap() > 500);
    let (code, text) = node.error("blockchain", json!({ "minHeight": 9, "maxHeight": 8 })).await;
    assert_eq!((code, text.as_str()), (-32603, "min height 9 can't be greater than max height 8"));
    for bad in [json!({ "minHeight": -1 }), json!({ "maxHeight": "-1" })] {
        assert_eq!(node.error("blockchain", bad).await.0, -32603);
    }
    for bad in [json!({ "minHeight": "x" }), json!({ "maxHeight": [1] }), json!({ "min": 1 })] {
        assert_eq!(node.error("blockchain", bad).await.0, -32602);
    }

    node.chain().db.prune(Height(20)).unwrap();
    assert_eq!(heights(json!({ "minHeight": 1 })).await, (20, 25));
    assert_eq!(node.error("blockchain", json!({ "maxHeight": 19 })).await.0, -32603);
    let (_, text) = super::node().await.error("blockchain", json!({})).await;
    assert!(text.contains("no block yet"), "{text}");
}

#[tokio::test]
async fn the_genesis_comes_in_chunks() {
    let node = with_blocks(1).await;
    let whole = node.call("genesis", json!({})).await;
    for params in [json!({}), json!({ "chunk": "0" }), json!({ "chunk": 0 })] {
        let answer = node.call("genesis_chunked", params).await;
        assert_eq!((&answer["chunk"], &answer["total"]), (&json!("0"), &json!("1")));
        let text = STANDARD.decode(answer["data"].as_str().unwrap()).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&text).unwrap(), whole["genesis"]);
    }
    let (code, text) = node.error("genesis_chunked", json!({ "chunk": "1" })).await;
    assert_eq!(code, -32603);
    assert!(text.contains("there are 1 chunks"), "{text}");
    assert_eq!(node.error("genesis_chunked", json!({ "chunk": "-1" })).await.0, -32602);
}

#[tokio::test]
async fn consensus_params_are_those_that_a_header_has_the_hash_of() {
    let node = with_blocks(3).await;
    let newest = node.call("consensus_params", json!({})).await;
    assert_eq!(newest["block_height"], "4");
    let params: Params = read(&newest["consensus_params"]);
    assert_eq!(params.block.max_bytes, node.chain().genesis.parameters.block_max_bytes);
    for height in 1..=4 {
        let answer = node.call("consensus_params", json!({ "height": height })).await;
        assert_eq!(answer["consensus_params"], newest["consensus_params"]);
        assert_eq!(answer["block_height"], height.to_string());
    }
    for bad in ["0", "-1", "5", "18446744073709551615"] {
        assert_eq!(node.error("consensus_params", json!({ "height": bad })).await.0, -32603);
    }
    // The limit was changed by the members since.
    let mut tip = (*node.chain().tip()).clone();
    let mut parameters = (*tip.parameters).clone();
    parameters.block_max_bytes += 1;
    tip.parameters = std::sync::Arc::new(parameters);
    node.tip.send_replace(std::sync::Arc::new(tip));
    let (_, text) = node.error("consensus_params", json!({ "height": 3 })).await;
    assert!(text.contains("others than today's"), "{text}");
    assert_eq!(node.call("consensus_params", json!({})).await["block_height"], "4");
}

#[tokio::test]
async fn waiting_transactions_are_shown_and_checks_take_nothing_in() {
    let node = with_blocks(2).await;
    let put = |nonce| node.chain().put(nonce, "key", b"value");
    let tx = put(3);
    let checked = node.call("check_tx", tx_param(&tx)).await;
    assert_eq!((&checked["code"], &checked["log"]), (&json!(0), &json!("")));
    let answer = node.call("unconfirmed_txs", json!({})).await;
    assert_eq!(
        (&answer["n_txs"], &answer["total"], &answer["txs"]),
        (&json!("0"), &json!("0"), &json!([]))
    );

    let mut bad = tx.bytes().to_vec();
    *bad.last_mut().unwrap() ^= 1;
    let committed = node.chain().db.block(Height(2)).unwrap().unwrap().block.txs[0].clone();
    let stranger = node.chain().sign(&testing::key(250), 1, tx.body().call.clone());
    let long = vec![0; tandem_chain::limits::MAX_TX_BYTES + 1];
    for (bytes, code) in [
        (bad.as_slice(), 2),
        (committed.bytes(), 6),
        (stranger.bytes(), 7),
        (&[][..], 1),
        (long.as_slice(), 1),
    ] {
        let answer = node.call("check_tx", json!({ "tx": STANDARD.encode(bytes) })).await;
        assert_eq!((&answer["code"], &answer["codespace"]), (&json!(code), &json!("tandem")));
    }
    assert_eq!(node.error("check_tx", json!({})).await.0, -32602);

    let waiting: Vec<_> = (10..150).map(put).collect();
    for tx in &waiting {
        node.admission.submit(tx.bytes().to_vec()).await.unwrap();
    }
    // What waits already is no error.
    assert_eq!(node.call("check_tx", tx_param(&waiting[0])).await["code"], 0);
    for (limit, count) in [(json!(null), 30), (json!("2"), 2), (json!(0), 30), (json!(1_000), 100)]
    {
        let answer = node.call("unconfirmed_txs", json!({ "limit": limit })).await;
        let txs = answer["txs"].as_array().unwrap();
        assert_eq!((txs.len(), &answer["n_txs"]), (count, &json!(count.to_string())));
        assert_eq!(answer["total"], "140");
        assert_eq!(txs[1], STANDARD.encode(waiting[1].bytes()));
    }
    assert_eq!(node.error("unconfirmed_txs", json!({ "limit": -1 })).await.0, -32602);
}

#[tokio::test]
async fn a_transaction_is_proved_to_be_in_its_block() {
    let node = with_blocks(3).await;
    let block = node.chain().db.block(Height(2)).unwrap().unwrap().block;
    for (index, hash) in crate::storage::hashes(&block).enumerate() {
        let params = json!({ "hash": hash.to_string(), "prove": true });
        let answer = node.call("tx", params).await;
        assert_eq!(answer["index"], index);
        let proof: Proof = read(&answer["proof"]);
        assert_eq!(proof.root_hash.as_bytes(), block.header.data_hash.as_bytes());
        assert_eq!((proof.proof.total, proof.proof.index), (3, index as u64));
        let way = tandem_chain::comet::Inclusion {
            total: 3,
            index,
            leaf: Hash::from_slice(proof.proof.leaf_hash.as_bytes()).unwrap(),
            aunts: proof
                .proof
                .aunts
                .iter()
                .map(|hash| Hash::from_slice(hash.as_bytes()).unwrap())
                .collect(),
        };
        assert_eq!(way.root(Hash::of(&proof.data).as_bytes()), Some(block.header.data_hash));
        let plain = node.call("tx", json!({ "hash": hash.to_string() })).await;
        assert_eq!(plain.get("proof"), None);
    }
}

/// A vote of an organisation's validator, in CometBFT's JSON.
pub(super) fn vote(node: &Node, org: u8, height: u64, block: Option<BlockId>, kind: u8) -> Value {
    let key: SecretKey = testing::validator(org);
    let (chain_id, round) = (node.chain().genesis.chain_id.clone(), Round(0));
    let time = Timestamp::from_millis(1_800_000_000_000);
    let of = if kind == 1 { VoteKind::Prevote } else { VoteKind::Precommit };
    let bytes = vote_sign_bytes(&chain_id, of, Height(height), round, block, time);
    let index = node.chain().tip().next_table.by_key(&key.public()).unwrap().0;
    json!({
        "type": kind,
        "height": height.to_string(),
        "round": 0,
        "block_id": crate::rpc::shapes::comet::block_id(block),
        "timestamp": time.to_rfc3339(),
        "validator_address": key.public().address(),
        "validator_index": index,
        "signature": STANDARD.encode(key.sign(&bytes).as_bytes()),
    })
}

pub(super) fn evidence(a: &Value, b: &Value) -> Value {
    let value = json!({ "vote_a": a, "vote_b": b, "TotalVotingPower": "0", "Timestamp": "x" });
    json!({ "evidence": { "type": "tendermint/DuplicateVoteEvidence", "value": value } })
}

#[tokio::test]
async fn evidence_of_double_signing_is_taken_once_it_is_judged() {
    let node = with_blocks(3).await;
    let votes = |height| {
        let blocks = [None, Some(Hash::of(b"one")), Some(Hash::of(b"two"))];
        blocks.map(|block| vote(&node, 2, height, block, 2))
    };
    let [nil, one, two] = votes(2);
    let answer = node.call("broadcast_evidence", evidence(&two, &one)).await;
    assert_eq!(node.call("broadcast_evidence", evidence(&one, &two)).await, answer);
    assert_eq!(answer["hash"].as_str().unwrap().len(), 64);
    node.call("broadcast_evidence", evidence(&nil, &two)).await;
    let taken: Vec<_> = node.accusations.lock().unwrap().try_iter().collect();
    assert_eq!(taken.len(), 3);
    assert!(taken.iter().all(|taken| taken.key == testing::validator(2).public()));
    assert!(taken.iter().all(|taken| taken.one.block < taken.other.block));

    let changed = |change: &dyn Fn(&mut Value)| {
        let mut vote = two.clone();
        change(&mut vote);
        evidence(&one, &vote)
    };
    let [_, of_one, of_two] = votes(4);
    for (bad, words) in [
        (evidence(&one, &one), "one block"),
        (evidence(&of_one, &of_two), "evidence window"),
        (evidence(&one, &vote(&node, 2, 2, Some(Hash::of(b"two")), 1)), "different heights"),
        (evidence(&one, &vote(&node, 1, 2, Some(Hash::of(b"two")), 2)), "another index"),
        (changed(&|vote| vote["signature"] = json!(STANDARD.encode([7; 64]))), "signature"),
        (changed(&|vote| vote["round"] = json!(1)), "different heights, rounds"),
    ] {
        let (code, text) = node.error("broadcast_evidence", bad).await;
        assert!(code == -32603 && text.contains(words), "{text}");
    }
    for bad in [
        changed(&|vote| vote["type"] = json!(3)),
        changed(&|vote| vote["signature"] = json!("AA==")),
        changed(&|vote| vote["block_id"]["hash"] = json!("AA")),
        changed(&|vote| vote["timestamp"] = json!("today")),
        changed(&|vote| vote["height"] = json!("-1")),
        changed(&|vote| vote["validator_index"] = json!(-1)),
        json!({ "evidence": { "type": "tendermint/LightClientAttackEvidence", "value": {} } }),
        json!({ "evidence": "x" }),
        json!({}),
    ] {
        assert_eq!(node.error("broadcast_evidence", bad.clone()).await.0, -32602, "{bad}");
    }
    assert_eq!(node.accusations.lock().unwrap().try_iter().count(), 0);
    // What nobody takes up is bounded.
    for _ in 0..tandem_chain::limits::MAX_ACCUSED {
        node.call("broadcast_evidence", evidence(&one, &two)).await;
    }
    let (code, text) = node.error("broadcast_evidence", evidence(&one, &two)).await;
    assert!(code == -32000 && text.contains("another validator"), "{text}");
}
