//! What evidence does to seats.

use crate::ledger::may_send;
use crate::ledger::tests::kit::*;
use crate::modules::Call;
use crate::modules::consortium::{self, KeyRole, UserRole};
use crate::modules::standby::{Reason, history};

fn is_registered(chain: &Chain, node: &str) -> bool {
    chain.ledger.tip().register.nodes.contains_key(&key(node))
}

/// The next block, with evidence against these nodes about the height of the tip.
fn against(chain: &Chain, nodes: &[&str], next: Next) -> Next {
    let height = chain.height();
    nodes.iter().fold(next, |next, node| next.evidence(chain.evidence(node, height).unwrap()))
}

fn started(genesis: crate::genesis::Genesis) -> Chain {
    let mut chain = Chain::with(genesis);
    chain.run_many(3, &Next::default());
    chain
}

#[test]
fn a_barred_holder_with_a_live_partner_is_replaced_at_once() {
    let mut chain = started(genesis());
    let events = chain.run(&against(&chain, &["a1"], dead(&[]))).events;
    assert_eq!(chain.holders(), "a2/1 b1/0 c1/0 d1/0");
    assert_eq!(
        events.iter().map(|event| event.kind.as_str()).collect::<Vec<_>>(),
        ["key_barred", "switch"]
    );
    assert_eq!(chain.holder_at("a", 5).unwrap(), "a1", "table(k+1) was fixed before");
    // It stays reachable while a table to come names it, and not a block longer.
    assert!(is_registered(&chain, "a1") && !chain.ledger.tip().register.nodes[&key("a1")].pair);
    assert!(may_send(chain.store(), &key("a1")).is_err());
    chain.run(&Next::default());
    assert!(!is_registered(&chain, "a1"));
    // For ever.
    for org_name in ["a", "b"] {
        for pair in [true, false] {
            let receipt = chain.send(&format!("{org_name}-admin"), register(org_name, "a1", pair));
            assert_eq!(receipt.code, 17);
        }
    }
    assert_eq!(chain.send("a-admin", add_user("a", "a1", UserRole::Writer)).code, 17);
    let switched = history(chain.store(), 0, 9).unwrap();
    assert_eq!((switched.len(), switched[0].reason), (1, Reason::Barred));
}

#[test]
fn a_barred_holder_with_a_dead_partner_is_left_out_until_the_partner_is_alive() {
    let mut chain = started(genesis());
    chain.run(&against(&chain, &["a1"], dead(&["a2"])));
    assert_eq!(chain.holders(), "-/1 b1/0 c1/0 d1/0");
    let tip = chain.ledger.tip();
    assert_eq!((tip.next_table.seats().len(), tip.next_next_table.seats().len()), (4, 3));
    assert_eq!(chain.seat("a").never_automatic, Some("the seat is left out".to_owned()));
    chain.run_many(20, &dead(&["a2"]));
    assert_eq!(chain.holders(), "-/1 b1/0 c1/0 d1/0");
    assert_eq!(chain.send("a-admin", switch("a", "a2", 1)).code, 15, "it was filled before");
    assert_eq!(chain.holders(), "a2/2 b1/0 c1/0 d1/0");
    let height = chain.height();
    assert_eq!(chain.holder_at("a", height + 1), None);
    assert_eq!(chain.holder_at("a", height + 2).unwrap(), "a2");
}

#[test]
fn a_seat_that_is_left_out_cannot_be_switched() {
    let mut chain = started(genesis());
    chain.run(&against(&chain, &["a1"], dead(&["a2"])));
    let tx = chain.tx("a-admin", switch("a", "a2", 1));
    assert_eq!(chain.run(&dead(&["a2"]).tx(tx)).receipts[1].code, 15);
    assert_eq!(chain.holders(), "-/1 b1/0 c1/0 d1/0");
}

