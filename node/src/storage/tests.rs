mod copies;
mod damage;
mod encrypted;
mod events;
mod prune;
mod reader;
mod restore;

use std::path::PathBuf;
use std::sync::Arc;

use rocksdb::IteratorMode;

use tandem_chain::block::{Block, Certificate, Header};
use tandem_chain::keys::{SecretKey, Signature};
use tandem_chain::liveness::{LivenessRecord, SignedRecord};
use tandem_chain::modules::{Call, parameters::Parameters, records};
use tandem_chain::store::MemoryStore;
use tandem_chain::tip::Tip;
use tandem_chain::tx::{Tx, TxBody};
use tandem_chain::types::{Address, ChainId, Timestamp};

use super::open::is_held_lock;
use super::*;

const GENESIS: Hash = Hash([7; 32]);

/// A folder of its own that goes when the test ends.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("data")
    }

    fn open(&self) -> Database {
        Database::open(&self.path(), GENESIS, &StorageConfig::default()).unwrap()
    }

    fn error(&self, genesis: Hash) -> Error {
        match Database::open(&self.path(), genesis, &StorageConfig::default()) {
            Ok(_) => panic!("the database opened"),
            Err(error) => error,
        }
    }
}

fn chain_id() -> ChainId {
    "test-1".parse().unwrap()
}

fn tx(nonce: u64) -> Tx {
    let key = SecretKey::from_seed(&[1; 32]);
    let body = TxBody {
        chain_id: chain_id(),
        sender: key.public(),
        nonce,
        valid_until: Height(100),
        call: Call::Records(records::Call::Create { data_set: "prices".parse().unwrap() }),
    };
    Tx::sign(body, &key)
}

/// Block and execution of a height; the block carries two transactions.
fn step(height: u64) -> (CertifiedBlock, Execution) {
    let height = Height(height);
    let record = LivenessRecord { height, ..LivenessRecord::default() };
    let header = Header {
        chain_id: chain_id(),
        height,
        time: Timestamp::from_millis(height.0),
        last_block_id: None,
        last_commit_hash: Hash::EMPTY,
        data_hash: Hash::EMPTY,
        validators_hash: Hash::EMPTY,
        next_validators_hash: Hash::EMPTY,
        consensus_hash: Hash::EMPTY,
        app_hash: Hash::EMPTY,
        last_results_hash: Hash::EMPTY,
        evidence_hash: Hash::EMPTY,
        proposer_address: Address([1; 20]),
    };
    let block = Block {
        record: SignedRecord { record, signature: Signature([0; 64]) },
        txs: vec![tx(height.0 * 2), tx(height.0 * 2 + 1)],
        evidence: Vec::new(),
        last_commit: tandem_chain::block::Commit::default(),
        header,
    };
    let mut batch = Batch::default();
    batch.put(Column::State, b"height".to_vec(), height.0.to_be_bytes().to_vec());
    batch.put(Column::Tree, height.0.to_be_bytes().to_vec(), b"page".to_vec());
    batch.delete(Column::Tree, height.back(1).0.to_be_bytes().to_vec());
    let tip = Tip {
        chain_id: chain_id(),
        height,
        block: Some(block.id()),
        time: block.header.time,
        app_hash: Hash::EMPTY,
        results_hash: Hash::EMPTY,
        table: Arc::default(),
        next_table: Arc::default(),
        next_next_table: Arc::default(),
        register: Arc::default(),
        previous_register: Arc::default(),
        alive: None,
        parameters: Arc::new(Parameters::lan()),
    };
    let execution = Execution {
        batch,
        receipts: vec![Receipt::default(); 3],
        events: vec![Event::new("switch", [("seat", "a".to_owned())])],
        tip: Arc::new(tip),
    };
    (CertifiedBlock { block: block.into(), certificate: Certificate::default() }, execution)
}

fn commit(database: &Database, height: u64) -> CertifiedBlock {
    let (certified, execution) = step(height);
    database.commit(&certified, &execution).unwrap();
    certified
}

/// Writes straight into a column family of a closed database.
fn write_raw(home: &Home, column: &'static str, key: &[u8], value: &[u8]) {
    let config = StorageConfig::default();
    let options = columns::database_options(&config);
    let db = DB::open_cf_descriptors(&options, home.path(), columns::descriptors(&config, None))
        .unwrap();
    db.put_cf(db.cf_handle(column).unwrap(), key, value).unwrap();
}

