//! Subscriptions and what comes of them, read by the types that light clients use, too.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use tandem_chain::modules::{Call, standby};
use tandem_chain::types::Term;
use tendermint::abci;
use tokio_tungstenite::client_async_with_config;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::super::{node, node_with, setup, tx_param};
use super::*;
use crate::rpc::methods::METHODS;
use crate::rpc::state::RpcState;
use crate::rpc::websocket::BlockEvents;
use crate::testing::{self, Chain};

/// As Rust `tendermint-rpc` 0.41 reads events.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", content = "value")]
enum Data {
    #[serde(rename = "tendermint/event/NewBlock")]
    NewBlock {
        block: Option<Box<tendermint::Block>>,
        block_id: tendermint::block::Id,
        result_finalize_block: Option<abci::response::FinalizeBlock>,
    },
    #[serde(rename = "tendermint/event/Tx")]
    Tx {
        #[serde(rename = "TxResult")]
        tx_result: TxInfo,
    },
}

#[derive(Debug, Deserialize)]
struct TxInfo {
    height: String,
    index: Option<i64>,
    tx: String,
    result: TxResult,
}

#[derive(Debug, Deserialize)]
struct TxResult {
    log: Option<String>,
    gas_wanted: Option<String>,
    gas_used: Option<String>,
    events: Vec<abci::Event>,
}

fn read<T: for<'de> Deserialize<'de>>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{error} in {value:#}"))
}

#[tokio::test]
async fn blocks_and_transactions_come_with_the_id_of_their_subscription() {
    let node = node().await;
    let mut ws = open(&node).await;
    let of_txs = "tm.event = 'Tx'";
    ws.subscribe("blocks", NEW_BLOCK).await;
    ws.subscribe(7, of_txs).await;
    node.commit(vec![]);
    assert_eq!(ws.block("blocks").await, 1);
    let [create, put] = {
        let chain = node.chain();
        [chain.create(1), chain.put(2, "key", b"value")]
    };
    node.commit(vec![create.clone(), put.clone()]);

    let (data, keys) = ws.event("blocks", NEW_BLOCK).await;
    assert_eq!(data["type"], "tendermint/event/NewBlock");
    let block = node.call("block", json!({ "height": "2" })).await;
    assert_eq!(data["value"]["block"], block["block"]);
    assert_eq!(data["value"]["block_id"], block["block_id"]);
    assert_eq!((&keys["tm.event"], &keys["block.height"]), (&json!(["NewBlock"]), &json!(["2"])));
    let Data::NewBlock { block, block_id, result_finalize_block } = read(&data) else {
        panic!("{data}")
    };
    let (block, results) = (block.unwrap(), result_finalize_block.unwrap());
    assert_eq!((block.header.height.value(), block.data.len()), (2, 3));
    let id = node.chain().tip().block.unwrap();
    assert_eq!(block_id.hash.as_bytes(), id.as_bytes());
    assert_eq!(results.tx_results.len(), 3);
    assert_eq!(results.app_hash.as_bytes(), node.chain().tip().app_hash.as_bytes());

    // The liveness record, transaction 0, is in the block and none of these.
    for (index, tx) in [(1, &create), (2, &put)] {
        let (data, keys) = ws.event(7, of_txs).await;
        let hash = crate::rpc::shapes::comet::base64(tx.hash().as_bytes());
        let found = node.call("tx", json!({ "hash": hash })).await;
        let of_event = &data["value"]["TxResult"];
        for (name, value) in
            [("height", "height"), ("index", "index"), ("tx", "tx"), ("result", "tx_result")]
        {
            assert_eq!(of_event[name], found[value], "{name}");
        }
        assert_eq!(keys["tx.hash"], json!([found["hash"]]));
        assert_eq!((&keys["tx.height"], &keys["tm.event"]), (&json!(["2"]), &json!(["Tx"])));
        let Data::Tx { tx_result } = read(&data) else { panic!("{data}") };
        assert_eq!((tx_result.height.as_str(), tx_result.index), ("2", Some(index)));
        assert!(!tx_result.tx.is_empty() && tx_result.result.log.as_deref() == Some(""));
        let gas = (tx_result.result.gas_wanted, tx_result.result.gas_used);
        assert_eq!(gas, (Some("0".to_owned()), Some("0".to_owned())));
        // Each attribute is a key for queries.
        let events: BTreeMap<String, Vec<String>> = read(&keys);
        let event = &tx_result.result.events[0];
        for attribute in &event.attributes {
            let key = format!("{}.{}", event.kind, attribute.key_str().unwrap());
            assert_eq!(events[&key], [attribute.value_str().unwrap()]);
        }
    }

    let answer = ws.call("end", "unsubscribe", json!({ "query": "tm.event = 'NewBlock'" })).await;
    assert_eq!(answer["result"], json!({}));
    let put = node.chain().put(3, "key", b"value");
    node.commit(vec![put]);
    let (data, _) = ws.event(7, of_txs).await;
    assert_eq!(data["value"]["TxResult"]["height"], "3");
    // None to end is no error, and after it there are none.
    for _ in 0..2 {
        assert_eq!(ws.call(1, "unsubscribe_all", Value::Null).await["result"], json!({}));
    }
    node.commit(vec![]);
    assert_eq!(ws.call(2, "health", Value::Null).await["result"], json!({}));
    ws.subscribe(Value::Null, NEW_BLOCK).await;
    node.commit(vec![]);
    assert_eq!(ws.block(Value::Null).await, 5);
}

