use proptest::prelude::*;

use super::*;
use crate::ledger::tests::kit::{Chain, Next, create, secret};
use crate::modules::Call;
use crate::tx::TxBody;

fn tx(sender: &str, nonce: u64, valid_until: u64) -> Tx {
    tx_with(sender, nonce, valid_until, create("x"))
}

fn tx_with(sender: &str, nonce: u64, valid_until: u64, call: Call) -> Tx {
    let secret = secret(sender);
    let chain_id = "test-1".parse().unwrap();
    let (sender, valid_until) = (secret.public(), Height(valid_until));
    Tx::sign(TxBody { chain_id, sender, nonce, valid_until, call }, &secret)
}

fn block(height: u64, txs: Vec<Tx>) -> Block {
    let mut block = Chain::new().block(&Next { txs, ..Next::default() });
    block.header.height = Height(height);
    block
}

const ALL: usize = usize::MAX;

#[test]
fn transactions_come_out_in_the_order_they_came_and_stay_until_committed() {
    let mut pool = Mempool::new();
    let txs: Vec<Tx> = (0..5).map(|nonce| tx("a", nonce, 10)).collect();
    for tx in &txs {
        pool.add(tx.clone(), Height(0)).unwrap();
    }
    assert_eq!(pool.take(ALL, ALL), txs);
    assert_eq!(pool.take(ALL, 2), txs[..2]);
    let size = txs[0].bytes().len();
    assert_eq!(pool.take(3 * size, ALL), txs[..3]);
    assert_eq!(pool.take(3 * size - 1, ALL), txs[..2]);
    assert_eq!((pool.len(), pool.bytes()), (5, 5 * size));
    pool.committed(&block(1, vec![txs[1].clone(), txs[3].clone()]));
    assert_eq!(pool.take(ALL, ALL), [txs[0].clone(), txs[2].clone(), txs[4].clone()]);
    assert!(pool.contains(&txs[0].hash()) && !pool.contains(&txs[1].hash()));
    pool.remove(&txs[0].hash());
    pool.remove(&txs[0].hash());
    assert_eq!((pool.len(), pool.bytes(), pool.is_empty()), (2, 2 * size, false));
}

#[test]
fn a_transaction_is_taken_in_once_and_not_again_after_it_was_committed() {
    let mut pool = Mempool::new();
    let one = tx("a", 1, 10);
    let repeated = Err(Error::Repeated { hash: one.hash() });
    pool.add(one.clone(), Height(0)).unwrap();
    assert_eq!(pool.add(one.clone(), Height(0)), repeated);
    pool.committed(&block(1, vec![one.clone()]));
    assert_eq!(pool.add(one, Height(1)), repeated);
    // One that was committed without having been here is remembered too.
    let other = tx("a", 2, 10);
    pool.committed(&block(2, vec![other.clone()]));
    assert_eq!(pool.add(other.clone(), Height(2)), Err(Error::Repeated { hash: other.hash() }));
}

#[test]
fn transactions_leave_when_no_later_block_may_carry_them() {
    let mut pool = Mempool::new();
    for (valid_until, height, expected) in [
        (5, 5, Err(Error::Expired { valid_until: Height(5), height: Height(6) })),
        (6, 5, Ok(())),
        (6 + MAX_TX_VALIDITY, 5, Ok(())),
        (
            7 + MAX_TX_VALIDITY,
            5,
            Err(Error::TooFar {
                valid_until: Height(7 + MAX_TX_VALIDITY),
                latest: Height(6 + MAX_TX_VALIDITY),
            }),
        ),
    ] {
        assert_eq!(pool.add(tx("a", valid_until, valid_until), Height(height)), expected);
    }
    pool.committed(&block(5, vec![]));
    assert_eq!(pool.len(), 2);
    pool.committed(&block(6, vec![]));
    assert_eq!(pool.len(), 1);
    pool.committed(&block(6 + MAX_TX_VALIDITY, vec![]));
    assert!(pool.is_empty());
    assert_eq!(pool.bytes(), 0);
    assert!(pool.senders.is_empty() && pool.expiries.is_empty() && pool.places.is_empty());
}

#[test]
fn the_mempool_is_bounded_in_transactions_of_a_sender_and_of_all() {
    let mut pool = Mempool::new();
    let fill = |pool: &mut Mempool, sender: &str, count: usize| {
        // Without a signature each: only the bytes matter here.
        let body = tx(sender, 0, 10).body().clone();
        for nonce in 0..count as u64 {
            pool.add(unsigned(&TxBody { nonce, ..body.clone() }), Height(0)).unwrap();
        }
    };
    fill(&mut pool, "a", MAX_MEMPOOL_TXS_PER_SENDER);
    let refused = |what, max| Err(Error::MempoolFull { what, max });
    let of_sender = refused("transactions of this sender", MAX_MEMPOOL_TXS_PER_SENDER);
    assert_eq!(pool.add(tx("a", u64::MAX, 10), Height(0)), of_sender);
    fill(&mut pool, "b", MAX_MEMPOOL_TXS - MAX_MEMPOOL_TXS_PER_SENDER);
    assert_eq!(pool.len(), MAX_MEMPOOL_TXS);
    let of_all = refused("transactions", MAX_MEMPOOL_TXS);
    assert_eq!(pool.add(tx("c", 1, 10), Height(0)), of_all);
    let first = pool.take(ALL, 1);
    pool.committed(&block(1, first));
    assert_eq!(pool.add(tx("a", u64::MAX, 10), Height(1)), Ok(()));
    assert_eq!(pool.add(tx("c", 1, 10), Height(1)), of_all);
}

