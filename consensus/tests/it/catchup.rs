//! Whom a replica that is behind asks for blocks, and what it makes of the answers.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tandem_chain::block::CertifiedBlock;
use tandem_chain::keys::PublicKey;
use tandem_chain::modules::{Call, records};
use tandem_chain::tip::Tip;
use tandem_chain::tx::Tx;
use tandem_chain::types::Height;
use tandem_consensus::catchup::{CatchUp, Request};
use tandem_consensus::limits::{
    FETCH_AHEAD, FETCH_DELAY, FETCH_PENALTY, FETCH_PENALTY_MAX, FETCH_REST, FETCH_SLOW,
    FETCH_TIMEOUT, MAX_FETCH_BLOCKS, MAX_FETCHED_BLOCKS, MAX_FETCHED_TX_BYTES,
};
use tandem_consensus::time::Instant;

use crate::world::World;

pub const ENTERED: Instant = Instant(0);

pub fn at(duration: Duration) -> Instant {
    ENTERED.plus(duration)
}

static WORLD: LazyLock<World> = LazyLock::new(|| World::new(&[1; 4]));

/// Keys 1 to 4 hold the seats, in the order in which peers that are alike are asked; 5 to 8 are their
/// standbys, 9 is a stranger.
pub fn key(n: u8) -> PublicKey {
    let mut orgs: Vec<usize> = (0..4).collect();
    orgs.sort_by_key(|org| WORLD.validator(*org));
    match n {
        1..=4 => WORLD.validator(orgs[usize::from(n - 1)]),
        5..=8 => WORLD.standby(orgs[usize::from(n - 5)]),
        _ => PublicKey([n; 32]),
    }
}

pub fn tip(height: u64) -> Tip {
    Tip { height: Height(height), ..Tip::clone(WORLD.ledger().tip()) }
}

pub fn claiming(claims: &[(u8, u64)]) -> CatchUp {
    let mut catch_up = CatchUp::default();
    for (peer, height) in claims {
        catch_up.connected(key(*peer));
        catch_up.claim(&key(*peer), Height(*height));
    }
    catch_up
}

pub fn request(catch_up: &mut CatchUp, height: u64, now: Instant) -> Option<Request> {
    catch_up.request(&tip(height), ENTERED, now)
}

/// An answer that comes at once.
fn fetched(
    catch_up: &mut CatchUp,
    from: PublicKey,
    first: Height,
    blocks: Vec<CertifiedBlock>,
) -> bool {
    catch_up.fetched(from, first, blocks, at(FETCH_DELAY))
}

fn blocks(count: u64) -> Vec<CertifiedBlock> {
    World::new(&[1; 4]).chain(count, &[0, 1, 2])
}

pub fn expected(peer: u8, first: u64) -> Option<Request> {
    Some(Request { peer: key(peer), first: Height(first), count: MAX_FETCH_BLOCKS })
}

#[test]
fn a_peer_far_ahead_is_asked_at_once_and_one_a_little_ahead_after_a_while() {
    let mut far = claiming(&[(1, 5 + FETCH_AHEAD)]);
    assert_eq!(request(&mut far, 5, ENTERED), expected(1, 6));

    let mut near = claiming(&[(1, 4 + FETCH_AHEAD)]);
    assert_eq!(request(&mut near, 5, ENTERED), None);
    assert_eq!(near.next_wakeup(&tip(5), ENTERED), Some(at(FETCH_DELAY)));
    assert_eq!(request(&mut near, 5, at(FETCH_DELAY)), expected(1, 6));
}

#[test]
fn nobody_is_asked_who_claims_no_more_than_is_here() {
    let mut level = claiming(&[(1, 5), (2, 3)]);
    assert_eq!(request(&mut level, 5, at(FETCH_TIMEOUT)), None);
    assert_eq!(level.next_wakeup(&tip(5), ENTERED), None);
}

#[test]
fn who_has_all_that_can_be_asked_for_is_asked_first_and_for_each_block_one_peer() {
    let mut catch_up = claiming(&[(1, 20), (2, 30), (3, 25)]);
    assert_eq!(request(&mut catch_up, 5, ENTERED), expected(2, 6));
    assert_eq!(request(&mut catch_up, 5, ENTERED), None);
}

