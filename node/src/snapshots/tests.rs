//! Snapshots of a real chain in a real database, through files; through the network in `fetch`.

mod fetch;
mod lies;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tandem_chain::Error as ChainError;
use tandem_chain::block::CertifiedBlock;
use tandem_chain::ledger::{Ledger, is_committed};
use tandem_chain::limits::MAX_CHUNK_BYTES;
use tandem_chain::snapshot::{Chunk, Item};
use tandem_chain::store::{Batch, Column, Entry, Store};
use tandem_chain::types::{Hash, Height, Timestamp};
use tandem_consensus::light::ValidatorSet;
use tempfile::TempDir;

use super::*;
use crate::home::StorageKey;
use crate::storage::{self, Database, StorageConfig};
use crate::testing::Chain;

const PERIOD: Duration = Duration::from_secs(1_000_000_000);

fn now() -> Timestamp {
    Timestamp::from_millis(1_800_000_600_000)
}

/// A chain with some 10 MB of records, a snapshot of its state after block 9, and blocks up to 10.
struct Snapped {
    chain: Chain,
    /// Block 10, which is to follow the snapshot.
    next: Arc<CertifiedBlock>,
    tx: Hash,
    folder: Folder,
    shelf: Shelf,
    dir: TempDir,
}

fn snapped() -> Snapped {
    let mut chain = Chain::new();
    let create = chain.create(1);
    let tx = create.hash();
    chain.commit(vec![create]);
    for block in 0..8_u64 {
        let put = |i: u64| {
            let nonce = 100 + block * 8 + i;
            // What does not compress: a chunk's file is as long as the chunk.
            let value: Vec<u8> = (0..5_000_u32)
                .flat_map(|n| {
                    Hash::of(&[nonce.to_le_bytes(), u64::from(n).to_le_bytes()].concat()).0
                })
                .collect();
            chain.put(nonce, &format!("record/{nonce}"), &value)
        };
        let txs = (0..8).map(put).collect();
        chain.commit(txs);
    }
    let dir = tempfile::tempdir().unwrap();
    let shelf = Shelf::new(dir.path().join("snapshots"), None);
    let next = chain.snapshot(&shelf).block;
    let folder = shelf.open(Height(9)).unwrap();
    assert!(folder.manifest().tiles().len() >= 3, "there are several chunks");
    Snapped { chain, next, tx, folder, shelf, dir }
}

/// An empty database, which can be opened again.
struct Target {
    path: PathBuf,
    genesis: Hash,
}

impl Target {
    fn new(snapped: &Snapped, name: &str) -> Self {
        Self { path: snapped.dir.path().join(name), genesis: snapped.chain.genesis.hash() }
    }

    fn open(&self) -> Database {
        Database::open_to_restore(&self.path, self.genesis, &StorageConfig::default()).unwrap()
    }

    fn open_whole(&self) -> Result<Database, storage::Error> {
        Database::open(&self.path, self.genesis, &StorageConfig::default())
    }
}

fn begin(snapped: &Snapped, db: Database) -> Restore {
    let (manifest, above) = (snapped.folder.manifest(), &snapped.folder.above().header);
    Restore::begin(db, manifest.clone(), above.clone()).unwrap()
}

fn entries(store: &dyn Store, column: Column) -> Vec<Entry> {
    store.scan(column, &[], None, usize::MAX).unwrap()
}

/// The database holds the state of the snapshot, and goes on from it.
fn check_restored(snapped: &Snapped, db: &Database) {
    let genesis = &snapped.chain.genesis;
    assert_eq!((db.height(), db.first_height()), (Height(9), Height(9)));
    assert!(is_committed(db, &snapped.tx).unwrap(), "repeated transactions are known");
    assert_eq!(db.block(Height(9)).unwrap().as_ref(), Some(snapped.folder.block()));
    assert_eq!(db.block(Height(8)).unwrap(), None);
    let ledger = Ledger::open(db.clone(), genesis).unwrap();
    ledger.check(&snapped.next.block).unwrap();
    let execution = ledger.execute(&snapped.next.block).unwrap();
    db.commit(&snapped.next, &execution).unwrap();
    assert_eq!(execution.tip, snapped.chain.tip());
    for column in [Column::State, Column::Tree] {
        assert!(
            entries(db, column) == entries(&snapped.chain.db, column),
            "{column:?} is the same"
        );
    }
    let light = take::light_block(db, genesis, Height(10)).unwrap();
    assert_eq!(light.as_ref(), Some(snapped.folder.above()));
}

