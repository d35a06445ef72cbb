//! Memory of good signatures.

use std::collections::HashSet;

use tandem_chain::limits::MAX_MEMPOOL_TXS;
use tandem_chain::types::TxHash;

/// Hashes in one generation.
const GENERATION: usize = 64 * 1024;

const _: () = assert!(MAX_MEMPOOL_TXS <= GENERATION, "all that waits is remembered");

/// Hashes of transactions whose signatures were good: the last [`GENERATION`] at least, twice as
/// many at most. A hash covers the signature, so that the verdict never changes.
#[derive(Debug, Default)]
pub struct Seen {
    young: HashSet<TxHash>,
    old: HashSet<TxHash>,
}

impl Seen {
    pub fn contains(&self, hash: &TxHash) -> bool {
        self.young.contains(hash) || self.old.contains(hash)
    }

    pub fn insert(&mut self, hash: TxHash) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(hash);
    }
}

#[cfg(test)]
mod tests {
    use tandem_chain::types::Hash;

    use super::*;

    #[test]
    fn remembers_a_generation_and_forgets_in_the_end() {
        let hash = |i: usize| Hash::of(&i.to_le_bytes());
        let mut seen = Seen::default();
        for i in 0..=2 * GENERATION {
            seen.insert(hash(i));
            assert!(seen.young.len() + seen.old.len() <= 2 * GENERATION);
        }
        assert!(!seen.contains(&hash(0)));
        assert!((GENERATION + 1..=2 * GENERATION).all(|i| seen.contains(&hash(i))));
    }
}
