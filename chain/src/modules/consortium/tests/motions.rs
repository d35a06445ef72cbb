//! Who may move and vote, how votes are counted, and what becomes of motions.

use std::time::Duration;

use crate::codec;
use crate::keys::PublicKey;
use crate::ledger::Receipt;
use crate::ledger::tests::kit::*;
use crate::limits::{
    MAX_MOTION_HISTORY, MAX_MOTION_LIFE, MAX_OPEN_MOTIONS_PER_ORG, MIN_MOTION_LIFE,
};
use crate::modules::Call;
use crate::modules::consortium::{
    self, Change, Decision, MotionStatus, Outcome, Policy, Threshold, motion, motions, policy,
    registration_proof,
};
use crate::modules::parameters::{self, Parameters};
use crate::types::{Height, Power, Timestamp};

pub(super) const ALL: [&str; 4] = ["a-admin", "b-admin", "c-admin", "d-admin"];

pub(super) fn add(name: &str) -> Change {
    let admin_key = key(&format!("{name}-admin"));
    Change::AddOrg { name: org(name), admin_key, power: Power(1) }
}

pub(super) fn suspend(name: &str) -> Change {
    Change::SuspendOrg { name: org(name) }
}

pub(super) fn restore(name: &str) -> Change {
    Change::RestoreOrg { name: org(name) }
}

pub(super) fn remove_org(name: &str) -> Change {
    Change::RemoveOrg { name: org(name) }
}

pub(super) fn power(name: &str, power: u64) -> Change {
    Change::SetPower { name: org(name), power: Power(power) }
}

fn parameters(failover_blocks: u64) -> Change {
    Change::SetParameters(Parameters { failover_blocks, ..Parameters::lan() })
}

fn proposed(change: Change, force: bool, expires: Timestamp) -> Call {
    Call::Consortium(consortium::Call::Propose { change, force, expires })
}

pub(super) fn decision(receipt: &Receipt) -> Decision {
    assert!(receipt.is_ok(), "{receipt:?}");
    codec::decode("decision", &receipt.data, 100).unwrap()
}

/// Whether the motion was carried with this receipt.
pub(super) fn is_carried(receipt: &Receipt) -> bool {
    decision(receipt).effective.is_some()
}

pub(super) fn with_policy(policy: Policy) -> Chain {
    Chain::with(crate::genesis::Genesis { policy, ..genesis() })
}

#[test]
fn a_motion_is_carried_in_the_block_in_which_the_threshold_is_reached() {
    for (threshold, votes) in Threshold::ALL.into_iter().zip([1, 3, 3, 4]) {
        let mut chain = with_policy(Policy::uniform(threshold));
        chain.run(&Next::default());
        for (i, admin) in ALL.iter().enumerate().take(votes) {
            assert_eq!(chain.ledger.tip().parameters.failover_blocks, 10);
            let call = if i == 0 { propose(parameters(20)) } else { vote(1) };
            let receipt = chain.send(admin, call);
            let expected = (i + 1 == votes).then(|| Height(chain.height() + 1));
            assert_eq!(decision(&receipt), Decision { motion: 1, effective: expected });
            let view = motion(chain.store(), 1).unwrap().unwrap();
            assert_eq!((view.tally.votes, view.tally.needed), (i as u64 + 1, votes as u64));
        }
        assert_eq!(chain.ledger.tip().parameters.failover_blocks, 20, "{threshold}");
        assert_eq!(parameters::current(chain.store()).unwrap().failover_blocks, 20);
        let height = Height(chain.height());
        let outcome = Outcome::Carried { height, effective: height.next() };
        let view = motion(chain.store(), 1).unwrap().unwrap();
        assert_eq!((view.status, view.motion.outcome), (MotionStatus::Carried, Some(outcome)));
        let late = chain.send("d-admin", vote(1));
        assert!(late.code == 17 && late.log.contains("motion 1 was carried in block"), "{late:?}");
    }
}

