//! The Merkle tree of CometBFT (RFC 6962): a leaf is `SHA-256(0x00 ‖ item)`, a node
//! `SHA-256(0x01 ‖ left ‖ right)`, the left part holds the greatest power of two below the number
//! of leaves, and the root of nothing is `SHA-256("")`.

use sha2::{Digest, Sha256};

use crate::types::Hash;

/// Root over `items`, in their order.
#[must_use]
pub fn root<T: AsRef<[u8]>>(items: &[T]) -> Hash {
    match items {
        [] => Hash::EMPTY,
        [item] => tagged(0, item.as_ref(), &[]),
        _ => {
            let (left, right) = items.split_at(items.len().next_power_of_two() / 2);
            tagged(1, root(left).as_bytes(), root(right).as_bytes())
        }
    }
}

fn tagged(tag: u8, left: &[u8], right: &[u8]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([tag]);
    hasher.update(left);
    hasher.update(right);
    Hash(hasher.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tree as the RFC writes it, without a split by bits.
    fn by_the_book(items: &[Vec<u8>]) -> Hash {
        if items.is_empty() {
            return Hash::of(b"");
        }
        if let [item] = items {
            return Hash::of(&[&[0], item.as_slice()].concat());
        }
        let mut split = 1;
        while split * 2 < items.len() {
            split *= 2;
        }
        let (left, right) = (by_the_book(&items[..split]), by_the_book(&items[split..]));
        Hash::of(&[&[1], left.as_bytes().as_slice(), right.as_bytes()].concat())
    }

    #[test]
    fn roots_are_those_of_rfc_6962_for_every_small_number_of_leaves() {
        for count in 0..=70_u8 {
            let items: Vec<Vec<u8>> = (0..count).map(|i| vec![i; usize::from(i % 5)]).collect();
            assert_eq!(root(&items), by_the_book(&items), "{count} leaves");
        }
    }

    #[test]
    fn a_leaf_is_never_a_node() {
        let pair = root(&[b"a", b"b"]);
        let joined = [root(&[b"a"]).0, root(&[b"b"]).0].concat();
        assert_ne!(root(&[joined]), pair);
    }
}
