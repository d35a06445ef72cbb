//! The rules of a round, by the lines of the paper (arXiv 1807.04938, algorithm 1).

use std::time::Duration;

use tandem_chain::Error;
use tandem_chain::modules::{Call, consortium};
use tandem_chain::types::{Hash, Round};
use tandem_chain::vote::Vote;
use tandem_consensus::journal::{Lock, Slot};
use tandem_consensus::message::Message;
use tandem_consensus::verify::Fault;
use tandem_consensus::{Effect, Input, Step};

use crate::solo::{Precommit, Prevote, Solo, builds, built, cast, faults, halted, proposed};
use crate::world::{at, chain_id};

#[test]
fn line_19_its_turn_to_propose_is_a_block_of_its_own_and_a_prevote_for_it() {
    let mut solo = Solo::new(1);
    let effects = solo.feed(Input::Work(true));
    assert_eq!(builds(&effects), [Round(0)]);
    let [proposal] = &proposed(&effects)[..] else { panic!("one proposal") };
    assert_eq!((proposal.round, proposal.valid_round), (Round(0), None));
    assert_eq!(proposal.block.header.proposer_address, solo.node.key.address());
    assert_eq!(proposal.block.header.time, solo.now().wall);
    assert_eq!(cast(&effects), [(Prevote, 0, Some(proposal.block_id))]);
}

#[test]
fn line_19_the_time_of_its_block_is_later_than_the_parents_though_its_clock_is_behind() {
    let mut solo = Solo::new(1);
    let mut now = solo.now();
    now.wall.0 -= 10_000_000_000;
    let effects = solo.node.feed(now, Input::Work(true));
    let time = proposed(&effects)[0].block.header.time;
    assert_eq!(time.0, solo.tip().time.0 + 1);
}

#[test]
fn line_22_a_fresh_valid_proposal_in_time_gets_a_prevote() {
    let mut solo = Solo::new(0);
    let block = solo.block(0, 0);
    assert_eq!(cast(&solo.propose(0, &block, None)), [(Prevote, 0, Some(block.id()))]);
}

#[test]
fn line_22_a_block_that_does_not_follow_the_tip_gets_nil_and_its_proposer_is_reported() {
    let mut solo = Solo::new(0);
    let mut block = solo.block(0, 0);
    block.header.app_hash = Hash([7; 32]);
    let effects = solo.propose(0, &block, None);
    assert_eq!(cast(&effects), [(Prevote, 0, None)]);
    let proposer = solo.world.validator(1);
    assert!(effects.iter().any(|effect| matches!(
        effect,
        Effect::Report { peer, fault: Fault::Chain(Error::Header { field: "app_hash", .. }) }
            if *peer == proposer
    )));
}

#[test]
fn line_22_a_block_that_the_ledger_refuses_gets_nil_and_its_proposer_is_reported() {
    let mut solo = Solo::new(0);
    let (proposer, admin) = (solo.world.validator(1), solo.world.admin(0));
    let call = Call::Consortium(consortium::Call::SetAddresses { addresses: Vec::new() });
    let expired = solo.world.tx(&admin, 1, 0, call);
    let last = solo.certificate();
    let block = solo.world.block_with(&solo.tip(), &proposer, solo.now(), &last, vec![expired]);
    let effects = solo.propose(0, &block, None);
    assert_eq!(cast(&effects), [(Prevote, 0, None)]);
    assert!(matches!(faults(&effects)[..], [Fault::Chain(Error::Expired { .. })]));
}

#[test]
fn line_22_a_block_ahead_of_the_clock_gets_nil_at_one_nanosecond_over_the_bound() {
    let bound = 100_000_000;
    for (ahead, in_time) in [(bound, true), (bound + 1, false)] {
        let mut solo = Solo::new(0);
        let block = solo.block(0, ahead);
        let effects = solo.propose(0, &block, None);
        assert_eq!(cast(&effects), [(Prevote, 0, in_time.then(|| block.id()))]);
        let alarmed = matches!(faults(&effects)[..], [Fault::ClockAhead { .. }]);
        assert_eq!(alarmed, !in_time);
    }
}

