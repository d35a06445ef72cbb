//! Whole networks: agreement, crashes, partitions, and switches of seats.

use tandem_chain::modules::{Call, standby};
use tandem_chain::types::Term;
use tandem_consensus::{Effect, Role};

use crate::network::Network;
use crate::world::org;

const ALL: [usize; 8] = [0, 1, 2, 3, 4, 5, 6, 7];

/// The roles that a node was told of: height, and the term if it holds the seat.
fn roles(network: &Network, node: usize) -> Vec<(u64, Option<u64>)> {
    let roles = network.told[node].iter().filter_map(|effect| match effect {
        Effect::RoleChanged { height, role: Role::Validator { term, .. } } => {
            Some((height.0, Some(term.0)))
        }
        Effect::RoleChanged { height, .. } => Some((height.0, None)),
        _ => None,
    });
    roles.collect()
}

fn faults(network: &Network) -> Vec<&Effect> {
    let is_fault = |effect: &&Effect| !matches!(effect, Effect::RoleChanged { .. });
    network.told.iter().flatten().filter(is_fault).collect()
}

fn is_alive(network: &Network, observer: usize, node: usize) -> bool {
    let alive = network.tip(observer).alive.as_ref();
    alive.is_some_and(|alive| alive.contains(&network.nodes[node].key))
}

#[test]
fn an_idle_network_makes_a_block_per_interval_in_round_0() {
    let mut network = Network::new(&[1; 4]);
    network.until_height(&ALL, 20, 10_000);
    // The interval, and a few messages' time.
    assert!((2_000..2_400).contains(&network.ms()), "{} ms", network.ms());
    assert_eq!(network.rounds_above_zero(0, 0), 0);
    assert!(faults(&network).is_empty(), "{:?}", faults(&network));
    assert!(ALL.iter().all(|node| is_alive(&network, 0, *node)));
    // Every validator proposes, and in its turn.
    let authors = network.nodes[0].blocks[..4].iter().map(|b| b.block.header.proposer_address);
    let expected = [1, 2, 3, 0].map(|node: usize| network.nodes[node].key.address());
    assert!(authors.eq(expected));
}

#[test]
fn a_dead_validator_is_recorded_costs_no_more_rounds_and_is_replaced() {
    let mut network = Network::new(&[1; 4]);
    let rest = [0, 2, 3, 4, 5, 6, 7];
    network.until_height(&ALL, 5, 5_000);
    network.kill(1);
    network.until("it is recorded dead", 5_000, |n| !is_alive(n, 0, 1));
    let recorded = network.height(0);
    network.until("its partner holds the seat", 5_000, |n| {
        matches!(n.role(5), Role::Validator { .. })
    });
    let [(0 | 1, None), (since, Some(1))] = roles(&network, 5)[..] else {
        panic!("{:?}", roles(&network, 5))
    };
    // Ten blocks, 666 ms of them, and the two until the table holds.
    assert!((recorded + 9..=recorded + 14).contains(&since), "from {since}, dead at {recorded}");
    network.until_height(&rest, since + 10, 5_000);
    assert_eq!(network.rounds_above_zero(0, recorded), 0, "after it was recorded dead");
    assert!(network.rounds_above_zero(0, 0) <= 3);
    assert!(network.signed_by(5).iter().all(|height| *height >= since));
    assert!(network.signed_by(5).len() >= 5, "the partner's votes stand in certificates");

    // The old holder returns: it catches up, is the standby, and is seen alive.
    network.start(1);
    let height = network.height(0);
    network.until_height(&ALL, height + 10, 5_000);
    assert!(matches!(network.role(1), Role::Standby { .. }));
    assert!(is_alive(&network, 0, 1));
    assert!(network.signed_by(1).iter().all(|height| *height < since));
    network.pass(5_000);
    assert!(matches!(network.role(5), Role::Validator { .. }), "no switch back");
}

#[test]
fn a_validator_that_was_cut_off_signs_nothing_at_a_height_it_does_not_hold() {
    let mut network = Network::new(&[1; 4]);
    let rest = [0, 1, 2, 4, 5, 6, 7];
    network.until_height(&ALL, 5, 5_000);
    network.cut(&[3], &rest);
    network.until("its partner holds the seat", 10_000, |n| {
        matches!(n.role(7), Role::Validator { .. })
    });
    let since = roles(&network, 7).last().expect("a role").0;
    assert!(matches!(network.role(3), Role::Validator { .. }), "it knows nothing of it");
    network.until_height(&rest, since + 5, 5_000);
    network.heal();
    let height = network.height(0);
    network.until_height(&ALL, height + 5, 5_000);
    assert_eq!(roles(&network, 3).last().map(|role| role.1), Some(None));
    assert!(network.signed_by(3).iter().all(|height| *height < since));
}

