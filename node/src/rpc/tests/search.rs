//! Searches of transactions and blocks.

use serde_json::{Value, json};
use tandem_chain::modules::{Call, standby};
use tandem_chain::types::{Height, Term};

use super::{Node, node, node_with};
use crate::testing;

/// A node with six blocks: a data set and two records, a record, a switch, and one that fails.
async fn with_blocks() -> Node {
    let node = node().await;
    let target = testing::standby(2).public();
    let switch = standby::Call::Switch { seat: "gamma".parse().unwrap(), target, term: Term(0) };
    let blocks = {
        let chain = node.chain();
        let put = |nonce, key| chain.put(nonce, key, b"value");
        vec![
            vec![chain.create(1), put(2, "a"), put(3, "b")],
            vec![put(4, "a")],
            vec![chain.sign(&testing::admin(2), 5, Call::Standby(switch))],
            vec![chain.create(6)],
            vec![],
            vec![put(7, "a'b")],
        ]
    };
    for txs in blocks {
        node.commit(txs);
    }
    node
}

/// Heights and places of what is found, and how much there is.
async fn txs(node: &Node, params: Value) -> (Vec<(String, u64)>, u64) {
    let answer = node.call("tx_search", params).await;
    let found = answer["txs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tx| (tx["height"].as_str().unwrap().to_owned(), tx["index"].as_u64().unwrap()));
    (found.collect(), answer["total_count"].as_str().unwrap().parse().unwrap())
}

fn at(places: &[(u64, u64)]) -> Vec<(String, u64)> {
    places.iter().map(|(height, place)| (height.to_string(), *place)).collect()
}

#[tokio::test]
async fn transactions_are_found_by_their_events() {
    let node = with_blocks().await;
    let find = async |query: &str| txs(&node, json!({ "query": query })).await;
    assert_eq!(find("record_put.key = 'a'").await, (at(&[(1, 2), (2, 1)]), 2));
    assert_eq!(find("record_put.key='a' AND record_put.version='2'").await, (at(&[(2, 1)]), 1));
    assert_eq!(find("record_put.key = 'b' AND record_put.version = 2").await, (vec![], 0));
    assert_eq!(find("record_put.key CONTAINS 'b'").await, (at(&[(1, 3), (6, 1)]), 2));
    assert_eq!(find("record_put.key EXISTS AND tx.height > 1").await, (at(&[(2, 1), (6, 1)]), 2));
    assert_eq!(find("data_set_created.org = 'alpha'").await, (at(&[(1, 1)]), 1));
    assert_eq!(find("nothing.here = 'x'").await, (vec![], 0));
    // Each block has its liveness record.
    let all = [(1, 0), (1, 1), (1, 2), (1, 3), (2, 0), (2, 1), (3, 0), (3, 1)];
    let all = [&all[..], &[(4, 0), (4, 1), (5, 0), (6, 0), (6, 1)]].concat();
    assert_eq!(find("tx.height > 0").await, (at(&all), 13));
    assert_eq!(find("tx.height = 5").await, (at(&[(5, 0)]), 1));
    assert_eq!(find("tx.height = 7").await, (vec![], 0));

    let put = node.chain().db.block(Height(2)).unwrap().unwrap().block.txs[0].clone();
    let query = format!("tx.hash = '{}'", put.hash());
    let answer = node.call("tx_search", json!({ "query": query, "prove": true })).await;
    let tx = node.call("tx", json!({ "hash": put.hash().to_string(), "prove": true })).await;
    assert_eq!(answer["txs"], json!([tx]));
    assert!(tx["proof"]["proof"]["aunts"].is_array());
}

#[tokio::test]
async fn what_is_found_comes_in_pages_in_either_order() {
    let node = with_blocks().await;
    let page = async |page: Value, per_page: Value, order: &str| {
        let query = "tx.height > 1";
        let params =
            json!({ "query": query, "page": page, "per_page": per_page, "order_by": order });
        txs(&node, params).await
    };
    let rising = at(&[(2, 0), (2, 1), (3, 0), (3, 1), (4, 0), (4, 1), (5, 0), (6, 0), (6, 1)]);
    let falling: Vec<_> = rising.iter().rev().cloned().collect();
    assert_eq!(page(json!(null), json!(null), "").await, (rising.clone(), 9));
    assert_eq!(page(json!("1"), json!("4"), "asc").await, (rising[..4].to_vec(), 9));
    assert_eq!(page(json!(3), json!(4), "asc").await, (rising[8..].to_vec(), 9));
    assert_eq!(page(json!("1"), json!("4"), "desc").await, (falling[..4].to_vec(), 9));
    assert_eq!(page(json!("3"), json!("4"), "desc").await, (falling[8..].to_vec(), 9));
    let query = json!({ "query": "record_put.key = 'a'", "order_by": "desc", "per_page": 1 });
    assert_eq!(txs(&node, query).await, (at(&[(2, 1)]), 2));
}

#[tokio::test]
async fn blocks_are_found_by_what_happened_in_them() {
    let node = with_blocks().await;
    let find = async |params: Value| {
        let answer = node.call("block_search", params).await;
        let blocks = answer["blocks"].as_array().unwrap().clone();
        for block in &blocks {
            let params = json!({ "height": block["block"]["header"]["height"] });
            assert_eq!(*block, node.call("block", params).await);
        }
        let heights: Vec<String> = blocks
            .iter()
            .map(|block| block["block"]["header"]["height"].as_str().unwrap().to_owned())
            .collect();
        (heights.join(" "), answer["total_count"].as_str().unwrap().to_owned())
    };
    let found = |heights: &str, total: &str| (heights.to_owned(), total.to_owned());
    let query = |query: &str| json!({ "query": query });
    assert_eq!(find(query("block.height >= 1")).await, found("6 5 4 3 2 1", "6"));
    let rising = json!({ "query": "block.height <= 3", "order_by": "asc", "per_page": 2 });
    assert_eq!(find(rising).await, found("1 2", "3"));
    assert_eq!(find(query("block.height = 9")).await, found("", "0"));
    assert_eq!(find(query("record_put.key = 'a'")).await, found("", "0"), "of transactions");

    let results = node.call("block_results", json!({ "height": 3 })).await;
    let of_tx = &results["txs_results"][1]["events"][0]["type"];
    assert_eq!(txs(&node, query(&format!("{} EXISTS", of_tx.as_str().unwrap()))).await.1, 1);
}

#[tokio::test]
async fn bad_searches_have_their_errors() {
    let node = with_blocks().await;
    let long = format!("a.b = '{}'", "x".repeat(600));
    for method in ["tx_search", "block_search"] {
        for (params, code, words) in [
            (json!({}), -32602, "query is missing"),
            (json!({ "query": "" }), -32602, "expected a tag"),
            (json!({ "query": 5 }), -32602, "must be a text"),
            (json!({ "query": "a.b" }), -32602, "expected one of"),
            (json!({ "query": "a.b = 'x" }), -32602, "does not end"),
            (json!({ "query": "a.b = 'x' OR c.d = 1" }), -32602, "expected AND"),
            (json!({ "query": long }), -32602, "512"),
            (json!({ "query": "tx.height > 0", "order_by": "up" }), -32602, "asc or desc"),
            (json!({ "query": "tx.height > 0", "page": "-1" }), -32602, "whole number"),
            (json!({ "query": "tx.height > 0", "page": "x" }), -32602, "whole number"),
            (json!({ "query": "a.b = 'x'", "page": 0 }), -32603, "within [1, 1] range, given 0"),
            (json!({ "query": "a.b = 'x'", "page": 2 }), -32603, "within [1, 1] range, given 2"),
            (json!({ "query": "a.b = 'x'", "page": u64::MAX }), -32603, "within [1, 1] range"),
            (json!({ "query": "a.b = 'x'", "hieght": 1 }), -32602, "no parameter"),
        ] {
            let (got, text) = node.error(method, params.clone()).await;
            assert!(got == code && text.contains(words), "{method} {params}: {got} {text}");
        }
    }
    let (code, text) = node.error("tx_search", json!({ "query": "tx.hash EXISTS" })).await;
    assert!(code == -32602 && text.contains("tx.hash takes ="), "{text}");
    let off = node_with(|config| config.index.enabled = false).await;
    for method in ["tx_search", "block_search"] {
        let (code, text) = off.error(method, json!({ "query": "tx.height > 0" })).await;
        assert!(code == -32603 && text.contains("indexing is disabled"), "{text}");
    }
}

#[tokio::test]
async fn nothing_is_found_of_blocks_that_are_gone() {
    let node = with_blocks().await;
    let find = async |query: &str| txs(&node, json!({ "query": query })).await;
    assert_eq!(find("record_put.key = 'a'").await.1, 2);
    node.chain().db.prune(Height(2)).unwrap();
    assert_eq!(find("record_put.key = 'a'").await, (at(&[(2, 1)]), 1));
    assert_eq!(find("tx.height < 3").await, (at(&[(2, 0), (2, 1)]), 2));
    assert_eq!(find("tx.height = 1").await, (vec![], 0));
}

#[tokio::test]
async fn a_page_of_too_many_bytes_is_an_error() {
    let node = node().await;
    let create = node.chain().create(1);
    node.commit(vec![create]);
    let value = vec![7; tandem_chain::limits::MAX_RECORD_VALUE_BYTES];
    for height in 0..18 {
        let puts = (0..5).map(|place| node.chain().put(2 + 5 * height + place, "a", &value));
        let puts = puts.collect();
        node.commit(puts);
    }
    let of = |per_page: u64| json!({ "query": "record_put.key = 'a'", "per_page": per_page });
    let (code, text) = node.error("tx_search", of(100)).await;
    assert!(code == -32603 && text.contains("ask for fewer with per_page"), "{text}");
    assert_eq!(txs(&node, of(10)).await.1, 90);
    let of = |per_page: u64| json!({ "query": "block.height > 0", "per_page": per_page });
    let (code, text) = node.error("block_search", of(100)).await;
    assert!(code == -32603 && text.contains("ask for fewer with per_page"), "{text}");
    let answer = node.call("block_search", of(4)).await;
    assert_eq!(
        (&answer["total_count"], answer["blocks"].as_array().unwrap().len()),
        (&json!("19"), 4)
    );
}

#[tokio::test]
async fn an_answer_says_which_blocks_the_index_has() {
    let node = with_blocks().await;
    let heights = async |method: &str, query: &str| {
        let answer = node.call(method, json!({ "query": query })).await;
        [&answer["from"], &answer["to"]].map(|height| height.as_str().unwrap().to_owned())
    };
    assert_eq!(heights("tx_search", "tx.height = 3").await, ["1", "6"]);
    assert_eq!(heights("block_search", "block.height > 99").await, ["1", "6"]);
    node.chain().db.prune(Height(4)).unwrap();
    assert_eq!(heights("tx_search", "tx.height = 3").await, ["4", "6"]);
    let empty = super::node().await;
    let nothing = empty.call("tx_search", json!({ "query": "tx.height > 0" })).await;
    assert_eq!(nothing, json!({ "txs": [], "total_count": "0", "from": "0", "to": "0" }));
}
