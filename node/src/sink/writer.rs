//! One connection with the server: its tables, and how a height comes into them.

use std::future::Future;
use std::time::Duration;

use tandem_chain::types::{ChainId, Height};
use tokio::time::timeout;
use tokio_postgres::{Client, GenericClient, Statement};

use super::error::SinkError;
use super::rows::Rows;

/// Version of [`SCHEMA`].
pub(super) const VERSION: i32 = 1;
/// The tables.
pub(super) const SCHEMA: &str = include_str!("schema.sql");
/// Time for one step: to connect, to make the tables, to write a height.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// How the server is to treat the connection. What a node that is gone had begun must not keep others from
/// the same height for longer than they wait themselves.
const SESSION: &str = "SET statement_timeout = '60s'; SET idle_in_transaction_session_timeout = '60s'; \
                       SET client_min_messages = warning";
/// Held while tables are made, so that nodes that start at the same time do not make them twice.
const LOCK: i64 = 0x7461_6e64_656d;

const HIGHEST: &str = "SELECT max(height) FROM blocks WHERE chain_id = $1::text";
const BLOCK: &str = "INSERT INTO blocks (height, chain_id, created_at) VALUES ($1, $2::text, now()) \
                     ON CONFLICT (height, chain_id) DO NOTHING RETURNING rowid";
const TXS: &str = "INSERT INTO tx_results (block_id, index, created_at, tx_hash, tx_result) \
                   SELECT $1::bigint, index, now(), tx_hash, tx_result \
                   FROM unnest($2::integer[], $3::text[], $4::bytea[]) AS made (index, tx_hash, tx_result) \
                   RETURNING index, rowid";
const IDS: &str = "SELECT nextval(pg_get_serial_sequence('events', 'rowid')) \
                   FROM generate_series(1, $1::bigint)";
const EVENTS: &str = "INSERT INTO events (rowid, block_id, tx_id, type) SELECT rowid, $1::bigint, tx_id, type \
                      FROM unnest($2::bigint[], $3::bigint[], $4::text[]) AS made (rowid, tx_id, type)";
const ATTRIBUTES: &str = "INSERT INTO attributes (event_id, key, composite_key, value) \
                          SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[])";

/// Writes heights of a chain over one connection.
pub(super) struct Writer {
    client: Client,
    chain_id: ChainId,
    block: Statement,
    txs: Statement,
    ids: Statement,
    events: Statement,
    attributes: Statement,
}

impl Writer {
    /// Makes the tables where there are none, and looks whether they are those that it knows.
    ///
    /// # Errors
    /// [`SinkError`].
    pub async fn new(mut client: Client, chain_id: ChainId) -> Result<Self, SinkError> {
        client.batch_execute(SESSION).await?;
        let encoding: String = client.query_one("SHOW server_encoding", &[]).await?.get(0);
        if encoding != "UTF8" {
            return Err(SinkError::Encoding(encoding));
        }
        if version(&client).await?.is_none() {
            make_tables(&mut client).await?;
        }
        let version = version(&client).await?.unwrap_or_default();
        if version != VERSION {
            return Err(SinkError::Version(version));
        }
        let block = client.prepare(BLOCK).await?;
        let txs = client.prepare(TXS).await?;
        let ids = client.prepare(IDS).await?;
        let events = client.prepare(EVENTS).await?;
        let attributes = client.prepare(ATTRIBUTES).await?;
        Ok(Self { client, chain_id, block, txs, ids, events, attributes })
    }

    /// The highest height that stands there; 0 when none does.
    ///
    /// # Errors
    /// [`SinkError::Server`].
    pub async fn highest(&self) -> Result<Height, SinkError> {
        let row = self.client.query_one(HIGHEST, &[&self.chain_id.as_str()]).await?;
        let height: Option<i64> = row.get(0);
        Ok(height.and_then(|height| u64::try_from(height).ok()).map_or(Height::ZERO, Height))
    }

    /// Writes a height with all that is about it, or nothing where it stands already.
    ///
    /// # Errors
    /// [`SinkError::Server`]: it may have been written, and may not.
    pub async fn write(&mut self, rows: &Rows) -> Result<(), SinkError> {
        let Rows { height, txs, events, attributes } = rows;
        let transaction = self.client.transaction().await?;
        // Waits for whoever else is writing the height.
        let found = transaction.query_opt(&self.block, &[height, &self.chain_id.as_str()]).await?;
        let Some(block) = found.map(|row| row.get::<_, i64>(0)) else {
            return Ok(transaction.rollback().await?);
        };
        let made =
            transaction.query(&self.txs, &[&block, &txs.index, &txs.hash, &txs.result]).await?;
        let mut tx_ids = vec![0i64; txs.index.len()];
        for row in made {
            let index = usize::try_from(row.get::<_, i32>(0)).expect("as it was given");
            tx_ids[index] = row.get(1);
        }
        let count = i64::try_from(events.kind.len()).expect("events of a block are bounded");
        let made = transaction.query(&self.ids, &[&count]).await?;
        let ids: Vec<i64> = made.iter().map(|row| row.get(0)).collect();
        let of: Vec<Option<i64>> =
            events.tx.iter().map(|place| place.map(|place| tx_ids[place])).collect();
        transaction.execute(&self.events, &[&block, &ids, &of, &events.kind]).await?;
        let of: Vec<i64> = attributes.event.iter().map(|place| ids[*place]).collect();
        let columns: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
            [&of, &attributes.key, &attributes.composite_key, &attributes.value];
        transaction.execute(&self.attributes, &columns).await?;
        Ok(transaction.commit().await?)
    }
}

/// The version of the tables; none where it is not told.
async fn version(client: &impl GenericClient) -> Result<Option<i32>, SinkError> {
    let known = client.query_one("SELECT to_regclass('tandem_schema') IS NOT NULL", &[]).await?;
    if !known.get::<_, bool>(0) {
        return Ok(None);
    }
    let found = client.query_one("SELECT max(version) FROM tandem_schema", &[]).await?;
    Ok(found.get(0))
}

async fn make_tables(client: &mut Client) -> Result<(), SinkError> {
    let transaction = client.transaction().await?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
    // Another node may have made them meanwhile, or a newer one those of a later version.
    if version(&transaction).await?.is_none() {
        transaction.batch_execute(SCHEMA).await?;
    }
    Ok(transaction.commit().await?)
}

/// Gives up a step that takes too long.
///
/// # Errors
/// [`SinkError::Slow`], and those of the step.
pub(super) async fn in_time<T, E: Into<SinkError>>(
    step: impl Future<Output = Result<T, E>>,
) -> Result<T, SinkError> {
    timeout(PATIENCE, step).await.map_err(|_| SinkError::Slow)?.map_err(Into::into)
}
