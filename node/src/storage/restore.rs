//! Writing a state that was not executed here but comes from a snapshot.
//!
//! One value in `meta`, the [`Restoring`] mark, says from the first write to the last that the state is
//! neither empty nor whole: [`Database::open`] refuses such a database. Each chunk is written at once
//! with its own mark, so that a restore that was interrupted at any moment goes on behind the last whole
//! chunk.

use std::collections::BTreeSet;
use std::path::Path;

use rocksdb::{Direction, IteratorMode, WriteBatch};
use serde::{Deserialize, Serialize};
use tandem_chain::block::{CertifiedBlock, Header};
use tandem_chain::snapshot::Manifest;
use tandem_chain::store::Batch;
use tandem_chain::tip::Tip;
use tandem_chain::types::{Hash, Height};
use tandem_chain::{Error as ChainError, codec};
use tandem_consensus::light::ValidatorSet;

use super::columns::{BLOCKS, INDEX, META, RESULTS, STATE, TREE};
use super::{Database, Error, FIRST_KEY, HEIGHT_KEY, StorageConfig, fault, index_block};

const RESTORING_KEY: &[u8] = b"restoring";
/// Begins the key of each chunk that is written; its index, four bytes, high byte first, follows.
const RESTORED: &[u8] = b"restored/";
/// Above every key of a column family.
const END: [u8; 600] = [0xff; 600];

/// What is being restored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restoring {
    /// The snapshot's manifest.
    pub manifest: Manifest,
    /// The header of the next block, which is trusted and names the state.
    pub above: Header,
}

impl Database {
    /// As [`Database::open`], and takes a database that holds a part of a state, to go on with it.
    ///
    /// # Errors
    /// Those of [`Database::open`] but [`Error::Restoring`].
    pub fn open_to_restore(
        path: &Path,
        genesis: Hash,
        config: &StorageConfig,
    ) -> Result<Self, Error> {
        Self::open_any(path, genesis, config)
    }

    /// What is being restored, if anything.
    ///
    /// # Errors
    /// [`ChainError::Storage`], [`ChainError::Damaged`].
    pub fn restoring(&self) -> Result<Option<Restoring>, ChainError> {
        self.read("mark of a restore", META, RESTORING_KEY)
    }

    /// Takes away all blocks and the whole state, and marks what is to be restored: all or nothing, and
    /// durably. What consensus has persisted stays.
    ///
    /// # Errors
    /// [`ChainError::Storage`].
    pub fn begin_restore(&self, restoring: &Restoring) -> Result<(), ChainError> {
        let mut batch = self.cleared();
        batch.put_cf(self.column(META), RESTORING_KEY, codec::encode(restoring));
        self.write(batch, true)?;
        self.set_height(Height::ZERO);
        Ok(())
    }

    /// Writes what a chunk holds and that it is there, all or nothing.
    ///
    /// # Errors
    /// [`ChainError::Storage`].
    pub fn restore_chunk(&self, index: u32, content: &Batch) -> Result<(), ChainError> {
        let mut batch = WriteBatch::default();
        self.add_state(&mut batch, content);
        batch.put_cf(self.column(META), restored_key(index), []);
        self.write(batch, false)
    }

    /// The chunks that are there.
    ///
    /// # Errors
    /// [`ChainError::Storage`], [`ChainError::Damaged`].
    pub fn restored_chunks(&self) -> Result<BTreeSet<u32>, ChainError> {
        let mode = IteratorMode::From(RESTORED, Direction::Forward);
        let mut indexes = BTreeSet::new();
        for entry in self.0.db.iterator_cf(self.column(META), mode) {
            let (key, _) = entry.map_err(|source| fault(META, &source))?;
            let Some(index) = key.strip_prefix(RESTORED) else { break };
            let index = index.try_into().map_err(|_| ChainError::Damaged {
                what: "mark of a restored chunk",
                reason: format!("its key has {} bytes", key.len()),
            })?;
            indexes.insert(u32::from_be_bytes(index));
        }
        Ok(indexes)
    }

    /// Adds what is not in chunks: the top of the state's tree.
    ///
    /// # Errors
    /// [`ChainError::Storage`].
    pub fn restore_top(&self, pages: &Batch) -> Result<(), ChainError> {
        let mut batch = WriteBatch::default();
        self.add_state(&mut batch, pages);
        self.write(batch, false)
    }

    /// Makes the restored state the database's, at the height of `certified`, whose tip is `tip`: all or
    /// nothing, and durably.
    ///
    /// # Errors
    /// [`ChainError::Storage`].
    pub fn finish_restore(&self, certified: &CertifiedBlock, tip: &Tip) -> Result<(), ChainError> {
        let mut batch = WriteBatch::default();
        self.take_marks(&mut batch);
        let height = certified.block.header.height;
        assert_eq!(tip.height, height, "the tip is that of the block");
        batch.put_cf(self.column(BLOCKS), height.0.to_be_bytes(), codec::encode(certified));
        index_block(&mut batch, self.column(INDEX), &certified.block);
        for (height, table) in [
            (tip.height, &tip.table),
            (tip.height.next(), &tip.next_table),
            (tip.height.plus(2), &tip.next_next_table),
        ] {
            self.add_validators(&mut batch, height, &ValidatorSet::from(&**table));
        }
        let meta = self.column(META);
        batch.put_cf(meta, HEIGHT_KEY, codec::encode(&height));
        batch.put_cf(meta, FIRST_KEY, codec::encode(&height));
        self.write(batch, true)?;
        self.set_height(height);
        Ok(())
    }

    /// Gives a restore up: the database holds no state any more, as when it was new.
    ///
    /// # Errors
    /// [`ChainError::Storage`].
    pub fn abandon_restore(&self) -> Result<(), ChainError> {
        self.write(self.cleared(), true)?;
        self.set_height(Height::ZERO);
        Ok(())
    }

    /// Takes away the chain, and all marks.
    fn cleared(&self) -> WriteBatch {
        let mut batch = WriteBatch::default();
        for name in [STATE, TREE, BLOCKS, RESULTS, INDEX] {
            batch.delete_range_cf::<&[u8]>(self.column(name), &[], &END);
        }
        self.take_marks(&mut batch);
        batch.delete_cf(self.column(META), HEIGHT_KEY);
        batch.delete_cf(self.column(META), FIRST_KEY);
        batch
    }

    fn take_marks(&self, batch: &mut WriteBatch) {
        let meta = self.column(META);
        batch.delete_cf(meta, RESTORING_KEY);
        batch.delete_range_cf(meta, restored_key(0), restored_key(u32::MAX));
    }
}

fn restored_key(index: u32) -> Vec<u8> {
    [RESTORED, &index.to_be_bytes()].concat()
}
