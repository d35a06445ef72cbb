//! What a block may carry, judged by the state before it.

use std::collections::BTreeSet;

use crate::block::Block;
use crate::error::Error;
use crate::evidence::Evidence;
use crate::keys::PublicKey;
use crate::ledger::recent::{is_committed, time_of};
use crate::limits::{EVIDENCE_WINDOW, MAX_BLOCK_EVIDENCE};
use crate::mempool::check_validity;
use crate::modules::consortium::{self, KeyRole};
use crate::modules::standby::table_at;
use crate::store::Store;
use crate::tip::Tip;
use crate::tx::Tx;
use crate::types::{Height, TxHash};
use crate::vote::Vote;

/// Counts what a block holds so far, against the limits of the parameters.
struct Room {
    bytes: usize,
    txs: usize,
    max_bytes: usize,
    max_txs: usize,
    hashes: BTreeSet<TxHash>,
}

impl Room {
    fn new(tip: &Tip) -> Self {
        let limit = |value| usize::try_from(value).unwrap_or(usize::MAX);
        Self {
            bytes: 0,
            txs: 0,
            max_bytes: limit(tip.parameters.block_max_bytes),
            max_txs: limit(tip.parameters.block_max_txs),
            hashes: BTreeSet::new(),
        }
    }

    /// Whether there is room for one more.
    fn has_room_for(&self, tx: &Tx) -> bool {
        self.txs < self.max_txs && self.bytes + tx.bytes().len() <= self.max_bytes
    }

    fn count(&mut self, tx: &Tx) {
        self.bytes += tx.bytes().len();
        self.txs += 1;
    }

    /// Whether the transaction may stand in the block of `height` after those before.
    fn check(&mut self, store: &dyn Store, tx: &Tx, height: Height) -> Result<(), Error> {
        check_validity(tx.body().valid_until, height)?;
        let hash = tx.hash();
        if !self.hashes.insert(hash) || is_committed(store, &hash)? {
            return Err(Error::Repeated { hash });
        }
        Ok(())
    }
}

pub(super) fn check(store: &dyn Store, tip: &Tip, block: &Block) -> Result<(), Error> {
    let height = tip.height.next();
    if block.header.height != height {
        return Err(Error::WrongHeight { expected: height, got: block.header.height });
    }
    let mut room = Room::new(tip);
    if block.txs.len() > room.max_txs {
        let what = "transactions of a block";
        return Err(Error::TooMany { what, max: room.max_txs, got: block.txs.len() });
    }
    let bytes = block.txs.iter().map(|tx| tx.bytes().len()).sum();
    if bytes > room.max_bytes {
        let what = "transactions of a block";
        return Err(Error::TooLong { what, max: room.max_bytes, got: bytes });
    }
    for tx in &block.txs {
        room.check(store, tx, height)?;
    }
    check_evidence(store, &block.evidence, height)
}

pub(super) fn select(store: &dyn Store, tip: &Tip, txs: Vec<Tx>) -> Result<Vec<Tx>, Error> {
    let height = tip.height.next();
    let mut room = Room::new(tip);
    let mut selected = Vec::with_capacity(txs.len());
    for tx in txs {
        if !room.has_room_for(&tx) {
            break;
        }
        match room.check(store, &tx, height) {
            Ok(()) => {
                room.count(&tx);
                selected.push(tx);
            }
            Err(fault) if fault.is_of_store() => return Err(fault),
            Err(_) => {}
        }
    }
    Ok(selected)
}

fn check_evidence(store: &dyn Store, list: &[Evidence], height: Height) -> Result<(), Error> {
    if list.len() > MAX_BLOCK_EVIDENCE {
        let got = list.len();
        return Err(Error::TooMany { what: "evidence", max: MAX_BLOCK_EVIDENCE, got });
    }
    let mut keys = BTreeSet::new();
    for evidence in list {
        if !keys.insert(evidence.key) {
            return Err(Error::Evidence { what: "two pieces about one key" });
        }
        let (a, b) = (&evidence.vote_a, &evidence.vote_b);
        let known = complete(store, a, b, evidence.key, height)?;
        if known? != *evidence {
            let what = "powers, time or votes are not those of the chain";
            return Err(Error::Evidence { what });
        }
    }
    Ok(())
}

/// The evidence that two votes are, with power and time from the state before the block of
/// `height`; or why they are none that this block may carry.
pub(super) fn complete(
    store: &dyn Store,
    a: &Vote,
    b: &Vote,
    key: PublicKey,
    height: Height,
) -> Result<Result<Evidence, Error>, Error> {
    let refuse = |what| Ok(Err(Error::Evidence { what }));
    let of = a.height;
    if of >= height || of.plus(EVIDENCE_WINDOW) < height {
        return refuse("its height is not one of the evidence window");
    }
    let (Some(time), Some(table)) = (time_of(store, of)?, table_at(store, of)?) else {
        return refuse("its height is not one of the evidence window");
    };
    let Some((index, voter)) = table.by_key(&key) else {
        return refuse("its key held no seat at its height");
    };
    if [a, b].iter().any(|vote| usize::from(vote.validator_index) != index) {
        return refuse("its votes have another index than the key's");
    }
    if consortium::key(store, &key)?.is_some_and(|entry| entry.role == KeyRole::Barred) {
        return refuse("its key is barred already");
    }
    Ok(Ok(Evidence::new(a, b, key, table.total_power(), voter.power, time)))
}
