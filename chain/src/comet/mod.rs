//! What is hashed and signed, in CometBFT 0.38's encodings.

use crate::block::{Commit, Header};
use crate::evidence::Evidence;
use crate::liveness::SignedRecord;
use crate::roles::RoleTable;
use crate::tx::Tx;
use crate::types::{BlockId, ChainId, Hash, Height, Round, Timestamp};
use crate::vote::VoteKind;

/// Hash of a header: its block's id.
#[must_use]
pub fn header_hash(_header: &Header) -> Hash {
    todo!()
}

/// Hash of the validator set that a role table is.
#[must_use]
pub fn validators_hash(_table: &RoleTable) -> Hash {
    todo!()
}

/// Hash of a certificate: root over its signatures.
#[must_use]
pub fn commit_hash(_commit: &Commit) -> Hash {
    todo!()
}

/// Root over the SHA-256 of every transaction, the liveness record first.
#[must_use]
pub fn data_hash(_record: &SignedRecord, _txs: &[Tx]) -> Hash {
    todo!()
}

/// Root over evidence.
#[must_use]
pub fn evidence_hash(_evidence: &[Evidence]) -> Hash {
    todo!()
}

/// Hash of the block limits that CometBFT hashes into a header; max_gas is -1 (none).
#[must_use]
pub fn consensus_hash(_block_max_bytes: u64) -> Hash {
    todo!()
}

/// Root over the results of a block: code and data of each.
#[must_use]
pub fn results_hash<'a>(_results: impl IntoIterator<Item = (u32, &'a [u8])>) -> Hash {
    todo!()
}

/// Sign bytes of a vote.
#[must_use]
pub fn vote_sign_bytes(
    _chain_id: &ChainId,
    _kind: VoteKind,
    _height: Height,
    _round: Round,
    _block: Option<BlockId>,
    _timestamp: Timestamp,
) -> Vec<u8> {
    todo!()
}

/// Sign bytes of a vote extension.
#[must_use]
pub fn extension_sign_bytes(
    _chain_id: &ChainId,
    _height: Height,
    _round: Round,
    _extension: &[u8],
) -> Vec<u8> {
    todo!()
}

/// Sign bytes of a proposal; `valid_round` is the paper's, none for -1.
#[must_use]
pub fn proposal_sign_bytes(
    _chain_id: &ChainId,
    _height: Height,
    _round: Round,
    _valid_round: Option<Round>,
    _block: BlockId,
    _timestamp: Timestamp,
) -> Vec<u8> {
    todo!()
}