#[test]
fn a_node_whose_clock_is_off_by_more_than_the_bound_is_told_so() {
    // Votes of the tests are all of time 0.
    let mut solo = Solo::new(0);
    solo.decide();
    assert_eq!(solo.node.replica.view().clock_off_ms, None);
    solo.pass(250);
    solo.decide();
    assert_eq!(solo.node.replica.view().clock_off_ms, Some(450));
}

#[test]
fn only_votes_of_those_who_hold_seats_at_this_height_tell_of_clocks() {
    let mut solo = Solo::new(0);
    for org in solo.others() {
        let (holder, standby) = (solo.world.validator(org), solo.world.standby(org));
        let good = solo.vote_of(org, Prevote, 0, None);
        let in_its_place = Vote { validator_address: standby.address(), ..good.clone() };
        let of_the_next = Vote { height: good.height.next(), ..good };
        for (key, mut vote) in [(standby, in_its_place), (holder, of_the_next)] {
            vote.timestamp = at(3_600_000).wall;
            vote.signature = solo.world.secret(&key).sign(&vote.sign_bytes(&chain_id()));
            solo.receive(org, &Message::Vote(Box::new(vote)));
        }
    }
    solo.decide();
    let view = solo.node.replica.view();
    assert_eq!((view.clock_off_ms, view.clocks_ahead), (None, Vec::new()));
}

#[test]
fn the_ledger_is_asked_once_about_a_block() {
    let mut solo = Solo::new(0);
    solo.node.answers_checks = false;
    let block = solo.block(0, 0);
    let (height, id) = (block.header.height, block.id());
    let mut effects = solo.propose(0, &block, None);
    effects.extend(solo.votes(&[1, 2, 3], Precommit, 0, Some(id)));
    let asked = effects.iter().filter(|effect| matches!(effect, Effect::Check { .. }));
    assert_eq!(asked.count(), 1, "though it is to be decided");
    solo.feed(Input::Checked { height, block: id, verdict: Ok(()) });
    assert_eq!(solo.tip().block, Some(id));
}

#[test]
fn line_22_no_prevote_before_the_ledger_has_answered() {
    let mut solo = Solo::new(0);
    solo.node.answers_checks = false;
    let block = solo.block(0, 0);
    assert!(cast(&solo.propose(0, &block, None)).is_empty());
    let (height, block) = (block.header.height, block.id());
    let effects = solo.feed(Input::Checked { height, block, verdict: Ok(()) });
    assert_eq!(cast(&effects), [(Prevote, 0, Some(block))]);
}

#[test]
fn line_36_a_quorum_of_prevotes_is_a_lock_a_precommit_and_both_are_durable() {
    let mut solo = Solo::new(0);
    let block = solo.block(0, 0);
    let id = block.id();
    solo.propose(0, &block, None);
    assert!(cast(&solo.vote(1, Prevote, 0, Some(id))).is_empty());
    let effects = solo.vote(2, Prevote, 0, Some(id));
    assert_eq!(cast(&effects), [(Precommit, 0, Some(id))]);
    let durable = solo.node.durable();
    assert_eq!(durable.journal.locked, Some(Lock { round: Round(0), block: id }));
    let valid = durable.valid.expect("the valid value is durable with the lock");
    assert_eq!((valid.round, valid.block_id, valid.prevotes.len()), (Round(0), id, 3));
    assert_eq!(*valid.block, block);
}

#[test]
fn line_36_a_quorum_for_a_block_that_is_not_here_is_no_precommit_until_it_comes() {
    let mut solo = Solo::new(0);
    let block = solo.block(0, 0);
    let id = block.id();
    assert!(cast(&solo.votes(&[1, 2, 3], Prevote, 0, Some(id))).is_empty());
    let effects = solo.propose(0, &block, None);
    assert_eq!(cast(&effects), [(Prevote, 0, Some(id)), (Precommit, 0, Some(id))]);
}