#[test]
fn a_restore_goes_on_after_an_interruption_at_every_step() {
    let snapped = snapped();
    let target = Target::new(&snapped, "target");
    let chunks = u32::try_from(snapped.folder.manifest().tiles().len()).unwrap();
    let (manifest, genesis) = (snapped.folder.manifest(), &snapped.chain.genesis);
    // Blocks that it had are gone, and what consensus has persisted stays.
    let db = target.open();
    db.initialise(&Ledger::<Database>::genesis(genesis)).unwrap();
    db.persist(&[("journal", vec![7])]).unwrap();
    drop(begin(&snapped, db));
    for index in (0..chunks).rev() {
        let refused = target.open_whole().err().expect("it is not whole");
        assert!(
            matches!(refused, storage::Error::Restoring { height: Height(9), .. }),
            "{refused}"
        );
        let db = target.open();
        assert!(db.initialise(&Ledger::<Database>::genesis(genesis)).is_err(), "it is not empty");
        let restore = Restore::resume(db).unwrap().expect("it goes on");
        assert_eq!(restore.manifest(), manifest);
        assert_eq!(
            restore.missing().unwrap().into_iter().collect::<Vec<_>>(),
            (0..=index).collect::<Vec<_>>()
        );
        restore.put(index, &snapped.folder.chunk(index).unwrap()).unwrap();
    }
    assert!(target.open_whole().is_err(), "it is not whole before its end");
    let restore = Restore::resume(target.open()).unwrap().expect("it goes on");
    assert_eq!(restore.finish(genesis, snapped.folder.block()).unwrap(), Height(9));
    drop(restore);
    let db = target.open_whole().unwrap();
    assert!(Restore::resume(db.clone()).unwrap().is_none());
    assert_eq!(db.load("journal").unwrap(), Some(vec![7]));
    check_restored(&snapped, &db);
}

#[test]
fn a_restore_that_is_given_up_leaves_an_empty_database() {
    let snapped = snapped();
    let target = Target::new(&snapped, "target");
    let restore = begin(&snapped, target.open());
    restore.put(1, &snapped.folder.chunk(1).unwrap()).unwrap();
    drop(restore);
    let db = target.open();
    db.abandon_restore().unwrap();
    assert!(entries(&db, Column::State).is_empty() && entries(&db, Column::Tree).is_empty());
    assert!(db.restoring().unwrap().is_none());
    drop(db);
    let db = target.open_whole().unwrap();
    db.initialise(&Ledger::<Database>::genesis(&snapped.chain.genesis)).unwrap();
    assert_eq!(Ledger::open(db, &snapped.chain.genesis).unwrap().tip().height, Height::ZERO);
    // And another restore can follow.
    let restore = begin(&snapped, target.open());
    assert_eq!(restore.missing().unwrap().len(), snapped.folder.manifest().tiles().len());
}

#[test]
fn chunks_that_are_not_what_they_must_be_are_refused() {
    let snapped = snapped();
    let restore = begin(&snapped, Target::new(&snapped, "target").open());
    let chunk = |index| snapped.folder.chunk(index).unwrap();
    let all = u32::try_from(snapped.folder.manifest().tiles().len()).unwrap();
    for lies::Lie { name, words, packed } in lies::chunks(&snapped) {
        for index in 0..all {
            let put = unpack(&packed(index)).map_err(SnapshotError::from);
            let refused = put.and_then(|chunk| restore.put(index, &chunk)).unwrap_err();
            let SnapshotError::Chain(error) = &refused else { panic!("{name}: {refused}") };
            assert!(!error.is_of_store() && error.to_string().contains(words), "{name}: {error}");
        }
    }
    for index in [all, u32::MAX] {
        let refused = restore.put(index, &chunk(0)).unwrap_err().to_string();
        assert!(refused.contains("it has no chunk of this index"), "{refused}");
    }
    let missing = |restore: &Restore| u32::try_from(restore.missing().unwrap().len()).unwrap();
    assert_eq!(missing(&restore), all, "nothing was written");
    // One that comes twice is written twice, to the same end.
    restore.put(0, &chunk(0)).unwrap();
    restore.put(0, &chunk(0)).unwrap();
    assert_eq!(missing(&restore), all - 1);
}

