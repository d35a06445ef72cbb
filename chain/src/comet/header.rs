//! Block ids and headers.

use prost::Message as _;
use tendermint_proto::v0_38::{types as proto, version};

use crate::block::Header;
use crate::comet::{APP_VERSION, BLOCK_VERSION, merkle, timestamp};
use crate::types::{BlockId, Hash};

/// A block id with its part-set header, which is a function of the header's hash: one part, with
/// the same hash. None gives what CometBFT writes for height 1 and for a nil vote: a block id that
/// is present and empty.
#[must_use]
pub fn block_id(id: Option<BlockId>) -> proto::BlockId {
    let hash = id.map(|id| id.0.to_vec()).unwrap_or_default();
    proto::BlockId {
        part_set_header: Some(proto::PartSetHeader {
            total: u32::from(id.is_some()),
            hash: hash.clone(),
        }),
        hash,
    }
}

/// The header as a protobuf message.
#[must_use]
pub fn header_proto(header: &Header) -> proto::Header {
    proto::Header {
        version: Some(version::Consensus { block: BLOCK_VERSION, app: APP_VERSION }),
        chain_id: header.chain_id.as_str().to_owned(),
        height: header.height.0.cast_signed(),
        time: Some(timestamp(header.time)),
        last_block_id: Some(block_id(header.last_block_id)),
        last_commit_hash: header.last_commit_hash.0.to_vec(),
        data_hash: header.data_hash.0.to_vec(),
        validators_hash: header.validators_hash.0.to_vec(),
        next_validators_hash: header.next_validators_hash.0.to_vec(),
        consensus_hash: header.consensus_hash.0.to_vec(),
        app_hash: header.app_hash.0.to_vec(),
        last_results_hash: header.last_results_hash.0.to_vec(),
        evidence_hash: header.evidence_hash.0.to_vec(),
        proposer_address: header.proposer_address.0.to_vec(),
    }
}

/// Hash of a header's protobuf message: root over its fields, each in an encoding of its own
/// (numbers, strings and bytes in protobuf's wrapper messages).
#[must_use]
pub fn header_proto_hash(header: &proto::Header) -> Hash {
    merkle::root(&[
        header.version.unwrap_or_default().encode_to_vec(),
        header.chain_id.encode_to_vec(),
        header.height.encode_to_vec(),
        header.time.unwrap_or_default().encode_to_vec(),
        header.last_block_id.as_ref().map(proto::BlockId::encode_to_vec).unwrap_or_default(),
        header.last_commit_hash.encode_to_vec(),
        header.data_hash.encode_to_vec(),
        header.validators_hash.encode_to_vec(),
        header.next_validators_hash.encode_to_vec(),
        header.consensus_hash.encode_to_vec(),
        header.app_hash.encode_to_vec(),
        header.last_results_hash.encode_to_vec(),
        header.evidence_hash.encode_to_vec(),
        header.proposer_address.encode_to_vec(),
    ])
}

/// Hash of a header: its block's id.
#[must_use]
pub fn header_hash(header: &Header) -> BlockId {
    header_proto_hash(&header_proto(header))
}

/// Hash of the block limits that CometBFT hashes into a header; `max_gas` is -1 (none).
#[must_use]
pub fn consensus_hash(block_max_bytes: u64) -> Hash {
    let params =
        proto::HashedParams { block_max_bytes: block_max_bytes.cast_signed(), block_max_gas: -1 };
    Hash::of(&params.encode_to_vec())
}
