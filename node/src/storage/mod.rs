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
//! the above is behind everything that was promised to be durable; a file beside it says how far
//! that is, so that a log that was damaged later is noticed.
//!
//! A write that fails leaves the database unusable; the caller ends the process. A value that
//! cannot be decoded is [`tandem_chain::Error::Damaged`].
//!
//! # What others read on the disk
//!
//! With [`StorageConfig::key`], keys and values are encrypted before RocksDB sees them, in its log
//! as in its tables; then values are compressed before that, and not by RocksDB.

mod cipher;
mod columns;
mod encryption;
mod error;
mod events;
mod family;
mod maintenance;
mod open;
mod prune;
mod reader;
mod restore;
mod sealer;
mod snapshot;
mod synced;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rocksdb::{DB, Direction, IteratorMode, ReadOptions, WriteBatch, WriteOptions};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tandem_chain::block::{Block, CertifiedBlock};
use tandem_chain::ledger::{Event, Execution, Receipt};
use tandem_chain::store::{Batch, Change, Column, Entry, Store};
use tandem_chain::types::{BlockId, Hash, Height, TxHash};
use tandem_chain::{Error as ChainError, codec};
use tandem_consensus::light::ValidatorSet;
use tokio::sync::watch;

pub use columns::{Compression, FamilyName};
pub use encryption::ENCRYPTION_FILE;
pub(crate) use encryption::holds_database;
pub use error::Error;
pub use events::{Events, Key as EventsKey, Kind as EventKind, Place, Places, attribute_start};
pub use prune::Pruned;
pub use reader::Reader;
pub use restore::Restoring;
pub use sealer::Sealer;
pub use snapshot::Snapshot;
pub use synced::SYNCED_FILE;

use crate::home::StorageKey;
use columns::{BLOCKS, CONSENSUS, Ciphers, INDEX, META, RESULTS, STATE, TREE, VALIDATORS};
use family::{Family, Value, fault};
use synced::Synced;

/// Format of keys and values. A database of a later one is refused.
pub const FORMAT: u32 = 1;

const FORMAT_KEY: &[u8] = b"format";
const GENESIS_KEY: &[u8] = b"genesis";
const HEIGHT_KEY: &[u8] = b"height";
/// Height of the lowest block; there when it is not 1.
const FIRST_KEY: &[u8] = b"first";

/// How a database is kept: bounds on its memory and files, compression, encryption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageConfig {
    /// Bytes of the cache for blocks, indexes and filters of tables.
    pub cache_bytes: usize,
    /// Bytes of all write buffers together, before they are flushed to tables.
    pub write_buffer_bytes: usize,
    /// Files that are kept open.
    pub open_files: i32,
    /// In the place of what is right for each column family whose values compress: to measure.
    pub compression: Option<Compression>,
    /// The key that everything stored is encrypted with; none when it is not.
    pub key: Option<StorageKey>,
}