#[test]
fn a_seat_that_is_left_out_is_filled_when_the_organisation_names_a_node() {
    for (name, call) in [("a4", register("a", "a4", true)), ("a3", set_partner("a3"))] {
        let mut chain = started(genesis());
        chain.run(&against(&chain, &["a1"], dead(&["a2"])));
        let tx = chain.tx("a-admin", call);
        let execution = chain.run(&dead(&["a2", name]).tx(tx));
        let receipt = &execution.receipts[1];
        assert_eq!(number(&receipt.data), chain.height() + 2);
        assert_eq!(receipt.events.iter().filter(|event| event.kind == "switch").count(), 1);
        assert_eq!(chain.holders(), format!("{name}/2 b1/0 c1/0 d1/0"));
        assert!(is_registered(&chain, "a2"));
    }
    // An observer that is registered, or removed, names nobody.
    let mut chain = started(genesis());
    chain.run(&against(&chain, &["a1"], dead(&["a2"])));
    for call in [register("a", "a4", false), remove("a3"), remove("a2")] {
        let tx = chain.tx("a-admin", call);
        assert_eq!(chain.run(&dead(&["a2"]).tx(tx)).receipts[1].code, 0);
    }
    assert_eq!(chain.holders(), "-/1 b1/0 c1/0 d1/0");
}

#[test]
fn a_barred_holder_without_a_partner_is_left_out() {
    let mut genesis = genesis();
    genesis.organizations[0].nodes.remove(1);
    let mut chain = started(genesis);
    chain.run(&against(&chain, &["a1"], dead(&[])));
    assert_eq!(chain.holders(), "-/1 b1/0 c1/0 d1/0");
    assert!(chain.send("a-admin", register("a", "a4", true)).is_ok());
    assert_eq!(chain.holders(), "a4/2 b1/0 c1/0 d1/0");
}

#[test]
fn the_last_seat_is_never_left_out() {
    let mut chain = started(genesis_with(&[("a", 1)]));
    chain.run(&against(&chain, &["a1"], dead(&["a2"])));
    assert_eq!(chain.holders(), "a1/0");
    chain.run_many(5, &dead(&["a2"]));
    assert_eq!(chain.holders(), "a1/0");
    assert!(is_registered(&chain, "a1"), "others must reach it while it holds the seat");
    assert_eq!(chain.send("a-admin", remove("a1")).code, 17);
    // That block's record called the partner alive.
    assert_eq!(chain.holders(), "a2/1");
    chain.run(&Next::default());
    assert!(!is_registered(&chain, "a1"));

    // The same, and the organisation names a node.
    let mut chain = started(genesis_with(&[("a", 1)]));
    chain.run(&against(&chain, &["a1"], dead(&["a2"])));
    let own = chain.tx("a-admin", set_partner("a1"));
    let named = chain.tx("a-admin", register("a", "a4", true));
    let receipts = chain.run(&dead(&["a2"]).tx(own).tx(named)).receipts;
    assert_eq!((receipts[1].code, receipts[2].code), (17, 0));
    assert_eq!(chain.holders(), "a4/1");
}

#[test]
fn of_seats_that_are_barred_together_one_stays() {
    let mut chain = started(genesis_with(&[("a", 1), ("b", 1)]));
    chain.run(&against(&chain, &["a1", "b1"], dead(&["a2", "b2"])));
    assert_eq!(chain.holders(), "-/1 b1/0");
    chain.run_many(3, &dead(&["a2", "b2"]));
    assert_eq!(chain.holders(), "-/1 b1/0");
    // As soon as the other is filled, the barred one goes.
    chain.run(&dead(&["b2"]));
    assert_eq!(chain.holders(), "a2/2 -/1");
    chain.run(&Next::default());
    assert_eq!(chain.holders(), "a2/2 b2/2");

    let mut chain = started(genesis_with(&[("a", 1), ("b", 1)]));
    chain.run(&against(&chain, &["a1", "b1"], dead(&["a2"])));
    assert_eq!(chain.holders(), "-/1 b2/1");
}

#[test]
fn barred_goes_before_planned_and_automatic() {
    let mut chain = Chain::new();
    chain.run_many(10, &dead(&["a1"]));
    let tx = chain.tx("a-admin", switch("a", "a2", 0));
    let execution = chain.run(&against(&chain, &["a1"], dead(&["a1"]).tx(tx)));
    assert_eq!(execution.receipts[1].code, 15);
    assert_eq!(chain.holders(), "a2/1 b1/0 c1/0 d1/0");
    assert_eq!(history(chain.store(), 0, 9).unwrap()[0].reason, Reason::Barred);
}

