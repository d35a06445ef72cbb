//! What nodes have shown, and for how long it counts (design, section 5).

use std::sync::Arc;
use std::time::Duration;

use tandem_chain::keys::PublicKey;
use tandem_chain::tip::Tip;
use tandem_chain::types::{Hash, Height, Timestamp};
use tandem_consensus::limits::RECENT_BLOCKS;
use tandem_consensus::liveness::Shown;
use tandem_consensus::message::FollowBody;

use crate::world::World;

const CAP: Duration = Duration::from_millis(100);
const GRACE: Duration = Duration::from_millis(500);

/// A chain of tips alone: block `h` has id and state commitment `h`.
struct Fixture {
    tip: Tip,
    shown: Shown,
    me: PublicKey,
    other: PublicKey,
}

fn hash(height: u64) -> Hash {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&height.to_le_bytes());
    Hash(bytes)
}

impl Fixture {
    fn at_genesis() -> Self {
        Self::started_at(0)
    }

    fn started_at(height: u64) -> Self {
        let world = World::new(&[1; 4]);
        let mut tip = Tip::clone(world.ledger().tip());
        tip.height = Height(height);
        if height > 0 {
            (tip.block, tip.app_hash) = (Some(hash(height)), hash(height));
        }
        let (me, other) = (world.validator(0), world.standby(1));
        Self { shown: Shown::new(me, &tip), tip, me, other }
    }

    /// Commits a block so long after the one before.
    fn commit(&mut self, after: Duration) {
        let height = self.tip.height.next();
        self.tip.height = height;
        self.tip.block = Some(hash(height.0));
        self.tip.app_hash = hash(height.0);
        self.tip.time = self.tip.time.plus(after);
        self.shown.committed(&self.tip, CAP);
    }

    fn commits(&mut self, count: u64, after: Duration) {
        (0..count).for_each(|_| self.commit(after));
    }

    fn follow(&mut self, height: u64) {
        let body = body(self.other, height);
        self.shown.follow(&body);
    }

    /// Whether the other node is fresh for a precommit at the height after the tip.
    fn is_fresh(&self) -> bool {
        self.shown.is_fresh(&self.other, self.tip.height.next(), GRACE)
    }
}

fn body(node: PublicKey, height: u64) -> FollowBody {
    FollowBody { node, height: Height(height), block: hash(height), app_hash: hash(height) }
}

#[test]
fn at_genesis_all_have_shown_block_0() {
    let mut fixture = Fixture::at_genesis();
    assert!(fixture.is_fresh());
    fixture.commits(6, CAP);
    // u is 1: five intervals lie after it.
    assert!(fixture.is_fresh());
    fixture.commit(CAP);
    assert!(!fixture.is_fresh());
}

#[test]
fn after_a_restart_of_the_observer_nobody_but_itself_has_shown_anything() {
    let mut fixture = Fixture::started_at(5);
    assert!(!fixture.is_fresh());
    assert!(fixture.shown.is_fresh(&fixture.me, Height(6), GRACE));
    fixture.follow(5);
    assert!(fixture.is_fresh());
    // What was shown before the restart is not known to be true.
    let mut fixture = Fixture::started_at(5);
    fixture.follow(4);
    assert!(!fixture.is_fresh());
}

#[test]
fn the_grace_includes_its_end_and_not_a_nanosecond_more() {
    for (last, fresh) in [(CAP, true), (CAP + Duration::from_nanos(1), false)] {
        let mut fixture = Fixture::at_genesis();
        fixture.commit(CAP);
        fixture.follow(1);
        // Block 2 is the first that it has not shown; the time after that counts.
        fixture.commits(5, CAP);
        let cap = last.max(CAP);
        fixture.tip.height = fixture.tip.height.next();
        fixture.tip.block = Some(hash(fixture.tip.height.0));
        fixture.tip.time = fixture.tip.time.plus(last);
        fixture.shown.committed(&fixture.tip, cap);
        assert_eq!(fixture.is_fresh(), fresh);
    }
}

#[test]
fn a_node_that_lacks_only_the_newest_block_is_fresh_however_old_it_is() {
    let mut fixture = Fixture::at_genesis();
    fixture.commits(3, CAP);
    fixture.follow(2);
    let next = fixture.tip.height.next();
    assert!(fixture.shown.is_fresh(&fixture.other, next, Duration::ZERO));
    fixture.commit(CAP);
    let next = fixture.tip.height.next();
    assert!(!fixture.shown.is_fresh(&fixture.other, next, Duration::ZERO));
}

#[test]
fn a_long_gap_counts_as_one_idle_interval() {
    let mut fixture = Fixture::at_genesis();
    fixture.commits(5, Duration::from_secs(3_600));
    fixture.commit(Duration::from_secs(1_000_000));
    assert!(fixture.is_fresh(), "five capped intervals");
    fixture.commit(Duration::from_secs(3_600));
    assert!(!fixture.is_fresh());
}