#[test]
fn the_mempool_is_bounded_in_bytes_and_in_what_it_remembers() {
    use crate::limits::MAX_RECORD_VALUE_BYTES;
    let mut pool = Mempool::new();
    let value = "v".repeat(MAX_RECORD_VALUE_BYTES);
    let big = crate::ledger::tests::kit::put("x", "k", &value, None);
    let body = tx_with("a", 0, 10, big).body().clone();
    let error = (0..)
        .find_map(|nonce| pool.add(unsigned(&TxBody { nonce, ..body.clone() }), Height(0)).err());
    assert_eq!(error, Some(Error::MempoolFull { what: "bytes", max: MAX_MEMPOOL_BYTES }));
    assert!(pool.bytes() <= MAX_MEMPOOL_BYTES);

    let small = tx("a", 0, 10).body().clone();
    let first = unsigned(&small);
    pool.committed(&block(1, vec![first.clone()]));
    for start in 0..(MAX_MEMPOOL_REMEMBERED as u64 / 10_000) {
        assert!(pool.committed.contains(&first.hash()));
        let nonces = start * 10_000 + 1..=(start + 1) * 10_000;
        let txs = nonces.map(|nonce| unsigned(&TxBody { nonce, ..small.clone() }));
        pool.committed(&block(1, txs.collect()));
    }
    assert!(!pool.committed.contains(&first.hash()));
    assert_eq!(pool.committed.len(), MAX_MEMPOOL_REMEMBERED);
    assert_eq!(pool.committed_order.len(), MAX_MEMPOOL_REMEMBERED);
}

/// A transaction with a signature of zeros.
fn unsigned(body: &TxBody) -> Tx {
    let bytes = crate::codec::encode(&(body, crate::keys::Signature([0; 64])));
    Tx::decode(bytes).unwrap()
}

/// What happens to a mempool: numbers choose among few transactions.
#[derive(Clone, Debug)]
enum Action {
    Add(u8),
    Commit(Vec<u8>),
    Remove(u8),
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        4 => any::<u8>().prop_map(Action::Add),
        1 => prop::collection::vec(any::<u8>(), 0..6).prop_map(Action::Commit),
        1 => any::<u8>().prop_map(Action::Remove),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// It holds what a plain list would hold, and its indexes agree.
    #[test]
    fn it_behaves_as_a_list(actions in prop::collection::vec(action(), 1..80)) {
        let body = tx("a", 0, 0).body().clone();
        let other = tx("b", 0, 0).body().sender;
        let txs: Vec<Tx> = (0..40u64)
            .map(|nonce| {
                let sender = if nonce % 3 == 0 { other } else { body.sender };
                let valid_until = Height(1 + nonce % 11);
                unsigned(&TxBody { sender, nonce, valid_until, ..body.clone() })
            })
            .collect();
        let pick = |n: &u8| txs[usize::from(*n) % txs.len()].clone();
        let empty = block(1, vec![]);
        let mut pool = Mempool::new();
        let (mut list, mut done): (Vec<Tx>, Vec<Tx>) = (Vec::new(), Vec::new());
        let mut height = 0;
        for action in &actions {
            match action {
                Action::Add(n) => {
                    let tx = pick(n);
                    let good = tx.body().valid_until.0 > height
                        && !list.contains(&tx)
                        && !done.contains(&tx);
                    prop_assert_eq!(pool.add(tx.clone(), Height(height)).is_ok(), good);
                    if good {
                        list.push(tx);
                    }
                }
                Action::Commit(numbers) => {
                    height += 1;
                    let mut block = empty.clone();
                    block.header.height = Height(height);
                    block.txs = numbers.iter().map(pick).collect();
                    pool.committed(&block);
                    list.retain(|tx| !block.txs.contains(tx) && tx.body().valid_until.0 > height);
                    done.extend(block.txs);
                }
                Action::Remove(n) => {
                    pool.remove(&pick(n).hash());
                    list.retain(|tx| *tx != pick(n));
                }
            }
            prop_assert_eq!(&pool.take(ALL, ALL), &list);
            let bytes: usize = list.iter().map(|tx| tx.bytes().len()).sum();
            prop_assert_eq!((pool.len(), pool.bytes()), (list.len(), bytes));
            prop_assert_eq!(pool.places.len(), list.len());
            prop_assert_eq!(pool.expiries.len(), list.len());
            prop_assert_eq!(pool.senders.values().sum::<usize>(), list.len());
            for tx in &txs {
                prop_assert_eq!(pool.contains(&tx.hash()), list.contains(tx));
            }
        }
    }
}