impl Default for StorageConfig {
    fn default() -> Self {
        Self {
            cache_bytes: 32 * 1024 * 1024,
            write_buffer_bytes: 32 * 1024 * 1024,
            open_files: 256,
            compression: None,
            key: None,
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
    /// One for each column family, when the database is encrypted.
    ciphers: Option<Ciphers>,
    /// None of a database that is only read.
    synced: Option<Synced>,
    height: AtomicU64,
    first: watch::Sender<Height>,
    /// Height up to which the index of events reaches.
    indexed: watch::Sender<Height>,
    /// Held by who takes away old blocks, and by who brings one into the index of events.
    pruning: Mutex<()>,
    path: PathBuf,
    closed: watch::Sender<()>,
}

impl Database {
    /// Writes format and genesis hash into a new database.
    fn mark(&self, genesis: Hash) -> Result<(), ChainError> {
        let mut batch = WriteBatch::default();
        self.column(META).put(&mut batch, FORMAT_KEY, &codec::encode(&FORMAT));
        self.column(META).put(&mut batch, GENESIS_KEY, &codec::encode(&genesis));
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
        if self.restoring()?.is_some() {
            let reason = "it is restored in part, and neither empty nor whole".to_owned();
            return Err(ChainError::Damaged { what: "state", reason });
        }
        let mut batch = WriteBatch::default();
        self.add_state(&mut batch, &state.0);
        self.column(META).put(&mut batch, HEIGHT_KEY, &codec::encode(&0u64));
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
        self.add_state(&mut batch, &execution.batch.0);
        let key = height.0.to_be_bytes();
        self.column(BLOCKS).put(&mut batch, &key, &codec::encode(certified));
        let results = (&execution.receipts, &execution.events);
        self.column(RESULTS).put(&mut batch, &key, &codec::encode(&results));
        let index = self.column(INDEX);
        index.put(&mut batch, &index_key(b'b', &block.id()), &codec::encode(&height));
        for (place, hash) in (0u32..).zip(hashes(block)) {
            index.put(&mut batch, &index_key(b't', &hash), &codec::encode(&(height, place)));
        }
        let tip = &execution.tip;
        if tip.next_next_table != tip.next_table {
            let validators = ValidatorSet::from(&*tip.next_next_table);
            self.add_validators(&mut batch, height.plus(2), &validators);
        }
        self.column(META).put(&mut batch, HEIGHT_KEY, &codec::encode(&height));
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
            self.column(CONSENSUS).put(&mut batch, name.as_bytes(), value);
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
        let last = self.0.db.latest_sequence_number();
        self.0.db.flush_wal(true).map_err(|source| fault("log", &source))?;
        self.synced(last)
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

    /// Height of the lowest block that is there, when any is: above 1 where the state was restored, or
    /// old blocks were taken away. While they are, it rises before they go.
    #[must_use]
    pub fn first_height(&self) -> Height {
        *self.0.first.borrow()
    }

    /// Follows [`Database::first_height`].
    #[cfg(test)]
    pub(crate) fn follow_first(&self) -> watch::Receiver<Height> {
        self.0.first.subscribe()
    }

    /// The validators of a height, as they were last changed; none where they are still those of
    /// genesis.
    ///
    /// # Errors
    /// [`ChainError::Storage`], [`ChainError::Damaged`].
    pub fn validators(&self, height: Height) -> Result<Option<ValidatorSet>, ChainError> {
        let family = self.column(VALIDATORS);
        let from = family.key(&height.0.to_be_bytes()).into_owned();
        let mode = IteratorMode::From(&from, Direction::Reverse);
        let Some(entry) = self.0.db.iterator_cf(family.handle, mode).next() else {
            return Ok(None);
        };
        let (key, value) = entry.map_err(|source| fault(VALIDATORS, &source))?;
        let (_, value) = family.opened(key, value)?;
        family::decode("validators of a height", &value).map(Some)
    }

    fn add_validators(&self, batch: &mut WriteBatch, height: Height, validators: &ValidatorSet) {
        let key = height.0.to_be_bytes();
        self.column(VALIDATORS).put(batch, &key, &codec::encode(validators));
    }

    fn set_height(&self, height: Height) {
        self.0.height.store(height.0, Ordering::Release);
    }

    fn set_first(&self, height: Height) {
        self.0.first.send_replace(height);
    }

    /// The block of a height, with its certificate; none above [`Database::height`], and below
    /// [`Database::first_height`].
    ///
    /// # Errors
    /// [`ChainError::Storage`], [`ChainError::Damaged`].
    pub fn block(&self, height: Height) -> Result<Option<CertifiedBlock>, ChainError> {
        self.block_by(height, &ReadOptions::default())
    }

    fn block_by(
        &self,
        height: Height,
        options: &ReadOptions,
    ) -> Result<Option<CertifiedBlock>, ChainError> {
        let family = self.column(BLOCKS);
        let key = height.0.to_be_bytes();
        let key = family.key(&key);
        let found = self.0.db.get_pinned_cf_opt(family.handle, &key, options);
        let found: Option<CertifiedBlock> = family.decoded("block", &key, found)?;
        if let Some(other) = found.as_ref().filter(|f| f.block.header.height != height) {
            let reason = format!("{} stands at height {height}", other.block.header.height);
            return Err(ChainError::Damaged { what: "block", reason });
        }
        Ok(found)
    }

    /// What the block of a height left behind; none above [`Database::height`], below
    /// [`Database::first_height`], and for a block with which the state was restored.
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

    /// The database's folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Whether what it holds is encrypted.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.0.ciphers.is_some()
    }

    fn column(&self, name: &'static str) -> Family<'_> {
        let db = &self.0.db;
        let handle = db.cf_handle(name);
        Family {
            name,
            handle: handle.expect("every column family is made when the database is opened"),
            cipher: self.0.ciphers.as_ref().map(|ciphers| &*ciphers[name]),
            is_ordered: self.0.ciphers.is_none() || columns::is_ordered(name),
        }
    }

    fn add_state<'a>(&self, batch: &mut WriteBatch, changes: impl IntoIterator<Item = &'a Change>) {
        for (column, key, value) in changes {
            let column = self.column(column_name(*column));
            match value {
                Some(value) => column.put(batch, key, value),
                None => column.delete(batch, key),
            }
        }
    }

    fn write(&self, batch: WriteBatch, sync: bool) -> Result<(), ChainError> {
        let mut options = WriteOptions::default();
        options.set_sync(sync);
        // Others may write at the same time, before or behind this batch: at least these are durable
        // with it.
        let last = self.0.db.latest_sequence_number() + batch.len() as u64;
        self.0.db.write_opt(batch, &options).map_err(|source| fault("log", &source))?;
        if sync { self.synced(last) } else { Ok(()) }
    }

    fn synced(&self, last: u64) -> Result<(), ChainError> {
        let written = self.0.synced.as_ref().map_or(Ok(()), |synced| synced.reached(last));
        written.map_err(|error| ChainError::Storage {
            reason: format!("cannot write {}: {error}", self.0.path.join(SYNCED_FILE).display()),
        })
    }

    fn bytes(&self, column: &'static str, key: &[u8]) -> Result<Option<Vec<u8>>, ChainError> {
        let family = self.column(column);
        let key = family.key(key);
        let found = self.0.db.get_pinned_cf(family.handle, &key);
        Ok(family.value(&key, found)?.map(Value::into_vec))
    }

    fn read<T: DeserializeOwned>(
        &self,
        what: &'static str,
        column: &'static str,
        key: &[u8],
    ) -> Result<Option<T>, ChainError> {
        let family = self.column(column);
        let key = family.key(key);
        family.decoded(what, &key, self.0.db.get_pinned_cf(family.handle, &key))
    }
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
        let family = self.column(column_name(column));
        let (options, start) = family.range(prefix, after);
        let found = self.0.db.iterator_cf_opt(family.handle, options, family::from(&start));
        family.entries(found, prefix, after, limit)
    }
}

fn column_name(column: Column) -> &'static str {
    match column {
        Column::State => STATE,
        Column::Tree => TREE,
    }
}

/// The hashes of a block's liveness record and transactions, by their place.
pub(crate) fn hashes(block: &Block) -> impl Iterator<Item = TxHash> {
    let record = Hash::of(&codec::encode(&block.record));
    std::iter::once(record).chain(block.txs.iter().map(tandem_chain::tx::Tx::hash))
}

fn index_key(kind: u8, hash: &Hash) -> [u8; 1 + Hash::LEN] {
    let mut key = [kind; 1 + Hash::LEN];
    key[1..].copy_from_slice(hash.as_bytes());
    key
}
