//! Column families of the database and how RocksDB is set up for them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DB, DBCompressionType,
    DEFAULT_COLUMN_FAMILY_NAME, LogLevel, Options,
};
use tandem_chain::types::escaped;

use super::StorageConfig;
use super::cipher::{Cipher, Root};

/// Keys and values of the chain's state.
pub(super) const STATE: &str = "state";
/// What is derived from the state: the pages of its Merkle tree.
pub(super) const TREE: &str = "tree";
/// Height, 8 bytes big-endian -> certified block.
pub(super) const BLOCKS: &str = "blocks";
/// Height, 8 bytes big-endian -> receipts and events of the block.
pub(super) const RESULTS: &str = "results";
/// `b` and a block's id -> its height; `t` and a transaction's hash -> its height and index.
pub(super) const INDEX: &str = "index";
/// Transactions and events, for search: see `events.rs`.
pub(super) const EVENTS: &str = "events";
/// Height, 8 bytes big-endian -> the validators from it on, where they changed.
pub(super) const VALIDATORS: &str = "validators";
/// What consensus must find again after a crash.
pub(super) const CONSENSUS: &str = "consensus";
/// Format, genesis hash, height; what is being restored.
pub(super) const META: &str = "meta";

/// A column family, for those who look into a database from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FamilyName {
    /// Keys and values of the chain's state.
    State,
    /// Pages of its Merkle tree, and transactions of recent blocks.
    Tree,
    /// Blocks by height.
    Blocks,
    /// What they left behind.
    Results,
    /// Heights by block id and transaction hash.
    Index,
    /// Transactions and events, for search.
    Events,
    /// Validators by the height from which on they are so.
    Validators,
    /// What consensus must find again after a crash.
    Consensus,
    /// Format, genesis hash, heights of the last and the lowest block.
    Meta,
}

impl FamilyName {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::State,
        Self::Tree,
        Self::Blocks,
        Self::Results,
        Self::Index,
        Self::Events,
        Self::Validators,
        Self::Consensus,
        Self::Meta,
    ];

    /// Its name in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::State => STATE,
            Self::Tree => TREE,
            Self::Blocks => BLOCKS,
            Self::Results => RESULTS,
            Self::Index => INDEX,
            Self::Events => EVENTS,
            Self::Validators => VALIDATORS,
            Self::Consensus => CONSENSUS,
            Self::Meta => META,
        }
    }
}

impl std::str::FromStr for FamilyName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|family| family.as_str() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::as_str);
            format!("there is no such column family; there are {}", names.join(", "))
        })
    }
}

/// How the values of a column family are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// LZ4: hardly costs time.
    Lz4,
    /// Zstandard.
    Zstd,
    /// Zstandard, with a dictionary that RocksDB trains for each table from a sample of it.
    ZstdDictionary,
}

/// How a column family is used, which decides how it is kept.
struct Use {
    name: &'static str,
    /// Whether single keys are looked up that may be missing: a Bloom filter answers most of those
    /// without reading.
    looked_up: bool,
    /// None for hashes and signatures, which do not compress; else as
    /// `docs/decisions/0014-compression-by-column-family.md` says.
    compression: Compression,
    /// Whether encrypted keys lie in the order of the keys themselves: where they are scanned, or
    /// written in that order. It costs two decryptions a comparison.
    is_ordered: bool,
}

const USES: [Use; 9] = [
    Use { name: STATE, looked_up: true, compression: Compression::Lz4, is_ordered: true },
    Use { name: TREE, looked_up: true, compression: Compression::None, is_ordered: false },
    Use {
        name: BLOCKS,
        looked_up: false,
        compression: Compression::ZstdDictionary,
        is_ordered: true,
    },
    Use {
        name: RESULTS,
        looked_up: false,
        compression: Compression::ZstdDictionary,
        is_ordered: true,
    },
    Use { name: INDEX, looked_up: true, compression: Compression::None, is_ordered: false },
    Use { name: EVENTS, looked_up: false, compression: Compression::Lz4, is_ordered: true },
    Use { name: VALIDATORS, looked_up: false, compression: Compression::None, is_ordered: true },
    Use { name: CONSENSUS, looked_up: false, compression: Compression::Lz4, is_ordered: false },
    Use { name: META, looked_up: false, compression: Compression::None, is_ordered: false },
];

/// The ciphers of an encrypted database, by column family.
pub(super) type Ciphers = BTreeMap<&'static str, Arc<Cipher>>;

pub(super) fn ciphers(root: Option<&Root>) -> Option<Ciphers> {
    let cipher =
        |root: &Root, used: &Use| root.cipher(used.name, used.compression != Compression::None);
    root.map(|root| USES.iter().map(|used| (used.name, Arc::new(cipher(root, used)))).collect())
}

/// Whether the entries of an encrypted column family lie in the order of their keys.
pub(super) fn is_ordered(name: &str) -> bool {
    USES.iter().any(|used| used.name == name && used.is_ordered)
}

/// The column families.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    USES.iter().map(|used| used.name)
}

/// Names of the column families of a database; none where they cannot be read.
pub(super) fn found(options: &Options, path: &Path) -> Vec<String> {
    DB::list_cf(options, path).unwrap_or_default()
}

/// Those of them that this program does not know: a later version of it has made them.
pub(super) fn unknown(found: &[String]) -> Vec<String> {
    let is_known = |name: &str| name == DEFAULT_COLUMN_FAMILY_NAME || names().any(|n| n == name);
    found.iter().filter(|name| !is_known(name)).map(|name| escaped(name)).collect()
}

