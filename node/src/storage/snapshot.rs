//! The database at one moment.

use rocksdb::{IteratorMode, ReadOptions};
use tandem_chain::Error as ChainError;
use tandem_chain::store::{Column, Entry, Store};
use tandem_chain::types::Height;

use super::columns::META;
use super::family::{self, Value, fault};
use super::maintenance::READAHEAD_BYTES;
use super::{Database, HEIGHT_KEY, column_name};

/// What [`Database::snapshot`] gives: the state after one block, with that block's height.
pub struct Snapshot<'a> {
    database: &'a Database,
    moment: rocksdb::Snapshot<'a>,
}

impl<'a> Snapshot<'a> {
    pub(super) fn new(database: &'a Database) -> Self {
        Self { database, moment: database.0.db.snapshot() }
    }

    /// Height of the last block that is in it; 0 before the first.
    ///
    /// # Errors
    /// [`ChainError::Storage`], [`ChainError::Damaged`].
    pub fn height(&self) -> Result<Height, ChainError> {
        let family = self.database.column(META);
        let key = family.key(HEIGHT_KEY);
        let found = self.moment.get_pinned_cf(family.handle, &key);
        let height: Option<u64> = family.decoded("height", &key, found)?;
        Ok(Height(height.unwrap_or(0)))
    }
}

impl Snapshot<'_> {
    /// Visits all entries of a column in the order of their keys, past the cache: it is for reading
    /// everything once.
    ///
    /// # Errors
    /// Those of `visit`, which end it; [`ChainError::Storage`], [`ChainError::Damaged`].
    ///
    /// # Panics
    /// When entries do not lie in the order of their keys: those of the state do.
    pub fn sweep<E: From<ChainError>>(
        &self,
        column: Column,
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let family = self.database.column(column_name(column));
        assert!(family.is_ordered, "entries lie in order");
        let mut options = ReadOptions::default();
        options.fill_cache(false);
        options.set_readahead_size(READAHEAD_BYTES);
        let found = self.moment.iterator_cf_opt(family.handle, options, IteratorMode::Start);
        for entry in found {
            let (key, value) = entry.map_err(|source| fault(family.name, &source))?;
            let (key, value) = family.opened(key, value)?;
            visit(&key, &value)?;
        }
        Ok(())
    }
}

impl Store for Snapshot<'_> {
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, ChainError> {
        let family = self.database.column(column_name(column));
        let key = family.key(key);
        let found = self.moment.get_pinned_cf(family.handle, &key);
        Ok(family.value(&key, found)?.map(Value::into_vec))
    }

    fn scan(
        &self,
        column: Column,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Entry>, ChainError> {
        let family = self.database.column(column_name(column));
        let (options, start) = family.range(prefix, after);
        let found = self.moment.iterator_cf_opt(family.handle, options, family::from(&start));
        family.entries(found, prefix, after, limit)
    }
}
