//! What peers send for the next height, before it begins here.

use tandem_chain::vote::Vote;
use tandem_consensus::limits::MAX_NEXT_VOTES_PER_VALIDATOR;
use tandem_consensus::message::Message;
use tandem_consensus::verify::Fault;

use crate::messages::fetch;
use crate::solo::{Precommit, Prevote, Solo, cast, faults};

#[test]
fn what_comes_early_for_the_next_height_counts_when_it_begins() {
    let mut solo = Solo::new(0);
    let mut ahead = Solo::new(3);
    ahead.decide_by(&[1, 2]);
    let last = ahead.last();
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
fn nobody_takes_the_place_of_what_others_send_early() {
    let mut solo = Solo::new(0);
    let mut ahead = Solo::new(3);
    ahead.decide_by(&[1, 2]);
    let last = ahead.last();
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