#[test]
fn far_behind_several_peers_are_asked_at_once_each_for_blocks_of_its_own() {
    let mut far = claiming(&[(1, 900), (2, 900), (3, 900), (4, 900)]);
    for peer in 1..=3 {
        let first = 6 + MAX_FETCH_BLOCKS * (u64::from(peer) - 1);
        assert_eq!(request(&mut far, 5, ENTERED), expected(peer, first));
    }
    assert_eq!(request(&mut far, 5, ENTERED), None, "three at a time are enough");
    // But for the blocks that all others wait for.
    assert_eq!(far.next_wakeup(&tip(5), ENTERED), Some(at(FETCH_SLOW)));
    assert_eq!(request(&mut far, 5, at(FETCH_SLOW)), expected(4, 6));
    assert_eq!(request(&mut far, 5, at(FETCH_SLOW * 3)), None);
    assert_eq!(far.next_wakeup(&tip(5), ENTERED), Some(at(FETCH_TIMEOUT)));
    // What one alone claims is not asked for in advance.
    let mut lone = claiming(&[(1, u64::MAX), (2, 80), (3, 80)]);
    assert_eq!(request(&mut lone, 5, ENTERED), expected(1, 6));
    assert_eq!(request(&mut lone, 5, ENTERED), expected(2, 6 + MAX_FETCH_BLOCKS));
    assert_eq!(request(&mut lone, 5, ENTERED), None);
}

/// Takes blocks from a height on as far as there is no gap; the height then.
fn take(catch_up: &mut CatchUp, mut height: u64) -> u64 {
    while let Some((_, block)) = catch_up.next_block(Height(height)) {
        height += 1;
        assert_eq!(block.block.header.height, Height(height));
        assert!(catch_up.verified(Height(height)).is_some());
    }
    height
}

#[test]
fn answers_in_whatever_order_are_put_in_order_and_a_gap_is_asked_for_again() {
    let chain = blocks(3 * MAX_FETCH_BLOCKS);
    let index = |height: u64| usize::try_from(height - 1).unwrap();
    let part = |first: u64, end: u64| chain[index(first)..index(end)].to_vec();
    let starts = [1, 1 + MAX_FETCH_BLOCKS, 1 + 2 * MAX_FETCH_BLOCKS];
    let end = 1 + 3 * MAX_FETCH_BLOCKS;
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut catch_up = claiming(&[(1, end - 1), (2, end - 1), (3, end - 1)]);
        for _ in 0..3 {
            assert!(request(&mut catch_up, 0, ENTERED).is_some());
        }
        for which in order {
            // The second is cut: its server has stopped before.
            let last = if which == 1 { starts[1] + 10 } else { starts[which] + MAX_FETCH_BLOCKS };
            let peer = key(u8::try_from(which + 1).unwrap());
            let answer = part(starts[which], last);
            assert!(fetched(&mut catch_up, peer, Height(starts[which]), answer));
        }
        let gap = starts[1] + 10;
        assert_eq!(take(&mut catch_up, 0), gap - 1, "{order:?}");
        let asked = request(&mut catch_up, gap - 1, at(FETCH_DELAY)).unwrap();
        assert_eq!((asked.first, asked.count), (Height(gap), starts[2] - gap));
        assert!(fetched(&mut catch_up, asked.peer, asked.first, part(gap, starts[2])));
        assert_eq!(take(&mut catch_up, gap - 1), end - 1, "the third was kept, {order:?}");
    }
}

#[test]
fn far_behind_a_slow_peer_that_all_wait_for_has_another_asked_beside_it() {
    let chain = blocks(2 * MAX_FETCH_BLOCKS);
    let mut catch_up = claiming(&[(1, 128), (2, 128)]);
    assert_eq!(request(&mut catch_up, 0, ENTERED), expected(1, 1));
    assert_eq!(request(&mut catch_up, 0, ENTERED), expected(2, 65));
    assert_eq!(request(&mut catch_up, 0, ENTERED), None);
    let (due, second) = (at(FETCH_SLOW), chain[64..].to_vec());
    assert!(fetched(&mut catch_up, key(2), Height(65), second));
    assert_eq!(catch_up.next_wakeup(&tip(0), ENTERED), Some(due));
    assert_eq!(request(&mut catch_up, 0, Instant(due.0 - 1)), None);
    assert_eq!(request(&mut catch_up, 0, due), expected(2, 1));
    assert!(fetched(&mut catch_up, key(2), Height(1), chain[..64].to_vec()));
    assert_eq!(take(&mut catch_up, 0), 128);
}

