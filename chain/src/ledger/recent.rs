//! Blocks that the next ones may still be judged by: their transactions are not to be repeated,
//! and their times stand in evidence.
//!
//! `recent/HEIGHT` (eight bytes, high byte first) in the state holds a [`Recent`] for each block of
//! the window. For each transaction in it the key `01 ‖ hash` is in [`Column::Tree`], so that a
//! repetition is found by one look-up, without the window in memory.

use serde::{Deserialize, Serialize};

use crate::block::Block;
use crate::error::Error;
use crate::ledger::state::{State, decode, key_of};
use crate::limits::{EVIDENCE_WINDOW, MAX_TX_VALIDITY};
use crate::store::{Batch, Column, Store};
use crate::tx::Tx;
use crate::types::{Height, Timestamp, TxHash};

/// Blocks that are remembered: the next block may repeat a transaction of, or carry evidence
/// about, any of the last this many.
const WINDOW: u64 =
    if MAX_TX_VALIDITY > EVIDENCE_WINDOW { MAX_TX_VALIDITY } else { EVIDENCE_WINDOW };

const RECENT: &str = "recent/";
/// First byte of the keys of transaction hashes in [`Column::Tree`].
const HASH_PREFIX: u8 = 1;

/// What is remembered of a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recent {
    /// Its time.
    pub time: Timestamp,
    /// Its transactions.
    pub txs: Vec<TxHash>,
}

fn key(height: Height) -> Vec<u8> {
    key_of(RECENT, &height.0.to_be_bytes())
}

fn hash_key(hash: &TxHash) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + TxHash::LEN);
    key.push(HASH_PREFIX);
    key.extend_from_slice(&hash.0);
    key
}

fn read(state: &mut State, height: Height) -> Result<Option<Recent>, Error> {
    state.read("recent block", &key(height))
}

/// The time of a block of the window.
pub(super) fn time_of(store: &dyn Store, height: Height) -> Result<Option<Timestamp>, Error> {
    Ok(read(&mut State::new(store), height)?.map(|recent| recent.time))
}

/// Whether a transaction stands in a block of the chain. Those that can no longer be valid are
/// forgotten.
///
/// # Errors
/// [`Error::Storage`].
pub fn is_committed(store: &dyn Store, hash: &TxHash) -> Result<bool, Error> {
    Ok(store.get(Column::Tree, &hash_key(hash))?.is_some())
}

/// Adds to `batch` what the index has for an entry of the state, when that is of a block of the
/// window.
///
/// # Errors
/// [`Error::Damaged`].
pub(crate) fn remember_again(key: &[u8], value: &[u8], batch: &mut Batch) -> Result<(), Error> {
    if key.starts_with(RECENT.as_bytes()) {
        for hash in decode::<Recent>("recent block", value)?.txs {
            batch.put(Column::Tree, hash_key(&hash), Vec::new());
        }
    }
    Ok(())
}

/// Remembers a block and forgets the one that leaves the window.
pub(super) fn remember(state: &mut State, block: &Block, batch: &mut Batch) -> Result<(), Error> {
    let height = block.header.height;
    let txs: Vec<TxHash> = block.txs.iter().map(Tx::hash).collect();
    if let Some(old) = height.0.checked_sub(WINDOW).map(Height)
        && let Some(recent) = read(state, old)?
    {
        for hash in &recent.txs {
            batch.delete(Column::Tree, hash_key(hash));
        }
        state.delete(key(old));
    }
    for hash in &txs {
        batch.put(Column::Tree, hash_key(hash), Vec::new());
    }
    state.write(key(height), &Recent { time: block.header.time, txs });
    Ok(())
}
