//! A block as RPC gives it, read back into the chain's own types.

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;
use tandem_chain::block::{Commit, CommitSig};
use tandem_chain::codec;
use tandem_chain::keys::Signature;
use tandem_chain::limits::MAX_ENCODED_BYTES;
use tandem_chain::liveness::SignedRecord;
use tandem_chain::types::{Address, BlockId, Hash, Height, Round, Timestamp, TxHash};

/// What the checks need of a block. Transactions are kept as hashes only.
#[derive(Clone, Debug)]
pub struct BlockView {
    /// Its height.
    pub height: Height,
    /// Its id.
    pub id: BlockId,
    /// Id of the block before; none at height 1.
    pub parent: Option<BlockId>,
    /// Its time.
    pub time: Timestamp,
    /// Hash of its height's role table.
    pub validators_hash: Hash,
    /// State commitment after the block before.
    pub app_hash: Hash,
    /// Who made it.
    pub proposer: Address,
    /// The liveness record.
    pub record: SignedRecord,
    /// Its transactions, the liveness record left out.
    pub txs: Vec<TxHash>,
    /// Bytes of those transactions.
    pub tx_bytes: usize,
    /// Certificate of the block before.
    pub last_commit: Commit,
    /// Pieces of evidence in it.
    pub evidence: usize,
}

/// What a certified header says of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderView {
    /// Id of the block.
    pub id: BlockId,
    /// State commitment after the block before.
    pub app_hash: Hash,
}

impl HeaderView {
    /// From the result of the method `commit`.
    ///
    /// # Errors
    /// When it has another shape.
    pub fn read(result: Value) -> Result<Self> {
        #[derive(Deserialize)]
        struct Answer {
            signed_header: Signed,
        }
        #[derive(Deserialize)]
        struct Signed {
            header: Header,
            commit: Commit,
        }
        #[derive(Deserialize)]
        struct Header {
            app_hash: Hash,
        }
        #[derive(Deserialize)]
        struct Commit {
            block_id: IdJson,
        }
        let Answer { signed_header } = serde_json::from_value(result).context("a header")?;
        let Signed { header, commit } = signed_header;
        Ok(Self { id: commit.block_id.hash.parse()?, app_hash: header.app_hash })
    }
}

#[derive(Deserialize)]
struct Answer {
    block_id: IdJson,
    block: BlockJson,
}

#[derive(Deserialize)]
struct IdJson {
    hash: String,
}

#[derive(Deserialize)]
struct BlockJson {
    header: HeaderJson,
    data: DataJson,
    evidence: EvidenceJson,
    last_commit: CommitJson,
}

#[derive(Deserialize)]
struct HeaderJson {
    height: String,
    time: String,
    last_block_id: IdJson,
    validators_hash: Hash,
    app_hash: Hash,
    proposer_address: Address,
}

#[derive(Deserialize)]
struct DataJson {
    txs: Vec<String>,
}

#[derive(Deserialize)]
struct EvidenceJson {
    evidence: Vec<Value>,
}

#[derive(Deserialize)]
struct CommitJson {
    height: String,
    round: u32,
    block_id: IdJson,
    signatures: Vec<CommitSigJson>,
}

#[derive(Deserialize)]
struct CommitSigJson {
    validator_address: String,
    timestamp: String,
    signature: Option<String>,
}

impl BlockView {
    /// From the result of the method `block`.
    ///
    /// # Errors
    /// When it has another shape.
    pub fn read(result: Value) -> Result<Self> {
        let Answer { block_id, block } = serde_json::from_value(result).context("a block")?;
        let BlockJson { header, data, evidence, last_commit } = block;
        let mut txs = data.txs.iter().map(|tx| STANDARD.decode(tx).context("transaction"));
        let record = txs.next().context("a block has its liveness record")??;
        let mut hashes = Vec::with_capacity(data.txs.len());
        let mut tx_bytes = 0;
        for tx in txs {
            let tx = tx?;
            tx_bytes += tx.len();
            hashes.push(Hash::of(&tx));
        }
        Ok(Self {
            height: height(&header.height)?,
            id: block_id.hash.parse()?,
            parent: optional_id(&header.last_block_id)?,
            time: Timestamp::from_rfc3339(&header.time)?,
            validators_hash: header.validators_hash,
            app_hash: header.app_hash,
            proposer: header.proposer_address,
            record: codec::decode_canonical("liveness record", &record, MAX_ENCODED_BYTES)?,
            txs: hashes,
            tx_bytes,
            last_commit: last_commit.read()?,
            evidence: evidence.evidence.len(),
        })
    }
}

impl CommitJson {
    fn read(self) -> Result<Commit> {
        let signatures = self.signatures.into_iter().map(CommitSigJson::read);
        Ok(Commit {
            height: height(&self.height)?,
            round: Round(self.round),
            block: optional_id(&self.block_id)?,
            signatures: signatures.collect::<Result<_>>()?,
        })
    }
}

impl CommitSigJson {
    fn read(self) -> Result<Option<CommitSig>> {
        let Some(signature) = self.signature else { return Ok(None) };
        Ok(Some(CommitSig {
            address: self.validator_address.parse()?,
            timestamp: Timestamp::from_rfc3339(&self.timestamp)?,
            signature: Signature::from_slice(&STANDARD.decode(signature)?)?,
        }))
    }
}

fn optional_id(id: &IdJson) -> Result<Option<BlockId>> {
    if id.hash.is_empty() { Ok(None) } else { Ok(Some(id.hash.parse()?)) }
}

/// Reads a height, which RPC writes as text.
///
/// # Errors
/// When it is no number.
pub fn height(text: &str) -> Result<Height> {
    match text.parse() {
        Ok(height) => Ok(Height(height)),
        Err(_) => bail!("{text:?} is no height"),
    }
}