#[test]
fn far_behind_a_slow_peer_is_left_alone_while_a_quick_one_has_the_blocks() {
    let chain = blocks(2 * MAX_FETCH_BLOCKS);
    let mut catch_up = claiming(&[(1, 900), (2, 900)]);
    assert_eq!(request(&mut catch_up, 0, ENTERED), expected(1, 1));
    assert_eq!(request(&mut catch_up, 0, ENTERED), expected(2, 65));
    let now = at(FETCH_SLOW * 2);
    assert!(catch_up.fetched(key(2), Height(65), chain[64..].to_vec(), at(FETCH_DELAY)));
    assert!(catch_up.fetched(key(1), Height(1), chain[..64].to_vec(), now));
    assert_eq!(request(&mut catch_up, 0, now), expected(2, 129));
    assert_eq!(request(&mut catch_up, 0, now), None, "the other is waited for");
    assert_eq!(catch_up.next_wakeup(&tip(0), ENTERED), Some(now.plus(FETCH_TIMEOUT)));
    let mut alone = catch_up.clone();
    alone.disconnected(&key(2));
    assert_eq!(request(&mut alone, 0, now), expected(1, 129), "there is no other");
    assert_eq!(request(&mut catch_up, 0, Instant(at(FETCH_REST).0 - 1)), None);
    assert_eq!(request(&mut catch_up, 0, at(FETCH_REST)), expected(1, 193), "once a minute");
}

/// Blocks that came early do not make a node that is near the tip wait longer for the one before them.
#[test]
fn near_the_tip_another_is_asked_as_soon_when_later_blocks_are_here() {
    let bound = Duration::from_millis(tip(0).parameters.network_bound_ms);
    let chain = blocks(100);
    let mut catch_up = claiming(&[(1, 100), (2, 100)]);
    assert_eq!(request(&mut catch_up, 0, ENTERED), expected(1, 1));
    assert_eq!(request(&mut catch_up, 0, ENTERED), expected(2, 65));
    assert!(catch_up.fetched(key(2), Height(65), chain[64..].to_vec(), ENTERED));
    // Meanwhile blocks have come by votes.
    assert_eq!(catch_up.next_block(Height(40)), None);
    assert_eq!(catch_up.next_wakeup(&tip(40), ENTERED), Some(at(bound)));
    let gap = Request { count: 24, ..expected(2, 41).unwrap() };
    assert_eq!(request(&mut catch_up, 40, at(bound)), Some(gap));
}

/// A node that lacks a block that was withheld from it, and asks a peer that stands still, must not be
/// taken for dead before that peer has run out of time.
#[test]
fn near_the_tip_a_peer_that_does_not_answer_in_the_networks_bound_has_another_asked_beside_it() {
    let bound = Duration::from_millis(tip(5).parameters.network_bound_ms);
    assert!(bound * 4 < FETCH_TIMEOUT, "else there is nothing to show");
    let mut catch_up = claiming(&[(1, 6), (2, 6), (3, 6), (4, 6)]);
    let first = at(FETCH_DELAY);
    assert_eq!(request(&mut catch_up, 5, first), expected(1, 6));
    let mut asked = first;
    for (peer, others) in [(2, 2), (3, 1)] {
        let due = asked.plus(bound);
        assert_eq!(catch_up.next_wakeup(&tip(5), ENTERED), Some(due), "{others} others are left");
        assert_eq!(request(&mut catch_up, 5, Instant(due.0 - 1)), None);
        assert_eq!(request(&mut catch_up, 5, due), expected(peer, 6));
        asked = due;
    }
    // Three at a time are enough.
    assert_eq!(catch_up.next_wakeup(&tip(5), ENTERED), Some(first.plus(FETCH_TIMEOUT)));
    assert_eq!(request(&mut catch_up, 5, asked.plus(bound)), None);

    // One answer is enough: the others are not waited for, and are asked last from then on.
    let block = blocks(6).split_off(5);
    assert!(catch_up.fetched(key(3), Height(6), block.clone(), asked));
    assert_eq!(catch_up.next_block(Height(5)).map(|(from, _)| from), Some(key(3)));
    assert!(
        catch_up.fetched(key(1), Height(6), block, asked),
        "an answer that is late is no fault"
    );
    assert_eq!(catch_up.expired(at(FETCH_TIMEOUT * 2)), None);
    for peer in 1..=4 {
        catch_up.claim(&key(peer), Height(7));
    }
    let later = at(FETCH_TIMEOUT * 2);
    assert_eq!(request(&mut catch_up, 6, later).map(|request| request.peer), Some(key(4)));
}