#[test]
fn a_planned_switch_costs_no_round_and_moves_the_seat_at_k_plus_2() {
    let mut network = Network::new(&[1; 4]);
    network.until_height(&ALL, 5, 5_000);
    let call =
        standby::Call::Switch { seat: org(2), target: network.world.standby(2), term: Term(0) };
    let tx = network.world.tx(&network.world.admin(2), 1, 100, Call::Standby(call));
    network.submit(&tx);
    network.until("its partner holds the seat", 5_000, |n| {
        matches!(n.role(6), Role::Validator { .. })
    });
    network.until_height(&ALL, 15, 5_000);
    let block = network.nodes[0].blocks.iter().find(|b| b.block.txs.contains(&tx));
    let k = block.expect("a block with it").block.header.height.0;
    assert_eq!(roles(&network, 6).last(), Some(&(k + 2, Some(1))));
    assert_eq!(roles(&network, 2).last(), Some(&(k + 2, None)));
    assert_eq!(network.rounds_above_zero(0, 0), 0);
    assert!(network.signed_by(2).iter().all(|height| *height < k + 2));
    assert!(network.signed_by(6).iter().all(|height| *height >= k + 2));
    assert!(faults(&network).is_empty(), "{:?}", faults(&network));
}

#[test]
fn with_both_nodes_of_a_pair_dead_the_seat_stays_and_the_rest_goes_on() {
    let mut network = Network::new(&[1; 4]);
    let rest = [1, 2, 3, 5, 6, 7];
    network.until_height(&ALL, 5, 5_000);
    network.kill(0);
    network.kill(4);
    network.pass(4_000);
    let holder = network.world.validator(0);
    assert_eq!(network.tip(1).next_table.seats()[&org(0)].holder, holder);
    network.start(0);
    network.start(4);
    let height = network.height(1);
    network.until_height(&ALL, height + 10, 5_000);
    assert_eq!(network.tip(1).next_table.seats()[&org(0)].term, Term(0));
    assert!(rest.iter().all(|node| is_alive(&network, 0, *node)));
}

#[test]
fn a_wiped_standby_is_not_eligible_until_it_has_caught_up() {
    let mut network = Network::new(&[1; 4]);
    network.until_height(&ALL, 30, 10_000);
    network.kill(4);
    network.until("it is recorded dead", 5_000, |n| !is_alive(n, 1, 4));
    network.kill(0);
    network.pass(4_000);
    assert_eq!(network.tip(1).next_table.seats()[&org(0)].term, Term(0), "nobody to take it");
    network.start_wiped(4);
    assert!(!is_alive(&network, 1, 4));
    network.until("it holds the seat", 10_000, |n| matches!(n.role(4), Role::Validator { .. }));
    let since = roles(&network, 4).last().expect("a role").0;
    let height = network.height(1);
    network.until_height(&[1, 2, 3, 4], height + 10, 5_000);
    assert!(network.signed_by(4).iter().all(|height| *height >= since));
}

#[test]
fn two_halves_decide_nothing_and_go_on_together() {
    let mut network = Network::new(&[1; 4]);
    network.until_height(&ALL, 5, 5_000);
    network.cut(&[0, 1, 4, 5], &[2, 3, 6, 7]);
    network.pass(20);
    let heights = ALL.map(|node| network.height(node));
    network.pass(60_000);
    assert_eq!(ALL.map(|node| network.height(node)), heights, "no quorum on either side");
    network.heal();
    let height = heights.iter().max().expect("nodes") + 3;
    // One timeout at its cap, and one to vote.
    network.until_height(&ALL, height, 6_500);
    assert!(faults(&network).is_empty(), "{:?}", faults(&network));
}

#[test]
fn all_processes_killed_at_any_moment_come_back_and_go_on() {
    let mut network = Network::new(&[1; 4]);
    network.until_height(&ALL, 2, 5_000);
    // Every phase of a height of about 103 ms is met.
    for run in 0..40 {
        network.pass(97 + run % 11);
        ALL.iter().for_each(|node| network.kill(*node));
        network.pass(1);
        let height = ALL.iter().map(|node| network.height(*node)).max().expect("nodes");
        ALL.iter().for_each(|node| network.start(*node));
        network.until_height(&ALL, height + 1, 4_000);
    }
    assert!(faults(&network).is_empty(), "{:?}", faults(&network));
}

