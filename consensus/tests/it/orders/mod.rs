//! Every order of events, to a depth, for one replica among three seats of the test that vote for
//! anything, twice and against themselves; with the process dying anywhere. After each event the
//! replica is held against [`paper`].
//!
//! Orders are followed from the beginning of a height and from places further on. Where two of them
//! lead to the same state, of the replica and its disk and all else, one of them is followed on.

mod paper;
mod table;
mod walk;
mod words;

use self::table::Table;
use self::walk::{Event, Orders};
use self::words::{Heard, PRECOMMIT, PREVOTE, SEATS, Value};

const A: u8 = 0;
const B: u8 = 1;
const C: u8 = 2;
const FOR_A: Value = Some(A);
const FOR_B: Value = Some(B);
const FOR_C: Value = Some(C);
const NIL: Value = None;

fn vote(seat: usize, kind: usize, round: usize, value: Value) -> Event {
    Event::Heard(Heard::Vote { seat, kind, round, value })
}

/// With a valid round it carries a quorum of prevotes.
fn proposal(round: usize, block: u8, valid_round: Option<usize>) -> Event {
    Event::Heard(Heard::Proposal { round, block, valid_round, carried: 3 })
}

/// A proposal of a block again with one prevote less than a quorum.
fn unproven(round: usize, block: u8, valid_round: usize) -> Event {
    let valid_round = Some(valid_round);
    Event::Heard(Heard::Proposal { round, block, valid_round, carried: 2 })
}

/// These votes of every seat but `me`.
fn votes(me: usize, kind: usize, round: usize, values: &[Value]) -> Vec<Event> {
    let others = (0..SEATS).filter(|seat| *seat != me);
    others.flat_map(|seat| values.iter().map(move |v| vote(seat, kind, round, *v))).collect()
}

/// Follows all orders of so many of these events behind `first`, with up to so many deaths. What the
/// replica `did` in any of them is all that is expected, so that no rule is left out by accident.
fn explore(table: &Table, first: &[Event], events: &[Vec<Event>], depths: (usize, u8), did: &str) {
    let (depth, crashes) = depths;
    let mut orders = Orders::new(table, &events.concat(), crashes);
    orders.explore(first, depth);
    println!("{} states, {} steps", orders.states(), orders.steps);
    let seen: Vec<String> = orders.seen.into_iter().collect();
    assert_eq!(seen.join(", "), did);
}

#[test]
fn one_round_with_two_proposals() {
    let table = Table::new(0, &[(0, true), (0, true), (3, true)], false);
    let events = [
        vec![proposal(0, A, None), proposal(0, B, None), Event::Time, Event::Crash],
        votes(0, PREVOTE, 0, &[FOR_A, FOR_B, NIL]),
        votes(0, PRECOMMIT, 0, &[FOR_A, FOR_B, NIL]),
    ];
    let did = "accuse, ask A, ask B, commit 0 A, commit 0 B, precommit 0 A, precommit 0 B, \
         precommit 0 nil, prevote 0 A, prevote 0 B, prevote 0 nil, prevote 1 nil";
    explore(&table, &[], &events, (6, 1), did);
}

#[test]
fn a_ledger_that_takes_its_time_and_refuses_one_block() {
    let table = Table::new(0, &[(0, true), (0, false)], true);
    let events = [
        vec![proposal(0, A, None), proposal(0, B, None), Event::Answered(A), Event::Answered(B)],
        vec![Event::Time, Event::Crash],
        votes(0, PREVOTE, 0, &[FOR_A, FOR_B]),
        votes(0, PRECOMMIT, 0, &[FOR_A, FOR_B]),
    ];
    let did = "accuse, ask A, ask B, commit 0 A, halt, precommit 0 A, precommit 0 nil, prevote \
         0 A, prevote 0 nil, prevote 1 nil";
    explore(&table, &[], &events, (7, 1), did);
}

/// A proposal and two prevotes for it, with which the replica locks on it.
fn lock() -> Vec<Event> {
    let prevotes = [1, 2].map(|seat| vote(seat, PREVOTE, 0, FOR_A));
    [vec![proposal(0, A, None)], prevotes.to_vec()].concat()
}

#[test]
fn locked_with_the_next_round_before_it() {
    let table = Table::new(0, &[(0, true), (1, true), (3, true)], false);
    let events = [
        vec![proposal(1, B, None), proposal(1, A, Some(0)), unproven(1, A, 0)],
        vec![Event::Time, Event::Crash],
        votes(0, PRECOMMIT, 0, &[FOR_A, NIL]),
        votes(0, PREVOTE, 1, &[FOR_A, FOR_B]),
        votes(0, PRECOMMIT, 1, &[FOR_B, NIL]),
    ];
    let did = "accuse, ask A, ask B, commit 0 A, commit 1 B, precommit 0 A, precommit 1 A, \
         precommit 1 B, precommit 1 nil, prevote 0 A, prevote 1 A, prevote 1 nil, prevote \
         2 nil";
    explore(&table, &lock(), &events, (5, 1), did);
}

