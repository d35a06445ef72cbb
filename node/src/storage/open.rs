//! Opening a database: what is checked, in which order, before it answers.

use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use rocksdb::DB;
use tandem_chain::Error as ChainError;
use tandem_chain::types::{Hash, Height};
use tokio::sync::watch;

use super::columns::{self, Ciphers, META};
use super::encryption::{self, ENCRYPTION_FILE};
use super::events::INDEXED_KEY;
use super::synced::{self, SYNCED_FILE, Synced};
use super::{
    Database, Error, FIRST_KEY, FORMAT, FORMAT_KEY, GENESIS_KEY, HEIGHT_KEY, Inner, StorageConfig,
};

impl Database {
    /// Opens the database in folder `path` for the chain with this genesis, and makes it when it
    /// is not there. A new one holds no state: see [`Database::initialise`].
    ///
    /// # Errors
    /// [`Error`]. With a key that is wrong, missing or too many, nothing has been written.
    /// [`Error::Restoring`] when it holds a part of a state: see [`Database::open_to_restore`].
    pub fn open(path: &Path, genesis: Hash, config: &StorageConfig) -> Result<Self, Error> {
        Self::open_to_restore(path, genesis, config)?.whole()
    }

    /// As [`Database::open`], and takes a database that holds a part of a state, to go on with it.
    ///
    /// # Errors
    /// Those of [`Database::open`] but [`Error::Restoring`].
    pub fn open_to_restore(
        path: &Path,
        genesis: Hash,
        config: &StorageConfig,
    ) -> Result<Self, Error> {
        let root = encryption::root(path, config.key.as_ref(), true)?;
        let ciphers = columns::ciphers(root.as_ref());
        let mut options = columns::database_options(config);
        options.create_if_missing(!is_there(path)?);
        // Where all were made once, one that is missing is damage, but for the index.
        let is_new = !path.join(SYNCED_FILE).exists();
        let found = columns::found(&options, path);
        let names = columns::unknown(&found);
        if !names.is_empty() {
            return Err(Error::NewerFamilies { path: path.to_owned(), names: names.join(", ") });
        }
        let lacks_events = !is_new && columns::lacks_events(&found);
        options.create_missing_column_families(is_new || lacks_events);
        let descriptors = columns::descriptors(config, ciphers.as_ref());
        let db = DB::open_cf_descriptors(&options, path, descriptors)
            .map_err(|source| open_error(path, root.is_some(), &source))?;
        let synced = Synced::open(path, db.latest_sequence_number())?;
        let database = Self::of(db, ciphers, Some(synced), path);
        let content = |source| Error::Content { path: path.to_owned(), source };
        if database.0.db.latest_sequence_number() == 0 {
            database.mark(genesis).map_err(content)?;
        }
        if lacks_events {
            database.forget_index().map_err(content)?;
        }
        let database = database.check(path, genesis)?;
        if database.restoring().map_err(content)?.is_some() {
            database.merge_seldom().map_err(content)?;
        }
        Ok(database)
    }

    /// As [`Database::open`], for a database that must be there.
    ///
    /// # Errors
    /// [`Error`]; [`Error::None`] when there is none.
    pub fn open_existing(
        path: &Path,
        genesis: Hash,
        config: &StorageConfig,
    ) -> Result<Self, Error> {
        if is_there(path)? {
            Self::open(path, genesis, config)
        } else {
            Err(Error::None { path: path.to_owned() })
        }
    }

    /// Opens the database in folder `path` to be read alone, as it is now; nothing is written, and
    /// another process may have it open. Every attempt to write to it is an error.
    ///
    /// # Errors
    /// [`Error`]; [`Error::None`] when there is none.
    pub fn open_read_only(
        path: &Path,
        genesis: Hash,
        config: &StorageConfig,
    ) -> Result<Self, Error> {
        if !is_there(path)? {
            return Err(Error::None { path: path.to_owned() });
        }
        let root = encryption::root(path, config.key.as_ref(), false)?;
        let ciphers = columns::ciphers(root.as_ref());
        // Before the log is read, which another process may go on with.
        let synced = synced::read(path)?.unwrap_or(0);
        let options = columns::database_options(config);
        let descriptors = columns::descriptors(config, ciphers.as_ref());
        let db = DB::open_cf_descriptors_read_only(&options, path, descriptors, false)
            .map_err(|source| open_error(path, root.is_some(), &source))?;
        synced::check(path, synced, db.latest_sequence_number())?;
        Self::of(db, ciphers, None, path).check(path, genesis)?.whole()
    }

