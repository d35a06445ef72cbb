//! A database that is only read, beside the node that has it open or without one.

use std::path::Path;

use rocksdb::DB;
use tandem_chain::Error as ChainError;
use tandem_chain::block::CertifiedBlock;
use tandem_chain::ledger;
use tandem_chain::store::{Column, Entry, Store};
use tandem_chain::types::{Hash, Height};
use tempfile::TempDir;

use super::columns::{self, FamilyName};
use super::family::{fault, from};
use super::open::{is_there, open_error};
use super::{BlockResults, Database, Error, StorageConfig, encryption, synced};

/// How often a database is opened at most. Its owner may delete a table or a log that its list of files
/// named a moment before; what is still missing at the last time is lost.
const LOOKS: u32 = 20;

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
        let look = || -> Result<DB, rocksdb::Error> {
            let families = columns::descriptors(config, ciphers.as_ref());
            let folder = scratch.path();
            let db = DB::open_cf_descriptors_as_secondary(&options, path, folder, families)?;
            // The owner may have moved what its log held into a table between our reading of the list
            // of tables and of the log: both are read once more, in that order.
            db.try_catch_up_with_primary()?;
            Ok(db)
        };
        let mut looks = 0;
        let database = loop {
            looks += 1;
            let db = match look() {
                Ok(db) => db,
                Err(source) if looks < LOOKS && is_gone(&source) => continue,
                Err(source) => return Err(open_error(path, root.is_some(), &source)),
            };
            let found = synced::check(path, on_disk, db.latest_sequence_number()).and_then(|()| {
                let found =
                    Database::of(db, ciphers.clone(), None, path).check(path, genesis)?.whole()?;
                of_one_height(&found, path).map(|()| found)
            });
            match found {
                Err(Error::Damaged { .. } | Error::Content { .. }) if looks < LOOKS => {}
                found => break found?,
            }
        };
        Ok(Self { database, _scratch: scratch })
    }

    /// Height of the last block; 0 before the first.
    #[must_use]
    pub fn height(&self) -> Height {
        self.database.height()
    }

    /// [`Database::first_height`].
    #[must_use]
    pub fn first_height(&self) -> Height {
        self.database.first_height()
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

/// Whether a file was deleted after its name was read.
fn is_gone(source: &rocksdb::Error) -> bool {
    source.kind() == rocksdb::ErrorKind::IOError
        && source.as_ref().contains("No such file or directory")
}

/// The column families were read as of one height.
fn of_one_height(database: &Database, path: &Path) -> Result<(), Error> {
    let height = database.height();
    if height == Height::ZERO {
        return Ok(());
    }
    let content = |source| Error::Content { path: path.to_owned(), source };
    let state = ledger::last(database).map_err(content)?.height;
    if state != height {
        let reason = format!("its last block is {height}, its state is that after block {state}");
        return Err(Error::Damaged { path: path.to_owned(), reason });
    }
    Ok(())
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
