//! Writing a state that was not executed here but comes from a snapshot.
//!
//! One value in `meta`, the [`Restoring`] mark, says from the first write to the last that the state is
//! neither empty nor whole: [`Database::open`] refuses such a database. Each chunk is written at once
//! with its own mark, so that a restore that was interrupted at any moment goes on behind the last whole
//! chunk.

use std::collections::BTreeSet;

use rocksdb::WriteBatch;
use serde::{Deserialize, Serialize};
use tandem_chain::block::{CertifiedBlock, Header};
use tandem_chain::snapshot::Manifest;
use tandem_chain::store::{Batch, Change};
use tandem_chain::tip::Tip;
use tandem_chain::types::Height;
use tandem_chain::{Error as ChainError, codec};
use tandem_consensus::light::ValidatorSet;

use super::columns::{BLOCKS, EVENTS, INDEX, META, RESULTS, STATE, TREE, VALIDATORS};
use super::events::INDEXED_KEY;
use super::family::fault;
use super::{Database, FIRST_KEY, HEIGHT_KEY, column_name, index_key};

const RESTORING_KEY: &[u8] = b"restoring";
/// Begins the key of each chunk that is written; its index, four bytes, high byte first, follows.
const RESTORED: &[u8] = b"restored/";
/// Tables of new entries that gather before they are merged with all others, while a state is filled in:
/// in no order of their keys, so that each merge writes the whole state again. Fewer than those from which
/// on RocksDB slows writes down (20), also after the database has been opened anew.
const TABLES_UNTIL_MERGED: &str = "16";

/// What is being restored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restoring {
    /// The snapshot's manifest.
    pub manifest: Manifest,
    /// The header of the next block, which is trusted and names the state.
    pub above: Header,
}

impl Restoring {
    /// The indexes of all chunks.
    fn chunks(&self) -> std::ops::Range<u32> {
        0..u32::try_from(self.manifest.tiles().len()).expect("chunks are bounded")
    }
}

impl Database {
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
    /// [`ChainError::Storage`], [`ChainError::Damaged`].
    pub fn begin_restore(&self, restoring: &Restoring) -> Result<(), ChainError> {
        self.merge_seldom()?;
        let mut batch = self.cleared()?;
        self.column(META).put(&mut batch, RESTORING_KEY, &codec::encode(restoring));
        self.write(batch, true)?;
        self.set_height(Height::ZERO);
        self.set_first(Height(1));
        self.set_indexed(Height::ZERO);
        Ok(())
    }

    /// Writes what a chunk holds and that it is there, all or nothing.
    ///
    /// # Errors
    /// [`ChainError::Storage`].
    pub fn restore_chunk(&self, index: u32, content: &Batch) -> Result<(), ChainError> {
        let mut batch = WriteBatch::default();
        // In the order in which they lie: each is found next to the one before.
        let mut content: Vec<&Change> = content.0.iter().collect();
        content.sort_unstable_by_key(|(column, key, _)| (column_name(*column), key));
        self.add_state(&mut batch, content);
        self.column(META).put(&mut batch, &restored_key(index), &[]);
        self.write(batch, false)
    }

    /// Has the tables of the state merged seldom, until the database is opened anew.
    pub(super) fn merge_seldom(&self) -> Result<(), ChainError> {
        let option = [("level0_file_num_compaction_trigger", TABLES_UNTIL_MERGED)];
        for name in [STATE, TREE] {
            let set = self.0.db.set_options_cf(self.column(name).handle, &option);
            set.map_err(|source| fault("options", &source))?;
        }
        Ok(())
    }

    /// Of what is being restored, the chunks that are not there yet.
    ///
    /// # Errors
    /// [`ChainError::Storage`], [`ChainError::Damaged`].
    pub fn missing_chunks(&self, of: &Restoring) -> Result<BTreeSet<u32>, ChainError> {
        let mut missing = BTreeSet::new();
        for index in of.chunks() {
            if self.bytes(META, &restored_key(index))?.is_none() {
                missing.insert(index);
            }
        }
        Ok(missing)
    }

    /// Adds what is not in chunks: the top of the state's tree.
    ///
    /// # Errors
    /// [`ChainError::Storage`].
    pub fn restore_top(&self, pages: &Batch) -> Result<(), ChainError> {
        let mut batch = WriteBatch::default();
        self.add_state(&mut batch, &pages.0);
        self.write(batch, false)
    }

    /// Makes the restored state the database's, at the height of `certified`, whose tip is `tip`: all or
    /// nothing, and durably. Results of that block are not known, nor are its transactions found: those
    /// of later blocks are.
    ///
    /// # Errors
    /// [`ChainError::Storage`], [`ChainError::Damaged`].
    ///
    /// # Panics
    /// When the tip is not that of the block.
    pub fn finish_restore(&self, certified: &CertifiedBlock, tip: &Tip) -> Result<(), ChainError> {
        let mut batch = WriteBatch::default();
        self.take_marks(&mut batch)?;
        let height = certified.block.header.height;
        assert_eq!(tip.height, height, "the tip is that of the block");
        let block = codec::encode(certified);
        self.column(BLOCKS).put(&mut batch, &height.0.to_be_bytes(), &block);
        let id = index_key(b'b', &certified.block.id());
        self.column(INDEX).put(&mut batch, &id, &codec::encode(&height));
        for (height, table) in [
            (tip.height, &tip.table),
            (tip.height.next(), &tip.next_table),
            (tip.height.plus(2), &tip.next_next_table),
        ] {
            self.add_validators(&mut batch, height, &ValidatorSet::from(&**table));
        }
        let meta = self.column(META);
        meta.put(&mut batch, HEIGHT_KEY, &codec::encode(&height));
        meta.put(&mut batch, FIRST_KEY, &codec::encode(&height));
        self.write(batch, true)?;
        self.set_first(height);
        self.set_height(height);
        Ok(())
    }

    /// Gives a restore up: the database holds no state any more, as when it was new.
    ///
    /// # Errors
    /// [`ChainError::Storage`], [`ChainError::Damaged`].
    pub fn abandon_restore(&self) -> Result<(), ChainError> {
        let batch = self.cleared()?;
        self.write(batch, true)?;
        self.set_height(Height::ZERO);
        self.set_first(Height(1));
        self.set_indexed(Height::ZERO);
        Ok(())
    }

    /// Takes away the chain, and all marks.
    fn cleared(&self) -> Result<WriteBatch, ChainError> {
        let mut batch = WriteBatch::default();
        for name in [STATE, TREE, BLOCKS, RESULTS, INDEX, EVENTS, VALIDATORS] {
            self.column(name).delete_all(&mut batch);
        }
        self.take_marks(&mut batch)?;
        let meta = self.column(META);
        meta.delete(&mut batch, HEIGHT_KEY);
        meta.delete(&mut batch, FIRST_KEY);
        meta.delete(&mut batch, INDEXED_KEY);
        Ok(batch)
    }

    fn take_marks(&self, batch: &mut WriteBatch) -> Result<(), ChainError> {
        let meta = self.column(META);
        for index in self.restoring()?.iter().flat_map(Restoring::chunks) {
            meta.delete(batch, &restored_key(index));
        }
        meta.delete(batch, RESTORING_KEY);
        Ok(())
    }
}

fn restored_key(index: u32) -> Vec<u8> {
    [RESTORED, &index.to_be_bytes()].concat()
}
