//! Validator sets: a role table as light clients see it.

use prost::Message as _;
use tendermint_proto::v0_38::{crypto, types as proto};

use crate::comet::merkle;
use crate::keys::PublicKey;
use crate::roles::RoleTable;
use crate::types::{Hash, Power};

/// An ed25519 key as a protobuf message.
#[must_use]
pub fn public_key(key: &PublicKey) -> crypto::PublicKey {
    crypto::PublicKey { sum: Some(crypto::public_key::Sum::Ed25519(key.0.to_vec())) }
}

/// Hash of the validator set that a role table is: root over key and power of each validator, by
/// power descending, then address.
#[must_use]
pub fn validators_hash(table: &RoleTable) -> Hash {
    keys_hash(table.validators().iter().map(|validator| (&validator.key, validator.power)))
}

/// Hash of a validator set by keys and powers, in its order.
#[must_use]
pub fn keys_hash<'a>(validators: impl IntoIterator<Item = (&'a PublicKey, Power)>) -> Hash {
    let leaf = |(key, power): (&PublicKey, Power)| {
        let pub_key = Some(public_key(key));
        proto::SimpleValidator { pub_key, voting_power: power.0.cast_signed() }.encode_to_vec()
    };
    merkle::root(&validators.into_iter().map(leaf).collect::<Vec<_>>())
}
