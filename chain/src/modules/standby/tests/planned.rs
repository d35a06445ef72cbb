//! Planned switches.

use crate::ledger::tests::kit::*;
use crate::modules::standby::{Reason, history};

#[test]
fn a_planned_switch_is_for_the_admin_key_or_the_holder_and_needs_a_live_partner() {
    struct Case {
        name: &'static str,
        sender: &'static str,
        seat: &'static str,
        target: &'static str,
        term: u64,
        dead: &'static [&'static str],
        code: u32,
    }
    let good = Case {
        name: "by the admin key",
        sender: "a-admin",
        seat: "a",
        target: "a2",
        term: 0,
        dead: &[],
        code: 0,
    };
    let cases = [
        Case { name: "by the holder", sender: "a1", ..good },
        Case { name: "with the holder dead", dead: &["a1"], ..good },
        Case { name: "with the partner dead", dead: &["a2"], code: 15, ..good },
        Case { name: "with both dead", dead: &["a1", "a2"], code: 15, ..good },
        Case { name: "with an old term", term: 1, code: 14, ..good },
        Case { name: "to the holder", target: "a1", code: 15, ..good },
        Case { name: "to an observer", target: "a3", code: 15, ..good },
        Case { name: "to another's node", target: "b2", code: 15, ..good },
        Case { name: "to a stranger", target: "stranger", code: 15, ..good },
        Case { name: "of no seat", seat: "x", code: 10, ..good },
        Case { name: "by another admin key", sender: "b-admin", code: 12, ..good },
        Case { name: "by another holder", sender: "b1", code: 12, ..good },
        Case { name: "by the partner", sender: "a2", code: 12, ..good },
        Case { name: "by an observer", sender: "a3", code: 12, ..good },
        Case { name: "by a user", sender: "a-user", code: 12, ..good },
        Case { name: "by a stranger", sender: "stranger", code: 7, ..good },
        good,
    ];
    for case in cases {
        let mut chain = Chain::new();
        chain.run_many(3, &Next::default());
        let tx = chain.tx(case.sender, switch(case.seat, case.target, case.term));
        let receipt = chain.run(&dead(case.dead).tx(tx)).receipts[1].clone();
        assert_eq!(receipt.code, case.code, "{}: {receipt:?}", case.name);
        if case.code == 0 {
            assert_eq!(number(&receipt.data), 6, "{}", case.name);
            assert_eq!(receipt.events[0].attribute("reason"), Some("planned"));
            assert_eq!(chain.holders(), "a2/1 b1/0 c1/0 d1/0");
            assert_eq!(chain.holder_at("a", 5).unwrap(), "a1");
            assert_eq!(chain.holder_at("a", 6).unwrap(), "a2");
        } else {
            assert_eq!(chain.holders(), "a1/0 b1/0 c1/0 d1/0", "{}", case.name);
        }
    }
}

#[test]
fn in_block_1_there_is_no_record_and_no_planned_switch() {
    let mut chain = Chain::new();
    assert_eq!(chain.send("a-admin", switch("a", "a2", 0)).code, 15);
    assert_eq!(chain.send("a-admin", switch("a", "a2", 0)).code, 0);
}

#[test]
fn a_seat_is_switched_once_a_block_and_planned_goes_before_automatic() {
    let mut chain = Chain::new();
    chain.run_many(10, &dead(&["a1"]));
    // This block would switch the seat by the rule; the admin key asks for the same.
    let next = dead(&["a1"])
        .tx(chain.tx("a-admin", switch("a", "a2", 0)))
        .tx(chain.tx("a-admin", switch("a", "a1", 1)));
    let execution = chain.run(&next);
    assert_eq!(execution.receipts[1].code, 0);
    assert_eq!(execution.receipts[2].code, 15, "a second change in one block");
    assert!(execution.events.is_empty(), "no automatic switch on top");
    assert_eq!(chain.holders(), "a2/1 b1/0 c1/0 d1/0");
    let history = history(chain.store(), 0, 10).unwrap();
    assert_eq!(history.len(), 1);
    assert_eq!(history[0].reason, Reason::Planned);
    // It starts the window anew: ten blocks from the third on.
    chain.run_many(2 + 9, &dead(&["a2"]));
    assert_eq!(chain.holders(), "a2/1 b1/0 c1/0 d1/0");
    chain.run(&dead(&["a2"]));
    assert_eq!(chain.holders(), "a1/2 b1/0 c1/0 d1/0");
}

#[test]
fn a_seat_is_switched_back_in_the_next_block() {
    let mut chain = Chain::new();
    chain.run(&Next::default());
    assert_eq!(number(&chain.send("a-admin", switch("a", "a2", 0)).data), 4);
    // In block 3 table(4) has a2: a1, though it still holds the seat in 3, may not ask any more.
    let old = chain.tx("a1", switch("a", "a1", 1));
    let new = chain.tx("a2", switch("a", "a1", 1));
    let receipts = chain.run(&Next::default().tx(old).tx(new)).receipts;
    assert_eq!((receipts[1].code, receipts[2].code), (12, 0));
    let holders: Vec<_> = (2..=5).map(|height| chain.holder_at("a", height).unwrap()).collect();
    assert_eq!(holders, ["a1", "a1", "a2", "a1"]);
}

#[test]
fn a_change_of_the_pair_and_a_switch_in_one_block_are_refused_whichever_is_second() {
    let mut chain = Chain::new();
    chain.run(&Next::default());
    let next = Next::default()
        .tx(chain.tx("a-admin", set_partner("a3")))
        .tx(chain.tx("a-admin", switch("a", "a3", 0)))
        .tx(chain.tx("b-admin", switch("b", "b2", 0)))
        .tx(chain.tx("b-admin", set_partner("b3")))
        .tx(chain.tx("b-admin", remove("b1")))
        .tx(chain.tx("b-admin", remove("b2")))
        .tx(chain.tx("c-admin", remove("c2")))
        .tx(chain.tx("c-admin", register("c", "c4", true)))
        .tx(chain.tx("c-admin", register("c", "c5", false)));
    let receipts = chain.run(&next).receipts;
    let codes: Vec<u32> = receipts[1..].iter().map(|receipt| receipt.code).collect();
    assert_eq!(codes, [0, 15, 0, 15, 17, 17, 0, 15, 0]);
    let node = |name| crate::modules::consortium::key(chain.store(), &key(name)).unwrap();
    assert!(node("c4").is_none(), "the registration that was refused left nothing");
    assert!(node("c5").is_some());
}