#[test]
fn everything_committed_is_there_after_it_is_opened_again() {
    let home = Home::new();
    let database = home.open();
    let mut genesis = Batch::default();
    genesis.put(Column::State, b"org/a".to_vec(), b"1".to_vec());
    database.initialise(&genesis).unwrap();
    let blocks: Vec<_> = (1..=3).map(|height| commit(&database, height)).collect();
    database.persist(&[("vote", b"v".to_vec()), ("lock", b"l".to_vec())]).unwrap();
    drop(database);

    let database = home.open();
    assert_eq!(database.height(), Height(3));
    for block in &blocks {
        let height = block.block.header.height;
        assert_eq!(database.block(height).unwrap().as_ref(), Some(block));
        assert_eq!(database.block_height_by_id(&block.block.id()).unwrap(), Some(height));
        for (index, tx) in (1..).zip(&block.block.txs) {
            assert_eq!(database.tx(&tx.hash()).unwrap(), Some((height, index)));
        }
        let record = Hash::of(&codec::encode(&block.block.record));
        assert_eq!(database.tx(&record).unwrap(), Some((height, 0)));
        let results = database.results(height).unwrap().unwrap();
        assert_eq!((results.receipts, results.events), (step(1).1.receipts, step(1).1.events));
    }
    assert_eq!(database.get(Column::State, b"org/a").unwrap(), Some(b"1".to_vec()));
    assert_eq!(database.get(Column::State, b"height").unwrap(), Some(vec![0, 0, 0, 0, 0, 0, 0, 3]));
    assert_eq!(database.scan(Column::Tree, b"", None, 9).unwrap().len(), 1);
    assert_eq!(database.load("vote").unwrap(), Some(b"v".to_vec()));
    assert_eq!(database.load("lock").unwrap(), Some(b"l".to_vec()));
    assert_eq!(database.load("other").unwrap(), None);
    assert_eq!(database.block(Height(4)).unwrap(), None);
    assert_eq!(database.results(Height(4)).unwrap(), None);
    assert_eq!(database.tx(&GENESIS).unwrap(), None);
}

/// All keys and values of a column family, in hex.
fn entries(database: &Database, column: &'static str) -> Vec<(String, String)> {
    let entries = database.0.db.iterator_cf(database.column(column).handle, IteratorMode::Start);
    entries.map(|entry| entry.map(|(k, v)| (hex::encode(k), hex::encode(v))).unwrap()).collect()
}

/// What stands in the values of state, tree, blocks and consensus is frozen in
/// `chain/tests/it/golden.txt` and `consensus/tests/it/golden.txt`.
#[test]
fn golden_bytes() {
    const RESULTS: &str = concat!(
        "0200000000000000",             // receipts
        "00000000",                     // code
        "010000000000000078",           // data
        "0000000000000000",             // log
        "0000000000000000",             // events
        "0a000000",                     // code
        "0000000000000000",             // data
        "02000000000000006e6f",         // log
        "0100000000000000",             // events
        "0300000000000000707574",       // kind
        "0100000000000000",             // attributes
        "03000000000000006b6579",       // name
        "010000000000000031",           // value
        "0100000000000000",             // events of the block
        "0600000000000000737769746368", // kind
        "0100000000000000",             // attributes
        "040000000000000073656174",     // name
        "010000000000000061",           // value
    );
    let home = Home::new();
    let database = home.open();
    database.initialise(&Batch::default()).unwrap();
    let genesis = (hex::encode("genesis"), "07".repeat(32));
    let format = (hex::encode("format"), "01000000".to_owned());
    let height = |height: &str| (hex::encode("height"), height.to_owned());
    let expected = [format.clone(), genesis.clone(), height("0000000000000000")];
    assert_eq!(entries(&database, "meta"), expected);

    let (certified, execution) = step(1);
    let put = Event::new("put", [("key", "1".to_owned())]);
    let (data, log) = (b"x".to_vec(), "no".to_owned());
    let receipts = vec![
        Receipt { data, ..Receipt::default() },
        Receipt { code: 10, log, events: vec![put], ..Receipt::default() },
    ];
    database.commit(&certified, &Execution { receipts, ..execution }).unwrap();
    database.persist(&[("journal", vec![0xab])]).unwrap();

    assert_eq!(entries(&database, "meta"), [format, genesis, height("0100000000000000")]);
    let key = "0000000000000001".to_owned();
    assert_eq!(entries(&database, "results"), [(key.clone(), RESULTS.to_owned())]);
    let block = hex::encode(codec::encode(&certified));
    assert_eq!(entries(&database, "blocks"), [(key.clone(), block)]);
    assert_eq!(entries(&database, "consensus"), [(hex::encode("journal"), "ab".to_owned())]);
    let state = [(hex::encode("height"), key.clone())];
    assert_eq!(entries(&database, "state"), state);
    assert_eq!(entries(&database, "tree"), [(key, hex::encode("page"))]);

    let block = &certified.block;
    let hashes =
        [Hash::of(&codec::encode(&block.record)), block.txs[0].hash(), block.txs[1].hash()];
    let place = |(hash, place): (Hash, &str)| {
        (format!("74{}", hex::encode(hash.0)), format!("0100000000000000{place}"))
    };
    let places = ["00000000", "01000000", "02000000"];
    let mut index: Vec<_> = hashes.into_iter().zip(places).map(place).collect();
    index.push((format!("62{}", hex::encode(block.id().0)), "0100000000000000".to_owned()));
    index.sort();
    assert_eq!(entries(&database, "index"), index);

    let mut columns = DB::list_cf(&rocksdb::Options::default(), home.path()).unwrap();
    columns.sort();
    let own = [
        "blocks",
        "consensus",
        "events",
        "index",
        "meta",
        "results",
        "state",
        "tree",
        "validators",
    ];
    let mut expected = [&own[..], &["default"]].concat();
    expected.sort_unstable();
    assert_eq!(columns, expected);
}

