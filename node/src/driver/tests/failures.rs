//! A write that fails ends the loop, with the cause in the text.

use tandem_chain::types::Height;

use super::support::{Node, one_seat};
use crate::driver::Fatal;
use crate::driver::executor::Job;

/// Waits for the end, which must be by a storage fault in this folder.
async fn ends_by_the_disk(node: &mut Node, folder: &str) {
    let ended = node.ended().await;
    let Err(fatal @ Fatal::Storage(_)) = ended else { panic!("{ended:?}") };
    let text = fatal.to_string();
    for part in ["No such file or directory", folder, "the node stops"] {
        assert!(text.contains(part), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_persist_that_fails_ends_the_loop_and_what_was_behind_it_never_leaves() {
    let mut node = Node::start(one_seat()).await;
    node.begin_block().await;
    let write = node.hands.persists.take();
    let folder = node.hands.break_disk();
    node.hands.persists.pass(write);
    ends_by_the_disk(&mut node, &folder).await;
    assert!(node.sent().await.is_empty());
    assert!(node.hands.jobs.try_take().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_fails_ends_the_loop_and_is_not_published() {
    let mut node = Node::start(one_seat()).await;
    node.begin_block().await;
    node.hands.persists.pass(node.hands.persists.take());
    let commit = node.hands.jobs.take();
    assert!(matches!(commit, Job::Commit(_)));
    let folder = node.hands.break_disk();
    node.hands.jobs.pass(commit);
    ends_by_the_disk(&mut node, &folder).await;
    assert_eq!(node.hands.db.height(), Height::ZERO);
    assert_eq!(node.until_height(0).await.block, None);
}
