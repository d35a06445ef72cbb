//! Crashes: what was sent is sent again as it was, and nothing contradicts it.

use tandem_chain::codec;
use tandem_chain::types::Round;
use tandem_consensus::journal::{KeyState, Place, Signing, Slot, VoteGuard};
use tandem_consensus::message::{Message, Proposal};
use tandem_consensus::{Effect, Input, Step};

use crate::node::Node;
use crate::solo::{Precommit, Prevote, Solo, cast, proposed, sent, votes_in};

#[test]
fn after_a_prevote_it_is_sent_again_and_no_other_is_cast_in_its_round() {
    let mut solo = Solo::new(0);
    let (block, other) = (solo.block(0, 0), solo.block(0, 1));
    solo.propose(0, &block, None);
    let votes = solo.node.journal().votes;
    assert_eq!(votes_in(&solo.restart()), votes);
    assert_eq!(solo.node.replica.view().step, Step::Prevote);
    assert!(cast(&solo.propose(0, &other, None)).is_empty());
    assert!(cast(&solo.pass(5_000)).is_empty(), "its timeout has no second vote");
    // The round goes on.
    solo.propose(0, &block, None);
    let effects = solo.votes(&[1, 2, 3], Prevote, 0, Some(block.id()));
    assert!(cast(&effects).is_empty(), "the block that it took is the other one");
}

#[test]
fn after_a_prevote_a_quorum_still_makes_a_precommit() {
    let mut solo = Solo::new(0);
    let block = solo.block(0, 0);
    solo.propose(0, &block, None);
    solo.restart();
    solo.propose(0, &block, None);
    let effects = solo.votes(&[1, 2], Prevote, 0, Some(block.id()));
    assert_eq!(cast(&effects), [(Precommit, 0, Some(block.id()))]);
}

#[test]
fn after_a_precommit_lock_value_and_votes_are_there() {
    let mut solo = Solo::new(0);
    let (block, other) = (solo.block(0, 0), solo.block(1, 1));
    solo.propose(0, &block, None);
    solo.votes(&[1, 2], Prevote, 0, Some(block.id()));
    let journal = solo.node.journal();
    assert_eq!(votes_in(&solo.restart()), journal.votes);
    assert_eq!(solo.node.replica.view().step, Step::Precommit);
    solo.votes(&[1, 2, 3], Precommit, 0, None);
    assert_eq!(cast(&solo.propose(1, &other, None)), [(Prevote, 1, None)], "it is locked");
}

#[test]
fn after_a_precommit_the_block_can_be_decided_though_nobody_sends_it_again() {
    let mut solo = Solo::new(0);
    let block = solo.block(0, 0);
    solo.propose(0, &block, None);
    solo.votes(&[1, 2], Prevote, 0, Some(block.id()));
    solo.restart();
    solo.votes(&[1, 2], Precommit, 0, Some(block.id()));
    assert_eq!(solo.tip().block, Some(block.id()));
}

#[test]
fn after_a_precommit_its_value_is_proposed_again_with_its_prevotes() {
    // c's turn is round 1.
    let mut solo = Solo::new(2);
    let block = solo.block(0, 0);
    solo.propose(0, &block, None);
    solo.votes(&[1, 3], Prevote, 0, Some(block.id()));
    solo.restart();
    let effects = solo.votes(&[0, 1, 3], Precommit, 0, None);
    let [proposal] = &proposed(&effects)[..] else { panic!("it proposes in round 1") };
    assert_eq!((proposal.block_id, proposal.valid_round), (block.id(), Some(Round(0))));
    assert_eq!(proposal.prevotes.len(), 3);
}

#[test]
fn after_a_proposal_the_same_is_sent_and_voted_for() {
    let mut solo = Solo::new(1);
    // The process ends when the proposal is durable, and before its prevote is.
    let now = solo.now();
    let effects = solo.node.handle(now, Input::Work(true));
    let [Effect::Build { height, round }] = effects[..] else { panic!("{effects:?}") };
    let built = Input::Built { height, round, txs: Vec::new(), evidence: Vec::new() };
    let effects = solo.feed(built);
    let proposal = proposed(&effects).remove(0);
    let messages = solo.restart();
    assert!(messages.contains(&Message::Proposal(Box::new(proposal.clone()))), "{messages:?}");
    solo.votes(&[0, 2], Prevote, 0, Some(proposal.block_id));
    solo.votes(&[0, 2], Precommit, 0, Some(proposal.block_id));
    assert_eq!(solo.tip().block, Some(proposal.block_id));
}

#[test]
fn a_proposal_without_its_vote_gets_it_after_the_restart() {
    let mut solo = Solo::new(1);
    let effects = solo.feed(Input::Work(true));
    let proposal = proposed(&effects).remove(0);
    // A disk as it is between the two: the proposal is there, the vote is not.
    let mut journal = solo.node.journal();
    assert_eq!(journal.votes.len(), 1);
    journal.votes.clear();
    journal.guard = VoteGuard::new(KeyState::Good);
    let Proposal { height, round, .. } = proposal;
    assert!(journal.guard.admit(Place { height, round, step: Signing::Proposal }));
    solo.node.disk.insert(Slot::Journal, codec::encode(&journal));
    solo.node.restart();
    let effects = solo.feed(Input::Start);
    assert_eq!(cast(&effects), [(Prevote, 0, Some(proposal.block_id))]);
    assert!(proposed(&effects).is_empty(), "the recorded one stands");
}

