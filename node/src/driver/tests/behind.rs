use tandem_chain::types::Height;
use tandem_consensus::message::Message;
use tokio::sync::oneshot;

use super::support::{Node, one_seat, prepare};
use crate::driver::offers::WORTH_RESTORING;
use crate::driver::wire::Answer;
use crate::driver::{Done, Fatal, Restores};

#[tokio::test]
async fn an_empty_node_ends_for_a_snapshot_far_ahead() {
    let mut node = Node::start_to_restore(one_seat(), Restores::Behind).await;
    node.peer.send(&Message::Status { committed: Height(5 * WORTH_RESTORING) });
    node.peer.offer(WORTH_RESTORING + 1).await;
    let ended = node.ended().await;
    assert!(matches!(ended, Err(Fatal::Behind)), "{ended:?}");
}

#[tokio::test]
async fn a_node_that_nobody_has_the_next_block_for_ends_for_any_snapshot() {
    let mut node = Node::start_to_restore(one_seat(), Restores::OutOfReach).await;
    node.peer.send(&Message::Status { committed: Height(20_000) });
    node.peer.answer(&Answer { blocks: Vec::new(), lowest: Height(2) }).await;
    node.peer.offer(2).await;
    let ended = node.ended().await;
    assert!(matches!(ended, Err(Fatal::Behind)), "{ended:?}");
}

#[tokio::test]
async fn where_all_peers_have_taken_the_blocks_away_the_operator_is_told_what_to_do() {
    let mut node = Node::start(one_seat()).await;
    node.peer.send(&Message::Status { committed: Height(20_000) });
    node.peer.answer(&Answer { blocks: Vec::new(), lowest: Height(9_000) }).await;
    let words = ["block 1 any more", "lowest that one has is 9000", "snapshots.restore"];
    node.until_view(|view| {
        view.alarms.iter().any(|alarm| words.iter().all(|word| alarm.contains(word)))
    })
    .await;
    node.stop().await.unwrap();
}

#[tokio::test]
async fn a_snapshot_that_is_not_worth_it_changes_nothing() {
    let (mut driver, mut sources, _hands) = prepare(one_seat()).await;
    driver.begin().unwrap();
    for (height, is_worth_it) in [(0, false), (WORTH_RESTORING, false), (WORTH_RESTORING + 1, true)]
    {
        driver.done.send(Done::Offered(Height(height))).await.unwrap();
        let (_stop, mut stopped) = oneshot::channel();
        let turned = driver.turn(&mut sources, &mut stopped).await;
        assert_eq!(matches!(turned, Err(Fatal::Behind)), is_worth_it, "{height}: {turned:?}");
    }
}