#[test]
fn a_majority_that_was_away_for_an_hour_is_live_again_within_a_capped_timeout() {
    let mut network = Network::new(&[1; 4]);
    network.until_height(&ALL, 5, 5_000);
    for node in [1, 2, 3, 5, 6, 7] {
        network.kill(node);
    }
    network.pass(3_600_000);
    let height = network.height(0);
    for node in [1, 2, 3, 5, 6, 7] {
        network.start(node);
    }
    network.until_height(&ALL, height + 2, 3_000 + 500);
    // The gap made nobody stale for longer than it takes to be heard again.
    network.until("all are alive", 2_000, |n| ALL.iter().all(|node| is_alive(n, 0, *node)));
    let terms = network.tip(0).next_next_table.seats().values().map(|seat| seat.term);
    assert!(terms.eq([Term(0); 4]), "and no seat has moved");
}

#[test]
fn a_late_joiner_reaches_the_tip() {
    let mut network = Network::new(&[1; 4]);
    network.kill(6);
    network.until_height(&[0, 1, 2, 3], 200, 40_000);
    network.start_wiped(6);
    let begun = network.ms();
    network.until("it is at the tip", 5_000, |n| n.height(6) + 1 >= n.height(0));
    assert!(network.ms() - begun < 1_000, "by blocks that are fetched, many at a time");
    network.until("it is alive", 3_000, |n| is_alive(n, 0, 6));
}

#[test]
fn a_late_joiner_that_is_killed_on_its_way_goes_on_where_it_stopped() {
    let mut network = Network::new(&[1; 4]);
    network.kill(6);
    network.until_height(&[0, 1, 2, 3], 300, 60_000);
    network.start_wiped(6);
    for height in [70, 140, 210] {
        network.until("it is on its way", 1_000, |n| n.height(6) >= height);
        network.kill(6);
        network.pass(1);
        network.start(6);
    }
    let begun = network.ms();
    network.until("it is at the tip", 1_000, |n| n.height(6) + 1 >= n.height(0));
    assert!(network.ms() - begun < 500);
    assert!(faults(&network).is_empty(), "{:?}", faults(&network));
}

#[test]
fn a_late_joiner_catches_up_over_a_change_of_the_role_table() {
    let mut network = Network::new(&[1; 4]);
    network.kill(6);
    network.until_height(&[0, 1, 2, 3], 100, 20_000);
    network.kill(0);
    network.until("the seat has moved", 10_000, |n| matches!(n.role(4), Role::Validator { .. }));
    let moved = network.height(1);
    network.until_height(&[1, 2, 3, 4], moved + 100, 40_000);
    assert!(!moved.is_multiple_of(64), "the change is amid the blocks of an answer");
    network.start_wiped(6);
    network.until("it is at the tip", 2_000, |n| n.height(6) + 1 >= n.height(1));
    assert!(faults(&network).is_empty(), "{:?}", faults(&network));
}

#[test]
fn a_lost_key_is_silent_through_t_plus_2_and_its_node_is_back_after() {
    let mut network = Network::new(&[1; 4]);
    network.until_height(&ALL, 10, 5_000);
    network.kill(3);
    let last = network.height(3) + 1;
    network.start_lost(3);
    network.until("it may sign again", 5_000, |n| {
        let view = n.nodes[3].replica.view();
        !view.key_lost && view.height > view.silent_through
    });
    let silent = network.nodes[3].replica.view().silent_through.0;
    assert!(silent > last, "no less than T + 2");
    network.until("it votes", 5_000, |n| n.signed_by(3).last() > Some(&silent));
    assert_eq!(network.signed_by(3).range(last + 1..=silent).count(), 0);
    assert!(faults(&network).is_empty(), "{:?}", faults(&network));
}

#[test]
fn a_seat_with_more_than_a_third_stops_the_chain_while_it_is_away_and_nothing_else() {
    let mut network = Network::new(&[3, 2, 2, 2]);
    network.until_height(&ALL, 5, 5_000);
    network.kill(0);
    network.pass(10);
    let height = network.height(1);
    network.pass(10_000);
    // 6 of 9 is exactly two thirds.
    assert_eq!(network.height(1), height);
    network.start(0);
    network.until_height(&ALL, height + 3, 4_000);
}
