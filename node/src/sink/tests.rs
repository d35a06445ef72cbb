//! The sink against a real server of Debian's packages.

#[path = "../../../testnet/src/story/sink/postgres.rs"]
mod postgres;

use std::collections::BTreeSet;
use std::sync::Arc;

use prost::Message as _;
use tandem_chain::ledger::{Event, Receipt};
use tandem_chain::types::Hash;
use tendermint_proto::v0_38::abci;
use tokio_postgres::{Client, NoTls};

use super::rows::Rows;
use super::writer::{SCHEMA, VERSION, Writer};
use super::*;
use crate::config::Config;
use crate::home::Home;
use crate::storage::BlockResults;
use crate::testing::Chain;
use postgres::Postgres;

/// What a node is told of its server; with the file of the password it reads it as a node does.
fn server(postgres: &Postgres, database: &str) -> Server {
    let mut config = Config::default();
    config.index.psql = postgres.url(database);
    config.index.psql_password_file = postgres.password_file();
    config.validate().unwrap();
    Home::new("/").sink(&config).unwrap().unwrap()
}

async fn client(postgres: &Postgres, database: &str) -> Client {
    let (client, connection) = server(postgres, database).connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

fn started() -> Postgres {
    let mut postgres = Postgres::new().unwrap();
    postgres.start().unwrap();
    postgres
}

/// A chain whose sinks are told of its tip.
struct World {
    chain: Chain,
    tip: watch::Sender<Arc<Tip>>,
}

impl World {
    /// Of this many blocks, each with a transaction of its own.
    fn new(blocks: u64) -> Self {
        let mut chain = Chain::new();
        let create = chain.create(1);
        chain.commit(vec![create]);
        let mut world = Self { tip: watch::Sender::new(chain.tip()), chain };
        world.grow(blocks - 1);
        world
    }

    fn grow(&mut self, blocks: u64) {
        for _ in 0..blocks {
            let nonce = self.chain.db.height().0 + 1;
            let put = self.chain.put(nonce, &format!("key {}", nonce % 7), b"value");
            // This one fails.
            let create = self.chain.create(nonce + 10_000);
            self.chain.commit(vec![put, create]);
        }
        self.tip.send_replace(self.chain.tip());
    }

    fn sink(&self, server: Server) -> Sink {
        let genesis = Arc::new(self.chain.genesis.clone());
        Sink::start(server, genesis, self.chain.db.clone(), self.tip.subscribe())
    }

    /// Waits until a sink is at the tip.
    async fn done(&self, sink: &Sink) {
        let tip = self.chain.db.height();
        drop(sink.figures().wait_for(|figures| figures.height >= Some(tip)).await.unwrap());
    }
}

/// Every event of a height, as the views tell it: whose it is, type, key and value.
type Told = (Option<i32>, String, Option<String>, Option<String>);

fn told(tx: Option<i32>, events: &[Event]) -> impl Iterator<Item = Told> {
    events.iter().flat_map(move |event| {
        event.attributes.iter().map(move |(key, value)| {
            (tx, event.kind.clone(), Some(key.clone()), Some(value.clone()))
        })
    })
}

/// What stands there is what these heights of the chain hold, each once, and nothing else.
async fn is_that_of(client: &Client, chain: &Chain, first: u64) {
    let heights = client.query("SELECT height, chain_id FROM blocks ORDER BY rowid", &[]).await;
    let heights: Vec<(i64, String)> =
        heights.unwrap().iter().map(|row| (row.get(0), row.get(1))).collect();
    let chain_id = chain.genesis.chain_id.to_string();
    let all = first..=chain.db.height().0;
    let expected: Vec<_> = all.clone().map(|h| (h.cast_signed(), chain_id.clone())).collect();
    assert_eq!(heights, expected);
    let (mut txs, mut attributes) = (0, 0);
    for height in all {
        let block = chain.db.block(Height(height)).unwrap().unwrap().block;
        let results = chain.db.results(Height(height)).unwrap().unwrap();
        let hashes = crate::storage::hashes(&block);
        let query = "SELECT index, tx_hash, tx_result FROM tx_results JOIN blocks \
                     ON blocks.rowid = block_id WHERE height = $1 ORDER BY index";
        let rows = client.query(query, &[&height.cast_signed()]).await.unwrap();
        assert_eq!(rows.len(), results.receipts.len());
        for (place, ((row, receipt), hash)) in
            (0..).zip(rows.iter().zip(&results.receipts).zip(hashes))
        {
            assert_eq!(row.get::<_, i32>(0), place);
            assert_eq!(row.get::<_, String>(1), hash.to_string());
            let result = abci::TxResult::decode(row.get::<_, &[u8]>(2)).unwrap();
            assert_eq!(Hash::of(&result.tx), hash);
            assert_eq!(
                (result.height, result.index),
                (height.cast_signed(), place.cast_unsigned())
            );
            let result = result.result.unwrap();
            assert_eq!((result.code, &result.log), (receipt.code, &receipt.log));
            assert_eq!(result.events.len(), receipt.events.len());
        }
        let query = "SELECT NULL::integer, type, key, value FROM block_events WHERE height = $1 \
                     UNION ALL SELECT index, type, key, value FROM tx_events WHERE height = $1";
        let rows = client.query(query, &[&height.cast_signed()]).await.unwrap();
        let mut found: Vec<Told> =
            rows.iter().map(|row| (row.get(0), row.get(1), row.get(2), row.get(3))).collect();
        let own = Event::new("block", [("height", height.to_string())]);
        let mut expected: Vec<Told> =
            told(None, &[own]).chain(told(None, &results.events)).collect();
        for (place, (receipt, hash)) in
            (0..).zip(results.receipts.iter().zip(crate::storage::hashes(&block)))
        {
            let own = [("hash", hash.to_string()), ("height", height.to_string())]
                .map(|attribute| Event::new("tx", [attribute]));
            expected.extend(told(Some(place), &own).chain(told(Some(place), &receipt.events)));
        }
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "height {height}");
        txs += results.receipts.len();
        attributes += found.len();
    }
    let count = async |table: &str| {
        let row = client.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await.unwrap();
        usize::try_from(row.get::<_, i64>(0)).unwrap()
    };
    assert_eq!(count("tx_results").await, txs);
    assert_eq!(count("attributes").await, attributes);
}

