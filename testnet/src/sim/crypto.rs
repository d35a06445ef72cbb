//! Signatures of a history: real ed25519 in some seeds, a keyed hash in the others, for speed.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use tandem_chain::keys::{PublicKey, SecretKey, Signature, Signer, Verifier};
use tandem_chain::types::Hash;

/// What signatures are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Scheme {
    /// Ed25519, by the one strict rule
    Ed25519,
    /// A hash of key and message: anyone could make it, and nobody here does
    Hashed,
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ed25519 => "ed25519",
            Self::Hashed => "hashed",
        })
    }
}

impl Scheme {
    /// The signer of a node.
    #[must_use]
    pub fn signer(self, secret: &SecretKey) -> Arc<dyn Signer> {
        match self {
            Self::Ed25519 => Arc::new(secret.clone()),
            Self::Hashed => Arc::new(Hashed(secret.public())),
        }
    }
}

struct Hashed(PublicKey);

impl Signer for Hashed {
    fn public(&self) -> PublicKey {
        self.0
    }

    fn sign(&self, message: &[u8]) -> Signature {
        hashed(&self.0, message)
    }
}

/// Not a cryptographic hash: what it must do here is to differ when anything differs.
fn hashed(key: &PublicKey, message: &[u8]) -> Signature {
    let mut state = [0x243f_6a88_85a3_08d3_u64, 0x1319_8a2e_0370_7344];
    for chunk in key.as_bytes().chunks(8).chain(message.chunks(8)) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        let word = u64::from_le_bytes(word) ^ (chunk.len() as u64) << 60;
        state[0] = (state[0] ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31);
        state[1] = (state[1].rotate_left(17) ^ state[0]).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    }
    let mut signature = [0; Signature::LEN];
    signature[..8].copy_from_slice(&state[0].to_le_bytes());
    signature[8..16].copy_from_slice(&state[1].to_le_bytes());
    Signature(signature)
}

/// Verdicts that are remembered at most.
const MAX_MEMORY: usize = 50_000;

/// Checks signatures; each ed25519 signature once.
#[derive(Debug)]
pub struct Memo {
    scheme: Scheme,
    verdicts: RefCell<BTreeMap<Hash, bool>>,
}

impl Memo {
    /// Remembers nothing yet.
    #[must_use]
    pub fn new(scheme: Scheme) -> Self {
        Self { scheme, verdicts: RefCell::default() }
    }
}

impl Verifier for Memo {
    fn verifies(&self, key: &PublicKey, message: &[u8], signature: &Signature) -> bool {
        if self.scheme == Scheme::Hashed {
            return hashed(key, message) == *signature;
        }
        let parts = [key.as_bytes().as_slice(), signature.as_bytes(), message];
        let id = Hash::of(&parts.concat());
        let mut verdicts = self.verdicts.borrow_mut();
        if verdicts.len() >= MAX_MEMORY {
            verdicts.clear();
        }
        *verdicts.entry(id).or_insert_with(|| key.verifies(message, signature))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_schemes_accept_what_was_signed_and_nothing_else() {
        let secret = SecretKey::from_seed(&[3; 32]);
        for scheme in [Scheme::Ed25519, Scheme::Hashed] {
            let (signer, memo) = (scheme.signer(&secret), Memo::new(scheme));
            let signature = signer.sign(b"yes");
            for _ in 0..2 {
                assert!(memo.verifies(&secret.public(), b"yes", &signature));
                assert!(!memo.verifies(&secret.public(), b"no", &signature));
            }
        }
    }
}
