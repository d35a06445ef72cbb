//! A database that is only read: beside a node that runs, after one that has stopped, or from a copy.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use rocksdb::DB;
use tandem_chain::Error as ChainError;
use tandem_chain::block::CertifiedBlock;
use tandem_chain::store::{Column, Entry, Store};
use tandem_chain::types::{Hash, Height};
use tempfile::TempDir;
use tokio::sync::watch;

use super::columns::{self, Family, META};
use super::{
    BlockResults, Database, Error, FORMAT, FORMAT_KEY, GENESIS_KEY, HEIGHT_KEY, Inner,
    StorageConfig, fault, missing, open_error, range,
};

/// The database of a folder as it was when it was opened. Nothing in the folder is changed, and the
/// process that owns it goes on; what that commits later is not seen. Values are plain ones, whatever
/// is done to them on their way to the disk.
pub struct Reader {
    database: Database,
    genesis: Hash,
    /// RocksDB keeps a text log of its own there. It goes after the database is closed.
    _scratch: TempDir,
}

impl Reader {
    /// Opens the database in folder `path`.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::NewerFormat`], [`Error::Open`], [`Error::Content`].
    pub fn open(path: &Path, config: &StorageConfig) -> Result<Self, Error> {
        if !path.join("CURRENT").exists() {
            return Err(Error::Missing { path: path.to_owned() });
        }
        let open = |reason: String| Error::Open { path: path.to_owned(), reason };
        let scratch = TempDir::new().map_err(|error| open(format!("no folder for it: {error}")))?;
        let mut options = columns::database_options(config);
        options.create_if_missing(false);
        options.create_missing_column_families(false);
        // Files that the owner deletes meanwhile stay open here.
        options.set_max_open_files(-1);
        let families = columns::descriptors(config);
        let db = DB::open_cf_descriptors_as_secondary(&options, path, scratch.path(), families)
            .map_err(|source| open_error(path, &source))?;
        // The owner may have moved what its log held into a table between our reading of the list of
        // tables and of the log. The second look reads them in that order again, and misses nothing.
        db.try_catch_up_with_primary().map_err(|source| open_error(path, &source))?;
        let (height, closed) = (AtomicU64::new(0), watch::Sender::default());
        let database = Database(Arc::new(Inner { db, height, closed }));
        let content = |source| Error::Content { path: path.to_owned(), source };
        let got: Option<u32> = database.read("format", META, FORMAT_KEY).map_err(content)?;
        if let Some(got) = got.filter(|got| *got > FORMAT) {
            return Err(Error::NewerFormat { path: path.to_owned(), known: FORMAT, got });
        }
        let genesis = database.read("genesis hash", META, GENESIS_KEY).map_err(content)?;
        let genesis = genesis.ok_or_else(|| content(missing("genesis hash")))?;
        let height: Option<u64> = database.read("height", META, HEIGHT_KEY).map_err(content)?;
        database.set_height(Height(height.unwrap_or(0)));
        Ok(Self { database, genesis, _scratch: scratch })
    }

    /// Hash of the genesis of its chain.
    #[must_use]
    pub fn genesis(&self) -> Hash {
        self.genesis
    }

    /// Height of the last block; 0 before the first.
    #[must_use]
    pub fn height(&self) -> Height {
        self.database.height()
    }

    /// [`Database::block`].
    ///
    /// # Errors
    /// [`ChainError::Storage`], [`ChainError::Damaged`].
    pub fn block(&self, height: Height) -> Result<Option<CertifiedBlock>, ChainError> {
        self.database.block(height)
    }

    /// [`Database::results`].
    ///
    /// # Errors
    /// [`ChainError::Storage`], [`ChainError::Damaged`].
    pub fn results(&self, height: Height) -> Result<Option<BlockResults>, ChainError> {
        self.database.results(height)
    }

    /// The value of a key in a column family.
    ///
    /// # Errors
    /// [`ChainError::Storage`], [`ChainError::Damaged`].
    pub fn value(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, ChainError> {
        self.database.bytes(family.name(), key)
    }

    /// Visits up to `limit` entries of a column family whose keys start with `prefix`, in order, one at
    /// a time in memory; whether there are more. It ends with the first error of `visit`.
    ///
    /// # Errors
    /// Those of `visit`; [`ChainError::Storage`], [`ChainError::Damaged`].
    pub fn visit<E: From<ChainError>>(
        &self,
        family: Family,
        prefix: &[u8],
        limit: usize,
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
    ) -> Result<bool, E> {
        let name = family.name();
        let (options, mode) = range(prefix, None);
        let column = self.database.column(name);
        for (i, entry) in self.database.0.db.iterator_cf_opt(column, options, mode).enumerate() {
            let (key, value) = entry.map_err(|source| fault(name, &source))?;
            if i == limit {
                return Ok(true);
            }
            visit(&key, &value)?;
        }
        Ok(false)
    }
}

impl Store for Reader {
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, ChainError> {
        self.database.get(column, key)
    }

    fn scan(
        &self,
        column: Column,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Entry>, ChainError> {
        self.database.scan(column, prefix, after, limit)
    }
}
