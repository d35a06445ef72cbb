//! Opening a store: the kit does it after every block; here are the stores that are refused.

use super::kit::*;
use crate::error::Error;
use crate::ledger::{Ledger, is_empty};
use crate::store::{Batch, Column, MemoryStore};

#[test]
fn the_previous_register_survives_a_restart_for_exactly_one_block() {
    let mut chain = Chain::new();
    assert!(chain.send("a-admin", register("a", "a4", false)).is_ok());
    let tip = chain.ledger.tip().clone();
    assert!(tip.register.nodes.contains_key(&key("a4")));
    assert!(!tip.previous_register.nodes.contains_key(&key("a4")));
    chain.run(&Next::default());
    assert_eq!(chain.ledger.tip().previous_register, chain.ledger.tip().register);
    let left = chain.store().entries(Column::State).contains_key(&b"ledger/previous_register"[..]);
    assert!(!left);
}

/// Keys of the state that are looked at when they are asked for.
const LAZY: [&str; 4] =
    ["consortium/address/", "consortium/key/", "consortium/user/", "consortium/policy"];

#[test]
fn stores_of_another_chain_or_with_damage_are_refused() {
    let chain = Chain::new();
    let mut other = genesis();
    other.chain_id = "test-2".parse().unwrap();
    let error = Ledger::open(chain.store(), &other).unwrap_err();
    let (expected, got) = (other.hash(), chain.genesis.hash());
    assert_eq!(error, Error::OtherGenesis { expected, got });

    let empty = MemoryStore::default();
    assert!(is_empty(&empty).unwrap() && !is_empty(chain.store()).unwrap());
    let keys: Vec<_> = chain.store().entries(Column::State).keys().cloned().collect();
    for (key, value) in keys.iter().flat_map(|key| [(key, None), (key, Some(vec![0xff; 3]))]) {
        let mut store = chain.store().clone();
        store.apply(&Batch(vec![(Column::State, key.clone(), value)]));
        let text = String::from_utf8_lossy(key);
        let is_lazy = |prefix: &&str| text.starts_with(*prefix);
        if LAZY.iter().any(is_lazy) {
            continue;
        }
        // Seats are read when a block is executed.
        let opened = Ledger::open(store, &chain.genesis);
        let result = opened.and_then(|ledger| ledger.execute(&chain.block(&Next::default())));
        assert!(matches!(result, Err(Error::Damaged { .. })), "{text}: {result:?}");
    }
    assert!(matches!(Ledger::open(empty, &chain.genesis), Err(Error::Damaged { .. })));
}