/// Whether a database lacks the index of events and nothing else: one that an earlier version of the
/// program has made, or whose index was taken away. It is made anew.
pub(super) fn lacks_events(found: &[String]) -> bool {
    let is_there = |name: &&str| found.iter().any(|found| found == name);
    let missing: Vec<&str> = names().filter(|name| !is_there(name)).collect();
    missing == [EVENTS]
}

/// Bytes of one data block: what is read, checked and cached as one.
const BLOCK_BYTES: usize = 16 * 1024;
/// Bytes of a table's dictionary, and of the sample that it is trained from.
const DICTIONARY_BYTES: i32 = 16 * 1024;
const DICTIONARY_SAMPLE_BYTES: i32 = 64 * DICTIONARY_BYTES;
/// RocksDB's own choice of window and level: 15 bits, and level 3.
const ZSTD_WINDOW_BITS: i32 = -14;
const ZSTD_LEVEL: i32 = 3;
/// Name of the order of encrypted keys; RocksDB refuses to open a column family with another.
const ENCRYPTED_ORDER: &str = "tandem.encrypted.1";
/// Bits of Bloom filter per key: about one wrong "perhaps" in a hundred.
const BLOOM_BITS: f64 = 10.0;
/// Share of a write buffer that its Bloom filter takes.
const MEMTABLE_BLOOM: f64 = 0.05;
/// Of so many neighbours in a table of the index of events so many deleted ones, or of the whole table this share,
/// have it compacted: a search passes over each that is left.
const DELETED_WINDOW: usize = 1_024;
const DELETED_IN_WINDOW: usize = 512;
const DELETED_SHARE: f64 = 0.5;
/// Bytes of log after which column families that hold it back are flushed. It bounds the time that
/// a start after a crash takes, and what unflushed blocks take on disk.
const LOG_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// Table files are kept to this many bytes.
const TABLE_BYTES: u64 = 32 * 1024 * 1024;
/// Bytes and number of RocksDB's own text logs.
const TEXT_LOG_BYTES: usize = 1024 * 1024;
const TEXT_LOGS: usize = 3;
/// Threads that flush and compact.
const BACKGROUND_JOBS: i32 = 2;

/// Options of the database as a whole.
pub(super) fn database_options(config: &StorageConfig) -> Options {
    let mut options = Options::default();
    options.set_db_write_buffer_size(config.write_buffer_bytes);
    options.set_max_total_wal_size(LOG_BYTES_MAX);
    options.set_max_open_files(config.open_files);
    options.set_max_background_jobs(BACKGROUND_JOBS);
    options.set_keep_log_file_num(TEXT_LOGS);
    options.set_max_log_file_size(TEXT_LOG_BYTES);
    options.set_log_level(LogLevel::Warn);
    // A log that the list of files names and that is gone or too short is an error.
    options.set_track_and_verify_wals_in_manifest(true);
    // Statistics that nothing reads would wake a thread of every node now and then.
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options
}

/// One descriptor per column family. All share one cache, so that memory has one bound.
pub(super) fn descriptors(
    config: &StorageConfig,
    ciphers: Option<&Ciphers>,
) -> Vec<ColumnFamilyDescriptor> {
    let cache = Cache::new_lru_cache(config.cache_bytes);
    USES.iter()
        .map(|used| {
            let mut table = BlockBasedOptions::default();
            table.set_block_size(BLOCK_BYTES);
            table.set_block_cache(&cache);
            table.set_cache_index_and_filter_blocks(true);
            table.set_pin_l0_filter_and_index_blocks_in_cache(true);
            let mut options = Options::default();
            if used.looked_up {
                table.set_bloom_filter(BLOOM_BITS, false);
                // What was written and is in no table yet has one too.
                options.set_memtable_whole_key_filtering(true);
                options.set_memtable_prefix_bloom_ratio(MEMTABLE_BLOOM);
            }
            options.set_block_based_table_factory(&table);
            let cipher = ciphers.map(|ciphers| &ciphers[used.name]);
            compress(
                &mut options,
                match (used.compression, cipher) {
                    // What is encrypted does not compress: it was compressed before.
                    (Compression::None, _) | (_, Some(_)) => Compression::None,
                    (compression, None) => config.compression.unwrap_or(compression),
                },
            );
            if let Some(cipher) = cipher.filter(|_| used.is_ordered) {
                let cipher = Arc::clone(cipher);
                let order = move |a: &[u8], b: &[u8]| cipher.compare(a, b);
                options.set_comparator(ENCRYPTED_ORDER, Box::new(order));
            }
            if used.name == EVENTS {
                options.add_compact_on_deletion_collector_factory(
                    DELETED_WINDOW,
                    DELETED_IN_WINDOW,
                    DELETED_SHARE,
                );
            }
            options.set_write_buffer_size(config.write_buffer_bytes / 2);
            options.set_target_file_size_base(TABLE_BYTES);
            ColumnFamilyDescriptor::new(used.name, options)
        })
        .collect()
}

fn compress(options: &mut Options, compression: Compression) {
    options.set_compression_type(match compression {
        Compression::None => DBCompressionType::None,
        Compression::Lz4 => DBCompressionType::Lz4,
        Compression::Zstd | Compression::ZstdDictionary => DBCompressionType::Zstd,
    });
    if compression == Compression::ZstdDictionary {
        options.set_compression_options(ZSTD_WINDOW_BITS, ZSTD_LEVEL, 0, DICTIONARY_BYTES);
        options.set_zstd_max_train_bytes(DICTIONARY_SAMPLE_BYTES);
    }
}