#[test]
fn an_old_holder_that_is_barred_leaves_the_pair_and_the_register() {
    let mut chain = started(genesis());
    assert!(chain.send("a-admin", switch("a", "a2", 0)).is_ok());
    let evidence = chain.evidence("a1", 2).unwrap();
    // In the next block, 5, a1 still holds the seat, but no block after it needs its vote.
    chain.run(&Next::default().evidence(evidence));
    assert!(!is_registered(&chain, "a1"));
    assert_eq!(chain.seat("a").partner, None);
    chain.run_many(30, &dead(&["a2"]));
    assert_eq!(chain.holders(), "a2/1 b1/0 c1/0 d1/0");
    // Its place in the pair is free.
    assert!(chain.send("a-admin", register("a", "a4", true)).is_ok());
    assert_eq!(chain.seat("a").partner, Some(key("a4")));
}

#[test]
fn a_holder_that_was_removed_since_is_barred_all_the_same() {
    let mut chain = started(genesis());
    for call in [switch("a", "a2", 0), create("x"), remove("a1")] {
        assert!(chain.send("a-admin", call).is_ok());
    }
    let evidence = chain.evidence("a1", 2).unwrap();
    chain.run(&Next::default().evidence(evidence));
    assert_eq!(chain.holders(), "a2/1 b1/0 c1/0 d1/0");
    assert_eq!(chain.send("a-admin", register("a", "a1", true)).code, 17);
}

/// a1 held its seat until height 5, has left the register since, and its organisation was sent
/// `calls` by b's admin key, one a block.
fn gone_to_b(calls: Vec<Call>) -> Chain {
    let mut chain = started(genesis());
    for call in [switch("a", "a2", 0), remove("a1")] {
        assert!(chain.send("a-admin", call).is_ok());
    }
    for call in calls {
        assert!(chain.send("b-admin", call).is_ok());
    }
    chain
}

/// Whatever is tried, the key gets no role again and is not judged again.
fn expect_barred_for_ever(chain: &mut Chain, node: &str) {
    for org_name in ["a", "b"] {
        let admin = format!("{org_name}-admin");
        for (call, code) in [
            (remove(node), 10),
            (remove_user(node), 10),
            (set_partner(node), 10),
            (register(org_name, node, true), 17),
            (register(org_name, node, false), 17),
            (add_user(org_name, node, UserRole::Writer), 17),
        ] {
            assert_eq!(chain.send(&admin, call.clone()).code, code, "{org_name} {call:?}");
        }
    }
    assert_eq!(chain.send(node, create("x")).code, 7);
    let entry = consortium::key(chain.store(), &key(node)).unwrap().unwrap();
    assert_eq!(entry.role, KeyRole::Barred);
    assert_eq!(chain.evidence(node, 2), None);
}

#[test]
fn a_key_that_holds_another_organisation_s_seat_by_now_loses_that() {
    for (partner, holders) in [("alive", "a2/1 b1/2 c1/0 d1/0"), ("dead", "a2/1 -/2 c1/0 d1/0")] {
        let mut chain = gone_to_b(vec![remove("b2"), register("b", "a1", true), create("x")]);
        assert!(chain.send("b-admin", switch("b", "a1", 0)).is_ok());
        assert_eq!(chain.holders(), "a2/1 a1/1 c1/0 d1/0");
        let evidence = chain.evidence("a1", 2).unwrap();
        let next = if partner == "alive" { dead(&[]) } else { dead(&["b1"]) };
        let try_remove = chain.tx("b-admin", remove("a1"));
        let execution = chain.run(&next.evidence(evidence).tx(try_remove));
        assert_eq!(chain.holders(), holders, "partner {partner}");
        let barred = &execution.events[0];
        assert_eq!((barred.kind.as_str(), barred.attribute("org")), ("key_barred", Some("b")));
        assert_eq!(execution.receipts[1].code, 17, "others must reach it for a block more");
        assert!(is_registered(&chain, "a1"));
        assert!(!chain.ledger.tip().register.nodes[&key("a1")].pair);
        assert!(may_send(chain.store(), &key("a1")).is_err());
        chain.run(&Next::default());
        assert!(!is_registered(&chain, "a1"));
        expect_barred_for_ever(&mut chain, "a1");
    }
}

