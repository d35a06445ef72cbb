//! Organisations that join, are suspended, restored and removed: their seats, nodes and keys.

use super::motions::{ALL, add, decision, is_carried, power, remove_org, restore, suspend};
use crate::ledger::may_send;
use crate::ledger::tests::kit::*;
use crate::modules::consortium::{
    self, Change, KeyRole, MotionStatus, UserRole, motion, organization,
};
use crate::modules::standby::{Reason, history};
use crate::store::{Column, Store};
use crate::types::Height;

pub(super) fn started() -> Chain {
    let mut chain = Chain::new();
    chain.run_many(3, &Next::default());
    chain
}

/// Carries a change by as many of a, b and c as it takes.
pub(super) fn done(chain: &mut Chain, change: Change) -> Height {
    let receipts = chain.carry(change, &ALL[..3], Next::default());
    let mut good = receipts.iter().filter(|receipt| receipt.is_ok());
    good.find_map(|receipt| decision(receipt).effective).expect("it is carried")
}

fn is_registered(chain: &Chain, node: &str) -> bool {
    chain.ledger.tip().register.nodes.contains_key(&key(node))
}

fn role(chain: &Chain, name: &str) -> Option<KeyRole> {
    consortium::key(chain.store(), &key(name)).unwrap().map(|entry| entry.role)
}

#[test]
fn a_new_organisation_gets_its_seat_when_it_names_a_node() {
    let mut chain = started();
    assert_eq!(done(&mut chain, add("e")), Height(chain.height() + 1));
    assert_eq!(chain.holders(), "a1/0 b1/0 c1/0 d1/0 -/0");
    assert_eq!(chain.ledger.tip().next_next_table.seats().len(), 4);
    assert_eq!(may_send(chain.store(), &key("e-admin")), Ok(org("e")));
    // An observer names nobody; the first of the pair is given the seat.
    assert!(chain.send("e-admin", register("e", "e2", false)).is_ok());
    assert_eq!(chain.holders(), "a1/0 b1/0 c1/0 d1/0 -/0");
    let receipt = chain.send("e-admin", register("e", "e1", true));
    let effective = number(&receipt.data);
    assert_eq!(effective, chain.height() + 2);
    assert_eq!(chain.holders(), "a1/0 b1/0 c1/0 d1/0 e1/1");
    assert_eq!(chain.holder_at("e", effective - 1), None);
    assert_eq!(chain.holder_at("e", effective).unwrap(), "e1");
    assert_eq!(history(chain.store(), 0, 1).unwrap()[0].reason, Reason::Membership);
    // It has a vote at once: of five, three are more than half.
    assert!(chain.send("e-admin", propose(power("a", 2))).is_ok());
    assert!(is_carried(&{
        chain.send("b-admin", vote(2));
        chain.send("c-admin", vote(2))
    }));
    // A seat that came in this block is filled from the next on.
    let mut other = started();
    let mut next = Next::default();
    for (i, admin) in ALL[..3].iter().enumerate() {
        next = next.tx(other.tx(admin, if i == 0 { propose(add("e")) } else { vote(1) }));
    }
    let receipts = other.run(&next.tx(other.clone().tx("e-admin", register("e", "e1", true))));
    assert_eq!(receipts.receipts.last().map(|receipt| receipt.code), Some(15));
    // Its second node is its standby, which takes the seat like any other's.
    assert!(chain.send("e-admin", register("e", "e3", true)).is_ok());
    chain.run_many(14, &dead(&["e1"]));
    assert_eq!(chain.holders(), "a1/0 b1/0 c1/0 d1/0 e3/2");
}

