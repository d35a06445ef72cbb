//! CometBFT's shapes, read by the types of the `tendermint` crate.

use serde::Deserialize;
use serde_json::{Value, json};
use tandem_chain::comet;
use tandem_chain::types::Height;
use tendermint::block::Header;
use tendermint::block::signed_header::SignedHeader;
use tendermint::{abci, node, validator};

use super::{Node, node, tx_param};
use crate::rpc::shapes::comet as json_shapes;

fn read<T: for<'de> Deserialize<'de>>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{error} in {value:#}"))
}

/// A node with four blocks, in the second and third of which there are transactions.
async fn with_blocks() -> Node {
    let node = node().await;
    let (create, put, fails) = {
        let chain = node.chain();
        (chain.create(1), chain.put(2, "key", b"value"), chain.create(3))
    };
    node.commit(vec![]);
    node.commit(vec![create, put]);
    node.commit(vec![fails]);
    node.commit(vec![]);
    node
}

#[tokio::test]
async fn headers_and_commits_come_through_as_they_are_signed() {
    let node = with_blocks().await;
    for height in 1..=4 {
        let commit = node.call("commit", json!({ "height": height.to_string() })).await;
        assert_eq!(commit["canonical"], height < 4);
        let signed: SignedHeader = read(&commit["signed_header"]);
        assert_eq!(signed.header.height.value(), height);
        let stored = node.chain().db.block(Height(height)).unwrap().unwrap();
        let proto = comet::header_proto(&stored.block.header);
        let read_back = Header::try_from(proto).unwrap();
        assert_eq!(signed.header, read_back, "height {height}");
        assert_eq!(signed.commit.signatures.len(), 4);
        assert_eq!(signed.commit.block_id.hash.as_bytes(), stored.block.id().as_bytes());

        let block = node.call("block", json!([height])).await;
        let typed: tendermint::Block = read(&block["block"]);
        assert_eq!(typed.header, signed.header);
        assert_eq!(typed.data.len(), 1 + stored.block.txs.len());
        let id: tendermint::block::Id = read(&block["block_id"]);
        assert_eq!(id, signed.commit.block_id);
    }
    let first = node.call("block", json!({ "height": "1" })).await;
    let empty = json!({ "hash": "", "parts": { "total": 0, "hash": "" } });
    assert_eq!(first["block"]["header"]["last_block_id"], empty);
    assert_eq!(first["block"]["last_commit"]["block_id"], empty);
}

#[tokio::test]
async fn absent_signatures_are_flagged() {
    let absent = tandem_chain::block::Commit { signatures: vec![None], ..Default::default() };
    let value = json_shapes::commit(&absent);
    let expected = json!({
        "block_id_flag": 1,
        "validator_address": "",
        "timestamp": "0001-01-01T00:00:00Z",
        "signature": null,
    });
    assert_eq!(value["signatures"], json!([expected]));
    let typed: tendermint::block::Commit = read(&value);
    assert!(typed.signatures[0].is_absent());
}

#[tokio::test]
async fn validators_are_a_set_with_the_hash_in_the_header() {
    let node = with_blocks().await;
    // What the records of former blocks say is followed in a task of its own.
    while node.call("validators", json!({ "height": 3 })).await["validators"][0]["alive"].is_null()
    {
    }
    // Block 1 has no record, and of those to come nothing is known.
    for (height, alive) in [(1, None), (2, Some(true)), (4, Some(true)), (5, None), (6, None)] {
        let answer = node.call("validators", json!({ "height": height })).await;
        assert_eq!((&answer["total"], &answer["count"]), (&json!("4"), &json!("4")));
        let infos: Vec<validator::Info> = read(&answer["validators"]);
        assert!(infos.iter().all(|info| info.power.value() == 1));
        let entry = &answer["validators"][0];
        assert_eq!(entry["term"], "0");
        assert_eq!(entry["alive"], json!(alive), "height {height}");
        assert!(entry["organization"].is_string());
    }
    let page = node.call("validators", json!({ "page": "2", "per_page": "3" })).await;
    assert_eq!(page["validators"].as_array().unwrap().len(), 1);
    let (_, data) = node.error("validators", json!({ "page": 3, "per_page": 3 })).await;
    assert_eq!(data, "page should be within [1, 2] range, given 3");
}