#[test]
fn a_genesis_state_is_written_once() {
    let home = Home::new();
    let database = home.open();
    let state = |value: &[u8]| {
        let mut batch = Batch::default();
        batch.put(Column::State, b"k".to_vec(), value.to_vec());
        batch
    };
    database.initialise(&state(b"first")).unwrap();
    database.initialise(&state(b"second")).unwrap();
    assert_eq!(database.get(Column::State, b"k").unwrap(), Some(b"first".to_vec()));
    assert_eq!(database.height(), Height::ZERO);
}

/// The log of a process that is killed ends anywhere: cut at every byte of the last commit, the
/// database holds all of that commit or nothing of it.
#[test]
fn a_commit_that_was_cut_off_leaves_nothing() {
    let home = Home::new();
    let database = home.open();
    database.initialise(&Batch::default()).unwrap();
    commit(&database, 1);
    let log = |home: &Home| {
        let files = std::fs::read_dir(home.path()).unwrap().map(|file| file.unwrap().path());
        let logs = files.filter(|path| path.extension().is_some_and(|e| e == "log"));
        logs.max().expect("a log")
    };
    let before = std::fs::metadata(log(&home)).unwrap().len();
    let block = commit(&database, 2).block;
    let whole = std::fs::read(log(&home)).unwrap();
    let name = log(&home).file_name().unwrap().to_owned();

    // A copy, since the open database would write to its log when it is closed.
    let copy = |length: usize| {
        let copy = Home::new();
        std::fs::create_dir(copy.path()).unwrap();
        for file in std::fs::read_dir(home.path()).unwrap() {
            let file = file.unwrap();
            if file.file_name() == name {
                std::fs::write(copy.path().join(&name), &whole[..length]).unwrap();
            } else {
                std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
            }
        }
        copy
    };
    let before = usize::try_from(before).unwrap();
    let cuts = (before..whole.len()).step_by((whole.len() - before) / 5);
    for length in cuts.chain([whole.len() - 1]) {
        let database = copy(length).open();
        assert_eq!(database.height(), Height(1), "cut at {length}");
        assert_eq!(database.block(Height(2)).unwrap(), None);
        assert_eq!(database.results(Height(2)).unwrap(), None);
        assert_eq!(database.tx(&block.txs[0].hash()).unwrap(), None);
        assert_eq!(
            database.get(Column::Tree, &1u64.to_be_bytes()).unwrap(),
            Some(b"page".to_vec())
        );
        commit(&database, 2);
    }
    assert_eq!(copy(whole.len()).open().height(), Height(2));
}

#[test]
#[should_panic(expected = "in order, once each")]
fn a_block_out_of_order_is_never_written() {
    let home = Home::new();
    let database = home.open();
    database.initialise(&Batch::default()).unwrap();
    commit(&database, 2);
}

#[test]
fn who_waits_for_the_end_of_the_last_handle_finds_the_database_closed() {
    let home = Home::new();
    let (first, second) = {
        let database = home.open();
        (database.clone(), database)
    };
    let closed = first.closed();
    let waiting = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut closed = closed;
        assert!(runtime.block_on(closed.changed()).is_err());
        home.open();
    });
    drop(first);
    assert!(!waiting.is_finished());
    drop(second);
    waiting.join().unwrap();
}

