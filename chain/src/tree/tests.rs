use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::store::MemoryStore;

type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

/// The root as the table at the head of the module says, bit by bit over a list.
fn naive(leaves: &[(Hash, Hash)], depth: usize) -> Hash {
    match leaves {
        [] => Hash([0; 32]),
        [(key, value)] => Hash::of(&[&[0][..], &key.0, &value.0].concat()),
        _ => {
            let side = |right: bool| {
                let half = leaves
                    .iter()
                    .filter(|(key, _)| (key.0[depth / 8] & (0x80 >> (depth % 8)) != 0) == right);
                naive(&half.copied().collect::<Vec<_>>(), depth + 1)
            };
            Hash::of(&[&[1][..], &side(false).0, &side(true).0].concat())
        }
    }
}

fn naive_root(entries: &Entries) -> Hash {
    let leaves: Vec<_> = entries.iter().map(|(k, v)| (Hash::of(k), Hash::of(v))).collect();
    naive(&leaves, 0)
}

fn apply(store: &mut MemoryStore, changes: &BTreeMap<Vec<u8>, Option<Vec<u8>>>) -> Hash {
    let mut batch = Batch::default();
    let list = changes.iter().map(|(k, v)| Change::new(k, v.as_deref())).collect();
    let root = update(store, list, &mut batch).unwrap();
    store.apply(&batch);
    root
}

fn keys_of(numbers: impl IntoIterator<Item = u16>) -> Vec<Vec<u8>> {
    numbers.into_iter().map(|n| n.to_be_bytes().to_vec()).collect()
}

#[test]
fn small_trees_have_the_roots_of_the_table() {
    let leaf = |k: &str, v: &str| {
        Hash::of(&[&[0][..], &Hash::of(k.as_bytes()).0, &Hash::of(v.as_bytes()).0].concat())
    };
    assert_eq!(root_of::<&[u8]>([]), Hash([0; 32]));
    assert_eq!(root_of([(&b"a"[..], &b"1"[..])]), leaf("a", "1"));
    // SHA-256 of "a" begins with ca, that of "b" with 3e: they part at the first bit.
    let two = Hash::of(&[&[1][..], &leaf("b", "2").0, &leaf("a", "1").0].concat());
    assert_eq!(root_of([(&b"a"[..], &b"1"[..]), (b"b", b"2")]), two);
}

#[test]
fn places_that_part_late_make_a_chain_of_pages_and_leave_none_behind() {
    // Places need not be hashes for the tree: two that part at the last bit alone.
    let (a, mut b) = (Hash([7; 32]), Hash([7; 32]));
    b.0[31] ^= 1;
    let hash = Hash::of(b"v");
    let value = Some(hash);
    let mut store = MemoryStore::default();
    let mut change = |changes: Vec<Change>| {
        let mut batch = Batch::default();
        let root = update(&store, changes, &mut batch).unwrap();
        store.apply(&batch);
        (root, store.entries(Column::Tree).len())
    };
    let (one, pages) = change(vec![Change { key: a, value }]);
    assert_eq!((one, pages), (naive(&[(a, hash)], 0), 1));
    let (two, pages) = change(vec![Change { key: b, value }]);
    assert_eq!((two, pages), (naive(&[(a, hash), (b, hash)], 0), 64));
    let (back, pages) = change(vec![Change { key: b, value: None }]);
    assert_eq!((back, pages), (one, 1));
    let (none, pages) = change(vec![Change { key: a, value: None }]);
    assert_eq!((none, pages), (Hash([0; 32]), 0));
}

#[test]
fn damaged_pages_are_told() {
    let mut store = MemoryStore::default();
    let changes = keys_of(0..500).into_iter().map(|key| (key, Some(vec![1])));
    apply(&mut store, &changes.collect());
    let good = store.get(Column::Tree, &[0]).unwrap().unwrap();
    let mut kinds = good.clone();
    kinds[..4].copy_from_slice(&[0xff; 4]);
    for bad in [vec![], good[..good.len() - 1].to_vec(), [&good[..], &[0]].concat(), kinds] {
        let mut batch = Batch::default();
        batch.put(Column::Tree, vec![0], bad);
        store.apply(&batch);
        assert!(matches!(root(&store), Err(Error::Damaged { .. })));
    }
    let mut batch = Batch::default();
    batch.put(Column::Tree, vec![0], good);
    for slot in 0..16 {
        batch.delete(Column::Tree, vec![0, slot]);
    }
    store.apply(&batch);
    assert!(matches!(prove(&store, b"x"), Err(Error::Damaged { .. })));
    let change = Change::new(b"x", None);
    let update = update(&store, vec![change], &mut Batch::default());
    assert!(matches!(update, Err(Error::Damaged { .. })));
}