#[test]
fn who_has_just_what_can_be_asked_for_at_once_is_asked_like_those_who_have_more() {
    let first = 6;
    let mut catch_up = claiming(&[(1, first + MAX_FETCH_BLOCKS - 1), (2, 200), (3, 200)]);
    assert_eq!(request(&mut catch_up, 5, ENTERED), expected(1, first));
    let mut catch_up = claiming(&[(1, first + MAX_FETCH_BLOCKS - 2), (2, 200), (3, 200)]);
    assert_eq!(request(&mut catch_up, 5, ENTERED), expected(2, first));
}

#[test]
fn peers_take_turns_whatever_they_claim() {
    let chain = blocks(8);
    let mut catch_up = claiming(&[(1, 90), (2, u64::MAX), (3, 90), (4, 90)]);
    let mut asked = Vec::new();
    for (height, block) in (1..).zip(&chain) {
        let now = at(FETCH_DELAY * u32::try_from(height).unwrap());
        let request = request(&mut catch_up, 0, now).unwrap();
        assert!(catch_up.fetched(request.peer, request.first, vec![block.clone()], now));
        asked.push(request.peer);
    }
    asked[..4].sort_unstable();
    assert_eq!(asked[..4], [key(1), key(2), key(3), key(4)]);
    asked[4..].sort_unstable();
    assert_eq!(asked[4..], asked[..4]);
}

#[test]
fn who_answers_slowly_is_asked_when_no_other_can_be() {
    let chain = blocks(4);
    let mut catch_up = claiming(&[(1, 90), (2, 90)]);
    let slow = at(FETCH_SLOW * 2);
    assert_eq!(request(&mut catch_up, 0, ENTERED), expected(1, 1));
    assert!(catch_up.fetched(key(1), Height(1), chain[..1].to_vec(), slow));
    for block in &chain[1..3] {
        let first = block.block.header.height;
        assert_eq!(request(&mut catch_up, 0, slow), expected(2, first.0));
        assert!(catch_up.fetched(key(2), first, vec![block.clone()], slow));
    }
    catch_up.disconnected(&key(2));
    assert_eq!(request(&mut catch_up, 0, slow), expected(1, 4));
}

#[test]
fn an_answer_is_slow_after_its_time_and_not_at_its_end() {
    let chain = blocks(2);
    let mut catch_up = claiming(&[(1, 90), (2, 90)]);
    let mut now = ENTERED;
    let late = FETCH_SLOW + Duration::from_nanos(1);
    for (block, peer, after) in [(&chain[0], 1, late), (&chain[1], 2, FETCH_SLOW)] {
        let first = block.block.header.height;
        assert_eq!(request(&mut catch_up, 0, now), expected(peer, first.0));
        now = now.plus(after);
        assert!(catch_up.fetched(key(peer), first, vec![block.clone()], now));
    }
    assert_eq!(request(&mut catch_up, 0, now), expected(2, 3), "though 1 was asked longer ago");
}