#[test]
fn locked_in_the_next_round_and_the_one_behind_it() {
    let table = Table::new(0, &[(0, true), (1, true), (3, true)], false);
    let first = [lock(), votes(0, PRECOMMIT, 0, &[NIL])].concat();
    let events = [
        vec![proposal(1, B, None), proposal(1, A, Some(0)), Event::Time, Event::Crash],
        vec![proposal(2, A, Some(0)), proposal(2, B, Some(1)), unproven(2, B, 1)],
        votes(0, PREVOTE, 1, &[FOR_A, FOR_B]),
        votes(0, PRECOMMIT, 1, &[FOR_B, NIL]),
        votes(0, PREVOTE, 2, &[FOR_B]),
    ];
    let did = "accuse, ask A, ask B, commit 1 B, precommit 0 A, precommit 1 A, precommit 1 B, \
         precommit 1 nil, precommit 2 B, precommit 2 nil, prevote 0 A, prevote 1 A, \
         prevote 1 nil, prevote 2 A, prevote 2 B, prevote 2 nil";
    explore(&table, &first, &events, (5, 1), did);
}

#[test]
fn its_own_turn_in_the_second_round() {
    let table = Table::new(2, &[(0, true), (1, true)], false);
    let events = [
        vec![proposal(0, A, None), Event::Time, Event::Crash],
        votes(2, PREVOTE, 0, &[FOR_A, NIL]),
        votes(2, PRECOMMIT, 0, &[FOR_A, NIL]),
        votes(2, PREVOTE, 1, &[FOR_A, FOR_B]),
    ];
    let did = "accuse, ask A, ask B, commit 0 A, precommit 0 A, precommit 0 nil, precommit 1 A, \
         precommit 1 B, precommit 1 nil, prevote 0 A, prevote 0 nil, prevote 1 A, prevote \
         1 B, propose 1 A of 0, propose 1 B";
    explore(&table, &[], &events, (6, 1), did);
}

#[test]
fn its_own_turn_in_the_first_round() {
    let table = Table::new(1, &[(0, true), (1, true)], false);
    let events = [
        vec![proposal(1, B, None), proposal(1, A, Some(0)), Event::Time, Event::Crash],
        votes(1, PREVOTE, 0, &[FOR_A, NIL]),
        votes(1, PRECOMMIT, 0, &[FOR_A, NIL]),
        votes(1, PREVOTE, 1, &[FOR_A, FOR_B]),
    ];
    let did = "accuse, ask A, ask B, commit 0 A, precommit 0 A, precommit 0 nil, precommit 1 A, \
         precommit 1 B, precommit 1 nil, prevote 0 A, prevote 1 A, prevote 1 B, prevote 1 \
         nil";
    explore(&table, &[], &events, (5, 2), did);
}

#[test]
fn votes_of_three_rounds_at_once() {
    let table = Table::new(0, &[(0, true), (1, true), (3, true)], false);
    let events = [
        vec![proposal(0, A, None), proposal(1, B, None), Event::Time, Event::Crash],
        votes(0, PREVOTE, 0, &[FOR_A, NIL]),
        votes(0, PRECOMMIT, 0, &[NIL]),
        votes(0, PREVOTE, 1, &[FOR_B]),
        votes(0, PRECOMMIT, 1, &[FOR_B, NIL]),
        votes(0, PRECOMMIT, 2, &[NIL]),
    ];
    let did = "accuse, ask A, ask B, ask C, commit 1 B, precommit 0 A, precommit 0 nil, \
         precommit 1 B, precommit 1 nil, precommit 2 nil, prevote 0 A, prevote 0 nil, \
         prevote 1 B, prevote 1 nil, prevote 2 nil, prevote 3 C, propose 3 C";
    explore(&table, &[], &events, (5, 1), did);
}

#[test]
fn on_the_way_out_of_the_last_round() {
    let table = Table::new(0, &[(0, true), (1, true), (3, true)], false);
    let first = votes(0, PRECOMMIT, 2, &[NIL]);
    let events = [
        vec![proposal(2, B, None), Event::Time, Event::Crash],
        votes(0, PREVOTE, 3, &[FOR_C, NIL]),
        votes(0, PRECOMMIT, 3, &[FOR_C, NIL]),
    ];
    let did = "accuse, ask C, commit 3 C, precommit 1 nil, precommit 2 nil, precommit 3 C, \
         precommit 3 nil, prevote 1 nil, prevote 2 nil, prevote 3 C, propose 3 C";
    explore(&table, &first, &events, (5, 1), did);
}
