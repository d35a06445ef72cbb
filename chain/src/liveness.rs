//! Observations and the liveness record.

use std::collections::BTreeSet;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::codec;
use crate::error::Error;
use crate::keys::{Domain, PublicKey, Signature, Signer, Verifier};
use crate::limits::{MAX_NODES, MAX_ORGS};
use crate::roles::{Register, RoleTable};
use crate::types::{ChainId, Height, Power};

/// A list of bits, one per registered node in the order of their keys.
///
/// Its one encoding is a count and `ceil(count / 8)` bytes, lowest bit first, with zeros behind the
/// last bit; anything else is refused by the decoder. For people it is a text of the digits 0 and 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bits(Vec<bool>);

#[derive(Serialize, Deserialize)]
struct RawBits {
    count: u16,
    bytes: Vec<u8>,
}

impl TryFrom<RawBits> for Bits {
    type Error = Error;

    fn try_from(raw: RawBits) -> Result<Self, Error> {
        let count = usize::from(raw.count);
        if count > MAX_NODES {
            return Err(Error::TooMany { what: "bits", max: MAX_NODES, got: count });
        }
        let expected = count.div_ceil(8);
        if raw.bytes.len() != expected {
            return Err(Error::Length { what: "bits", expected, got: raw.bytes.len() });
        }
        let bit = |i: usize| raw.bytes[i / 8] >> (i % 8) & 1 == 1;
        if (count..expected * 8).any(bit) {
            return Err(Error::NotCanonical { what: "bits" });
        }
        Ok(Self((0..count).map(bit).collect()))
    }
}

impl Serialize for Bits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            let digits: String = self.iter().map(|bit| if bit { '1' } else { '0' }).collect();
            return serializer.serialize_str(&digits);
        }
        RawBits::from(self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Bits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return RawBits::deserialize(deserializer)?.try_into().map_err(D::Error::custom);
        }
        let text = String::deserialize(deserializer)?;
        let bits = text.bytes().map(|digit| match digit {
            b'0' => Ok(false),
            b'1' => Ok(true),
            _ => Err(D::Error::custom("bits are the digits 0 and 1")),
        });
        let bits = bits.take(MAX_NODES + 1).collect::<Result<Vec<bool>, _>>()?;
        if bits.len() > MAX_NODES {
            let error = Error::TooMany { what: "bits", max: MAX_NODES, got: text.len() };
            return Err(D::Error::custom(error));
        }
        Ok(Self(bits))
    }
}

impl From<&Bits> for RawBits {
    fn from(bits: &Bits) -> Self {
        let mut bytes = vec![0; bits.0.len().div_ceil(8)];
        for (i, _) in bits.0.iter().enumerate().filter(|(_, bit)| **bit) {
            bytes[i / 8] |= 1 << (i % 8);
        }
        let count = u16::try_from(bits.0.len()).expect("at most MAX_NODES bits");
        Self { count, bytes }
    }
}

impl FromIterator<bool> for Bits {
    fn from_iter<I: IntoIterator<Item = bool>>(bits: I) -> Self {
        Self(bits.into_iter().collect())
    }
}

impl Bits {
    /// Number of bits.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bit `i`; false beyond the end.
    #[must_use]
    pub fn get(&self, i: usize) -> bool {
        self.0.get(i).copied().unwrap_or(false)
    }

    /// The bits in order.
    pub fn iter(&self) -> impl Iterator<Item = bool> + '_ {
        self.0.iter().copied()
    }

    /// As the content of a vote extension.
    #[must_use]
    pub fn to_extension(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// From the content of a vote extension.
    ///
    /// # Errors
    /// Those of [`codec::decode_canonical`].
    pub fn from_extension(bytes: &[u8]) -> Result<Self, Error> {
        codec::decode_canonical("observation", bytes, 10 + MAX_NODES.div_ceil(8))
    }
}

/// An observation as it was signed: one validator's bits, sent as the vote extension of its
/// precommit. The signature is over CometBFT's extension sign bytes of [`Bits::to_extension`] and
/// binds height, round and chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// One bit per node in the register after the height before the vote's.
    pub seen: Bits,
    /// The validator's signature.
    pub signature: Signature,
}

/// R_k, in block k >= 2, about block k-1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LivenessRecord {
    /// The height k of the block that carries it.
    pub height: Height,
    /// One bit per node in the register after k-2: alive or not. Empty in block 1.
    pub alive: Bits,
    /// For each entry of block k's last certificate, in its order, the observation that came with
    /// that precommit. Empty in block 1; none where the certificate has no signature.
    #[serde(deserialize_with = "codec::list::<MAX_ORGS, _, _>")]
    pub observations: Vec<Option<Observation>>,
}

impl LivenessRecord {
    /// The record that follows from the observations that came with block k-1's certificate.
    ///
    /// `table` is that of k-1, `register` that after k-2. A node is alive if and only if observers
    /// with more than f power saw it.
    #[must_use]
    pub fn derive(
        height: Height,
        table: &RoleTable,
        register: &Register,
        observations: Vec<Option<Observation>>,
    ) -> Self {
        let f = table.f();
        let alive = (0..register.nodes.len())
            .map(|node| {
                let power = table
                    .validators()
                    .iter()
                    .zip(&observations)
                    .filter(|(_, o)| o.as_ref().is_some_and(|o| o.seen.get(node)))
                    .map(|(validator, _)| validator.power.0)
                    .sum();
                Power(power) > f
            })
            .collect();
        Self { height, alive, observations }
    }

    /// The nodes that it calls alive; `register` is that after k-2.
    #[must_use]
    pub fn alive_nodes(&self, register: &Register) -> BTreeSet<PublicKey> {
        let keys = register.nodes.keys().zip(self.alive.iter());
        keys.filter(|(_, alive)| *alive).map(|(key, _)| *key).collect()
    }

    /// Signs the record as the proposer of its block.
    #[must_use]
    pub fn sign(self, chain_id: &ChainId, key: &dyn Signer) -> SignedRecord {
        let signature = key.sign(&Domain::LivenessRecord.sign_bytes(chain_id, &self));
        SignedRecord { record: self, signature }
    }
}

/// A liveness record with the signature of the proposer named in its block's header: the bytes of
/// transaction 0 are its encoding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedRecord {
    /// The record.
    pub record: LivenessRecord,
    /// The proposer's signature, in [`Domain::LivenessRecord`].
    pub signature: Signature,
}

impl SignedRecord {
    /// Checks the proposer's signature.
    ///
    /// # Errors
    /// [`Error::BadSignature`].
    pub fn verify(
        &self,
        verifier: &dyn Verifier,
        chain_id: &ChainId,
        proposer: &PublicKey,
    ) -> Result<(), Error> {
        let bytes = Domain::LivenessRecord.sign_bytes(chain_id, &self.record);
        if verifier.verifies(proposer, &bytes, &self.signature) {
            Ok(())
        } else {
            Err(Error::BadSignature { what: "liveness record", key: *proposer })
        }
    }
}

#[cfg(test)]
mod tests;