#[test]
fn who_has_no_time_for_many_blocks_is_asked_for_fewer_and_more_again_when_they_come_quickly() {
    let chain = blocks(2);
    let mut catch_up = claiming(&[(1, 90)]);
    let mut now = at(FETCH_DELAY);
    let mut counts = Vec::new();
    for _ in 0..8 {
        counts.push(request(&mut catch_up, 0, now).unwrap().count);
        now = now.plus(FETCH_TIMEOUT);
        assert!(catch_up.expired(now).is_some());
        // The penalty doubles to its end; a new connection does not shorten it.
        now = catch_up_again(&mut catch_up, now);
    }
    assert_eq!(counts, [64, 32, 16, 8, 4, 2, 1, 1]);
    for (block, count) in chain.iter().zip([1, 2]) {
        let request = request(&mut catch_up, 0, now).unwrap();
        assert_eq!(request.count, count);
        assert!(catch_up.fetched(key(1), request.first, vec![block.clone()], now));
    }
}

/// Connects the one peer anew, which claims as before, and tells when it may be asked.
fn catch_up_again(catch_up: &mut CatchUp, now: Instant) -> Instant {
    catch_up.disconnected(&key(1));
    catch_up.connected(key(1));
    catch_up.claim(&key(1), Height(90));
    assert_eq!(request(catch_up, 0, now), None);
    let wakeup = catch_up.next_wakeup(&tip(0), ENTERED).expect("after its penalty");
    assert!(wakeup.since(now) >= FETCH_PENALTY && wakeup.since(now) <= FETCH_PENALTY_MAX);
    wakeup
}

#[test]
fn a_peer_that_does_not_answer_loses_its_claim_and_the_next_is_asked() {
    let mut catch_up = claiming(&[(1, u64::MAX), (2, 20)]);
    assert_eq!(request(&mut catch_up, 5, ENTERED), expected(1, 6));
    assert_eq!(catch_up.expired(Instant(at(FETCH_TIMEOUT).0 - 1)), None);
    let late = at(FETCH_TIMEOUT);
    assert_eq!(catch_up.expired(late), Some((key(1), Height(6))));
    // Though it claims the same again, it is not asked for a while.
    catch_up.claim(&key(1), Height(u64::MAX));
    assert_eq!(request(&mut catch_up, 5, late), expected(2, 6));
    catch_up.disconnected(&key(2));
    assert_eq!(request(&mut catch_up, 5, late), None);
    let wakeup = catch_up.next_wakeup(&tip(5), ENTERED).expect("after its penalty");
    assert_eq!(wakeup, late.plus(FETCH_PENALTY));
    let again = Request { count: MAX_FETCH_BLOCKS / 2, ..expected(1, 6).unwrap() };
    assert_eq!(request(&mut catch_up, 5, wakeup), Some(again));
}

#[test]
fn a_block_that_turned_out_good_ends_the_row_of_failures() {
    let mut catch_up = claiming(&[(1, 20)]);
    let now = at(FETCH_TIMEOUT);
    for (made_good, penalty) in [(1, FETCH_PENALTY), (2, FETCH_PENALTY * 2), (1, FETCH_PENALTY)] {
        catch_up.made_good(&key(made_good));
        catch_up.failed(&key(1), now);
        catch_up.claim(&key(1), Height(20));
        assert_eq!(catch_up.next_wakeup(&tip(5), ENTERED), Some(now.plus(penalty)));
    }
}

#[test]
fn an_answer_is_consecutive_blocks_from_the_height_asked_for() {
    let chain = blocks(9);
    let cases: [(&str, Vec<CertifiedBlock>, bool); 7] = [
        ("nothing", Vec::new(), false),
        ("from another height", chain[1..4].to_vec(), false),
        ("a gap", [&chain[..2], &chain[3..5]].concat(), false),
        ("a block twice", [&chain[..2], &chain[1..3]].concat(), false),
        ("in the wrong order", vec![chain[1].clone(), chain[0].clone()], false),
        ("too many", vec![chain[0].clone(); 1 + usize::try_from(MAX_FETCH_BLOCKS).unwrap()], false),
        ("cut", chain[..1].to_vec(), true),
    ];
    for (name, answer, good) in cases {
        let mut catch_up = claiming(&[(1, 9)]);
        assert_eq!(request(&mut catch_up, 0, at(FETCH_DELAY)), expected(1, 1));
        assert_eq!(fetched(&mut catch_up, key(1), Height(1), answer), good, "{name}");
        assert_eq!(catch_up.next_block(Height(0)).is_some(), good, "{name}");
    }
}