    /// Its heights are not read yet.
    pub(super) fn of(
        db: DB,
        ciphers: Option<Ciphers>,
        synced: Option<Synced>,
        path: &Path,
    ) -> Self {
        let (height, first) = (AtomicU64::new(0), watch::Sender::new(Height(1)));
        let (path, closed, pruning) = (path.to_owned(), watch::Sender::default(), Mutex::default());
        let indexed = watch::Sender::default();
        Self(Arc::new(Inner { db, ciphers, synced, height, first, indexed, pruning, path, closed }))
    }

    /// It holds a whole state, or none.
    pub(super) fn whole(self) -> Result<Self, Error> {
        let path = self.path().to_owned();
        match self.restoring() {
            Ok(None) => Ok(self),
            Ok(Some(of)) => Err(Error::Restoring { path, height: of.manifest.height() }),
            Err(source) => Err(Error::Content { path, source }),
        }
    }

    /// What is in the database belongs to this program and chain; its heights are known from then on.
    pub(super) fn check(self, path: &Path, genesis: Hash) -> Result<Self, Error> {
        let content = |source| Error::Content { path: path.to_owned(), source };
        let missing = |what| {
            let reason = "it is missing".to_owned();
            content(ChainError::Damaged { what, reason })
        };
        let format = self.read::<u32>("format", META, FORMAT_KEY).map_err(content)?;
        let got = format.ok_or_else(|| missing("format"))?;
        if got > FORMAT {
            return Err(Error::NewerFormat { path: path.to_owned(), known: FORMAT, got });
        }
        let got = self.read::<Hash>("genesis hash", META, GENESIS_KEY).map_err(content)?;
        let got = got.ok_or_else(|| missing("genesis hash"))?;
        if got != genesis {
            return Err(Error::OtherGenesis { path: path.to_owned(), expected: genesis, got });
        }
        let height = self.read::<u64>("height", META, HEIGHT_KEY).map_err(content)?;
        self.set_height(Height(height.unwrap_or(0)));
        let first = self.read::<u64>("height of the first block", META, FIRST_KEY);
        self.set_first(Height(first.map_err(content)?.unwrap_or(1)));
        let indexed = self.read::<Height>("height of the index", META, INDEXED_KEY);
        self.set_indexed(indexed.map_err(content)?.unwrap_or_default());
        Ok(self)
    }
}

/// Whether a database is there. RocksDB begins a new one where its file CURRENT is missing, over
/// whatever else lies there.
pub(super) fn is_there(path: &Path) -> Result<bool, Error> {
    if path.join("CURRENT").exists() {
        return Ok(true);
    }
    if encryption::holds_database(path) {
        let reason = "its file CURRENT is missing".to_owned();
        return Err(Error::Damaged { path: path.to_owned(), reason });
    }
    Ok(false)
}

/// `keyed`: whether it was opened as an encrypted one.
pub(super) fn open_error(path: &Path, keyed: bool, source: &rocksdb::Error) -> Error {
    let path = path.to_owned();
    let text: &str = source.as_ref();
    match source.kind() {
        rocksdb::ErrorKind::IOError if is_held_lock(text) => Error::InUse { path },
        rocksdb::ErrorKind::Corruption => Error::Damaged { path, reason: source.to_string() },
        rocksdb::ErrorKind::InvalidArgument if text.contains("existing comparator") => {
            let reason = if keyed {
                format!("it is not encrypted, and the {ENCRYPTION_FILE} in it is another's")
            } else {
                format!("it is encrypted, and its {ENCRYPTION_FILE} is gone")
            };
            Error::Damaged { path, reason }
        }
        _ => Error::Open { path, reason: source.to_string() },
    }
}

/// Whether RocksDB says that somebody holds the lock file. It has no kind for that, and other faults
/// of that file, such as missing permissions, name it as well.
pub(super) fn is_held_lock(text: &str) -> bool {
    // By this process.
    text.contains("lock hold by current process")
        // By another one: the lock is refused with EAGAIN.
        || text.contains("/LOCK: ") && text.contains("Resource temporarily unavailable")
}
