//! Where a state is cut into chunks.

use crate::error::Error;
use crate::limits::{MAX_CHUNK_BYTES, MAX_CHUNK_ENTRIES, MAX_CHUNKS};
use crate::tree::{MAX_DEPTH, SLOTS, places_below};
use crate::types::Hash;

/// Bytes of a chunk without entries: their number.
const EMPTY_CHUNK_BYTES: u64 = 8;
/// Bytes that an entry takes beside its key and value: their lengths.
const ENTRY_BYTES: u64 = 16;

/// Bytes that an entry whose key and value have these lengths counts in a chunk: those that it takes,
/// and at least as many as bound the number of entries by [`MAX_CHUNK_ENTRIES`].
#[must_use]
pub fn entry_bytes(key: usize, value: usize) -> u64 {
    const LEAST: u64 = (MAX_CHUNK_BYTES / MAX_CHUNK_ENTRIES) as u64;
    (ENTRY_BYTES + key as u64 + value as u64).max(LEAST)
}

/// How large the parts of a state are.
pub trait Sizes {
    /// [`entry_bytes`] of all entries together whose places begin with `path`, four bits an item.
    ///
    /// # Errors
    /// Those of where the sizes come from.
    fn bytes(&mut self, path: &[u8]) -> Result<u64, Error>;
}

/// The entries of a part of the state, in the order of their places: each one's place and
/// [`entry_bytes`].
#[derive(Clone, Copy, Debug)]
pub struct Sorted<'a>(pub &'a [(Hash, u64)]);

impl Sizes for Sorted<'_> {
    fn bytes(&mut self, path: &[u8]) -> Result<u64, Error> {
        let below = places_below(path);
        let from = self.0.partition_point(|(place, _)| place < below.start());
        let to = self.0.partition_point(|(place, _)| place <= below.end());
        Ok(self.0[from..to].iter().map(|(_, bytes)| bytes).sum())
    }
}

/// Consecutive slots of one page: what one chunk holds the entries of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// The slots that lead to the page.
    pub path: Vec<u8>,
    /// The first slot.
    pub first: u8,
    /// How many.
    pub count: u8,
}

impl Range {
    /// The first and the last place in it.
    #[must_use]
    pub fn places(&self) -> std::ops::RangeInclusive<Hash> {
        let below = |slot| places_below(&[self.path.as_slice(), &[slot]].concat());
        let (first, last) = (below(self.first), below(self.first + self.count - 1));
        *first.start()..=*last.end()
    }
}

/// Cuts a state into ranges of at most [`MAX_CHUNK_BYTES`] as chunks, in the order of places, which
/// cover all places. A page's slots are taken together while they fit; a slot that does not fit alone
/// is cut further.
///
/// # Errors
/// [`Error::TooLong`] when an entry does not fit in a chunk, [`Error::TooMany`] when there are more
/// than [`MAX_CHUNKS`]; those of `sizes`.
pub fn cut(sizes: &mut dyn Sizes) -> Result<Vec<Range>, Error> {
    let mut cutter = Cutter { sizes, path: Vec::new(), ranges: Vec::new() };
    cutter.page()?;
    Ok(cutter.ranges)
}

struct Cutter<'a> {
    sizes: &'a mut dyn Sizes,
    path: Vec<u8>,
    ranges: Vec<Range>,
}

impl Cutter<'_> {
    fn page(&mut self) -> Result<(), Error> {
        const MAX: u64 = MAX_CHUNK_BYTES as u64 - EMPTY_CHUNK_BYTES;
        let (mut first, mut sum) = (0, 0);
        for slot in 0..SLOTS_U8 {
            self.path.push(slot);
            let bytes = self.sizes.bytes(&self.path)?;
            if bytes > MAX {
                if self.path.len() == MAX_DEPTH {
                    let got = usize::try_from(bytes).unwrap_or(usize::MAX);
                    return Err(Error::TooLong { what: "an entry", max: MAX_CHUNK_BYTES, got });
                }
                self.end(first, slot)?;
                self.page()?;
                (first, sum) = (slot + 1, 0);
            } else if sum + bytes > MAX {
                self.end(first, slot)?;
                (first, sum) = (slot, bytes);
            } else {
                sum += bytes;
            }
            self.path.pop();
        }
        self.end(first, SLOTS_U8)
    }

    /// The slots from `first` to before `end` of the page that is being cut are a range, if any;
    /// below it `path` may lead on by one slot.
    fn end(&mut self, first: u8, end: u8) -> Result<(), Error> {
        if first == end {
            return Ok(());
        }
        if self.ranges.len() == MAX_CHUNKS {
            return Err(Error::TooMany { what: "chunks", max: MAX_CHUNKS, got: MAX_CHUNKS + 1 });
        }
        let is_in_slot = end < SLOTS_U8;
        let page = self.path.len() - usize::from(is_in_slot);
        self.ranges.push(Range { path: self.path[..page].to_vec(), first, count: end - first });
        Ok(())
    }
}

const SLOTS_U8: u8 = 16;
const _: () = assert!(SLOTS_U8 as usize == SLOTS);