#[test]
fn the_answer_to_an_earlier_question_is_no_fault_and_brings_no_more_than_was_asked_for() {
    let chain = blocks(128);
    let mut catch_up = claiming(&[(1, 128), (2, 128), (3, 128)]);
    assert_eq!(request(&mut catch_up, 0, ENTERED), expected(1, 1));
    assert_eq!(request(&mut catch_up, 0, ENTERED), expected(2, 65));
    assert!(fetched(&mut catch_up, key(2), Height(65), chain[64..].to_vec()));
    let now = at(FETCH_SLOW);
    assert_eq!(request(&mut catch_up, 0, now), expected(2, 1));
    assert!(catch_up.fetched(key(2), Height(1), chain[..3].to_vec(), now), "1 is not waited for");
    let rest = Request { count: 61, ..expected(3, 4).unwrap() };
    assert_eq!(request(&mut catch_up, 0, now), Some(rest));
    assert!(catch_up.fetched(key(3), Height(4), chain[3..63].to_vec(), now));
    catch_up.disconnected(&key(3));
    catch_up.failed(&key(2), now);
    let gap = Request { count: 3, ..expected(1, 1).unwrap() };
    assert_eq!(request(&mut catch_up, 0, now), Some(gap));
    assert!(catch_up.fetched(key(1), Height(1), chain[..64].to_vec(), now));
    assert_eq!(request(&mut catch_up, 0, now), expected(1, 64));
}

#[test]
fn what_was_not_asked_for_is_ignored() {
    let chain = blocks(3);
    let mut catch_up = claiming(&[(1, 3), (2, 2)]);
    assert!(fetched(&mut catch_up, key(1), Height(1), chain.clone()));
    request(&mut catch_up, 0, at(FETCH_DELAY));
    assert!(fetched(&mut catch_up, key(2), Height(1), chain.clone()), "of another peer");
    assert!(fetched(&mut catch_up, key(1), Height(2), chain[1..].to_vec()), "of another height");
    assert!(catch_up.next_block(Height(0)).is_none());
    let late = at(FETCH_DELAY).plus(FETCH_TIMEOUT);
    assert!(catch_up.expired(late).is_some());
    assert!(fetched(&mut catch_up, key(1), Height(1), chain), "after its deadline");
    assert!(catch_up.next_block(Height(0)).is_none());
}

#[test]
fn blocks_are_verified_one_after_another_and_fetched_meanwhile() {
    let chain = blocks(5);
    let mut catch_up = claiming(&[(1, 5)]);
    request(&mut catch_up, 0, at(FETCH_DELAY));
    assert!(fetched(&mut catch_up, key(1), Height(1), chain[..2].to_vec()));
    assert_eq!(request(&mut catch_up, 0, at(FETCH_DELAY)), expected(1, 3));
    let height = |block: Option<tandem_consensus::catchup::FetchedBlock>| {
        block.map(|(_, block)| block.block.header.height.0)
    };
    assert_eq!(height(catch_up.next_block(Height(0))), Some(1));
    assert_eq!(height(catch_up.next_block(Height(0))), None, "one at a time");
    assert_eq!(height(catch_up.verified(Height(2))), None, "a verdict on another height");
    assert_eq!(height(catch_up.verified(Height(1))), Some(1));
    assert_eq!(height(catch_up.next_block(Height(1))), Some(2));
}

#[test]
fn a_verdict_is_never_taken_for_that_on_another_block_of_its_height() {
    let (good, other) = (blocks(2), World::new(&[1; 4]).chain(2, &[1, 2, 3]));
    let mut catch_up = claiming(&[(1, 9), (2, 8)]);
    request(&mut catch_up, 0, at(FETCH_DELAY));
    assert!(fetched(&mut catch_up, key(1), Height(1), good[..1].to_vec()));
    assert!(catch_up.next_block(Height(0)).is_some());
    // While it is verified its sender fails, and another sends another block of that height.
    catch_up.failed(&key(1), at(FETCH_DELAY));
    assert_eq!(request(&mut catch_up, 0, at(FETCH_DELAY)), expected(2, 1));
    assert!(fetched(&mut catch_up, key(2), Height(1), other[..1].to_vec()));
    assert!(catch_up.next_block(Height(0)).is_none());
    let (from, block) = catch_up.verified(Height(1)).expect("the block that was verified");
    assert_eq!((from, block.as_ref()), (key(1), &good[0]));
    // The other one is verified by itself.
    let (from, block) = catch_up.next_block(Height(0)).expect("the other one");
    assert_eq!((from, block.as_ref()), (key(2), &other[0]));
}