#[test]
fn line_36_nor_after_its_prevote_for_nil_and_before_the_ledger_has_found_the_block_valid() {
    let mut solo = Solo::new(0);
    solo.node.answers_checks = false;
    let block = solo.block(0, 0);
    let (height, id) = (block.header.height, block.id());
    assert_eq!(cast(&solo.pass(600)), [(Prevote, 0, None)]);
    assert!(cast(&solo.votes(&[1, 2, 3], Prevote, 0, Some(id))).is_empty(), "it is not here");
    assert!(cast(&solo.propose(0, &block, None)).is_empty(), "it is being checked");
    let effects = solo.feed(Input::Checked { height, block: id, verdict: Ok(()) });
    assert_eq!(cast(&effects), [(Precommit, 0, Some(id))]);
}

#[test]
fn line_42_a_quorum_seen_after_the_precommit_makes_the_valid_value_but_no_lock() {
    let mut solo = Solo::new(0);
    let block = solo.block(0, 0);
    let id = block.id();
    solo.propose(0, &block, None);
    solo.votes(&[1, 2], Prevote, 0, None);
    assert_eq!(cast(&solo.pass(200)), [(Precommit, 0, None)]);
    // Two honest prevotes were late; with this node's own they are a quorum.
    solo.votes(&[3], Prevote, 0, Some(id));
    assert_eq!(solo.node.journal().locked, None);
}

#[test]
fn line_44_a_quorum_for_nil_is_a_precommit_for_nil() {
    let mut solo = Solo::new(0);
    solo.pass(600);
    assert_eq!(solo.node.replica.view().step, Step::Prevote);
    assert!(cast(&solo.vote(1, Prevote, 0, None)).is_empty());
    assert_eq!(cast(&solo.vote(2, Prevote, 0, None)), [(Precommit, 0, None)]);
}

#[test]
fn line_34_and_61_a_split_quorum_of_prevotes_ends_in_nil_after_the_timeout() {
    let mut solo = Solo::new(0);
    let block = solo.block(0, 0);
    solo.propose(0, &block, None);
    assert!(cast(&solo.vote(1, Prevote, 0, None)).is_empty());
    assert!(cast(&solo.pass(1_000)).is_empty(), "two of four start no timeout");
    solo.vote(2, Prevote, 0, Some(block.id()));
    assert!(cast(&solo.pass(199)).is_empty());
    assert_eq!(cast(&solo.pass(1)), [(Precommit, 0, None)]);
}

#[test]
fn line_47_and_65_a_split_quorum_of_precommits_ends_the_round_after_the_timeout() {
    let mut solo = Solo::new(0);
    let id = solo.block(0, 0).id();
    solo.votes(&[1, 2], Precommit, 0, None);
    solo.vote(3, Precommit, 0, Some(id));
    solo.pass(199);
    assert_eq!(solo.round(), 0);
    solo.pass(1);
    assert_eq!(solo.round(), 1);
}

#[test]
fn line_47_a_quorum_of_precommits_for_nil_ends_the_round_at_once() {
    let mut solo = Solo::new(0);
    solo.votes(&[1, 2], Precommit, 0, None);
    assert_eq!(solo.round(), 0);
    solo.vote(3, Precommit, 0, None);
    assert_eq!(solo.round(), 1);

    // Nor is a timeout waited for that a split quorum has started.
    solo.vote(1, Precommit, 1, Some(solo.block(1, 0).id()));
    solo.votes(&[2, 3], Precommit, 1, None);
    assert_eq!(solo.round(), 1);
    solo.pass(1);
    solo.propose(1, &solo.block(1, 0), None);
    solo.votes(&[1, 2, 3], Prevote, 1, None);
    assert_eq!(solo.round(), 2, "this node's own precommit for nil is the third");
}

