//! Searches against a model: every transaction of a chain is looked at.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tandem_chain::block::{Block, Certificate, CertifiedBlock};
use tandem_chain::ledger::{Event, Execution, Receipt};
use tandem_chain::store::Batch;

use super::*;
use crate::storage::{Database, StorageConfig};
use crate::testing::Chain;

/// When no search of a test takes so long.
fn later() -> Instant {
    Instant::now() + std::time::Duration::from_secs(600)
}

/// Events of a transaction or block.
type Happened = Vec<Event>;

struct World {
    db: Database,
    /// By height and place; those of blocks themselves apart.
    txs: BTreeMap<At, Happened>,
    blocks: BTreeMap<At, Happened>,
    _dir: tempfile::TempDir,
}

/// A chain whose blocks have receipts with these events, all of it in the index.
fn world(blocks: &[(Vec<Happened>, Happened)]) -> World {
    let mut chain = Chain::new();
    let (first, tip) = {
        let committed = chain.commit(Vec::new());
        (committed.block, committed.tip)
    };
    let dir = tempfile::tempdir().unwrap();
    let genesis = chain.genesis.hash();
    let db = Database::open(dir.path(), genesis, &StorageConfig::default()).unwrap();
    db.initialise(&Batch::default()).unwrap();
    let (mut of_txs, mut of_blocks) = (BTreeMap::new(), BTreeMap::new());
    for (height, (txs, own)) in (1..).map(Height).zip(blocks) {
        let mut block: Block = (*first.block).clone();
        block.header.height = height;
        let receipts =
            txs.iter().map(|events| Receipt { events: events.clone(), ..Receipt::default() });
        let tip = std::sync::Arc::new(tandem_chain::tip::Tip { height, ..(*tip).clone() });
        let (batch, receipts) = (Batch::default(), receipts.collect());
        let execution = Execution { batch, receipts, events: own.clone(), tip };
        let block = CertifiedBlock { block: block.into(), certificate: Certificate::default() };
        db.commit(&block, &execution).unwrap();
        of_txs.extend((0..).zip(txs).map(|(place, events)| ((height, place), events.clone())));
        of_blocks.insert((height, 0), own.clone());
    }
    while db.index_next(None).unwrap() {}
    World { db, txs: of_txs, blocks: of_blocks, _dir: dir }
}

impl World {
    fn found(&self, kind: EventKind, query: &Query) -> Result<Vec<At>, SearchError> {
        let events = self.db.events();
        let found = search(&events, kind, query, later(), |_| Ok(None))?;
        let count = found.count(&events)?;
        let all = found.part(&events, 0..count)?;
        // In parts it is the same.
        let middle = count / 2;
        let parts = [found.part(&events, 0..middle)?, found.part(&events, middle..count)?];
        assert_eq!(parts.concat(), all);
        Ok(all)
    }

    /// What the query asks for, as the front page says it.
    fn expected(&self, kind: EventKind, query: &Query) -> Vec<At> {
        let (all, tag) = match kind {
            EventKind::Transaction => (&self.txs, "tx.height"),
            EventKind::Block => (&self.blocks, "block.height"),
        };
        let of = |tag: &str| tag.rsplit_once('.').map_or(tag, |(of, _)| of).to_owned();
        let holds = |condition: &Condition, event: &Event| {
            if event.kind == condition.tag {
                return condition.test.holds("") && !event.attributes.is_empty();
            }
            event.attributes.iter().any(|(name, value)| {
                format!("{}.{name}", event.kind) == condition.tag && condition.test.holds(value)
            })
        };
        let is_asked = |at: &At, events: &Happened| {
            let (heights, others): (Vec<_>, Vec<_>) =
                query.conditions.iter().partition(|condition| condition.tag == tag);
            let mut groups: BTreeMap<String, Vec<&Condition>> = BTreeMap::new();
            for condition in others {
                groups.entry(of(&condition.tag)).or_default().push(condition);
            }
            heights.iter().all(|condition| condition.test.holds(&at.0.to_string()))
                && groups.values().all(|conditions| {
                    events.iter().any(|event| conditions.iter().all(|one| holds(one, event)))
                })
        };
        all.iter().filter(|(at, events)| is_asked(at, events)).map(|(at, _)| *at).collect()
    }
}

