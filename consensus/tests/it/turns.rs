//! Whose turn it is to propose.

use std::collections::{BTreeMap, BTreeSet};

use tandem_chain::keys::{PublicKey, SecretKey};
use tandem_chain::roles::{RoleTable, Seat};
use tandem_chain::types::{Height, Power, Round, Term};
use tandem_consensus::proposer::proposer;

use crate::world::org;

fn key(n: usize) -> PublicKey {
    SecretKey::from_seed(&[u8::try_from(n).expect("few seats"); 32]).public()
}

fn table(seats: usize) -> RoleTable {
    let seat = |n| (org(n), Seat { holder: key(n), power: Power(1), term: Term(0) });
    (0..seats).map(seat).collect::<BTreeMap<_, _>>().into()
}

fn turn(seats: usize, alive: Option<&[usize]>, height: u64, round: u32) -> usize {
    let alive: Option<BTreeSet<PublicKey>> =
        alive.map(|alive| alive.iter().map(|n| key(*n)).collect());
    let table = table(seats);
    let seat = proposer(&table, alive.as_ref(), Height(height), Round(round));
    (0..seats).find(|n| key(*n) == seat.holder).expect("a seat of the table")
}

#[test]
fn turns_go_round_the_seats_by_name() {
    let turns: Vec<usize> = (1..9).map(|height| turn(4, None, height, 0)).collect();
    assert_eq!(turns, [1, 2, 3, 0, 1, 2, 3, 0]);
    let rounds: Vec<usize> = (0..6).map(|round| turn(4, None, 1, round)).collect();
    assert_eq!(rounds, [1, 2, 3, 0, 1, 2]);
}

#[test]
fn the_recorded_dead_are_left_out_and_their_turns_are_shared_by_all_others() {
    for seats in [4, 5, 7] {
        for dead in 0..seats {
            let alive: Vec<usize> = (0..seats).filter(|n| *n != dead).collect();
            let heights = (seats as u64 - 1) * 12;
            let mut turns = vec![0; seats];
            for height in 1..=heights {
                turns[turn(seats, Some(&alive), height, 0)] += 1;
            }
            let shares: Vec<i32> = (0..seats).map(|n| if n == dead { 0 } else { 12 }).collect();
            assert_eq!(turns, shares, "{seats} seats, {dead} is dead");
        }
    }
}

#[test]
fn the_formula_is_the_designs() {
    let alive = [0, 2, 3];
    for height in 1..30_u64 {
        for round in 0..10_u32 {
            let sum = usize::try_from(height + u64::from(round)).expect("small");
            let expected = if round < 4 { alive[sum % 3] } else { sum % 4 };
            assert_eq!(turn(4, Some(&alive), height, round), expected, "{height} {round}");
        }
    }
}

#[test]
fn from_round_n_on_the_record_is_not_asked_so_that_it_cannot_stop_the_chain() {
    // The record calls one seat alone alive, wrongly.
    let turns: BTreeSet<usize> = (0..4).map(|round| turn(4, Some(&[2]), 1, round)).collect();
    assert_eq!(turns, [2].into());
    let turns: BTreeSet<usize> = (4..8).map(|round| turn(4, Some(&[2]), 1, round)).collect();
    assert_eq!(turns, [0, 1, 2, 3].into());
}

#[test]
fn with_nobody_alive_or_only_others_all_have_their_turns() {
    for alive in [vec![], vec![77, 78]] {
        let turns: Vec<usize> = (1..5).map(|height| turn(4, Some(&alive), height, 0)).collect();
        assert_eq!(turns, [1, 2, 3, 0]);
    }
}

#[test]
fn a_single_seat_always_has_its_turn() {
    for (height, round) in [(1, 0), (2, 1), (u64::from(u32::MAX), u32::MAX)] {
        assert_eq!(turn(1, Some(&[]), height, round), 0);
    }
}