#[test]
fn line_49_a_certificate_decides_in_any_step() {
    let mut solo = Solo::new(0);
    let block = solo.block(0, 0);
    solo.propose(0, &block, None);
    solo.votes(&[1, 2], Precommit, 0, Some(block.id()));
    assert_eq!(solo.tip().block, None);
    solo.vote(3, Precommit, 0, Some(block.id()));
    assert_eq!(solo.tip().block, Some(block.id()));
    let commit = &solo.node.blocks[0].certificate.commit;
    assert_eq!(commit.signatures.iter().flatten().count(), 3);
}

#[test]
fn line_49_a_certificate_of_an_older_round_decides() {
    let mut solo = Solo::new(0);
    let block = solo.block(0, 0);
    let id = block.id();
    solo.propose(0, &block, None);
    solo.votes(&[1, 2], Prevote, 0, Some(id));
    solo.vote(1, Precommit, 0, None);
    solo.vote(2, Precommit, 0, Some(id));
    solo.pass(200);
    assert_eq!(solo.round(), 1);
    solo.vote(3, Precommit, 0, Some(id));
    assert_eq!(solo.tip().block, Some(id));
    assert_eq!(solo.node.blocks[0].certificate.commit.round, Round(0));
}

#[test]
fn line_49_a_certificate_waits_for_its_block() {
    let mut solo = Solo::new(0);
    let block = solo.block(0, 0);
    solo.votes(&[1, 2, 3], Precommit, 0, Some(block.id()));
    assert_eq!(solo.tip().block, None);
    solo.propose(0, &block, None);
    assert_eq!(solo.tip().block, Some(block.id()));
}

#[test]
fn line_49_a_certificate_for_a_block_that_is_invalid_here_stops_the_node() {
    let mut solo = Solo::new(0);
    let mut block = solo.block(0, 0);
    block.header.app_hash = Hash([7; 32]);
    solo.propose(0, &block, None);
    let effects = solo.votes(&[1, 2, 3], Precommit, 0, Some(block.id()));
    let reason = halted(&effects).expect("it stops");
    assert!(reason.contains("Restore its data"), "{reason}");
    assert!(solo.is_over());
}

#[test]
fn line_55_more_than_a_third_in_later_rounds_takes_it_along() {
    let mut solo = Solo::new(0);
    solo.vote(1, Prevote, 7, None);
    assert_eq!(solo.round(), 0, "one of four is no third");
    let effects = solo.vote(2, Precommit, 5, None);
    assert_eq!(solo.round(), 5, "two have reached round 5");
    assert_eq!(cast(&effects), [(Prevote, 4, None), (Precommit, 4, None)], "not without votes");
    solo.vote(3, Prevote, 7, None);
    assert_eq!(solo.round(), 7);
}

#[test]
fn line_57_no_proposal_in_time_is_a_prevote_for_nil() {
    // Nobody has transactions: the proposer waits for the idle interval first.
    let mut idle = Solo::new(0);
    assert!(cast(&idle.pass(599)).is_empty());
    assert_eq!(cast(&idle.pass(1)), [(Prevote, 0, None)]);

    let mut busy = Solo::new(0);
    busy.feed(Input::Work(true));
    assert!(cast(&busy.pass(499)).is_empty());
    assert_eq!(cast(&busy.pass(1)), [(Prevote, 0, None)]);
}

#[test]
fn timeouts_grow_by_a_step_each_round_to_the_cap() {
    let mut solo = Solo::new(0);
    for round in 0..20 {
        if round > 0 && solo.turn(round) != 0 {
            let begun = solo.ms();
            while cast(&solo.pass(1)).is_empty() {}
            let expected = (500 + 200 * u64::from(round)).min(3_000);
            assert_eq!(solo.ms() - begun, expected, "round {round}");
        }
        solo.next_round();
    }
}

#[test]
fn rounds_that_end_for_nil_do_not_race_when_every_seat_has_had_its_turn() {
    let mut solo = Solo::new(0);
    let mut lengths = Vec::new();
    for round in 0..8u32 {
        let begun = solo.ms();
        solo.next_round();
        let vote_timeout = (200 + 200 * u64::from(round)).min(3_000);
        lengths.push((solo.ms() - begun, if round < 4 { 0 } else { vote_timeout }));
    }
    assert!(lengths.iter().all(|(length, expected)| length == expected), "{lengths:?}");
}

