//! The database of a node: RocksDB, one folder, one process at a time.
//!
//! # What is durable when
//!
//! Every write goes to one log that all column families share.
//!
//! - [`Database::persist`] returns when what it wrote, *and every write before it*, is on the
//!   medium (fdatasync of the log). Votes, locks and the blocks that they are about go through it.
//! - [`Database::commit`] is one atomic write that reaches the operating system at once, and the
//!   medium with the next `persist` or [`Database::sync`]. A process that is killed loses nothing.
//!   A machine that loses power may lose the last commits, whole, newest first: never a part of
//!   one, nor one below another that is kept. That is enough, because a certificate exists only
//!   when more than 2/3 of the power have made the block durable with `persist` before they signed
//!   their precommits: the node finds its own copy among what it persisted, or fetches block and
//!   certificate again, and executes to the same state.
//!
//! After a crash the log is replayed up to the first record that was not written whole, which by
//! the above is behind everything that was promised to be durable.
//!
//! A write that fails leaves the database unusable; the caller ends the process. A value that
//! cannot be decoded is [`tandem_chain::Error::Damaged`].

mod columns;
mod error;
mod reader;
mod snapshot;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rocksdb::{ColumnFamily, DB, Direction, IteratorMode, ReadOptions, WriteBatch, WriteOptions};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tandem_chain::block::CertifiedBlock;
use tandem_chain::ledger::{Event, Execution, Receipt};
use tandem_chain::limits::MAX_ENCODED_BYTES;
use tandem_chain::store::{Batch, Column, Entry, Store};
use tandem_chain::types::{BlockId, Hash, Height, TxHash};
use tandem_chain::{Error as ChainError, codec};
use tokio::sync::watch;

pub use columns::Family;
pub use error::Error;
pub use reader::Reader;
pub use snapshot::Snapshot;

use columns::{BLOCKS, CONSENSUS, INDEX, META, RESULTS, STATE, TREE};

/// Format of keys and values. A database of a later one is refused.
pub const FORMAT: u32 = 1;

const FORMAT_KEY: &[u8] = b"format";
const GENESIS_KEY: &[u8] = b"genesis";
const HEIGHT_KEY: &[u8] = b"height";

/// Bounds on the memory and files of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageConfig {
    /// Bytes of the cache for blocks, indexes and filters of tables.
    pub cache_bytes: usize,
    /// Bytes of all write buffers together, before they are flushed to tables.
    pub write_buffer_bytes: usize,
    /// Files that are kept open.
    pub open_files: i32,
}

impl Default for StorageConfig {
    fn default() -> Self {
        Self {
            cache_bytes: 32 * 1024 * 1024,
            write_buffer_bytes: 32 * 1024 * 1024,
            open_files: 256,
        }
    }
}

/// What a block left behind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockResults {
    /// By place in the block: 0 is the liveness record.
    pub receipts: Vec<Receipt>,
    /// What the block did apart from its transactions.
    pub events: Vec<Event>,
}

/// The database. Cheap to clone: all clones are one; the folder is free again when the last is
/// dropped. Calls block on the medium, never on one another for long.
#[derive(Clone)]
pub struct Database(Arc<Inner>);

/// Dropped in this order: who waits for `closed` finds the database closed.
struct Inner {
    db: DB,
    height: AtomicU64,
    closed: watch::Sender<()>,
}

