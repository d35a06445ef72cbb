//! No send, broadcast or commit starts until every earlier persist is durable, and the loop goes on
//! meanwhile.

use tandem_chain::genesis::Genesis;
use tandem_chain::keys::Signature;
use tandem_chain::types::{Height, Round, Timestamp};
use tandem_chain::vote::{Vote, VoteKind};
use tandem_consensus::Effect;
use tandem_consensus::journal::Slot;
use tandem_consensus::message::Message;

use super::support::{Node, four_seats, one_seat, prepare};
use crate::driver::Done;
use crate::driver::executor::Job;
use crate::testing;

const CLAIMED: Message = Message::Status { committed: Height(9) };

/// A prevote for nil by the validator of an organisation.
fn prevote(genesis: &Genesis, org: u8, round: u32) -> Message {
    let key = testing::validator(org);
    let table = genesis.role_table();
    let (index, _) = table.by_key(&key.public()).unwrap();
    let mut vote = Vote {
        kind: VoteKind::Prevote,
        height: Height(1),
        round: Round(round),
        block: None,
        timestamp: Timestamp::from_millis(1_800_000_000_000),
        validator_index: u16::try_from(index).unwrap(),
        validator_address: key.public().address(),
        signature: Signature([0; 64]),
        observation: None,
    };
    vote.signature = key.sign(&vote.sign_bytes(&genesis.chain_id));
    Message::Vote(Box::new(vote))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_leaves_and_no_block_is_committed_before_the_write_in_front_is_durable() {
    let mut node = Node::start(one_seat()).await;
    let tx = node.begin_block().await;
    let write = node.hands.persists.take();
    node.turn().await;
    assert!(node.sent().await.is_empty());

    // The loop goes on: it answers a peer and takes in what the peer claims.
    node.peer.send(&Message::LostQuery);
    node.peer.send(&CLAIMED);
    node.until_view(|view| view.catching_up).await;
    // No blocks, of which it would have those from 1 on.
    let none = [0, 1].map(u64::to_le_bytes).concat();
    assert_eq!(node.peer.ask(1, 64).await, none);

    // Yet nothing has left, and nothing is handed over.
    assert!(node.sent().await.is_empty());
    assert!(node.hands.jobs.try_take().is_none());
    assert_eq!(node.hands.db.height(), Height::ZERO);

    node.hands.persists.pass(write);
    let commit = node.hands.jobs.take();
    assert!(matches!(commit, Job::Commit(_)));
    let before = node.peer.until(|message| matches!(message, Message::LostAnswer { .. })).await;
    assert_eq!(before, ["proposal 1/0", "Prevote 1/0", "Precommit 1/0"]);

    node.hands.jobs.pass(commit);
    let tip = node.until_height(1).await;
    let block = node.hands.db.block(Height(1)).unwrap().unwrap();
    assert_eq!(tip.block, Some(block.block.id()));
    assert_eq!(block.block.txs, [tx]);
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_message_waits_for_the_writes_in_front_of_it_and_no_further_ones() {
    let mut node = Node::start(four_seats()).await;
    // More than 1/3 of the power in a later round: the node votes in the round before it.
    let join = |node: &Node, round| {
        for org in [1, 2] {
            node.peer.send(&prevote(&node.hands.genesis, org, round));
        }
    };
    join(&node, 1);
    let first = node.hands.persists.take();
    node.turn().await;
    assert!(node.sent().await.is_empty());

    // The loop goes on: it follows to the next round, and asks for blocks.
    join(&node, 2);
    node.until_view(|view| view.round == Round(2)).await;
    node.peer.send(&CLAIMED);
    node.peer.until_asked().await;
    assert!(node.sent().await.is_empty());
    assert!(node.hands.persists.try_take().is_none(), "one write at a time");

    node.hands.persists.pass(first);
    let second = node.hands.persists.take();
    node.turn().await;
    assert_eq!(node.sent().await, ["Prevote 1/0", "Precommit 1/0"]);
    assert!(node.hands.persists.try_take().is_none());

    node.hands.persists.pass(second);
    let last = (VoteKind::Precommit, Round(1));
    let is_last = |got: &Message| matches!(got, Message::Vote(v) if (v.kind, v.round) == last);
    let before = node.peer.until(is_last).await;
    assert_eq!(before.last().map(String::as_str), Some("Prevote 1/1"));
    node.stop().await.unwrap();
}

#[tokio::test]
async fn what_waits_for_a_write_goes_on_with_its_answer_and_not_with_the_next_input() {
    let (mut driver, _sources, hands) = prepare(one_seat()).await;
    let write = |byte| Effect::Persist(vec![(Slot::Journal, vec![byte])]);
    driver.effects.extend([write(1), write(2)]);
    driver.run_effects().unwrap();
    assert_eq!(hands.persists.try_take(), Some(vec![("journal", vec![1])]));
    assert_eq!(hands.persists.try_take(), None);
    driver.on_done(Done::Persisted(Ok(()))).unwrap();
    assert_eq!(hands.persists.try_take(), Some(vec![("journal", vec![2])]));
}
