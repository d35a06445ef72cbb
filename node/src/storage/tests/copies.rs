//! Copies of a database that is in use, and work on it that is given up.

use std::sync::atomic::AtomicBool;

use super::*;

/// While blocks are committed and votes are made durable, and tables are written, copies are made:
/// each is the database after one block.
#[test]
fn a_copy_is_of_one_moment_whatever_is_written_meanwhile() {
    for config in [StorageConfig::default(), encrypted::config(1)] {
        let home = Home::new();
        let database = Database::open(&home.path(), GENESIS, &config).unwrap();
        database.initialise(&Batch::default()).unwrap();
        let stop = AtomicBool::new(false);
        let copies: Vec<PathBuf> = std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let mut height = 0;
                while !stop.load(Ordering::Relaxed) {
                    height += 1;
                    commit(&database, height);
                    if height % 3 == 0 {
                        database.persist(&[("journal", height.to_be_bytes().to_vec())]).unwrap();
                    }
                }
            });
            let mut seen = Height::ZERO;
            let copies = (0..6)
                .map(|number| {
                    while database.height() <= seen {
                        assert!(!writer.is_finished(), "the writer has failed");
                        std::thread::yield_now();
                    }
                    seen = database.height();
                    let folder = home.path().join(format!("copy-{number}"));
                    database.checkpoint(&folder).unwrap();
                    folder
                })
                .collect();
            stop.store(true, Ordering::Relaxed);
            copies
        });
        let mut last = Height::ZERO;
        for folder in copies {
            let copy = Database::open_read_only(&folder, GENESIS, &config).unwrap();
            let height = copy.height();
            assert!(height > last && height <= database.height(), "{height} after {last}");
            last = height;
            assert!(copy.verify(&stop).unwrap().is_none(), "it is told to stop");
            assert!(copy.verify(&false.into()).unwrap().unwrap() > 4 * height.0);
            for height in (1..=height.0).map(Height) {
                assert_eq!(copy.block(height).unwrap().unwrap(), step(height.0).0);
                assert!(copy.results(height).unwrap().is_some());
            }
            assert_eq!(copy.block(height.next()), Ok(None));
            assert_eq!(copy.results(height.next()), Ok(None));
            let state = copy.get(Column::State, b"height").unwrap();
            assert_eq!(state, Some(height.0.to_be_bytes().to_vec()));
            if let Some(journal) = copy.load("journal").unwrap() {
                assert!(u64::from_be_bytes(journal.try_into().unwrap()) <= height.0);
            }
        }
    }
}

#[test]
fn a_copy_that_forgets_what_was_signed_has_all_else() {
    for config in [StorageConfig::default(), encrypted::config(1)] {
        let home = Home::new();
        let database = Database::open(&home.path(), GENESIS, &config).unwrap();
        database.initialise(&Batch::default()).unwrap();
        commit(&database, 1);
        database.persist(&[("journal", b"j".to_vec()), ("valid", b"v".to_vec())]).unwrap();
        let folder = home.path().join("copy");
        database.checkpoint(&folder).unwrap();
        let copy = Database::open_existing(&folder, GENESIS, &config).unwrap();
        let all = copy.verify(&false.into()).unwrap().unwrap();
        copy.forget_signing().unwrap();
        drop(copy);
        let copy = Database::open_read_only(&folder, GENESIS, &config).unwrap();
        assert_eq!([copy.load("journal"), copy.load("valid")], [Ok(None), Ok(None)]);
        assert_eq!(copy.verify(&false.into()).unwrap(), Some(all - 2));
        assert_eq!(copy.block(Height(1)).unwrap(), Some(step(1).0));
        assert_eq!(database.load("journal"), Ok(Some(b"j".to_vec())), "the tables are shared");
    }
}

/// A node that stops gives up what is under way, and what it has written is durable all the same.
#[test]
fn work_that_is_given_up_spoils_nothing() {
    let home = Home::new();
    let database = home.open();
    database.initialise(&Batch::default()).unwrap();
    for height in 1..=200 {
        commit(&database, height);
    }
    let compacting = std::thread::spawn({
        let database = database.clone();
        move || database.compact()
    });
    database.stop_background();
    // It was done before, or says that it was not.
    let _ = compacting.join().expect("no panic");
    commit(&database, 201);
    database.sync().unwrap();
    drop(database);
    let database = home.open();
    assert_eq!(database.height(), Height(201));
    assert!((1..=201).map(Height).all(|height| database.block(height).unwrap().is_some()));
    database.compact().unwrap();
    assert_eq!(database.verify(&false.into()).unwrap().map(|count| count > 800), Some(true));
}

/// A reader beside a writer sees no less than was durable when it began.
#[test]
fn a_database_in_use_can_be_read_by_others() {
    let home = Home::new();
    let database = home.open();
    database.initialise(&Batch::default()).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut number = 0u64;
            while !stop.load(Ordering::Relaxed) {
                number += 1;
                database.persist(&[("journal", number.to_be_bytes().to_vec())]).unwrap();
            }
        });
        for _ in 0..20 {
            assert!(!writer.is_finished(), "the writer has failed");
            let config = StorageConfig::default();
            let reader = Database::open_read_only(&home.path(), GENESIS, &config).unwrap();
            assert_eq!(reader.height(), Height::ZERO);
        }
        stop.store(true, Ordering::Relaxed);
    });
}
