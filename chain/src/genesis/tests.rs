use super::*;
use crate::ledger::Ledger;
use crate::ledger::tests::kit::{address, genesis, genesis_with, key};
use crate::modules::consortium::Threshold;
use crate::store::MemoryStore;

fn faults(genesis: &Genesis) -> Vec<String> {
    match genesis.validate() {
        Ok(_) => Vec::new(),
        Err(Error::Genesis { faults }) => faults,
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_good_genesis_has_no_faults_and_no_warnings() {
    assert_eq!(genesis().validate(), Ok(vec![]));
}

/// Two is no y of a point.
fn no_point() -> PublicKey {
    let mut bytes = [0; 32];
    bytes[0] = 2;
    PublicKey(bytes)
}

#[test]
fn every_fault_is_named() {
    type Change = fn(&mut Genesis);
    let cases: [(&str, Change); 22] = [
        ("there is no organisation", |g| g.organizations.clear()),
        ("two organisations are named b", |g| g.organizations[0].name = "b".parse().unwrap()),
        ("101 organisations, at most 100", |g| {
            g.organizations = vec![g.organizations[0].clone(); 101];
        }),
        ("a: power is 0", |g| g.organizations[0].power = Power(0)),
        ("total power is 1099511627780, at most", |g| {
            g.organizations[0].power = Power(MAX_TOTAL_POWER + 1);
        }),
        ("total power is 18446744073709551615, at most", |g| {
            g.organizations[0].power = Power(u64::MAX);
            g.organizations[1].power = Power(u64::MAX);
        }),
        ("a: no node is its validator", |g| g.organizations[0].nodes.clear()),
        ("a: it has a standby and no validator", |g| drop(g.organizations[0].nodes.remove(0))),
        ("a: 2 validators, one node", |g| {
            g.organizations[0].nodes[1].role = GenesisRole::Validator;
        }),
        ("a: 3 validators and standbys, a pair", |g| {
            g.organizations[0].nodes[2].role = GenesisRole::Standby;
        }),
        ("a: 17 nodes, at most 16", |g| {
            let observer = g.organizations[0].nodes[2].clone();
            g.organizations[0].nodes.resize(17, observer);
        }),
        ("a: 1001 users, at most 1000", |g| g.organizations[0].users = vec![key("u"); 1_001]),
        ("is weak or no key", |g| g.organizations[0].nodes[0].key = PublicKey([0; 32])),
        ("is weak or no key", |g| g.organizations[0].admin_key = PublicKey([0; 32])),
        ("is weak or no key", |g| g.organizations[0].users[0] = no_point()),
        ("is there twice: admin key of a, user of b", |g| {
            g.organizations[1].users.push(key("a-admin"));
        }),
        ("is there twice: node of a, node of b", |g| {
            g.organizations[1].nodes[2].key = key("a2");
        }),
        ("address /dns4/a2.example.com/tcp/26656 is there twice: node", |g| {
            g.organizations[1].nodes[2].addresses.push(address("a2"));
        }),
        (", node ", |g| g.organizations[0].nodes[1].addresses = vec!["localhost".to_owned()]),
        ("parameter failover_blocks is 0", |g| g.parameters.failover_blocks = 0),
        ("genesis_time is missing", |g| g.genesis_time = Timestamp(0)),
        ("genesis_time is 2454-07-20T23:34:33.709551616Z, at most 2454-07-20T", |g| {
            g.genesis_time = Timestamp(LATEST_GENESIS_TIME.0 + 1);
        }),
    ];
    for (expected, change) in cases {
        let mut genesis = genesis();
        change(&mut genesis);
        let faults = faults(&genesis);
        assert!(faults.iter().any(|fault| fault.contains(expected)), "{expected}: {faults:?}");
    }
}

#[test]
fn all_faults_are_named_at_once() {
    let mut genesis = genesis();
    genesis.organizations[0].power = Power(0);
    genesis.organizations[1].admin_key = PublicKey([0; 32]);
    let addresses = ["a\u{1b}[2J", "/ip4/1.2.3.4/tcp/5", "b", "", "", "", "", "", "c"];
    genesis.organizations[2].nodes[0].addresses = addresses.map(str::to_owned).to_vec();
    genesis.organizations[3].nodes.clear();
    genesis.parameters.block_max_txs = 0;
    genesis.parameters.max_clock_ahead_ms = 0;
    let faults = faults(&genesis);
    let of_addresses = faults.iter().filter(|fault| fault.starts_with("c, node")).count();
    assert_eq!((faults.len(), of_addresses), (5 + 9, 9), "{faults:#?}");
    let text = Error::Genesis { faults: faults.clone() }.to_string();
    assert!(faults.iter().all(|fault| text.contains(fault)));
    assert!(!text.contains('\u{1b}'));
}

#[test]
fn a_chain_has_a_century_before_its_times_end() {
    let genesis = Genesis { genesis_time: LATEST_GENESIS_TIME, ..genesis() };
    assert_eq!(genesis.validate(), Ok(vec![]));
    let century = std::time::Duration::from_secs(36_525 * 86_400);
    assert_eq!(LATEST_GENESIS_TIME.plus(century).since(LATEST_GENESIS_TIME), century);
    assert_eq!(LATEST_GENESIS_TIME.plus(century), Timestamp(u64::MAX));
}

#[test]
fn what_is_allowed_but_should_be_known_is_a_warning() {
    let warnings = |genesis: &Genesis| genesis.validate().unwrap();
    let three = warnings(&genesis_with(&[("a", 1), ("b", 1), ("c", 1)]));
    assert_eq!(three.len(), 1);
    assert!(three[0].contains("3 seat(s) with power 3 together, so f = 0: the chain stops"));
    let one = warnings(&genesis_with(&[("a", 3)]));
    assert!(one.len() == 1 && one[0].contains("1 seat(s)"), "{one:?}");
    // Not the number of seats counts, but their power.
    let three = warnings(&genesis_with(&[("a", 3), ("b", 2), ("c", 2)]));
    assert_eq!(three.len(), 1);
    assert!(three[0].contains("seat of a has power 3, more than f = 2"));
    let three = warnings(&genesis_with(&[("a", 2), ("b", 2), ("c", 2)]));
    let heavy = three.iter().filter(|w| w.contains("has power 2, more than f = 1")).count();
    assert_eq!((three.len(), heavy), (3, 3), "{three:?}");
    let mut single = genesis();
    single.organizations[2].nodes.remove(1);
    let single = warnings(&single);
    assert_eq!(single.len(), 1);
    assert!(single[0].contains("c has no standby"));
    let heavy = warnings(&genesis_with(&[("a", 2), ("b", 1), ("c", 1), ("d", 1)]));
    assert_eq!(heavy.len(), 1);
    assert!(heavy[0].contains("seat of a has power 2, more than f = 1"));
    assert!(warnings(&genesis_with(&[("a", 2), ("b", 2), ("c", 2), ("d", 1)])).is_empty());
}

#[test]
fn json_comes_back_and_unknown_or_missing_fields_are_refused() {
    let genesis = genesis();
    let json = genesis.to_json();
    assert_eq!(Genesis::from_json(&json), Ok(genesis.clone()));
    assert!(json.contains("\"genesis_time\": \"2023-11-14T22:13:20Z\""), "{json}");
    assert!(json.contains("\"role\": \"standby\""));

    // Power, addresses and users have defaults; the hash is of the values, not of the text.
    let short = json.replace("\"power\": 1,", "").split_whitespace().collect::<String>();
    assert_eq!(Genesis::from_json(&short).unwrap().hash(), genesis.hash());
    // So has the policy, as a whole and each of its thresholds.
    let (before, rest) = short.split_once("\"policy\":{").unwrap();
    let (policy, after) = rest.split_once("},").unwrap();
    assert!(policy.starts_with("\"add\":\"more-than-half\","), "{policy}");
    for policy in ["", "\"policy\":{},", "\"policy\":{\"add\":\"more-than-half\"},"] {
        let other = format!("{before}{policy}{after}");
        assert_eq!(Genesis::from_json(&other).unwrap().hash(), genesis.hash(), "{policy}");
    }
    for policy in ["{\"add\":\"half\"}", "{\"sub\":\"all\"}", "\"all\""] {
        let bad = format!("{before}\"policy\":{policy},{after}");
        assert!(Genesis::from_json(&bad).is_err(), "{policy}");
    }
    let mut lax = genesis.clone();
    lax.policy.power = Threshold::All;
    let faults = lax.validate().unwrap_err().to_string();
    assert!(faults.contains("threshold for power is all, above that for policy"), "{faults}");

    for (from, to) in [
        ("\"power\": 1,", "\"power\": 1, \"weight\": 2,"),
        ("\"chain_id\"", "\"chain\""),
        ("\"chain_id\": \"test-1\"", "\"chain_id\": \"te st\""),
        ("\"role\": \"standby\"", "\"role\": \"Standby\""),
        ("\"name\": \"a\"", "\"name\": \"A\""),
        ("\"power\": 1", "\"power\": -1"),
        ("\"power\": 1", "\"power\": 1.5"),
        ("2023-11-14T22:13:20Z", "2023-11-14 22:13:20"),
        ("2023-11-14T22:13:20Z", "1969-12-31T23:59:59Z"),
        ("2023-11-14T22:13:20Z", "3000-01-01T00:00:00Z"),
        ("\"idle_block_interval_ms\"", "\"idle_block_interval\""),
        ("\"admin_key\": \"", "\"admin_key\": \"0"),
    ] {
        let bad = json.replacen(from, to, 1);
        assert_ne!(bad, json, "{from}");
        assert!(matches!(Genesis::from_json(&bad), Err(Error::Genesis { .. })), "{from} -> {to}");
    }
    assert!(matches!(Genesis::from_json(""), Err(Error::Genesis { .. })));
    assert!(matches!(Genesis::from_json(&(json + "x")), Err(Error::Genesis { .. })));
}

#[test]
fn the_hash_covers_everything() {
    type Change = fn(&mut Genesis);
    let changes: [Change; 9] = [
        |g| g.chain_id = "test-2".parse().unwrap(),
        |g| g.genesis_time = Timestamp(g.genesis_time.0 + 1),
        |g| g.parameters.failover_blocks += 1,
        |g| g.policy.remove = Threshold::AnyOne,
        |g| g.organizations[0].power = Power(2),
        |g| g.organizations[0].admin_key = key("x"),
        |g| g.organizations[0].nodes[0].role = GenesisRole::Observer,
        |g| g.organizations[0].users.clear(),
        |g| g.organizations.swap(0, 1),
    ];
    let mut hashes = BTreeSet::from([genesis().hash()]);
    for change in changes {
        let mut genesis = genesis();
        change(&mut genesis);
        hashes.insert(genesis.hash());
    }
    assert_eq!(hashes.len(), 10);
}

#[test]
fn the_first_state_is_what_genesis_says() {
    let genesis = genesis();
    let mut store = MemoryStore::default();
    store.apply(&Ledger::<MemoryStore>::genesis(&genesis));
    let ledger = Ledger::open(store, &genesis).unwrap();
    let tip = ledger.tip();
    assert_eq!(tip.height.0, 0);
    assert_eq!((tip.block, &tip.alive), (None, &None));
    assert_eq!((tip.time, tip.results_hash), (genesis.genesis_time, Hash::EMPTY));
    assert_eq!(*tip.table, genesis.role_table());
    assert_eq!((&tip.next_table, &tip.next_next_table), (&tip.table, &tip.table));
    assert_eq!(tip.register.nodes.len(), 12);
    assert_eq!(*tip.parameters, genesis.parameters);
    assert_ne!(tip.app_hash, Hash([0; 32]));
}

#[test]
#[should_panic(expected = "a genesis is validated")]
fn a_genesis_with_faults_makes_no_state() {
    let mut genesis = genesis();
    genesis.organizations.clear();
    let _ = Ledger::<MemoryStore>::genesis(&genesis);
}
