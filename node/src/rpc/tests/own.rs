//! Sending transactions, records, and Tandem's own methods.

use std::time::Duration;

use serde_json::{Value, json};
use tandem_chain::modules::{Call, standby};
use tandem_chain::types::{Height, Term};

use super::{node, node_with, tx_param};
use crate::client::{SubmitError, submit_and_wait};
use crate::rpc::shapes::tandem::NodeRole;
use crate::testing;

#[tokio::test]
async fn a_transaction_is_sent_committed_and_found() {
    let node = node().await;
    let tx = node.chain().create(1);
    let commit = tokio::spawn({
        let (client, params) = (node.client.clone(), tx_param(&tx));
        async move { client.call::<Value>("broadcast_tx_commit", params).await }
    });
    node.admission.arrived().await;
    node.commit(node.admission.take(1_000_000, 10));
    let answer = commit.await.unwrap().unwrap();
    assert_eq!((&answer["height"], &answer["tx_result"]["code"]), (&json!("1"), &json!(0)));
    assert_eq!(answer["hash"], json!(tx.hash()));

    // Again: the ledger has it, and the receipt is there.
    let sync = node.client.broadcast_tx_sync(tx.bytes()).await.unwrap();
    assert!(sync.code == 6 && sync.log.contains("in the chain already"), "{}", sync.log);
    let again = node.call("broadcast_tx_commit", tx_param(&tx)).await;
    assert_eq!((&again["height"], &again["check_tx"]["code"]), (&json!("1"), &json!(0)));
}

#[tokio::test]
async fn what_is_refused_has_its_code_and_reason() {
    let node = node().await;
    let stranger = testing::key(250);
    let call = node.chain().create(1).body().call.clone();
    let tx = node.chain().sign(&stranger, 1, call);
    for method in ["broadcast_tx_sync", "broadcast_tx_commit"] {
        let mut answer = node.call(method, tx_param(&tx)).await;
        if method == "broadcast_tx_commit" {
            assert_eq!(answer["height"], "0");
            answer = answer["check_tx"].take();
        }
        assert_eq!((&answer["code"], &answer["codespace"]), (&json!(7), &json!("tandem")));
        assert!(answer["log"].as_str().unwrap().contains("no registered key"));
    }
    // Nothing is waited for, and nothing is told.
    let answer = node.call("broadcast_tx_async", tx_param(&tx)).await;
    assert_eq!((&answer["code"], &answer["hash"]), (&json!(0), &json!(tx.hash())));
    assert_eq!(node.error("broadcast_tx_sync", json!({})).await.0, -32602);
    assert_eq!(node.error("broadcast_tx_sync", json!({ "tx": "%" })).await.0, -32602);
}

#[tokio::test]
async fn waiting_for_a_block_has_an_end() {
    let node = node_with(|config| {
        config.rpc.broadcast_commit_timeout = Duration::from_millis(1);
    })
    .await;
    let tx = node.chain().create(1);
    let (code, data) = node.error("broadcast_tx_commit", tx_param(&tx)).await;
    assert!(code == -32603 && data.contains("timed out waiting for tx"), "{data}");
}

#[tokio::test]
async fn the_client_waits_for_the_receipt() {
    let node = node().await;
    let tx = node.chain().create(1);
    let (wait, patience) = ([node.client.clone()], Duration::from_secs(60));
    let commits = async {
        node.admission.arrived().await;
        node.commit(node.admission.take(1_000_000, 10));
    };
    let (submission, ()) = tokio::join!(submit_and_wait(&wait, &tx, patience), commits);
    let submission = submission.unwrap();
    assert_eq!((submission.info.height, submission.info.receipt.code), (Height(1), 0));

    let stranger = testing::key(250);
    let refused = node.chain().sign(&stranger, 1, tx.body().call.clone());
    let error = submit_and_wait(&wait, &refused, patience).await.unwrap_err();
    assert!(matches!(error, SubmitError::Refused { code: 7, .. }), "{error}");

    let late = node.chain().put(2, "key", b"value");
    let blocks = async {
        node.admission.arrived().await;
        while node.chain().tip().height < late.body().valid_until {
            node.commit(vec![]);
        }
    };
    let (error, ()) = tokio::join!(submit_and_wait(&wait, &late, patience), blocks);
    assert!(matches!(error.unwrap_err(), SubmitError::Expired { .. }));
}