#[test]
fn what_was_not_durable_was_not_sent_and_is_free_to_be_otherwise() {
    let mut solo = Solo::new(0);
    let (block, other) = (solo.block(0, 0), solo.block(0, 1));
    // The process ends before its prevote is durable: it never left.
    let message = Message::Proposal(Box::new(solo.proposal(0, &block, None)));
    let input = solo.node.verified(solo.world.validator(1), &message).expect("a good one");
    let now = solo.now();
    solo.node.replica.handle(now, input.expect("of this height"), &mut Vec::new());
    solo.node.restart();
    solo.feed(Input::Start);
    assert_eq!(cast(&solo.propose(0, &other, None)), [(Prevote, 0, Some(other.id()))]);
}

#[test]
fn a_restart_goes_on_in_the_recorded_round() {
    let mut solo = Solo::new(0);
    for _ in 0..2 {
        solo.next_round();
    }
    assert_eq!(solo.round(), 2);
    let block = solo.block(2, 0);
    solo.propose(2, &block, None);
    let votes = solo.node.journal().votes;
    let resent = votes_in(&solo.restart());
    assert_eq!(solo.round(), 2);
    assert_eq!(resent, votes);
    assert!(resent.iter().any(|vote| vote.round == Round(2)));
}

#[test]
fn every_precommit_for_a_block_is_kept_and_votes_for_nil_of_the_last_two_rounds() {
    let mut solo = Solo::new(0);
    let block = solo.block(0, 0);
    solo.propose(0, &block, None);
    solo.votes(&[1, 2], Prevote, 0, Some(block.id()));
    solo.votes(&[1, 2, 3], Precommit, 0, None);
    for round in 1..6 {
        solo.pass(3_000);
        solo.votes(&[1, 2, 3], Prevote, round, None);
        solo.votes(&[1, 2, 3], Precommit, round, None);
    }
    let kept: Vec<_> =
        solo.node.journal().votes.iter().map(|v| (v.kind, v.round.0, v.block)).collect();
    let expected = [
        (Precommit, 0, Some(block.id())),
        (Prevote, 4, None),
        (Precommit, 4, None),
        (Prevote, 5, None),
        (Precommit, 5, None),
    ];
    assert_eq!(kept, expected);
}

#[test]
fn after_a_commit_the_height_before_is_over() {
    let mut solo = Solo::new(0);
    solo.decide();
    let messages = solo.restart();
    assert!(votes_in(&messages).is_empty());
    assert_eq!(messages[0], Message::Status { committed: solo.tip().height });
    let (block, _) = solo.open();
    assert_eq!(block.header.height, solo.tip().height.next());
    let peer = solo.world.validator(1);
    let messages = sent(&solo.feed(Input::Connected(peer)));
    assert_eq!(votes_in(&messages).len(), 1);
}

/// As in a home that a key was moved to: its record is there, and the blocks are not yet.
#[test]
fn a_record_of_a_height_that_is_ahead_is_taken_up_when_that_height_comes() {
    let mut solo = Solo::new(0);
    solo.decide();
    let (block, other, first) = (solo.block(0, 0), solo.block(1, 1), solo.last().block);
    solo.propose(0, &block, None);
    solo.votes(&[1, 2], Prevote, 0, Some(block.id()));
    let journal = solo.node.journal();
    assert_eq!(journal.votes.len(), 2);

    let mut node = Node::new(&solo.world, solo.node.key);
    node.disk = solo.node.disk.clone();
    node.restart();
    solo.node = node;
    let mut effects = solo.feed(Input::Start);
    effects.extend(solo.propose(0, &first, None));
    effects.extend(solo.close(&first, &[1, 2, 3]));
    assert!(cast(&effects).is_empty() && proposed(&effects).is_empty(), "its record is above");
    assert_eq!(solo.node.journal(), journal, "nothing is written over it");

    assert_eq!(solo.node.replica.view().step, Step::Precommit);
    let peer = solo.world.validator(1);
    assert_eq!(votes_in(&sent(&solo.feed(Input::Connected(peer)))), journal.votes);
    solo.votes(&[1, 2, 3], Precommit, 0, None);
    assert_eq!(cast(&solo.propose(1, &other, None)), [(Prevote, 1, None)], "it is locked");
    assert_eq!(solo.node.journal().locked, journal.locked);
}

#[test]
fn what_a_replica_holds_is_told_by_its_text() {
    let (mut solo, other) = (Solo::new(0), Solo::new(0));
    let text = |solo: &Solo| format!("{:?}", solo.node.replica);
    assert_eq!(text(&solo), text(&other));
    solo.vote(1, Prevote, 0, None);
    assert_ne!(text(&solo), text(&other), "a vote more");
}

#[test]
fn it_makes_the_next_block_from_the_stored_certificate() {
    let mut solo = Solo::new(2);
    solo.decide();
    solo.node.restart();
    solo.feed(Input::Start);
    // Height 2 is its turn.
    let (block, effects) = solo.open();
    assert_eq!(block.last_commit, solo.last().certificate.commit);
    assert_eq!(cast(&effects), [(Prevote, 0, Some(block.id()))]);
}