#[test]
fn what_is_decompressed_is_bounded_and_whole() {
    let chunk = Chunk::new(vec![Item { key: vec![1], value: vec![7; 1_000] }]);
    let packed = pack(&chunk);
    assert_eq!(unpack(&packed), Ok(chunk));
    for length in 0..packed.len() {
        assert!(unpack(&packed[..length]).is_err(), "cut to {length}");
    }
    for at in 0..packed.len() {
        let mut changed = packed.clone();
        changed[at] ^= 1;
        // Some bits of the head say nothing; nothing panics.
        let _ = unpack(&changed);
    }
    assert!(unpack(&[&packed[..], &[0]].concat()).is_err(), "a byte behind it");
    assert!(unpack(&[&packed[..], &packed[..]].concat()).is_err(), "another block behind it");
    let claims = |claim: usize| {
        let claim = u32::try_from(claim).unwrap().to_le_bytes();
        unpack(&[&claim[..], &packed[4..]].concat())
    };
    assert!(matches!(claims(MAX_CHUNK_BYTES + 1), Err(ChainError::TooLong { .. })));
    assert!(matches!(claims(u32::MAX as usize), Err(ChainError::TooLong { .. })));
    for claim in [0, 1_000, MAX_CHUNK_BYTES] {
        assert!(matches!(claims(claim), Err(ChainError::Undecodable { .. })), "{claim}");
    }
    let bomb = lz4_flex::block::compress(&vec![0; 16 * MAX_CHUNK_BYTES]);
    let claim = u32::try_from(MAX_CHUNK_BYTES).unwrap().to_le_bytes();
    let bomb = [&claim[..], &bomb].concat();
    assert!(bomb.len() < MAX_CHUNK_BYTES);
    assert!(matches!(unpack(&bomb), Err(ChainError::Undecodable { .. })));
    let long = vec![0; MAX_CHUNK_BYTES + MAX_CHUNK_BYTES / 64];
    assert!(matches!(unpack(&long), Err(ChainError::TooLong { .. })));
}

#[test]
fn a_state_that_the_certificate_does_not_name_is_not_begun() {
    let snapped = snapped();
    let db = Target::new(&snapped, "target").open();
    db.initialise(&Ledger::<Database>::genesis(&snapped.chain.genesis)).unwrap();
    let state = entries(&db, Column::State);
    let manifest = snapped.folder.manifest();
    let right = &snapped.folder.above().header;
    let mut others = [right.clone(), right.clone(), right.clone()];
    others[0].app_hash = Hash([9; 32]);
    others[1].height = Height(11);
    others[2].chain_id = "other".parse().unwrap();
    for other in others {
        let refused = Restore::begin(db.clone(), manifest.clone(), other).err().expect("refused");
        assert!(matches!(refused, SnapshotError::Unfit { .. }), "{refused}");
        assert_eq!(entries(&db, Column::State), state, "nothing has changed");
        assert!(db.restoring().unwrap().is_none());
    }
}

#[test]
fn another_block_than_the_states_is_refused_and_the_right_one_still_taken() {
    let snapped = snapped();
    let db = Target::new(&snapped, "target").open();
    let restore = begin(&snapped, db.clone());
    for index in restore.missing().unwrap() {
        restore.put(index, &snapped.folder.chunk(index).unwrap()).unwrap();
    }
    let genesis = &snapped.chain.genesis;
    let mut forged = snapped.folder.block().clone();
    forged.certificate.observations.clear();
    for block in [&forged, &*snapped.next] {
        let refused = restore.finish(genesis, block).unwrap_err();
        assert!(matches!(refused, SnapshotError::Trust(_)), "{refused}");
    }
    restore.finish(genesis, snapped.folder.block()).unwrap();
    check_restored(&snapped, &db);
}

#[test]
fn a_state_that_is_not_what_was_written_is_given_up_at_the_end() {
    let snapped = snapped();
    let db = Target::new(&snapped, "target").open();
    let restore = begin(&snapped, db.clone());
    for index in restore.missing().unwrap() {
        restore.put(index, &snapped.folder.chunk(index).unwrap()).unwrap();
    }
    let mut change = Batch::default();
    change.put(Column::State, b"records/of nobody".to_vec(), vec![1]);
    db.restore_chunk(0, &change).unwrap();
    let genesis = &snapped.chain.genesis;
    let refused = restore.finish(genesis, snapped.folder.block()).unwrap_err().to_string();
    assert!(refused.contains("does not hash to"), "{refused}");
    assert!(db.restoring().unwrap().is_none(), "else the next try would end alike");
    assert!(entries(&db, Column::State).is_empty());
}