#[test]
fn a_folder_in_use_is_refused_and_free_again_afterwards() {
    let home = Home::new();
    let first = home.open();
    let error = home.error(GENESIS);
    assert_eq!(error, Error::InUse { path: home.path() });
    assert!(error.to_string().contains("another tandem process uses"));
    drop(first);
    home.open();
}

#[test]
fn only_a_lock_that_is_held_means_another_process() {
    let path = "IO error: While lock file: /home/a/data/LOCK: ";
    for (text, held) in [
        (format!("{path}Resource temporarily unavailable"), true),
        (
            "IO error: lock hold by current process, acquire time 1795624000 acquiring thread 7: \
             /home/a/data/LOCK: No locks available"
                .to_owned(),
            true,
        ),
        (format!("{path}No locks available"), false),
        ("IO error: while open a file for lock: /d/LOCK: Permission denied".to_owned(), false),
        ("IO error: while open a file for lock: /d/LOCK: Is a directory".to_owned(), false),
        ("IO error: While fork: Resource temporarily unavailable".to_owned(), false),
    ] {
        assert_eq!(is_held_lock(&text), held, "{text}");
    }
    // A folder stands where the lock belongs.
    let home = Home::new();
    std::fs::create_dir_all(home.path().join("LOCK")).unwrap();
    let error = home.error(GENESIS);
    assert!(matches!(&error, Error::Open { reason, .. } if reason.contains("LOCK")), "{error}");
}

#[test]
fn a_snapshot_is_of_one_height_whatever_is_committed_meanwhile() {
    let home = Home::new();
    let database = home.open();
    database.initialise(&Batch::default()).unwrap();
    assert_eq!(database.snapshot().height().unwrap(), Height(0));
    commit(&database, 1);
    let snapshot = database.snapshot();
    commit(&database, 2);
    assert_eq!((snapshot.height().unwrap(), database.height()), (Height(1), Height(2)));
    let [one, two] = [1u64, 2].map(|height| height.to_be_bytes().to_vec());
    assert_eq!(snapshot.get(Column::State, b"height").unwrap(), Some(one.clone()));
    assert_eq!(database.get(Column::State, b"height").unwrap(), Some(two.clone()));
    let scan = |store: &dyn Store| store.scan(Column::State, b"he", None, 9).unwrap();
    assert_eq!(scan(&snapshot), [(b"height".to_vec(), one.clone())]);
    assert_eq!(scan(&database), [(b"height".to_vec(), two.clone())]);
    // Block 2 has deleted the page of block 1.
    let page = Some(b"page".to_vec());
    assert_eq!(snapshot.get(Column::Tree, &one).unwrap(), page);
    assert_eq!(database.get(Column::Tree, &one).unwrap(), None);
    assert_eq!(snapshot.get(Column::Tree, &two).unwrap(), None);
    assert!(snapshot.scan(Column::State, b"he", Some(b"height"), 9).unwrap().is_empty());
}

#[test]
fn a_database_of_another_chain_or_a_later_format_is_refused() {
    let home = Home::new();
    drop(home.open());
    let other = Hash([8; 32]);
    let expected = Error::OtherGenesis { path: home.path(), expected: other, got: GENESIS };
    assert_eq!(home.error(other), expected);
    write_raw(&home, META, FORMAT_KEY, &codec::encode(&(FORMAT + 1)));
    let expected = Error::NewerFormat { path: home.path(), known: FORMAT, got: FORMAT + 1 };
    assert_eq!(home.error(GENESIS), expected);
}

#[test]
fn a_database_with_a_column_family_of_a_later_program_is_refused_and_left_alone() {
    let home = Home::new();
    drop(home.open());
    let options = columns::database_options(&StorageConfig::default());
    let open = |path: &Path| {
        let families = columns::descriptors(&StorageConfig::default(), None);
        DB::open_cf_descriptors(&options, path, families)
    };
    let mut db = open(&home.path()).unwrap();
    db.create_cf("later\u{1b}[2J", &options).unwrap();
    drop(db);
    let before = columns::found(&options, &home.path());
    let names = "later\\u{1b}[2J".to_owned();
    let expected = Error::NewerFamilies { path: home.path(), names };
    assert_eq!(home.error(GENESIS), expected);
    assert!(expected.to_string().contains("use the newer program"), "{expected}");
    assert_eq!(columns::found(&options, &home.path()), before);
}

#[test]
fn what_is_no_database_is_refused() {
    let home = Home::new();
    std::fs::write(home.path(), b"a file where the folder belongs").unwrap();
    assert!(matches!(home.error(GENESIS), Error::Open { .. }));
}

