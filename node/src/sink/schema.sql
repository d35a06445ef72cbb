-- What a node writes to PostgreSQL. Tables, columns and views are those of CometBFT's "psql" indexer, so that
-- queries made for it go on; tables that were made by its own schema are taken as they are.
--
-- A node applies this by itself, in one transaction, where tandem_schema is not there yet. Whoever would not
-- let it make tables applies this file by hand before, and grants it SELECT and INSERT on the tables, DELETE on
-- tandem_gaps and USAGE on the sequences.

-- Which version of this file was applied.
CREATE TABLE IF NOT EXISTS tandem_schema (
  version INTEGER NOT NULL
);

-- The chains that are written: the first node that writes one says by the hash of its genesis which it is.
CREATE TABLE IF NOT EXISTS tandem_chains (
  chain_id VARCHAR PRIMARY KEY,
  -- 64 upper-case hex digits.
  genesis  VARCHAR NOT NULL
);

-- A block that is written, whole: its row comes in one transaction with all that is about it.
CREATE TABLE IF NOT EXISTS blocks (
  rowid      BIGSERIAL PRIMARY KEY,
  height     BIGINT NOT NULL,
  chain_id   VARCHAR NOT NULL,
  -- When it was written.
  created_at TIMESTAMPTZ NOT NULL,
  UNIQUE (height, chain_id)
);

-- Transactions with their results, as the method tx tells them.
CREATE TABLE IF NOT EXISTS tx_results (
  rowid      BIGSERIAL PRIMARY KEY,
  block_id   BIGINT NOT NULL REFERENCES blocks(rowid),
  -- Place in the block; 0 is the liveness record.
  index      INTEGER NOT NULL,
  created_at TIMESTAMPTZ NOT NULL,
  -- 64 upper-case hex digits.
  tx_hash    VARCHAR NOT NULL,
  -- A message tendermint.abci.TxResult of CometBFT 0.38, in protobuf.
  tx_result  BYTEA NOT NULL,
  UNIQUE (block_id, index)
);

-- Events of transactions, and of blocks, which have no tx_id. They are in the order of their rowid.
CREATE TABLE IF NOT EXISTS events (
  rowid    BIGSERIAL PRIMARY KEY,
  block_id BIGINT NOT NULL REFERENCES blocks(rowid),
  tx_id    BIGINT NULL REFERENCES tx_results(rowid),
  type     VARCHAR NOT NULL
);

CREATE TABLE IF NOT EXISTS attributes (
  event_id      BIGINT NOT NULL REFERENCES events(rowid),
  key           VARCHAR NOT NULL,
  -- The type of the event, a dot and the key.
  composite_key VARCHAR NOT NULL,
  value         VARCHAR NULL,
  UNIQUE (event_id, key)
);

-- Heights that were missing when the one above was written, since no node that wrote had them. Who has them fills
-- them in.
CREATE TABLE IF NOT EXISTS tandem_gaps (
  chain_id VARCHAR NOT NULL,
  low      BIGINT NOT NULL,
  high     BIGINT NOT NULL
);

-- What the views and a transaction by its hash are looked up by.
CREATE INDEX IF NOT EXISTS tx_results_tx_hash ON tx_results (tx_hash);
CREATE INDEX IF NOT EXISTS events_block_id ON events (block_id);
CREATE INDEX IF NOT EXISTS events_tx_id ON events (tx_id) WHERE tx_id IS NOT NULL;

-- Events with their attributes; an event without any is one row.
CREATE OR REPLACE VIEW event_attributes AS
  SELECT block_id, tx_id, type, key, composite_key, value
  FROM events LEFT JOIN attributes ON (events.rowid = attributes.event_id);

-- Those of blocks.
CREATE OR REPLACE VIEW block_events AS
  SELECT blocks.rowid AS block_id, height, chain_id, type, key, composite_key, value
  FROM blocks JOIN event_attributes ON (blocks.rowid = event_attributes.block_id)
  WHERE event_attributes.tx_id IS NULL;

-- Those of transactions.
CREATE OR REPLACE VIEW tx_events AS
  SELECT height, index, chain_id, type, key, composite_key, value, tx_results.created_at
  FROM blocks JOIN tx_results ON (blocks.rowid = tx_results.block_id)
  JOIN event_attributes ON (tx_results.rowid = event_attributes.tx_id)
  WHERE event_attributes.tx_id IS NOT NULL;

INSERT INTO tandem_schema (version)
  SELECT 2 WHERE NOT EXISTS (SELECT FROM tandem_schema);
