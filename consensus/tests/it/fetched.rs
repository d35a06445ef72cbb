//! A replica whose turn it is to propose, and a fetched block of the same height.

use tandem_chain::block::CertifiedBlock;
use tandem_chain::codec;
use tandem_chain::types::{Height, Round};
use tandem_consensus::journal::{KeyState, Place, Signing, Slot, VoteGuard};
use tandem_consensus::limits::FETCH_AHEAD;
use tandem_consensus::message::{Message, Proposal};
use tandem_consensus::verify::Fault;
use tandem_consensus::{Effect, Input};

use crate::messages;
use crate::solo::{Precommit, Prevote, Solo, builds, built, cast, faults, proposed};

/// Fetches a block of the height. The verdict on it is the test's to give.
fn fetch(solo: &mut Solo) {
    let org = solo.others()[0];
    let from = solo.world.validator(org);
    solo.feed(Input::Connected(from));
    let committed = solo.tip().height.plus(FETCH_AHEAD);
    let asked = solo.receive(org, &Message::Status { committed });
    assert!(asked.iter().any(|effect| matches!(effect, Effect::Fetch { .. })), "{asked:?}");
    let block = solo.block(0, 0);
    let certificate = solo.world.certificate(&solo.tip(), &solo.others(), 0, &block);
    let first = block.header.height;
    let blocks = vec![CertifiedBlock { block: block.into(), certificate }];
    let now = solo.now();
    let effects = solo.node.handle(now, Input::Fetched { from, first, blocks });
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Verify { .. })), "{effects:?}");
}

/// The fetched block is found not to be certified.
fn refuse(solo: &mut Solo) -> Vec<Effect> {
    let height = solo.tip().height.next();
    let verdict = Err(Fault::Inconsistent { what: "it is not certified" });
    solo.feed(Input::BlockVerified { height, verdict })
}

#[test]
fn fetches_that_run_out_of_time_at_once_are_all_given_up_at_once() {
    let mut solo = Solo::new(0);
    let committed = Height(900);
    let mut asked = Vec::new();
    for org in [1, 2, 3] {
        solo.feed(Input::Connected(solo.world.validator(org)));
    }
    for org in [1, 2, 3] {
        asked.extend(solo.receive(org, &Message::Status { committed }));
    }
    let fetches = asked.iter().filter(|effect| matches!(effect, Effect::Fetch { .. }));
    assert_eq!(fetches.count(), 3, "{asked:?}");
    let is_unanswered = |fault: &Fault| matches!(fault, Fault::Fetch { .. });
    let late = faults(&solo.pass(5_000));
    assert_eq!(late.iter().filter(|fault| is_unanswered(fault)).count(), 3, "{late:?}");
}

#[test]
fn while_a_fetched_block_waits_for_its_verdict_no_other_is_asked_for() {
    let mut solo = Solo::new(1);
    fetch(&mut solo);
    assert!(builds(&solo.pass(100)).is_empty(), "the idle interval is over");
    let effects = refuse(&mut solo);
    assert_eq!(builds(&effects), [Round(0)]);
    assert_eq!(proposed(&effects).len(), 1, "after all");
}

#[test]
fn nor_is_one_proposed_that_was_asked_for_before() {
    let mut solo = Solo::new(1);
    solo.node.answers_builds = false;
    assert_eq!(builds(&solo.feed(Input::Work(true))), [Round(0)]);
    fetch(&mut solo);
    assert!(proposed(&solo.feed(built(1, 0))).is_empty());
    solo.node.answers_builds = true;
    let effects = refuse(&mut solo);
    assert_eq!(builds(&effects), [Round(0)], "once more");
    assert_eq!(proposed(&effects).len(), 1);
}

#[test]
fn a_verdict_that_comes_while_the_height_is_being_committed_changes_nothing() {
    let mut solo = Solo::new(0);
    fetch(&mut solo);
    let block = solo.block(0, 1);
    let id = Some(block.id());
    solo.propose(0, &block, None);
    let mut effects = Vec::new();
    for org in [1, 2, 3] {
        let vote = solo.vote_of(org, Precommit, 0, id);
        effects.extend(solo.receive_alone(org, &Message::Vote(Box::new(vote))));
    }
    let commits = |effects: &[Effect]| {
        effects.iter().filter(|effect| matches!(effect, Effect::Commit(_))).count()
    };
    assert_eq!(commits(&effects), 1);
    let height = block.header.height;
    assert_eq!(commits(&solo.feed(Input::BlockVerified { height, verdict: Ok(()) })), 0);
    let answers: Vec<Input> = effects.iter().filter_map(|e| solo.node.answer(e)).collect();
    answers.into_iter().for_each(|input| drop(solo.feed(input)));
    assert_eq!(solo.tip().block, id);
}

#[test]
fn who_signed_the_certificate_of_a_fetched_block_has_shown_that_it_follows() {
    let mut solo = Solo::new(0);
    solo.decide();
    // From now on it has seen nobody.
    solo.restart();
    let block = solo.block(0, 0);
    let certificate = solo.world.certificate(&solo.tip(), &[1, 2, 3], 0, &block);
    let certified = CertifiedBlock { block: block.into(), certificate };
    messages::fetch(&mut solo, vec![certified]);
    let (block, _) = solo.open();
    solo.votes(&[1, 2], Prevote, 0, Some(block.id()));
    assert!(solo.sees(&solo.world.validator(3)), "whose signature alone has come");
    assert!(!solo.sees(&solo.world.standby(3)));
}

#[test]
fn an_idle_proposer_whose_fetched_block_was_none_still_waits_for_the_interval() {
    let mut solo = Solo::new(1);
    fetch(&mut solo);
    assert!(builds(&refuse(&mut solo)).is_empty());
    assert_eq!(builds(&solo.pass(100)), [Round(0)]);
}

#[test]
fn a_fetched_block_that_was_none_asks_nothing_of_whose_turn_it_is_not_or_who_has_voted() {
    let mut solo = Solo::new(0);
    fetch(&mut solo);
    assert!(builds(&refuse(&mut solo)).is_empty(), "not its turn");

    let mut solo = Solo::new(1);
    fetch(&mut solo);
    assert_eq!(cast(&solo.pass(600)).len(), 1, "nil, at its timeout");
    assert!(builds(&refuse(&mut solo)).is_empty());
}

#[test]
fn nor_of_whose_proposal_from_before_a_restart_is_being_checked() {
    let mut solo = Solo::new(1);
    let Proposal { height, round, .. } = proposed(&solo.feed(Input::Work(true))).remove(0);
    // A disk as it is between the proposal and the vote for it.
    let mut journal = solo.node.journal();
    journal.votes.clear();
    journal.guard = VoteGuard::new(KeyState::Good);
    assert!(journal.guard.admit(Place { height, round, step: Signing::Proposal }));
    solo.node.disk.insert(Slot::Journal, codec::encode(&journal));
    solo.node.answers_checks = false;
    solo.restart();
    fetch(&mut solo);
    assert!(builds(&refuse(&mut solo)).is_empty());
}
