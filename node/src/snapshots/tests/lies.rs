//! Chunks and manifests that are not what they must be, from peers: each such peer is asked no more, nothing
//! of it is written, and the snapshot comes from another.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures::future::join_all;
use tandem_chain::codec;
use tandem_chain::keys::SecretKey;
use tandem_chain::limits::MAX_CHUNK_ENTRIES;
use tandem_chain::snapshot::Manifest;

use super::fetch::{Rounds, fetch, keys, serve, serve_from};
use super::*;
use crate::snapshots::wire::{Offer, Offers, Question};

/// What is sent in the place of the chunk of an index, compressed.
type Packed = Box<dyn Fn(u32) -> Vec<u8> + Send + Sync>;

/// A chunk that is none of its place.
pub(super) struct Lie {
    pub name: &'static str,
    /// What is said of it.
    pub words: &'static str,
    /// The chunk.
    pub packed: Packed,
}

/// Every way in which a chunk can be wrong.
pub(super) fn chunks(snapped: &Snapped) -> Vec<Lie> {
    let all = snapped.folder.chunks();
    let chunks: Vec<Chunk> = (0..all).map(|i| snapped.folder.chunk(i).unwrap()).collect();
    let chunks = Arc::new(chunks);
    let other = of_another_chain();
    let lie = |name, words, packed: Packed| Lie { name, words, packed };
    // The one of an index, changed.
    let of = |change: fn(&Chunk) -> Vec<u8>| -> Packed {
        let chunks = Arc::clone(&chunks);
        Box::new(move |index| change(&chunks[index as usize]))
    };
    // Another one.
    let at = |by: u32| -> Packed {
        let chunks = Arc::clone(&chunks);
        Box::new(move |index| pack(&chunks[((index + by) % all) as usize]))
    };
    let small = |i: usize| Item { key: i.to_be_bytes().to_vec(), value: Vec::new() };
    let many = pack(&Chunk::new((0..=MAX_CHUNK_ENTRIES).map(small).collect()));
    let large = pack(&Chunk::new(vec![Item { value: vec![7; MAX_CHUNK_BYTES], ..small(0) }]));
    vec![
        lie(
            "cut",
            "cannot be decoded",
            of(|chunk| {
                let mut packed = pack(chunk);
                packed.truncate(packed.len() / 2);
                packed
            }),
        ),
        lie(
            "with a byte behind it",
            "cannot be decoded",
            of(|chunk| [pack(chunk), vec![0]].concat()),
        ),
        lie(
            "changed",
            "other entries than its tile",
            of(|chunk| {
                let mut items = chunk.items().to_vec();
                let item = items.iter_mut().find(|item| !item.value.is_empty()).unwrap();
                item.value[0] ^= 1;
                pack(&Chunk::new(items))
            }),
        ),
        lie(
            "without an entry",
            "other entries than its tile",
            of(|chunk| pack(&Chunk::new(chunk.items()[1..].to_vec()))),
        ),
        lie(
            "with an entry twice",
            "not in order, once each",
            of(|chunk| {
                let items = chunk.items();
                pack(&Chunk::new([items, &items[..1]].concat()))
            }),
        ),
        lie("empty", "other entries than its tile", Box::new(|_| pack(&Chunk::default()))),
        lie("swapped with the next", "an entry of another one", at(1)),
        lie("the one before, repeated", "an entry of another one", at(all - 1)),
        lie("too large", "at most 4194304 are allowed", Box::new(move |_| large.clone())),
        lie("of too many entries", "at most 65536 items", Box::new(move |_| many.clone())),
        lie("of another chain", "a chunk has", Box::new(move |_| other.clone())),
    ]
}

/// The only chunk of a short chain with other records.
fn of_another_chain() -> Vec<u8> {
    let mut chain = Chain::new();
    chain.commit(vec![chain.create(1)]);
    chain.commit(vec![chain.put(2, "of another", b"chain")]);
    let shelf = Shelf::new(chain.home.snapshots_path(), None);
    chain.snapshot(&shelf);
    let folder = shelf.open(Height(2)).unwrap();
    assert_eq!(folder.chunks(), 1);
    pack(&folder.chunk(0).unwrap())
}