#[test]
fn damaged_values_are_named() {
    let home = Home::new();
    let database = home.open();
    database.initialise(&Batch::default()).unwrap();
    let block = commit(&database, 1).block;
    drop(database);
    let height = 1u64.to_be_bytes();
    write_raw(&home, RESULTS, &height, b"\xff\xff\xff\xff\xff\xff\xff\xff");
    write_raw(&home, INDEX, &index_key(b't', &block.txs[0].hash()), b"short");
    write_raw(&home, BLOCKS, &2u64.to_be_bytes(), &codec::encode(&step(1).0));
    write_raw(&home, BLOCKS, &height, &codec::encode(&step(1).0)[1..]);

    let database = home.open();
    let damaged = |error: ChainError| match error {
        ChainError::Damaged { what, .. } => what,
        other => panic!("{other}"),
    };
    assert_eq!(damaged(database.block(Height(1)).unwrap_err()), "block");
    assert_eq!(damaged(database.block(Height(2)).unwrap_err()), "block");
    assert_eq!(damaged(database.results(Height(1)).unwrap_err()), "results");
    let hash = block.txs[0].hash();
    assert_eq!(damaged(database.tx(&hash).unwrap_err()), "place of a transaction");
    drop(database);

    write_raw(&home, META, HEIGHT_KEY, b"");
    assert!(matches!(home.error(GENESIS), Error::Content { .. }));
}

#[test]
fn a_damaged_table_is_named() {
    let home = Home::new();
    let database = home.open();
    database.initialise(&Batch::default()).unwrap();
    commit(&database, 1);
    database.0.db.flush_cf(database.column(BLOCKS).handle).unwrap();
    drop(database);
    let tables: Vec<_> = std::fs::read_dir(home.path())
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "sst"))
        .collect();
    assert!(!tables.is_empty());
    for table in tables {
        let mut bytes = std::fs::read(&table).unwrap();
        bytes[..8].fill(0xaa);
        std::fs::write(&table, bytes).unwrap();
    }
    let database = home.open();
    assert!(matches!(database.block(Height(1)), Err(ChainError::Damaged { .. })));
}

#[test]
fn scans_and_reads_are_those_of_the_memory_store() {
    let keys: [&[u8]; 9] =
        [b"", b"a", b"a\xff", b"a\xff\xff", b"b", b"b/1", b"b/2", b"\xff", b"\xff\xff"];
    let mut batch = Batch::default();
    for key in keys {
        batch.put(Column::State, key.to_vec(), [b"value of ", key].concat());
        batch.put(Column::Tree, key.to_vec(), [b"page at ", key].concat());
    }
    batch.put(Column::Tree, b"b/3".to_vec(), Vec::new());
    let mut second = Batch::default();
    second.delete(Column::State, b"b/1".to_vec());
    second.delete(Column::State, b"never there".to_vec());
    second.put(Column::State, b"b/2".to_vec(), b"new".to_vec());
    second.put(Column::State, b"b/4".to_vec(), Vec::new());

    for config in [StorageConfig::default(), encrypted::config(1)] {
        compare(&config, &[&batch, &second], &keys);
    }
}

/// Scans and reads of a database kept so, and of a [`MemoryStore`], after the same batches.
fn compare(config: &StorageConfig, batches: &[&Batch], keys: &[&[u8]]) {
    let home = Home::new();
    let database = Database::open(&home.path(), GENESIS, config).unwrap();
    let mut memory = MemoryStore::default();
    for batch in batches.iter().copied() {
        memory.apply(batch);
        let mut write = WriteBatch::default();
        database.add_state(&mut write, &batch.0);
        database.write(write, false).unwrap();
    }

    let prefixes: [&[u8]; 8] = [b"", b"a", b"a\xff", b"b", b"b/", b"c", b"\xff", b"\xff\xff\xff"];
    let afters: [Option<&[u8]>; 9] = [
        None,
        Some(b""),
        Some(b"a"),
        Some(b"a\xff\xff"),
        Some(b"b/"),
        Some(b"b/1"),
        Some(b"b/2"),
        Some(b"c"),
        Some(b"\xff\xff"),
    ];
    for column in [Column::State, Column::Tree] {
        for prefix in prefixes {
            for after in afters {
                for limit in [0, 1, 2, 100] {
                    assert_eq!(
                        database.scan(column, prefix, after, limit),
                        memory.scan(column, prefix, after, limit),
                        "{column:?} {prefix:?} {after:?} {limit}"
                    );
                }
            }
        }
        for key in keys.iter().copied().chain([b"b/3".as_slice(), b"b/4", b"none"]) {
            assert_eq!(database.get(column, key), memory.get(column, key), "{column:?} {key:?}");
        }
    }
}
