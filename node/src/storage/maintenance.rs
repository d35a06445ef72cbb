//! What an operator asks of a database: figures, compaction, a copy, a check of everything.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rocksdb::checkpoint::Checkpoint;
use rocksdb::properties::PropName;
use rocksdb::{
    BottommostLevelCompaction, CompactOptions, IteratorMode, ReadOptions, WaitForCompactOptions,
    WriteBatch, properties,
};
use tandem_chain::Error as ChainError;

use super::columns::{self, CONSENSUS};
use super::family::fault;
use super::{Database, ENCRYPTION_FILE};
use crate::rpc::shapes::tandem::{FamilyStats, LevelStats};

/// Bytes that are read ahead when everything is read.
pub(super) const READAHEAD_BYTES: usize = 1024 * 1024;

impl Database {
    /// Figures of all column families.
    ///
    /// # Errors
    /// [`ChainError::Storage`], [`ChainError::Damaged`].
    pub fn stats(&self) -> Result<Vec<FamilyStats>, ChainError> {
        let tables = self.0.db.live_files().map_err(|source| fault("list of tables", &source))?;
        columns::names()
            .map(|name| {
                let family = self.column(name);
                let figure = |property: &PropName| -> Result<u64, ChainError> {
                    let found = self.0.db.property_int_value_cf(family.handle, property);
                    Ok(found.map_err(|source| fault(name, &source))?.unwrap_or(0))
                };
                let mut levels: Vec<LevelStats> = Vec::new();
                let mut own: Vec<_> =
                    tables.iter().filter(|table| table.column_family_name == name).collect();
                own.sort_by_key(|table| table.level);
                for table in own {
                    let level = u32::try_from(table.level).unwrap_or(0);
                    if levels.last().is_none_or(|last| last.level != level) {
                        levels.push(LevelStats { level, files: 0, bytes: 0 });
                    }
                    if let Some(last) = levels.last_mut() {
                        last.files += 1;
                        last.bytes += table.size as u64;
                    }
                }
                Ok(FamilyStats {
                    name: name.to_owned(),
                    entries: figure(properties::ESTIMATE_NUM_KEYS)?,
                    table_bytes: levels.iter().map(|level| level.bytes).sum(),
                    unflushed_bytes: figure(properties::CUR_SIZE_ALL_MEM_TABLES)?,
                    levels,
                })
            })
            .collect()
    }

    /// Brings everything into tables, and what was replaced or deleted off the disk. It may take
    /// long, and needs as much free space for a while as the largest column family.
    ///
    /// # Errors
    /// [`ChainError::Storage`], [`ChainError::Damaged`].
    pub fn compact(&self) -> Result<(), ChainError> {
        let mut all = CompactOptions::default();
        // Also what is in the last level, so that it is compressed as is right today.
        all.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
        // What is written meanwhile is compacted meanwhile, so that writers need not wait for it.
        all.set_exclusive_manual_compaction(false);
        for name in columns::names() {
            let family = self.column(name);
            self.0.db.flush_cf(family.handle).map_err(|source| fault(name, &source))?;
            self.0.db.compact_range_cf_opt(family.handle, None::<&[u8]>, None::<&[u8]>, &all);
        }
        // A compaction that failed tells nobody itself; the database remembers it.
        let mut options = WaitForCompactOptions::default();
        options.set_abort_on_pause(true);
        self.0.db.wait_for_compact(&options).map_err(|source| fault("tables", &source))
    }

    /// Makes a second database in `folder`, which must not exist, with everything that is in this
    /// one now. On the same file system its tables are links to those of this one, and stay when
    /// this one drops them.
    ///
    /// # Errors
    /// [`ChainError::Storage`], [`ChainError::Damaged`].
    pub fn checkpoint(&self, folder: &Path) -> Result<(), ChainError> {
        let checkpoint = Checkpoint::new(&self.0.db);
        checkpoint
            .and_then(|checkpoint| checkpoint.create_checkpoint(folder))
            .map_err(|source| fault("checkpoint", &source))?;
        if self.is_encrypted() {
            let (from, to) = (self.path().join(ENCRYPTION_FILE), folder.join(ENCRYPTION_FILE));
            std::fs::copy(&from, &to).map_err(|error| ChainError::Storage {
                reason: format!("cannot copy {} to {}: {error}", from.display(), to.display()),
            })?;
        }
        Ok(())
    }

    /// Deletes what consensus keeps, the key's signing record with it, durably: of a copy, which knows
    /// nothing of what is signed from then on.
    ///
    /// # Errors
    /// [`ChainError::Storage`], [`ChainError::Damaged`].
    pub fn forget_signing(&self) -> Result<(), ChainError> {
        let family = self.column(CONSENSUS);
        let mut batch = WriteBatch::default();
        for entry in self.0.db.iterator_cf(family.handle, IteratorMode::Start) {
            let (key, _) = entry.map_err(|source| fault(CONSENSUS, &source))?;
            batch.delete_cf(family.handle, key);
        }
        self.write(batch, true)
    }

    /// Reads everything, so that every checksum and encryption is checked. Returns the number of
    /// entries; none when `stop` was set meanwhile.
    ///
    /// # Errors
    /// [`ChainError::Damaged`], [`ChainError::Storage`].
    pub fn verify(&self, stop: &AtomicBool) -> Result<Option<u64>, ChainError> {
        let mut count = 0u64;
        for name in columns::names() {
            let family = self.column(name);
            let mut options = ReadOptions::default();
            options.fill_cache(false);
            options.set_readahead_size(READAHEAD_BYTES);
            let found = self.0.db.iterator_cf_opt(family.handle, options, IteratorMode::Start);
            for entry in found {
                let (key, value) = entry.map_err(|source| fault(name, &source))?;
                if stop.load(Ordering::Relaxed) {
                    return Ok(None);
                }
                family.opened(key, value)?;
                count += 1;
            }
        }
        Ok(Some(count))
    }

    /// Ends compactions that are under way, so that the process can end.
    pub fn stop_background(&self) {
        self.0.db.cancel_all_background_work(true);
    }
}
