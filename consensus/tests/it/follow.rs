//! Follow messages: who sends them, when, and how many.

use tandem_chain::types::Height;
use tandem_consensus::message::{FollowBody, Message};
use tandem_consensus::{Effect, Input};

use crate::solo::{Precommit, Prevote, Solo, broadcast, sent};

fn follows(messages: &[Message]) -> Vec<FollowBody> {
    let bodies = messages.iter().filter_map(|message| match message {
        Message::Follow(follow) => Some(follow.body.clone()),
        _ => None,
    });
    bodies.collect()
}

fn broadcast_follows(effects: &[Effect]) -> Vec<u64> {
    follows(&broadcast(effects)).iter().map(|body| body.height.0).collect()
}

#[test]
fn a_standby_says_what_it_has_committed() {
    let mut solo = Solo::standby();
    let effects = solo.decide();
    let [body] = &follows(&broadcast(&effects))[..] else { panic!("one follow message") };
    let tip = solo.tip();
    assert_eq!((body.node, body.height), (solo.node.key, Height(1)));
    assert_eq!((Some(body.block), body.app_hash), (tip.block, tip.app_hash));
}

#[test]
fn there_is_nothing_to_say_at_genesis() {
    let mut solo = Solo::standby();
    let peer = solo.world.validator(0);
    let effects = solo.feed(Input::Connected(peer));
    assert!(follows(&sent(&effects)).is_empty());
    assert!(broadcast_follows(&solo.pass(5_000)).is_empty());
}

#[test]
fn four_per_grace_are_sent_and_the_newest_when_limited() {
    // Four seats: the grace is 4/3 * (100 + 2 * 100 + 200) ms, a quarter of it 166 ms and 2/3.
    let mut solo = Solo::standby();
    solo.decide();
    let begun = solo.ms();
    // Each height takes 100 ms.
    let mut sent = Vec::new();
    for _ in 0..20 {
        let effects = solo.decide();
        sent.extend(broadcast_follows(&effects).iter().map(|height| (solo.ms() - begun, *height)));
    }
    assert!(sent.len() >= 11, "{sent:?}");
    for pair in sent.windows(4) {
        assert!(pair[3].0 - pair[0].0 >= 500, "no more than four in a grace: {sent:?}");
    }
    for pair in sent.windows(2) {
        assert!(pair[1].0 - pair[0].0 <= 267, "and no fewer than there may be: {sent:?}");
    }
    assert!(sent.iter().all(|(ms, height)| height * 100 + 100 > *ms), "the newest: {sent:?}");
}

#[test]
fn on_an_idle_chain_the_one_that_is_owed_goes_when_it_may() {
    let mut solo = Solo::standby();
    solo.decide();
    solo.pass(100);
    assert!(broadcast_follows(&solo.decide_now()).is_empty(), "too soon after the first");
    assert!(broadcast_follows(&solo.pass(50)).is_empty());
    assert_eq!(broadcast_follows(&solo.pass(20)), [2]);
    assert!(broadcast_follows(&solo.pass(2_000)).is_empty(), "once a block");
}

#[test]
fn a_validator_that_voted_sends_none_and_one_that_did_not_sends_one() {
    let mut solo = Solo::new(0);
    assert!(broadcast_follows(&solo.decide()).is_empty());

    let mut solo = Solo::new(0);
    let block = solo.block(0, 0);
    // It prevotes nil, since the block comes after its timeout; the others go on.
    solo.pass(600);
    solo.propose(0, &block, None);
    let id = Some(block.id());
    let mut effects = solo.votes(&[1, 2, 3], Precommit, 0, id);
    effects.extend(solo.pass(200));
    assert_eq!(broadcast_follows(&effects), [1]);
}

#[test]
fn a_new_peer_is_told_at_once() {
    for mut solo in [Solo::standby(), Solo::new(0)] {
        solo.decide();
        let peer = solo.world.validator(1);
        let told = follows(&sent(&solo.feed(Input::Connected(peer))));
        assert_eq!(told.iter().map(|body| body.height.0).collect::<Vec<_>>(), [1]);
    }
}

#[test]
fn after_a_restart_it_is_told_once_more() {
    let mut solo = Solo::standby();
    solo.decide();
    solo.node.restart();
    assert_eq!(broadcast_follows(&solo.feed(Input::Start)), [1]);
}

#[test]
fn a_node_with_a_lost_key_sends_none_until_it_may_sign() {
    let mut solo = Solo::lost();
    for height in 1..=3 {
        let (block, mut effects) = solo.open();
        let id = Some(block.id());
        effects.extend(solo.votes(&[1, 2, 3], Prevote, 0, id));
        effects.extend(solo.votes(&[1, 2, 3], Precommit, 0, id));
        let peer = solo.world.validator(1);
        effects.extend(solo.feed(Input::Connected(peer)));
        assert!(follows(&broadcast(&effects)).is_empty() && follows(&sent(&effects)).is_empty());
        assert_eq!(solo.tip().height, Height(height));
    }
}

#[test]
fn a_node_that_lacks_more_than_half_a_grace_says_nothing_until_it_has_nearly_caught_up() {
    let mut solo = Solo::standby();
    for org in [1, 2] {
        let peer = solo.world.validator(org);
        solo.feed(Input::Connected(peer));
        solo.receive(org, &Message::Status { committed: Height(12) });
    }
    let mut said = Vec::new();
    for height in 1..=12 {
        said.extend(broadcast_follows(&solo.decide()));
        let peer = solo.world.validator(3);
        let told = !follows(&sent(&solo.feed(Input::Connected(peer)))).is_empty();
        // Blocks take 100 ms, half the grace is 333 ms.
        assert_eq!(told, height >= 9, "a new peer, at height {height}");
    }
    said.extend(broadcast_follows(&solo.pass(200)));
    assert_eq!((said.first(), said.last()), (Some(&9), Some(&12)), "{said:?}");
}

#[test]
fn after_a_restart_a_node_that_lacks_blocks_does_not_guess_how_long_they_took() {
    let mut solo = Solo::standby();
    solo.decide();
    solo.restart();
    for org in [1, 2] {
        let peer = solo.world.validator(org);
        solo.feed(Input::Connected(peer));
        solo.receive(org, &Message::Status { committed: Height(3) });
    }
    assert!(broadcast_follows(&solo.pass(90)).is_empty());
    let mut said = broadcast_follows(&solo.decide());
    said.extend(broadcast_follows(&solo.pass(170)));
    assert_eq!(said, [2], "one lacks still, and one has been seen");
}
