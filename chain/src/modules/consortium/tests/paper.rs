//! Every change on paper: numbers, warnings, and what the ledger refuses with them.

use std::collections::BTreeMap;

use super::motions::{ALL, add, is_carried, power, remove_org, restore, suspend, with_policy};
use crate::ledger::tests::kit::*;
use crate::modules::consortium::weigh::{Member, Sheet, weigh};
use crate::modules::consortium::{Change, Policy, Threshold, try_change};
use crate::modules::parameters::Parameters;
use crate::types::Power;

/// Members `a`, `b` and so on with a power each; a dead one's stands as its negative.
fn sheet(powers: &[i64]) -> Sheet {
    let members = powers.iter().zip('a'..).map(|(power, letter)| {
        let member = Member {
            power: Power(power.unsigned_abs()),
            holder: Some(key(&format!("{letter}1"))),
            is_live: *power > 0,
            is_voter: true,
        };
        (org(&letter.to_string()), member)
    });
    Sheet(members.collect::<BTreeMap<_, _>>())
}

#[test]
fn changes_are_weighed_with_their_numbers() {
    let key_of = |name: &str| Change::ReplaceAdminKey { name: org(name), key: key("x") };
    let table: [(&[i64], Change, &str, bool, bool); 20] = [
        // The issue's own example.
        (&[1, 1, 1, 1], add("e"), "seats 4 -> 5, quorum 3 -> 4, online after this 4", false, false),
        (
            &[1, 1, 1, -1],
            add("e"),
            "seats 4 -> 5, quorum 3 -> 4, online after this 3",
            false,
            false,
        ),
        (&[1], add("b"), "seats 1 -> 2, quorum 1 -> 2, online after this 1", false, false),
        (
            &[1, 1, 1, 1],
            remove_org("d"),
            "seats 4 -> 3, quorum 3 -> 3, online after this 3",
            false,
            false,
        ),
        (
            &[1, 1, 1, -1],
            remove_org("d"),
            "seats 4 -> 3, quorum 3 -> 3, online after this 3",
            false,
            false,
        ),
        (
            &[1, 1, 1, -1],
            remove_org("a"),
            "seats 4 -> 3, quorum 3 -> 3, online after this 2",
            true,
            false,
        ),
        (
            &[1, 1, 1, 1, -1],
            remove_org("a"),
            "seats 5 -> 4, quorum 4 -> 3, online after this 3",
            false,
            false,
        ),
        (
            &[1, 1, 1, 1, 1, -1, -1],
            suspend("a"),
            "seats 7 -> 6, quorum 5 -> 5, online after this 4",
            true,
            false,
        ),
        (
            &[1, 1, 1, 1, 1, -1, -1],
            suspend("f"),
            "seats 7 -> 6, quorum 5 -> 5, online after this 5",
            false,
            false,
        ),
        (
            &[1, 1],
            remove_org("b"),
            "seats 2 -> 1, quorum 2 -> 1, online after this 1",
            false,
            false,
        ),
        (
            &[1, -1],
            remove_org("a"),
            "seats 2 -> 1, quorum 2 -> 1, online after this 0",
            true,
            false,
        ),
        (&[1], remove_org("a"), "seats 1 -> 0, quorum 1 -> 1, online after this 0", true, true),
        (&[1], suspend("a"), "seats 1 -> 0, quorum 1 -> 1, online after this 0", true, true),
        (
            &[1, 1, 1, 1],
            power("a", 2),
            "seats 4 -> 4, quorum 3 -> 4, online after this 5",
            false,
            false,
        ),
        (
            &[1, 1, 1, -1],
            power("d", 2),
            "seats 4 -> 4, quorum 3 -> 4, online after this 3",
            true,
            false,
        ),
        (
            &[3, 1, 1, -1],
            power("a", 1),
            "seats 4 -> 4, quorum 5 -> 3, online after this 3",
            false,
            false,
        ),
        (
            &[-3, 1, 1, 1],
            power("a", 1),
            "seats 4 -> 4, quorum 5 -> 3, online after this 3",
            false,
            false,
        ),
        (
            &[1, 1, -1, -1],
            key_of("a"),
            "seats 4 -> 4, quorum 3 -> 3, online after this 2",
            false,
            false,
        ),
        (
            &[1, 1, -1, -1],
            Change::SetPolicy(Policy::default()),
            "seats 4 -> 4, quorum 3 -> 3, online after this 2",
            false,
            false,
        ),
        (
            &[1, 1, -1, -1],
            Change::SetParameters(Parameters::lan()),
            "seats 4 -> 4, quorum 3 -> 3, online after this 2",
            false,
            false,
        ),
    ];
    for (powers, change, line, is_unsafe, is_impossible) in table {
        let name = format!("{change:?} of {powers:?}");
        let weighed = weigh(&sheet(powers), &change);
        assert_eq!(weighed.to_string(), line, "{name}");
        assert_eq!(weighed.unsafe_because.is_some(), is_unsafe, "{name}: {weighed:?}");
        assert_eq!(weighed.impossible_because.is_some(), is_impossible, "{name}");
        assert_eq!(weighed.refusal(false).is_some(), is_unsafe || is_impossible);
        assert_eq!(weighed.refusal(true).is_some(), is_impossible, "{name}");
        if is_unsafe {
            assert!(weighed.unsafe_because.unwrap().starts_with(line), "the numbers are told");
        }
    }
}

