//! Snapshots: the whole state after a block, in chunks that each prove themselves.
//!
//! ```text
//!   header of h+1 ── app hash ──> root of the state's tree after block h
//!                                   │
//!   manifest: the top of the tree   o          its tiles cover all places, in order, and hash to
//!                                  / \         the root: it is checked before a chunk is asked for
//!                          tile 0 ┌┴┐ ┌┴─┐ tile 1
//!                                 ▲▲▲ ▲▲▲▲     subtrees below whole slots of pages
//!   chunks                          0    1     each one's entries make its tile's subtrees
//! ```
//!
//! A [`Tile`] names consecutive slots of one page of the tree ([`crate::tree`]) and the subtrees in
//! them; a [`Chunk`] has all entries of one tile. So a chunk is checked by itself as it comes, in any
//! order and from anybody, against a [`Manifest`] that is checked against one hash of a certified
//! header. What is derived from the state (pages of the tree, the index of transaction hashes) is made
//! again from the chunks and never sent.
//!
//! [`cut()`] is a function of the state alone: every node makes the same chunks of the same state.

mod chunk;
mod cut;
mod manifest;
#[cfg(test)]
mod tests;

pub use chunk::{Chunk, Item};
pub use cut::{Range, Sizes, Sorted, cut, entry_bytes};
pub use manifest::{HEIGHTS, Manifest, Tile};