#[test]
fn who_may_not_move_or_vote_is_refused() {
    let mut chain = Chain::new();
    let started = Parameters { idle_block_interval_ms: 0, ..Parameters::lan() };
    let bad_policy = Policy { power: Threshold::All, ..Policy::default() };
    let mut weak = [0; 32];
    weak[0] = 1;
    let weak_key = Change::ReplaceAdminKey { name: org("b"), key: PublicKey(weak) };
    let new = |name: &str, key: PublicKey, power: u64| Change::AddOrg {
        name: org(name),
        admin_key: key,
        power: Power(power),
    };
    let after = |life: Duration| GENESIS_TIME.plus(life);
    let too_late = after(MAX_MOTION_LIFE + Duration::from_secs(3_600));
    let cases = [
        ("by a node", "a1", propose(add("e")), 12, "admin key"),
        ("by a user", "a-user", propose(add("e")), 12, "admin key"),
        ("by a stranger", "stranger", propose(add("e")), 7, "no registered key"),
        ("one that is there", "a-admin", propose(add("b")), 11, "organisation b exists"),
        ("with a key that is used", "a-admin", propose(new("e", key("b1"), 1)), 11, "a node of b"),
        ("with a weak key", "a-admin", propose(new("e", PublicKey(weak), 1)), 18, "small order"),
        ("without power", "a-admin", propose(new("e", key("x"), 0)), 17, "would be 0"),
        (
            "with too much power",
            "a-admin",
            propose(new("e", key("x"), 1 << 40)),
            17,
            "total power would be 1099511627780, at most 1099511627776",
        ),
        ("remove a stranger", "a-admin", propose(remove_org("x")), 10, "x does not exist"),
        ("suspend a stranger", "a-admin", propose(suspend("x")), 10, "x does not exist"),
        ("restore a member", "a-admin", propose(restore("b")), 17, "b is not suspended"),
        ("power of a stranger", "a-admin", propose(power("x", 2)), 10, "x does not exist"),
        ("the same power", "a-admin", propose(power("b", 1)), 17, "the power of b is 1 already"),
        ("a weak admin key", "a-admin", propose(weak_key), 18, "small order"),
        ("bad parameters", "a-admin", propose(Change::SetParameters(started)), 16, "idle_block"),
        ("a bad policy", "a-admin", propose(Change::SetPolicy(bad_policy)), 17, "power is all"),
        (
            "too soon",
            "a-admin",
            proposed(parameters(9), false, after(MIN_MOTION_LIFE)),
            17,
            "can expire at",
        ),
        ("too late", "a-admin", proposed(parameters(9), false, too_late), 17, "can expire at"),
        ("vote for nothing", "a-admin", vote(7), 10, "motion 7 does not exist"),
        ("vote by a node", "a1", vote(1), 12, "admin key"),
        ("vote by a user", "a-user", vote(1), 12, "admin key"),
        ("vote by a stranger", "stranger", vote(1), 7, "no registered key"),
    ];
    for (name, sender, call, code, says) in cases {
        let receipt = chain.send(sender, call);
        assert_eq!(receipt.code, code, "{name}: {receipt:?}");
        assert!(receipt.log.contains(says), "{name}: {}", receipt.log);
    }
    assert_eq!(motions(chain.store(), false, None, 10).unwrap(), []);
}

#[test]
fn each_organisation_votes_once() {
    let mut chain = Chain::new();
    assert!(chain.send("a-admin", propose(parameters(20))).is_ok());
    for (sender, code) in [("a-admin", 11), ("b-admin", 0), ("b-admin", 11)] {
        let receipt = chain.send(sender, vote(1));
        assert_eq!(receipt.code, code, "{sender}");
        assert_eq!(receipt.log.contains("for motion 1 exists already"), code != 0);
    }
    let view = motion(chain.store(), 1).unwrap().unwrap();
    assert_eq!((view.tally.votes, view.status), (2, MotionStatus::Open));
    assert_eq!(chain.ledger.tip().parameters.failover_blocks, 10);
}

#[test]
fn a_motion_can_be_voted_on_up_to_the_height_at_which_it_expires() {
    let mut chain = Chain::new();
    chain.is_checked = false;
    for (wait, code) in [(0, 0), (1, 17)] {
        let expires = chain.time().plus(MIN_MOTION_LIFE + Duration::from_millis(600));
        let number =
            decision(&chain.send("a-admin", proposed(parameters(20 + wait), false, expires)))
                .motion;
        assert!(chain.send("b-admin", vote(number)).is_ok());
        // The vote's block is the 106th after the time of the one before the motion.
        chain.run_many(103 + wait, &Next::default());
        assert_eq!(chain.time().plus(Duration::from_millis(100 - 100 * wait)), expires);
        let receipt = chain.send("c-admin", vote(number));
        assert_eq!(receipt.code, code, "{receipt:?}");
        if code != 0 {
            assert!(receipt.log.contains(&format!("expired at {}", expires.to_rfc3339())));
            let view = motion(chain.store(), number).unwrap().unwrap();
            assert_eq!(view.status, MotionStatus::Expired);
            assert_eq!(motions(chain.store(), true, None, 10).unwrap(), []);
        }
    }
}

