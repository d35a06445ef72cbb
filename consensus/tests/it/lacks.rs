//! Peers that do not have old blocks, and say so: they have taken them away, or restored a snapshot.

use std::collections::BTreeSet;

use tandem_chain::types::Height;
use tandem_consensus::limits::FETCH_TIMEOUT;
use tandem_consensus::message::Message;
use tandem_consensus::{Effect, Input};

use crate::catchup::{ENTERED, at, claiming, expected, key, request, tip};
use crate::solo::{Solo, faults};

/// A peer that has restored a snapshot has none of the blocks before it, and does not lie when it claims
/// its height.
#[test]
fn a_peer_that_says_that_it_lacks_a_block_is_asked_for_later_ones_alone_and_keeps_its_claim() {
    let mut catch_up = claiming(&[(1, 200), (2, 200)]);
    assert_eq!(request(&mut catch_up, 5, ENTERED), expected(1, 6));
    catch_up.lacks(&key(1), Height(6), Height(9));
    assert_eq!(catch_up.best_claim(&tip(5)), Height(200));
    assert_eq!(request(&mut catch_up, 5, ENTERED), expected(2, 6), "another is asked at once");
    catch_up.lacks(&key(2), Height(6), Height(8));
    assert_eq!(request(&mut catch_up, 5, ENTERED), None, "nobody has it");
    assert_eq!(catch_up.next_wakeup(&tip(5), ENTERED), None, "and nothing is to be done");
    assert_eq!(request(&mut catch_up, 6, ENTERED), None);
    assert_eq!(request(&mut catch_up, 7, ENTERED), expected(2, 8));
    // What was not asked for, or came too late, says nothing.
    catch_up.lacks(&key(2), Height(7), Height(999));
    assert!(catch_up.expired(at(FETCH_TIMEOUT)).is_some());
    catch_up.lacks(&key(2), Height(8), Height(999));
    assert_eq!(request(&mut catch_up, 8, at(FETCH_TIMEOUT)), expected(1, 9));
    // A new connection may be with another database.
    catch_up.disconnected(&key(1));
    catch_up.connected(key(1));
    catch_up.claim(&key(1), Height(200));
    assert_eq!(request(&mut catch_up, 5, at(FETCH_TIMEOUT)), expected(1, 6));
}

#[test]
fn who_has_taken_blocks_away_is_asked_for_those_that_it_has_and_keeps_its_claim() {
    let mut catch_up = claiming(&[(1, 900), (2, 60)]);
    assert_eq!(request(&mut catch_up, 5, ENTERED), expected(1, 6));
    // Neither is an answer to what was asked.
    catch_up.lacks(&key(1), Height(7), Height(500));
    catch_up.lacks(&key(2), Height(6), Height(500));
    assert_eq!(request(&mut catch_up, 5, ENTERED), None, "the answer is waited for");
    catch_up.lacks(&key(1), Height(6), Height(400));
    assert_eq!(catch_up.out_of_reach(&tip(5)), None, "the other has not said");
    assert_eq!(request(&mut catch_up, 5, ENTERED), expected(2, 6));
    catch_up.claim(&key(2), Height(900));
    catch_up.lacks(&key(2), Height(6), Height(300));
    assert_eq!(catch_up.best_claim(&tip(5)), Height(900));
    assert_eq!(catch_up.out_of_reach(&tip(5)), Some(Height(300)));
    assert_eq!(request(&mut catch_up, 5, ENTERED), None);
    assert_eq!(catch_up.next_wakeup(&tip(5), ENTERED), None);

    // A snapshot has brought this node to where the second has what follows.
    assert_eq!(catch_up.out_of_reach(&tip(298)), Some(Height(300)));
    assert_eq!(catch_up.out_of_reach(&tip(299)), None);
    assert_eq!(request(&mut catch_up, 299, ENTERED), expected(2, 300));
    // Or somebody has connected who has all.
    catch_up.disconnected(&key(2));
    assert_eq!(catch_up.out_of_reach(&tip(5)), None, "one of four is not believed to be ahead");
    catch_up.connected(key(3));
    catch_up.claim(&key(3), Height(900));
    assert_eq!(catch_up.out_of_reach(&tip(5)), None);
    assert_eq!(request(&mut catch_up, 5, ENTERED), expected(3, 6));
}

#[test]
fn what_a_peer_said_that_it_has_no_more_counts_while_it_is_connected() {
    let mut catch_up = claiming(&[(1, 900)]);
    // Whatever it says, it is not asked for the same again.
    for (first, said) in [(6, 0), (7, 7), (8, 9)] {
        assert_eq!(request(&mut catch_up, first - 1, ENTERED), expected(1, first));
        catch_up.lacks(&key(1), Height(first), Height(said));
        assert_eq!(request(&mut catch_up, first - 1, ENTERED), None);
    }
    catch_up.disconnected(&key(1));
    catch_up.connected(key(1));
    catch_up.claim(&key(1), Height(900));
    assert_eq!(request(&mut catch_up, 5, ENTERED), expected(1, 6));
}

#[test]
fn a_peer_that_has_blocks_no_more_is_not_reported_and_it_is_seen_when_all_have_not() {
    let mut solo = Solo::new(0);
    let mut effects = Vec::new();
    for org in [1, 2] {
        solo.feed(Input::Connected(solo.world.validator(org)));
        effects.extend(solo.receive(org, &Message::Status { committed: Height(900) }));
    }
    let mut asked = BTreeSet::new();
    let lowest = Height(800);
    while let Some(effect) = effects.pop() {
        let Effect::Fetch { from, first, .. } = effect else { continue };
        assert_eq!(solo.node.replica.out_of_reach(), None);
        assert!(asked.insert((from, first)), "it is asked for the same again: {asked:?}");
        let more = solo.feed(Input::Lacks { from, first, lowest });
        assert_eq!(faults(&more).len(), 0);
        effects.extend(more);
    }
    assert_eq!(asked.iter().map(|(from, _)| from).collect::<BTreeSet<_>>().len(), 2);
    assert_eq!(solo.node.replica.out_of_reach(), Some(lowest));
    let effects = solo.pass(60_000);
    assert_eq!(faults(&effects).len(), 0);
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Fetch { .. })), "{effects:?}");
}
