//! What peers are sent because they may lack it: new ones at once, and all while a height takes long.

use tandem_chain::types::{Hash, Height};
use tandem_consensus::message::Message;
use tandem_consensus::{Effect, Input};

use crate::solo::{Prevote, Solo, broadcast, proposed, sent, votes_in};
use crate::world::World;

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
fn who_lacks_a_block_is_sent_it_by_a_third_of_the_others_and_one_and_by_each_in_its_turns() {
    const SEATS: usize = 7;
    let senders = SEATS / 3 + 1;
    let turns_ms = [400, 1_000, 2_000, 4_000, 4_000, 4_000, 4_000];
    // Who sent it to whom, turn by turn, had each of them heard of nobody else who has it.
    let mut sent = vec![Vec::new(); turns_ms.len()];
    for me in 0..SEATS {
        let mut solo = Solo::with_powers(&[1; SEATS], me);
        solo.open();
        for (sent, ms) in sent.iter_mut().zip(turns_ms) {
            let effects = solo.pass(ms);
            sent.extend(effects.iter().filter_map(|effect| match effect {
                Effect::Send { to, message: Message::Proposal(_) } => Some((me, *to)),
                _ => None,
            }));
        }
    }
    let world = World::new(&[1; SEATS]);
    for org in 0..SEATS {
        let key = world.validator(org);
        for sent in &sent {
            let count = sent.iter().filter(|(_, to)| *to == key).count();
            // It may be one of them itself.
            assert!(count == senders || count == senders - 1, "{count} at a time");
        }
        for me in 0..SEATS {
            let turns = sent.iter().flatten().filter(|sent| **sent == (me, key)).count();
            assert_eq!(turns, if me == org { 0 } else { senders }, "{me} to {org}");
        }
    }
}

#[test]
fn a_proposal_is_sent_again_from_the_time_on_that_it_should_have_come_by() {
    let proposals = |effects: &[Effect]| {
        sent(effects).iter().filter(|message| matches!(message, Message::Proposal(_))).count()
    };
    // The propose timeout of round 0, 500 ms, is when all is sent again for the first time.
    let mut solo = Solo::new(0);
    solo.open();
    assert_ne!(proposals(&solo.pass(400)), 0);

    let mut solo = Solo::new(0);
    solo.votes(&[2, 3], Prevote, 1, None);
    solo.propose(1, &solo.block(1, 0), None);
    assert_eq!(solo.round(), 1);
    assert_eq!(proposals(&solo.pass(500)), 0, "that of round 1 is 700 ms");
    assert_ne!(proposals(&solo.pass(1_000)), 0);
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
