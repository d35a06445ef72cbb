//! Locks, unlocking and proposing again: the paper's lines 15, 22 and 28, and what a re-proposal
//! must carry.

use tandem_chain::block::Block;
use tandem_chain::types::{BlockId, Round};
use tandem_consensus::Effect;
use tandem_consensus::journal::Lock;
use tandem_consensus::limits::KEPT_ROUNDS;
use tandem_consensus::message::Message;
use tandem_consensus::verify::Fault;

use crate::solo::{Precommit, Prevote, Solo, cast, faults, proposed};

/// A replica that is locked on the block of round 0, in round 1.
fn locked(me: usize) -> (Solo, Block) {
    let mut solo = Solo::new(me);
    let block = solo.block(0, 0);
    solo.propose(0, &block, None);
    let others = solo.others();
    solo.votes(&others[..2], Prevote, 0, Some(block.id()));
    assert_eq!(lock(&solo), Some((0, block.id())));
    solo.votes(&others, Precommit, 0, None);
    assert_eq!(solo.round(), 1);
    (solo, block)
}

fn lock(solo: &Solo) -> Option<(u32, BlockId)> {
    solo.node.journal().locked.map(|Lock { round: Round(round), block }| (round, block))
}

/// How often the ledger is asked to check a block.
fn checks(effects: &[Effect]) -> usize {
    effects.iter().filter(|effect| matches!(effect, Effect::Check { .. })).count()
}

#[test]
fn line_22_a_fresh_proposal_of_another_block_gets_nil_while_locked() {
    let (mut solo, _) = locked(0);
    let other = solo.block(1, 1);
    assert_eq!(cast(&solo.propose(1, &other, None)), [(Prevote, 1, None)]);
}

#[test]
fn line_28_the_locked_block_proposed_again_gets_a_prevote() {
    let (mut solo, block) = locked(0);
    let prevotes = solo.world.prevotes(&solo.tip(), &[1, 2, 3], 0, block.id());
    let effects = solo.propose(1, &block, Some((0, prevotes)));
    assert_eq!(cast(&effects), [(Prevote, 1, Some(block.id()))]);
    let effects = solo.votes(&[1, 2], Prevote, 1, Some(block.id()));
    assert_eq!(cast(&effects), [(Precommit, 1, Some(block.id()))]);
    assert_eq!(lock(&solo), Some((1, block.id())));
}

#[test]
fn line_28_a_newer_proof_of_lock_moves_the_lock_an_older_one_does_not() {
    let (mut solo, block) = locked(0);
    // Others have locked on another block in round 1, which this node did not see.
    let other = solo.block(1, 1);
    solo.votes(&[1, 2, 3], Precommit, 1, None);
    let prevotes = solo.world.prevotes(&solo.tip(), &[1, 2, 3], 1, other.id());
    let effects = solo.propose(2, &other, Some((1, prevotes)));
    assert_eq!(cast(&effects), [(Prevote, 2, Some(other.id()))]);
    let effects = solo.votes(&[1, 2], Prevote, 2, Some(other.id()));
    assert_eq!(cast(&effects), [(Precommit, 2, Some(other.id()))]);
    assert_eq!(lock(&solo), Some((2, other.id())));

    // A proof of the old block's lock is older than that.
    for round in 2..4 {
        solo.votes(&[1, 2, 3], Precommit, round, None);
    }
    let prevotes = solo.world.prevotes(&solo.tip(), &[1, 2, 3], 0, block.id());
    assert_eq!(cast(&solo.propose(4, &block, Some((0, prevotes)))), [(Prevote, 4, None)]);
    assert_eq!(lock(&solo), Some((2, other.id())));
}