#[test]
fn open_motions_of_an_organisation_are_bounded_and_expired_ones_make_room() {
    let mut chain = Chain::new();
    chain.is_checked = false;
    let expires = chain.time().plus(MIN_MOTION_LIFE + Duration::from_secs(2));
    for blocks in 0..MAX_OPEN_MOTIONS_PER_ORG as u64 {
        let call = proposed(parameters(50 + blocks), false, expires);
        assert!(chain.send("a-admin", call).is_ok());
    }
    assert_eq!(chain.send("a-admin", propose(parameters(90))).code, 19);
    assert!(chain.send("b-admin", propose(parameters(90))).is_ok(), "another has its own");
    assert_eq!(motions(chain.store(), true, None, 100).unwrap().len(), 9);
    chain.run(&Next::default().after_ms(12_000));
    assert!(chain.send("a-admin", propose(parameters(91))).is_ok());
    let open = motions(chain.store(), true, None, 100).unwrap();
    assert_eq!(open.iter().map(|view| view.number).collect::<Vec<_>>(), [10, 9]);
    let all = motions(chain.store(), false, Some(10), 3).unwrap();
    assert_eq!(all.iter().map(|view| view.number).collect::<Vec<_>>(), [9, 8, 7]);
    // Carried ones make room at once, and so do those that they close.
    for admin in ["b-admin", "c-admin"] {
        assert!(chain.send(admin, vote(10)).is_ok());
    }
    assert_eq!(motions(chain.store(), true, None, 100).unwrap(), []);
}

#[test]
fn closed_motions_are_forgotten_after_many_others() {
    let mut chain = with_policy(Policy::uniform(Threshold::AnyOne));
    chain.is_checked = false;
    let mut next = Next::default();
    for blocks in 1..=MAX_MOTION_HISTORY + 3 {
        next = next.tx(chain.tx("a-admin", propose(parameters(blocks))));
    }
    assert!(chain.run(&next).receipts.iter().all(Receipt::is_ok));
    let all = motions(chain.store(), false, None, 1_000).unwrap();
    assert_eq!((all.len(), all[0].number, all[999].number), (1_000, 1_003, 4));
    assert_eq!(motion(chain.store(), 3).unwrap(), None);
    assert_eq!(chain.send("a-admin", vote(3)).code, 10);
    chain.is_checked = true;
    chain.run(&Next::default());
}

#[test]
fn the_policy_of_the_moment_counts_votes() {
    let mut chain = Chain::new();
    assert!(chain.send("a-admin", propose(parameters(20))).is_ok());
    assert!(chain.send("b-admin", vote(1)).is_ok());
    // Two of four were one too few; now all are needed.
    let all = Policy::uniform(Threshold::All);
    let receipts = chain.carry(Change::SetPolicy(all.clone()), &ALL[..3], Next::default());
    assert!(is_carried(&receipts[2]));
    assert_eq!(policy(chain.store()).unwrap(), all);
    assert!(!is_carried(&chain.send("c-admin", vote(1))));
    let tally = motion(chain.store(), 1).unwrap().unwrap().tally;
    assert_eq!((tally.votes, tally.needed, tally.members), (3, 4, 4));
    // And any one: the next vote is enough, though the motion was made before.
    let any = Policy::uniform(Threshold::AnyOne);
    assert!(is_carried(&chain.carry(Change::SetPolicy(any), &ALL, Next::default())[3]));
    assert!(is_carried(&chain.send("d-admin", vote(1))));
    assert_eq!(chain.ledger.tip().parameters.failover_blocks, 20);
}

#[test]
fn votes_that_have_come_to_be_enough_are_given_once_more() {
    let mut chain = Chain::new();
    chain.run_many(2, &Next::default());
    assert!(chain.send("a-admin", propose(parameters(20))).is_ok());
    assert!(chain.send("b-admin", vote(1)).is_ok());
    assert_eq!(chain.send("b-admin", vote(1)).code, 11, "two of three that it takes");
    assert!(is_carried(&chain.carry(suspend("d"), &ALL[..3], Next::default())[2]));
    let tally = motion(chain.store(), 1).unwrap().unwrap().tally;
    assert_eq!((tally.votes, tally.needed), (2, 2));
    assert!(is_carried(&chain.send("a-admin", vote(1))));
    assert_eq!(chain.ledger.tip().parameters.failover_blocks, 20);
}

#[test]
fn what_would_undo_parameters_or_a_policy_that_were_set_since_is_dropped() {
    let policy = |add| Change::SetPolicy(Policy { add, ..Policy::default() });
    for (older, newer, other) in [
        (parameters(20), parameters(30), policy(Threshold::AnyOne)),
        (policy(Threshold::AnyOne), Change::SetPolicy(Policy::uniform(Threshold::All)), add("e")),
    ] {
        let mut chain = Chain::new();
        for change in [older, other] {
            assert!(chain.send("a-admin", propose(change)).is_ok());
        }
        assert!(is_carried(&chain.carry(newer, &ALL, Next::default())[2]));
        let status = |number| motion(chain.store(), number).unwrap().unwrap().status;
        assert_eq!(
            [1, 2, 3].map(status),
            [MotionStatus::Dropped, MotionStatus::Open, MotionStatus::Carried]
        );
        let receipt = chain.send("b-admin", vote(1));
        assert!(receipt.code == 17 && receipt.log.contains("was dropped in block"), "{receipt:?}");
    }
}

