//! Memory of signatures that were found good, so that a vote that comes again inside a certificate
//! or a proposal is not checked again.

use std::collections::HashSet;
use std::sync::Mutex;

use tandem_chain::keys::{PublicKey, Signature, Verifier};
use tandem_chain::types::Hash;

/// Signatures remembered in each of the two generations.
const GENERATION: usize = 16_384;

/// [`tandem_chain::keys::Strict`] with a memory of good verdicts.
#[derive(Debug, Default)]
pub(crate) struct Memo(Mutex<Generations>);

#[derive(Debug, Default)]
struct Generations {
    young: HashSet<Hash>,
    old: HashSet<Hash>,
}

impl Memo {
    fn knows(&self, id: &Hash) -> bool {
        let generations = self.0.lock().expect("no holder of the lock panics");
        generations.young.contains(id) || generations.old.contains(id)
    }

    fn remember(&self, id: Hash) {
        let mut generations = self.0.lock().expect("no holder of the lock panics");
        if generations.young.len() >= GENERATION {
            generations.old = std::mem::take(&mut generations.young);
        }
        generations.young.insert(id);
    }
}

impl Verifier for Memo {
    fn verifies(&self, key: &PublicKey, message: &[u8], signature: &Signature) -> bool {
        let parts = [key.as_bytes().as_slice(), signature.as_bytes(), message];
        let id = Hash::of(&parts.concat());
        if self.knows(&id) {
            return true;
        }
        let good = key.verifies(message, signature);
        if good {
            self.remember(id);
        }
        good
    }
}

#[cfg(test)]
mod tests {
    use tandem_chain::keys::SecretKey;

    use super::*;

    #[test]
    fn verdicts_are_those_of_the_one_rule() {
        let memo = Memo::default();
        let key = SecretKey::from_seed(&[5; 32]);
        let signature = key.sign(b"yes");
        for _ in 0..2 {
            assert!(memo.verifies(&key.public(), b"yes", &signature));
            assert!(!memo.verifies(&key.public(), b"no", &signature));
        }
    }

    #[test]
    fn memory_is_bounded() {
        let memo = Memo::default();
        for i in 0..3 * GENERATION as u64 {
            memo.remember(Hash::of(&i.to_be_bytes()));
        }
        let generations = memo.0.lock().unwrap();
        assert!(generations.young.len() + generations.old.len() <= 2 * GENERATION);
    }
}