#[test]
fn what_is_allowed_and_should_be_known_is_a_warning() {
    let warnings = |powers: &[i64], change: &Change| weigh(&sheet(powers), change).warnings;
    // Of six all but one are more than the quorum of five with the seventh, of four they are as many.
    assert_eq!(warnings(&[1; 6], &add("g")), [""; 0]);
    let tight = warnings(&[1; 4], &add("e"));
    assert!(tight.len() == 1 && tight[0].contains("until the node of e is alive, the chain stops"));
    let policy = Policy { policy: Threshold::All, ..Policy::default() };
    let around = warnings(&[1; 4], &Change::SetPolicy(policy));
    assert!(around.len() == 4 && around[0].contains("threshold for add is more-than-half, below"));
    let few = warnings(&[1, 1, 1, 1], &remove_org("a"));
    assert!(few.len() == 1 && few[0].contains("3 seat(s) with power 3 together, so f = 0"));
    let heavy = warnings(&[1, 1, 1, 1], &power("b", 2));
    assert!(heavy.len() == 1 && heavy[0].contains("seat of b has power 2, more than f = 1"));
    let waits = warnings(&[1], &add("b"));
    assert!(waits[1].contains("the seat of b stays left out until its node is alive: the 1"));
}

#[test]
fn the_ledger_refuses_what_would_stop_it_unless_it_is_forced_by_the_highest_threshold() {
    let policy = Policy { remove: Threshold::AnyOne, policy: Threshold::All, ..Policy::default() };
    let mut chain = with_policy(policy);
    chain.run_many(3, &dead(&["d1"]));
    let reason = "seats 4 -> 3, quorum 3 -> 3, online after this 2: fewer than a quorum";
    for change in [remove_org("a"), suspend("a"), power("d", 2)] {
        let tx = chain.tx("a-admin", propose(change));
        let receipt = chain.run(&dead(&["d1"]).tx(tx)).receipts[1].clone();
        assert_eq!(receipt.code, 17);
        assert!(receipt.log.contains("fewer than a quorum, so the chain would stop"));
    }
    let tx = chain.tx("a-admin", propose(remove_org("a")));
    let receipt = chain.run(&dead(&["d1"]).tx(tx)).receipts[1].clone();
    assert!(receipt.log.contains(reason), "{}", receipt.log);
    // Any one may remove, but not by force: all others are needed, the one it is about is not.
    let mut next = dead(&["d1"]).tx(chain.tx("b-admin", motion(remove_org("a"), true)));
    for admin in ["c-admin", "d-admin"] {
        next = next.tx(chain.tx(admin, vote(1)));
    }
    let receipts = chain.run(&next).receipts;
    assert!(!is_carried(&receipts[2]) && is_carried(&receipts[3]));
    assert_eq!(chain.holders(), "-/1 b1/0 c1/0 d1/0");
    assert!(is_carried(&chain.send("b-admin", propose(remove_org("d")))), "this one is no harm");
}

#[test]
fn the_last_seat_and_the_last_member_stay_whatever_is_forced() {
    let mut chain = Chain::with(genesis_with(&[("a", 1)]));
    for change in [remove_org("a"), suspend("a")] {
        let receipt = chain.send("a-admin", motion(change, true));
        assert_eq!(receipt.code, 17);
        assert!(receipt.log.contains("no organisation with a vote would be left"), "{receipt:?}");
    }
    // One that has joined and has no node yet has a vote, and no seat that could go on.
    assert!(chain.send("a-admin", propose(add("e"))).is_ok());
    let receipt = chain.send("a-admin", motion(remove_org("a"), true));
    let reason = "seats 1 -> 0, quorum 1 -> 1, online after this 0: no seat would be left";
    assert!(receipt.code == 17 && receipt.log.contains(reason), "{receipt:?}");
}

#[test]
fn what_is_voted_for_is_tried_again_before_it_is_done() {
    let mut chain = Chain::new();
    chain.run_many(2, &Next::default());
    for (admin, call) in [("a-admin", propose(remove_org("d"))), ("b-admin", vote(1))] {
        assert!(chain.send(admin, call).is_ok());
    }
    // Meanwhile another's node has died: the vote fails, and is taken when it is back.
    let tx = chain.tx("c-admin", vote(1));
    let receipt = chain.run(&dead(&["c1"]).tx(tx)).receipts[1].clone();
    assert_eq!(receipt.code, 17);
    assert!(receipt.log.contains("seats 4 -> 3, quorum 3 -> 3, online after this 2"));
    assert!(is_carried(&chain.send("c-admin", vote(1))));
    assert_eq!(chain.holders(), "a1/0 b1/0 c1/0 -/1");
}

#[test]
fn changes_are_tried_without_a_transaction() {
    let mut chain = Chain::new();
    let tried = |chain: &Chain, change| try_change(chain.store(), &change).map(|w| w.to_string());
    let line = "seats 4 -> 5, quorum 3 -> 4, online after this 4";
    assert_eq!(tried(&chain, add("e")), Ok(line.to_owned()), "no record yet: all are alive");
    chain.run_many(2, &dead(&["b1"]));
    let line = "seats 4 -> 5, quorum 3 -> 4, online after this 3";
    assert_eq!(tried(&chain, add("e")), Ok(line.to_owned()));
    assert_eq!(tried(&chain, add("a")).unwrap_err().code(), 11);
    assert_eq!(tried(&chain, restore("a")).unwrap_err().code(), 17);
    let weighed = try_change(chain.store(), &suspend("a")).unwrap();
    assert_eq!(weighed.before.live, ["a", "c", "d"].map(org));
    assert_eq!(weighed.after.live, ["c", "d"].map(org));
    assert!(weighed.refusal(false).is_some());
    let receipt = chain.carry(add("e"), &ALL[..3], dead(&["b1"]));
    assert!(is_carried(&receipt[2]));
}
