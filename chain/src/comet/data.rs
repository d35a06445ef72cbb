//! Transactions and their results.

use prost::Message as _;
use tendermint_proto::v0_38::abci;

use crate::codec;
use crate::comet::merkle::{self, Inclusion};
use crate::liveness::SignedRecord;
use crate::tx::Tx;
use crate::types::{Hash, TxHash};

/// Root over hashes of transactions.
#[must_use]
pub fn tx_hashes_root(hashes: &[TxHash]) -> Hash {
    merkle::root(hashes)
}

/// The way from the transaction at a place, of those with these hashes, to the root over all: with it
/// who has a header knows that a transaction is in its block.
#[must_use]
pub fn tx_inclusion(hashes: &[TxHash], index: usize) -> Option<Inclusion> {
    Inclusion::of(hashes, index)
}

/// Root over the SHA-256 of every transaction, the liveness record first.
#[must_use]
pub fn data_hash(record: &SignedRecord, txs: &[Tx]) -> Hash {
    let record = Hash::of(&codec::encode(record));
    let hashes: Vec<TxHash> = std::iter::once(record).chain(txs.iter().map(Tx::hash)).collect();
    tx_hashes_root(&hashes)
}

/// Root over the results of a block: code and data of each. Gas is 0; logs and events are not
/// hashed.
#[must_use]
pub fn results_hash<'a>(results: impl IntoIterator<Item = (u32, &'a [u8])>) -> Hash {
    let leaves: Vec<Vec<u8>> = results
        .into_iter()
        .map(|(code, data)| {
            let data = prost::bytes::Bytes::copy_from_slice(data);
            abci::ExecTxResult { code, data, ..Default::default() }.encode_to_vec()
        })
        .collect();
    merkle::root(&leaves)
}