#[test]
fn what_a_peer_that_failed_sent_before_is_dropped_and_nothing_of_others() {
    let chain = blocks(6);
    let mut catch_up = claiming(&[(1, 9), (2, 8)]);
    request(&mut catch_up, 0, at(FETCH_DELAY));
    assert!(fetched(&mut catch_up, key(1), Height(1), chain[..2].to_vec()));
    catch_up.claim(&key(2), Height(10));
    assert_eq!(request(&mut catch_up, 0, at(FETCH_DELAY)), expected(2, 3));
    assert!(fetched(&mut catch_up, key(2), Height(3), chain[2..4].to_vec()));
    assert_eq!(request(&mut catch_up, 0, at(FETCH_DELAY)), expected(1, 5));
    assert!(fetched(&mut catch_up, key(1), Height(5), chain[4..].to_vec()));
    catch_up.failed(&key(2), at(FETCH_DELAY));
    let gap = Request { count: 2, ..expected(1, 3).unwrap() };
    assert_eq!(request(&mut catch_up, 0, at(FETCH_DELAY)), Some(gap));
    assert!(fetched(&mut catch_up, key(1), Height(3), chain[2..4].to_vec()));
    assert_eq!(request(&mut catch_up, 0, at(FETCH_DELAY)), expected(1, 7));
}

#[test]
fn so_is_what_it_sent_early() {
    let chain = blocks(2 * MAX_FETCH_BLOCKS);
    let mut catch_up = claiming(&[(1, 200), (2, 200)]);
    assert_eq!(request(&mut catch_up, 0, ENTERED), expected(1, 1));
    assert_eq!(request(&mut catch_up, 0, ENTERED), expected(2, 65));
    assert!(fetched(&mut catch_up, key(2), Height(65), chain[64..].to_vec()));
    catch_up.failed(&key(2), ENTERED);
    assert!(fetched(&mut catch_up, key(1), Height(1), chain[..64].to_vec()));
    assert_eq!(request(&mut catch_up, 0, ENTERED), expected(1, 65));
}

#[test]
fn what_is_fetched_ahead_is_bounded() {
    let chain = blocks(MAX_FETCHED_BLOCKS);
    let mut catch_up = claiming(&[(1, 1_000)]);
    let parts = chain.chunks(usize::try_from(MAX_FETCH_BLOCKS).unwrap());
    for (first, part) in (1..).step_by(64).zip(parts) {
        assert_eq!(request(&mut catch_up, 0, ENTERED), expected(1, first));
        assert!(fetched(&mut catch_up, key(1), Height(first), part.to_vec()));
    }
    assert_eq!(request(&mut catch_up, 0, ENTERED), None);
    assert_eq!(catch_up.next_wakeup(&tip(0), ENTERED), None, "and nothing is waited for");
}

/// What came early may fill all the room before the peer goes that was asked for what all of it waits for.
#[test]
fn but_the_next_block_is_asked_for_however_much_waits_behind_it() {
    let tx = tx_of(32 * 1024);
    let mut chain = blocks(1 + 2 * MAX_FETCH_BLOCKS).split_off(64);
    let full = vec![tx; 1 + MAX_FETCHED_TX_BYTES / (32 * 1024)];
    Arc::make_mut(&mut chain[0].block).txs = full;
    let mut catch_up = claiming(&[(1, 900), (2, 900), (3, 900)]);
    for (peer, first) in [(1, 1), (2, 65), (3, 129)] {
        assert_eq!(request(&mut catch_up, 0, ENTERED), expected(peer, first));
    }
    assert!(fetched(&mut catch_up, key(3), Height(129), chain[64..].to_vec()));
    assert!(fetched(&mut catch_up, key(2), Height(65), chain[..64].to_vec()));
    assert_eq!(request(&mut catch_up, 0, at(FETCH_DELAY)), None);
    catch_up.disconnected(&key(1));
    assert_eq!(catch_up.next_wakeup(&tip(0), ENTERED), Some(ENTERED));
    assert_eq!(request(&mut catch_up, 0, at(FETCH_DELAY)), expected(2, 1));
    assert_eq!(request(&mut catch_up, 0, at(FETCH_DELAY)), None);
}

