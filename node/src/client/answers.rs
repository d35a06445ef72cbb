//! What the client reads of CometBFT's shapes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Deserialize, Deserializer, Error};
use serde::{Deserialize as DeserializeDerive, Serialize};
use tandem_chain::Error as ChainError;
use tandem_chain::ledger::{Event, Receipt};
use tandem_chain::types::{ChainId, ContentType, Hash, Height, Timestamp, TxHash};

use crate::rpc::shapes::tandem::OwnStatus;
use crate::rpc::shapes::text;

/// Answer of `status`.
#[derive(Clone, Debug, Serialize, DeserializeDerive)]
pub struct Status {
    /// The node.
    pub node_info: NodeInfo,
    /// Its newest block.
    pub sync_info: SyncInfo,
    /// What CometBFT has no place for.
    pub tandem: OwnStatus,
}

/// Member `node_info` of `status`.
#[derive(Clone, Debug, Serialize, DeserializeDerive)]
pub struct NodeInfo {
    /// Id of the chain.
    pub network: ChainId,
    /// Address of the node, 40 hex digits.
    pub id: String,
}

/// Member `sync_info` of `status`.
#[derive(Clone, Debug, Serialize, DeserializeDerive)]
pub struct SyncInfo {
    /// Hash of the newest block; empty when there is none yet.
    pub latest_block_hash: String,
    /// State commitment after it.
    pub latest_app_hash: Hash,
    /// Its height.
    #[serde(with = "text")]
    pub latest_block_height: Height,
    /// Its time, RFC 3339.
    pub latest_block_time: String,
    /// Height of the lowest block that the node has; 0 when it has none.
    #[serde(with = "text")]
    pub earliest_block_height: Height,
    /// Whether the node fetches blocks that others have already.
    pub catching_up: bool,
}

impl SyncInfo {
    /// The newest block's time.
    ///
    /// # Errors
    /// What is no time.
    pub fn time(&self) -> Result<Timestamp, ChainError> {
        Timestamp::from_rfc3339(&self.latest_block_time)
    }
}

/// Answer of `broadcast_tx_sync`.
#[derive(Clone, Debug, Serialize, DeserializeDerive)]
pub struct Broadcast {
    /// 0 when it waits for a block; else the code of [`tandem_chain::Error::code`].
    pub code: u32,
    /// Why it was refused.
    pub log: String,
    /// The transaction's hash.
    pub hash: TxHash,
}

/// Answer of `tx`.
#[derive(Clone, Debug, Serialize)]
pub struct TxInfo {
    /// The transaction's hash.
    pub hash: TxHash,
    /// Its block.
    pub height: Height,
    /// Its place in the block.
    pub index: u32,
    /// Its result.
    pub receipt: Receipt,
}

impl<'de> Deserialize<'de> for TxInfo {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(DeserializeDerive)]
        struct Answer {
            hash: TxHash,
            #[serde(with = "text")]
            height: Height,
            index: u32,
            tx_result: TxResult,
        }
        #[derive(DeserializeDerive)]
        struct TxResult {
            code: u32,
            #[serde(deserialize_with = "base64_or_null")]
            data: Vec<u8>,
            log: String,
            events: Vec<CometEvent>,
        }
        #[derive(DeserializeDerive)]
        struct CometEvent {
            #[serde(rename = "type")]
            kind: String,
            attributes: Vec<Attribute>,
        }
        #[derive(DeserializeDerive)]
        struct Attribute {
            key: String,
            value: String,
        }
        let Answer { hash, height, index, tx_result } = Answer::deserialize(deserializer)?;
        let TxResult { code, data, log, events } = tx_result;
        let events = events.into_iter().map(|event| Event {
            kind: event.kind,
            attributes: event.attributes.into_iter().map(|a| (a.key, a.value)).collect(),
        });
        let receipt = Receipt { code, data, log, events: events.collect() };
        Ok(Self { hash, height, index, receipt })
    }
}

/// Member `response` of the answer of `abci_query`.
#[derive(Clone, Debug, DeserializeDerive)]
pub struct QueryAnswer {
    /// 0 when it was found; else the code of [`tandem_chain::Error::code`].
    pub code: u32,
    /// Why it was not.
    pub log: String,
    /// A record's value, or a listing in JSON.
    #[serde(deserialize_with = "base64_or_null")]
    pub value: Vec<u8>,
    /// A record's version.
    #[serde(with = "text")]
    pub version: u64,
    /// What a record's value is, as who wrote it said; none for other answers, and of a node that does not
    /// tell.
    pub content_type: Option<ContentType>,
    /// Height of the state.
    #[serde(with = "text")]
    pub height: Height,
}

fn base64_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text: Option<String> = Option::deserialize(deserializer)?;
    STANDARD.decode(text.unwrap_or_default()).map_err(D::Error::custom)
}