/// Waits until a peer that lies has been asked and two rounds of questions more have been: it was asked for
/// three chunks at once, and at most for one more after each, while what it had sent was checked; nothing of it
/// is written. With it is one that gives no chunk.
async fn is_asked_no_more(
    snapped: &Snapped,
    name: &str,
    lie: impl Fn(u32) -> Vec<u8> + Send + Sync + 'static,
) {
    let [silent, liar] = keys();
    let (rounds, asked) = (Rounds::default(), Arc::new(AtomicU32::new(0)));
    let (seen, count) = (rounds.clone(), Arc::clone(&asked));
    let (one, _served) = serve(snapped, &silent, move |question, answer| {
        if matches!(question, Question::Chunk(..)) {
            return None;
        }
        seen.count(question);
        Some(answer)
    })
    .await;
    let (two, _lied) = serve(snapped, &liar, move |question, answer| match question {
        Question::Chunk(_, index) => {
            count.fetch_add(1, Ordering::Relaxed);
            Some(lie(*index))
        }
        _ => Some(answer),
    })
    .await;
    let db = Target::new(snapped, &name.replace(' ', "-")).open();
    let servers = [(silent, &one), (liar, &two)];
    tokio::select! {
        ended = fetch(snapped, db.clone(), &servers, None, 60) => panic!("{name}: {ended:?}"),
        () = rounds.reach(5) => {}
    }
    let asked = asked.load(Ordering::Relaxed);
    assert!((1..=6).contains(&asked), "{name}: {asked}");
    let begun = db.restoring().unwrap().expect("it has begun");
    assert_eq!(db.missing_chunks(&begun).unwrap().len(), begun.manifest.tiles().len(), "{name}");
    assert!(entries(&db, Column::State).is_empty(), "{name}: nothing of it is written");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_a_wrong_chunk_is_asked_no_more_and_nothing_of_it_is_written() {
    let snapped = snapped();
    let lies = chunks(&snapped);
    join_all(
        lies.into_iter().map(|Lie { name, packed, .. }| is_asked_no_more(&snapped, name, packed)),
    )
    .await;
}

/// The bytes of a manifest, changed.
type Change = fn(&Manifest) -> Vec<u8>;

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_a_wrong_manifest_is_asked_no_more_and_the_snapshot_comes_from_another() {
    let mut snapped = snapped();
    // A newer one, so that it is asked for first.
    let newer = Shelf::new(snapped.dir.path().join("newer"), None);
    snapped.chain.snapshot(&newer);
    let right = newer.open(Height(10)).unwrap().manifest().clone();
    let older = snapped.folder.manifest().clone();
    let cases: [(&str, Change); 4] = [
        ("bytes that are none", |_| vec![0xff; 100]),
        ("cut", |manifest| {
            let mut bytes = manifest.encode();
            bytes.pop();
            bytes
        }),
        ("of another chain", |manifest| {
            let (height, root) = (manifest.height(), manifest.app_hash());
            let chain_id = "another".parse().unwrap();
            Manifest::new(chain_id, height, root, manifest.tiles().to_vec()).unwrap().encode()
        }),
        ("of another height", |manifest| {
            let (id, root) = (manifest.chain_id().clone(), manifest.app_hash());
            Manifest::new(id, Height(11), root, manifest.tiles().to_vec()).unwrap().encode()
        }),
    ];
    let changed = cases.map(|(name, change)| (name, change(&right), 0));
    // The state of another height in this one's name: it is whole, and no certificate is for it.
    let tiles = older.tiles().to_vec();
    let state =
        Manifest::new(older.chain_id().clone(), Height(10), older.app_hash(), tiles).unwrap();
    let others = [
        ("of another state than the certified one", state.encode(), 0),
        ("of another number of chunks than offered", right.encode(), 1),
    ];
    let chunks = right.tiles().len();
    let (snapped, newer) = (&snapped, &newer);
    let expected = &state_of_the_folder(snapped);
    join_all(changed.into_iter().chain(others).map(|(name, bytes, more)| async move {
        let offer = Offer {
            height: Height(10),
            manifest: Hash::of(&bytes),
            chunks: u32::try_from(chunks).unwrap() + more,
        };
        let db = Target::new(snapped, &name.replace(' ', "-")).open();
        let asked = lying_manifest(snapped, newer, db.clone(), offer, bytes).await;
        assert_eq!(asked, 1, "{name}");
        assert_eq!(db.height(), Height(9), "{name}: the other's is restored");
        assert!(entries(&db, Column::State) == *expected, "{name}");
    }))
    .await;
}

/// The state that the snapshot's own folder gives.
fn state_of_the_folder(snapped: &Snapped) -> Vec<Entry> {
    let db = Target::new(snapped, "by-files").open();
    let restore = begin(snapped, db.clone());
    for index in restore.missing().unwrap() {
        restore.put(index, &snapped.folder.chunk(index).unwrap()).unwrap();
    }
    restore.finish(&snapped.chain.genesis, snapped.folder.block()).unwrap();
    entries(&db, Column::State)
}

/// Restores from one that is honest and one that offers this; how often that was asked for its manifest.
async fn lying_manifest(
    snapped: &Snapped,
    newer: &Shelf,
    db: Database,
    offer: Offer,
    bytes: Vec<u8>,
) -> u32 {
    let [honest, liar]: [SecretKey; 2] = keys();
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let (one, _served) = serve(snapped, &honest, |_, answer| Some(answer)).await;
    let (two, _lied) =
        serve_from(snapped, newer.clone(), &liar, move |question, answer| match question {
            Question::List => Some(codec::encode(&Offers(vec![offer]))),
            Question::Manifest(hash) if *hash == offer.manifest => {
                count.fetch_add(1, Ordering::Relaxed);
                Some(bytes.clone())
            }
            _ => Some(answer),
        })
        .await;
    let ended = fetch(snapped, db, &[(honest, &one), (liar, &two)], None, 60).await;
    assert_eq!(ended.unwrap(), crate::snapshots::Ended::Restored(Height(9)));
    asked.load(Ordering::Relaxed)
}
