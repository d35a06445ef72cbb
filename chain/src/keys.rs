//! Keys and signatures: ed25519 by one rule.
//!
//! The rule is `verify_strict` of ed25519-dalek, for single and for many signatures alike, so that
//! every node gives the same verdict on every byte string. Weak (small-order) keys are refused
//! where keys enter the chain: at genesis and at registration.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;

use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};

use crate::codec;
use crate::error::Error;
use crate::types::{Address, ChainId, Hash, byte_array};

byte_array!(
    /// An ed25519 public key, as bytes that may not be a point of the curve.
    PublicKey,
    32
);
byte_array!(
    /// An ed25519 signature, as bytes.
    Signature,
    64
);

impl PublicKey {
    /// The address of the node with this key.
    #[must_use]
    pub fn address(&self) -> Address {
        let hash = Hash::of(&self.0);
        Address::from_slice(&hash.0[..Address::LEN]).expect("20 of 32 bytes")
    }

    /// Whether the key may enter the chain: a point of the curve, and not of small order.
    ///
    /// # Errors
    /// [`Error::WeakKey`].
    pub fn check(&self) -> Result<(), Error> {
        match VerifyingKey::from_bytes(&self.0) {
            Ok(key) if !key.is_weak() => Ok(()),
            _ => Err(Error::WeakKey { key: *self }),
        }
    }

    /// Whether `signature` is this key's over `message`: `verify_strict`, the only rule.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &Signature) -> bool {
        self.point().is_some_and(|point| is_signed(&point, message, signature))
    }

    fn point(&self) -> Option<VerifyingKey> {
        VerifyingKey::from_bytes(&self.0).ok()
    }
}

fn is_signed(point: &VerifyingKey, message: &[u8], signature: &Signature) -> bool {
    point.verify_strict(message, &ed25519_dalek::Signature::from_bytes(&signature.0)).is_ok()
}

/// What is signed outside CometBFT's formats. Each has a prefix of its own, so that a signature
/// over one kind is never one over another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// A transaction.
    Transaction,
    /// A liveness record, by the proposer of its block.
    LivenessRecord,
    /// A follow message.
    Follow,
    /// A proof, by a node's key, that it is to be a node of an organisation.
    Registration,
    /// An invitation of a node that is not known yet, by its organisation's admin key.
    Invitation,
    /// A claim of an invitation for one node, by the invitation's one-time key.
    Claim,
    /// A proof, by a node's key, that a guest at a member speaks for it.
    Visit,
    /// What an operator asks of a running node, with that node's own key.
    Operator,
    /// A permit to read, by the key that reads.
    Permit,
    /// A node's key with what it has signed, on its way to another home, by that key.
    KeyMove,
}

impl Domain {
    fn prefix(self) -> &'static [u8] {
        match self {
            Self::Transaction => b"tandem/transaction/1\0",
            Self::LivenessRecord => b"tandem/liveness-record/1\0",
            Self::Follow => b"tandem/follow/1\0",
            Self::Registration => b"tandem/registration/1\0",
            Self::Invitation => b"tandem/invitation/1\0",
            Self::Claim => b"tandem/claim/1\0",
            Self::Visit => b"tandem/visit/1\0",
            Self::Operator => b"tandem/operator/1\0",
            Self::Permit => b"tandem/permit/1\0",
            Self::KeyMove => b"tandem/key-move/1\0",
        }
    }

    /// What is signed: the domain's prefix, the chain id, and the encoding of `value`.
    #[must_use]
    pub fn sign_bytes<T: serde::Serialize>(self, chain_id: &ChainId, value: &T) -> Vec<u8> {
        self.sign_bytes_of(chain_id, &codec::encode(value))
    }

    /// As [`Domain::sign_bytes`], of a value by its encoding.
    #[must_use]
    pub fn sign_bytes_of(self, chain_id: &ChainId, encoded: &[u8]) -> Vec<u8> {
        [self.prefix(), &codec::encode(chain_id), encoded].concat()
    }

    /// What stands behind the domain's prefix in bytes that are signed: the encodings of the chain id and
    /// of the value; none in those of another domain.
    #[must_use]
    pub fn encoded(self, sign_bytes: &[u8]) -> Option<&[u8]> {
        sign_bytes.strip_prefix(self.prefix())
    }
}

/// Who checks signatures: [`Strict`], or something with the same verdicts that is faster, such as
/// a memory of what was checked before.
pub trait Verifier {
    /// Whether `signature` is that of `key` over `message`.
    fn verifies(&self, key: &PublicKey, message: &[u8], signature: &Signature) -> bool;
}

/// [`PublicKey::verifies`] at each call.
#[derive(Clone, Copy, Debug, Default)]
pub struct Strict;

impl Verifier for Strict {
    fn verifies(&self, key: &PublicKey, message: &[u8], signature: &Signature) -> bool {
        key.verifies(message, signature)
    }
}

/// As [`Strict`], for keys that sign again and again: their points are kept, so that each is
/// decompressed once, which is a tenth of a check. For one thread.
#[derive(Debug, Default)]
pub struct Prepared(RefCell<BTreeMap<PublicKey, VerifyingKey>>);

impl Prepared {
    /// Points that are kept; then it begins anew.
    pub const MAX_KEYS: usize = 4_096;
}

impl Verifier for Prepared {
    fn verifies(&self, key: &PublicKey, message: &[u8], signature: &Signature) -> bool {
        let mut points = self.0.borrow_mut();
        if let Some(point) = points.get(key) {
            return is_signed(point, message, signature);
        }
        let Some(point) = key.point() else { return false };
        if points.len() >= Self::MAX_KEYS {
            points.clear();
        }
        points.insert(*key, point);
        is_signed(&point, message, signature)
    }
}

/// Who makes a node's signatures.
pub trait Signer: Send + Sync {
    /// The node's public key.
    fn public(&self) -> PublicKey;

    /// The signature over `message`.
    fn sign(&self, message: &[u8]) -> Signature;
}

impl Signer for SecretKey {
    fn public(&self) -> PublicKey {
        SecretKey::public(self)
    }

    fn sign(&self, message: &[u8]) -> Signature {
        SecretKey::sign(self, message)
    }
}

/// A private key. Its bytes are wiped from memory when it is dropped.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// From the 32 bytes of an ed25519 seed.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The seed's 32 bytes.
    #[must_use]
    pub fn seed(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// The signature over `message`.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.0.sign(message).to_bytes())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {})", self.public())
    }
}

#[cfg(test)]
mod tests;