#[test]
fn on_a_fast_chain_a_node_many_blocks_behind_is_fresh() {
    let mut fixture = Fixture::at_genesis();
    // 100 blocks a second; the other is 200 ms behind.
    for height in 1..=200 {
        fixture.commit(Duration::from_millis(10));
        if height > 20 {
            fixture.follow(height - 20);
        }
        assert!(fixture.is_fresh());
    }
    fixture.commits(31, Duration::from_millis(10));
    assert!(fixture.is_fresh(), "50 intervals of 10 ms");
    fixture.commit(Duration::from_millis(10));
    assert!(!fixture.is_fresh());
}

#[test]
fn another_block_or_state_shows_nothing() {
    for change in [
        (|body: &mut FollowBody| body.app_hash = hash(99)) as fn(&mut FollowBody),
        |body| body.block = hash(99),
        |body| body.height = Height(4),
    ] {
        let mut fixture = Fixture::started_at(1);
        fixture.commits(4, CAP);
        let mut wrong = body(fixture.other, 5);
        change(&mut wrong);
        fixture.shown.follow(&wrong);
        assert!(!fixture.is_fresh());
        fixture.follow(5);
        assert!(fixture.is_fresh());
    }
}

#[test]
fn a_follow_message_from_ahead_counts_once_the_block_is_here_and_only_if_it_is_the_same() {
    for (same, fresh) in [(true, true), (false, false)] {
        let mut fixture = Fixture::started_at(5);
        let mut ahead = body(fixture.other, 7);
        if !same {
            ahead.app_hash = hash(8);
        }
        fixture.shown.follow(&ahead);
        // An older one from ahead does not take its place.
        fixture.follow(6);
        assert!(!fixture.is_fresh());
        fixture.commits(2, CAP);
        let next = fixture.tip.height.next();
        assert_eq!(fixture.shown.is_fresh(&fixture.other, next, Duration::ZERO), fresh);
    }
}

#[test]
fn of_follow_messages_from_ahead_the_newest_counts_and_of_one_height_the_first() {
    let mut fixture = Fixture::started_at(5);
    fixture.follow(6);
    fixture.follow(7);
    let other_state = FollowBody { app_hash: hash(8), ..body(fixture.other, 7) };
    fixture.shown.follow(&other_state);
    // Of the three blocks it lacks the newest alone.
    fixture.commits(3, CAP);
    let next = fixture.tip.height.next();
    assert!(fixture.shown.is_fresh(&fixture.other, next, Duration::ZERO));
}

#[test]
fn an_older_message_takes_nothing_back() {
    let mut fixture = Fixture::at_genesis();
    fixture.commits(6, CAP);
    fixture.follow(6);
    fixture.follow(1);
    let next = fixture.tip.height.next();
    assert!(fixture.shown.is_fresh(&fixture.other, next, Duration::ZERO));
}

#[test]
fn a_late_vote_shows_the_block_before_if_it_is_for_the_one_decided() {
    let mut fixture = Fixture::started_at(5);
    fixture.commits(3, CAP);
    for (height, block, fresh) in
        [(8, hash(99), false), (9, hash(9), false), (4, hash(4), false), (8, hash(8), true)]
    {
        let other = fixture.other;
        fixture.shown.voted(&other, Height(height), block);
        assert_eq!(fixture.is_fresh(), fresh, "vote at {height}");
    }
    // Block 7 is shown: 8 is the first that is not.
    fixture.commit(CAP);
    assert!(fixture.is_fresh());
    let next = fixture.tip.height.next();
    assert!(!fixture.shown.is_fresh(&fixture.other, next, Duration::ZERO));
}

#[test]
fn a_node_that_leaves_the_register_and_comes_back_has_shown_nothing() {
    let mut fixture = Fixture::at_genesis();
    let with = Arc::clone(&fixture.tip.register);
    let mut without = with.as_ref().clone();
    without.nodes.remove(&fixture.other);
    fixture.tip.register = Arc::new(without);
    fixture.commit(CAP);
    fixture.tip.register = with;
    fixture.commit(CAP);
    assert!(!fixture.is_fresh());
}

#[test]
fn an_observation_has_a_bit_per_registered_node_in_the_order_of_their_keys() {
    let mut fixture = Fixture::started_at(5);
    fixture.follow(5);
    let seen = fixture.shown.observe(&fixture.tip.register, Height(6), GRACE);
    let fresh: Vec<PublicKey> = fixture
        .tip
        .register
        .nodes
        .keys()
        .zip(seen.iter())
        .filter_map(|(key, seen)| seen.then_some(*key))
        .collect();
    let mut expected = [fixture.me, fixture.other];
    expected.sort();
    assert_eq!((fresh.as_slice(), seen.len()), (expected.as_slice(), 8));
}

#[test]
fn a_node_that_was_silent_for_longer_than_is_remembered_is_stale() {
    let mut fixture = Fixture::at_genesis();
    fixture.tip.time = Timestamp(1);
    // Block 1 is the first that it has not shown, and the oldest that is remembered.
    fixture.commits(RECENT_BLOCKS as u64, Duration::ZERO);
    assert!(fixture.is_fresh());
    fixture.commit(Duration::ZERO);
    assert!(!fixture.is_fresh());
    let newest = fixture.tip.height.0;
    fixture.follow(newest);
    assert!(fixture.is_fresh());
}