// The server is killed beside what the sink does.
#[tokio::test(flavor = "multi_thread")]
async fn every_block_stands_there_once_over_stops_and_kills_of_the_server() {
    let mut world = World::new(20);
    let mut postgres = Postgres::new().unwrap();
    // Down when the node starts.
    let sink = world.sink(server(&postgres, "postgres"));
    drop(sink.figures().wait_for(|figures| figures.failures > 0).await.unwrap());
    postgres.start().unwrap();
    world.done(&sink).await;
    world.grow(5);
    world.done(&sink).await;
    is_that_of(&client(&postgres, "postgres").await, &world.chain, 1).await;

    // Killed while it is idle, and while it is written to.
    let failures = sink.figures().borrow().failures;
    postgres.kill();
    world.grow(5);
    drop(sink.figures().wait_for(|figures| figures.failures > failures).await.unwrap());
    postgres.start().unwrap();
    world.done(&sink).await;
    sink.stop().await;
    world.grow(40);
    for _ in 0..3 {
        let from = world.chain.db.height();
        world.grow(30);
        let sink = world.sink(server(&postgres, "postgres"));
        drop(sink.figures().wait_for(|figures| figures.height > Some(from)).await.unwrap());
        postgres.kill();
        sink.stop().await;
        postgres.start().unwrap();
    }
    let sink = world.sink(server(&postgres, "postgres"));
    world.done(&sink).await;
    sink.stop().await;
    is_that_of(&client(&postgres, "postgres").await, &world.chain, 1).await;
}

