//! Follow messages: who sends them, when, and how many.

use std::time::Duration;

use tandem_chain::block::CertifiedBlock;
use tandem_chain::types::Height;
use tandem_consensus::limits::FOLLOW_BEHIND;
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
    let effects = solo.votes(&[1, 2, 3], Precommit, 0, id);
    assert!(
        broadcast_follows(&effects).is_empty(),
        "the block is old by now, and may not be the newest"
    );
    assert_eq!(broadcast_follows(&claim(&mut solo, 1)), [1]);
}

#[test]
fn after_a_restart_a_validator_knows_whether_it_has_voted_for_a_block() {
    let mut solo = Solo::new(0);
    let block = solo.block(0, 0);
    let id = Some(block.id());
    solo.propose(0, &block, None);
    solo.votes(&[1, 2], Prevote, 0, id);
    solo.restart();
    assert!(broadcast_follows(&solo.votes(&[1, 2], Precommit, 0, id)).is_empty());
    assert_eq!(solo.tip().block, id);

    let mut solo = Solo::new(0);
    // It leaves round 0 with votes for nil, before the block comes.
    solo.votes(&[1, 2], Prevote, 1, None);
    assert_eq!(solo.node.journal().votes.len(), 2);
    solo.restart();
    solo.propose(0, &block, None);
    assert_eq!(broadcast_follows(&solo.votes(&[1, 2, 3], Precommit, 0, id)), [1]);
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

/// The validators of two organisations claim a height.
fn claim(solo: &mut Solo, height: u64) -> Vec<Effect> {
    let mut effects = Vec::new();
    for org in [1, 2] {
        let peer = solo.world.validator(org);
        effects.extend(solo.feed(Input::Connected(peer)));
        effects.extend(solo.receive(org, &Message::Status { committed: Height(height) }));
    }
    effects
}

/// Answers a fetch, whoever was asked. Returns the heights that were said to all.
fn fetched(solo: &mut Solo, blocks: &[CertifiedBlock]) -> Vec<u64> {
    let first = blocks[0].block.header.height;
    let before = solo.tip().height;
    let mut said = Vec::new();
    for org in [1, 2] {
        let from = solo.world.validator(org);
        let effects = solo.feed(Input::Fetched { from, first, blocks: blocks.to_vec() });
        said.extend(broadcast_follows(&effects));
    }
    assert_eq!(solo.tip().height, before.plus(blocks.len() as u64), "one of them was asked");
    said
}

/// The heights that a peer is told that has just connected.
fn told(solo: &mut Solo) -> Vec<u64> {
    let peer = solo.world.validator(3);
    let told = follows(&sent(&solo.feed(Input::Connected(peer))));
    told.iter().map(|body| body.height.0).collect()
}

#[test]
fn a_node_with_old_blocks_that_lacks_more_says_nothing_until_it_has_caught_up() {
    let mut solo = Solo::standby();
    let blocks = solo.world.chain(20, &[0, 1, 2]);
    // Blocks of 10 ms each; half the grace is 333 ms.
    solo.pass(2_000);
    claim(&mut solo, 20);
    assert!(fetched(&mut solo, &blocks[..10]).is_empty());
    assert!(fetched(&mut solo, &blocks[10..18]).is_empty());
    assert!(told(&mut solo).is_empty(), "nor does it tell a new peer");
    assert!(broadcast_follows(&solo.pass(200)).is_empty());
    assert_eq!(fetched(&mut solo, &blocks[18..]), [20], "not 19: the last may be long after it");
    assert_eq!(told(&mut solo), [20]);
}

#[test]
fn a_node_with_old_blocks_that_has_heard_no_claim_says_nothing() {
    let mut solo = Solo::standby();
    let blocks = solo.world.chain(20, &[0, 1, 2]);
    claim(&mut solo, 20);
    fetched(&mut solo, &blocks);
    for org in [1, 2] {
        let peer = solo.world.validator(org);
        solo.feed(Input::Disconnected(peer));
    }
    solo.pass(2_000);
    assert!(told(&mut solo).is_empty(), "the first peer that it reaches again");
    assert!(broadcast_follows(&solo.pass(500)).is_empty());
    assert_eq!(broadcast_follows(&claim(&mut solo, 20)), [20]);
}

#[test]
fn a_node_that_stood_still_says_anew_where_it_is_when_it_has_caught_up() {
    let mut solo = Solo::standby();
    let blocks = solo.world.chain(20, &[0, 1, 2]);
    // Blocks of 10 ms each; half the grace is 333 ms, the pause 167.
    solo.pass(445);
    claim(&mut solo, 10);
    assert_eq!(fetched(&mut solo, &blocks[..10]), [10], "it has heard of no newer block yet");
    claim(&mut solo, 20);
    assert_eq!(
        fetched(&mut solo, &blocks[10..]),
        [12],
        "the first that is not old, without a pause"
    );
    assert!(broadcast_follows(&solo.pass(160)).is_empty());
    assert_eq!(broadcast_follows(&solo.pass(10)), [20]);
}

#[test]
fn it_does_so_without_a_pause_once_a_grace() {
    let mut solo = Solo::standby();
    let blocks = solo.world.chain(120, &[0, 1, 2]);
    // As above; a grace is 667 ms. At each time: how many blocks there are, how many are claimed.
    solo.pass(445);
    claim(&mut solo, 10);
    assert_eq!(fetched(&mut solo, &blocks[..10]), [10]);
    claim(&mut solo, 20);
    assert_eq!(fetched(&mut solo, &blocks[10..20]), [12], "in a hurry");
    assert_eq!(broadcast_follows(&solo.pass(175)), [20], "which is old again by now");
    claim(&mut solo, 40);
    assert!(fetched(&mut solo, &blocks[20..40]).is_empty(), "not twice in a grace");
    assert_eq!(broadcast_follows(&solo.pass(380)), [40]);
    claim(&mut solo, 60);
    assert_eq!(fetched(&mut solo, &blocks[40..60]), [60]);
    solo.pass(120);
    claim(&mut solo, 120);
    assert_eq!(fetched(&mut solo, &blocks[60..]), [79], "675 ms after the last time");
}

#[test]
fn a_clock_that_is_off_and_one_block_on_its_way_at_each_moment_hold_nothing_back_for_long() {
    let mut solo = Solo::standby();
    let blocks = solo.world.chain(30, &[0, 1, 2]);
    solo.ahead_ms = 3_600_000;
    let mut said = Vec::new();
    for block in &blocks {
        claim(&mut solo, block.block.header.height.0 + 1);
        said.extend(broadcast_follows(&solo.pass(110)));
        said.extend(fetched(&mut solo, std::slice::from_ref(block)));
    }
    assert_eq!(said, [10, 17, 24], "a grace of 667 ms is over after seven blocks");
}

#[test]
fn a_block_is_old_when_its_age_is_more_than_its_part_of_the_grace() {
    for (over, expected) in [(0, vec![10]), (1, vec![])] {
        let mut solo = Solo::standby();
        let blocks = solo.world.chain(20, &[0, 1, 2]);
        claim(&mut solo, 20);
        fetched(&mut solo, &blocks[..10]);
        let tip = solo.tip();
        let age = tip.parameters.liveness_grace(&tip.next_table) / FOLLOW_BEHIND;
        let mut now = solo.now();
        now.wall = tip.time.plus(age + Duration::from_nanos(over));
        let peer = solo.world.validator(3);
        let told = follows(&sent(&solo.node.feed(now, Input::Connected(peer))));
        assert_eq!(told.iter().map(|body| body.height.0).collect::<Vec<_>>(), expected);
    }
}

#[test]
fn a_node_that_lacks_blocks_but_has_a_fresh_one_says_so() {
    let mut solo = Solo::standby();
    let blocks = solo.world.chain(20, &[0, 1, 2]);
    solo.pass(200);
    claim(&mut solo, 20);
    fetched(&mut solo, &blocks[..10]);
    assert_eq!(told(&mut solo), [10]);
    assert_eq!(broadcast_follows(&solo.pass(170)), [10]);
}
