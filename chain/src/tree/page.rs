//! Pages: four levels of the tree in one stored value.

use serde::Serialize;

use super::Node;
use crate::error::Error;
use crate::types::Hash;

/// Subtrees below a page.
pub(crate) const SLOTS: usize = 16;

/// The sixteen subtrees four levels below a place in the tree.
///
/// Stored as a little-endian u32 with two bits a slot, the first slot lowest (0 empty, 1 leaf,
/// 2 inner), then for each slot in order the hashes of key and value of a leaf, or the hash of an
/// inner node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) slots: [Node; SLOTS],
}

impl Page {
    /// The page's subtree as a whole.
    pub(super) fn node(&self) -> Node {
        let halves: [Node; 8] = join_pairs(&self.slots);
        let quarters: [Node; 4] = join_pairs(&halves);
        let [left, right]: [Node; 2] = join_pairs(&quarters);
        Node::join(&left, &right)
    }

    /// The page's levels from the two halves down to the slots.
    pub(super) fn levels(&self) -> [Vec<Node>; 4] {
        let halves: [Node; 8] = join_pairs(&self.slots);
        let quarters: [Node; 4] = join_pairs(&halves);
        let two: [Node; 2] = join_pairs(&quarters);
        [two.into(), quarters.into(), halves.into(), self.slots.into()]
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(4 + SLOTS * 32);
        bytes.extend_from_slice(&[0; 4]);
        let mut kinds = 0u32;
        for (i, slot) in self.slots.iter().enumerate() {
            let kind = match slot {
                Node::Empty => 0,
                Node::Leaf(key, value) => {
                    bytes.extend_from_slice(&key.0);
                    bytes.extend_from_slice(&value.0);
                    1
                }
                Node::Inner(hash) => {
                    bytes.extend_from_slice(&hash.0);
                    2
                }
            };
            kinds |= kind << (2 * i);
        }
        bytes[..4].copy_from_slice(&kinds.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let damaged = || Error::Damaged {
            what: "state tree",
            reason: format!("a page of {} bytes does not fit its kinds", bytes.len()),
        };
        let (kinds, mut rest) = bytes.split_first_chunk::<4>().ok_or_else(damaged)?;
        let kinds = u32::from_le_bytes(*kinds);
        let mut hash = || {
            let (hash, behind) = rest.split_first_chunk::<32>().ok_or_else(damaged)?;
            rest = behind;
            Ok(Hash(*hash))
        };
        let mut page = Self::default();
        for (i, slot) in page.slots.iter_mut().enumerate() {
            *slot = match kinds >> (2 * i) & 3 {
                0 => Node::Empty,
                1 => Node::Leaf(hash()?, hash()?),
                2 => Node::Inner(hash()?),
                _ => return Err(damaged()),
            };
        }
        if rest.is_empty() { Ok(page) } else { Err(damaged()) }
    }
}

/// A subtree that a stored page names, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Subtree {
    /// Its slot in the page, 0 to 15.
    pub slot: usize,
    /// Hash of the entry's key, where it has one entry.
    pub key: Option<Hash>,
    /// Hash of the entry's value, likewise.
    pub value: Option<Hash>,
    /// Its hash, where it has more.
    pub inner: Option<Hash>,
}

/// The subtrees in a stored page that are not empty.
///
/// # Errors
/// [`Error::Damaged`] for bytes that are no page.
pub fn subtrees(page: &[u8]) -> Result<Vec<Subtree>, Error> {
    let slots = Page::decode(page)?.slots;
    let filled = slots.iter().enumerate().filter_map(|(slot, node)| match node {
        Node::Empty => None,
        Node::Leaf(key, value) => {
            Some(Subtree { slot, key: Some(*key), value: Some(*value), inner: None })
        }
        Node::Inner(hash) => Some(Subtree { slot, key: None, value: None, inner: Some(*hash) }),
    });
    Ok(filled.collect())
}

fn join_pairs<const N: usize, const M: usize>(nodes: &[Node; N]) -> [Node; M] {
    std::array::from_fn(|i| Node::join(&nodes[2 * i], &nodes[2 * i + 1]))
}