#[tokio::test]
async fn of_a_height_that_fails_half_way_nothing_stands_there() {
    let mut world = World::new(3);
    let postgres = started();
    let client = client(&postgres, "postgres").await;
    let sink = world.sink(server(&postgres, "postgres"));
    world.done(&sink).await;
    // The last of the rows of a height is refused.
    let trap = "CREATE FUNCTION trap() RETURNS trigger LANGUAGE plpgsql AS \
                $$ BEGIN RAISE 'a trap'; END $$; \
                CREATE TRIGGER trap BEFORE INSERT ON attributes FOR EACH STATEMENT \
                EXECUTE FUNCTION trap()";
    client.batch_execute(trap).await.unwrap();
    world.grow(2);
    drop(sink.figures().wait_for(|figures| figures.failures > 1).await.unwrap());
    let query = "SELECT (SELECT count(*) FROM blocks), (SELECT count(*) FROM tx_results), \
                 (SELECT count(*) FROM events WHERE type = 'block')";
    let counts = client.query_one(query, &[]).await.unwrap();
    // A liveness record in each block, and what was sent.
    assert_eq!([0, 1, 2].map(|i| counts.get::<_, i64>(i)), [3, 2 + 3 + 3, 3]);
    client.batch_execute("DROP TRIGGER trap ON attributes").await.unwrap();
    world.done(&sink).await;
    is_that_of(&client, &world.chain, 1).await;
    sink.stop().await;
}

#[tokio::test]
async fn several_nodes_write_each_height_once() {
    let mut world = World::new(30);
    let postgres = started();
    // All find no tables, and all begin at the same height.
    let sinks: Vec<Sink> = (0..4).map(|_| world.sink(server(&postgres, "postgres"))).collect();
    for sink in &sinks {
        world.done(sink).await;
    }
    world.grow(20);
    for sink in &sinks {
        world.done(sink).await;
        assert_eq!(sink.figures().borrow().failures, 0);
    }
    for sink in sinks {
        sink.stop().await;
    }
    let client = client(&postgres, "postgres").await;
    is_that_of(&client, &world.chain, 1).await;
    let versions = client.query("SELECT version FROM tandem_schema", &[]).await.unwrap();
    assert_eq!(versions.iter().map(|row| row.get(0)).collect::<Vec<i32>>(), [VERSION]);
}