fn events() -> impl Strategy<Value = Happened> {
    let value = || prop::sample::select(vec!["", "1", "2", "02", "10", "ab", "b"]);
    let kind = prop::sample::select(vec!["put", "switch"]);
    let event = (kind, value(), value()).prop_map(|(kind, key, version)| {
        Event::new(kind, [("key", key.to_owned()), ("version", version.to_owned())])
    });
    prop::collection::vec(event, 0..4)
}

fn condition(height: &'static str) -> impl Strategy<Value = String> {
    let tag = prop::sample::select(vec!["put.key", "put.version", "switch.key", "put.none"]);
    let test = prop_oneof![
        prop::sample::select(vec!["", "1", "2", "10", "ab", "x"]).prop_map(|t| format!("= '{t}'")),
        prop::sample::select(vec!["b", "1", ""]).prop_map(|text| format!("CONTAINS '{text}'")),
        Just("EXISTS".to_owned()),
        (prop::sample::select(vec!["=", "<", "<=", ">", ">="]), 0..12u64)
            .prop_map(|(sign, number)| format!("{sign} {number}")),
    ];
    prop_oneof![
        6 => (tag, test).prop_map(|(tag, test)| format!("{tag} {test}")),
        2 => (prop::sample::select(vec!["=", "<", "<=", ">", ">="]), 0..8u64)
            .prop_map(move |(sign, number)| format!("{height} {sign} {number}")),
        1 => Just("put EXISTS".to_owned()),
        1 => Just("switch = ''".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_search_finds_what_looking_at_everything_does(
        blocks in prop::collection::vec((prop::collection::vec(events(), 0..4), events()), 1..6),
        of_txs in prop::collection::vec(prop::collection::vec(condition("tx.height"), 1..4), 1..12),
        of_blocks in prop::collection::vec(prop::collection::vec(condition("block.height"), 1..4), 1..8),
    ) {
        let world = world(&blocks);
        for (kind, queries) in [(EventKind::Transaction, of_txs), (EventKind::Block, of_blocks)] {
            for conditions in queries {
                let text = conditions.join(" AND ");
                let query: Query = text.parse().unwrap();
                let found = world.found(kind, &query).unwrap();
                prop_assert_eq!(found, world.expected(kind, &query), "{}", text);
            }
        }
    }
}

fn put(key: &str, version: usize) -> Event {
    Event::new("put", [("key", key.to_owned()), ("version", version.to_string())])
}

#[test]
fn what_is_rare_decides_what_is_read() {
    // More than a search may look at, all in one block's transactions.
    let many = usize::try_from(MAX_STEPS).unwrap() + 1;
    let mut events: Happened = (0..many).map(|version| put("often", version % 7)).collect();
    events.push(put("rare", 3));
    let world = world(&[(vec![Vec::new(), events], Vec::new())]);
    let find = |text: &str| world.found(EventKind::Transaction, &text.parse().unwrap());
    let one = vec![(Height(1), 1)];
    assert_eq!(find("put.key = 'rare'"), Ok(one.clone()));
    assert_eq!(find("put.version = '3' AND put.key = 'rare'"), Ok(one.clone()));
    assert_eq!(find("put.key = 'rare' AND put.version = '4'"), Ok(vec![]));
    assert_eq!(find("put.key = 'none' AND put.version CONTAINS '4'"), Ok(vec![]));
    assert_eq!(find("tx.height >= 1"), Ok(vec![(Height(1), 0), (Height(1), 1)]));
    for text in ["put.key = 'often'", "put.version > 5", "put.key EXISTS", "put EXISTS"] {
        let error = find(text).unwrap_err();
        assert_eq!(error, SearchError::TooManySteps, "{text}");
        assert!(error.to_string().contains("100000 entries"), "{error}");
    }
    assert_eq!(find("put.key = 'often' AND tx.height > 1"), Ok(vec![]));
}

#[test]
fn narrow_heights_decide_what_is_read() {
    // A few values over and over, more than a search may look at.
    let often = usize::try_from(MAX_STEPS).unwrap() / 4;
    let events: Happened = (0..often).map(|version| put("often", version % 7)).collect();
    let block = |events: Happened| (vec![Vec::new(), events], Vec::new());
    let few = vec![put("rare", 6), put("often", 3)];
    let mut blocks = vec![block(events.clone()), block(events.clone()), block(few)];
    blocks.extend([block(events.clone()), block(events)]);
    let world = world(&blocks);
    let find = |text: &str| world.found(EventKind::Transaction, &text.parse().unwrap());
    let third = vec![(Height(3), 1)];
    for text in ["put.version > 5", "put.version EXISTS", "put EXISTS", "put.key CONTAINS 'r'"] {
        assert_eq!(find(text), Err(SearchError::TooManySteps), "{text}");
        assert_eq!(find(&format!("{text} AND tx.height = 3")), Ok(third.clone()), "{text}");
        assert_eq!(find(&format!("{text} AND tx.height > 5")), Ok(vec![]), "{text}");
        // So do the heights of what another condition has found.
        assert_eq!(find(&format!("{text} AND put.key = 'rare'")), Ok(third.clone()), "{text}");
    }
}

#[test]
fn a_search_ends_in_time() {
    let world = world(&[(vec![vec![put("a", 1)]], vec![])]);
    let events = world.db.events();
    let now = Instant::now();
    for text in ["put.key = 'a'", "put.key EXISTS", "put EXISTS AND tx.height = 1"] {
        let query: Query = text.parse().unwrap();
        let late = search(&events, EventKind::Transaction, &query, now, |_| Ok(None));
        assert_eq!(late, Err(SearchError::TooLong), "{text}");
    }
}

#[test]
fn words_of_heights_hashes_and_subscriptions() {
    let world =
        world(&[(vec![vec![put("a", 1)], vec![]], vec![]), (vec![vec![]], vec![put("b", 2)])]);
    let all = vec![(Height(1), 0), (Height(1), 1), (Height(2), 0)];
    let hash = Hash::of(b"tx");
    let events = world.db.events();
    let txs = |text: &str| -> Result<Vec<At>, SearchError> {
        let find = |asked: &Hash| Ok((*asked == hash).then_some((Height(1), 1)));
        let found = search(&events, EventKind::Transaction, &text.parse().unwrap(), later(), find)?;
        Ok(found.part(&events, 0..found.count(&events)?)?)
    };
    assert_eq!(txs("tm.event = 'Tx'"), Ok(all.clone()));
    assert_eq!(txs("tm.event = 'NewBlock'"), Ok(vec![]));
    assert_eq!(txs("tx.height EXISTS"), Ok(all.clone()));
    assert_eq!(txs("tx.height = '1'"), Ok(all[..2].to_vec()));
    assert_eq!(txs("tx.height = '01'"), Ok(vec![]));
    assert_eq!(txs("tx.height = 2 AND tx.height = 1"), Ok(vec![]));
    assert_eq!(txs("tx.height > 99999999999999999999999"), Ok(vec![]));
    assert_eq!(txs("tx.height < 1.5"), Ok(all[..2].to_vec()));
    assert_eq!(txs(&format!("tx.hash = '{hash}'")), Ok(vec![all[1]]));
    assert_eq!(txs(&format!("tx.hash = '{hash}' AND tx.height = 2")), Ok(vec![]));
    assert_eq!(txs(&format!("tx.hash = '{hash}' AND put.key = 'a'")), Ok(vec![]));
    assert_eq!(txs("tx.hash = 'AB'"), Ok(vec![]));
    for (text, tag) in [
        ("tx.hash EXISTS", "tx.hash"),
        ("tx.hash CONTAINS 'A'", "tx.hash"),
        ("tx.height CONTAINS '1'", "tx.height"),
        ("tx.height = DATE 2026-01-01", "tx.height"),
    ] {
        let error = txs(text).unwrap_err();
        assert!(matches!(error, SearchError::Condition { tag: got, .. } if got == tag), "{error}");
    }
    let blocks = |text: &str| world.found(EventKind::Block, &text.parse().unwrap());
    assert_eq!(blocks("tm.event = 'NewBlock'"), Ok(vec![(Height(1), 0), (Height(2), 0)]));
    assert_eq!(blocks("put.key = 'b'"), Ok(vec![(Height(2), 0)]));
    assert_eq!(blocks("put.key = 'a'"), Ok(vec![]));
    assert_eq!(blocks("block.height <= 1"), Ok(vec![(Height(1), 0)]));
    // Where nothing is in the index yet.
    let empty = Chain::new();
    let query: Query = "tx.height > 0".parse().unwrap();
    let nothing = search(&empty.db.events(), EventKind::Transaction, &query, later(), |_| Ok(None));
    assert_eq!(nothing, Ok(Found::Some(Vec::new())));
}