#[test]
fn a_seat_that_could_stop_the_chain_waits_until_its_node_is_alive() {
    let mut chain = Chain::with(genesis_with(&[("a", 1)]));
    chain.run_many(2, &Next::default());
    assert!(is_carried(&chain.send("a-admin", propose(add("e")))));
    // Two seats are needed of two, and nobody has heard of e1 yet.
    assert!(chain.send("e-admin", register("e", "e1", true)).is_ok());
    assert_eq!(chain.holders(), "a1/0 -/0");
    chain.run_many(5, &dead(&["e1"]));
    assert_eq!(chain.holders(), "a1/0 -/0");
    chain.run(&Next::default());
    assert_eq!(chain.holders(), "a1/0 e1/1");
    assert_eq!(history(chain.store(), 0, 1).unwrap()[0].reason, Reason::Membership);
    // The third seat, too: without it two of three are just no quorum.
    let mut two = Chain::with(genesis_with(&[("a", 1), ("b", 1)]));
    two.run_many(2, &Next::default());
    two.carry(add("e"), &["a-admin", "b-admin"], Next::default());
    assert!(two.send("e-admin", register("e", "e1", true)).is_ok());
    assert_eq!(two.holders(), "a1/0 b1/0 -/0");
    // One that is alive as an observer takes the seat as soon as it is named.
    let both = ["a-admin", "e-admin"];
    assert!(is_carried(&chain.carry(add("f"), &both, Next::default())[1]));
    assert!(chain.send("f-admin", register("f", "f1", false)).is_ok());
    chain.run_many(2, &Next::default());
    assert!(chain.send("f-admin", set_partner("f1")).is_ok());
    assert_eq!(chain.holders(), "a1/0 e1/1 f1/1");
}

#[test]
fn a_removed_organisation_leaves_the_table_the_register_and_the_chain() {
    let mut chain = started();
    let effective = done(&mut chain, remove_org("d"));
    let height = chain.height();
    assert_eq!(effective.0, height + 2);
    assert_eq!(chain.holder_at("d", height + 1).unwrap(), "d1");
    assert_eq!(chain.holder_at("d", height + 2), None);
    // Its holder still signs for the next height, so the others still reach it; nobody else does.
    assert!(is_registered(&chain, "d1"));
    for name in ["d2", "d3"] {
        assert!(!is_registered(&chain, name), "{name}");
    }
    for name in ["d1", "d2", "d3", "d-admin", "d-user"] {
        assert_eq!(may_send(chain.store(), &key(name)).unwrap_err().code(), 7, "{name}");
        assert_eq!(chain.clone().send(name, create("x")).code, 7, "{name}");
    }
    assert_eq!(organization(chain.store(), &org("d")).unwrap(), None);
    // Its name and its holder's key are free a block later.
    assert_eq!(chain.clone().send("a-admin", propose(add("d"))).code, 0, "as the block ends");
    chain.run(&Next::default());
    assert!(!is_registered(&chain, "d1"));
    for name in ["d1", "d2", "d3", "d-admin", "d-user"] {
        assert_eq!(role(&chain, name), None, "{name}");
    }
    assert_eq!(chain.holders(), "a1/0 b1/0 c1/0");
    assert!(chain.send("a-admin", register("a", "d3", false)).is_ok());
    // A new organisation of that name: its seat's term goes on, its users are others.
    done(
        &mut chain,
        Change::AddOrg { name: org("d"), admin_key: key("e-admin"), power: crate::types::Power(1) },
    );
    assert_eq!(chain.holders(), "a1/0 b1/0 c1/0 -/1");
    assert!(chain.send("e-admin", register("d", "d1", true)).is_ok());
    assert_eq!(chain.holders(), "a1/0 b1/0 c1/0 d1/2");
    assert_eq!(role(&chain, "d-user"), None);
}

#[test]
fn each_seat_s_term_goes_on_by_itself_when_its_name_is_used_again() {
    let mut chain = started();
    assert!(chain.send("d-admin", switch("d", "d2", 0)).is_ok());
    // c leaves in term 1, d in term 2.
    for name in ["d", "c"] {
        done(&mut chain, remove_org(name));
        chain.run_many(2, &Next::default());
    }
    for name in ["c", "d"] {
        done(&mut chain, add(name));
    }
    assert_eq!(chain.holders(), "a1/0 b1/0 -/1 -/2");
    let remembered = |chain: &Chain| {
        chain.store().scan(Column::State, b"standby/past_term/", None, 9).unwrap().len()
    };
    assert_eq!(remembered(&chain), 0, "what was remembered is taken");
    done(&mut chain, remove_org("d"));
    assert_eq!(remembered(&chain), 1);
    done(&mut chain, add("d"));
    assert_eq!(chain.holders(), "a1/0 b1/0 -/1 -/2");
    // Nothing is remembered of a seat that nobody held.
    done(&mut chain, add("e"));
    done(&mut chain, remove_org("e"));
    assert_eq!(remembered(&chain), 0);
}