#[test]
fn a_folder_is_verified_by_genesis_or_by_a_hash_that_is_trusted() {
    let Snapped { chain, folder, .. } = &snapped();
    let verify = |trust, now, period| verify_folder(folder, &chain.genesis, trust, now, period);
    assert!(verify(None, now(), PERIOD).is_ok());
    let expired = verify(None, now(), Duration::from_secs(1)).unwrap_err().to_string();
    assert!(expired.contains("--trust 10:HASH"), "{expired}");
    let hash = folder.above().header.id();
    let trust = |height, hash| Some(TrustedBlock { height: Height(height), hash });
    assert!(verify(trust(10, hash), now(), Duration::ZERO).is_ok());
    assert!(verify(trust(10, Hash([1; 32])), now(), PERIOD).is_err());
    let other = verify(trust(9, hash), now(), PERIOD).unwrap_err().to_string();
    assert!(other.contains("proved by block 10"), "{other}");
    let text = format!("10:{hash}");
    assert_eq!(text.parse::<TrustedBlock>().unwrap().to_string(), text);
    for bad in ["", "10", "10:", "x:00", "0:AA", &format!("0:{hash}"), &format!("10:{hash}0")] {
        assert!(bad.parse::<TrustedBlock>().is_err(), "{bad}");
    }
}

/// Whether a folder is not trusted, or its block is refused at the end of a restore, or both are what they
/// were.
fn is_refused_or_right(snapped: &Snapped, path: &Path) -> bool {
    let (folder, genesis) = (Folder::open(path, None).unwrap(), &snapped.chain.genesis);
    if verify_folder(&folder, genesis, None, now(), PERIOD).is_err() {
        return true;
    }
    let dir = tempfile::tempdir().unwrap();
    let open = Database::open_to_restore(dir.path(), genesis.hash(), &StorageConfig::default());
    let (manifest, above) = (folder.manifest(), &folder.above().header);
    let restore = Restore::begin(open.unwrap(), manifest.clone(), above.clone()).unwrap();
    for index in restore.missing().unwrap() {
        restore.put(index, &folder.chunk(index).unwrap()).unwrap();
    }
    restore.finish(genesis, folder.block()).is_err() || folder.block() == snapped.folder.block()
}

#[test]
fn a_damaged_folder_names_its_file() {
    let snapped = snapped();
    let path = snapped.folder.path().to_owned();
    for name in ["manifest", "sums", "blocks", "chunk-00001"] {
        let file = path.join(name);
        let bytes = std::fs::read(&file).unwrap();
        let found = || -> Result<(), SnapshotError> {
            let folder = Folder::open(&path, None)?;
            let all = u32::try_from(folder.manifest().tiles().len()).unwrap();
            (0..all).try_for_each(|index| folder.chunk(index).map(|_| ()))
        };
        let flips = (0..8).map(|i| {
            let mut flipped = bytes.clone();
            flipped[i * (bytes.len() - 1) / 7] ^= 1 << i;
            flipped
        });
        let lengths = [bytes[..bytes.len() - 1].to_vec(), [&bytes[..], &[0]].concat(), Vec::new()];
        for changed in flips.chain(lengths) {
            std::fs::write(&file, changed).unwrap();
            // A bit within a signature is found when trust is asked for.
            match found().map_err(|error| error.to_string()) {
                Err(error) => {
                    assert!(error.contains(name), "{error}");
                    assert!(error.contains("another copy of this one"), "{error}");
                }
                Ok(()) => assert!(name == "blocks" && is_refused_or_right(&snapped, &path)),
            }
        }
        std::fs::remove_file(&file).unwrap();
        assert!(found().unwrap_err().to_string().contains(name));
        std::fs::write(&file, bytes).unwrap();
        found().unwrap();
    }
}

