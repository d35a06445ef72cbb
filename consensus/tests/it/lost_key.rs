//! A key whose record of signatures is lost: it asks, stays silent, and comes back.

use tandem_chain::types::Height;
use tandem_consensus::journal::Slot;
use tandem_consensus::message::Message;
use tandem_consensus::{Effect, Input};

use crate::solo::{Precommit, Prevote, Solo, broadcast, cast, sent};

/// Decides a height without the replica's vote.
fn decide_without(solo: &mut Solo) -> Vec<Effect> {
    let (block, mut effects) = solo.open();
    let id = Some(block.id());
    effects.extend(solo.votes(&[1, 2, 3], Prevote, 0, id));
    effects.extend(solo.votes(&[1, 2, 3], Precommit, 0, id));
    assert_eq!(solo.tip().block, id);
    effects
}

/// A replica with a lost key after three heights, next to take no turn of its own.
fn lost() -> Solo {
    let mut solo = Solo::lost();
    for _ in 0..2 {
        assert!(cast(&decide_without(&mut solo)).is_empty());
    }
    solo
}

fn answer(solo: &mut Solo, org: usize, committed: u64) -> Vec<Effect> {
    solo.receive(org, &Message::LostAnswer { committed: Height(committed) })
}

fn silent_through(solo: &Solo) -> Option<u64> {
    let view = solo.node.replica.view();
    (!view.key_lost).then_some(view.silent_through.0)
}

#[test]
fn it_asks_at_its_start_every_second_and_each_new_peer() {
    let mut solo = Solo::lost();
    solo.node.restart_lost();
    let first = solo.feed(Input::Start);
    assert_eq!(broadcast(&first), [Message::LostQuery]);
    let asked = |effects: &[Effect]| {
        broadcast(effects).iter().filter(|message| **message == Message::LostQuery).count()
    };
    assert_eq!(asked(&solo.pass(999)), 0);
    assert_eq!(asked(&solo.pass(1)), 1);
    assert_eq!(asked(&solo.pass(5_000)), 5);
    let peer = solo.world.validator(1);
    assert!(sent(&solo.feed(Input::Connected(peer))).contains(&Message::LostQuery));
}

#[test]
fn with_the_answers_of_two_thirds_of_the_others_it_is_silent_through_t_plus_2_and_votes_after() {
    let mut solo = lost();
    answer(&mut solo, 1, 2);
    assert_eq!(silent_through(&solo), None);
    let effects = answer(&mut solo, 2, 1);
    assert_eq!(silent_through(&solo), Some(4));
    let durable = solo.node.journal().guard;
    assert!(!durable.is_lost() && durable.silent_through() == Height(4), "and that is durable");
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Persist(_))));
    assert!(cast(&decide_without(&mut solo)).is_empty(), "height 3");
    // Its turn at height 4 goes by: the next one proposes.
    let mut effects = solo.votes(&[1, 2, 3], Precommit, 0, None);
    let block = solo.block(1, 0);
    effects.extend(solo.propose(1, &block, None));
    effects.extend(solo.votes(&[1, 2, 3], Precommit, 1, Some(block.id())));
    assert!(cast(&effects).is_empty(), "height 4");
    assert_eq!(solo.tip().height, Height(4));
    let (block, effects) = solo.open();
    assert_eq!(cast(&effects), [(Prevote, 0, Some(block.id()))], "height 5");
}

#[test]
fn the_silence_outlasts_a_restart() {
    let mut solo = lost();
    answer(&mut solo, 1, 2);
    answer(&mut solo, 2, 2);
    solo.restart();
    assert_eq!(silent_through(&solo), Some(4));
    assert!(cast(&decide_without(&mut solo)).is_empty());
}

#[test]
fn an_answer_from_ahead_counts_when_it_has_caught_up() {
    let mut solo = lost();
    answer(&mut solo, 1, 3);
    answer(&mut solo, 2, 2);
    assert_eq!(silent_through(&solo), None);
    decide_without(&mut solo);
    assert_eq!(silent_through(&solo), Some(5), "T is 3 by then");
}

#[test]
fn a_liar_that_names_a_height_that_does_not_exist_cannot_silence_it() {
    let mut solo = lost();
    answer(&mut solo, 3, u64::MAX);
    answer(&mut solo, 1, 2);
    assert_eq!(silent_through(&solo), None);
    answer(&mut solo, 2, 2);
    assert_eq!(silent_through(&solo), Some(4));
}

#[test]
fn a_liar_alone_cannot_make_it_speak() {
    let mut solo = lost();
    for _ in 0..5 {
        answer(&mut solo, 3, 0);
    }
    let standby = solo.world.standby(1);
    let now = solo.now();
    solo.node.receive(now, standby, &Message::LostAnswer { committed: Height(0) });
    assert_eq!(silent_through(&solo), None);
}

#[test]
fn answers_after_it_is_good_change_nothing() {
    let mut solo = lost();
    answer(&mut solo, 1, 2);
    answer(&mut solo, 2, 2);
    let journal = solo.node.disk.get(&Slot::Journal).cloned();
    answer(&mut solo, 3, 2);
    assert_eq!(solo.node.disk.get(&Slot::Journal).cloned(), journal);
    assert!(!broadcast(&solo.pass(3_000)).contains(&Message::LostQuery));
}