#[test]
fn a_name_that_owns_data_sets_is_not_used_again() {
    let mut chain = started();
    assert!(chain.send("d-user", create("x")).is_ok());
    done(&mut chain, remove_org("d"));
    chain.run(&Next::default());
    let receipt = chain.send("a-admin", propose(add("d")));
    assert_eq!(receipt.code, 17);
    assert!(receipt.log.contains("1 data set(s) are owned by an earlier organisation named d"));
}

#[test]
fn users_that_were_added_and_taken_back_in_the_block_of_a_removal_leave_nothing() {
    let mut chain = started();
    let new = add_user("d", "d-new", UserRole::Reader);
    let mut next = Next::default().tx(chain.tx("d-admin", new));
    next = next.tx(chain.tx("d-admin", remove_user("d-user")));
    for (i, admin) in ALL[..3].iter().enumerate() {
        let call = if i == 0 { propose(remove_org("d")) } else { vote(1) };
        next = next.tx(chain.tx(admin, call));
    }
    assert!(chain.run(&next).receipts.iter().all(crate::ledger::Receipt::is_ok));
    assert_eq!((role(&chain, "d-new"), role(&chain, "d-user")), (None, None));
    assert_eq!(consortium::users(chain.store(), &org("d"), None, 9).unwrap(), []);
}

#[test]
fn a_suspended_organisation_is_left_out_until_it_is_restored() {
    let mut chain = started();
    let effective = done(&mut chain, suspend("d"));
    assert_eq!(effective.0, chain.height() + 2);
    assert_eq!(chain.holders(), "a1/0 b1/0 c1/0 -/1");
    assert!(is_registered(&chain, "d1") && !is_registered(&chain, "d2"));
    chain.run(&Next::default());
    assert!(!is_registered(&chain, "d1"), "no role table to come names it");
    for name in ["d1", "d2", "d3", "d-admin", "d-user"] {
        assert_eq!(may_send(chain.store(), &key(name)).unwrap_err().code(), 9, "{name}");
        assert_eq!(chain.send(name, create("x")).code, 9, "{name}");
        // Nobody else gets its keys.
        assert_eq!(chain.send("a-admin", register("a", name, false)).code, 11, "{name}");
    }
    chain.run_many(3, &Next::default());
    assert_eq!(chain.holders(), "a1/0 b1/0 c1/0 -/1", "nothing fills it");
    assert!(chain.seat("d").never_automatic.unwrap().contains("suspended"));
    let entry = organization(chain.store(), &org("d")).unwrap().unwrap();
    assert!(entry.is_suspended && entry.pair.len() == 2 && entry.users == 1);

    assert_eq!(done(&mut chain, restore("d")), Height(chain.height() + 1));
    assert!(is_registered(&chain, "d1") && is_registered(&chain, "d2"));
    assert_eq!(chain.holders(), "a1/0 b1/0 c1/0 -/1");
    // The record of the next block has no bits for its nodes; then whoever is alive takes the seat.
    chain.run(&Next::default());
    assert_eq!(chain.holders(), "a1/0 b1/0 c1/0 -/1");
    chain.run(&dead(&["d1"]));
    assert_eq!(chain.holders(), "a1/0 b1/0 c1/0 d2/2");
    assert!(chain.send("d-user", create("x")).is_ok());
    let reasons: Vec<_> =
        history(chain.store(), 0, 2).unwrap().iter().map(|switch| switch.reason).collect();
    assert_eq!(reasons, [Reason::Membership; 2]);
}

