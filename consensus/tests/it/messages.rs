//! What peers send, right or wrong, and what they are sent beside fresh votes.

use std::sync::Arc;

use tandem_chain::block::CertifiedBlock;
use tandem_chain::types::{Hash, Height};
use tandem_chain::vote::Vote;
use tandem_consensus::limits::MAX_NEXT_VOTES_PER_VALIDATOR;
use tandem_consensus::message::Message;
use tandem_consensus::verify::Fault;
use tandem_consensus::{Effect, Input};

use crate::solo::{
    Precommit, Prevote, Solo, broadcast, cast, faults, halted, proposed, sent, votes_in,
};
use crate::world::at;

fn accused(effects: &[Effect]) -> Vec<(Vote, Vote)> {
    let found = effects.iter().filter_map(|effect| match effect {
        Effect::DoubleSign { one, other, .. } => Some((Vote::clone(one), Vote::clone(other))),
        _ => None,
    });
    found.collect()
}

#[test]
fn a_vote_by_the_standby_or_with_anothers_index_is_refused_and_counts_for_nothing() {
    let mut solo = Solo::new(0);
    let block = solo.block(0, 0);
    solo.propose(0, &block, None);
    let standby = solo.world.standby(1);
    let tip = solo.tip();
    let by_standby = solo.world.vote(&tip, &standby, Prevote, 0, Some(block.id()));
    let good = solo.vote_of(2, Prevote, 0, Some(block.id()));
    for vote in [
        by_standby,
        Vote { validator_index: 7, ..good.clone() },
        Vote { validator_index: good.validator_index ^ 1, ..good },
    ] {
        let effects = solo.receive(2, &Message::Vote(Box::new(vote)));
        assert!(matches!(faults(&effects)[..], [Fault::NotHolder { .. }]));
    }
    assert!(cast(&solo.vote(1, Prevote, 0, Some(block.id()))).is_empty(), "two of four so far");
}

#[test]
fn two_votes_that_contradict_each_other_are_evidence_once() {
    let mut solo = Solo::new(0);
    let block = solo.block(0, 0);
    solo.vote(3, Prevote, 0, None);
    let found = accused(&solo.vote(3, Prevote, 0, Some(block.id())));
    let [(one, other)] = &found[..] else { panic!("one double signing") };
    assert!(accused(&solo.vote(3, Prevote, 0, Some(Hash([1; 32])))).is_empty(), "once a height");
    // The ledger makes evidence of it, once the height is decided.
    let key = solo.world.validator(3);
    assert_eq!(solo.node.ledger.evidence(one, other, key), Ok(None));
    solo.decide();
    let evidence = solo.node.ledger.evidence(one, other, key).expect("memory does not fail");
    let evidence = evidence.expect("evidence");
    evidence.verify(&tandem_chain::keys::Strict, &crate::world::chain_id()).expect("it is good");
}

#[test]
fn a_late_vote_that_contradicts_an_earlier_one_is_evidence_too() {
    let mut solo = Solo::new(0);
    let late = solo.vote_of(3, Precommit, 0, None);
    solo.decide();
    let effects = solo.receive(3, &Message::Vote(Box::new(late)));
    assert_eq!(accused(&effects).len(), 1);
}

#[test]
fn a_certificate_that_contradicts_a_vote_that_came_is_evidence() {
    // d's precommit for nil came here, the one for the block went to the others alone.
    let mut solo = Solo::new(0);
    let block = solo.block(0, 0);
    let id = block.id();
    solo.propose(0, &block, None);
    solo.vote(3, Precommit, 0, None);
    solo.votes(&[1, 2], Prevote, 0, Some(id));
    solo.votes(&[1, 2], Precommit, 0, Some(id));
    assert_eq!(solo.tip().block, Some(id));
    let theirs = solo.world.certificate(&solo.world.ledger().tip().clone(), &[1, 2, 3], 0, &block);
    let author = solo.world.validator(solo.turn(0));
    let next = solo.world.block(&solo.tip(), &author, at(10), &theirs);
    assert_eq!(accused(&solo.propose(0, &next, None)).len(), 1);
}