#[test]
fn line_28_without_a_quorum_of_prevotes_a_proposal_is_refused_and_the_good_one_still_counts() {
    let (mut solo, block) = locked(0);
    let tip = solo.tip();
    let one = solo.world.prevotes(&tip, &[1], 0, block.id()).remove(0);
    let mut foreign = solo.world.prevotes(&tip, &[1, 2, 3], 0, block.id());
    foreign[2].validator_index = foreign[1].validator_index;
    for bad in [
        Vec::new(),
        solo.world.prevotes(&tip, &[1, 2], 0, block.id()),
        vec![one.clone(), one.clone(), one],
        foreign,
    ] {
        let effects = solo.propose(1, &block, Some((0, bad)));
        assert!(cast(&effects).is_empty());
        assert!(matches!(faults(&effects)[..], [Fault::Inconsistent { .. }]), "{effects:?}");
    }
    let prevotes = solo.world.prevotes(&tip, &[1, 2, 3], 0, block.id());
    let effects = solo.propose(1, &block, Some((0, prevotes)));
    assert_eq!(cast(&effects), [(Prevote, 1, Some(block.id()))]);
}

#[test]
fn line_28_a_double_signers_other_prevote_that_came_first_does_not_spoil_the_proof() {
    let mut solo = Solo::new(0);
    let block = solo.block(0, 0);
    // Here b prevoted nil; with its prevote for the block the others got a quorum.
    solo.votes(&[1], Prevote, 0, None);
    solo.votes(&[1, 2, 3], Precommit, 0, None);
    let prevotes = solo.world.prevotes(&solo.tip(), &[1, 2, 3], 0, block.id());
    let effects = solo.propose(1, &block, Some((0, prevotes)));
    assert_eq!(cast(&effects), [(Prevote, 1, Some(block.id()))]);
    let accused = effects.iter().any(|effect| matches!(effect, Effect::DoubleSign { .. }));
    assert!(accused, "and the double signing is handed on");
}

#[test]
fn line_16_its_valid_value_is_proposed_again_with_the_prevotes_that_justify_it() {
    // c's turn is round 1.
    let mut solo = Solo::new(2);
    let block = solo.block(0, 0);
    solo.propose(0, &block, None);
    solo.votes(&[1, 3], Prevote, 0, Some(block.id()));
    let effects = solo.votes(&[0, 1, 3], Precommit, 0, None);
    let [proposal] = &proposed(&effects)[..] else { panic!("it proposes in round 1") };
    assert_eq!((proposal.block_id, proposal.valid_round), (block.id(), Some(Round(0))));
    assert_eq!(proposal.block.header.proposer_address, solo.world.validator(1).address());
    let voters: Vec<_> = proposal.prevotes.iter().map(|v| (v.round, v.block)).collect();
    assert_eq!(voters, [(Round(0), Some(block.id())); 3]);
    // And another replica takes it.
    let mut other = Solo::new(0);
    other.votes(&[1, 2, 3], Precommit, 0, None);
    let effects = other.receive(2, &Message::Proposal(Box::new(proposal.clone())));
    assert_eq!(cast(&effects), [(Prevote, 1, Some(block.id()))]);
}

#[test]
fn a_proposal_by_another_than_the_rounds_proposer_is_refused() {
    let mut solo = Solo::new(0);
    let (tip, last) = (solo.tip(), solo.certificate());
    let (wrong, right) = (solo.world.validator(2), solo.world.validator(1));
    let block = solo.world.block(&tip, &wrong, solo.now(), &last);
    // Signed by a wrong proposer; by the right one, of a block that another made.
    for proposer in [wrong, right] {
        let proposal = solo.world.proposal(&proposer, 0, &block, None);
        let effects = solo.receive(2, &Message::Proposal(Box::new(proposal)));
        assert!(matches!(faults(&effects)[..], [Fault::NotProposer { .. }]));
        assert!(cast(&effects).is_empty());
    }
    assert_eq!(cast(&solo.pass(600)), [(Prevote, 0, None)]);
}

#[test]
fn a_re_proposal_of_a_block_whose_author_never_had_its_turn_is_refused() {
    let mut solo = Solo::new(0);
    solo.next_round();
    let (tip, last) = (solo.tip(), solo.certificate());
    // Round 0 was b's turn, not d's.
    let block = solo.world.block(&tip, &solo.world.validator(3), solo.now(), &last);
    let prevotes = solo.world.prevotes(&tip, &[1, 2, 3], 0, block.id());
    let effects = solo.propose(1, &block, Some((0, prevotes)));
    assert!(matches!(faults(&effects)[..], [Fault::NotProposer { .. }]));
}

