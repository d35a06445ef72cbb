//! What is hashed and signed, in CometBFT 0.38's encodings, so that light clients and explorers
//! that exist can read the chain.
//!
//! Everything goes through raw protobuf messages (`*_proto`), never through types that drop
//! fields which are present but empty. Numbers that came from a peer are cast bit by bit
//! (`u64` to `i64`), so that no value panics and no two values share an encoding; what is in range
//! is checked elsewhere.

mod commit;
mod data;
mod evidence;
mod header;
mod merkle;
mod validators;
mod votes;

use tendermint_proto::google::protobuf;

pub use commit::{commit_hash, commit_proto, commit_proto_hash, commit_sig_proto};
pub use data::{data_hash, results_hash, tx_hashes_root, tx_inclusion};
pub use evidence::{
    evidence_bytes, evidence_hash, evidence_proto, evidence_proto_hash, vote_proto,
};
pub use header::{block_id, consensus_hash, header_hash, header_proto, header_proto_hash};
pub use merkle::Inclusion;
pub use validators::{keys_hash, public_key, validators_hash};
pub use votes::{extension_sign_bytes, proposal_sign_bytes, signed_msg_type, vote_sign_bytes};

use crate::types::Timestamp;

/// Version of the block format in every header: that of CometBFT 0.38.
pub const BLOCK_VERSION: u64 = 11;
/// Version of the application in every header.
pub const APP_VERSION: u64 = 1;

/// A time as a protobuf message.
#[must_use]
pub fn timestamp(time: Timestamp) -> protobuf::Timestamp {
    let nanos = time.subsec_nanos().cast_signed();
    protobuf::Timestamp { seconds: time.seconds(), nanos }
}
