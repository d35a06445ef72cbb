//! What peers send, right or wrong.

use std::sync::Arc;

use tandem_chain::block::CertifiedBlock;
use tandem_chain::keys::PublicKey;
use tandem_chain::types::{Hash, Height};
use tandem_chain::vote::Vote;
use tandem_consensus::limits::FETCH_AHEAD;
use tandem_consensus::message::Message;
use tandem_consensus::verify::Fault;
use tandem_consensus::{Effect, Input};

use crate::solo::{Precommit, Prevote, Solo, cast, faults, halted, sent};
use crate::world::{at, chain_id};

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
pub fn fetch(solo: &mut Solo, blocks: Vec<CertifiedBlock>) -> Vec<Effect> {
    let peer = solo.world.validator(1);
    solo.feed(Input::Connected(peer));
    let first = solo.tip().height.next();
    let height = first.plus(blocks.len() as u64 - 1);
    let mut asked = solo.receive(1, &Message::Status { committed: height });
    asked.extend(solo.pass(100));
    assert!(asked.iter().any(|effect| matches!(effect, Effect::Fetch { .. })), "{asked:?}");
    solo.feed(Input::Fetched { from: peer, first, blocks })
}

/// It has restored a snapshot, and told the truth: nothing is said of it, and another is asked at once.
#[test]
fn who_says_that_it_lacks_a_block_is_not_reported_as_who_sends_none_is() {
    for is_told in [false, true] {
        let mut solo = Solo::new(0);
        let committed = solo.tip().height.plus(FETCH_AHEAD);
        let mut effects = Vec::new();
        for org in [1, 2] {
            let peer = solo.world.validator(org);
            effects.extend(solo.feed(Input::Connected(peer)));
            effects.extend(solo.receive(org, &Message::Status { committed }));
        }
        let asked = |effects: &[Effect]| -> Vec<PublicKey> {
            let peer = |effect: &Effect| match effect {
                Effect::Fetch { from, .. } => Some(*from),
                _ => None,
            };
            effects.iter().filter_map(peer).collect()
        };
        let [from] = asked(&effects)[..] else { panic!("{effects:?}") };
        let first = solo.tip().height.next();
        let answer = if is_told {
            Input::Lacks { from, first, lowest: first.next() }
        } else {
            Input::Fetched { from, first, blocks: Vec::new() }
        };
        let effects = solo.feed(answer);
        let is_reported = effects.iter().any(|effect| matches!(effect, Effect::Report { .. }));
        assert_eq!(is_reported, !is_told, "{effects:?}");
        let others = asked(&effects);
        assert!(others.len() == 1 && others[0] != from, "{effects:?}");
    }
}

#[test]
fn the_vote_that_a_certificate_shows_is_told_as_its_signer_made_it() {
    let mut solo = Solo::new(0);
    let (block, d) = (solo.block(0, 0), solo.world.validator(3));
    let one = solo.vote_of(3, Precommit, 0, Some(Hash([1; 32])));
    solo.receive(3, &Message::Vote(Box::new(one.clone())));
    // The other is of another time; a certificate in a block has no observations.
    let mut other = solo.vote_of(3, Precommit, 0, Some(block.id()));
    other.timestamp = at(7).wall;
    other.signature = solo.world.secret(&d).sign(&other.sign_bytes(&chain_id()));
    let mut certificate = solo.world.certificate(&solo.tip(), &[1, 2, 3], 0, &block);
    let shown = &mut certificate.commit.signatures[usize::from(other.validator_index)];
    let shown = shown.as_mut().expect("d has signed");
    (shown.timestamp, shown.signature) = (other.timestamp, other.signature);
    let effects = fetch(&mut solo, vec![CertifiedBlock { block: block.into(), certificate }]);
    assert_eq!(accused(&effects), [(one, Vote { observation: None, ..other })]);
}

#[test]
fn a_proposal_that_is_verified_too_late_for_its_height_changes_nothing() {
    for is_executed in [false, true] {
        let mut solo = Solo::new(0);
        let block = solo.block(0, 0);
        let late = Message::Proposal(Box::new(solo.proposal(1, &solo.block(1, 1), None)));
        let late = solo.node.verified(solo.world.validator(2), &late).expect("a good one");
        solo.propose(0, &block, None);
        let mut effects = Vec::new();
        for org in [1, 2, 3] {
            let vote = solo.vote_of(org, Precommit, 0, Some(block.id()));
            effects.extend(solo.receive_alone(org, &Message::Vote(Box::new(vote))));
        }
        if is_executed {
            let answers: Vec<Input> = effects.iter().filter_map(|e| solo.node.answer(e)).collect();
            answers.into_iter().for_each(|input| drop(solo.feed(input)));
            assert_eq!(solo.tip().height, Height(1));
        }
        let effects = solo.feed(late.expect("of this height by then"));
        assert!(effects.is_empty(), "{effects:?}");
    }
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
fn who_votes_for_a_valid_block_is_seen_in_the_same_height_and_who_votes_for_another_is_not() {
    let mut solo = Solo::new(0);
    solo.decide();
    // From now on it has seen nobody.
    solo.restart();
    let (block, _) = solo.open();
    solo.vote(3, Prevote, 0, Some(Hash([1; 32])));
    solo.votes(&[1, 2], Prevote, 0, Some(block.id()));
    let sees = [1, 2, 3].map(|org| solo.sees(&solo.world.validator(org)));
    assert_eq!(sees, [true, true, false]);
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
