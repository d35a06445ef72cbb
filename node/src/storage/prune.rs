//! Taking away old blocks, the lowest first, in steps of which each is one write: wherever the process
//! ends, the blocks that are there reach from `first` to `height` without a gap, and the next prune
//! goes on from there. Which blocks may go is said in [`crate::pruning`].

use std::ops::Range;
use std::sync::PoisonError;

use rocksdb::{BottommostLevelCompaction, CompactOptions, ReadOptions, WriteBatch};
use tandem_chain::block::CertifiedBlock;
use tandem_chain::types::Height;
use tandem_chain::{Error as ChainError, codec};

use super::columns::{BLOCKS, EVENTS, INDEX, META, RESULTS};
use super::events::MAX_ENTRIES;
use super::family::fault;
use super::{Database, FIRST_KEY, hashes, index_key};

/// Blocks of one step; from [`MAX_ENTRIES`] entries on no further block goes in the same.
const MAX_BLOCKS: u64 = 100;

/// What a step took away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Blocks.
    pub blocks: u64,
    /// Bytes of these blocks as they are encoded.
    pub bytes: u64,
}

impl Database {
    /// One step of taking away the blocks below `floor`, with their results and what the indexes say of
    /// them: a bounded number of the lowest, all or nothing, but that those whose removal was interrupted are not
    /// found in the index of events any more. It outlives the process when it returns, and
    /// a loss of power after the next [`Database::persist`] or [`Database::sync`]. Nothing was taken
    /// away when there is nothing left to be.
    ///
    /// # Errors
    /// [`ChainError::Storage`], [`ChainError::Damaged`]. Nothing has changed.
    ///
    /// # Panics
    /// When `floor` is above the newest block, which a restart needs.
    pub fn prune(&self, floor: Height) -> Result<Pruned, ChainError> {
        let _one = self.0.pruning.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(floor <= self.height(), "the newest block stays");
        let first = self.first_height();
        let mut options = ReadOptions::default();
        options.fill_cache(false);
        let (mut batch, mut next, mut bytes) = (WriteBatch::default(), first, 0);
        let mut index = Vec::new();
        while next < floor
            && next.0 - first.0 < MAX_BLOCKS
            && batch.len() + index.len() < MAX_ENTRIES
        {
            let certified = self.block_by(next, &options)?.ok_or_else(|| {
                let reason = format!("block {next} is missing, and is not below the lowest");
                ChainError::Damaged { what: "block", reason }
            })?;
            bytes += codec::encode(&certified).len() as u64;
            self.add_removal(&mut batch, &certified);
            index.extend(self.index_keys_of(next)?);
            next = next.next();
        }
        if next == first {
            return Ok(Pruned::default());
        }
        self.column(META).put(&mut batch, FIRST_KEY, &codec::encode(&next));
        // Before the blocks go: what is not below it is there.
        self.set_first(next);
        let write = || {
            // Before the blocks go, since their keys follow from them.
            for keys in index.chunks(MAX_ENTRIES) {
                let mut batch = WriteBatch::default();
                keys.iter().for_each(|key| self.column(EVENTS).delete(&mut batch, key));
                self.write(batch, false)?;
            }
            self.write(batch, false)
        };
        write().inspect_err(|_: &ChainError| self.set_first(first))?;
        Ok(Pruned { blocks: next.0 - first.0, bytes })
    }

    fn add_removal(&self, batch: &mut WriteBatch, certified: &CertifiedBlock) {
        let block = &certified.block;
        let key = block.header.height.0.to_be_bytes();
        self.column(BLOCKS).delete(batch, &key);
        self.column(RESULTS).delete(batch, &key);
        let index = self.column(INDEX);
        index.delete(batch, &index_key(b'b', &block.id()));
        for hash in hashes(block) {
            index.delete(batch, &index_key(b't', &hash));
        }
    }

    /// Gives the room of the blocks and results below [`Database::first_height`] back to the system. It
    /// reads and writes the tables that hold them, and may take long; other compactions go on. The
    /// indexes, which lie in no order, are compacted as the chain grows.
    pub fn compact_pruned(&self) {
        let mut options = CompactOptions::default();
        options.set_exclusive_manual_compaction(false);
        options.set_bottommost_level_compaction(BottommostLevelCompaction::ForceOptimized);
        let (from, to) = (Height::ZERO, self.first_height());
        for name in [BLOCKS, RESULTS] {
            let family = self.column(name);
            let [from, to] =
                [from, to].map(|height| family.key(&height.0.to_be_bytes()).into_owned());
            self.0.db.compact_range_cf_opt(family.handle, Some(from), Some(to), &options);
        }
    }

    /// Bytes on the disk of the blocks of these heights and their results, as far as tables say.
    ///
    /// # Errors
    /// [`ChainError::Storage`], [`ChainError::Damaged`].
    pub fn block_bytes(&self, heights: Range<Height>) -> Result<u64, ChainError> {
        let mut sum = 0;
        for name in [BLOCKS, RESULTS] {
            let family = self.column(name);
            // What is in no table yet is not counted.
            self.0.db.flush_cf(family.handle).map_err(|source| fault(name, &source))?;
            let [from, to] = [heights.start, heights.end].map(|height| height.0.to_be_bytes());
            let (from, to) = (family.key(&from), family.key(&to));
            let range = rocksdb::Range::new(&from, &to);
            sum += self.0.db.get_approximate_sizes_cf(family.handle, &[range]).iter().sum::<u64>();
        }
        Ok(sum)
    }
}
