//! Restoring through the network, from peers some of which lie, stop, or have nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tandem_chain::codec;
use tandem_chain::keys::{PublicKey, SecretKey};
use tandem_chain::snapshot::Chunk;
use tandem_chain::types::{Hash, Height};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{PERIOD, Snapped, Target, check_restored, now, snapped};
use crate::driver::wire as blocks;
use crate::network::{Events, Network, NetworkEvent};
use crate::snapshots::wire::{self, Question};
use crate::snapshots::{Ended, Fetch, Server, Shelf, SnapshotError, TrustedBlock, pack};
use crate::storage::Database;
use crate::testing;

type Answer = dyn Fn(&Question, Vec<u8>) -> Option<Vec<u8>> + Send + Sync;

/// How often a peer was asked for its snapshots, with which each round of questions begins.
#[derive(Clone)]
pub(super) struct Rounds(watch::Sender<u32>);

impl Default for Rounds {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

impl Rounds {
    pub(super) fn count(&self, question: &Question) {
        self.0.send_modify(|count| *count += u32::from(matches!(question, Question::List)));
    }

    pub(super) async fn reach(&self, count: u32) {
        self.0.subscribe().wait_for(|seen| *seen >= count).await.unwrap();
    }
}

/// A node that answers from a snapshot; `change` may answer something else, or nothing.
pub(super) async fn serve(
    snapped: &Snapped,
    secret: &SecretKey,
    change: impl Fn(&Question, Vec<u8>) -> Option<Vec<u8>> + Send + Sync + 'static,
) -> (Network, JoinHandle<()>) {
    serve_from(snapped, snapped.shelf.clone(), secret, change).await
}

/// The same, from another shelf.
pub(super) async fn serve_from(
    snapped: &Snapped,
    shelf: Shelf,
    secret: &SecretKey,
    change: impl Fn(&Question, Vec<u8>) -> Option<Vec<u8>> + Send + Sync + 'static,
) -> (Network, JoinHandle<()>) {
    let (network, events) = start(snapped, secret).await;
    let genesis = Arc::new(snapped.chain.genesis.clone());
    let server = Server::new(genesis, shelf);
    let (db, change): (_, Arc<Answer>) = (snapped.chain.db.clone(), Arc::new(change));
    (network, tokio::spawn(answer(events, db, server, change)))
}

async fn answer(mut events: Events, db: Database, server: Server, change: Arc<Answer>) {
    while let Some(event) = events.recv().await {
        let NetworkEvent::Request { bytes, reply, .. } = event else { continue };
        if let Ok(blocks::Question { first, .. }) = blocks::Question::decode(&bytes) {
            let blocks = db.block(first).unwrap().into_iter().collect();
            let lowest = db.first_height();
            let _ = reply.send(codec::encode(&blocks::Answer { blocks, lowest }));
            continue;
        }
        let question = Question::decode(&bytes).unwrap();
        if let Some(answer) = change(&question, server.answer(&db, question).unwrap()) {
            let _ = reply.send(answer);
        }
    }
}

async fn start(snapped: &Snapped, secret: &SecretKey) -> (Network, Events) {
    let config = testing::network_config(secret.clone(), &snapped.chain.genesis);
    Network::start(config).await.unwrap()
}

/// Links a new node with the others and has it restore; how that ended.
pub(super) async fn fetch(
    snapped: &Snapped,
    db: Database,
    servers: &[(SecretKey, &Network)],
    trust: Option<TrustedBlock>,
    patience_s: u64,
) -> Result<Ended, SnapshotError> {
    let me = testing::standby(0);
    let (network, mut events) = start(snapped, &me).await;
    for (_, server) in servers {
        server.set_peers([(me.public(), vec![network.listening().to_string()])].into());
    }
    let peers: BTreeMap<PublicKey, Vec<String>> = servers
        .iter()
        .map(|(key, server)| (key.public(), vec![server.listening().to_string()]))
        .collect();
    network.set_peers(peers);
    let mut linked = 0;
    while linked < servers.len() {
        if let Some(NetworkEvent::Connected(_)) = events.recv().await {
            linked += 1;
        }
    }
    let drain = tokio::spawn(async move { while events.recv().await.is_some() {} });
    let fetch = Fetch {
        db,
        genesis: Arc::new(snapped.chain.genesis.clone()),
        network: network.clone(),
        trust,
        period: PERIOD,
        patience: Duration::from_secs(patience_s),
        clock: now,
    };
    let ended = tokio::time::timeout(Duration::from_secs(120), fetch.run()).await;
    network.shutdown().await;
    drain.abort();
    ended.expect("in time")
}

/// A new node's database, which has come to the snapshot's height by these.
async fn restored(
    snapped: &Snapped,
    servers: &[(SecretKey, &Network)],
    trust: Option<TrustedBlock>,
    patience_s: u64,
) -> Database {
    let db = Target::new(snapped, "target").open();
    let ended = fetch(snapped, db.clone(), servers, trust, patience_s).await;
    assert_eq!(ended.unwrap(), Ended::Restored(Height(9)));
    assert_eq!(db.height(), Height(9));
    db
}

pub(super) fn keys() -> [SecretKey; 2] {
    [testing::validator(0), testing::validator(1)]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_restores_from_peers_though_one_lies_about_chunks() {
    let snapped = snapped();
    let [honest, liar] = keys();
    let (one, _served) = serve(&snapped, &honest, |_, answer| Some(answer)).await;
    let (two, _lied) = serve(&snapped, &liar, |question, answer| match question {
        Question::Chunk(..) => Some(pack(&Chunk::default())),
        _ => Some(answer),
    })
    .await;
    let db = restored(&snapped, &[(honest, &one), (liar, &two)], None, 60).await;
    check_restored(&snapped, &db);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_that_nobody_signed_and_a_false_manifest_are_not_believed() {
    let snapped = snapped();
    let [honest, liar] = keys();
    let (one, _served) = serve(&snapped, &honest, |_, answer| Some(answer)).await;
    // It offers a newer state, which no certificate is for.
    let (two, _lied) = serve(&snapped, &liar, |question, answer| match question {
        Question::List => {
            let (height, manifest) = (Height(20), Hash([5; 32]));
            let offer = wire::Offer { height, manifest, chunks: 1 };
            Some(codec::encode(&wire::Offers(vec![offer])))
        }
        Question::Light(height) => {
            let mut light = wire::decode_light(&answer).ok()?;
            light.header.height = *height;
            light.header.app_hash = Hash([5; 32]);
            Some(codec::encode(&light))
        }
        _ => Some(answer),
    })
    .await;
    let db = restored(&snapped, &[(honest, &one), (liar, &two)], None, 60).await;
    check_restored(&snapped, &db);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_stops_half_way_is_resumed_from_with_another() {
    let snapped = snapped();
    let [one, other] = keys();
    let rounds = Rounds::default();
    let seen = rounds.clone();
    let (first, _served) = serve(&snapped, &one, move |question, answer| match question {
        Question::Chunk(_, index) if *index > 0 => None,
        _ => {
            seen.count(question);
            Some(answer)
        }
    })
    .await;
    let target = Target::new(&snapped, "target");
    let db = target.open();
    // The first alone has a part, and no more comes: what it gave in one round is there in the next but one.
    let servers = [(one, &first)];
    tokio::select! {
        ended = fetch(&snapped, db.clone(), &servers, None, 60) => panic!("{ended:?}"),
        () = rounds.reach(3) => {}
    }
    drop(first);
    let begun = db.restoring().unwrap().expect("it has begun");
    assert!(!db.missing_chunks(&begun).unwrap().contains(&0));
    let (second, _serves) = serve(&snapped, &other, |question, answer| match question {
        // What is there already is not asked for again.
        Question::Chunk(_, 0) => panic!("chunk 0 is there"),
        _ => Some(answer),
    })
    .await;
    let ended = fetch(&snapped, db.clone(), &[(other, &second)], None, 60).await;
    assert_eq!(ended.unwrap(), Ended::Restored(Height(9)));
    check_restored(&snapped, &db);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_there_is_nothing_to_restore_nothing_changes() {
    let snapped = snapped();
    let [one, _] = keys();
    let none = codec::encode(&wire::Offers::default());
    let (network, _served) = serve(&snapped, &one, move |question, answer| match question {
        Question::List => Some(none.clone()),
        _ => Some(answer),
    })
    .await;
    let db = Target::new(&snapped, "target").open();
    let servers = [(one, &network)];
    let ended = fetch(&snapped, db.clone(), &servers, None, 1).await.unwrap();
    assert_eq!((ended, db.restoring().unwrap()), (Ended::Nothing, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_block_leads_to_the_snapshot_below_it_and_a_wrong_one_to_none() {
    let mut snapped = snapped();
    let newest = (0..5).map(|_| snapped.chain.commit(Vec::new())).last().unwrap();
    let (height, hash) = (newest.tip.height, newest.block.block.id());
    let [one, _] = keys();
    let (network, _served) = serve(&snapped, &one, |_, answer| Some(answer)).await;
    let servers = [(one, &network)];
    let db = Target::new(&snapped, "wrong").open();
    let wrong = Some(TrustedBlock { height, hash: Hash([1; 32]) });
    let refused = fetch(&snapped, db.clone(), &servers, wrong, 1).await.unwrap_err();
    assert!(refused.to_string().contains("another block than the one with the hash"), "{refused}");
    assert!(db.restoring().unwrap().is_none());
    restored(&snapped, &servers, Some(TrustedBlock { height, hash }), 60).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_nobody_answers_what_was_begun_is_not_given_up() {
    let snapped = snapped();
    let [one, _] = keys();
    let rounds = Rounds::default();
    let seen = rounds.clone();
    let (silent, _served) = serve(&snapped, &one, move |question, _| {
        seen.count(question);
        None
    })
    .await;
    let target = Target::new(&snapped, "target");
    let db = target.open();
    drop(super::begin(&snapped, db.clone()));
    // With a pause after each of them, these take longer than it waits where peers answer that they have
    // nothing.
    let servers = [(one.clone(), &silent)];
    let waits = fetch(&snapped, db.clone(), &servers, None, 1);
    tokio::select! {
        ended = waits => panic!("{ended:?}"),
        () = rounds.reach(5) => {}
    }
    drop(silent);
    assert!(db.restoring().unwrap().is_some());
    // Where they answer, and have nothing, it is given up.
    let [_, other] = keys();
    let none = codec::encode(&wire::Offers::default());
    let (empty, _serves) = serve(&snapped, &other, move |question, answer| match question {
        Question::List => Some(none.clone()),
        _ => Some(answer),
    })
    .await;
    let ended = fetch(&snapped, db.clone(), &[(other, &empty)], None, 1).await.unwrap();
    assert_eq!((ended, db.restoring().unwrap()), (Ended::Nothing, None));
    assert_eq!(db.height(), Height::ZERO);
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_that_are_offered_and_not_given_hold_up_a_node_once() {
    let mut snapped = snapped();
    let newer = Shelf::new(snapped.dir.path().join("newer"), None);
    for _ in 0..2 {
        snapped.chain.snapshot(&newer);
    }
    let [honest, liar] = keys();
    let (one, _served) = serve(&snapped, &honest, |_, answer| Some(answer)).await;
    // Two newer ones, so that there is always another of them; the same often, as if many had it.
    let (two, _lied) = serve_from(&snapped, newer, &liar, |question, answer| match question {
        Question::List => {
            let wire::Offers(mut offers) = wire::Offers::decode(&answer).unwrap();
            offers.extend([offers[0]; 4]);
            Some(codec::encode(&wire::Offers(offers)))
        }
        Question::Chunk(..) => Some(Vec::new()),
        _ => Some(answer),
    })
    .await;
    restored(&snapped, &[(honest, &one), (liar, &two)], None, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_does_not_answer_is_not_waited_for_at_every_header() {
    let mut snapped = snapped();
    let newest = (0..5).map(|_| snapped.chain.commit(Vec::new())).last().unwrap();
    let trust = TrustedBlock { height: newest.tip.height, hash: newest.block.block.id() };
    let mut keys = keys();
    keys.sort_by_key(SecretKey::public);
    let [silent, honest] = keys;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let (one, _silent) = serve(&snapped, &silent, move |question, _| {
        count.fetch_add(usize::from(matches!(question, Question::Light(_))), Ordering::Relaxed);
        None
    })
    .await;
    let (two, _served) = serve(&snapped, &honest, |_, answer| Some(answer)).await;
    restored(&snapped, &[(silent, &one), (honest, &two)], Some(trust), 60).await;
    assert!(asked.load(Ordering::Relaxed) <= 1, "{asked:?} of 6 headers were asked of it");
}
