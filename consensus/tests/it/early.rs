//! What peers send for the next height, before it begins here.

use tandem_chain::block::CertifiedBlock;
use tandem_chain::vote::Vote;
use tandem_consensus::limits::MAX_NEXT_VOTES_PER_VALIDATOR;
use tandem_consensus::message::Message;
use tandem_consensus::verify::Fault;

use crate::messages::fetch;
use crate::solo::{Precommit, Prevote, Solo, cast, faults};

/// A replica at height 1; one of the height after it, and the block between.
fn ahead() -> (Solo, Solo, CertifiedBlock) {
    let mut ahead = Solo::new(3);
    ahead.decide_by(&[1, 2]);
    let last = ahead.last();
    (Solo::new(0), ahead, last)
}

#[test]
fn what_comes_early_for_the_next_height_counts_when_it_begins() {
    let (mut solo, ahead, last) = ahead();
    let next = ahead.block(0, 0);
    let proposal = ahead.proposal(0, &next, None);
    for (org, kind) in [(1, Prevote), (2, Prevote), (1, Precommit), (2, Precommit)] {
        let vote = ahead.vote_of(org, kind, 0, Some(next.id()));
        assert!(cast(&solo.receive(org, &Message::Vote(Box::new(vote)))).is_empty());
    }
    solo.receive(2, &Message::Proposal(Box::new(proposal)));
    let effects = fetch(&mut solo, vec![last]);
    let id = Some(next.id());
    assert_eq!(cast(&effects), [(Prevote, 0, id), (Precommit, 0, id)]);
    assert_eq!(solo.tip().block, id);
}

#[test]
fn of_a_proposers_proposals_the_newest_counts_and_of_those_for_one_round_the_first() {
    let (mut solo, ahead, last) = ahead();
    // Rounds 0 and 4 are c's.
    let block = ahead.block(4, 1);
    for (round, block) in
        [(0, &ahead.block(0, 0)), (4, &block), (0, &block), (4, &ahead.block(4, 2))]
    {
        let proposal = ahead.proposal(round, block, None);
        assert!(solo.receive(2, &Message::Proposal(Box::new(proposal))).is_empty());
    }
    fetch(&mut solo, vec![last]);
    let effects = solo.votes(&[1, 3], Prevote, 4, None);
    assert_eq!(cast(&effects).last(), Some(&(Prevote, 4, Some(block.id()))));
}

#[test]
fn of_a_voters_votes_so_many_are_kept_and_no_more() {
    let (mut solo, ahead, last) = ahead();
    let bound = u32::try_from(MAX_NEXT_VOTES_PER_VALIDATOR).expect("few");
    let votes = (0..=bound).map(|round| (3, round)).chain([(2, bound)]);
    for (org, round) in votes {
        let vote = ahead.vote_of(org, Prevote, round, None);
        assert!(solo.receive(org, &Message::Vote(Box::new(vote))).is_empty());
    }
    fetch(&mut solo, vec![last]);
    assert_eq!(solo.round(), bound - 1, "the last one of d was one too many");
}

#[test]
fn nobody_takes_the_place_of_what_others_send_early() {
    let (mut solo, ahead, last) = ahead();
    let next = ahead.block(0, 0);
    let id = Some(next.id());
    // Proposals of the next height by a standby, and by a validator for all its rounds.
    let standby = ahead.world.standby(3);
    let foreign = ahead.world.proposal(&standby, 0, &next, None);
    let effects = solo.receive(3, &Message::Proposal(Box::new(foreign)));
    assert!(matches!(faults(&effects)[..], [Fault::NoSeat { .. }]));
    for round in (1..40).step_by(4) {
        let block = ahead.block(round, u64::from(round));
        let proposal = ahead.proposal(round, &block, None);
        assert!(solo.receive(3, &Message::Proposal(Box::new(proposal))).is_empty());
    }
    // b's vote with every index but its own, and too many of d.
    let vote = ahead.vote_of(1, Prevote, 0, id);
    for index in (0..20).filter(|index| *index != vote.validator_index) {
        let vote = Vote { validator_index: index, ..vote.clone() };
        let effects = solo.receive(3, &Message::Vote(Box::new(vote)));
        assert!(matches!(faults(&effects)[..], [Fault::NotHolder { .. }]));
    }
    for round in 0..2 * u32::try_from(MAX_NEXT_VOTES_PER_VALIDATOR).expect("few") {
        let vote = ahead.vote_of(3, Prevote, round, None);
        assert!(solo.receive(3, &Message::Vote(Box::new(vote))).is_empty());
    }
    // What is right is there when the height begins.
    let proposal = ahead.proposal(0, &next, None);
    solo.receive(2, &Message::Proposal(Box::new(proposal)));
    solo.receive(1, &Message::Vote(Box::new(vote)));
    let vote = ahead.vote_of(2, Prevote, 0, id);
    solo.receive(2, &Message::Vote(Box::new(vote)));
    let effects = fetch(&mut solo, vec![last]);
    assert_eq!(cast(&effects), [(Prevote, 0, id), (Precommit, 0, id)]);
}