#[tokio::test]
async fn what_a_switch_is_told_as() {
    let node = node_with(|config| config.rpc.max_subscriptions = 10).await;
    node.commit(vec![]);
    let mut ws = open(&node).await;
    let kinds = ["NewBlockHeader", "NewBlockEvents", "ValidatorSetUpdates", "Switch"];
    let query = |kind: &str| format!("tm.event='{kind}'");
    for kind in kinds {
        ws.subscribe(kind, &query(kind)).await;
    }
    let target = testing::standby(2).public();
    let call = standby::Call::Switch { seat: "gamma".parse().unwrap(), target, term: Term(0) };
    let switch = node.chain().sign(&testing::admin(2), 1, Call::Standby(call));
    node.commit(vec![switch]);
    let mut values = Vec::new();
    for (kind, namespace) in kinds.iter().zip(["tendermint", "tendermint", "tendermint", "tandem"])
    {
        let (mut data, keys) = ws.event(*kind, &query(kind)).await;
        assert_eq!(data["type"], format!("{namespace}/event/{kind}"));
        assert_eq!((&keys["tm.event"], &keys["block.height"]), (&json!([kind]), &json!(["2"])));
        values.push((data["value"].take(), keys));
    }
    let block = node.call("block", json!({ "height": "2" })).await;
    assert_eq!(values[0].0, json!({ "header": block["block"]["header"] }));
    let results = node.call("block_results", json!({ "height": "2" })).await;
    let of_block = &results["finalize_block_events"];
    assert_eq!(values[1].0, json!({ "height": "2", "num_txs": "2", "events": of_block }));
    // In effect at height 4: one comes, the other has no power any more.
    let changed = values[2].0["validator_updates"].as_array().unwrap();
    let of_key = |key: &tandem_chain::keys::SecretKey| json!(key.public().address());
    let changed: Vec<(&Value, &Value)> =
        changed.iter().map(|entry| (&entry["address"], &entry["voting_power"])).collect();
    let [comes, goes] = [testing::standby(2), testing::validator(2)].map(|key| of_key(&key));
    assert_eq!(changed, [(&comes, &json!("1")), (&goes, &json!("0"))]);
    let history = node.call("switches", Value::Null).await;
    assert_eq!(values[3].0, history["switches"][0]);
    assert_eq!(values[3].1["switch.seat"], json!(["gamma"]));
}

#[tokio::test]
async fn queries_choose_among_events() {
    let node = node().await;
    let create = node.chain().create(1);
    node.commit(vec![create]);
    let mut ws = open(&node).await;
    let of_key = "tm.event='Tx' AND record_put.key = 'b' AND tx.height>2";
    ws.subscribe(1, of_key).await;
    ws.subscribe(2, "record_put.version >= 3 AND tx.hash EXISTS").await;
    ws.subscribe(3, "tm.event = 'Tx' AND tx.height < 2").await;
    ws.subscribe(4, NEW_BLOCK).await;
    for (nonce, key) in [(2, "b"), (3, "a"), (4, "b"), (5, "b")] {
        let put = node.chain().put(nonce, key, b"value");
        node.commit(vec![put]);
    }
    let mut got = Vec::new();
    loop {
        let event = ws.next().await;
        let id = event["id"].as_u64().unwrap();
        let result = &event["result"];
        let block = &result["data"]["value"]["block"]["header"]["height"];
        if id == 4 {
            if block == "5" {
                break;
            }
            continue;
        }
        let height = result["data"]["value"]["TxResult"]["height"].as_str().unwrap();
        got.push((id, height.to_owned()));
    }
    // Of the last block the transaction comes behind the block.
    let last = [ws.next().await, ws.next().await].map(|event| event["id"].as_u64().unwrap());
    assert_eq!(last, [1, 2]);
    assert_eq!(got, [(1, "4".to_owned())]);
}

