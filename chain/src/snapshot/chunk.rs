//! Chunks: the entries of one tile.

use serde::{Deserialize, Serialize};

use crate::codec;
use crate::error::Error;
use crate::ledger::remember_again;
use crate::limits::{MAX_CHUNK_BYTES, MAX_CHUNK_ENTRIES};
use crate::snapshot::{Range, Tile};
use crate::store::{Batch, Column};
use crate::tree::{self, Change, Node};
use crate::types::Hash;

/// An entry of the state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Its key.
    #[serde(with = "codec::bytes")]
    pub key: Vec<u8>,
    /// Its value.
    #[serde(with = "codec::bytes")]
    pub value: Vec<u8>,
}

/// The entries of one tile, in the order of their places: at most [`MAX_CHUNK_BYTES`] encoded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    #[serde(deserialize_with = "codec::list::<MAX_CHUNK_ENTRIES, _, _>")]
    pub(super) items: Vec<Item>,
}

impl Chunk {
    /// A chunk of these entries.
    #[must_use]
    pub fn new(mut items: Vec<Item>) -> Self {
        items.sort_by_cached_key(|item| Hash::of(&item.key));
        Self { items }
    }

    /// Its entries.
    #[must_use]
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// From its bytes. Whether it is what a tile asks for is another question: [`Chunk::check`].
    ///
    /// # Errors
    /// Those of [`codec::decode_canonical`]; [`MAX_CHUNK_BYTES`] is the limit.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        codec::decode_canonical("chunk of a snapshot", bytes, MAX_CHUNK_BYTES)
    }

    /// The tile that this chunk, which holds all entries of a range, is of.
    ///
    /// # Errors
    /// [`Error::Snapshot`] when an entry is not of the range, or twice in it.
    pub fn tile(&self, range: &Range) -> Result<Tile, Error> {
        let (nodes, _) = self.build(range)?;
        Ok(Tile { path: range.path.clone(), first: range.first, nodes })
    }

    /// Checks that the chunk has all entries of `tile` and no others, and gives what is to be written
    /// to a store for it: the entries, the pages of the tree below the tile, and the hashes of recent
    /// transactions.
    ///
    /// # Errors
    /// [`Error::Snapshot`].
    pub fn check(&self, tile: &Tile) -> Result<Batch, Error> {
        let (nodes, mut batch) = self.build(&tile.range())?;
        if nodes != tile.nodes {
            return Err(Error::Snapshot { what: "a chunk has other entries than its tile" });
        }
        for Item { key, value } in &self.items {
            remember_again(key, value, &mut batch)?;
            batch.put(Column::State, key.clone(), value.clone());
        }
        Ok(batch)
    }

    /// The subtrees in the slots of a range, and their pages.
    fn build(&self, range: &Range) -> Result<(Vec<Node>, Batch), Error> {
        let places = range.places();
        let changes: Vec<Change> =
            self.items.iter().map(|item| Change::new(&item.key, Some(&item.value))).collect();
        if changes.iter().any(|change| !places.contains(&change.place())) {
            return Err(Error::Snapshot { what: "a chunk has an entry of another one" });
        }
        if !changes.is_sorted_by(|a, b| a.place() < b.place()) {
            return Err(Error::Snapshot { what: "a chunk's entries are not in order, once each" });
        }
        let mut batch = Batch::default();
        let mut rest = changes.as_slice();
        let nodes = (range.first..range.first + range.count).map(|slot| {
            let path = [range.path.as_slice(), &[slot]].concat();
            let last = *tree::places_below(&path).end();
            let (here, later) = rest.split_at(rest.partition_point(|c| c.place() <= last));
            rest = later;
            tree::build(path, here, &mut batch)
        });
        Ok((nodes.collect(), batch))
    }
}
