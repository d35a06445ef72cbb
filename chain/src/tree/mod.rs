//! The state commitment: the root of a compact sparse Merkle tree over the state.
//!
//! The place of an entry is the SHA-256 of its key, bit by bit from the first byte's highest.
//!
//! | subtree with | its hash |
//! |---|---|
//! | no entry | 32 zero bytes |
//! | one entry | `SHA-256(00 ‖ SHA-256(key) ‖ SHA-256(value))`, at whatever depth |
//! | more | `SHA-256(01 ‖ left ‖ right)` |
//!
//! The root is thus a function of the set of entries alone: [`root_of`] computes it from scratch,
//! [`update`] from the pages of the tree before and what changed, and both must agree. A [`Proof`]
//! shows that a key has a value, or that it has none.
//!
//! Four levels of the tree make a page with sixteen slots; pages are stored in [`Column::Tree`]
//! under the path to them. A subtree with one entry has no page: it is a leaf in its parent's slot.

mod page;
mod proof;
#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::store::{Batch, Column, MemoryStore, Store};
use crate::types::Hash;
use page::Page;

pub(crate) use page::SLOTS;
pub use page::{Subtree, subtrees};
pub use proof::{Proof, prove};

/// First byte of the keys of pages in [`Column::Tree`].
const PAGE_PREFIX: u8 = 0;
/// Slots that lead to a place, at most: a slot is four bits of it.
pub(crate) const MAX_DEPTH: usize = 2 * Hash::LEN;

/// A place in the tree and what it is to hold: the hash of a value, or nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    key: Hash,
    value: Option<Hash>,
}

impl Change {
    /// That `key` has `value` from now on, or none.
    #[must_use]
    pub fn new(key: &[u8], value: Option<&[u8]>) -> Self {
        Self { key: Hash::of(key), value: value.map(Hash::of) }
    }

    /// The place.
    pub(crate) fn place(&self) -> Hash {
        self.key
    }
}

/// The root of a subtree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Node {
    /// No entry.
    #[default]
    Empty,
    /// One entry: hashes of its key and value.
    Leaf(Hash, Hash),
    /// The hash of more.
    Inner(Hash),
}

impl Node {
    /// Its hash, by the table at the head of the module.
    #[must_use]
    pub fn hash(&self) -> Hash {
        match self {
            Self::Empty => Hash([0; 32]),
            Self::Leaf(key, value) => combine(0, key, value),
            Self::Inner(hash) => *hash,
        }
    }

    /// The subtree of two halves.
    fn join(left: &Self, right: &Self) -> Self {
        match (left, right) {
            (Self::Empty, Self::Empty) => Self::Empty,
            (Self::Empty, leaf @ Self::Leaf(..)) | (leaf @ Self::Leaf(..), Self::Empty) => *leaf,
            _ => Self::Inner(combine(1, &left.hash(), &right.hash())),
        }
    }
}

fn combine(tag: u8, left: &Hash, right: &Hash) -> Hash {
    let mut bytes = [tag; 65];
    bytes[1..33].copy_from_slice(&left.0);
    bytes[33..].copy_from_slice(&right.0);
    Hash(Sha256::digest(bytes).into())
}

/// Bit `i` of a place, 0 the first on the way from the root.
fn bit(place: &Hash, i: usize) -> bool {
    place.0[i / 8] >> (7 - i % 8) & 1 == 1
}

/// The slot of a place in a page `depth` pages below the root's.
fn slot_of(place: &Hash, depth: usize) -> usize {
    let byte = place.0[depth / 2];
    usize::from(if depth.is_multiple_of(2) { byte >> 4 } else { byte & 15 })
}

/// The places below the slot that `path` leads to.
pub(crate) fn places_below(path: &[u8]) -> RangeInclusive<Hash> {
    let (mut first, mut last) = (Hash([0; Hash::LEN]), Hash([0xff; Hash::LEN]));
    for (depth, slot) in path.iter().enumerate() {
        let (shift, byte) = (if depth.is_multiple_of(2) { 4 } else { 0 }, depth / 2);
        first.0[byte] |= slot << shift;
        last.0[byte] &= slot << shift | !(15 << shift);
    }
    first..=last
}

/// The key of a page in [`Column::Tree`]; `path` are the slots that lead to it.
fn page_key(path: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + path.len());
    key.push(PAGE_PREFIX);
    key.extend_from_slice(path);
    key
}

fn load(store: &dyn Store, path: &[u8]) -> Result<Option<Page>, Error> {
    store.get(Column::Tree, &page_key(path))?.map(|bytes| Page::decode(&bytes)).transpose()
}

fn load_inner(store: &dyn Store, path: &[u8]) -> Result<Page, Error> {
    load(store, path)?.ok_or_else(|| Error::Damaged {
        what: "state tree",
        reason: "a page is missing".to_owned(),
    })
}

/// The root of the stored tree.
///
/// # Errors
/// [`Error::Storage`], [`Error::Damaged`].
pub fn root(store: &dyn Store) -> Result<Hash, Error> {
    Ok(load(store, &[])?.unwrap_or_default().node().hash())
}