impl Database {
    /// Opens the database in folder `path` for the chain with this genesis, and makes it when it
    /// is not there. A new one holds no state: see [`Database::initialise`].
    ///
    /// # Errors
    /// [`Error::InUse`], [`Error::OtherGenesis`], [`Error::NewerFormat`], [`Error::Open`],
    /// [`Error::Content`].
    pub fn open(path: &Path, genesis: Hash, config: &StorageConfig) -> Result<Self, Error> {
        let options = columns::database_options(config);
        let db = DB::open_cf_descriptors(&options, path, columns::descriptors(config))
            .map_err(|source| open_error(path, &source))?;
        let database = Self(Arc::new(Inner {
            db,
            height: AtomicU64::new(0),
            closed: watch::Sender::default(),
        }));
        let content = |source| Error::Content { path: path.to_owned(), source };
        match database.read::<u32>("format", META, FORMAT_KEY).map_err(content)? {
            None => database.mark(genesis).map_err(content)?,
            Some(got) if got > FORMAT => {
                return Err(Error::NewerFormat { path: path.to_owned(), known: FORMAT, got });
            }
            Some(_) => {}
        }
        let got = database.read::<Hash>("genesis hash", META, GENESIS_KEY).map_err(content)?;
        let got = got.ok_or_else(|| content(missing("genesis hash")))?;
        if got != genesis {
            return Err(Error::OtherGenesis { path: path.to_owned(), expected: genesis, got });
        }
        let height = database.read::<u64>("height", META, HEIGHT_KEY).map_err(content)?;
        database.set_height(Height(height.unwrap_or(0)));
        Ok(database)
    }

    fn set_height(&self, height: Height) {
        self.0.height.store(height.0, Ordering::Release);
    }

    /// Writes format and genesis hash into a new database.
    fn mark(&self, genesis: Hash) -> Result<(), ChainError> {
        let mut batch = WriteBatch::default();
        batch.put_cf(self.column(META), FORMAT_KEY, codec::encode(&FORMAT));
        batch.put_cf(self.column(META), GENESIS_KEY, codec::encode(&genesis));
        self.write(batch, true)
    }

    /// Writes the state after genesis, durably, unless the database holds a state already.
    ///
    /// # Errors
    /// [`ChainError::Storage`], [`ChainError::Damaged`].
    pub fn initialise(&self, state: &Batch) -> Result<(), ChainError> {
        if self.read::<u64>("height", META, HEIGHT_KEY)?.is_some() {
            return Ok(());
        }
        let mut batch = WriteBatch::default();
        self.add_state(&mut batch, state);
        batch.put_cf(self.column(META), HEIGHT_KEY, codec::encode(&0u64));
        self.write(batch, true)
    }

    /// Writes a block, its certificate, its results, its place in the indexes and the state after
    /// it, all or nothing. When it returns the write outlives the process; it outlives a loss of
    /// power after the next [`Database::persist`] or [`Database::sync`] (see the module).
    ///
    /// # Errors
    /// [`ChainError::Storage`]: the process must end.
    ///
    /// # Panics
    /// When it is not the block of the next height, or the execution is not of this block.
    pub fn commit(
        &self,
        certified: &CertifiedBlock,
        execution: &Execution,
    ) -> Result<(), ChainError> {
        let block = &certified.block;
        let height = block.header.height;
        assert_eq!(height, self.height().next(), "blocks are committed in order, once each");
        assert_eq!(execution.tip.height, height, "the execution is of this block");
        let mut batch = WriteBatch::default();
        self.add_state(&mut batch, &execution.batch);
        let key = height.0.to_be_bytes();
        batch.put_cf(self.column(BLOCKS), key, codec::encode(certified));
        let results = (&execution.receipts, &execution.events);
        batch.put_cf(self.column(RESULTS), key, codec::encode(&results));
        let index = self.column(INDEX);
        batch.put_cf(index, index_key(b'b', &block.id()), codec::encode(&height));
        let record = Hash::of(&codec::encode(&block.record));
        let hashes =
            std::iter::once(record).chain(block.txs.iter().map(tandem_chain::tx::Tx::hash));
        for (place, hash) in (0u32..).zip(hashes) {
            batch.put_cf(index, index_key(b't', &hash), codec::encode(&(height, place)));
        }
        batch.put_cf(self.column(META), HEIGHT_KEY, codec::encode(&height));
        self.write(batch, false)?;
        self.set_height(height);
        Ok(())
    }

