//! A database that is only read, beside the node that has it open or without one.

use std::path::Path;

use rocksdb::DB;
use tandem_chain::Error as ChainError;
use tandem_chain::block::CertifiedBlock;
use tandem_chain::store::{Column, Entry, Store};
use tandem_chain::types::{Hash, Height};
use tempfile::TempDir;

use super::columns::{self, FamilyName};
use super::family::{fault, from};
use super::open::{is_there, open_error};
use super::{BlockResults, Database, Error, StorageConfig, encryption, synced};

/// Looks at what the owner has done meanwhile, after which entries that are missing are lost.
const LOOKS: u32 = 5;

/// The database of a folder as it was when it was opened. Nothing in the folder is changed, and the
/// process that owns it goes on; what that commits later is not seen.
///
/// It differs from [`Database::open_read_only`] in that: there, an owner that writes meanwhile is an
/// error.
pub struct Reader {
    database: Database,
    /// RocksDB keeps a text log of its own there. It goes after the database is closed.
    _scratch: TempDir,
}

impl Reader {
    /// Opens the database in folder `path`, of the chain with this genesis.
    ///
    /// # Errors
    /// [`Error`]; [`Error::None`] when there is none.
    pub fn open(path: &Path, genesis: Hash, config: &StorageConfig) -> Result<Self, Error> {
        if !is_there(path)? {
            return Err(Error::None { path: path.to_owned() });
        }
        let root = encryption::root(path, config.key.as_ref(), false)?;
        let ciphers = columns::ciphers(root.as_ref());
        // Before the log is read, which the owner may go on with.
        let on_disk = synced::read(path)?.unwrap_or(0);
        let scratch = TempDir::new().map_err(|error| Error::Open {
            path: path.to_owned(),
            reason: format!("there is no temporary folder: {error}"),
        })?;
        let mut options = columns::database_options(config);
        // Files that the owner deletes meanwhile stay open here.
        options.set_max_open_files(-1);
        // RocksDB does not have it for a reader beside an owner; what is lost is found below.
        options.set_track_and_verify_wals_in_manifest(false);
        let families = columns::descriptors(config, ciphers.as_ref());
        let failed = |source: rocksdb::Error| open_error(path, root.is_some(), &source);
        let db = DB::open_cf_descriptors_as_secondary(&options, path, scratch.path(), families)
            .map_err(failed)?;
        // The owner may have moved what its log held into a table between our reading of the list of
        // tables and of the log. Another look reads them in that order again; it misses nothing, but
        // when the same has happened once more.
        let mut looks = 0;
        loop {
            db.try_catch_up_with_primary().map_err(failed)?;
            looks += 1;
            match synced::check(path, on_disk, db.latest_sequence_number()) {
                Ok(()) => break,
                Err(error) if looks == LOOKS => return Err(error),
                Err(_) => {}
            }
        }
        let database = Database::of(db, ciphers, None, path).check(path, genesis)?;
        Ok(Self { database, _scratch: scratch })
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
    pub fn value(&self, family: FamilyName, key: &[u8]) -> Result<Option<Vec<u8>>, ChainError> {
        self.database.bytes(family.as_str(), key)
    }

    /// Visits up to `limit` entries of a column family whose keys start with `prefix`, one at a time in
    /// memory; whether there are more. They come in the order of their keys, but for those families
    /// that an encrypted database keeps in no order. It ends with the first error of `visit`.
    ///
    /// # Errors
    /// Those of `visit`; [`ChainError::Storage`], [`ChainError::Damaged`].
    pub fn visit<E: From<ChainError>>(
        &self,
        family: FamilyName,
        prefix: &[u8],
        limit: usize,
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
    ) -> Result<bool, E> {
        let family = self.database.column(family.as_str());
        let (options, start) = family.range(prefix, None);
        let found = self.database.0.db.iterator_cf_opt(family.handle, options, from(&start));
        let mut count = 0;
        for entry in found {
            let (key, value) = entry.map_err(|source| fault(family.name, &source))?;
            let (key, value) = family.opened(key, value)?;
            if !key.starts_with(prefix) {
                continue;
            }
            if count == limit {
                return Ok(true);
            }
            count += 1;
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
