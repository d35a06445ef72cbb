//! Transactions.

use std::fmt;
use std::sync::Arc;

use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::codec;
use crate::error::Error;
use crate::keys::{Domain, PublicKey, Signature, Signer, Verifier};
use crate::limits::MAX_TX_BYTES;
use crate::modules::Call;
use crate::types::{ChainId, Hash, Height, TxHash};

/// What a transaction's sender signs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TxBody {
    /// The chain it is for.
    pub chain_id: ChainId,
    /// Key of the sender.
    pub sender: PublicKey,
    /// Random, so that the same call can be made twice.
    pub nonce: u64,
    /// Last height at which it may stand in a block; at most
    /// [`crate::limits::MAX_TX_VALIDITY`] ahead of that block.
    pub valid_until: Height,
    /// What it does.
    pub call: Call,
}

impl TxBody {
    /// The bytes that its sender's signature is over.
    #[must_use]
    pub fn sign_bytes(&self) -> Vec<u8> {
        Domain::Transaction.sign_bytes(&self.chain_id, self)
    }

    /// The body whose [`TxBody::sign_bytes`] these are.
    ///
    /// # Errors
    /// [`Error::Undecodable`] and others of [`codec::decode_canonical`] when they are those of none;
    /// [`Error::OtherChain`] when they name two chains.
    pub fn of_sign_bytes(bytes: &[u8]) -> Result<Self, Error> {
        const WHAT: &str = "what is signed of a transaction";
        let encoded = Domain::Transaction.encoded(bytes).ok_or_else(|| {
            let reason = "it does not begin with the name of its domain".to_owned();
            Error::Undecodable { what: WHAT, reason }
        })?;
        let (expected, body): (ChainId, Self) =
            codec::decode_canonical(WHAT, encoded, MAX_TX_BYTES)?;
        if expected != body.chain_id {
            return Err(Error::OtherChain { what: WHAT, expected, got: body.chain_id });
        }
        Ok(body)
    }
}

#[derive(Serialize, Deserialize)]
struct Envelope {
    body: TxBody,
    signature: Signature,
}

/// A transaction with its bytes and hash. Cheap to clone; encoded as its bytes, and for people as its
/// hash, body and signature.
///
/// Its signature is *not* checked by decoding: see [`Tx::verify`].
#[derive(Clone)]
pub struct Tx(Arc<Inner>);

struct Inner {
    bytes: Vec<u8>,
    hash: TxHash,
    envelope: Envelope,
}

impl Tx {
    /// Signs `body` with the sender's key.
    ///
    /// # Panics
    /// When `key` is not that of `body.sender`.
    #[must_use]
    pub fn sign(body: TxBody, key: &dyn Signer) -> Self {
        assert_eq!(body.sender, key.public(), "a transaction is signed by its sender");
        let signature = key.sign(&body.sign_bytes());
        Self::new(Envelope { body, signature })
    }

    /// Puts a body and a signature over its [`TxBody::sign_bytes`] together.
    ///
    /// # Errors
    /// [`Error::TooLong`] when the transaction has more than [`MAX_TX_BYTES`].
    pub fn assemble(body: TxBody, signature: Signature) -> Result<Self, Error> {
        let tx = Self::new(Envelope { body, signature });
        match tx.bytes().len() {
            got if got > MAX_TX_BYTES => {
                Err(Error::TooLong { what: "transaction", max: MAX_TX_BYTES, got })
            }
            _ => Ok(tx),
        }
    }

    fn new(envelope: Envelope) -> Self {
        let bytes = codec::encode(&envelope);
        Self(Arc::new(Inner { hash: Hash::of(&bytes), bytes, envelope }))
    }

    /// Decodes a transaction's bytes, which must be canonical and at most
    /// [`MAX_TX_BYTES`].
    ///
    /// # Errors
    /// Those of [`codec::decode_canonical`].
    pub fn decode(bytes: Vec<u8>) -> Result<Self, Error> {
        let envelope = codec::decode_canonical("transaction", &bytes, MAX_TX_BYTES)?;
        Ok(Self(Arc::new(Inner { hash: Hash::of(&bytes), bytes, envelope })))
    }

    /// Checks chain id and signature.
    ///
    /// # Errors
    /// [`Error::OtherChain`], [`Error::BadSignature`].
    pub fn verify(&self, verifier: &dyn Verifier, chain_id: &ChainId) -> Result<(), Error> {
        let body = self.body();
        if body.chain_id != *chain_id {
            return Err(Error::OtherChain {
                what: "transaction",
                expected: chain_id.clone(),
                got: body.chain_id.clone(),
            });
        }
        // The body stands first, and has one encoding alone.
        let signed = &self.bytes()[..self.bytes().len() - Signature::LEN];
        let message = Domain::Transaction.sign_bytes_of(chain_id, signed);
        if verifier.verifies(&body.sender, &message, &self.0.envelope.signature) {
            Ok(())
        } else {
            Err(Error::BadSignature { what: "transaction", key: body.sender })
        }
    }

    /// What was signed.
    #[must_use]
    pub fn body(&self) -> &TxBody {
        &self.0.envelope.body
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0.bytes
    }

    /// SHA-256 of its bytes.
    #[must_use]
    pub fn hash(&self) -> TxHash {
        self.0.hash
    }
}

impl PartialEq for Tx {
    fn eq(&self, other: &Self) -> bool {
        self.0.bytes == other.0.bytes
    }
}

impl Eq for Tx {}

impl fmt::Debug for Tx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tx({})", self.hash())
    }
}

impl Serialize for Tx {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !serializer.is_human_readable() {
            return serializer.serialize_bytes(&self.0.bytes);
        }
        let Envelope { body, signature } = &self.0.envelope;
        let mut shown = serializer.serialize_struct("Tx", 3)?;
        shown.serialize_field("hash", &self.0.hash)?;
        shown.serialize_field("body", body)?;
        shown.serialize_field("signature", signature)?;
        shown.end()
    }
}

impl<'de> Deserialize<'de> for Tx {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl serde::de::Visitor<'_> for Bytes {
            type Value = Tx;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the bytes of a transaction")
            }
            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Tx, E> {
                Tx::decode(bytes.to_vec()).map_err(E::custom)
            }
            fn visit_byte_buf<E: serde::de::Error>(self, bytes: Vec<u8>) -> Result<Tx, E> {
                Tx::decode(bytes).map_err(E::custom)
            }
        }
        deserializer.deserialize_byte_buf(Bytes)
    }
}
