//! Answers about records. The server writes these types, the client reads them.

use serde::{Deserialize, Serialize};
use tandem_chain::keys::PublicKey;
use tandem_chain::tree::Proof;
use tandem_chain::types::{ContentType, DataSetName, Hash, Height, OrgName, TxHash};

use super::tandem::RecordEntry;
use super::text;

/// Answer of `records`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordsInfo {
    /// The block after which the state is so.
    #[serde(with = "text")]
    pub height: Height,
    /// The data set.
    pub data_set: DataSetName,
    /// The organisation that created it.
    pub owner: OrgName,
    /// In the order of their keys.
    pub records: Vec<RecordEntry>,
    /// The key, in hex, to give as `after` for the next part; none when this was the last.
    pub next: Option<String>,
}

/// Answer of `proof`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProofInfo {
    /// The block after which the state is so.
    #[serde(with = "text")]
    pub height: Height,
    /// The block whose header has `app_hash`; it comes when the chain goes on.
    #[serde(with = "text")]
    pub header_height: Height,
    /// The state commitment.
    pub app_hash: Hash,
    /// The data set.
    pub data_set: DataSetName,
    /// The record's key in hex.
    pub key: String,
    /// How often the record was written; none when it never was.
    #[serde(with = "text::option")]
    pub version: Option<u64>,
    /// What the value is, as its writer says; none where nothing is said.
    pub content_type: Option<ContentType>,
    /// Its value in base64; none when it never was written, or is deleted.
    pub value: Option<String>,
    /// Its key in the state, in hex: what the proof is of.
    pub state_key: String,
    /// What the state has under it, in base64: version, whether it is deleted, and value. None when the
    /// state has nothing.
    pub state_value: Option<String>,
    /// The way to the commitment.
    pub proof: StateProof,
}

/// A [`tandem_chain::tree::Proof`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateProof {
    /// Hashes of the subtrees that the way does not take, the root's child first.
    pub siblings: Vec<Hash>,
    /// The entry at its end; none when nothing is there.
    pub leaf: Option<StateLeaf>,
}

/// An entry of the state's tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateLeaf {
    /// SHA-256 of its key.
    pub key: Hash,
    /// SHA-256 of its value.
    pub value: Hash,
}

impl From<Proof> for StateProof {
    fn from(Proof { siblings, leaf }: Proof) -> Self {
        Self { siblings, leaf: leaf.map(|(key, value)| StateLeaf { key, value }) }
    }
}

/// Answer of `record_history`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordHistory {
    /// The data set.
    pub data_set: DataSetName,
    /// The record's key in hex.
    pub key: String,
    /// The lowest block that the index has: of what was written below, nothing is known here.
    #[serde(with = "text")]
    pub from: Height,
    /// The highest.
    #[serde(with = "text")]
    pub to: Height,
    /// The newest first.
    pub versions: Vec<RecordVersion>,
    /// What to give as `before` for the next part; none when this was the last.
    pub next: Option<String>,
}

/// A write of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordVersion {
    /// The record's version from then on; a deletion leaves it as it was.
    #[serde(with = "text")]
    pub version: u64,
    /// Whether it was deleted.
    pub is_deleted: bool,
    /// The block.
    #[serde(with = "text")]
    pub height: Height,
    /// The transaction's place in it.
    pub index: u32,
    /// The block's time, RFC 3339.
    pub time: String,
    /// The transaction.
    pub tx: TxHash,
    /// Who sent it.
    pub sender: PublicKey,
    /// What the value is, as its writer says; none where nothing is said, and of a deletion.
    pub content_type: Option<ContentType>,
    /// The value in base64; none of a deletion.
    pub value: Option<String>,
    /// SHA-256 of the value.
    pub digest: Option<Hash>,
}
