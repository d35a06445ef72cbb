//! What peers are sent because they may lack it: new ones at once, and all while a height takes long.

use tandem_chain::types::{Hash, Height};
use tandem_consensus::message::Message;
use tandem_consensus::{Effect, Input};

use crate::solo::{Prevote, Solo, broadcast, proposed, sent, votes_in};

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