#[test]
fn so_is_the_certificate_of_a_fetched_block() {
    let mut solo = Solo::new(0);
    let block = solo.block(0, 0);
    solo.vote(3, Precommit, 0, None);
    let certificate = solo.world.certificate(&solo.tip(), &[1, 2, 3], 0, &block);
    let effects = fetch(&mut solo, vec![CertifiedBlock { block: block.into(), certificate }]);
    assert_eq!(accused(&effects).len(), 1);
    assert_eq!(solo.tip().height, Height(1));
}

#[test]
fn what_others_have_committed_is_told_as_they_claim_it() {
    let mut solo = Solo::new(0);
    for org in [1, 2] {
        let peer = solo.world.validator(org);
        solo.feed(Input::Connected(peer));
    }
    solo.receive(1, &Message::Status { committed: Height(7) });
    assert_eq!(solo.node.replica.best_claim(), Height(0), "one of four is no third");
    solo.receive(2, &Message::Status { committed: Height(6) });
    assert_eq!(solo.node.replica.best_claim(), Height(6));
}

/// Lets b claim a height and answers the fetch that follows.
fn fetch(solo: &mut Solo, blocks: Vec<CertifiedBlock>) -> Vec<Effect> {
    let peer = solo.world.validator(1);
    solo.feed(Input::Connected(peer));
    let first = solo.tip().height.next();
    let height = first.plus(blocks.len() as u64 - 1);
    let mut asked = solo.receive(1, &Message::Status { committed: height });
    asked.extend(solo.pass(100));
    assert!(asked.iter().any(|effect| matches!(effect, Effect::Fetch { .. })), "{asked:?}");
    solo.feed(Input::Fetched { from: peer, first, blocks })
}

#[test]
fn a_fetched_block_that_is_certified_but_invalid_here_stops_the_node() {
    let mut solo = Solo::new(0);
    let mut block = solo.block(0, 0);
    block.header.app_hash = Hash([7; 32]);
    let certificate = solo.world.certificate(&solo.tip(), &[1, 2, 3], 0, &block);
    let effects = fetch(&mut solo, vec![CertifiedBlock { block: block.into(), certificate }]);
    let reason = halted(&effects).expect("it stops");
    assert!(reason.contains("app_hash"), "{reason}");
}

#[test]
fn a_fetched_block_that_is_not_certified_stops_nothing_and_its_sender_is_reported() {
    let mut solo = Solo::new(0);
    let block = solo.block(0, 0);
    let good = CertifiedBlock {
        certificate: solo.world.certificate(&solo.tip(), &[1, 2, 3], 0, &block),
        block: block.into(),
    };
    let mut bad = good.clone();
    Arc::make_mut(&mut bad.block).header.app_hash = Hash([7; 32]);
    let mut weak = good.clone();
    weak.certificate = solo.world.certificate(&solo.tip(), &[1, 2], 0, &good.block);
    for wrong in [bad, weak] {
        let effects = fetch(&mut solo, vec![wrong]);
        assert_eq!((faults(&effects).len(), halted(&effects)), (1, None));
        assert_eq!(solo.tip().height, Height(0));
        solo.pass(5_000);
    }
    fetch(&mut solo, vec![good]);
    assert_eq!(solo.tip().height, Height(1));
}

#[test]
fn a_later_signature_of_its_own_stops_the_node() {
    let me = Solo::new(0);
    let block = me.block(3, 0);
    let foreign = [
        ("a prevote", Message::Vote(Box::new(me.vote_of(0, Prevote, 0, None)))),
        ("a precommit", Message::Vote(Box::new(me.vote_of(0, Precommit, 5, Some(block.id()))))),
        // Round 3 is its turn.
        ("a proposal", Message::Proposal(Box::new(me.proposal(3, &block, None)))),
    ];
    for (name, message) in foreign {
        let mut solo = Solo::new(0);
        let effects = solo.receive(1, &message);
        let reason = halted(&effects).unwrap_or_else(|| panic!("{name} stops it"));
        assert!(reason.contains("runs on another machine"), "{reason}");
        assert!(solo.is_over());
    }
}

