use proptest::prelude::*;

use super::*;
use crate::ledger::tests::kit::{Chain, Next, create, invitation, invited, put, secret, switch};
use crate::limits::{MAX_RECORD_VALUE_BYTES, MAX_TX_BYTES};
use crate::modules::consortium::InvitedAs;
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
    assert!(pool.accounts.is_empty() && pool.expiries.is_empty() && pool.places.is_empty());
}

/// Adds `call` of a sender, again and again, until it is refused; how often it was not, and why then.
fn fill(pool: &mut Mempool, sender: &str, call: &Call) -> (usize, Error) {
    let (before, first) = (pool.len(), pool.next_place);
    // Without a signature each: only the bytes matter here.
    let body = tx_with(sender, 0, 10, call.clone()).body().clone();
    let error = (first..)
        .find_map(|nonce| pool.add(unsigned(&TxBody { nonce, ..body.clone() }), Height(0)).err());
    (pool.len() - before, error.unwrap())
}

fn full(what: &'static str, max: usize) -> Error {
    Error::MempoolFull { what, max }
}

/// A call of another module than `records`, of about `bytes` bytes.
fn control(bytes: usize) -> Call {
    let addresses = vec!["x".repeat(bytes)];
    Call::Consortium(crate::modules::consortium::Call::SetAddresses { addresses })
}

#[test]
fn one_sender_shuts_out_nobody() {
    let record = put("x", "k", &"v".repeat(MAX_RECORD_VALUE_BYTES), None);
    let of_sender = |what| {
        if what == "bytes of this sender" {
            full(what, MAX_MEMPOOL_BYTES_PER_SENDER)
        } else {
            full(what, MAX_MEMPOOL_TXS_PER_SENDER)
        }
    };
    for (call, what) in [
        (create("x"), "transactions of this sender"),
        (control(10), "transactions of this sender"),
        (record.clone(), "bytes of this sender"),
        (control(MAX_RECORD_VALUE_BYTES), "bytes of this sender"),
    ] {
        let mut pool = Mempool::new();
        let (count, error) = fill(&mut pool, "a", &call);
        assert_eq!(error, of_sender(what), "{call:?}");
        assert!(count <= MAX_MEMPOOL_TXS / 4 && pool.bytes() <= MAX_MEMPOOL_BYTES / 4);
        assert_eq!(pool.add(tx_with("b", 0, 10, record.clone()), Height(0)), Ok(()));
        assert_eq!(pool.add(tx_with("b", 0, 10, switch("b", "b2", 0)), Height(0)), Ok(()));
    }
}

#[test]
fn registrations_by_invitations_of_one_organisation_count_together_whoever_sends_them() {
    let mut pool = Mempool::new();
    let by = |org_name: &str, node: &str| {
        tx_with(node, 1, 10, invited(&invitation(org_name, 1, InvitedAs::Observer, 10)))
    };
    for i in 0..MAX_MEMPOOL_INVITED_TXS {
        assert_eq!(pool.add(by("a", &format!("new-{i}")), Height(0)), Ok(()));
    }
    let what = "registrations by invitations of this organisation";
    let error = full(what, MAX_MEMPOOL_INVITED_TXS);
    assert_eq!(pool.add(by("a", "one-more"), Height(0)), Err(error));
    assert_eq!(pool.add(by("b", "one-more"), Height(0)), Ok(()));
    // Nothing else is in their way, and they come free.
    assert_eq!(pool.add(tx("a-admin", 1, 10), Height(0)), Ok(()));
    pool.remove(&by("a", "new-0").hash());
    assert_eq!(pool.add(by("a", "one-more"), Height(0)), Ok(()));
    let long = Call::Consortium(consortium::Call::RegisterInvited {
        invitation: invitation("c", 1, InvitedAs::Observer, 10),
        addresses: vec!["x".repeat(MAX_MEMPOOL_INVITED_TXS * MAX_INVITED_TX_BYTES)],
    });
    let refused = pool.add(tx_with("new", 1, 10, long), Height(0));
    assert!(matches!(refused, Err(Error::MempoolFull { .. })), "{refused:?}");
}

