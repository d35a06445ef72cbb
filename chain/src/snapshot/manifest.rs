//! Manifests: what chunks a snapshot has, and what each must be.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::codec;
use crate::error::Error;
use crate::limits::{MAX_CHUNKS, MAX_MANIFEST_BYTES};
use crate::snapshot::Range;
use crate::store::Batch;
use crate::tree::{MAX_DEPTH, Node, SLOTS, Top};
use crate::types::{ChainId, Hash, Height};

/// Format of manifests and chunks.
const FORMAT: u32 = 1;
/// Heights of which there are snapshots: those of blocks, which CometBFT's types hold as an i64, and above
/// which there is another.
pub const HEIGHTS: RangeInclusive<Height> = Height(1)..=Height(i64::MAX as u64 - 1);
/// Slots that lead to a page, at most: below them is one slot more.
const MAX_PATH: usize = MAX_DEPTH - 1;

/// The subtrees in consecutive slots of one page of the tree, whose entries are one chunk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tile {
    /// The slots that lead to the page, four bits each.
    #[serde(deserialize_with = "codec::list::<MAX_PATH, _, _>")]
    pub path: Vec<u8>,
    /// The first slot.
    pub first: u8,
    /// What is in it and the next ones.
    #[serde(deserialize_with = "codec::list::<SLOTS, _, _>")]
    pub nodes: Vec<Node>,
}

impl Tile {
    /// Its slots.
    ///
    /// # Panics
    /// When it is of no checked manifest and has more slots than a page.
    #[must_use]
    pub fn range(&self) -> Range {
        let count = u8::try_from(self.nodes.len()).expect("at most 16 slots");
        Range { path: self.path.clone(), first: self.first, count }
    }
}

/// What a snapshot is made of. The tiles of every value of this type cover the tree once, in order,
/// and hash to its state commitment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Manifest {
    format: u32,
    chain_id: ChainId,
    height: Height,
    app_hash: Hash,
    tiles: Vec<Tile>,
}

#[derive(Deserialize)]
struct Unchecked {
    format: u32,
    chain_id: ChainId,
    height: Height,
    app_hash: Hash,
    #[serde(deserialize_with = "codec::list::<MAX_CHUNKS, _, _>")]
    tiles: Vec<Tile>,
}

impl TryFrom<Unchecked> for Manifest {
    type Error = Error;

    fn try_from(unchecked: Unchecked) -> Result<Self, Error> {
        let Unchecked { format, chain_id, height, app_hash, tiles } = unchecked;
        if format != FORMAT {
            return Err(Error::Snapshot { what: "its format is not known to this version" });
        }
        Self::new(chain_id, height, app_hash, tiles)
    }
}

impl Manifest {
    /// The manifest of the state after block `height`, whose commitment is `app_hash`, in these tiles.
    ///
    /// # Errors
    /// [`Error::Snapshot`] when they are not all of that state, or it is of no block; [`Error::TooLong`]
    /// when the manifest would have more than [`MAX_MANIFEST_BYTES`].
    pub fn new(
        chain_id: ChainId,
        height: Height,
        app_hash: Hash,
        tiles: Vec<Tile>,
    ) -> Result<Self, Error> {
        if !HEIGHTS.contains(&height) {
            return Err(Error::Snapshot { what: "its height is not that of a block" });
        }
        let manifest = Self { format: FORMAT, chain_id, height, app_hash, tiles };
        let got = manifest.encode().len();
        if got > MAX_MANIFEST_BYTES {
            let what = "manifest of a snapshot";
            return Err(Error::TooLong { what, max: MAX_MANIFEST_BYTES, got });
        }
        manifest.check()?;
        Ok(manifest)
    }

    /// From its bytes.
    ///
    /// # Errors
    /// Those of [`codec::decode_canonical`], with the limit [`MAX_MANIFEST_BYTES`]. Tiles that do not
    /// cover the tree once, in order, or do not hash to the state commitment that it names, are
    /// [`Error::Undecodable`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        codec::decode_canonical("manifest of a snapshot", bytes, MAX_MANIFEST_BYTES)
    }

    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Identifies it: SHA-256 of its bytes.
    #[must_use]
    pub fn hash(&self) -> Hash {
        Hash::of(&self.encode())
    }

    /// The chain.
    #[must_use]
    pub fn chain_id(&self) -> &ChainId {
        &self.chain_id
    }

    /// The block after which the state is.
    #[must_use]
    pub fn height(&self) -> Height {
        self.height
    }

    /// The commitment of that state, which stands in the header of the next block.
    #[must_use]
    pub fn app_hash(&self) -> Hash {
        self.app_hash
    }

    /// One for each chunk, in order.
    #[must_use]
    pub fn tiles(&self) -> &[Tile] {
        &self.tiles
    }

    /// The pages of the tree above the tiles: with what [`super::Chunk::check`] gives for each chunk,
    /// all that a store needs.
    #[must_use]
    pub fn pages(&self) -> Batch {
        let mut top = Top::default();
        self.walk(&mut top).expect("a manifest is checked when it is made");
        top.into_batch()
    }

    fn check(&self) -> Result<(), Error> {
        if self.walk(&mut Top::default())?.hash() == self.app_hash {
            Ok(())
        } else {
            Err(Error::Snapshot { what: "its tiles do not hash to its state commitment" })
        }
    }

    /// Puts the tiles together, and gives the tree's root.
    fn walk(&self, top: &mut Top) -> Result<Node, Error> {
        let mut tiles = self.tiles.iter().peekable();
        let root = page(&mut Vec::new(), &mut tiles, top)?;
        match tiles.next() {
            None => Ok(root),
            Some(_) => Err(Error::Snapshot { what: "a tile overlaps another, or is out of order" }),
        }
    }
}

type Tiles<'a> = std::iter::Peekable<std::slice::Iter<'a, Tile>>;

/// The page at `path`, of the next tiles.
fn page(path: &mut Vec<u8>, tiles: &mut Tiles, top: &mut Top) -> Result<Node, Error> {
    let mut slots = [Node::Empty; SLOTS];
    let mut slot = 0;
    while slot < SLOTS {
        let Some(tile) = tiles.peek() else {
            return Err(Error::Snapshot { what: "its tiles leave a part of the state out" });
        };
        if tile.path == *path && usize::from(tile.first) == slot {
            let end = slot + tile.nodes.len();
            if tile.nodes.is_empty() || end > SLOTS {
                return Err(Error::Snapshot { what: "a tile has no slot, or more than a page" });
            }
            slots[slot..end].copy_from_slice(&tile.nodes);
            slot = end;
            tiles.next();
            continue;
        }
        path.push(u8::try_from(slot).expect("below 16"));
        if !tile.path.starts_with(path) {
            return Err(Error::Snapshot { what: "its tiles are not in order, or one is missing" });
        }
        let below = page(path, tiles, top)?;
        path.pop();
        if !matches!(below, Node::Inner(_)) {
            return Err(Error::Snapshot { what: "a page has fewer than two entries" });
        }
        slots[slot] = below;
        slot += 1;
    }
    Ok(top.page(path, &slots))
}