#[test]
fn a_certificate_with_its_own_signature_that_it_never_made_stops_the_node() {
    let mut solo = Solo::new(0);
    let block = solo.block(0, 0);
    let certificate = solo.world.certificate(&solo.tip(), &[0, 1, 2], 0, &block);
    let effects = fetch(&mut solo, vec![CertifiedBlock { block: block.into(), certificate }]);
    assert!(halted(&effects).is_some());
}

#[test]
fn its_own_votes_that_come_back_are_harmless_and_others_in_their_place_are_not() {
    let mut solo = Solo::new(0);
    let block = solo.block(0, 0);
    solo.propose(0, &block, None);
    let own = solo.node.journal().votes.remove(0);
    assert!(solo.receive(1, &Message::Vote(Box::new(own))).is_empty());
    let other = solo.vote_of(0, Prevote, 0, None);
    assert!(halted(&solo.receive(1, &Message::Vote(Box::new(other)))).is_some());
}

#[test]
fn a_lost_key_is_not_surprised_by_its_own_signatures() {
    let mut solo = Solo::lost();
    let own = solo.vote_of(0, Prevote, 0, None);
    assert!(halted(&solo.receive(1, &Message::Vote(Box::new(own)))).is_none());
}

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

#[test]
fn a_new_peer_gets_the_height_the_rounds_proposal_and_the_own_votes() {
    let mut solo = Solo::new(0);
    let block = solo.block(0, 0);
    solo.propose(0, &block, None);
    solo.votes(&[1, 2], Prevote, 0, Some(block.id()));
    let peer = solo.world.validator(2);
    let messages = sent(&solo.feed(Input::Connected(peer)));
    assert_eq!(messages[0], Message::Status { committed: Height(0) });
    let Message::Proposal(proposal) = &messages[3] else { panic!("{messages:?}") };
    assert_eq!(proposal.block_id, block.id());
    assert_eq!(votes_in(&messages), solo.node.journal().votes);
    assert_eq!(messages.len(), 4);
}

#[test]
fn a_proposal_that_is_invalid_is_not_sent_on() {
    let mut solo = Solo::new(0);
    let mut block = solo.block(0, 0);
    block.header.app_hash = Hash([7; 32]);
    solo.propose(0, &block, None);
    let peer = solo.world.validator(2);
    let messages = sent(&solo.feed(Input::Connected(peer)));
    assert!(!messages.iter().any(|message| matches!(message, Message::Proposal(_))));
}

#[test]
fn while_a_height_takes_long_all_is_sent_again_less_and_less_often_to_a_bound() {
    let mut solo = Solo::new(0);
    solo.feed(Input::Work(true));
    let mut times = Vec::new();
    while solo.ms() < 20_000 {
        let resent = broadcast(&solo.pass(50));
        if resent.iter().any(|message| matches!(message, Message::Status { .. })) {
            times.push(solo.ms());
        }
    }
    assert_eq!(times, [500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500]);
}

#[test]
fn an_idle_height_resends_no_more_than_a_status() {
    let mut solo = Solo::new(0);
    let effects = solo.pass(599);
    assert_eq!(broadcast(&effects), [Message::Status { committed: Height(0) }]);
}

#[test]
fn what_is_resent_is_the_same_and_the_proposal_goes_to_who_has_not_voted_for_it_by_turns() {
    let mut solo = Solo::new(1);
    let first = solo.feed(Input::Work(true));
    let proposal = proposed(&first).remove(0);
    // One other has the proposal and says so; the rest are silent.
    solo.votes(&[2], Prevote, 0, Some(proposal.block_id));
    let has_it = solo.world.validator(2);
    let mut sent_to = Vec::new();
    for turn in 0..4 {
        let effects = solo.pass(if turn == 0 { 500 } else { 1_000 << turn.min(2) });
        let again = broadcast(&effects);
        let expected = [
            Message::Status { committed: Height(0) },
            Message::Vote(Box::new(solo.node.journal().votes[0].clone())),
        ];
        assert_eq!(again, expected);
        let proposals = effects.iter().filter_map(|effect| match effect {
            Effect::Send { to, message: Message::Proposal(p) } => Some((*to, p.as_ref())),
            _ => None,
        });
        let proposals: Vec<_> = proposals.collect();
        assert!(proposals.iter().all(|(to, p)| *to != has_it && **p == proposal));
        assert!(proposals.len() <= 2, "a third of those who have it, and one, for each");
        sent_to.extend(proposals.into_iter().map(|(to, _)| to));
    }
    for org in [0, 3] {
        assert!(sent_to.contains(&solo.world.validator(org)), "{org}");
    }
}

