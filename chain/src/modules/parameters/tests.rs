use super::*;

type Case = (&'static str, fn(&mut Parameters));

#[test]
fn presets_have_no_faults() {
    assert_eq!(Parameters::wan().faults(), []);
    assert_eq!(Parameters::lan().faults(), []);
}

#[test]
fn values_at_the_bounds_are_good() {
    let cases: [Case; 12] = [
        ("clock at the interval", |p| p.max_clock_ahead_ms = p.idle_block_interval_ms),
        ("clock just below 5 s", |p| {
            p.idle_block_interval_ms = 5_000;
            p.max_clock_ahead_ms = 4_999;
        }),
        ("one block", |p| p.failover_blocks = 1),
        ("a day", |p| p.failover_min_ms = MAX_FAILOVER_MIN_MS),
        ("no failover_min", |p| p.failover_min_ms = 0),
        ("longest interval", |p| p.idle_block_interval_ms = MAX_INTERVAL_MS),
        ("shortest interval", |p| {
            p.idle_block_interval_ms = 1;
            p.max_clock_ahead_ms = 1;
        }),
        ("longest timeout", |p| p.timeout_max_ms = MAX_TIMEOUT_MS),
        ("timeouts all the same", |p| p.propose_timeout_ms = p.timeout_max_ms),
        ("smallest block", |p| p.block_max_bytes = MAX_TX_BYTES as u64),
        ("largest block", |p| p.block_max_bytes = MAX_BLOCK_TX_BYTES as u64),
        ("one transaction", |p| p.block_max_txs = 1),
    ];
    for (name, change) in cases {
        let mut parameters = Parameters::wan();
        change(&mut parameters);
        assert_eq!(parameters.faults(), [], "{name}");
    }
}

#[test]
fn every_bad_value_is_named() {
    let cases: [Case; 20] = [
        ("idle_block_interval_ms", |p| p.idle_block_interval_ms = 0),
        ("idle_block_interval_ms", |p| p.idle_block_interval_ms = MAX_INTERVAL_MS + 1),
        ("network_bound_ms", |p| p.network_bound_ms = 0),
        ("network_bound_ms", |p| p.network_bound_ms = u64::MAX),
        ("max_clock_ahead_ms", |p| p.max_clock_ahead_ms = 0),
        ("max_clock_ahead_ms", |p| p.max_clock_ahead_ms = p.idle_block_interval_ms + 1),
        ("max_clock_ahead_ms", |p| {
            p.idle_block_interval_ms = 10_000;
            p.max_clock_ahead_ms = 5_000;
        }),
        ("failover_blocks", |p| p.failover_blocks = 0),
        ("failover_blocks", |p| p.failover_blocks = u64::MAX),
        ("failover_min_ms", |p| p.failover_min_ms = MAX_FAILOVER_MIN_MS + 1),
        ("propose_timeout_ms", |p| p.propose_timeout_ms = 0),
        ("vote_timeout_ms", |p| p.vote_timeout_ms = 0),
        ("timeout_step_ms", |p| p.timeout_step_ms = 0),
        ("timeout_max_ms", |p| p.propose_timeout_ms = p.timeout_max_ms + 1),
        ("timeout_max_ms", |p| p.timeout_max_ms = MAX_TIMEOUT_MS + 1),
        ("timeout_max_ms", |p| {
            *p = Parameters { timeout_max_ms: MIN_TIMEOUT_MAX_MS - 1, ..Parameters::lan() };
        }),
        ("block_max_bytes", |p| p.block_max_bytes = MAX_TX_BYTES as u64 - 1),
        ("block_max_bytes", |p| p.block_max_bytes = MAX_BLOCK_TX_BYTES as u64 + 1),
        ("block_max_txs", |p| p.block_max_txs = 0),
        ("block_max_txs", |p| p.block_max_txs = MAX_BLOCK_TXS as u64 + 1),
    ];
    for (expected, change) in cases {
        let mut parameters = Parameters::wan();
        change(&mut parameters);
        let faults = parameters.faults();
        let named =
            |fault: &Error| matches!(fault, Error::Parameter { name, .. } if *name == expected);
        assert!(faults.iter().any(named), "{expected}: {faults:?}");
    }
    let two = Parameters { block_max_txs: 0, failover_blocks: 0, ..Parameters::wan() };
    assert_eq!(two.faults().len(), 2, "faults are named together");
}

#[test]
fn timeouts_may_grow_to_twice_the_network_bound_at_least() {
    for network_bound_ms in [501, 1_000] {
        let with = |timeout_max_ms| Parameters {
            propose_timeout_ms: 1,
            vote_timeout_ms: 1,
            timeout_step_ms: 1,
            timeout_max_ms,
            network_bound_ms,
            ..Parameters::wan()
        };
        let least = 2 * network_bound_ms;
        assert_eq!(with(least).faults(), []);
        for got in [MIN_TIMEOUT_MAX_MS, least - 1] {
            let rule = "it must be at least twice network_bound_ms".to_owned();
            let fault = Error::Parameter { name: "timeout_max_ms", rule, got };
            assert_eq!(with(got).faults(), [fault]);
        }
    }
}

#[test]
fn derived_values_follow_the_design() {
    use crate::roles::Seat;
    use crate::types::{Power, Term};
    let table = |seats: u8, power: u64| {
        let seat = |i: u8| Seat {
            holder: crate::keys::PublicKey([i; 32]),
            power: Power(power),
            term: Term::ZERO,
        };
        let seats = (0..seats).map(|i| (format!("org-{i:03}").parse().unwrap(), seat(i)));
        RoleTable::from(seats.collect::<std::collections::BTreeMap<_, _>>())
    };
    let ms = Duration::from_millis;
    // The design's table: 3.3 s and 0.7 s with four seats, where f = K = 1.
    let us = Duration::from_micros;
    assert_eq!(Parameters::wan().liveness_grace(&table(4, 1)), us(3_333_333));
    assert_eq!(Parameters::lan().liveness_grace(&table(4, 1)), us(666_666));
    assert_eq!(Parameters::wan().liveness_grace(&table(4, 10)), us(3_333_333));
    assert_eq!(Parameters::wan().liveness_grace(&table(7, 1)), ms(4_000));
    assert_eq!(Parameters::wan().failover_min(&table(7, 1)), ms(4_000));
    let longer = Parameters { failover_min_ms: 4_001, ..Parameters::wan() };
    assert_eq!(longer.failover_min(&table(7, 1)), ms(4_001));
    assert_eq!(Parameters::wan().failover_blocks(&table(9, 1)), 10);
    assert_eq!(Parameters::wan().failover_blocks(&table(10, 1)), 11);
    // The largest values there may be do not overflow.
    let largest = Parameters {
        idle_block_interval_ms: MAX_INTERVAL_MS,
        network_bound_ms: MAX_INTERVAL_MS,
        max_clock_ahead_ms: MAX_CLOCK_AHEAD_MS,
        ..Parameters::wan()
    };
    assert!(largest.liveness_grace(&table(100, 1)) > ms(34 * 60_000));
}