#[test]
fn a_re_proposal_is_not_held_against_the_clock() {
    let mut solo = Solo::new(0);
    let block = solo.block(0, 60_000_000_000);
    solo.propose(0, &block, None);
    solo.votes(&[1, 2, 3], Precommit, 0, None);
    let prevotes = solo.world.prevotes(&solo.tip(), &[1, 2, 3], 0, block.id());
    let effects = solo.propose(1, &block, Some((0, prevotes)));
    assert_eq!(cast(&effects), [(Prevote, 1, Some(block.id()))]);
}

#[test]
fn of_two_proposals_in_a_round_the_first_counts() {
    let mut solo = Solo::new(0);
    let (one, other) = (solo.block(0, 0), solo.block(0, 1));
    assert_eq!(cast(&solo.propose(0, &one, None)), [(Prevote, 0, Some(one.id()))]);
    assert!(solo.propose(0, &other, None).is_empty());
    let wild = solo.block(0, 60_000_000_000);
    assert!(solo.propose(0, &wild, None).is_empty(), "nor is anything found out about another");
}

#[test]
fn of_proposals_for_rounds_ahead_one_per_proposer_is_kept() {
    let mut solo = Solo::new(0);
    // Rounds 4, 8, 12, ... are b's, too.
    for round in (4..400).step_by(4) {
        let block = solo.block(round, u64::from(round));
        assert_eq!(checks(&solo.propose(round, &block, None)), 0, "no work for a round to come");
    }
    solo.propose(392, &solo.block(392, 1), None);
    // c's is not touched by that, and is checked and gets its prevote once its round has come.
    let block = solo.block(5, 0);
    assert_eq!(checks(&solo.propose(5, &block, None)), 0);
    let effects = solo.votes(&[1, 2], Prevote, 5, None);
    assert_eq!(checks(&effects), 1);
    assert_eq!(cast(&effects).last(), Some(&(Prevote, 5, Some(block.id()))));
    // Of b's the newest is there, and no older one.
    for (round, is_there) in [(392, false), (396, true)] {
        let effects = solo.votes(&[1, 2], Prevote, round, None);
        assert_eq!(checks(&effects), usize::from(is_there), "{round}");
    }
}

#[test]
fn a_block_that_few_have_voted_for_is_forgotten_with_its_proposal_and_not_before() {
    for (rounds, checks_again) in [(KEPT_ROUNDS, 0), (KEPT_ROUNDS + 1, 1)] {
        let mut solo = Solo::with_powers(&[1; 7], 0);
        let block = solo.block(0, 0);
        assert_eq!(checks(&solo.propose(0, &block, None)), 1);
        while solo.round() < rounds {
            solo.next_round();
        }
        let prevotes = solo.world.prevotes(&solo.tip(), &[1, 2, 3, 4, 5], 0, block.id());
        let effects = solo.propose(rounds, &block, Some((0, prevotes)));
        assert_eq!(cast(&effects), [(Prevote, rounds, Some(block.id()))]);
        assert_eq!(checks(&effects), checks_again, "in round {rounds}");
    }
}

#[test]
fn the_locked_block_is_kept_when_its_proposal_is_long_past_and_can_still_be_decided() {
    for restarts in [false, true] {
        // Its turn is round 6.
        let mut solo = Solo::with_powers(&[1; 7], 0);
        let block = solo.block(0, 0);
        let id = Some(block.id());
        solo.propose(0, &block, None);
        solo.votes(&[1, 2, 3, 4], Prevote, 0, id);
        assert_eq!(lock(&solo), Some((0, block.id())));
        if restarts {
            solo.restart();
        }
        while solo.round() < KEPT_ROUNDS + 1 {
            solo.next_round();
        }
        solo.votes(&[1, 2, 3, 4, 5], Precommit, KEPT_ROUNDS + 1, id);
        assert_eq!(solo.tip().block, id);
    }
}

#[test]
fn a_proposal_of_a_round_long_past_is_not_kept() {
    let mut solo = Solo::new(0);
    let old = solo.block(0, 0);
    for _ in 0..5 {
        solo.next_round();
    }
    let effects = solo.propose(0, &old, None);
    assert!(effects.is_empty(), "{effects:?}");
}