/// Entries, 64 bytes of each, of which the root is to be made from scratch.
#[derive(Clone, Debug, Default)]
pub struct Leaves(Vec<(Hash, Hash)>);

impl Leaves {
    /// Adds an entry; each key once, in any order.
    pub fn add(&mut self, key: &[u8], value: &[u8]) {
        self.0.push((Hash::of(key), Hash::of(value)));
    }

    /// The root over all of them.
    #[must_use]
    pub fn root(mut self) -> Hash {
        self.0.sort_unstable();
        subtree(&self.0, 0).hash()
    }
}

/// The root over all entries, from scratch.
pub fn root_of<B: AsRef<[u8]>>(entries: impl IntoIterator<Item = (B, B)>) -> Hash {
    let mut leaves = Leaves::default();
    entries.into_iter().for_each(|(key, value)| leaves.add(key.as_ref(), value.as_ref()));
    leaves.root()
}

fn subtree(leaves: &[(Hash, Hash)], depth: usize) -> Node {
    match leaves {
        [] => Node::Empty,
        [(key, value)] => Node::Leaf(*key, *value),
        _ => {
            let (left, right) = leaves.split_at(leaves.partition_point(|(k, _)| !bit(k, depth)));
            Node::join(&subtree(left, depth + 1), &subtree(right, depth + 1))
        }
    }
}

/// Changes the stored tree: adds to `batch` the pages that differ, and gives the new root. A key
/// is in `changes` at most once.
///
/// # Errors
/// [`Error::Storage`], [`Error::Damaged`].
pub fn update(
    store: &dyn Store,
    mut changes: Vec<Change>,
    batch: &mut Batch,
) -> Result<Hash, Error> {
    changes.sort_unstable_by_key(|change| change.key);
    let page = load(store, &[])?;
    let mut updater = Updater { store, batch, path: Vec::new() };
    Ok(updater.page(page, &changes)?.hash())
}

/// Builds the subtree in the slot that `path` leads to from all of its entries, in the order of
/// their places: adds its pages to `batch`, and gives its root.
pub(crate) fn build(path: Vec<u8>, entries: &[Change], batch: &mut Batch) -> Node {
    let store = &MemoryStore::default();
    let built = Updater { store, batch, path }.slot(Node::Empty, entries);
    built.expect("nothing is read for a new subtree")
}

/// The pages at the top of a tree that is put together from subtrees.
#[derive(Default)]
pub(crate) struct Top(Batch);

impl Top {
    /// Adds the page at `path`, and gives its subtree as a whole.
    pub(crate) fn page(&mut self, path: &[u8], slots: &[Node; SLOTS]) -> Node {
        let page = Page { slots: *slots };
        let node = page.node();
        if node != Node::Empty {
            self.0.put(Column::Tree, page_key(path), page.encode());
        }
        node
    }

    /// What is to be written.
    pub(crate) fn into_batch(self) -> Batch {
        self.0
    }
}

struct Updater<'a> {
    store: &'a dyn Store,
    batch: &'a mut Batch,
    path: Vec<u8>,
}

impl Updater<'_> {
    /// Changes the page at `path`, none if it is new. `changes` are those below it, in order.
    fn page(&mut self, page: Option<Page>, changes: &[Change]) -> Result<Node, Error> {
        let is_stored = page.is_some();
        let mut page = page.unwrap_or_default();
        let depth = self.path.len();
        let mut rest = changes;
        while let Some(first) = rest.first() {
            let slot = slot_of(&first.key, depth);
            let (here, later) =
                rest.split_at(rest.partition_point(|c| slot_of(&c.key, depth) == slot));
            self.path.push(u8::try_from(slot).expect("below 16"));
            page.slots[slot] = self.slot(page.slots[slot], here)?;
            self.path.pop();
            rest = later;
        }
        let node = page.node();
        if matches!(node, Node::Inner(_)) || (depth == 0 && node != Node::Empty) {
            self.batch.put(Column::Tree, page_key(&self.path), page.encode());
        } else if is_stored {
            self.batch.delete(Column::Tree, page_key(&self.path));
        }
        Ok(node)
    }

    /// What a slot holds after `changes`; `path` leads through it.
    fn slot(&mut self, slot: Node, changes: &[Change]) -> Result<Node, Error> {
        if matches!(slot, Node::Inner(_)) {
            let page = load_inner(self.store, &self.path)?;
            return self.page(Some(page), changes);
        }
        let mut leaves: Vec<Change> =
            changes.iter().filter(|change| change.value.is_some()).copied().collect();
        if let Node::Leaf(key, value) = slot
            && changes.binary_search_by_key(&key, |change| change.key).is_err()
        {
            let place = leaves.partition_point(|leaf| leaf.key < key);
            leaves.insert(place, Change { key, value: Some(value) });
        }
        match leaves.as_slice() {
            [] => Ok(Node::Empty),
            [Change { key, value: Some(value) }] => Ok(Node::Leaf(*key, *value)),
            leaves => self.page(None, leaves),
        }
    }
}

const _: () = assert!(SLOTS == 16, "a slot is four bits of a place");