#[tokio::test]
async fn records_are_queried() {
    let node = node().await;
    let txs = {
        let chain = node.chain();
        let put =
            |nonce, key, content_type, value: &[u8]| chain.put_as(nonce, key, content_type, value);
        let csv = Some("text/csv; header=absent");
        vec![
            chain.create(1),
            put(2, "a/1", None, b"one"),
            put(3, "a/2", csv, b"two"),
            put(4, "b\u{1}", None, b""),
        ]
    };
    node.commit(txs);
    let set = "set".parse().unwrap();
    let one = node.client.record(&set, b"a/1").await.unwrap();
    assert_eq!((one.value, one.version, one.height), (b"one".to_vec(), 1, Height(1)));
    assert_eq!(one.content_type, None);
    let two = node.client.record(&set, b"a/2").await.unwrap();
    let csv = Some("text/csv; header=absent".parse().unwrap());
    assert_eq!((two.value, &two.content_type), (b"two".to_vec(), &csv));
    let query = json!({ "path": "/records/set/a%2F1", "data": "", "height": "0" });
    let answer = node.call("abci_query", query).await;
    assert_eq!(answer["response"]["value"], "b25l");
    assert_eq!(answer["response"].get("content_type"), Some(&json!(null)));
    let answer = node.call("abci_query", json!({ "path": "/records/set/a%2F2" })).await;
    assert_eq!(answer["response"]["content_type"], "text/csv; header=absent");

    let page = node.client.records(&set, b"a/", None, 1).await.unwrap();
    assert_eq!((page.records.len(), page.records[0].key.as_str()), (1, "612F31"));
    assert_eq!(page.records[0].content_type, None);
    let rest = node.client.records(&set, b"a/", page.next.as_deref(), 10).await.unwrap();
    assert_eq!((rest.records.len(), rest.records[0].size, rest.next), (1, 3, None));
    assert_eq!(rest.records[0].content_type, csv);
    assert_eq!(node.client.records(&set, b"", None, 10).await.unwrap().records.len(), 3);
    let sets = node.client.data_sets().await.unwrap().data_sets;
    assert_eq!(sets[0].owner.as_str(), testing::ORGS[0]);

    let missing = node.client.record(&set, b"none").await.unwrap();
    assert!(missing.code == 10 && missing.log.contains("set/none"), "{}", missing.log);
    let missing = node.client.record(&"other".parse().unwrap(), b"x").await.unwrap();
    assert!(missing.code == 10 && missing.log.contains("data set other"), "{}", missing.log);
    let negative = json!({ "path": "/records", "height": "-1" });
    assert_eq!(node.error("abci_query", negative).await.0, -32603);
    for params in [
        json!({}),
        json!({ "path": "/store" }),
        json!({ "path": "/records", "prove": true }),
        json!({ "path": "/records", "data": "0x" }),
    ] {
        assert_eq!(node.error("abci_query", params).await.0, -32602);
    }
    let (_, data) = node.error("abci_query", json!({ "path": "/records", "height": "7" })).await;
    assert!(data.contains("height 7 is not kept"), "{data}");
}

/// A block is in the database a moment before it is published.
#[tokio::test]
async fn height_and_value_agree_while_a_block_is_being_published() {
    let node = node().await;
    let (create, [one, two]) = {
        let chain = node.chain();
        (chain.create(1), [(2, b"one"), (3, b"two")].map(|(n, value)| chain.put(n, "key", value)))
    };
    node.commit(vec![create, one]);
    let unpublished = node.chain().commit(vec![two]);
    let found = node.client.record(&"set".parse().unwrap(), b"key").await.unwrap();
    assert_eq!((found.value, found.version, found.height), (b"two".to_vec(), 2, Height(2)));
    let query = json!({ "path": "/records/set/key", "height": "1" });
    let (code, data) = node.error("abci_query", query).await;
    assert!(code == -32603 && data.contains("the newest, 2"), "{data}");
    let seats = node.client.seats(2).await.unwrap();
    assert_eq!((seats.height, seats.grid_from), (Height(2), Height(1)));
    assert_eq!(seats.seats[0].holder_alive, Some(true));
    // Where what is published belongs to the answer, it is of the published height.
    let results = node.call("block_results", json!({})).await;
    assert_eq!(results["height"], "1");
    assert!(results["app_hash"].is_string());
    node.publish(unpublished);
    assert_eq!(node.call("block_results", json!({})).await["height"], "2");
}