#[test]
fn a_new_seat_with_more_power_than_one_takes_the_threshold_of_powers_too() {
    let policy = Policy { add: Threshold::AnyOne, ..Policy::uniform(Threshold::All) };
    for (power, carried) in [(1, true), (2, false)] {
        let mut chain = with_policy(policy.clone());
        let (name, admin_key) = (org("e"), key("e-admin"));
        let change = Change::AddOrg { name, admin_key, power: Power(power) };
        assert_eq!(is_carried(&chain.send("a-admin", propose(change))), carried, "{power}");
    }
}

#[test]
fn a_suspended_organisation_has_no_vote_and_its_old_one_does_not_count() {
    let mut chain = Chain::new();
    chain.run_many(2, &Next::default());
    assert!(chain.send("d-admin", propose(parameters(20))).is_ok());
    assert!(is_carried(&chain.carry(suspend("d"), &ALL[..3], Next::default())[2]));
    let receipt = chain.send("d-admin", vote(2));
    assert_eq!(receipt.code, 9, "{receipt:?}");
    assert!(receipt.log.contains("organisation d is suspended"));
    // Of three members more than half are two: d's own vote is none of them.
    assert!(!is_carried(&chain.send("a-admin", vote(1))));
    assert!(is_carried(&chain.send("b-admin", vote(1))));
    // Restored, it votes again.
    assert!(is_carried(&chain.carry(restore("d"), &ALL[..2], Next::default())[1]));
    assert!(chain.send("d-admin", propose(parameters(30))).is_ok());
}

#[test]
fn an_admin_key_is_replaced_by_its_organisation_or_by_the_others() {
    let set = |new: &str, proof_of: &str, name: &str| {
        let proof = registration_proof(&genesis().chain_id, &org(name), &secret(proof_of));
        Call::Consortium(consortium::Call::SetAdminKey { key: key(new), proof })
    };
    let mut chain = Chain::new();
    assert_eq!(chain.send("b1", set("b-new", "b-new", "b")).code, 12, "by a node");
    assert_eq!(chain.send("b-admin", set("b-new", "x", "b")).code, 2, "a key of another");
    assert_eq!(chain.send("b-admin", set("b-new", "b-new", "a")).code, 2, "for another");
    assert_eq!(chain.send("b-admin", set("b1", "b1", "b")).code, 11, "a key with a role");
    let receipt = chain.send("b-admin", set("b-new", "b-new", "b"));
    assert_eq!(number(&receipt.data), chain.height() + 1);
    let role = |chain: &Chain, name: &str| consortium::key(chain.store(), &key(name)).unwrap();
    assert_eq!(role(&chain, "b-admin"), None);
    assert_eq!(role(&chain, "b-new").unwrap().role, consortium::KeyRole::Admin);
    assert_eq!(chain.send("b-admin", propose(parameters(20))).code, 7, "the old key is useless");
    assert!(chain.send("b-new", propose(parameters(20))).is_ok());
    // The others give it one when it has lost it; three of four, which may be without it.
    assert!(chain.send("c-admin", propose(add("e"))).is_ok());
    assert!(chain.send("b-new", vote(2)).is_ok());
    let lost = Change::ReplaceAdminKey { name: org("b"), key: key("b-third") };
    let receipts = chain.carry(lost, &["a-admin", "c-admin", "d-admin"], Next::default());
    assert!(!is_carried(&receipts[1]) && is_carried(&receipts[2]));
    assert_eq!(chain.send("b-new", vote(1)).code, 7);
    // What the lost key moved and voted for is not its organisation's any more.
    let view = motion(chain.store(), 1).unwrap().unwrap();
    assert_eq!((view.status, chain.send("b-third", vote(1)).code), (MotionStatus::Dropped, 17));
    let view = motion(chain.store(), 2).unwrap().unwrap();
    assert_eq!((view.status, view.motion.votes.len()), (MotionStatus::Open, 1));
    assert!(!is_carried(&chain.send("b-third", vote(2))));
    // One alone never takes another's.
    let mut two = Chain::with(genesis_with(&[("a", 1), ("b", 1)]));
    let theft = Change::ReplaceAdminKey { name: org("b"), key: key("a-second") };
    assert!(!is_carried(&two.send("a-admin", propose(theft))));
}
