use super::encrypted::config;
use super::*;

/// Entries of the column families that hold blocks and what is said of them.
fn counts(database: &Database) -> [usize; 3] {
    ["blocks", "results", "index"].map(|name| entries(database, name).len())
}

/// Blocks from `first` to `height` are whole, and nothing is left of those below.
fn check(database: &Database, first: u64, height: u64) {
    assert_eq!((database.first_height(), database.height()), (Height(first), Height(height)));
    for of in 1..=height {
        let (certified, execution) = step(of);
        let block = &certified.block;
        let is_there = of >= first;
        let (at, there) = (Height(of), |at| is_there.then_some(at));
        assert_eq!(database.block(at).unwrap(), is_there.then(|| certified.clone()), "{of}");
        let results = database.results(at).unwrap();
        assert_eq!(results.map(|results| results.receipts), is_there.then_some(execution.receipts));
        assert_eq!(database.block_height_by_id(&block.id()).unwrap(), there(at));
        for (place, hash) in (0..).zip(hashes(block)) {
            assert_eq!(database.tx(&hash).unwrap(), is_there.then_some((at, place)), "{of}");
        }
    }
    let blocks = usize::try_from(height + 1 - first).unwrap();
    assert_eq!(counts(database), [blocks, blocks, 4 * blocks]);
}

fn chain(path: &Path, config: &StorageConfig, height: u64) -> Database {
    let database = Database::open(path, GENESIS, config).unwrap();
    database.initialise(&Batch::default()).unwrap();
    (1..=height).for_each(|height| drop(commit(&database, height)));
    database
}

#[test]
fn the_lowest_blocks_go_in_steps_with_all_that_is_said_of_them() {
    for config in [StorageConfig::default(), config(1)] {
        let home = Home::new();
        let open = || Database::open(&home.path(), GENESIS, &config).unwrap();
        let database = chain(&home.path(), &config, 250);
        assert_eq!(database.prune(Height(1)).unwrap(), Pruned::default());
        check(&database, 1, 250);
        let bytes = |of: u64| codec::encode(&step(of).0).len() as u64;
        let expected = Pruned { blocks: 100, bytes: (1..=100).map(bytes).sum() };
        assert_eq!(database.prune(Height(120)).unwrap(), expected);
        check(&database, 101, 250);
        drop(database);

        // Another process goes on.
        let database = open();
        check(&database, 101, 250);
        assert_eq!(database.prune(Height(120)).unwrap().blocks, 19);
        for floor in [120, 60] {
            assert_eq!(database.prune(Height(floor)).unwrap(), Pruned::default());
        }
        check(&database, 120, 250);
        commit(&database, 251);
        while database.first_height() < Height(251) {
            assert!(database.prune(Height(251)).unwrap().blocks > 0);
        }
        drop(database);
        check(&open(), 251, 251);
        let first = open().read::<u64>("first", META, FIRST_KEY).unwrap();
        assert_eq!(first, Some(251));
    }
}

#[test]
fn a_step_is_bounded_by_its_entries_and_takes_one_block_at_least() {
    let home = Home::new();
    let database = home.open();
    database.initialise(&Batch::default()).unwrap();
    let mut nonce = 1_000;
    for height in 1..=4 {
        let (mut certified, execution) = step(height);
        let txs = if height == 1 { 1_500 } else { 600 };
        Arc::make_mut(&mut certified.block).txs = (nonce..nonce + txs).map(tx).collect();
        nonce += txs;
        database.commit(&certified, &execution).unwrap();
    }
    for (expected, first) in [(1, 2), (2, 4), (0, 4)] {
        assert_eq!(database.prune(Height(4)).unwrap().blocks, expected);
        assert_eq!(database.first_height(), Height(first));
    }
    assert_eq!(counts(&database), [1, 1, 602]);
}

/// The log of a process that is killed ends anywhere: cut in the middle of the last step, nothing of that
/// step has happened, and the next start takes it again.
#[test]
fn a_step_that_was_cut_off_has_not_begun() {
    let home = Home::new();
    let database = chain(&home.path(), &StorageConfig::default(), 130);
    assert_eq!(database.prune(Height(120)).unwrap().blocks, 100);
    let log = || {
        let files = std::fs::read_dir(home.path()).unwrap().map(|file| file.unwrap().path());
        files.filter(|path| path.extension().is_some_and(|e| e == "log")).max().expect("a log")
    };
    let before = usize::try_from(std::fs::metadata(log()).unwrap().len()).unwrap();
    assert_eq!(database.prune(Height(120)).unwrap().blocks, 19);
    let (name, whole) = (log().file_name().unwrap().to_owned(), std::fs::read(log()).unwrap());
    // A copy, since the open database would write to its log when it is closed.
    let copy = |length: usize| {
        let copy = Home::new();
        std::fs::create_dir(copy.path()).unwrap();
        for file in std::fs::read_dir(home.path()).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
        }
        std::fs::write(copy.path().join(&name), &whole[..length]).unwrap();
        copy
    };
    let cuts = (before..whole.len()).step_by((whole.len() - before) / 5);
    for length in cuts.chain([whole.len() - 1]) {
        let copy = copy(length);
        let database = copy.open();
        check(&database, 101, 130);
        assert_eq!(database.prune(Height(120)).unwrap().blocks, 19, "cut at {length}");
        check(&database, 120, 130);
    }
    let copy = copy(whole.len());
    check(&copy.open(), 120, 130);
}

#[test]
fn what_is_gone_gives_its_room_back() {
    for config in [StorageConfig::default(), config(1)] {
        let home = Home::new();
        let database = chain(&home.path(), &config, 300);
        let bytes = |from, to| database.block_bytes(Height(from)..Height(to)).unwrap();
        let table_bytes = || {
            let stats = database.stats().unwrap();
            stats.iter().find(|family| family.name == "blocks").unwrap().table_bytes
        };
        let (all, before) = (bytes(1, 301), table_bytes());
        assert!(before > 0 && all > 0 && bytes(1, 2) <= all);
        while database.first_height() < Height(290) {
            database.prune(Height(290)).unwrap();
        }
        database.compact_pruned();
        assert!(table_bytes() < before / 2, "{} of {before}", table_bytes());
        assert_eq!(bytes(1, 250), 0);
        check(&database, 290, 300);
    }
}

#[test]
#[should_panic(expected = "the newest block stays")]
fn the_newest_block_never_goes() {
    let home = Home::new();
    let database = chain(&home.path(), &StorageConfig::default(), 3);
    let _ = database.prune(Height(4));
}

#[test]
fn a_gap_is_damage_and_is_not_passed_over() {
    let home = Home::new();
    let database = chain(&home.path(), &StorageConfig::default(), 5);
    let mut batch = WriteBatch::default();
    database.column(BLOCKS).delete(&mut batch, &2u64.to_be_bytes());
    database.write(batch, true).unwrap();
    let error = database.prune(Height(4)).unwrap_err().to_string();
    assert!(error.contains("block 2 is missing"), "{error}");
    assert_eq!(database.first_height(), Height(1));
    assert!(database.block(Height(1)).unwrap().is_some(), "nothing has changed");
}