#[test]
fn so_are_the_bytes_of_its_transactions() {
    let tx = tx_of(32 * 1024);
    let count = MAX_FETCHED_TX_BYTES / tx.bytes().len();
    for (more, full) in [(None, false), (Some(tx_of(1_024)), true)] {
        let mut chain = blocks(2);
        Arc::make_mut(&mut chain[0].block).txs = vec![tx.clone(); count];
        Arc::make_mut(&mut chain[1].block).txs = more.into_iter().collect();
        let mut catch_up = claiming(&[(1, 1_000)]);
        request(&mut catch_up, 0, ENTERED);
        assert!(fetched(&mut catch_up, key(1), Height(1), chain));
        assert_eq!(request(&mut catch_up, 0, ENTERED).is_none(), full);
    }
}

/// A transaction of so many bytes.
fn tx_of(length: usize) -> Tx {
    let with = |value: usize| {
        let data_set = "data".parse().expect("a name");
        let (key, value) = (vec![1], vec![0; value]);
        let call = records::Call::Put { data_set, key, content_type: None, value, expected: None };
        WORLD.tx(&WORLD.admin(0), 1, 10, Call::Records(call))
    };
    let tx = with(length - with(0).bytes().len());
    assert_eq!(tx.bytes().len(), length);
    tx
}

#[test]
fn blocks_that_came_by_votes_meanwhile_are_passed_over() {
    let chain = blocks(6);
    let mut catch_up = claiming(&[(1, 9)]);
    request(&mut catch_up, 0, at(FETCH_DELAY));
    assert!(fetched(&mut catch_up, key(1), Height(1), chain[..4].to_vec()));
    assert!(catch_up.next_block(Height(0)).is_some());
    let (_, block) = catch_up.next_block(Height(2)).expect("the one after the tip");
    assert_eq!(block.block.header.height, Height(3));
    assert!(catch_up.verified(Height(1)).is_none(), "a late verdict on a past one");
    assert!(catch_up.next_block(Height(9)).is_none());
}

#[test]
fn a_peer_that_is_gone_is_forgotten_with_its_claim_and_its_fetch() {
    let mut catch_up = claiming(&[(1, 20), (2, 10)]);
    request(&mut catch_up, 0, ENTERED);
    catch_up.disconnected(&key(1));
    assert_eq!(request(&mut catch_up, 0, ENTERED), expected(2, 1));
    catch_up.disconnected(&key(2));
    catch_up.connected(key(1));
    assert_eq!(catch_up.best_claim(&tip(0)), Height(0));
    catch_up.claim(&key(2), Height(99));
    catch_up.claim(&key(3), Height(99));
    assert_eq!(catch_up.best_claim(&tip(0)), Height(0), "who is not connected claims nothing");
}

#[test]
fn what_organisations_with_a_third_of_the_power_claim_is_not_believed_yet() {
    for (claims, believed) in [
        (vec![], 0),
        (vec![(1, 9)], 0),
        (vec![(1, 9), (2, 7)], 7),
        (vec![(1, 99), (2, 7), (3, 6)], 7),
        // All nodes of an organisation together count once.
        (vec![(1, 99), (5, 98)], 0),
        (vec![(1, 99), (5, 98), (2, 7), (3, 7), (4, 7)], 7),
        (vec![(5, 99), (6, 8), (7, 7)], 8),
        (vec![(9, 99), (1, 98), (2, 7)], 7),
    ] {
        assert_eq!(claiming(&claims).best_claim(&tip(0)), Height(believed), "{claims:?}");
    }
}