    /// Writes values of consensus by name, all or nothing. When it returns, they and every write
    /// before are on the medium.
    ///
    /// # Errors
    /// [`ChainError::Storage`]: the process must end.
    pub fn persist(&self, values: &[(&'static str, Vec<u8>)]) -> Result<(), ChainError> {
        let mut batch = WriteBatch::default();
        for (name, value) in values {
            batch.put_cf(self.column(CONSENSUS), name, value);
        }
        self.write(batch, true)
    }

    /// A value of consensus as it was last persisted.
    ///
    /// # Errors
    /// [`ChainError::Storage`], [`ChainError::Damaged`].
    pub fn load(&self, name: &'static str) -> Result<Option<Vec<u8>>, ChainError> {
        self.bytes(CONSENSUS, name.as_bytes())
    }

    /// Brings every write before to the medium.
    ///
    /// # Errors
    /// [`ChainError::Storage`]: the process must end.
    pub fn sync(&self) -> Result<(), ChainError> {
        self.0.db.flush_wal(true).map_err(|source| fault("log", &source))
    }

    /// Gives an error, and no value before, when the last handle has been dropped and the database is
    /// closed.
    #[must_use]
    pub fn closed(&self) -> watch::Receiver<()> {
        self.0.closed.subscribe()
    }

    /// Height of the last committed block; 0 before the first.
    #[must_use]
    pub fn height(&self) -> Height {
        Height(self.0.height.load(Ordering::Acquire))
    }

    /// The block of a height, with its certificate; none above [`Database::height`].
    ///
    /// # Errors
    /// [`ChainError::Storage`], [`ChainError::Damaged`].
    pub fn block(&self, height: Height) -> Result<Option<CertifiedBlock>, ChainError> {
        let found: Option<CertifiedBlock> = self.read("block", BLOCKS, &height.0.to_be_bytes())?;
        if let Some(other) = found.as_ref().filter(|f| f.block.header.height != height) {
            let reason = format!("{} stands at height {height}", other.block.header.height);
            return Err(ChainError::Damaged { what: "block", reason });
        }
        Ok(found)
    }

    /// What the block of a height left behind; none above [`Database::height`].
    ///
    /// # Errors
    /// [`ChainError::Storage`], [`ChainError::Damaged`].
    pub fn results(&self, height: Height) -> Result<Option<BlockResults>, ChainError> {
        self.read("results", RESULTS, &height.0.to_be_bytes())
    }

    /// Height and index in its block of a transaction; index 0 is a liveness record.
    ///
    /// # Errors
    /// [`ChainError::Storage`], [`ChainError::Damaged`].
    pub fn tx(&self, hash: &TxHash) -> Result<Option<(Height, u32)>, ChainError> {
        self.read("place of a transaction", INDEX, &index_key(b't', hash))
    }

    /// Height of the block with this id.
    ///
    /// # Errors
    /// [`ChainError::Storage`], [`ChainError::Damaged`].
    pub fn block_height_by_id(&self, id: &BlockId) -> Result<Option<Height>, ChainError> {
        self.read("height of a block", INDEX, &index_key(b'b', id))
    }

    /// The database as it is now: what is read from it is of one height, whatever is committed
    /// meanwhile. It holds back the cleaning up of old values: it is for one answer.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot<'_> {
        Snapshot::new(self)
    }

    fn column(&self, name: &'static str) -> &ColumnFamily {
        self.0.db.cf_handle(name).expect("every column family is made when the database is opened")
    }

    fn add_state(&self, batch: &mut WriteBatch, changes: &Batch) {
        for (column, key, value) in &changes.0 {
            let column = self.column(column_name(*column));
            match value {
                Some(value) => batch.put_cf(column, key, value),
                None => batch.delete_cf(column, key),
            }
        }
    }

    fn write(&self, batch: WriteBatch, sync: bool) -> Result<(), ChainError> {
        let mut options = WriteOptions::default();
        options.set_sync(sync);
        self.0.db.write_opt(batch, &options).map_err(|source| fault("log", &source))
    }

    fn bytes(&self, column: &'static str, key: &[u8]) -> Result<Option<Vec<u8>>, ChainError> {
        self.0.db.get_cf(self.column(column), key).map_err(|source| fault(column, &source))
    }

    fn read<T: DeserializeOwned>(
        &self,
        what: &'static str,
        column: &'static str,
        key: &[u8],
    ) -> Result<Option<T>, ChainError> {
        decoded(what, column, self.0.db.get_pinned_cf(self.column(column), key))
    }
}

/// A value as it was read.
fn decoded<T: DeserializeOwned>(
    what: &'static str,
    column: &'static str,
    found: Result<Option<rocksdb::DBPinnableSlice<'_>>, rocksdb::Error>,
) -> Result<Option<T>, ChainError> {
    let Some(bytes) = found.map_err(|source| fault(column, &source))? else {
        return Ok(None);
    };
    codec::decode(what, &bytes, MAX_ENCODED_BYTES)
        .map(Some)
        .map_err(|source| ChainError::Damaged { what, reason: source.to_string() })
}

impl Store for Database {
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, ChainError> {
        self.bytes(column_name(column), key)
    }

