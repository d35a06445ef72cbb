use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::error::Error;
use crate::ledger::tests::kit::{self, Chain};
use crate::ledger::{Ledger, is_committed};
use crate::limits::{MAX_CHUNK_BYTES, MAX_CHUNKS};
use crate::store::{Batch, Column, MemoryStore, Store};
use crate::tree::{self, Change, Node};
use crate::types::{Hash, Height};

type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

/// A store that holds a state and its tree.
fn store(entries: &Entries) -> MemoryStore {
    let mut store = MemoryStore::default();
    let mut batch = Batch::default();
    let changes = entries.iter().map(|(key, value)| Change::new(key, Some(value))).collect();
    tree::update(&store, changes, &mut batch).unwrap();
    for (key, value) in entries {
        batch.put(Column::State, key.clone(), value.clone());
    }
    store.apply(&batch);
    store
}

/// The snapshot of a store's state.
fn taken(store: &MemoryStore, height: u64) -> (Manifest, Vec<Chunk>) {
    let state = store.entries(Column::State);
    let mut sizes: Vec<(Hash, u64)> = state
        .iter()
        .map(|(key, value)| (Hash::of(key), entry_bytes(key.len(), value.len())))
        .collect();
    sizes.sort_unstable();
    let ranges = cut(&mut Sorted(&sizes)).unwrap();
    let chunks: Vec<Chunk> = ranges
        .iter()
        .map(|range| {
            let places = range.places();
            let inside = state.iter().filter(|(key, _)| places.contains(&Hash::of(key)));
            let item = |(key, value): (&Vec<u8>, &Vec<u8>)| {
                let (key, value) = (key.clone(), value.clone());
                Item { key, value }
            };
            Chunk::new(inside.map(item).collect())
        })
        .collect();
    let tiles = chunks.iter().zip(&ranges).map(|(chunk, range)| chunk.tile(range).unwrap());
    let root = tree::root(store).unwrap();
    let chain_id = "test-1".parse().unwrap();
    (Manifest::new(chain_id, Height(height), root, tiles.collect()).unwrap(), chunks)
}

/// Entries whose values have these lengths.
fn entries(lengths: impl IntoIterator<Item = usize>) -> Entries {
    let value = |(i, length): (usize, usize)| (format!("key/{i}").into_bytes(), vec![7; length]);
    lengths.into_iter().enumerate().map(value).collect()
}

/// A state of some 20 MB.
fn large() -> Entries {
    entries((0..400).map(|i| 20_000 + 137 * i))
}

#[test]
fn chunks_restored_in_any_order_give_the_same_store() {
    let original = store(&large());
    let (manifest, chunks) = taken(&original, 9);
    assert!(chunks.len() >= 5, "{} chunks", chunks.len());
    assert!(!chunks.iter().any(|chunk| chunk.encode().len() > MAX_CHUNK_BYTES));
    let mut restored = MemoryStore::default();
    for (chunk, tile) in chunks.iter().zip(manifest.tiles()).rev() {
        restored.apply(&chunk.check(tile).unwrap());
    }
    restored.apply(&manifest.pages());
    assert_eq!(restored, original);
    assert_eq!(tree::root(&restored).unwrap(), manifest.app_hash());
    assert_eq!(tree::root_of(restored.entries(Column::State)), manifest.app_hash());
}

#[test]
fn a_slot_that_does_not_fit_alone_is_cut_further_and_its_neighbours_are_taken_together() {
    // All in one slot of the root, but one: places that begin with 0 and with f.
    let mut chosen = Entries::new();
    for i in 0_u32.. {
        let key = i.to_be_bytes().to_vec();
        let first = Hash::of(&key).0[0] >> 4;
        let wanted = if chosen.len() < 40 { 0 } else { 15 };
        if first == wanted {
            chosen.insert(key, vec![1; 190_000]);
        }
        if chosen.len() == 41 {
            break;
        }
    }
    let (manifest, chunks) = taken(&store(&chosen), 1);
    let tiles = manifest.tiles();
    let last = tiles.last().unwrap();
    assert_eq!((last.path.len(), last.first, last.nodes.len()), (0, 1, 15));
    assert_eq!(chunks.last().unwrap().items().len(), 1);
    assert!(tiles[..tiles.len() - 1].iter().all(|tile| tile.path == [0]), "{tiles:?}");
    let full = chunks.iter().filter(|chunk| chunk.encode().len() > MAX_CHUNK_BYTES / 2).count();
    assert!(full >= 1, "slots are taken together");
}

#[test]
fn every_node_cuts_a_state_alike_however_it_came_to_be() {
    let mut other = large();
    let gone: Vec<Vec<u8>> = other.keys().take(50).cloned().collect();
    let mut grown = store(&other);
    let mut batch = Batch::default();
    tree::update(&grown, gone.iter().map(|key| Change::new(key, None)).collect(), &mut batch)
        .unwrap();
    for key in &gone {
        batch.delete(Column::State, key.clone());
        other.remove(key);
    }
    grown.apply(&batch);
    assert_eq!(taken(&grown, 3), taken(&store(&other), 3));
}