#[test]
fn a_proof_is_refused_for_another_key_value_or_root() {
    let mut store = MemoryStore::default();
    let changes = keys_of(0..100).into_iter().map(|key| (key.clone(), Some(key)));
    let root = apply(&mut store, &changes.collect());
    let (key, absent) = (&7u16.to_be_bytes()[..], &7_000u16.to_be_bytes()[..]);
    let proof = prove(&store, key).unwrap();
    assert!(proof.verify(&root, key, Some(key)));
    assert!(!proof.verify(&root, key, Some(b"other")));
    assert!(!proof.verify(&root, key, None));
    assert!(!proof.verify(&root, absent, None));
    assert!(!proof.verify(&Hash::EMPTY, key, Some(key)));
    let long = Proof { siblings: vec![Hash([0; 32]); 257], leaf: None };
    assert!(!long.verify(&root, key, None));
    // The end of a present key's way, with the entry left out or moved.
    assert!(!Proof { leaf: None, ..proof.clone() }.verify(&root, key, None));
    let mut shorter = proof;
    shorter.siblings.pop();
    assert!(!shorter.verify(&root, key, Some(key)));
}

fn changes() -> impl Strategy<Value = Vec<BTreeMap<Vec<u8>, Option<Vec<u8>>>>> {
    let key = (0u16..200).prop_map(|n| n.to_be_bytes().to_vec());
    let value = prop::option::weighted(0.6, prop::collection::vec(any::<u8>(), 0..3));
    prop::collection::vec(prop::collection::btree_map(key, value, 0..60), 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// After every batch the stored tree has the root of a tree made from scratch, holds the same
    /// pages as one made at once, and proves every key.
    #[test]
    fn the_root_is_a_function_of_the_entries(batches in changes()) {
        let mut store = MemoryStore::default();
        let mut entries = Entries::new();
        for changes in &batches {
            let updated = apply(&mut store, changes);
            for (key, value) in changes {
                match value {
                    Some(value) => entries.insert(key.clone(), value.clone()),
                    None => entries.remove(key),
                };
            }
            prop_assert_eq!(updated, naive_root(&entries));
            prop_assert_eq!(updated, root(&store).unwrap());
            let all = entries.iter().map(|(k, v)| (k.as_slice(), v.as_slice()));
            prop_assert_eq!(updated, root_of(all));
        }
        let mut at_once = MemoryStore::default();
        let all = entries.iter().map(|(k, v)| (k.clone(), Some(v.clone()))).collect();
        let root = apply(&mut at_once, &all);
        prop_assert_eq!(&at_once, &store);
        for key in keys_of(0..200) {
            let proof = prove(&store, &key).unwrap();
            let value = entries.get(&key).map(Vec::as_slice);
            prop_assert!(proof.verify(&root, &key, value));
            prop_assert!(!proof.verify(&root, &key, Some(b"forged")));
            prop_assert_eq!(proof.verify(&root, &key, None), value.is_none());
        }
    }

    #[test]
    fn pages_come_back_from_their_bytes_and_other_bytes_are_refused(
        slots in prop::array::uniform16(prop_oneof![
            Just(Node::Empty),
            any::<[u8; 32]>().prop_map(|hash| Node::Inner(Hash(hash))),
            any::<[[u8; 32]; 2]>().prop_map(|[key, value]| Node::Leaf(Hash(key), Hash(value))),
        ]),
        cut in 1..40_usize,
        foreign in prop::collection::vec(any::<u8>(), 0..700),
    ) {
        let page = Page { slots };
        let bytes = page.encode();
        prop_assert_eq!(Page::decode(&bytes).unwrap(), page);
        prop_assert!(Page::decode(&bytes[..bytes.len().saturating_sub(cut)]).is_err());
        prop_assert!(Page::decode(&[&bytes[..], &[0]].concat()).is_err());
        if let Ok(page) = Page::decode(&foreign) {
            prop_assert_eq!(page.encode(), foreign);
        }
    }
}
