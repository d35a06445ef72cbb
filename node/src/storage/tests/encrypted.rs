//! Databases that are encrypted.

use super::*;
use crate::home::StorageKey;

pub(super) fn config(number: u8) -> StorageConfig {
    StorageConfig { key: Some(StorageKey::new([number; 32])), ..StorageConfig::default() }
}

fn open(home: &Home, config: &StorageConfig) -> Result<Database, Error> {
    Database::open(&home.path(), GENESIS, config)
}

fn refused(home: &Home, config: &StorageConfig) -> Error {
    match open(home, config) {
        Ok(_) => panic!("the database opened"),
        Err(error) => error,
    }
}

/// Every file of a database with its content.
pub(super) fn files(path: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let files = std::fs::read_dir(path).into_iter().flatten().flatten();
    let mut files: Vec<_> = files
        .map(|file| file.path())
        .map(|path| (path.clone(), std::fs::read(&path).unwrap()))
        .collect();
    files.sort();
    files
}

fn contains(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|part| part == word)
}

/// Words that stand in what [`fill`] writes, one in each column family's keys or values.
const WORDS: [&[u8]; 8] = [
    b"records/data/prices",
    b"a value that is secret",
    b"prices",
    b"test-1",
    b"height",
    b"journal-of-consensus",
    b"genesis",
    b"switch",
];

fn fill(database: &Database) {
    database.initialise(&Batch::default()).unwrap();
    for height in 1..=3 {
        commit(database, height);
    }
    let mut state = Batch::default();
    let secret = b"a value that is secret ".repeat(20);
    state.put(Column::State, b"records/data/prices/oil".to_vec(), secret);
    let mut batch = WriteBatch::default();
    database.add_state(&mut batch, &state.0);
    database.write(batch, true).unwrap();
    database.persist(&[("journal", b"journal-of-consensus".to_vec())]).unwrap();
}

#[test]
fn nothing_that_was_written_can_be_read_on_the_disk() {
    for (config, is_secret) in [(StorageConfig::default(), false), (config(1), true)] {
        let home = Home::new();
        let database = open(&home, &config).unwrap();
        fill(&database);
        assert_eq!(database.is_encrypted(), is_secret);
        // In the log; and, while that is still there, in tables.
        let in_log = files(&home.path());
        assert!(in_log.iter().any(|(path, bytes)| {
            path.extension().is_some_and(|e| e == "log") && bytes.len() > 1_000
        }));
        for name in columns::names() {
            database.0.db.flush_cf(database.column(name).handle).unwrap();
        }
        let in_tables = files(&home.path());
        assert!(in_tables.iter().any(|(path, _)| path.extension().is_some_and(|e| e == "sst")));
        let own = |path: &Path| {
            path.file_name().is_some_and(|name| {
                // Names of column families and of options stand there, and nothing of the chain.
                let name = name.to_string_lossy();
                name.starts_with("OPTIONS") || name.starts_with("LOG")
            })
        };
        for word in WORDS {
            let mut found = Vec::new();
            for (path, bytes) in in_log.iter().chain(&in_tables) {
                if contains(bytes, word) && !own(path) {
                    found.push(path);
                }
            }
            let word = String::from_utf8_lossy(word);
            assert_eq!(found.is_empty(), is_secret, "{word}: {found:?}");
        }
        // In those, what a key or value holds stands no more than in others.
        for word in [WORDS[0], WORDS[1], WORDS[3], WORDS[5]] {
            let found = in_tables.iter().find(|(path, bytes)| own(path) && contains(bytes, word));
            assert!(!is_secret || found.is_none(), "{found:?}");
        }
        drop(database);
        // All is there again.
        let database = open(&home, &config).unwrap();
        assert_eq!(database.height(), Height(3));
        assert_eq!(database.block(Height(2)).unwrap().unwrap(), step(2).0);
        let found = database.get(Column::State, b"records/data/prices/oil").unwrap().unwrap();
        assert!(found.starts_with(b"a value that is secret"));
        assert_eq!(database.load("journal").unwrap(), Some(b"journal-of-consensus".to_vec()));
        assert_eq!(database.verify(&false.into()).unwrap(), Some(3 + 3 + 3 * 4 + 3 + 1 + 2 + 1));
    }
}

#[test]
fn a_key_that_is_wrong_missing_or_too_many_is_named_before_anything_is_written() {
    let (plain, encrypted) = (Home::new(), Home::new());
    fill(&open(&plain, &StorageConfig::default()).unwrap());
    fill(&open(&encrypted, &config(1)).unwrap());
    for (home, config, expected) in [
        (&encrypted, config(2), Error::KeyWrong { path: encrypted.path() }),
        (&encrypted, StorageConfig::default(), Error::KeyMissing { path: encrypted.path() }),
        (&plain, config(1), Error::KeyUnexpected { path: plain.path() }),
    ] {
        let before = files(&home.path());
        assert_eq!(refused(home, &config), expected);
        assert!(expected.to_string().contains("storage.key_file"));
        let read_only = Database::open_read_only(&home.path(), GENESIS, &config);
        assert_eq!(read_only.err(), Some(expected));
        assert_eq!(files(&home.path()), before);
    }
    // A key for nothing is refused, too, when nothing may be written.
    let nothing = Home::new();
    let error = Database::open_read_only(&nothing.path(), GENESIS, &config(1)).err();
    assert_eq!(error, Some(Error::None { path: nothing.path() }));
    assert!(!nothing.path().exists());
}

