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

/// The way from one item to the root over all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inclusion {
    /// Number of items.
    pub total: usize,
    /// Place of the item among them.
    pub index: usize,
    /// Hash of its leaf.
    pub leaf: Hash,
    /// Hashes beside the way: the leaf's sibling first, a child of the root at the end.
    pub aunts: Vec<Hash>,
}

impl Inclusion {
    /// The way of the item at `index`; none when there is no such item.
    #[must_use]
    pub fn of<T: AsRef<[u8]>>(items: &[T], index: usize) -> Option<Self> {
        let leaf = tagged(0, items.get(index)?.as_ref(), &[]);
        let mut aunts = Vec::new();
        let (mut rest, mut at) = (items, index);
        while rest.len() > 1 {
            let (left, right) = rest.split_at(rest.len().next_power_of_two() / 2);
            let beside = if at < left.len() {
                rest = left;
                right
            } else {
                at -= left.len();
                rest = right;
                left
            };
            aunts.push(root(beside));
        }
        aunts.reverse();
        Some(Self { total: items.len(), index, leaf, aunts })
    }

    /// The root that it leads to from `item`; none when it is no way from that item.
    #[must_use]
    pub fn root(&self, item: &[u8]) -> Option<Hash> {
        if self.index >= self.total || self.leaf != tagged(0, item, &[]) {
            return None;
        }
        // Whether the way goes left, from the root on.
        let (mut turns, mut size, mut at) = (Vec::new(), self.total, self.index);
        while size > 1 {
            let left = 1 << (size - 1).ilog2();
            turns.push(at < left);
            (size, at) = if at < left { (left, at) } else { (size - left, at - left) };
        }
        if turns.len() != self.aunts.len() {
            return None;
        }
        let ways = turns.iter().rev().zip(&self.aunts);
        Some(ways.fold(self.leaf, |below, (is_left, aunt)| {
            let (left, right) = if *is_left { (&below, aunt) } else { (aunt, &below) };
            tagged(1, left.as_bytes(), right.as_bytes())
        }))
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
    fn every_item_has_a_way_to_the_root_and_no_other_has_it() {
        for count in 1..=40_u8 {
            let items: Vec<Vec<u8>> = (0..count).map(|i| vec![i; usize::from(i % 5) + 1]).collect();
            let whole = root(&items);
            for (index, item) in items.iter().enumerate() {
                let way = Inclusion::of(&items, index).unwrap();
                assert_eq!((way.total, way.index), (items.len(), index));
                assert_eq!(way.root(item), Some(whole), "{index} of {count}");
                assert_eq!(way.root(b"another"), None);
                let bad = [
                    Inclusion { index: index ^ 1, ..way.clone() },
                    Inclusion { total: items.len() * 3, ..way.clone() },
                    Inclusion { total: 0, ..way.clone() },
                    Inclusion { total: usize::MAX, ..way.clone() },
                    Inclusion { aunts: [way.aunts.as_slice(), &[whole]].concat(), ..way.clone() },
                ];
                for way in bad {
                    assert_ne!(way.root(item), Some(whole), "{way:?}");
                }
            }
            assert_eq!(Inclusion::of(&items, items.len()), None);
        }
        assert_eq!(Inclusion::of::<Vec<u8>>(&[], 0), None);
    }

    #[test]
    fn a_leaf_is_never_a_node() {
        let pair = root(&[b"a", b"b"]);
        let joined = [root(&[b"a"]).0, root(&[b"b"]).0].concat();
        assert_ne!(root(&[joined]), pair);
    }
}
