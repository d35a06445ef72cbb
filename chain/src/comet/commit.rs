//! Certificates.

use prost::Message as _;
use tendermint_proto::google::protobuf;
use tendermint_proto::v0_38::types as proto;

use crate::block::{Commit, CommitSig};
use crate::comet::header::block_id;
use crate::comet::{merkle, timestamp};
use crate::types::Hash;

/// Seconds of 1 January of year 1, Go's zero time, which CometBFT writes for an absent signature.
const GO_ZERO_TIME_SECONDS: i64 = -62_135_596_800;

/// One entry of a certificate as a protobuf message; none is an absent one.
#[must_use]
pub fn commit_sig_proto(sig: Option<&CommitSig>) -> proto::CommitSig {
    match sig {
        Some(sig) => proto::CommitSig {
            block_id_flag: proto::BlockIdFlag::Commit.into(),
            validator_address: sig.address.0.to_vec(),
            timestamp: Some(timestamp(sig.timestamp)),
            signature: sig.signature.0.to_vec(),
        },
        None => proto::CommitSig {
            block_id_flag: proto::BlockIdFlag::Absent.into(),
            validator_address: Vec::new(),
            timestamp: Some(protobuf::Timestamp { seconds: GO_ZERO_TIME_SECONDS, nanos: 0 }),
            signature: Vec::new(),
        },
    }
}

/// A certificate as a protobuf message.
#[must_use]
pub fn commit_proto(commit: &Commit) -> proto::Commit {
    proto::Commit {
        height: commit.height.0.cast_signed(),
        round: commit.round.0.cast_signed(),
        block_id: Some(block_id(commit.block)),
        signatures: commit.signatures.iter().map(|sig| commit_sig_proto(sig.as_ref())).collect(),
    }
}

/// Hash of a certificate's protobuf message: root over its signatures.
#[must_use]
pub fn commit_proto_hash(commit: &proto::Commit) -> Hash {
    let leaves: Vec<Vec<u8>> =
        commit.signatures.iter().map(proto::CommitSig::encode_to_vec).collect();
    merkle::root(&leaves)
}

/// Hash of a certificate: root over its signatures. That of block 1's empty one is
/// [`Hash::EMPTY`].
#[must_use]
pub fn commit_hash(commit: &Commit) -> Hash {
    commit_proto_hash(&commit_proto(commit))
}