#[tokio::test]
async fn all_methods_are_there_and_none_waits_for_another() {
    let node = node().await;
    node.commit(vec![]);
    let mut ws = open(&node).await;
    for method in METHODS {
        let answer = ws.call(method.name, method.name, Value::Null).await;
        let code = &answer["error"]["code"];
        assert!(*code == Value::Null || *code == -32602, "{}: {answer}", method.name);
    }
    let block = ws.call("a", "block", json!({ "height": 1 })).await;
    assert_eq!(block["result"], node.call("block", json!({ "height": 1 })).await);

    // One waits for a block, the other is answered meanwhile.
    let tx = node.chain().create(1);
    let commit = json!({
        "jsonrpc": "2.0", "id": "slow", "method": "broadcast_tx_commit", "params": tx_param(&tx),
    });
    ws.send(&commit.to_string()).await;
    node.admission.arrived().await;
    assert_eq!(ws.call("quick", "health", Value::Null).await["result"], json!({}));
    node.commit(vec![tx]);
    let answer = ws.next().await;
    assert_eq!((&answer["id"], &answer["result"]["height"]), (&json!("slow"), &json!("2")));

    let batch = json!([
        {"jsonrpc": "2.0", "id": 1, "method": "health"},
        {"jsonrpc": "2.0", "method": "health"},
        {"jsonrpc": "2.0", "id": 2, "method": "subscribe", "params": [NEW_BLOCK]},
    ]);
    ws.send(&batch.to_string()).await;
    let answers = ws.next().await;
    assert_eq!(answers.as_array().unwrap().len(), 2);
    assert_eq!((&answers[0]["id"], &answers[0]["result"]), (&json!(1), &json!({})));
    assert_eq!((&answers[1]["id"], &answers[1]["error"]["code"]), (&json!(2), &json!(-32601)));
}

#[tokio::test]
async fn sessions_end_when_the_node_stops() {
    let node = node().await;
    let mut ws = open(&node).await;
    ws.subscribe(1, NEW_BLOCK).await;
    node.stop.send(()).unwrap();
    assert_eq!(ws.end().await, (CloseCode::Away, "the node is stopping".to_owned()));
}

#[tokio::test]
async fn a_block_is_made_into_messages_once_for_all() {
    let node = node().await;
    let mut all = Vec::new();
    for _ in 0..20 {
        let mut ws = open(&node).await;
        ws.subscribe(1, NEW_BLOCK).await;
        all.push(ws);
    }
    for height in 1..=3 {
        node.commit(vec![]);
        for ws in &mut all {
            assert_eq!(ws.block(1).await, height);
        }
    }
    let chain = Chain::new();
    let (setup, _senders) = setup(&chain, |_| {});
    let state = RpcState::start(setup);
    let committed = node.chain().commit(vec![]);
    let block = Arc::new(BlockEvents::new(Arc::new(committed)));
    let first = block.members(&state, 0).await.unwrap();
    let again = block.members(&state, 0).await.unwrap();
    assert_eq!(again.as_ptr(), first.as_ptr());
}

#[tokio::test]
async fn long_texts_come_in_frames_and_are_whole() {
    let node = node().await;
    let [create, first, second] = {
        let chain = node.chain();
        let put = |nonce| chain.put(nonce, "key", &[7].repeat(180_000));
        [chain.create(1), put(2), put(3)]
    };
    node.commit(vec![create]);
    // A client that takes no longer frames.
    let address = address(&node);
    let config = WebSocketConfig::default().max_frame_size(Some(65_536));
    let stream = TcpStream::connect(address).await.unwrap();
    let url = format!("ws://{address}/websocket");
    let (stream, _) = client_async_with_config(url, stream, Some(config)).await.unwrap();
    let mut ws = Ws(stream);
    ws.subscribe(1, NEW_BLOCK).await;
    node.commit(vec![first, second]);
    let (data, _) = ws.event(1, NEW_BLOCK).await;
    let block = node.call("block", json!({ "height": "2" })).await;
    assert!(block.to_string().len() > 480_000);
    assert_eq!(data["value"]["block"], block["block"]);
    assert_eq!(ws.call(2, "block", json!({ "height": "2" })).await["result"], block);
}