#[test]
fn a_key_that_is_of_another_organisation_s_pair_by_now_leaves_it_and_is_never_given_the_seat() {
    let mut chain = gone_to_b(vec![remove("b2"), register("b", "a1", true)]);
    chain.run_many(9, &dead(&["b1"]));
    assert!(chain.seat("b").run.count > 0);
    let evidence = chain.evidence("a1", 2).unwrap();
    chain.run(&dead(&["b1"]).evidence(evidence));
    let seat = chain.seat("b");
    assert_eq!((seat.partner, seat.run.count), (None, 0));
    assert_eq!(seat.effective.0, chain.height() + 2);
    assert!(!is_registered(&chain, "a1"));
    chain.run_many(30, &dead(&["b1"]));
    assert_eq!(chain.holders(), "a2/1 b1/0 c1/0 d1/0");
    expect_barred_for_ever(&mut chain, "a1");
    assert!(chain.send("b-admin", register("b", "b4", true)).is_ok(), "its place is free");
}

#[test]
fn a_key_that_is_another_organisation_s_observer_by_now_leaves_the_register() {
    let mut chain = gone_to_b(vec![register("b", "a1", false)]);
    let before = chain.seat("b");
    let evidence = chain.evidence("a1", 2).unwrap();
    chain.run(&Next::default().evidence(evidence));
    assert!(!is_registered(&chain, "a1"));
    assert_eq!(chain.seat("b"), before, "no seat has changed");
    expect_barred_for_ever(&mut chain, "a1");
}

#[test]
fn a_key_that_is_a_user_by_now_is_one_no_more() {
    for org_name in ["a", "b"] {
        let admin = format!("{org_name}-admin");
        let mut chain = gone_to_b(vec![]);
        assert!(chain.send(&admin, add_user(org_name, "a1", UserRole::Writer)).is_ok());
        assert!(chain.send("a1", create("set")).is_ok());
        let users = |chain: &Chain| {
            let name = org(org_name);
            let count = consortium::organization(chain.store(), &name).unwrap().unwrap().users;
            (count, consortium::users(chain.store(), &name, None, 9).unwrap().len())
        };
        assert_eq!(users(&chain), (2, 2));
        let evidence = chain.evidence("a1", 2).unwrap();
        chain.run(&Next::default().evidence(evidence));
        assert_eq!(users(&chain), (1, 1));
        assert!(may_send(chain.store(), &key("a1")).is_err());
        expect_barred_for_ever(&mut chain, "a1");
        assert_eq!(users(&chain), (1, 1));
        assert_eq!(chain.holders(), "a2/1 b1/0 c1/0 d1/0");
    }
}

#[test]
fn both_nodes_of_a_pair_can_be_barred() {
    let mut chain = started(genesis());
    assert!(chain.send("a-admin", switch("a", "a2", 0)).is_ok());
    chain.run_many(3, &Next::default());
    let (old, new) = (chain.evidence("a1", 2).unwrap(), chain.evidence("a2", 7).unwrap());
    chain.run(&Next::default().evidence(old).evidence(new));
    assert_eq!(chain.holders(), "-/2 b1/0 c1/0 d1/0");
    chain.run_many(2, &Next::default());
    assert!(!is_registered(&chain, "a1") && !is_registered(&chain, "a2"));
    assert!(chain.send("a-admin", set_partner("a3")).is_ok());
    assert_eq!(chain.holders(), "a3/3 b1/0 c1/0 d1/0");
}

#[test]
fn a_seat_that_is_left_out_changes_f_and_n_of_the_rest() {
    let mut chain = started(genesis());
    chain.run(&against(&chain, &["a1"], dead(&["a2"])));
    // Three seats, f = 0: a dead holder of another seat stays until a's seat is filled.
    chain.run_many(30, &dead(&["a2", "b1"]));
    assert_eq!(chain.holders(), "-/1 b1/0 c1/0 d1/0");
    assert!(chain.seat("b").never_automatic.is_some());
    chain.run_many(1 + 10, &dead(&["b1"]));
    assert_eq!(chain.holders(), "a2/2 b2/1 c1/0 d1/0");
}