    fn scan(
        &self,
        column: Column,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Entry>, ChainError> {
        let name = column_name(column);
        let (options, mode) = range(prefix, after);
        entries(name, self.0.db.iterator_cf_opt(self.column(name), options, mode), after, limit)
    }
}

/// Where a scan begins and ends.
fn range<'a>(prefix: &'a [u8], after: Option<&'a [u8]>) -> (ReadOptions, IteratorMode<'a>) {
    let mut options = ReadOptions::default();
    options.set_iterate_range(rocksdb::PrefixRange(prefix));
    let start = after.filter(|after| *after >= prefix).unwrap_or(prefix);
    (options, IteratorMode::From(start, Direction::Forward))
}

/// Up to `limit` entries of a scan, without that of `after` itself.
fn entries(
    column: &'static str,
    found: impl Iterator<Item = Result<(Box<[u8]>, Box<[u8]>), rocksdb::Error>>,
    after: Option<&[u8]>,
    limit: usize,
) -> Result<Vec<Entry>, ChainError> {
    let mut entries = Vec::new();
    for entry in found {
        let (key, value) = entry.map_err(|source| fault(column, &source))?;
        if after == Some(&*key) {
            continue;
        }
        if entries.len() == limit {
            break;
        }
        entries.push((key.into_vec(), value.into_vec()));
    }
    Ok(entries)
}

fn column_name(column: Column) -> &'static str {
    match column {
        Column::State => STATE,
        Column::Tree => TREE,
    }
}

fn index_key(kind: u8, hash: &Hash) -> [u8; 1 + Hash::LEN] {
    let mut key = [kind; 1 + Hash::LEN];
    key[1..].copy_from_slice(hash.as_bytes());
    key
}

fn missing(what: &'static str) -> ChainError {
    ChainError::Damaged { what, reason: "it is missing".to_owned() }
}

/// A fault that RocksDB reports while the database is open.
fn fault(what: &'static str, source: &rocksdb::Error) -> ChainError {
    match source.kind() {
        rocksdb::ErrorKind::Corruption => ChainError::Damaged { what, reason: source.to_string() },
        _ => ChainError::Storage { reason: source.to_string() },
    }
}

fn open_error(path: &Path, source: &rocksdb::Error) -> Error {
    let path = path.to_owned();
    if source.kind() == rocksdb::ErrorKind::IOError && is_held_lock(source.as_ref()) {
        return Error::InUse { path };
    }
    Error::Open { path, reason: source.to_string() }
}

/// Whether RocksDB says that somebody holds the lock file. It has no kind for that, and other faults
/// of that file, such as missing permissions, name it as well.
fn is_held_lock(text: &str) -> bool {
    // By this process.
    text.contains("lock hold by current process")
        // By another one: the lock is refused with EAGAIN.
        || text.contains("/LOCK: ") && text.contains("Resource temporarily unavailable")
}