#[tokio::test]
async fn what_is_gone_before_it_was_written_is_left_out_and_counted() {
    let mut world = World::new(10);
    let postgres = started();
    let sink = world.sink(server(&postgres, "postgres"));
    world.done(&sink).await;
    sink.stop().await;
    world.grow(10);
    world.chain.db.prune(Height(16)).unwrap();
    let sink = world.sink(server(&postgres, "postgres"));
    world.done(&sink).await;
    let figures = *sink.figures().borrow();
    let expected = Figures { height: Some(Height(20)), skipped: 5, failures: 0 };
    assert_eq!(figures, expected);
    sink.stop().await;
    let client = client(&postgres, "postgres").await;
    let query = "SELECT height FROM blocks ORDER BY height";
    let heights: Vec<i64> =
        client.query(query, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    assert_eq!(heights, (1..=10).chain(16..=20).collect::<Vec<_>>());
    let gap = client.query_one("SELECT low, high FROM tandem_gaps", &[]).await.unwrap();
    assert_eq!((gap.get::<_, i64>(0), gap.get::<_, i64>(1)), (11, 15));
}

#[tokio::test]
async fn a_node_fills_the_gap_that_another_left_also_when_it_is_started_anew() {
    let (mut pruned, whole) = (World::new(40), World::new(40));
    let postgres = started();
    // It has but the last ones, and is first.
    pruned.chain.db.prune(Height(31)).unwrap();
    let sink = pruned.sink(server(&postgres, "postgres"));
    pruned.done(&sink).await;
    sink.stop().await;
    // The other is stopped on its way, and begins again in another process.
    let sink = whole.sink(server(&postgres, "postgres"));
    drop(sink.figures().wait_for(|figures| figures.height >= Some(Height(5))).await.unwrap());
    sink.stop().await;
    let sink = whole.sink(server(&postgres, "postgres"));
    whole.done(&sink).await;
    assert_eq!(sink.figures().borrow().skipped, 0);
    sink.stop().await;
    let client = client(&postgres, "postgres").await;
    let query = "SELECT height FROM blocks ORDER BY height";
    let rows = client.query(query, &[]).await.unwrap();
    let heights: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(heights, (1..=40).collect::<Vec<_>>());
    assert!(client.query("SELECT * FROM tandem_gaps", &[]).await.unwrap().is_empty());
    // The one that lacks them leaves them.
    pruned.grow(1);
    let sink = pruned.sink(server(&postgres, "postgres"));
    pruned.done(&sink).await;
    let figures = *sink.figures().borrow();
    assert_eq!(figures, Figures { height: Some(Height(41)), skipped: 0, failures: 0 });
    sink.stop().await;
}

#[tokio::test]
async fn a_node_that_has_a_part_of_a_gap_leaves_the_rest() {
    let (mut last, mut some) = (World::new(40), World::new(40));
    let postgres = started();
    last.chain.db.prune(Height(31)).unwrap();
    some.chain.db.prune(Height(11)).unwrap();
    for world in [&mut last, &mut some] {
        let sink = world.sink(server(&postgres, "postgres"));
        world.done(&sink).await;
        sink.stop().await;
    }
    let client = client(&postgres, "postgres").await;
    let gap = client.query_one("SELECT low, high FROM tandem_gaps", &[]).await.unwrap();
    assert_eq!((gap.get::<_, i64>(0), gap.get::<_, i64>(1)), (1, 10));
    let count = client.query_one("SELECT count(*), min(height) FROM blocks", &[]).await.unwrap();
    assert_eq!((count.get::<_, i64>(0), count.get::<_, i64>(1)), (30, 11));
}

#[tokio::test]
async fn tables_of_other_types_are_an_error_and_no_panic() {
    let postgres = started();
    let admin = client(&postgres, "postgres").await;
    let world = World::new(3);
    for (database, change) in [
        ("numbers", "ALTER TABLE blocks ALTER height TYPE NUMERIC"),
        ("versions", "ALTER TABLE tandem_schema ALTER version TYPE TEXT"),
        (
            "triggers",
            "CREATE FUNCTION shift() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN NEW.index := NEW.index + 7; RETURN NEW; END $$; \
             CREATE TRIGGER shift BEFORE INSERT ON tx_results FOR EACH ROW EXECUTE FUNCTION shift()",
        ),
    ] {
        admin.batch_execute(&format!("CREATE DATABASE {database}")).await.unwrap();
        let other = client(&postgres, database).await;
        other.batch_execute(SCHEMA).await.unwrap();
        // The views are in the way of other types, and nothing here needs them.
        let views = "DROP VIEW tx_events; DROP VIEW block_events; DROP VIEW event_attributes";
        other.batch_execute(views).await.unwrap();
        other.batch_execute(change).await.unwrap();
        let sink = world.sink(server(&postgres, database));
        drop(sink.figures().wait_for(|figures| figures.failures > 0).await.unwrap());
        sink.stop().await;
    }
}

#[tokio::test]
async fn texts_come_back_as_they_were_but_for_nul() {
    let postgres = started();
    let mut chain = Chain::new();
    let create = chain.create(1);
    let block = chain.commit(vec![create]).block;
    let long = "x".repeat(100_000);
    let values = [
        "",
        "a\0b",
        "\0",
        "'; DROP TABLE blocks; --",
        "\\x00",
        "{1,NULL}",
        "é🦀\u{1b}",
        long.as_str(),
    ];
    let event = |value: &&str| Event::new("kind\0", [("key\0", (*value).to_owned())]);
    let mut events: Vec<Event> = values.iter().map(event).collect();
    events.push(Event::new("bare", []));
    let receipt = Receipt { events: events.clone(), ..Receipt::default() };
    let results = BlockResults { receipts: vec![Receipt::default(), receipt], events };
    let rows = Rows::new(&block.block, &results);
    let mut writer =
        Writer::new(client(&postgres, "postgres").await, &chain.genesis).await.unwrap();
    writer.write(&rows, None).await.unwrap();
    assert_eq!(writer.standing(Height(1)).await.unwrap().highest, Height(1));

    let client = client(&postgres, "postgres").await;
    let all = "SELECT tx_id IS NULL, type, key, composite_key, value FROM events LEFT JOIN attributes \
               ON rowid = event_id WHERE type NOT IN ('block', 'tx') ORDER BY rowid";
    let found: Vec<(bool, String, Option<String>, Option<String>, Option<String>)> = client
        .query(all, &[])
        .await
        .unwrap()
        .iter()
        .map(|row| (row.get(0), row.get(1), row.get(2), row.get(3), row.get(4)))
        .collect();
    let expected = [true, false].into_iter().flat_map(|of_block| {
        let kind = "kind\u{fffd}".to_owned();
        let of = values.iter().map(move |value| {
            let value = value.replace('\0', "\u{fffd}");
            let composite = format!("{kind}.key\u{fffd}");
            (of_block, kind.clone(), Some("key\u{fffd}".to_owned()), Some(composite), Some(value))
        });
        of.chain([(of_block, "bare".to_owned(), None, None, None)])
    });
    assert_eq!(found, expected.collect::<Vec<_>>());
    // As they were, they stand in the result.
    let row =
        client.query_one("SELECT tx_result FROM tx_results WHERE index = 1", &[]).await.unwrap();
    let result = abci::TxResult::decode(row.get::<_, &[u8]>(0)).unwrap().result.unwrap();
    let exact: BTreeSet<&str> = result
        .events
        .iter()
        .flat_map(|event| &event.attributes)
        .map(|a| a.value.as_str())
        .collect();
    assert_eq!(exact, BTreeSet::from(values));
}

#[tokio::test]
async fn what_a_database_lacks_is_named() {
    let postgres = started();
    let admin = client(&postgres, "postgres").await;
    let genesis = crate::testing::genesis();
    for create in [
        "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0",
        "CREATE DATABASE newer",
        "CREATE DATABASE made",
        "CREATE ROLE writer LOGIN PASSWORD 'a password for tests'",
        "CREATE DATABASE closed",
    ] {
        admin.batch_execute(create).await.unwrap();
    }
    let refused = async |client| {
        Writer::new(client, &genesis).await.err().expect("it is refused").to_string()
    };
    let error = refused(client(&postgres, "latin").await).await;
    assert!(error.contains("LATIN1") && error.contains("UTF8"), "{error}");

    let newer = client(&postgres, "newer").await;
    newer.batch_execute(SCHEMA).await.unwrap();
    newer.batch_execute("UPDATE tandem_schema SET version = 3").await.unwrap();
    let error = refused(newer).await;
    assert!(error.contains("version 3") && error.contains("newer node"), "{error}");

    // Tables that are there, as of CometBFT's schema, are taken as they are.
    let made = client(&postgres, "made").await;
    made.batch_execute(SCHEMA).await.unwrap();
    made.batch_execute(
        "INSERT INTO blocks VALUES (7, 7, 'other', now()); DROP TABLE tandem_schema",
    )
    .await
    .unwrap();
    let writer = Writer::new(made, &genesis).await.unwrap();
    assert_eq!(writer.standing(Height(1)).await.unwrap().highest, Height::ZERO);

    // Whoever may not make tables is told so, and writes to those that were made for it.
    let writer = async || {
        let (client, connection) =
            server(&postgres, "closed").user("writer").connect(NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    };
    let error = refused(writer().await).await;
    assert!(error.contains("permission denied for schema public"), "{error}");
    let closed = client(&postgres, "closed").await;
    closed.batch_execute(SCHEMA).await.unwrap();
    let grant = "GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO writer; \
                 GRANT DELETE ON tandem_gaps TO writer; GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO writer";
    closed.batch_execute(grant).await.unwrap();
    let mut chain = Chain::new();
    let block = chain.commit(Vec::new()).block;
    let results = chain.db.results(Height(1)).unwrap().unwrap();
    let mut writer = Writer::new(writer().await, &genesis).await.unwrap();
    writer.write(&Rows::new(&block.block, &results), None).await.unwrap();
    is_that_of(&closed, &chain, 1).await;

    // A chain of the same name with another beginning.
    closed.batch_execute("UPDATE tandem_chains SET genesis = 'another'").await.unwrap();
    let error = refused(client(&postgres, "closed").await).await;
    assert!(error.contains("genesis another") && error.contains("of its own"), "{error}");

    let mut wrong = server(&postgres, "postgres");
    let Err(error) = wrong.password("wrong").connect(NoTls).await else { panic!("it is let in") };
    let error = error::SinkError::from(error).to_string();
    assert!(error.contains("password authentication failed"), "{error}");
}
