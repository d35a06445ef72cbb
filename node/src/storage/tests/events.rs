use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use proptest::prelude::*;

use super::encrypted::config;
use super::*;
use crate::storage::events::{Key, Kind, MAX_ENTRIES, MAX_INDEXED_BYTES};

const NAMES: [&str; 2] = ["put.key", "put.version"];

/// What a test's block does: for each transaction its events, each with the values of [`NAMES`].
type Done = Vec<Vec<[String; 2]>>;

fn put(values: &[String; 2]) -> Event {
    Event::new("put", [("key", values[0].clone()), ("version", values[1].clone())])
}

/// Commits a block in which these events happen in transactions, and those of `own` in the block itself.
fn commit_events(database: &Database, height: u64, done: &Done, own: &[[String; 2]]) {
    let (certified, execution) = step(height);
    let receipts = done
        .iter()
        .map(|events| Receipt { events: events.iter().map(put).collect(), ..Receipt::default() });
    let (receipts, events) = (receipts.collect(), own.iter().map(put).collect());
    database.commit(&certified, &Execution { receipts, events, ..execution }).unwrap();
}

fn index_all(database: &Database) {
    while database.index_next(None).unwrap() {}
}

fn all(index: &Events<'_>, kind: Kind, name: &str) -> BTreeSet<(String, Place)> {
    within(index, kind, name, &(Height::ZERO..=Height(u64::MAX))).0
}

/// What is visited of these heights, and how many places of others are.
fn within(
    index: &Events<'_>,
    kind: Kind,
    name: &str,
    heights: &RangeInclusive<Height>,
) -> (BTreeSet<(String, Place)>, usize) {
    let mut others = 0;
    let mut found = BTreeSet::new();
    let mut last = None;
    let visit = |value: &str, place: Place| {
        let entry = (value.to_owned(), place);
        assert!(last.as_ref() < Some(&entry), "in the order of values, then of places");
        last = Some(entry.clone());
        if heights.contains(&entry.1.height) {
            found.insert(entry);
        } else {
            others += 1;
        }
        Ok::<_, ChainError>(())
    };
    index.visit(kind, name, heights, visit).unwrap();
    (found, others)
}

fn place(height: u64, tx: u32, event: u32) -> Place {
    Place { height: Height(height), tx, event }
}

fn values() -> impl Strategy<Value = [String; 2]> {
    // Few values, so that they meet; some with what ends a text.
    let value = prop::sample::select(vec!["", "a", "a\0", "a\0b", "ab", "b", "\u{1}", "\0\u{ff}"]);
    [value.clone(), value].prop_map(|values| values.map(str::to_owned))
}

