//! What is answered about blocks that are there no more.

use serde_json::{Value, json};

use super::{Node, node};
use crate::rpc::shapes::comet;

/// A node with five blocks, of which the third and the fourth carry a transaction.
async fn with_blocks() -> (Node, [String; 2]) {
    let node = node().await;
    let create = node.chain().create(1);
    node.commit(Vec::new());
    node.commit(vec![create]);
    let txs = [2, 3].map(|nonce| {
        let tx = node.chain().put(nonce, "key", b"value");
        let hash = tx.hash().to_string();
        node.commit(vec![tx]);
        hash
    });
    node.commit(Vec::new());
    (node, txs)
}

/// The parameters of `tx`.
fn by_hash(hash: &str) -> Value {
    json!({ "hash": comet::base64(&hex::decode(hash).unwrap()) })
}

#[tokio::test]
async fn heights_that_are_gone_are_refused_in_comets_words_and_the_others_are_as_before() {
    let (node, [gone, there]) = with_blocks().await;
    let methods = ["block", "block_results", "commit"];
    let mut before = Vec::new();
    for height in 1..=5 {
        for method in methods {
            before.push(node.call(method, json!({ "height": height.to_string() })).await);
        }
    }
    let tx = node.call("tx", by_hash(&there)).await;
    let status = node.call("status", json!({})).await["sync_info"].clone();
    assert_eq!(status["earliest_block_height"], "1");

    let floor = tandem_chain::types::Height(4);
    assert_eq!(node.chain().db.prune(floor).unwrap().blocks, 3);
    let mut before = before.into_iter();
    for height in 1..=5u64 {
        for method in methods {
            let (params, was) = (json!({ "height": height.to_string() }), before.next().unwrap());
            if height < 4 {
                let expected = format!("height {height} is not available, lowest height is 4");
                assert_eq!(node.error(method, params).await, (-32603, expected), "{method}");
            } else {
                assert_eq!(node.call(method, params).await, was, "{method} {height}");
            }
        }
    }
    assert_eq!(node.call("tx", by_hash(&there)).await, tx);
    let (_, error) = node.error("tx", by_hash(&gone)).await;
    assert!(error.contains("no blocks below height 4"), "{error}");
    assert!(error.ends_with(&format!("tx ({gone}) not found")), "{error}");
    let unknown = node.client.tx(&gone.parse().unwrap()).await.unwrap();
    assert!(unknown.is_none(), "who waits for a transaction waits on");

    let now = node.call("status", json!({})).await["sync_info"].clone();
    let header = node.chain().db.block(floor).unwrap().unwrap().block.header.clone();
    assert_eq!(now["earliest_block_height"], comet::number(4));
    assert_eq!(now["earliest_block_hash"], json!(header.id()));
    assert_eq!(now["earliest_app_hash"], json!(header.app_hash));
    assert_eq!(now["earliest_block_time"], header.time.to_rfc3339());
    for key in ["latest_block_height", "latest_block_hash", "latest_app_hash"] {
        assert_eq!(now[key], status[key]);
    }
    let sync = node.client.status().await.unwrap().sync_info;
    assert_eq!((sync.earliest_block_height, sync.latest_block_height.0), (floor, 5));
}

#[tokio::test]
async fn a_transaction_that_never_was_is_not_found_and_no_word_of_pruning_is_said_where_all_is_there()
 {
    let (node, _) = with_blocks().await;
    let hash = "AB".repeat(32);
    let (_, error) = node.error("tx", by_hash(&hash)).await;
    assert_eq!(error, format!("tx ({hash}) not found"));
}
