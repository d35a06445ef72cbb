//! Evidence: what may stand in a block. What it does to seats is in the module `standby`.

use super::kit::*;
use crate::error::Error;
use crate::evidence::Evidence;
use crate::limits::EVIDENCE_WINDOW;
use crate::types::{Height, Power, Timestamp};

#[test]
fn evidence_is_completed_from_the_chain_and_accepted() {
    let mut chain = Chain::with(genesis_with(&[("a", 3), ("b", 1), ("c", 2), ("d", 1)]));
    chain.run_many(4, &Next::default());
    let evidence = chain.evidence("c1", 3).unwrap();
    assert_eq!(evidence.verify(&crate::keys::Strict, &chain.genesis.chain_id), Ok(()));
    assert_eq!((evidence.total_power, evidence.validator_power), (Power(7), Power(2)));
    assert_eq!(evidence.timestamp.since(chain.genesis.genesis_time).as_millis(), 300);
    assert_eq!(chain.check(&Next::default().evidence(evidence)), Ok(()));
}

#[test]
fn evidence_with_anything_else_than_the_chain_knows_is_refused() {
    type Change = fn(&mut Evidence);
    let mut chain = Chain::new();
    chain.run_many(5, &Next::default());
    let good = chain.evidence("c1", 3).unwrap();
    let cases: [(&str, Change); 10] = [
        ("total power", |e| e.total_power = Power(5)),
        ("power", |e| e.validator_power = Power(2)),
        ("time", |e| e.timestamp = Timestamp(e.timestamp.0 + 1)),
        ("height 0", |e| (e.vote_a.height, e.vote_b.height) = (Height(0), Height(0))),
        ("this block's height", |e| (e.vote_a.height, e.vote_b.height) = (Height(6), Height(6))),
        ("a later height", |e| (e.vote_a.height, e.vote_b.height) = (Height(9), Height(9))),
        ("index", |e| {
            let other = 3 - e.vote_a.validator_index;
            (e.vote_a.validator_index, e.vote_b.validator_index) = (other, other);
        }),
        ("one index", |e| e.vote_b.validator_index = 3 - e.vote_a.validator_index),
        ("a standby's key", |e| e.key = key("c2")),
        ("order", |e| std::mem::swap(&mut e.vote_a, &mut e.vote_b)),
    ];
    for (name, change) in cases {
        let mut evidence = good.clone();
        change(&mut evidence);
        let error = chain.check(&Next::default().evidence(evidence));
        assert!(matches!(error, Err(Error::Evidence { .. })), "{name}: {error:?}");
    }
    let twice = Next::default().evidence(good.clone()).evidence(chain.evidence("c1", 2).unwrap());
    assert!(matches!(chain.check(&twice), Err(Error::Evidence { .. })), "two about one key");
    let many = Next { evidence: vec![good; 9], ..Next::default() };
    assert!(matches!(chain.check(&many), Err(Error::TooMany { max: 8, got: 9, .. })));
}

#[test]
fn evidence_of_a_key_counts_once() {
    let mut chain = Chain::new();
    chain.run_many(5, &Next::default());
    let (first, second) = (chain.evidence("c1", 3).unwrap(), chain.evidence("c1", 4).unwrap());
    chain.run(&Next::default().evidence(first.clone()));
    for evidence in [first, second] {
        let error = chain.check(&Next::default().evidence(evidence));
        assert!(matches!(error, Err(Error::Evidence { what: "its key is barred already" })));
    }
    assert_eq!(chain.evidence("c1", 3), None);
    assert_eq!(chain.evidence("c2", 3), None, "it held no seat at that height");
    assert_eq!(chain.evidence("d1", chain.height() + 1), None, "that block's time is not known");
    assert!(chain.evidence("d1", chain.height()).is_some());
}

#[test]
fn evidence_counts_to_the_end_of_its_window_with_the_table_of_its_height() {
    let mut chain = Chain::new();
    chain.run_many(3, &Next::default());
    // Tables change at heights 6 and 7, and again and again later.
    let first = chain.tx("a-admin", switch("a", "a2", 0));
    chain.run(&Next::default().tx(first));
    let second = chain.tx("b-admin", switch("b", "b2", 0));
    chain.run(&Next::default().tx(second));
    for (seat, height, holder) in [("a", 5, "a1"), ("a", 6, "a2"), ("b", 6, "b1"), ("b", 7, "b2")] {
        assert_eq!(chain.holder_at(seat, height).as_deref(), Some(holder));
    }
    chain.is_checked = false;
    while chain.height() < 6 + EVIDENCE_WINDOW - 1 {
        chain.run(&Next::default());
        if chain.height().is_multiple_of(1_000) {
            let term = chain.seat("c").term.0;
            let target = if term.is_multiple_of(2) { "c2" } else { "c1" };
            let tx = chain.tx("c-admin", switch("c", target, term));
            assert!(chain.run(&Next::default().tx(tx)).receipts[1].is_ok());
        }
    }
    // The next block is the last that may carry evidence about height 6, where b1 still held.
    let evidence = chain.evidence("b1", 6).unwrap();
    let next = Next::default().evidence(evidence);
    assert_eq!(chain.check(&next), Ok(()));
    assert_eq!(chain.evidence("a1", 6), None, "a2 holds the seat at 6");
    assert_eq!(chain.evidence("a1", 5), None, "5 is out of the window");
    chain.run(&Next::default());
    assert_eq!(chain.evidence("b1", 6), None);
    assert!(matches!(chain.check(&next), Err(Error::Evidence { .. })));
    assert!(chain.evidence("b2", 7).is_some());

    // Tables of heights out of the window go with the next change.
    let tx = chain.tx("d-admin", switch("d", "d2", 0));
    chain.run(&Next::default().tx(tx));
    assert_eq!(chain.holder_at("b", 6), None);
    assert_eq!(chain.holder_at("b", 7).as_deref(), Some("b2"));
    chain.is_checked = true;
    chain.run(&Next::default());
}