#[test]
fn a_suspended_organisation_may_be_removed() {
    let mut chain = started();
    done(&mut chain, suspend("d"));
    assert_eq!(chain.send("a-admin", propose(suspend("d"))).code, 17);
    chain.run(&Next::default());
    done(&mut chain, remove_org("d"));
    assert_eq!(chain.holders(), "a1/0 b1/0 c1/0", "its seat was empty: it is gone at once");
    assert_eq!((role(&chain, "d1"), role(&chain, "d-admin")), (None, None));
    assert_eq!(chain.send("a-admin", propose(remove_org("d"))).code, 10);
}

#[test]
fn evidence_about_a_removed_or_suspended_holder_bars_its_key_for_ever() {
    for change in [remove_org("d"), suspend("d")] {
        for wait in [0, 1, 4] {
            let mut chain = started();
            let before = chain.height();
            done(&mut chain, change.clone());
            chain.run_many(wait, &Next::default());
            let evidence = chain.evidence("d1", before).unwrap();
            assert_eq!(chain.check(&Next::default().evidence(evidence.clone())), Ok(()));
            chain.run(&Next::default().evidence(evidence));
            assert_eq!(role(&chain, "d1"), Some(KeyRole::Barred), "{change:?}, {wait}");
            chain.run_many(2, &Next::default());
            assert!(!is_registered(&chain, "d1"));
            assert_eq!(chain.send("a-admin", register("a", "d1", false)).code, 17);
            let barred = Change::AddOrg {
                name: org("e"),
                admin_key: key("d1"),
                power: crate::types::Power(1),
            };
            assert_eq!(chain.send("a-admin", propose(barred)).code, 17);
            assert_eq!(
                chain.holders().split(' ').take(3).collect::<Vec<_>>(),
                ["a1/0", "b1/0", "c1/0"]
            );
        }
    }
}

#[test]
fn a_holder_that_is_removed_while_its_switch_runs_is_not_switched() {
    for change in [remove_org("a"), suspend("a")] {
        let mut chain = Chain::new();
        chain.run_many(9, &dead(&["a1"]));
        assert_eq!(chain.seat("a").run.count, 8);
        let admins = ["b-admin", "c-admin", "d-admin"];
        assert!(is_carried(&chain.carry(change.clone(), &admins, dead(&["a1"]))[2]));
        chain.run_many(5, &dead(&["a1"]));
        assert!(chain.holders().ends_with("b1/0 c1/0 d1/0"), "{}", chain.holders());
        assert_eq!(history(chain.store(), 0, 9).unwrap().len(), 1);
    }
    // In the block in which the run ends, what the members do goes first.
    let mut chain = Chain::with(genesis_with(&[("a", 2), ("b", 2), ("c", 2), ("d", 2)]));
    chain.run_many(10, &dead(&["a1"]));
    let admins = ["b-admin", "c-admin", "d-admin"];
    assert!(is_carried(&chain.carry(power("a", 1), &admins, dead(&["a1"]))[2]));
    assert_eq!(chain.holders(), "a1/0 b1/0 c1/0 d1/0");
    assert_eq!(chain.seat("a").run.count, 0, "its window starts anew");
}

#[test]
fn no_switch_of_its_own_keeps_an_organisation_from_being_closed() {
    for change in [suspend("d"), remove_org("d")] {
        let mut chain = started();
        let mut next = Next::default().tx(chain.tx("a-admin", propose(change.clone())));
        next = next.tx(chain.tx("b-admin", vote(1)));
        next = next.tx(chain.tx("d-admin", switch("d", "d2", 0)));
        next = next.tx(chain.tx("c-admin", vote(1)));
        let receipts = chain.run(&next).receipts;
        assert_eq!(receipts[3].code, 0);
        assert!(is_carried(&receipts[4]), "{change:?}: {receipts:?}");
        assert_eq!(chain.holders(), "a1/0 b1/0 c1/0 -/2");
        // It is d1 that signs for the next height, and it alone of d stays for a block.
        assert!(chain.ledger.tip().next_table.by_key(&key("d1")).is_some());
        assert!(is_registered(&chain, "d1") && !is_registered(&chain, "d2"));
        chain.run(&Next::default());
        assert!(!is_registered(&chain, "d1"));
        assert!(chain.ledger.tip().next_table.by_key(&key("d1")).is_none());
    }
}