#[tokio::test]
async fn results_and_transactions() {
    let node = with_blocks().await;
    let results = node.call("block_results", json!({ "height": "3" })).await;
    let typed: Vec<abci::types::ExecTxResult> = read(&results["txs_results"]);
    assert_eq!(typed.len(), 2);
    assert!(typed[0].code.is_ok() && typed[1].code.is_err());
    let app_hash: tendermint::AppHash = results["app_hash"].as_str().unwrap().parse().unwrap();
    let next = node.chain().db.block(Height(4)).unwrap().unwrap().block.header.app_hash;
    assert_eq!(app_hash.as_bytes(), next.as_bytes());
    let newest = node.call("block_results", json!({})).await;
    assert_eq!(newest["app_hash"], json!(node.chain().tip().app_hash));

    let stored = node.chain().db.block(Height(2)).unwrap().unwrap().block;
    let put = &stored.txs[1];
    let found = node.client.tx(&put.hash()).await.unwrap().unwrap();
    assert_eq!((found.height, found.index, found.receipt.code), (Height(2), 2, 0));
    assert_eq!(found.receipt.events[0].attribute("key"), Some("key"));
    let record = tandem_chain::types::Hash::of(&tandem_chain::codec::encode(&stored.record));
    let found = node.client.tx(&record).await.unwrap().unwrap();
    assert_eq!((found.height, found.index), (Height(2), 0));
    let unknown = tandem_chain::types::Hash::of(b"none");
    assert!(node.client.tx(&unknown).await.unwrap().is_none());
}

#[tokio::test]
async fn status_net_info_genesis_and_the_rest() {
    let node = with_blocks().await;
    let status = node.call("status", Value::Null).await;
    let info: node::Info = read(&status["node_info"]);
    assert_eq!(info.network.as_str(), "testing");
    assert!(info.version.to_string().starts_with("0.38."));
    let _: validator::Info = read(&status["validator_info"]);
    let sync = &status["sync_info"];
    for name in ["latest_block_hash", "latest_app_hash", "earliest_block_hash", "earliest_app_hash"]
    {
        assert_eq!(sync[name].as_str().unwrap().len(), 64, "{name}");
    }
    assert_eq!((&sync["latest_block_height"], &sync["catching_up"]), (&json!("4"), &json!(false)));
    let typed = node.client.status().await.unwrap();
    assert_eq!(typed.sync_info.latest_app_hash, node.chain().tip().app_hash);
    assert_eq!(status["tandem"]["counters"]["admission_admitted"], "0");
    assert_eq!(typed.tandem.counters["network_stalls"], 3);

    let net = node.call("net_info", Value::Null).await;
    assert_eq!(net["n_peers"], "1");
    let _: node::Info = read(&net["peers"][0]["node_info"]);
    assert_eq!(net["peers"][0]["remote_ip"], "10.0.0.2");
    let _: tendermint::Time = read(&net["peers"][0]["connection_status"]["SendMonitor"]["Start"]);

    let genesis = node.call("genesis", Value::Null).await;
    let typed: tendermint::Genesis<Value> = read(&genesis["genesis"]);
    assert_eq!(typed.validators.len(), 4);
    let own: tandem_chain::genesis::Genesis = read(&genesis["genesis"]["app_state"]);
    assert_eq!(own, node.chain().genesis);

    let abci = node.call("abci_info", Value::Null).await;
    assert_eq!(abci["response"]["last_block_height"], "4");
    let put = node.chain().put(9, "a", b"b");
    node.call("broadcast_tx_sync", tx_param(&put)).await;
    let waiting = node.call("num_unconfirmed_txs", Value::Null).await;
    assert_eq!((&waiting["n_txs"], &waiting["txs"]), (&json!("1"), &Value::Null));
}

#[tokio::test]
async fn heights_that_are_not_there_are_named() {
    let empty = node().await;
    let (code, data) = empty.error("block", json!({})).await;
    assert!(code == -32603 && data.contains("no block yet"), "{data}");
    assert_eq!(empty.call("status", json!({})).await["sync_info"]["latest_block_height"], "0");

    let node = with_blocks().await;
    for method in ["block", "commit", "block_results"] {
        let (code, data) = node.error(method, json!({ "height": "5" })).await;
        assert_eq!(code, -32603);
        let text = "height 5 must be less than or equal to the current blockchain height 4";
        assert_eq!(data, text, "{method}");
        let (_, data) = node.error(method, json!({ "height": "0" })).await;
        assert_eq!(data, "height must be greater than 0, but got 0");
        let (code, data) = node.error(method, json!({ "height": "-5" })).await;
        assert_eq!((code, data.as_str()), (-32603, "height must be greater than 0, but got -5"));
    }
    assert_eq!(node.error("validators", json!({ "height": "7" })).await.0, -32603);
}