#[test]
fn an_empty_state_and_one_of_one_entry_are_one_chunk() {
    for count in [0, 1] {
        let original = store(&entries([10; 1].into_iter().take(count)));
        let (manifest, chunks) = taken(&original, 1);
        assert_eq!(chunks.len(), 1);
        let mut restored = MemoryStore::default();
        restored.apply(&chunks[0].check(&manifest.tiles()[0]).unwrap());
        restored.apply(&manifest.pages());
        assert_eq!(restored, original);
    }
}

#[test]
fn what_is_no_chunk_of_its_tile_is_refused() {
    let (manifest, chunks) = taken(&store(&large()), 9);
    let tile = &manifest.tiles()[1];
    let items = chunks[1].items();
    let with = |change: &dyn Fn(&mut Vec<Item>)| {
        let mut items = items.to_vec();
        change(&mut items);
        Chunk { items }
    };
    let (_, others) = taken(&store(&entries((0..400).map(|i| 20_001 + 137 * i))), 10);
    let cases: [(&str, Chunk, &str); 9] = [
        ("another chunk", chunks[0].clone(), "an entry of another one"),
        ("of another state", others[1].clone(), "a chunk"),
        ("empty", Chunk::default(), "other entries"),
        ("one entry less", with(&|i| drop(i.pop())), "other entries"),
        ("an entry of another", with(&|i| i.push(chunks[2].items()[0].clone())), "another one"),
        ("an entry twice", with(&|i| i.insert(1, i[0].clone())), "not in order"),
        ("two swapped", with(&|i| i.swap(0, 1)), "not in order"),
        ("another value", with(&|i| i[0].value[5] ^= 1), "other entries"),
        ("another key", with(&|i| i[0].key[0] ^= 1), "a chunk"),
    ];
    for (name, chunk, reason) in cases {
        let error = chunk.check(tile).unwrap_err().to_string();
        assert!(error.contains(reason), "{name}: {error}");
    }
    assert!(chunks[1].check(tile).is_ok());
}

#[test]
fn bytes_that_are_cut_longer_or_too_many_are_no_chunk() {
    let (_, chunks) = taken(&store(&entries([100; 20])), 9);
    let bytes = chunks[0].encode();
    assert_eq!(Chunk::decode(&bytes), Ok(chunks[0].clone()));
    for len in 0..bytes.len() {
        assert!(Chunk::decode(&bytes[..len]).is_err(), "{len}");
    }
    assert!(Chunk::decode(&[bytes.as_slice(), &[0]].concat()).is_err());
    let long = Chunk::new(vec![Item { key: vec![1], value: vec![0; MAX_CHUNK_BYTES] }]).encode();
    assert!(matches!(Chunk::decode(&long), Err(Error::TooLong { .. })));
}

/// The bytes of a manifest whose parts are changed.
fn changed(manifest: &Manifest, change: impl FnOnce(&mut Vec<Tile>)) -> Vec<u8> {
    let mut tiles = manifest.tiles().to_vec();
    change(&mut tiles);
    let of = (manifest.chain_id(), manifest.height(), manifest.app_hash());
    crate::codec::encode(&(1_u32, of.0, of.1, of.2, tiles))
}

#[test]
fn a_manifest_that_lies_is_refused() {
    let (manifest, _) = taken(&store(&large()), 9);
    assert_eq!(Manifest::decode(&manifest.encode()), Ok(manifest.clone()));
    assert_eq!(changed(&manifest, |_| ()), manifest.encode());
    let cases: [(&str, Box<dyn Fn(&mut Vec<Tile>)>, &str); 11] = [
        ("a tile is missing", Box::new(|t| drop(t.remove(0))), "not in order, or one is missing"),
        ("the last is missing", Box::new(|t| drop(t.pop())), "leave a part"),
        ("none", Box::new(Vec::clear), "leave a part"),
        ("one twice", Box::new(|t| t.insert(0, t[0].clone())), "not in order"),
        ("one behind", Box::new(|t| t.push(t[0].clone())), "overlaps"),
        ("two swapped", Box::new(|t| t.swap(0, 1)), "not in order"),
        ("no slots", Box::new(|t| t[0].nodes.clear()), "no slot"),
        (
            "more slots than a page",
            Box::new(|t| t.last_mut().unwrap().nodes.push(Node::Empty)),
            "more than a page",
        ),
        (
            "another hash",
            Box::new(|t| t[0].nodes[0] = Node::Inner(Hash([1; 32]))),
            "do not hash to its state commitment",
        ),
        ("a path too long", Box::new(|t| t[0].path = vec![0; 64]), "length"),
        ("a slot that is none", Box::new(|t| t[0].first = 16), "not in order"),
    ];
    for (name, change, reason) in cases {
        let error = Manifest::decode(&changed(&manifest, change)).unwrap_err().to_string();
        assert!(error.contains(reason), "{name}: {error}");
    }
    // A page below which there is nothing is no page.
    let page = |path: Vec<u8>| Tile { path, first: 0, nodes: vec![Node::Empty; 16] };
    let rest = Tile { path: Vec::new(), first: 1, nodes: vec![Node::Empty; 15] };
    let empty = changed(&manifest, |t| *t = vec![page(vec![0]), rest]);
    let error = Manifest::decode(&empty).unwrap_err().to_string();
    assert!(error.contains("fewer than two entries"), "{error}");
    let other = crate::codec::encode(&(2_u32, "test-1", 9_u64, manifest.app_hash(), [0_u8; 8]));
    assert!(Manifest::decode(&other).unwrap_err().to_string().contains("format"));
}

