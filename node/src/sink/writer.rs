//! One connection with the server: its tables, and how a height comes into them.

use std::future::Future;
use std::time::Duration;

use tandem_chain::types::{ChainId, Height};
use tokio::time::timeout;
use tokio::try_join;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, GenericClient, Statement};

use super::error::SinkError;
use super::rows::{Rows, signed};

/// Version of [`SCHEMA`].
pub(super) const VERSION: i32 = 1;
/// The tables.
pub(super) const SCHEMA: &str = include_str!("schema.sql");
/// Time for one step: to connect, to ask, to write a height.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// How the server is to treat the connection. What a node that is gone had begun must not keep others from
/// the same height for longer than they wait themselves.
const SESSION: &str = "SET statement_timeout = '60s'; SET idle_in_transaction_session_timeout = '60s'; \
                       SET client_min_messages = warning";
/// Held while tables are made, so that nodes that start at the same time do not make them twice.
const LOCK: i64 = 0x7461_6e64_656d;

/// The end of the heights without a gap from the lowest on that a node has; the one below that where it is not
/// there. What others have written above a gap does not count. And the highest below.
const STANDING: &str = "SELECT CASE \
                       WHEN EXISTS (SELECT FROM blocks WHERE chain_id = $1::text AND height = $2::bigint) THEN \
                       (SELECT height FROM blocks AS last WHERE chain_id = $1::text AND height >= $2::bigint \
                       AND NOT EXISTS (SELECT FROM blocks WHERE chain_id = $1::text AND height = last.height + 1) \
                       ORDER BY height LIMIT 1) \
                       ELSE $2::bigint - 1 END, \
                       (SELECT max(height) FROM blocks WHERE chain_id = $1::text AND height < $2::bigint)";
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
                          SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[]) \
                          ON CONFLICT (event_id, key) DO NOTHING";

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

/// What stands there of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// The last height of those without a gap from a first one on; the one below that when that is not there.
    pub written: Height,
    /// The highest below that first one; 0 when there is none.
    pub below: Height,
}

impl Writer {
    /// Makes the tables where there are none, and looks whether they are those that it knows.
    ///
    /// # Errors
    /// [`SinkError`].
    pub async fn new(mut client: Client, chain_id: ChainId) -> Result<Self, SinkError> {
        let encoding: String = client.query_one("SHOW server_encoding", &[]).await?.try_get(0)?;
        if encoding != "UTF8" {
            return Err(SinkError::Encoding(encoding));
        }
        // Without a bound on its time: the indexes of tables that are there already may take long.
        if version(&client).await?.is_none() {
            make_tables(&mut client).await?;
        }
        client.batch_execute(SESSION).await?;
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

    /// What stands there, seen from the lowest height that a node has.
    ///
    /// # Errors
    /// [`SinkError::Server`].
    pub async fn standing(&self, first: Height) -> Result<Standing, SinkError> {
        let params: [&(dyn ToSql + Sync); 2] = [&self.chain_id.as_str(), &signed(first)];
        let row = self.client.query_one(STANDING, &params).await?;
        let height = |height: i64| u64::try_from(height).map(Height);
        let written = height(row.try_get(0)?).map_err(|_| SinkError::Unexpected)?;
        let below = row.try_get::<_, Option<i64>>(1)?.map_or(Ok(Height::ZERO), height);
        Ok(Standing { written, below: below.map_err(|_| SinkError::Unexpected)? })
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
        let Some(found) = found else { return Ok(transaction.rollback().await?) };
        let block: i64 = found.try_get(0)?;
        // What does not wait for each other goes out together.
        let count = i64::try_from(events.kind.len()).expect("events of a block are bounded");
        let columns: [&(dyn ToSql + Sync); 4] = [&block, &txs.index, &txs.hash, &txs.result];
        let counted: [&(dyn ToSql + Sync); 1] = [&count];
        let (made, ids) = try_join!(
            transaction.query(&self.txs, &columns),
            transaction.query(&self.ids, &counted)
        )?;
        let mut tx_ids = vec![None; txs.index.len()];
        for row in made {
            let index = usize::try_from(row.try_get::<_, i32>(0)?).ok();
            let place = index.and_then(|index| tx_ids.get_mut(index));
            *place.ok_or(SinkError::Unexpected)? = Some(row.try_get::<_, i64>(1)?);
        }
        let ids = ids.iter().map(|row| row.try_get(0)).collect::<Result<Vec<i64>, _>>()?;
        if ids.len() != events.kind.len() || tx_ids.iter().any(Option::is_none) {
            return Err(SinkError::Unexpected);
        }
        let of: Vec<Option<i64>> =
            events.tx.iter().map(|place| place.and_then(|place| tx_ids[place])).collect();
        let of_events: Vec<i64> = attributes.event.iter().map(|place| ids[*place]).collect();
        let columns: [&(dyn ToSql + Sync); 4] = [&block, &ids, &of, &events.kind];
        let their: [&(dyn ToSql + Sync); 4] =
            [&of_events, &attributes.key, &attributes.composite_key, &attributes.value];
        try_join!(
            transaction.execute(&self.events, &columns),
            transaction.execute(&self.attributes, &their)
        )?;
        Ok(transaction.commit().await?)
    }
}

/// The version of the tables; none where it is not told.
async fn version(client: &impl GenericClient) -> Result<Option<i32>, SinkError> {
    let known = client.query_one("SELECT to_regclass('tandem_schema') IS NOT NULL", &[]).await?;
    if !known.try_get::<_, bool>(0)? {
        return Ok(None);
    }
    let found = client.query_one("SELECT max(version) FROM tandem_schema", &[]).await?;
    Ok(found.try_get(0)?)
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