#[test]
fn work_that_comes_during_the_wait_shortens_it_and_never_lengthens_it() {
    let mut solo = Solo::new(0);
    solo.pass(50);
    solo.feed(Input::Work(true));
    solo.pass(400);
    solo.feed(Input::Work(true));
    assert!(cast(&solo.pass(99)).is_empty());
    assert_eq!(cast(&solo.pass(1)), [(Prevote, 0, None)]);
}

#[test]
fn an_idle_proposer_waits_for_the_interval_or_for_work() {
    let mut idle = Solo::new(1);
    assert!(builds(&idle.pass(99)).is_empty());
    assert_eq!(builds(&idle.pass(1)), [Round(0)]);

    let mut busy = Solo::new(1);
    busy.pass(30);
    assert_eq!(builds(&busy.feed(Input::Work(true))), [Round(0)]);
    assert!(builds(&busy.feed(Input::Work(true))).is_empty(), "one block a round");
}

#[test]
fn with_work_the_next_height_starts_at_once() {
    let mut solo = Solo::new(2);
    solo.feed(Input::Work(true));
    // Its turn is at height 2.
    let effects = solo.decide();
    assert_eq!(builds(&effects), [Round(0)]);
}

#[test]
fn a_later_round_does_not_wait_for_work() {
    let mut solo = Solo::new(2);
    let effects = solo.next_round();
    assert_eq!(builds(&effects), [Round(1)]);
}

#[test]
fn a_block_that_is_built_out_of_turn_is_not_proposed() {
    let mut solo = Solo::new(0);
    assert!(proposed(&solo.feed(built(1, 0))).is_empty());
}

#[test]
fn a_block_that_is_built_too_late_is_not_proposed() {
    let mut solo = Solo::new(1);
    solo.node.answers_builds = false;
    assert_eq!(builds(&solo.feed(Input::Work(true))), [Round(0)]);
    solo.pass(500);
    assert!(proposed(&solo.feed(built(1, 0))).is_empty());
    assert!(!solo.node.disk.contains_key(&Slot::Proposal));
}

#[test]
fn of_blocks_that_were_built_only_that_of_the_round_counts_and_none_while_one_is_committed() {
    for is_committing in [false, true] {
        // Rounds 0 and 4 are its turn, round 1 is that of c.
        let mut solo = Solo::new(1);
        solo.node.answers_builds = false;
        let mut asked = builds(&solo.feed(Input::Work(true)));
        solo.votes(&[0, 2], Prevote, 1, None);
        let block = solo.block(1, 0);
        solo.propose(1, &block, None);
        asked.extend(builds(&solo.votes(&[0, 2], Prevote, 4, None)));
        assert_eq!(asked, [Round(0), Round(4)]);
        if is_committing {
            for org in [0, 2, 3] {
                let vote = solo.vote_of(org, Precommit, 1, Some(block.id()));
                solo.receive_alone(org, &Message::Vote(Box::new(vote)));
            }
        } else {
            assert!(proposed(&solo.feed(built(1, 0))).is_empty());
            assert!(proposed(&solo.feed(built(2, 4))).is_empty());
        }
        let is_proposed = !proposed(&solo.feed(built(1, 4))).is_empty();
        assert_eq!(is_proposed, !is_committing);
    }
}

#[test]
fn a_wake_up_too_early_too_late_or_twice_is_harmless() {
    let mut solo = Solo::new(0);
    for ms in [0, 1, 1, 0, 700, 0] {
        solo.pass(ms);
        solo.feed(Input::Wakeup);
        solo.feed(Input::Wakeup);
    }
    assert_eq!(solo.node.journal().votes.len(), 1);
    let wanted = solo.node.replica.next_wakeup().expect("it wants one");
    assert!(wanted > solo.now().instant);
    assert!(wanted <= solo.now().instant.plus(Duration::from_secs(10)));
}