#[test]
fn the_mempool_is_bounded_in_transactions_and_has_room_in_reserve_for_control() {
    let mut pool = Mempool::new();
    let of_sender = |max| full("transactions of this sender", max);
    let common = MAX_MEMPOOL_TXS - MEMPOOL_RESERVE_TXS;
    for sender in ["a", "b", "c"] {
        let expected = (MAX_MEMPOOL_TXS_PER_SENDER, of_sender(MAX_MEMPOOL_TXS_PER_SENDER));
        assert_eq!(fill(&mut pool, sender, &create("x")), expected);
    }
    let rest = common - 3 * MAX_MEMPOOL_TXS_PER_SENDER;
    assert_eq!(fill(&mut pool, "d", &create("x")), (rest, full("transactions", common)));
    assert_eq!(fill(&mut pool, "e", &create("x")), (0, full("transactions", common)));

    // The reserve is for calls that run the chain, and of those who send few.
    assert_eq!(pool.add(tx_with("e", 0, 10, switch("b", "b2", 0)), Height(0)), Ok(()));
    let (all, each) = (MEMPOOL_RESERVE_TXS, MEMPOOL_RESERVE_TXS_PER_SENDER);
    assert_eq!(fill(&mut pool, "d", &control(10)), (0, of_sender(each)));
    assert_eq!(fill(&mut pool, "e", &control(10)), (each - 1, of_sender(each)));
    for sender in ["f", "g"] {
        assert_eq!(fill(&mut pool, sender, &control(10)), (each, of_sender(each)));
    }
    let left = all - 3 * each;
    assert_eq!(fill(&mut pool, "h", &control(10)).0, left);
    assert_eq!(pool.len(), MAX_MEMPOOL_TXS);
    assert_eq!(fill(&mut pool, "i", &control(10)), (0, full("transactions", MAX_MEMPOOL_TXS)));

    // What becomes free is the reserve's first.
    let first = pool.take(ALL, 1);
    pool.committed(&block(1, first));
    assert_eq!(pool.add(tx("i", 0, 10), Height(1)), Err(full("transactions", common)));
    assert_eq!(pool.add(tx_with("i", 0, 10, control(10)), Height(1)), Ok(()));
}

#[test]
fn the_mempool_is_bounded_in_bytes_and_has_room_in_reserve_for_control() {
    let mut pool = Mempool::new();
    let record = put("x", "k", &"v".repeat(MAX_RECORD_VALUE_BYTES), None);
    let common = MAX_MEMPOOL_BYTES - MEMPOOL_RESERVE_BYTES;
    for sender in ["a", "b", "c"] {
        let error = full("bytes of this sender", MAX_MEMPOOL_BYTES_PER_SENDER);
        assert_eq!(fill(&mut pool, sender, &record).1, error);
    }
    assert_eq!(fill(&mut pool, "d", &record).1, full("bytes", common));
    assert!(pool.bytes() <= common && pool.bytes() + MAX_TX_BYTES > common);
    assert_eq!(fill(&mut pool, "e", &record), (0, full("bytes", common)));

    let each = full("bytes of this sender", MEMPOOL_RESERVE_BYTES_PER_SENDER);
    let big = control(MAX_RECORD_VALUE_BYTES);
    assert_eq!(fill(&mut pool, "d", &big), (0, each.clone()));
    for sender in ["e", "f", "g", "h"] {
        assert_eq!(fill(&mut pool, sender, &big), (5, each.clone()));
    }
    assert_eq!(fill(&mut pool, "i", &big).1, full("bytes", MAX_MEMPOOL_BYTES));
    assert!(pool.bytes() <= MAX_MEMPOOL_BYTES && pool.bytes() + MAX_TX_BYTES > MAX_MEMPOOL_BYTES);
}

#[test]
fn the_mempool_is_bounded_in_what_it_remembers() {
    let mut pool = Mempool::new();
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
            let senders = pool.accounts.values();
            let of_senders = senders.fold((0, 0), |sum, of| (sum.0 + of.txs, sum.1 + of.bytes));
            prop_assert_eq!(of_senders, (list.len(), bytes));
            for tx in &txs {
                prop_assert_eq!(pool.contains(&tx.hash()), list.contains(tx));
            }
        }
    }
}