fn blocks() -> impl Strategy<Value = Vec<(Done, Vec<[String; 2]>)>> {
    let events = || prop::collection::vec(values(), 0..4);
    prop::collection::vec((prop::collection::vec(events(), 0..4), events()), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_attribute_is_found_where_it_is_and_goes_with_its_block(
        blocks in blocks(),
        is_encrypted: bool,
        floor in 1..6u64,
        restart in 0..6u64,
    ) {
        let home = Home::new();
        let config = if is_encrypted { config(1) } else { StorageConfig::default() };
        let open = || Database::open(&home.path(), GENESIS, &config).unwrap();
        let mut database = open();
        database.initialise(&Batch::default()).unwrap();
        let (mut of_txs, mut of_blocks) = (BTreeSet::new(), BTreeSet::new());
        for (height, (done, own)) in (1..).zip(&blocks) {
            commit_events(&database, height, done, own);
            if height == restart {
                index_all(&database);
                drop(database);
                database = open();
                prop_assert_eq!(database.indexed(), Height(height));
            }
            let txs = (0..).zip(done).flat_map(|(tx, events)| {
                (0..).zip(events).map(move |(event, values)| (place(height, tx, event), values))
            });
            for (at, values) in txs {
                of_txs.extend(NAMES.iter().zip(values).map(|(n, v)| (*n, v.clone(), at)));
            }
            for (event, values) in (0..).zip(own) {
                let at = place(height, 0, event);
                of_blocks.extend(NAMES.iter().zip(values).map(|(n, v)| (*n, v.clone(), at)));
            }
        }
        index_all(&database);
        let height = blocks.len() as u64;
        let floor = floor.min(height);
        for lowest in [1, floor] {
            if lowest > 1 {
                database.prune(Height(lowest)).unwrap();
            }
            let index = database.events();
            prop_assert_eq!(index.heights().unwrap(), Some((Height(lowest), Height(height))));
            for (kind, there) in [(Kind::Transaction, &of_txs), (Kind::Block, &of_blocks)] {
                for name in NAMES {
                    let expected: BTreeSet<(String, Place)> = there
                        .iter()
                        .filter(|(n, _, at)| *n == name && at.height.0 >= lowest)
                        .map(|(_, value, at)| (value.clone(), *at))
                        .collect();
                    prop_assert_eq!(&all(&index, kind, name), &expected);
                    let values: BTreeSet<&String> = expected.iter().map(|(v, _)| v).collect();
                    let heights = Height(restart.min(floor))..=Height(restart.max(floor));
                    let (found, others) = within(&index, kind, name, &heights);
                    let of_heights = expected.iter().filter(|(_, at)| heights.contains(&at.height));
                    prop_assert_eq!(found, of_heights.cloned().collect::<BTreeSet<_>>());
                    prop_assert!(others <= 2 * values.len(), "{others} others");
                    for value in values {
                        let mut places = index.places(kind, name, value);
                        let mut from = Some(Place::default());
                        let mut found = Vec::new();
                        while let Some(at) = from.and_then(|from| places.seek(from).unwrap()) {
                            found.push(at);
                            from = at.next();
                        }
                        let of_value = expected.iter().filter(|(v, _)| v == value);
                        prop_assert_eq!(found, of_value.map(|(_, at)| *at).collect::<Vec<_>>());
                    }
                    prop_assert_eq!(index.places(kind, name, "none").seek(Place::default()), Ok(None));
                }
            }
            let mut total = 0;
            for (at, (done, _)) in (1..).zip(&blocks) {
                let count = u32::try_from(done.len()).unwrap();
                total += u64::from(count);
                let expected = (at >= lowest).then_some((count, total));
                prop_assert_eq!(index.transactions(Height(at)).unwrap(), expected);
            }
        }
        drop(database);
    }

    #[test]
    fn keys_are_read_as_they_are_written(name: String, value: String, at: (u64, u32, u32)) {
        let place = place(at.0, at.1, at.2);
        for kind in [Kind::Block, Kind::Transaction] {
            let key = Key::Attribute { kind, name: name.clone(), value: value.clone(), place };
            prop_assert_eq!(Key::decode(&key.encode()), Some(key));
        }
        let write = Key::Write { record: Hash::of(name.as_bytes()), height: place.height, tx: at.1 };
        prop_assert_eq!(Key::decode(&write.encode()), Some(write));
        prop_assert_eq!(Key::decode(&Key::Count(place.height).encode()), Some(Key::Count(place.height)));
    }

    #[test]
    fn other_bytes_are_no_key(bytes: Vec<u8>, tag in prop::sample::select(b"bhrtx".to_vec())) {
        let bytes = [&[tag][..], &bytes].concat();
        if let Some(key) = Key::decode(&bytes) {
            prop_assert_eq!(key.encode(), bytes);
        }
    }
}

#[test]
fn golden_keys() {
    let put = tandem_chain::modules::Call::Records(records::Call::Put {
        data_set: "set".parse().unwrap(),
        key: b"k".to_vec(),
        content_type: None,
        value: Vec::new(),
        expected: None,
    });
    let key = SecretKey::from_seed(&[1; 32]);
    let body = TxBody { call: put, ..tx(1).body().clone() };
    let (mut certified, execution) = step(1);
    Arc::make_mut(&mut certified.block).txs = vec![Tx::sign(body, &key)];
    let event = Event::new("put", [("key", "a\0".to_owned())]);
    let put = Receipt { data: codec::encode(&7u64), events: vec![event], ..Receipt::default() };
    let receipts = vec![Receipt::default(), put];
    let home = Home::new();
    let database = home.open();
    database.initialise(&Batch::default()).unwrap();
    database.commit(&certified, &Execution { receipts, ..execution }).unwrap();
    index_all(&database);
    let record = Hash::of(b"records/data/set/k").to_string().to_lowercase();
    let expected = [
        // b, "switch.seat", "a", height 1, 0, event 0
        ("627377697463682e73656174000161000100000000000000010000000000000000".to_owned(), ""),
        // h, height 1: 2 transactions, 2 in all
        ("680000000000000001".to_owned(), "020000000200000000000000"),
        // r, the record, height 1, place 1: version 7
        (format!("72{record}000000000000000100000001"), "0700000000000000"),
        // t, "put.key", "a\0", height 1, place 1, event 0
        ("747075742e6b657900016100ff000100000000000000010000000100000000".to_owned(), ""),
    ];
    let found = entries(&database, "events");
    assert_eq!(found, expected.map(|(key, value)| (key, value.to_owned())));
    let indexed = (hex::encode("indexed"), "0100000000000000".to_owned());
    assert!(entries(&database, "meta").contains(&indexed));

    let set = "set".parse().unwrap();
    assert_eq!(
        database.events().writes(&set, b"k", (Height(9), 0), 9),
        Ok(vec![(Height(1), 1, 7)])
    );
    assert_eq!(database.events().writes(&set, b"k", (Height(1), 1), 9), Ok(vec![]));
    assert_eq!(database.events().writes(&set, b"k", (Height(2), 0), 9).unwrap().len(), 1);
    assert_eq!(database.events().writes(&set, b"other", (Height(9), 0), 9), Ok(vec![]));
    database.commit(&step(2).0, &step(2).1).unwrap();
    database.prune(Height(2)).unwrap();
    assert!(entries(&database, "events").is_empty(), "block 2 is not in the index yet");
}

#[test]
fn a_block_of_many_entries_comes_in_parts_and_an_interrupted_one_again() {
    let home = Home::new();
    let database = home.open();
    database.initialise(&Batch::default()).unwrap();
    let many: Vec<[String; 2]> = (0..1_200).map(|i| [i.to_string(), "1".to_owned()]).collect();
    commit_events(&database, 1, &vec![many.clone()], &[]);
    assert!(2 * many.len() > 2 * MAX_ENTRIES);
    assert!(database.index_next(None).unwrap());
    assert_eq!(entries(&database, "events").len(), 2 * many.len() + 1);
    // As if the process had ended before the last part, with some of the others written.
    let whole = entries(&database, "events");
    database.forget_index().unwrap();
    let mut batch = WriteBatch::default();
    for (key, _) in whole.iter().step_by(2).chain(whole.iter().filter(|(key, _)| key[..2] == *"68"))
    {
        database.column(columns::EVENTS).delete(&mut batch, &hex::decode(key).unwrap());
    }
    database.write(batch, false).unwrap();
    drop(database);
    let database = home.open();
    assert_eq!((database.indexed(), database.events().heights()), (Height::ZERO, Ok(None)));
    index_all(&database);
    assert_eq!(entries(&database, "events"), whole);
    commit_events(&database, 2, &vec![], &[]);
    index_all(&database);
    assert_eq!(entries(&database, "events").len(), 2 * many.len() + 2);
    database.prune(Height(2)).unwrap();
    assert_eq!(entries(&database, "events").len(), 1);
}

#[test]
fn a_block_that_is_at_hand_is_not_read_and_another_is() {
    let home = Home::new();
    let database = home.open();
    database.initialise(&Batch::default()).unwrap();
    (1..=2).for_each(|height| drop(commit(&database, height)));
    let (second, execution) = step(2);
    let other = Event::new("at_hand", [("is", "it".to_owned())]);
    let at_hand = (&*second.block, execution.receipts.as_slice(), &[other][..]);
    while database.index_next(Some(at_hand)).unwrap() {}
    let found = |name| all(&database.events(), Kind::Block, name);
    assert_eq!(found("switch.seat"), [("a".to_owned(), place(1, 0, 0))].into());
    assert_eq!(found("at_hand.is"), [("it".to_owned(), place(2, 0, 0))].into());
}

#[test]
fn long_attributes_are_left_out() {
    let home = Home::new();
    let database = home.open();
    database.initialise(&Batch::default()).unwrap();
    let value = |len| ["x".repeat(len), "1".to_owned()];
    let own = [value(MAX_INDEXED_BYTES), value(MAX_INDEXED_BYTES + 1)];
    commit_events(&database, 1, &vec![], &own);
    index_all(&database);
    let found = all(&database.events(), Kind::Block, NAMES[0]);
    assert_eq!(found, [(own[0][0].clone(), place(1, 0, 0))].into());
    assert_eq!(all(&database.events(), Kind::Block, NAMES[1]).len(), 2);
}

#[test]
fn an_index_that_is_gone_is_made_anew() {
    let home = Home::new();
    let database = home.open();
    database.initialise(&Batch::default()).unwrap();
    (1..=3).for_each(|height| drop(commit(&database, height)));
    index_all(&database);
    let before = entries(&database, "events");
    assert!(!before.is_empty());
    drop(database);
    let config = StorageConfig::default();
    let options = columns::database_options(&config);
    let descriptors = columns::descriptors(&config, None);
    let mut db = DB::open_cf_descriptors(&options, home.path(), descriptors).unwrap();
    db.drop_cf("events").unwrap();
    drop(db);
    let database = home.open();
    assert_eq!((database.indexed(), database.height()), (Height::ZERO, Height(3)));
    index_all(&database);
    assert_eq!(entries(&database, "events"), before);
    // Any other family that is missing is damage.
    drop(database);
    let descriptors = columns::descriptors(&config, None);
    let mut db = DB::open_cf_descriptors(&options, home.path(), descriptors).unwrap();
    db.drop_cf("results").unwrap();
    db.drop_cf("events").unwrap();
    drop(db);
    assert!(Database::open(&home.path(), GENESIS, &config).is_err());
}
