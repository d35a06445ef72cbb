//! One connection with the server: its tables, and how a height comes into them.

use std::future::Future;
use std::time::Duration;

use tandem_chain::genesis::Genesis;
use tandem_chain::types::{ChainId, Height};
use tokio::time::timeout;
use tokio::try_join;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, GenericClient, Statement};

use super::error::SinkError;
use super::rows::{Rows, signed};

/// Version of [`SCHEMA`].
pub(super) const VERSION: i32 = 2;
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

/// Says which chain is meant by its name, unless that is said.
const NAME: &str = "INSERT INTO tandem_chains (chain_id, genesis) VALUES ($1::text, $2::text) \
                    ON CONFLICT (chain_id) DO NOTHING";
const NAMED: &str = "SELECT genesis FROM tandem_chains WHERE chain_id = $1::text";
/// The highest height, and the lowest gap in which there is something that a node has, from `$2` on.
const STANDING: &str = "SELECT (SELECT max(height) FROM blocks WHERE chain_id = $1::text), low, high \
                        FROM (VALUES (1)) AS one LEFT JOIN (SELECT low, high FROM tandem_gaps \
                        WHERE chain_id = $1::text AND high >= $2::bigint ORDER BY high LIMIT 1) AS gap ON true";
/// Takes a height out of the gaps, which leaves none, one or two of the one that has it.
const FILL: &str = "WITH gap AS (DELETE FROM tandem_gaps WHERE chain_id = $1::text \
                    AND low <= $2::bigint AND high >= $2::bigint RETURNING low, high) \
                    INSERT INTO tandem_gaps (chain_id, low, high) \
                    SELECT $1::text, low, $2::bigint - 1 FROM gap WHERE low < $2::bigint \
                    UNION ALL SELECT $1::text, $2::bigint + 1, high FROM gap WHERE high > $2::bigint";
const LEAVE: &str =
    "INSERT INTO tandem_gaps (chain_id, low, high) VALUES ($1::text, $2::bigint, $3::bigint)";
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
    fill: Statement,
}

/// What stands there of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// The highest height; 0 when there is none.
    pub highest: Height,
    /// The first and the last height of the lowest gap in which a node has something.
    pub gap: Option<(Height, Height)>,
}

impl Writer {
    /// Makes the tables where there are none, and looks whether they are those that it knows. Making them has no
    /// bound on its time, since the indexes of large tables that are there already may take long.
    ///
    /// # Errors
    /// [`SinkError`].
    pub async fn new(mut client: Client, genesis: &Genesis) -> Result<Self, SinkError> {
        let encoding = in_time(client.query_one("SHOW server_encoding", &[])).await?;
        let encoding: String = encoding.try_get(0)?;
        if encoding != "UTF8" {
            return Err(SinkError::Encoding(encoding));
        }
        if in_time(version(&client)).await?.is_none() {
            make_tables(&mut client).await?;
        }
        in_time(Self::prepared(client, genesis)).await
    }

    async fn prepared(client: Client, genesis: &Genesis) -> Result<Self, SinkError> {
        client.batch_execute(SESSION).await?;
        let version = version(&client).await?.unwrap_or_default();
        if version != VERSION {
            return Err(SinkError::Version(version));
        }
        let (chain_id, hash) = (genesis.chain_id.clone(), genesis.hash().to_string());
        client.execute(NAME, &[&chain_id.as_str(), &hash]).await?;
        let named: String = client.query_one(NAMED, &[&chain_id.as_str()]).await?.try_get(0)?;
        if named != hash {
            return Err(SinkError::OtherChain { chain_id, named });
        }
        let block = client.prepare(BLOCK).await?;
        let txs = client.prepare(TXS).await?;
        let ids = client.prepare(IDS).await?;
        let events = client.prepare(EVENTS).await?;
        let attributes = client.prepare(ATTRIBUTES).await?;
        let fill = client.prepare(FILL).await?;
        Ok(Self { client, chain_id, block, txs, ids, events, attributes, fill })
    }

    /// What stands there, for a node that has the heights from `first` on.
    ///
    /// # Errors
    /// [`SinkError::Server`], [`SinkError::Unexpected`].
    pub async fn standing(&self, first: Height) -> Result<Standing, SinkError> {
        let params: [&(dyn ToSql + Sync); 2] = [&self.chain_id.as_str(), &signed(first)];
        let row = in_time(self.client.query_one(STANDING, &params)).await?;
        let height = |column| -> Result<Option<Height>, SinkError> {
            let found: Option<i64> = row.try_get(column)?;
            let found = found.map(u64::try_from).transpose();
            Ok(found.map_err(|_| SinkError::Unexpected)?.map(Height))
        };
        let highest = height(0)?.unwrap_or(Height::ZERO);
        Ok(Standing { highest, gap: height(1)?.zip(height(2)?) })
    }

    /// Writes a height with all that is about it, or nothing where it stands already; with it the gap that is
    /// left from a height on to the one below.
    ///
    /// # Errors
    /// [`SinkError::Server`]: it may have been written, and may not.
    pub async fn write(&mut self, rows: &Rows, left: Option<Height>) -> Result<(), SinkError> {
        let Rows { height, txs, events, attributes } = rows;
        let chain_id = self.chain_id.as_str();
        let place: [&(dyn ToSql + Sync); 2] = [&chain_id, height];
        let transaction = self.client.transaction().await?;
        // Waits for whoever else is writing the height.
        let found = transaction.query_opt(&self.block, &[height, &chain_id]).await?;
        let Some(found) = found else {
            transaction.execute(&self.fill, &place).await?;
            return Ok(transaction.commit().await?);
        };
        let block: i64 = found.try_get(0)?;
        if let Some(low) = left {
            transaction.execute(LEAVE, &[&chain_id, &signed(low), &(height - 1)]).await?;
        }
        // What does not wait for each other goes out together.
        let count = i64::try_from(events.kind.len()).expect("events of a block are bounded");
        let columns: [&(dyn ToSql + Sync); 4] = [&block, &txs.index, &txs.hash, &txs.result];
        let counted: [&(dyn ToSql + Sync); 1] = [&count];
        let (made, ids, _) = try_join!(
            transaction.query(&self.txs, &columns),
            transaction.query(&self.ids, &counted),
            transaction.execute(&self.fill, &place)
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