#[test]
fn a_manifest_of_no_block_or_that_is_too_long_is_not_made() {
    let (manifest, _) = taken(&store(&entries([10; 3])), 9);
    let made = |height, tiles| {
        Manifest::new(manifest.chain_id().clone(), Height(height), manifest.app_hash(), tiles)
    };
    let tiles = || manifest.tiles().to_vec();
    for height in [1, i64::MAX as u64 - 1] {
        assert!(made(height, tiles()).is_ok(), "{height}");
    }
    for height in [0, i64::MAX as u64, u64::MAX] {
        let error = made(height, tiles()).unwrap_err();
        assert!(matches!(error, Error::Snapshot { .. }), "{height}: {error}");
    }
    let leaf = Node::Leaf(Hash([1; 32]), Hash([2; 32]));
    let tile = Tile { path: Vec::new(), first: 0, nodes: vec![leaf; 16] };
    let error = made(9, vec![tile; 15_000]).unwrap_err();
    assert!(matches!(error, Error::TooLong { .. }), "{error}");
}

/// As much as is asked for, down to a depth.
struct Endless;
impl Sizes for Endless {
    fn bytes(&mut self, path: &[u8]) -> Result<u64, Error> {
        let large = MAX_CHUNK_BYTES as u64;
        Ok(if path.len() < 5 { large } else { large / 2 + 1 })
    }
}

#[test]
fn what_fits_in_no_chunk_is_an_error() {
    let too_long = [(Hash([3; 32]), MAX_CHUNK_BYTES as u64)];
    assert!(matches!(cut(&mut Sorted(&too_long)), Err(Error::TooLong { .. })));
    let longest = [(Hash([3; 32]), MAX_CHUNK_BYTES as u64 - 8)];
    assert_eq!(cut(&mut Sorted(&longest)).unwrap().len(), 1);

    let error = cut(&mut Endless).unwrap_err();
    assert_eq!(error, Error::TooMany { what: "chunks", max: MAX_CHUNKS, got: MAX_CHUNKS + 1 });
}

#[test]
fn a_ledger_goes_on_from_a_restored_state_as_from_its_own() {
    let mut chain = Chain::new();
    let tx = chain.tx("a-admin", kit::create("set"));
    chain.run(&kit::Next::default().tx(tx.clone()));
    let (manifest, chunks) = taken(chain.store(), 1);
    let mut restored = MemoryStore::default();
    for (chunk, tile) in chunks.iter().zip(manifest.tiles()) {
        restored.apply(&chunk.check(tile).unwrap());
    }
    restored.apply(&manifest.pages());
    assert_eq!(restored, *chain.store());
    assert!(is_committed(&restored, &tx.hash()).unwrap(), "a repeated transaction is found");
    let ledger = Ledger::open(restored, &chain.genesis).unwrap();
    assert_eq!(ledger.tip(), chain.ledger.tip());
    assert!(ledger.store().get(Column::State, b"ledger/last").unwrap().is_some());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn random_states_come_back_in_random_order(
        lengths in proptest::collection::vec(prop_oneof![0..100_usize, 50_000..190_000_usize], 0..120),
        order in any::<u64>(),
    ) {
        let original = store(&entries(lengths));
        let (manifest, chunks) = taken(&original, 5);
        prop_assert_eq!(Manifest::decode(&manifest.encode()), Ok(manifest.clone()));
        let mut numbered: Vec<(usize, &Chunk)> = chunks.iter().enumerate().collect();
        numbered.sort_by_key(|(i, _)| Hash::of(&[order.to_le_bytes(), i.to_le_bytes()].concat()));
        let mut restored = MemoryStore::default();
        restored.apply(&manifest.pages());
        for (i, chunk) in numbered {
            let bytes = chunk.encode();
            prop_assert!(bytes.len() <= MAX_CHUNK_BYTES);
            restored.apply(&Chunk::decode(&bytes).unwrap().check(&manifest.tiles()[i]).unwrap());
        }
        prop_assert_eq!(tree::root_of(restored.entries(Column::State)), manifest.app_hash());
        prop_assert_eq!(restored, original);
    }
}
