//! What a block may carry, and what its transactions leave behind.

use super::kit::*;
use crate::error::Error;
use crate::evidence_pool::EvidencePool;
use crate::ledger::{is_committed, may_send};
use crate::limits::MAX_TX_VALIDITY;
use crate::modules::consortium::UserRole;
use crate::types::{Hash, Height};

#[test]
fn a_transaction_may_stand_up_to_its_last_height_and_not_too_far_before() {
    let mut chain = Chain::new();
    chain.run_many(5, &Next::default());
    // The next block has height 6.
    let latest = 6 + MAX_TX_VALIDITY;
    for (valid_until, expected) in [
        (5, Err(Error::Expired { valid_until: Height(5), height: Height(6) })),
        (6, Ok(())),
        (latest, Ok(())),
        (
            latest + 1,
            Err(Error::TooFar { valid_until: Height(latest + 1), latest: Height(latest) }),
        ),
    ] {
        let tx = chain.tx_until("a-user", create("x"), valid_until);
        let next = Next::default().tx(tx.clone());
        assert_eq!(chain.check(&next), expected, "valid until {valid_until}");
        let selected = chain.ledger.select(vec![tx.clone()]).unwrap();
        assert_eq!(selected, if expected.is_ok() { vec![tx] } else { vec![] });
    }
}

#[test]
fn a_transaction_stands_in_the_chain_once_for_as_long_as_it_is_valid() {
    let mut chain = Chain::new();
    let short = chain.tx_until("a-user", create("x"), 3);
    let long = chain.tx_until("a-user", create("y"), 1 + MAX_TX_VALIDITY);
    let twice = Next::default().tx(short.clone()).tx(short.clone());
    assert_eq!(chain.check(&twice), Err(Error::Repeated { hash: short.hash() }));
    assert_eq!(chain.ledger.select(vec![short.clone(), short.clone()]).unwrap().len(), 1);
    assert!(!is_committed(chain.store(), &long.hash()).unwrap());
    let receipts = chain.run(&Next::default().tx(short.clone()).tx(long.clone())).receipts;
    assert_eq!(receipts.iter().map(|r| r.code).collect::<Vec<_>>(), [0, 0, 0]);
    let repeat_short = Next::default().tx(short.clone());
    let repeat_long = Next::default().tx(long.clone());

    chain.is_checked = false;
    assert_eq!(chain.check(&repeat_short), Err(Error::Repeated { hash: short.hash() }));
    while chain.height() < MAX_TX_VALIDITY {
        chain.run(&Next::default());
    }
    // Block 1 + MAX_TX_VALIDITY is the last that the long one is valid for.
    assert!(is_committed(chain.store(), &long.hash()).unwrap());
    assert_eq!(chain.check(&repeat_long), Err(Error::Repeated { hash: long.hash() }));
    assert_eq!(chain.ledger.select(vec![long.clone()]).unwrap(), []);
    chain.run(&Next::default());
    assert!(matches!(chain.check(&repeat_long), Err(Error::Expired { .. })));
    assert!(!is_committed(chain.store(), &long.hash()).unwrap(), "it is forgotten");
    chain.run(&Next::default());
    let recent = |(key, _): &(&Vec<u8>, _)| key.starts_with(b"recent/");
    let entries = chain.store().entries(crate::store::Column::State).iter();
    assert_eq!(entries.filter(recent).count() as u64, MAX_TX_VALIDITY);
    chain.is_checked = true;
    chain.run(&Next::default());
}

#[test]
fn a_block_is_within_the_limits_of_the_parameters() {
    let mut genesis = genesis();
    genesis.parameters.block_max_txs = 2;
    let mut chain = Chain::with(genesis);
    let value = "v".repeat(100_000);
    let txs: Vec<_> =
        (0..3).map(|i| chain.tx("a-user", put("x", &format!("{i}"), "", None))).collect();
    let of = |txs: &[crate::tx::Tx]| Next { txs: txs.to_vec(), ..Next::default() };
    assert_eq!(chain.check(&of(&txs[..2])), Ok(()));
    assert!(matches!(chain.check(&of(&txs)), Err(Error::TooMany { max: 2, got: 3, .. })));
    assert_eq!(chain.ledger.select(txs.clone()).unwrap(), txs[..2]);

    let mut genesis = super::kit::genesis();
    genesis.parameters.block_max_bytes = 256 * 1024;
    let mut chain = Chain::with(genesis);
    let txs: Vec<_> =
        (0..3).map(|i| chain.tx("a-user", put("x", &format!("{i}"), &value, None))).collect();
    assert_eq!(chain.check(&of(&txs[..2])), Ok(()));
    assert!(matches!(chain.check(&of(&txs)), Err(Error::TooLong { max: 262_144, .. })));
    assert_eq!(chain.ledger.select(txs.clone()).unwrap(), txs[..2]);
}

