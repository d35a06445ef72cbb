//! Files in which bytes are other than they were written.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::encrypted::files;
use super::*;

/// Places at which each file is damaged, beside its first and last bytes.
const PLACES: u64 = 10;
/// Kinds of files in a database's folder that something depends on, by which their names begin or end.
const KINDS: [&str; 5] = ["CURRENT", "MANIFEST", "log", "sst", SYNCED_FILE];
/// Those that it goes on without: what the options were, which database it is, RocksDB's own text log.
const KINDS_OF_NO_MATTER: [&str; 3] = ["IDENTITY", "LOG", "OPTIONS"];

/// What kind of file it is.
fn kind(path: &Path) -> String {
    let name = path.file_name().unwrap().to_str().unwrap();
    let extension = path.extension().and_then(|extension| extension.to_str());
    let of_entries = extension.filter(|extension| ["log", "sst"].contains(extension));
    of_entries.unwrap_or_else(|| name.split('-').next().unwrap()).to_owned()
}

/// A database with entries in tables, and in a log that begins with what was made durable.
fn fill(path: &Path, config: &StorageConfig) {
    let database = Database::open(path, GENESIS, config).unwrap();
    database.initialise(&Batch::default()).unwrap();
    for height in 1..=4 {
        commit(&database, height);
    }
    database.persist(&[("journal", b"first".to_vec())]).unwrap();
    for name in columns::names() {
        database.0.db.flush_cf(database.column(name).handle).unwrap();
    }
    for height in 5..=7 {
        commit(&database, height);
    }
    database.persist(&[("journal", vec![7; 300])]).unwrap();
}

/// Whether all that can be asked of the database is answered, and rightly; an error names what is
/// damaged, or says what to do.
fn is_right(path: &Path, config: &StorageConfig) -> Result<(), String> {
    let open = Database::open(path, GENESIS, config).map_err(|error| error.to_string())?;
    let read = || -> Result<(), ChainError> {
        assert_eq!(open.height(), Height(7));
        for height in (1..=8).map(Height) {
            let expected = (height.0 < 8).then(|| step(height.0));
            let block = open.block(height)?;
            assert_eq!(block.as_ref(), expected.as_ref().map(|(block, _)| block));
            let results = open.results(height)?.map(|r| (r.receipts, r.events));
            assert_eq!(
                results,
                expected.as_ref().map(|(_, e)| (e.receipts.clone(), e.events.clone()))
            );
            let Some((block, _)) = expected else { continue };
            assert_eq!(open.block_height_by_id(&block.block.id())?, Some(height));
            for (place, tx) in (1..).zip(&block.block.txs) {
                assert_eq!(open.tx(&tx.hash())?, Some((height, place)));
            }
        }
        let seven = 7u64.to_be_bytes().to_vec();
        assert_eq!(open.get(Column::State, b"height")?, Some(seven.clone()));
        assert_eq!(open.scan(Column::State, b"", None, 9)?, [(b"height".to_vec(), seven.clone())]);
        assert_eq!(open.scan(Column::Tree, b"", None, 9)?, [(seven, b"page".to_vec())]);
        assert_eq!(open.load("journal")?, Some(vec![7; 300]));
        Ok(())
    };
    read().map_err(|error| error.to_string())
}

#[test]
fn a_flipped_byte_is_an_error_or_harmless() {
    flip(&StorageConfig::default(), &KINDS);
}

#[test]
fn a_flipped_byte_of_an_encrypted_database_is_an_error_or_harmless() {
    flip(&encrypted::config(1), &[&KINDS[..], &[ENCRYPTION_FILE]].concat());
}

