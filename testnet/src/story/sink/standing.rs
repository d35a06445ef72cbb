//! What stands in a PostgreSQL, compared with what a node tells of the chain.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::Message as _;
use serde::Deserialize;
use serde_json::json;
use tandem_chain::types::{Hash, Height, TxHash};
use tendermint_proto::v0_38::abci;
use tokio_postgres::{Client, Row};

use super::super::scene::SOON;
use crate::network::Network;
use crate::rpc::Rpc;
use crate::until::until;

/// How much stands there, all of it as it must be.
#[derive(Debug, Default)]
pub struct Standing {
    /// Blocks.
    pub blocks: u64,
    /// Transactions, liveness records among them.
    pub txs: u64,
    /// Events of transactions and blocks, with those that tell hashes and heights.
    pub events: u64,
    /// Heights at which each transaction stands.
    pub by_hash: HashMap<TxHash, Vec<Height>>,
    attributes: u64,
}

/// An event: place of the transaction, type, attributes.
type Event = (Option<i32>, String, BTreeMap<String, String>);

/// A transaction: place, hash, bytes, result.
#[derive(Debug, PartialEq)]
struct Tx {
    index: i32,
    hash: String,
    bytes: Vec<u8>,
    result: TxResult,
}

/// As RPC tells it.
#[derive(Debug, PartialEq, Deserialize)]
struct TxResult {
    code: u32,
    data: Option<String>,
    log: String,
    codespace: String,
    events: Vec<RpcEvent>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct RpcEvent {
    #[serde(rename = "type")]
    kind: String,
    attributes: Vec<Attribute>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Attribute {
    key: String,
    value: String,
}

impl Standing {
    /// Compares all that stands there at one moment.
    ///
    /// # Errors
    /// When something lacks, stands there twice, differs, or is not in the chain.
    pub async fn compare(client: &Client, network: &Network, source: &str) -> Result<Self> {
        // So that the many queries below find their way.
        client.batch_execute("ANALYZE").await?;
        // Of one moment, while nodes write on.
        client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        let rows = client.query("SELECT height, chain_id FROM blocks ORDER BY height", &[]).await?;
        let (rpc, chain_id) = (network.rpc(source), &network.layout().chain_id);
        let tip = Height(rows.len() as u64);
        until("the node has these blocks", SOON, || async {
            let height = rpc.height().await?;
            ensure!(height >= tip, "it is at height {height} of {tip}");
            Ok(())
        })
        .await?;
        let mut standing = Self { blocks: tip.0, ..Self::default() };
        for (height, row) in (1..).zip(rows) {
            ensure!(row.get::<_, i64>(0) == height, "where height {height} belongs stands another");
            ensure!(row.get::<_, &str>(1) == chain_id.as_str(), "{height} is of another chain");
            let compared = standing.block(client, rpc, height).await;
            compared.with_context(|| format!("block {height} in PostgreSQL"))?;
        }
        let counts = [
            ("tx_results", standing.txs),
            ("events", standing.events),
            ("attributes", standing.attributes),
        ];
        for (table, expected) in counts {
            let query = format!("SELECT count(*) FROM {table}");
            let found: i64 = client.query_one(&query, &[]).await?.get(0);
            ensure!(
                found == i64::try_from(expected)?,
                "{found} rows stand in {table}, the chain gives {expected}"
            );
        }
        Ok(standing)
    }

    async fn block(&mut self, client: &Client, rpc: &Rpc, height: i64) -> Result<()> {
        let (txs, events) = of_chain(rpc, height).await?;
        let query = "SELECT index, tx_hash, tx_result FROM blocks JOIN tx_results ON \
                     block_id = blocks.rowid WHERE height = $1 ORDER BY index";
        let rows = client.query(query, &[&height]).await?;
        let found: Vec<Tx> = rows.iter().map(|row| tx(row, height)).collect::<Result<_>>()?;
        same("transaction", &found, &txs)?;
        let query = "SELECT events.rowid, index, type, key, value, composite_key = type || '.' || key \
                     FROM blocks JOIN events ON events.block_id = blocks.rowid \
                     LEFT JOIN tx_results ON tx_results.rowid = tx_id \
                     LEFT JOIN attributes ON event_id = events.rowid \
                     WHERE height = $1 ORDER BY events.rowid";
        let mut found: Vec<(i64, Event)> = Vec::new();
        for row in client.query(query, &[&height]).await? {
            let id: i64 = row.get(0);
            if found.last().is_none_or(|(last, _)| *last != id) {
                found.push((id, (row.get(1), row.get(2), BTreeMap::new())));
            }
            let Some(key) = row.get::<_, Option<String>>(3) else { continue };
            ensure!(row.get::<_, bool>(5), "attribute {key} is composed otherwise");
            let attributes = found.last_mut().map(|(_, (_, _, attributes))| attributes);
            attributes.context("an event was added")?.insert(key, row.get(4));
            self.attributes += 1;
        }
        let found: Vec<Event> = found.into_iter().map(|(_, event)| event).collect();
        same("event", &found, &events)?;
        let height = Height(u64::try_from(height)?);
        for tx in &txs {
            self.by_hash.entry(tx.hash.parse()?).or_default().push(height);
        }
        self.txs += txs.len() as u64;
        self.events += events.len() as u64;
        Ok(())
    }
}

/// Checks that two lists are the same.
fn same<T: PartialEq + Debug>(what: &str, found: &[T], expected: &[T]) -> Result<()> {
    for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
        ensure!(found == expected, "{what} {place} is\n{found:?}, the chain has\n{expected:?}");
    }
    let (found, expected) = (found.len(), expected.len());
    ensure!(found == expected, "{found} of {expected} stand there: {what}s");
    Ok(())
}

/// A row of `tx_results`, whose message must tell the same height and place.
fn tx(row: &Row, height: i64) -> Result<Tx> {
    let index: i32 = row.get(0);
    let message = abci::TxResult::decode(row.get::<_, &[u8]>(2))?;
    let told = (message.height, i32::try_from(message.index)?);
    ensure!(told == (height, index), "the message at {index} is about {told:?}");
    let result = message.result.context("a message without a result")?;
    let event = |event: abci::Event| RpcEvent {
        kind: event.r#type,
        attributes: event
            .attributes
            .into_iter()
            .map(|attribute| Attribute { key: attribute.key, value: attribute.value })
            .collect(),
    };
    Ok(Tx {
        index,
        hash: row.get(1),
        bytes: message.tx.to_vec(),
        result: TxResult {
            code: result.code,
            data: (!result.data.is_empty()).then(|| STANDARD.encode(&result.data)),
            log: result.log,
            codespace: result.codespace,
            events: result.events.into_iter().map(event).collect(),
        },
    })
}

/// The transactions of a block, and what must stand there as its events, as a node tells them.
async fn of_chain(rpc: &Rpc, height: i64) -> Result<(Vec<Tx>, Vec<Event>)> {
    #[derive(Deserialize)]
    struct Block {
        block: Inner,
    }
    #[derive(Deserialize)]
    struct Inner {
        data: Data,
    }
    #[derive(Deserialize)]
    struct Data {
        txs: Vec<String>,
    }
    #[derive(Deserialize)]
    struct Results {
        txs_results: Vec<TxResult>,
        finalize_block_events: Vec<RpcEvent>,
    }
    let params = json!({ "height": height.to_string() });
    let block: Block = rpc.call("block", params.clone()).await?;
    let results: Results = rpc.call("block_results", params).await?;
    let data = block.block.data.txs;
    ensure!(data.len() == results.txs_results.len(), "the node tells another number of results");
    let own = |kind: &str, key: &str, value: String| RpcEvent {
        kind: kind.to_owned(),
        attributes: vec![Attribute { key: key.to_owned(), value }],
    };
    let (mut txs, mut events) = (Vec::new(), Vec::new());
    events.push(event(None, own("block", "height", height.to_string())));
    events.extend(results.finalize_block_events.into_iter().map(|of_block| event(None, of_block)));
    for ((index, bytes), result) in (0..).zip(data).zip(results.txs_results) {
        let bytes = STANDARD.decode(bytes)?;
        let hash = Hash::of(&bytes).to_string();
        let of_tx = [own("tx", "hash", hash.clone()), own("tx", "height", height.to_string())];
        let all = of_tx.into_iter().chain(result.events.iter().cloned());
        events.extend(all.map(|of_tx| event(Some(index), of_tx)));
        txs.push(Tx { index, hash, bytes, result });
    }
    Ok((txs, events))
}

/// As it must stand there: see the sink's rule for U+0000.
fn event(tx: Option<i32>, event: RpcEvent) -> Event {
    let text = |text: String| text.replace('\0', "\u{fffd}");
    let attributes = event.attributes.into_iter();
    let attributes = attributes.map(|one| (text(one.key), text(one.value))).collect();
    (tx, text(event.kind), attributes)
}