#[test]
fn a_block_of_another_height_is_refused() {
    let mut chain = Chain::new();
    let block = chain.block(&Next::default());
    chain.run(&Next::default());
    let error = chain.ledger.check(&block);
    assert_eq!(error, Err(Error::WrongHeight { expected: Height(2), got: Height(1) }));
}

#[test]
fn a_call_that_fails_leaves_a_receipt_and_nothing_else() {
    let mut chain = Chain::new();
    let good = chain.tx("a-user", create("x"));
    let bad = chain.tx("a-user", create("x"));
    let stranger = chain.tx("stranger", create("y"));
    let other = chain.tx("b-user", put("x", "k", "v", None));
    let next = Next { txs: vec![good, bad, stranger, other], ..Next::default() };
    let execution = chain.run(&next);
    let codes: Vec<u32> = execution.receipts.iter().map(|receipt| receipt.code).collect();
    assert_eq!(codes, [0, 0, 11, 7, 12]);
    for receipt in &execution.receipts[2..] {
        assert!(receipt.data.is_empty() && receipt.events.is_empty() && !receipt.log.is_empty());
    }
    let results = execution.receipts.iter().map(|r| (r.code, r.data.as_slice()));
    assert_eq!(chain.ledger.tip().results_hash, crate::comet::results_hash(results));

    // The same block without the calls that fail leaves the same state, but for the hashes of
    // transactions and results.
    let mut without = Chain::new();
    without.run(&Next { txs: next.txs[..1].to_vec(), ..Next::default() });
    let state = |chain: &Chain| {
        let entries = chain.store().entries(crate::store::Column::State).clone().into_iter();
        let kept = entries
            .filter(|(key, _)| !key.starts_with(b"recent/") && !key.starts_with(b"ledger/last"));
        kept.collect::<Vec<_>>()
    };
    assert_eq!(state(&chain), state(&without));
}

#[test]
fn later_transactions_of_a_block_see_what_earlier_ones_did() {
    let mut chain = Chain::new();
    let txs = vec![
        chain.tx("a-admin", add_user("a", "new", UserRole::Writer)),
        chain.tx("new", create("x")),
        chain.tx("new", put("x", "k", "1", Some(0))),
        chain.tx("a1", put("x", "k", "2", Some(1))),
        chain.tx("a-admin", put("x", "k", "3", Some(2))),
    ];
    let receipts = chain.run(&Next { txs, ..Next::default() }).receipts;
    assert!(receipts.iter().all(crate::ledger::Receipt::is_ok), "{receipts:?}");
    assert_eq!(number(&receipts[5].data), 3);
}

#[test]
fn keys_with_a_role_may_send_and_no_others() {
    let chain = Chain::new();
    for (name, expected) in [
        ("a-admin", Some("a")),
        ("a-user", Some("a")),
        ("a1", Some("a")),
        ("b2", Some("b")),
        ("d3", Some("d")),
        ("stranger", None),
    ] {
        assert_eq!(may_send(chain.store(), &key(name)).ok(), expected.map(org), "{name}");
    }
}

#[test]
fn a_key_that_signs_twice_again_and_again_gives_evidence_that_a_block_may_carry() {
    let mut chain = Chain::new();
    chain.run_many(5, &Next::default());
    let mut pool = EvidencePool::default();
    let index = table_index(&chain, "c1");
    let votes = |height: u64| {
        let vote = |block| chain.vote("c1", height, index, block);
        (vote(None), vote(Some(Hash([1; 32]))))
    };
    // The same key at two heights, twice at one, and at one that is not in the chain yet.
    for height in [3, 3, 4, 9] {
        let (one, other) = votes(height);
        pool.add(key("c1"), one, other);
    }
    let evidence = pool.for_block(&chain.ledger).unwrap();
    assert_eq!(evidence.len(), 1);
    let next = evidence.iter().cloned().fold(Next::default(), Next::evidence);
    assert_eq!(chain.check(&next), Ok(()));
    assert_eq!(pool.for_block(&chain.ledger).unwrap(), evidence, "until it is in the chain");
    chain.run(&next);
    assert_eq!(pool.for_block(&chain.ledger).unwrap(), [], "then its key is barred");
}

#[test]
fn evidence_of_a_height_to_come_waits_for_it() {
    let mut chain = Chain::new();
    chain.run(&Next::default());
    let index = table_index(&chain, "c1");
    let vote = |block| chain.vote("c1", 2, index, block);
    let mut pool = EvidencePool::default();
    pool.add(key("c1"), vote(None), vote(Some(Hash([1; 32]))));
    assert_eq!(pool.for_block(&chain.ledger).unwrap(), []);
    chain.run(&Next::default());
    assert_eq!(pool.for_block(&chain.ledger).unwrap().len(), 1);
}

fn table_index(chain: &Chain, node: &str) -> usize {
    chain.ledger.tip().table.by_key(&key(node)).expect("it holds a seat").0
}