#[tokio::test]
async fn a_taker_takes_what_is_due_and_new_while_blocks_are_committed() {
    let mut chain = Chain::new();
    let dir = tempfile::tempdir().unwrap();
    let shelf = Shelf::new(dir.path().join("snapshots"), None);
    std::fs::create_dir_all(shelf.unfinished(Height(1))).unwrap();
    let genesis = Arc::new(chain.genesis.clone());
    let taker = Taker::start(chain.db.clone(), genesis, shelf.clone(), 5, 2);
    let is_idle = async |taker: &Taker| {
        taker.is_busy.subscribe().wait_for(|is_busy| !is_busy).await.unwrap();
        shelf.heights().unwrap()
    };
    let expected = |heights: &[u64]| heights.iter().copied().map(Height).collect::<Vec<_>>();
    assert_eq!(is_idle(&taker).await, []);
    assert!(!shelf.unfinished(Height(1)).exists(), "what was left is taken away");
    let mut commit = |taker: &Taker, blocks: u64, age_s: u64| {
        for _ in 0..blocks {
            let block = chain.commit(Vec::new()).block;
            let header = &block.block.header;
            taker.committed(header, header.time.plus(Duration::from_secs(age_s)));
        }
    };
    commit(&taker, 6, 60);
    assert_eq!(is_idle(&taker).await, expected(&[5]));
    // A node that catches up takes none of blocks that are old.
    commit(&taker, 5, 61);
    assert_eq!(is_idle(&taker).await, expected(&[5]));
    commit(&taker, 5, 0);
    assert_eq!(is_idle(&taker).await, expected(&[15, 5]));
    commit(&taker, 5, 0);
    assert_eq!(is_idle(&taker).await, expected(&[20, 15]));
    // One that waits for its block is given up at once.
    commit(&taker, 4, 0);
    drop(taker);
    assert!(!shelf.unfinished(Height(25)).exists());
    assert_eq!(shelf.heights().unwrap(), [Height(20), Height(15)]);
}

#[test]
fn what_is_taken_beside_an_encrypted_database_is_encrypted() {
    let mut chain = Chain::new();
    let create = chain.create(1);
    chain.commit(vec![create]);
    let word = b"a word that nothing else has in it".repeat(4);
    let put = chain.put(2, "key of a record", &word);
    chain.commit(vec![put]);
    let (key, other) = (StorageKey::new([7; 32]), StorageKey::new([8; 32]));
    let dir = tempfile::tempdir().unwrap();
    let shelf = Shelf::new(dir.path().join("snapshots"), Some(key.clone()));
    let db = chain.db.clone();
    let view = db.snapshot();
    let next = chain.commit(Vec::new()).block;
    let stop = AtomicBool::new(false);
    // Those that are dealt out, too.
    let parts = dir.path().join("parts");
    let spill = spill::Spill::write(&view, parts.clone(), true, &stop).unwrap();
    drop(spill);
    let source = Source { db: &db, view: &view, genesis: &chain.genesis, stop: &stop };
    let height = take(&source, &shelf, Duration::ZERO).unwrap();
    let path = shelf.path(height);
    let mut files = 0;
    for folder in [&parts, &path] {
        for file in std::fs::read_dir(folder).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            for plain in [&word[..12], b"key of a record", b"testing"] {
                assert!(!bytes.windows(plain.len()).any(|part| part == plain));
            }
            files += 1;
        }
    }
    assert!(files > 256, "{files}");
    for wrong in [None, Some(&other)] {
        let refused = Folder::open(&path, wrong).err().expect("refused").to_string();
        assert!(refused.contains("--key-file"), "{refused}");
    }
    let folder = Folder::open(&path, Some(&key)).unwrap();
    let chunk = folder.chunk(0).unwrap();
    chunk.check(&folder.manifest().tiles()[0]).unwrap();
    assert!(chunk.items().iter().any(|item| item.value.ends_with(&word)));
    assert_eq!(folder.proof().hash, next.block.id());
    // It is put into another database that is encrypted, with a key of its own.
    let config = StorageConfig { key: Some(other), ..StorageConfig::default() };
    let open = || {
        Database::open_to_restore(&dir.path().join("data"), chain.genesis.hash(), &config).unwrap()
    };
    let above = folder.above().header.clone();
    drop(Restore::begin(open(), folder.manifest().clone(), above).unwrap());
    let restore = Restore::resume(open()).unwrap().expect("it has begun");
    restore.put(0, &chunk).unwrap();
    assert_eq!(restore.finish(&chain.genesis, folder.block()).unwrap(), height);
    drop(restore);
    let restored = open();
    assert_eq!(entries(&restored, Column::State), entries(&view, Column::State));
    let validators = restored.validators(height.plus(9)).unwrap().expect("they are known");
    assert_eq!(validators, ValidatorSet::from(&chain.genesis.role_table()));
    assert_eq!(restored.validators(height.back(1)).unwrap(), None);
    restored.abandon_restore().unwrap();
    assert!(entries(&restored, Column::State).is_empty(), "bounds are those of encrypted keys");
    assert_eq!(restored.validators(height).unwrap(), None);
}