#[test]
fn a_member_that_is_suspended_and_removed_in_one_block_leaves_once() {
    let mut chain = started();
    let mut next = Next::default();
    for (number, change) in [(1, suspend("d")), (2, remove_org("d"))] {
        for (i, admin) in ALL[..3].iter().enumerate() {
            let call = if i == 0 { propose(change.clone()) } else { vote(number) };
            next = next.tx(chain.tx(admin, call));
        }
    }
    let receipts = chain.run(&next).receipts;
    assert!(is_carried(&receipts[3]) && is_carried(&receipts[5]), "of three by now, two");
    assert!(is_registered(&chain, "d1"));
    chain.run_many(2, &Next::default());
    assert!(!is_registered(&chain, "d1"));
    assert_eq!(chain.holders(), "a1/0 b1/0 c1/0");
}

#[test]
fn powers_are_those_of_the_table_two_heights_later() {
    let mut chain = started();
    let effective = done(&mut chain, power("b", 3));
    assert_eq!(effective.0, chain.height() + 2);
    let tip = chain.ledger.tip();
    assert_eq!((tip.next_table.total_power().0, tip.next_next_table.total_power().0), (4, 6));
    assert_eq!(tip.next_next_table.f().0, 1);
    assert_eq!(chain.holders(), "a1/0 b1/0 c1/0 d1/0", "its holder and term stay");
}

#[test]
fn motions_of_and_about_who_is_removed_are_dropped_and_its_votes_are_gone() {
    let mut chain = started();
    assert!(chain.send("d-admin", propose(power("a", 2))).is_ok());
    assert!(chain.send("a-admin", propose(power("d", 2))).is_ok());
    assert!(chain.send("b-admin", propose(add("e"))).is_ok());
    assert!(chain.send("d-admin", vote(3)).is_ok());
    done(&mut chain, remove_org("d"));
    let view = |number| motion(chain.store(), number).unwrap().unwrap();
    assert_eq!(view(1).status, MotionStatus::Dropped);
    assert_eq!(view(2).status, MotionStatus::Dropped);
    assert_eq!((view(3).status, view(3).motion.votes.len()), (MotionStatus::Open, 1));
    assert_eq!(view(4).status, MotionStatus::Carried);
    let receipt = chain.send("a-admin", vote(1));
    assert!(receipt.code == 17 && receipt.log.contains("was dropped in block"), "{receipt:?}");
}

#[test]
fn an_admin_key_that_once_signed_twice_is_barred_and_replaced_by_the_others() {
    let mut chain = started();
    assert!(chain.send("a-admin", switch("a", "a2", 0)).is_ok());
    chain.run(&Next::default());
    assert!(chain.send("a-admin", remove("a1")).is_ok());
    let set = |new: &str| {
        let proof = consortium::registration_proof(&genesis().chain_id, &org("a"), &secret(new));
        crate::modules::Call::Consortium(consortium::Call::SetAdminKey { key: key(new), proof })
    };
    assert!(chain.send("a-admin", set("a1")).is_ok());
    let evidence = chain.evidence("a1", 2).unwrap();
    chain.run(&Next::default().evidence(evidence));
    assert_eq!(role(&chain, "a1"), Some(KeyRole::Barred));
    assert_eq!(chain.send("a1", propose(add("e"))).code, 7);
    let other = Change::ReplaceAdminKey { name: org("a"), key: key("a-second") };
    let admins = ["b-admin", "c-admin", "d-admin"];
    assert!(is_carried(&chain.carry(other, &admins, Next::default())[2]));
    assert!(chain.send("a-second", propose(add("e"))).is_ok());
    assert_eq!(role(&chain, "a1"), Some(KeyRole::Barred), "for ever");
}