#[test]
fn a_question_of_a_lost_key_is_answered_with_the_height_committed() {
    let mut solo = Solo::new(0);
    solo.decide();
    let answer = sent(&solo.receive(2, &Message::LostQuery));
    assert_eq!(answer, [Message::LostAnswer { committed: Height(1) }]);
}

#[test]
fn a_fetch_that_is_not_answered_is_reported_and_another_peer_is_asked() {
    let mut solo = Solo::new(0);
    let (b, c) = (solo.world.validator(1), solo.world.validator(2));
    solo.feed(Input::Connected(b));
    solo.feed(Input::Connected(c));
    solo.receive(2, &Message::Status { committed: Height(3) });
    solo.receive(1, &Message::Status { committed: Height(1_000_000) });
    let asked = |effects: &[Effect]| {
        let peers = effects.iter().filter_map(|effect| match effect {
            Effect::Fetch { from, .. } => Some(*from),
            _ => None,
        });
        peers.collect::<Vec<_>>()
    };
    let effects = solo.pass(5_000);
    assert_eq!(faults(&effects).len(), 1);
    assert_eq!(asked(&effects), [c], "b was asked when it claimed, then c");
    // Both go on to claim and never answer: neither is asked more than one at a time allows.
    let mut later = Vec::new();
    for _ in 0..60 {
        solo.receive(1, &Message::Status { committed: Height(1_000_000) });
        solo.receive(2, &Message::Status { committed: Height(3) });
        later.extend(asked(&solo.pass(1_000)));
    }
    assert!(later.contains(&b) && later.contains(&c));
    assert!(later.len() <= 12, "{}", later.len());
    assert!(solo.node.replica.next_wakeup() > Some(solo.now().instant));
}

#[test]
fn late_votes_of_heights_long_past_show_that_their_sender_follows() {
    let mut solo = Solo::new(0);
    // From height 3 on d's votes come late, by two heights.
    let mut late: Vec<Vote> = Vec::new();
    for _ in 0..12 {
        let (block, _) = solo.open();
        late.push(solo.vote_of(3, Prevote, 0, Some(block.id())));
        solo.close(&block, &[1, 2]);
        if let Some(vote) = late.iter().rev().nth(2) {
            let message = Message::Vote(Box::new(vote.clone()));
            assert!(solo.receive(3, &message).is_empty());
        }
    }
    assert_that_d_is_seen_and_its_standby_is_not(&solo);
}

fn assert_that_d_is_seen_and_its_standby_is_not(solo: &Solo) {
    let tip = solo.tip();
    let (me, _) = tip.table.by_key(&solo.node.key).expect("a seat");
    let own = solo.last().certificate.observations[me].clone().expect("an observation");
    let bit = |key| own.seen.get(tip.register.index(&key).expect("registered"));
    assert!(bit(solo.world.validator(3)), "d is late and alive");
    assert!(!bit(solo.world.standby(3)), "d's standby is silent");
}

#[test]
fn votes_that_come_while_their_block_is_executed_show_that_their_sender_follows() {
    let mut solo = Solo::new(0);
    for _ in 0..12 {
        let (block, _) = solo.open();
        let id = Some(block.id());
        solo.votes(&[1, 2], Prevote, 0, id);
        solo.vote(1, Precommit, 0, id);
        let votes =
            [(2, Precommit), (3, Prevote)].map(|(org, kind)| solo.vote_of(org, kind, 0, id));
        let mut effects = Vec::new();
        for (org, vote) in [2, 3].into_iter().zip(votes) {
            effects.extend(solo.receive_alone(org, &Message::Vote(Box::new(vote))));
        }
        for effect in effects {
            if let Some(answer) = solo.node.answer(&effect) {
                solo.feed(answer);
            }
        }
        assert_eq!(solo.tip().block, id, "c's vote decides");
    }
    assert_that_d_is_seen_and_its_standby_is_not(&solo);
}
