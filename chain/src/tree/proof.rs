//! Proofs that a key has a value in the state, or that it has none.

use serde::{Deserialize, Serialize};

use super::{Node, bit, combine, load, load_inner, slot_of};
use crate::error::Error;
use crate::store::Store;
use crate::types::Hash;

/// The way from the root to where a key is, or would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// Hashes of the subtrees that the way does not take, the root's child first.
    pub siblings: Vec<Hash>,
    /// The entry at its end, as hashes of key and value; none when nothing is there.
    pub leaf: Option<(Hash, Hash)>,
}

impl Proof {
    /// Whether it shows that under `root` the key has this value, or none.
    #[must_use]
    pub fn verify(&self, root: &Hash, key: &[u8], value: Option<&[u8]>) -> bool {
        let place = Hash::of(key);
        let depth = self.siblings.len();
        if depth > 8 * Hash::LEN {
            return false;
        }
        let end_is_right = match (value, &self.leaf) {
            (Some(value), Some((k, v))) => *k == place && *v == Hash::of(value),
            (Some(_), None) => false,
            (None, Some((k, _))) => *k != place && (0..depth).all(|i| bit(k, i) == bit(&place, i)),
            (None, None) => true,
        };
        let end = self.leaf.map_or(Node::Empty, |(k, v)| Node::Leaf(k, v)).hash();
        let top = self.siblings.iter().enumerate().rev().fold(end, |below, (i, sibling)| {
            if bit(&place, i) { combine(1, sibling, &below) } else { combine(1, &below, sibling) }
        });
        end_is_right && top == *root
    }
}

/// The proof for a key in the stored tree.
///
/// # Errors
/// [`Error::Storage`], [`Error::Damaged`].
pub fn prove(store: &dyn Store, key: &[u8]) -> Result<Proof, Error> {
    let place = Hash::of(key);
    let mut siblings = Vec::new();
    let mut page = load(store, &[])?.unwrap_or_default();
    let mut node = page.node();
    let mut path = Vec::new();
    while matches!(node, Node::Inner(_)) {
        let slot = slot_of(&place, path.len());
        for (i, level) in page.levels().iter().enumerate() {
            let index = slot >> (3 - i);
            siblings.push(level[index ^ 1].hash());
            node = level[index];
            if !matches!(node, Node::Inner(_)) {
                break;
            }
        }
        if matches!(node, Node::Inner(_)) {
            path.push(u8::try_from(slot).expect("below 16"));
            page = load_inner(store, &path)?;
        }
    }
    let leaf = match node {
        Node::Leaf(key, value) => Some((key, value)),
        Node::Empty | Node::Inner(_) => None,
    };
    Ok(Proof { siblings, leaf })
}
