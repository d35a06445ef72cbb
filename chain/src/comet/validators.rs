//! Validator sets: a role table as light clients see it.

use prost::Message as _;
use tendermint_proto::v0_38::{crypto, types as proto};

use crate::comet::merkle;
use crate::keys::PublicKey;
use crate::roles::RoleTable;
use crate::types::Hash;

/// An ed25519 key as a protobuf message.
#[must_use]
pub fn public_key(key: &PublicKey) -> crypto::PublicKey {
    crypto::PublicKey { sum: Some(crypto::public_key::Sum::Ed25519(key.0.to_vec())) }
}

/// Hash of the validator set that a role table is: root over key and power of each validator, by
/// power descending, then address.
#[must_use]
pub fn validators_hash(table: &RoleTable) -> Hash {
    let leaves: Vec<Vec<u8>> = table
        .validators()
        .iter()
        .map(|validator| {
            let simple = proto::SimpleValidator {
                pub_key: Some(public_key(&validator.key)),
                voting_power: validator.power.0.cast_signed(),
            };
            simple.encode_to_vec()
        })
        .collect();
    merkle::root(&leaves)
}
