//! Evidence of double signing.

use prost::Message as _;
use tendermint_proto::v0_38::types as proto;

use crate::comet::header::block_id;
use crate::comet::votes::signed_msg_type;
use crate::comet::{merkle, timestamp};
use crate::evidence::Evidence;
use crate::types::Hash;
use crate::vote::Vote;

/// A vote as a protobuf message, without its observation. A nil vote's block id is present and
/// empty here, though its sign bytes have none.
#[must_use]
pub fn vote_proto(vote: &Vote) -> proto::Vote {
    proto::Vote {
        r#type: signed_msg_type(vote.kind).into(),
        height: vote.height.0.cast_signed(),
        round: vote.round.0.cast_signed(),
        block_id: Some(block_id(vote.block)),
        timestamp: Some(timestamp(vote.timestamp)),
        validator_address: vote.validator_address.0.to_vec(),
        validator_index: vote.validator_index.into(),
        signature: vote.signature.0.to_vec(),
        extension: Vec::new(),
        extension_signature: Vec::new(),
    }
}

/// Evidence as a protobuf message.
#[must_use]
pub fn evidence_proto(evidence: &Evidence) -> proto::DuplicateVoteEvidence {
    proto::DuplicateVoteEvidence {
        vote_a: Some(vote_proto(&evidence.vote_a)),
        vote_b: Some(vote_proto(&evidence.vote_b)),
        total_voting_power: evidence.total_power.0.cast_signed(),
        validator_power: evidence.validator_power.0.cast_signed(),
        timestamp: Some(timestamp(evidence.timestamp)),
    }
}

/// Evidence in protobuf's encoding; its SHA-256 is what CometBFT calls it by.
#[must_use]
pub fn evidence_bytes(evidence: &Evidence) -> Vec<u8> {
    evidence_proto(evidence).encode_to_vec()
}

/// Root over evidence: over the duplicate-vote messages themselves, not the `oneof` around them.
#[must_use]
pub fn evidence_proto_hash(evidence: &[proto::DuplicateVoteEvidence]) -> Hash {
    let leaves: Vec<Vec<u8>> =
        evidence.iter().map(proto::DuplicateVoteEvidence::encode_to_vec).collect();
    merkle::root(&leaves)
}

/// Root over evidence.
#[must_use]
pub fn evidence_hash(evidence: &[Evidence]) -> Hash {
    let messages: Vec<_> = evidence.iter().map(evidence_proto).collect();
    evidence_proto_hash(&messages)
}