#[test]
fn an_encrypted_database_whose_marker_is_gone_is_not_taken_for_a_plain_one() {
    let home = Home::new();
    fill(&open(&home, &config(1)).unwrap());
    std::fs::remove_file(home.path().join(ENCRYPTION_FILE)).unwrap();
    let error = refused(&home, &StorageConfig::default()).to_string();
    assert!(error.contains(ENCRYPTION_FILE), "{error}");
    assert_eq!(refused(&home, &config(1)), Error::KeyUnexpected { path: home.path() });
}

#[test]
fn a_plain_database_beside_the_marker_of_another_is_not_taken_for_an_encrypted_one() {
    let (plain, encrypted) = (Home::new(), Home::new());
    fill(&open(&plain, &StorageConfig::default()).unwrap());
    fill(&open(&encrypted, &config(1)).unwrap());
    let from = encrypted.path().join(ENCRYPTION_FILE);
    std::fs::copy(from, plain.path().join(ENCRYPTION_FILE)).unwrap();
    let error = refused(&plain, &config(1)).to_string();
    assert!(error.contains("is another's"), "{error}");
    assert_eq!(
        refused(&plain, &StorageConfig::default()),
        Error::KeyMissing { path: plain.path() }
    );
    std::fs::remove_file(plain.path().join(ENCRYPTION_FILE)).unwrap();
    assert_eq!(open(&plain, &StorageConfig::default()).unwrap().height(), Height(3));
}

/// Two databases with one key have salts of their own: a marker opens none but its own.
#[test]
fn the_marker_of_another_database_opens_nothing() {
    let (one, other) = (Home::new(), Home::new());
    fill(&open(&one, &config(1)).unwrap());
    fill(&open(&other, &config(1)).unwrap());
    let own = std::fs::read(one.path().join(ENCRYPTION_FILE)).unwrap();
    std::fs::copy(other.path().join(ENCRYPTION_FILE), one.path().join(ENCRYPTION_FILE)).unwrap();
    let error = refused(&one, &config(1)).to_string();
    assert!(error.contains(one.path().to_str().unwrap()), "{error}");
    std::fs::write(one.path().join(ENCRYPTION_FILE), own).unwrap();
    assert_eq!(open(&one, &config(1)).unwrap().height(), Height(3));
}

/// Who can write to the disk cannot put one value in the place of another.
#[test]
fn a_value_that_was_exchanged_is_noticed() {
    let home = Home::new();
    let database = open(&home, &config(1)).unwrap();
    fill(&database);
    let blocks = database.column(BLOCKS);
    let [one, two] = [1u64, 2].map(|height| blocks.key(&height.to_be_bytes()).into_owned());
    let value = database.0.db.get_cf(blocks.handle, &two).unwrap().unwrap();
    database.0.db.put_cf(blocks.handle, &one, &value).unwrap();
    assert!(matches!(database.block(Height(1)), Err(ChainError::Damaged { .. })));
    assert!(database.block(Height(2)).unwrap().is_some());
    assert!(matches!(database.verify(&false.into()), Err(ChainError::Damaged { .. })));
    let results = database.column(RESULTS);
    database.0.db.put_cf(results.handle, results.key(&2u64.to_be_bytes()), &value).unwrap();
    assert!(matches!(database.results(Height(2)), Err(ChainError::Damaged { .. })));
    // An entry under a key that nobody encrypted.
    database.0.db.put_cf(database.column(STATE).handle, b"org/a", b"1").unwrap();
    let all = database.scan(Column::State, b"", None, 9);
    assert!(matches!(all, Err(ChainError::Damaged { .. })));
    assert_eq!(database.get(Column::State, b"org/a").unwrap(), None);
}

#[test]
fn snapshots_and_compactions_are_those_of_a_plain_database() {
    let home = Home::new();
    let database = open(&home, &config(1)).unwrap();
    fill(&database);
    let snapshot = database.snapshot();
    commit(&database, 4);
    assert_eq!((snapshot.height().unwrap(), database.height()), (Height(3), Height(4)));
    let three = snapshot.scan(Column::State, b"height", None, 9).unwrap();
    assert_eq!(three, [(b"height".to_vec(), 3u64.to_be_bytes().to_vec())]);
    let mut swept = Vec::new();
    let sweep = snapshot.sweep(Column::State, |key, value| -> Result<(), ChainError> {
        swept.push((key.to_vec(), value.to_vec()));
        Ok(())
    });
    sweep.unwrap();
    assert_eq!(swept, snapshot.scan(Column::State, b"", None, 99).unwrap());
    drop(snapshot);
    database.compact().unwrap();
    let stats = database.stats().unwrap();
    assert!(
        stats.iter().all(|family| family.table_bytes > 0
            || ["events", "validators"].contains(&family.name.as_str())),
        "{stats:?}"
    );
    let records = database.scan(Column::State, b"records/", None, 9).unwrap();
    assert_eq!(records.len(), 1);
    assert!(database.scan(Column::State, b"s", None, 9).unwrap().is_empty());
    assert_eq!(database.block(Height(4)).unwrap().unwrap(), step(4).0);
}