/// Each file of a small database is damaged at many places, one at a time: in every case it does not
/// open, or reading gives an error, or all that is read is right. Nothing ever panics. Of each of `kinds`
/// some damage is noticed.
fn flip(config: &StorageConfig, kinds: &[&str]) {
    let home = Home::new();
    fill(&home.path(), config);
    let whole = files(&home.path());
    let mut random = StdRng::seed_from_u64(1);
    // Errors and harmless ones, by the kind of file.
    let mut counts = BTreeMap::<String, (u32, u32)>::new();
    for (file, bytes) in whole.iter().filter(|(_, bytes)| !bytes.is_empty()) {
        let length = bytes.len() as u64;
        let ends = [0, 1, 4, 5, 6, length / 2, length - 1];
        let places: Vec<u64> = (0..PLACES).map(|_| random.random_range(0..length)).collect();
        for place in ends.into_iter().chain(places).filter(|place| *place < length) {
            let copy = Home::new();
            std::fs::create_dir(copy.path()).unwrap();
            for (path, bytes) in &whole {
                let mut bytes = bytes.clone();
                if path == file {
                    let flip = random.random_range(1..=u8::MAX);
                    bytes[usize::try_from(place).unwrap()] ^= flip;
                }
                std::fs::write(copy.path().join(path.file_name().unwrap()), bytes).unwrap();
            }
            match is_right(&copy.path(), config) {
                Ok(()) => counts.entry(kind(file)).or_default().1 += 1,
                Err(text) => {
                    counts.entry(kind(file)).or_default().0 += 1;
                    let place = format!("{} at {place}: {text}", file.display());
                    let named = text.contains(copy.path().to_str().unwrap());
                    assert!(named || text.contains("tandem db restore"), "{place}");
                }
            }
        }
    }
    for kind in kinds {
        let (errors, harmless) = counts.remove(*kind).unwrap_or_default();
        assert!(errors > harmless, "{kind}: {errors} errors, {harmless} harmless; {counts:?}");
    }
    for kind in KINDS_OF_NO_MATTER {
        assert!(
            counts.remove(kind).is_some_and(|(_, harmless)| harmless > 0),
            "{kind}; {counts:?}"
        );
    }
    assert!(counts.is_empty(), "files of a kind that nobody has thought of: {counts:?}");
}

/// A log that ends before what was made durable is no crash: somebody took votes away.
#[test]
fn a_log_that_was_cut_is_noticed() {
    let home = Home::new();
    fill(&home.path(), &StorageConfig::default());
    let is_log = |path: &Path| path.extension().is_some_and(|e| e == "log");
    let mut logs = files(&home.path());
    logs.retain(|(path, _)| is_log(path));
    // The newest, which tables do not hold yet.
    let (log, bytes) = logs.pop().expect("a log");
    for length in [bytes.len() - 1, bytes.len() - 200, bytes.len() / 2, 0] {
        std::fs::write(&log, &bytes[..length]).unwrap();
        let copy = Home::new();
        std::fs::create_dir(copy.path()).unwrap();
        for (path, bytes) in files(&home.path()) {
            std::fs::write(copy.path().join(path.file_name().unwrap()), bytes).unwrap();
        }
        let error = is_right(&copy.path(), &StorageConfig::default()).unwrap_err();
        assert!(error.contains("is damaged"), "cut to {length}: {error}");
        assert!(error.contains("tandem db restore"), "{error}");
    }
}

#[test]
fn a_database_without_its_first_file_is_not_made_anew() {
    let home = Home::new();
    fill(&home.path(), &StorageConfig::default());
    std::fs::remove_file(home.path().join("CURRENT")).unwrap();
    let before = files(&home.path());
    let error = home.error(GENESIS);
    assert!(
        matches!(&error, Error::Damaged { reason, .. } if reason.contains("CURRENT")),
        "{error}"
    );
    assert_eq!(files(&home.path()), before);
}

#[test]
fn a_database_that_is_only_read_refuses_to_be_written_and_stays_as_it_is() {
    let home = Home::new();
    fill(&home.path(), &StorageConfig::default());
    let before = files(&home.path());
    let config = StorageConfig::default();
    let database = Database::open_read_only(&home.path(), GENESIS, &config).unwrap();
    assert_eq!(database.height(), Height(7));
    assert_eq!(database.load("journal").unwrap(), Some(vec![7; 300]));
    assert!(matches!(database.persist(&[("journal", vec![1])]), Err(ChainError::Storage { .. })));
    drop(database);
    assert_eq!(files(&home.path()), before);
}
