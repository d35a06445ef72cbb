//! Figures of the database, and what the node's operator alone may ask.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{Node, node, node_with};
use crate::backup::Manifest;
use crate::client::ClientError;
use crate::operator::{OperatorCall, OperatorRequest};
use crate::rpc::methods::METHODS;
use crate::rpc::shapes::tandem::{Job, JobState, StorageInfo};
use crate::run::wall_clock;
use crate::testing;

const BACKUPS: &str = "backups";

async fn node_with_backups() -> Node {
    node_with(|config| config.storage.backup_dir = PathBuf::from(BACKUPS)).await
}

fn sign(call: OperatorCall) -> OperatorRequest {
    let chain_id = testing::genesis().chain_id;
    OperatorRequest::sign(call, wall_clock(), &chain_id, &testing::validator(0))
}

fn backup(name: &str) -> OperatorCall {
    OperatorCall::Backup { name: name.to_owned(), with_key: false }
}

async fn info_of(node: &Node) -> StorageInfo {
    node.client.operator(&sign(OperatorCall::Storage { wait: true })).await.unwrap()
}

/// The job that is begun by `call`, when it is over.
async fn job(node: &Node, call: OperatorCall) -> Job {
    let begun: Job = node.client.operator(&sign(call)).await.unwrap();
    assert_eq!(begun.state, JobState::Running);
    loop {
        let job = info_of(node).await.job.unwrap();
        assert_eq!((&job.job, &job.name), (&begun.job, &begun.name));
        if job.state != JobState::Running {
            return job;
        }
    }
}

async fn refused(node: &Node, request: &OperatorRequest) -> String {
    match node.client.operator::<Value>(request).await {
        Err(ClientError::Rpc { code: -32603, data, .. }) => data,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_operator_makes_a_backup_while_the_node_runs() {
    let node = node_with_backups().await;
    let tx = node.chain().create(1);
    node.commit(vec![tx]);
    let done = job(&node, backup("monday")).await;
    assert_eq!((done.state, done.error), (JobState::Done, None));
    let folder = node.chain().home.root().join(BACKUPS).join("monday");
    let manifest = Manifest::load(&folder).unwrap();
    assert_eq!(Some(manifest.height), done.height);
    assert_eq!(Some(manifest.bytes()), done.bytes);
    assert_eq!(manifest.height.0, 1);
    assert!(!manifest.with_key);

    let again = refused(&node, &sign(backup("monday"))).await;
    assert!(again.contains("exists already"), "{again}");
    let compacted = job(&node, OperatorCall::Compact).await;
    assert_eq!((compacted.state, compacted.height), (JobState::Done, None));
}

#[tokio::test]
async fn nobody_else_fills_the_disk_or_learns_what_is_on_it() {
    let node = node_with_backups().await;
    let good = sign(backup("a"));
    let (chain_id, stranger) = (testing::genesis().chain_id, testing::validator(1));
    for call in [backup("a"), OperatorCall::Compact, OperatorCall::Storage { wait: true }] {
        let request = OperatorRequest::sign(call, wall_clock(), &chain_id, &stranger);
        let error = refused(&node, &request).await;
        assert!(error.contains("not signed with the key of this node"), "{error}");
    }
    for name in ["../a", "a/b", "/tmp/a", "", ".a", &"a".repeat(65)] {
        let error = refused(&node, &sign(backup(name))).await;
        assert!(error.contains("no name for a backup"), "{error}");
    }
    assert_eq!(job(&node, backup("b")).await.state, JobState::Done);
    // It is older than the one that was taken since.
    assert!(refused(&node, &good).await.contains("taken already"));
    assert!(!node.chain().home.root().join(BACKUPS).join("a").exists());

    for method in ["backup", "compact", "prune", "storage", "take_snapshot"] {
        let method = METHODS.iter().find(|m| m.name == method).unwrap();
        assert_eq!(node.error(method.name, json!({})).await.0, -32602);
        let params = json!({ "name": "x", "time": 1, "signature": "00" });
        let params = if method.name == "backup" { params } else { json!({ "time": 1 }) };
        assert_eq!(node.error(method.name, params).await.0, -32602);
    }
}

#[tokio::test]
async fn old_blocks_go_by_a_policy_that_keeps_enough() {
    let node = node().await;
    (0..3).for_each(|_| node.commit(Vec::new()));
    let prune =
        |keep_blocks, keep_days, dry_run| OperatorCall::Prune { keep_blocks, keep_days, dry_run };
    let error = refused(&node, &sign(prune(10_000, 0, false))).await;
    assert!(error.contains("keep_blocks is 10000") && error.contains("10001"), "{error}");
    let error = refused(&node, &sign(prune(0, 99_999, false))).await;
    assert!(error.contains("keep_days is 99999"), "{error}");
    for (call, kept_for) in [
        (prune(10_001, 0, true), "keep_blocks"),
        (prune(10_001, 0, false), "keep_blocks"),
        (prune(0, 1, false), "evidence and repeated transactions (10000 blocks)"),
        (prune(0, 0, false), "the policy, which keeps all"),
    ] {
        let done = job(&node, call).await;
        assert_eq!((done.state, done.error), (JobState::Done, None));
        assert_eq!((done.blocks, done.bytes), (Some(0), Some(0)));
        assert_eq!((done.height.unwrap().0, done.kept_for.as_deref()), (1, Some(kept_for)));
    }
}

#[tokio::test]
async fn without_a_folder_for_them_there_are_no_backups() {
    let node = node().await;
    let error = refused(&node, &sign(backup("a"))).await;
    assert!(error.contains("storage.backup_dir"), "{error}");
}

#[tokio::test]
async fn the_operator_is_told_the_figures_of_the_database() {
    let node = node().await;
    let tx = node.chain().create(1);
    node.commit(vec![tx]);
    let request = sign(OperatorCall::Storage { wait: false });
    let answer: Value = node.client.operator(&request).await.unwrap();
    assert_eq!((&answer["height"], &answer["encrypted"]), (&json!("1"), &json!(false)));
    assert_eq!(answer["job"], Value::Null);
    // As often as it likes.
    let info: StorageInfo = node.client.operator(&request).await.unwrap();
    let names: Vec<&str> = info.families.iter().map(|family| family.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "state",
            "tree",
            "blocks",
            "results",
            "index",
            "events",
            "validators",
            "consensus",
            "meta"
        ]
    );
    let blocks = &info.families[2];
    assert!(blocks.entries >= 1 && blocks.unflushed_bytes > 0 && blocks.levels.is_empty());

    assert_eq!(job(&node, OperatorCall::Compact).await.state, JobState::Done);
    let info = info_of(&node).await;
    let blocks = &info.families[2];
    assert_eq!((blocks.entries, blocks.levels.len()), (1, 1));
    assert_eq!(blocks.table_bytes, blocks.levels[0].bytes);
    assert!(blocks.table_bytes > 0 && blocks.levels[0].files == 1);
}