#[tokio::test]
async fn seats_show_the_run_and_the_grid() {
    let node = node().await;
    let dead = testing::validator(1).public();
    node.commit(vec![]);
    node.commit_seen(|key| *key != dead);
    node.commit_seen(|key| *key != dead);
    node.commit(vec![]);
    // Observations that come with block k are recorded in block k+1.
    let seats = loop {
        let seats = node.client.seats(4).await.unwrap();
        // The grid follows the commits in a task of its own.
        if !seats.seats[1].holder_grid.ends_with('?') {
            break seats;
        }
    };
    assert_eq!((seats.height, seats.grid_from), (Height(4), Height(1)));
    let beta = seats.seats.iter().find(|seat| seat.seat.as_str() == "beta").unwrap();
    assert_eq!((beta.holder, beta.partner), (Some(dead), Some(testing::standby(1).public())));
    assert_eq!((beta.holder_grid.as_str(), beta.partner_grid.as_str()), ("?100", "?111"));
    assert_eq!((beta.holder_alive, beta.partner_ready), (Some(false), Some(true)));
    assert_eq!((beta.run_blocks, beta.is_down, beta.term), (2, false, Term(0)));
    assert!(beta.blocks_until_switch.is_some());
    assert_eq!(node.error("seats", json!({ "blocks": 0 })).await.0, -32602);
    assert_eq!(node.error("seats", json!({ "blocks": 201 })).await.0, -32602);
}

#[tokio::test]
async fn a_seat_whose_pair_is_dead_is_down() {
    let node = node().await;
    node.commit(vec![]);
    let dead = [testing::validator(1).public(), testing::standby(1).public()];
    node.commit_seen(|key| !dead.contains(key));
    node.commit(vec![]);
    let seats = node.client.seats(3).await.unwrap().seats;
    let down: Vec<&str> = seats.iter().filter(|s| s.is_down).map(|s| s.seat.as_str()).collect();
    assert_eq!(down, ["beta"]);
}

#[tokio::test]
async fn switches_members_nodes_parameters_and_keys() {
    let node = node().await;
    assert!(node.client.switches(0, 10).await.unwrap().switches.is_empty());
    let target = testing::standby(2).public();
    let call = standby::Call::Switch { seat: "gamma".parse().unwrap(), target, term: Term(0) };
    node.commit(vec![]);
    let switch = node.chain().sign(&testing::admin(2), 1, Call::Standby(call));
    node.commit(vec![switch]);
    node.commit(vec![]);
    let switches = node.client.switches(0, 10).await.unwrap().switches;
    assert_eq!(switches.len(), 1);
    assert_eq!((switches[0].to, switches[0].effective), (Some(target), Height(4)));
    assert_eq!((switches[0].term, switches[0].reason.as_str()), (Term(1), "planned"));
    let validators = node.call("validators", json!({ "height": 4 })).await;
    let gamma = validators["validators"].as_array().unwrap().iter().find(|v| v["term"] == "1");
    assert_eq!(gamma.unwrap()["organization"], "gamma");

    let orgs = node.client.organizations().await.unwrap().organizations;
    assert_eq!((orgs.len(), orgs[0].pair.len(), orgs[0].users), (4, 2, 1));
    let nodes = node.client.nodes().await.unwrap().nodes;
    assert_eq!(nodes.len(), 8);
    let found = nodes.iter().find(|n| n.key == target).unwrap();
    assert_eq!((found.role, found.connected), (NodeRole::Validator, false));
    assert!(nodes.iter().filter(|n| n.connected).count() == 2);

    let parameters = node.client.parameters().await.unwrap();
    assert_eq!(parameters.parameters, node.chain().genesis.parameters);
    assert_eq!(parameters.failover_blocks, 10);
    let key = node.client.key(&testing::admin(3).public()).await.unwrap();
    assert_eq!((key.organization.unwrap().as_str(), key.role.as_deref()), ("delta", Some("admin")));
    let key = node.client.key(&testing::key(250).public()).await.unwrap();
    assert!(key.organization.is_none() && key.role.is_none());
    assert_eq!(node.error("key", json!({ "key": "AB" })).await.0, -32602);
}
