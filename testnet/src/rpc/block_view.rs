//! A block as RPC gives it, read back into the chain's own types.

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;
use tandem_chain::block::{Commit, CommitSig, Header};
use tandem_chain::codec;
use tandem_chain::comet;
use tandem_chain::keys::Signature;
use tandem_chain::limits::MAX_ENCODED_BYTES;
use tandem_chain::liveness::SignedRecord;
use tandem_chain::types::{Address, BlockId, ChainId, Hash, Height, Round, Timestamp, TxHash};

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

/// A header with a certificate for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderView {
    /// Id of the block, computed from the header.
    pub id: BlockId,
    /// State commitment after the block before.
    pub app_hash: Hash,
    /// Hash of its height's role table.
    pub validators_hash: Hash,
    /// The certificate, which names the block.
    pub commit: Commit,
}

impl HeaderView {
    /// From the result of the method `commit`.
    ///
    /// # Errors
    /// When it has another shape, or its certificate is for another block.
    pub fn read(result: Value) -> Result<Self> {
        #[derive(Deserialize)]
        struct Answer {
            signed_header: Signed,
        }
        #[derive(Deserialize)]
        struct Signed {
            header: HeaderJson,
            commit: CommitJson,
        }
        let Answer { signed_header } = serde_json::from_value(result).context("a header")?;
        let (header, commit) = (signed_header.header.read()?, signed_header.commit.read()?);
        let id = header.id();
        ensure!(
            (commit.height, commit.block) == (header.height, Some(id)),
            "the certificate beside header {} is for another block",
            header.height
        );
        let Header { app_hash, validators_hash, .. } = header;
        Ok(Self { id, app_hash, validators_hash, commit })
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
    chain_id: ChainId,
    height: String,
    time: String,
    last_block_id: IdJson,
    last_commit_hash: Hash,
    data_hash: Hash,
    validators_hash: Hash,
    next_validators_hash: Hash,
    consensus_hash: Hash,
    app_hash: Hash,
    last_results_hash: Hash,
    evidence_hash: Hash,
    proposer_address: Address,
}

impl HeaderJson {
    fn read(self) -> Result<Header> {
        Ok(Header {
            chain_id: self.chain_id,
            height: height(&self.height)?,
            time: Timestamp::from_rfc3339(&self.time)?,
            last_block_id: optional_id(&self.last_block_id)?,
            last_commit_hash: self.last_commit_hash,
            data_hash: self.data_hash,
            validators_hash: self.validators_hash,
            next_validators_hash: self.next_validators_hash,
            consensus_hash: self.consensus_hash,
            app_hash: self.app_hash,
            last_results_hash: self.last_results_hash,
            evidence_hash: self.evidence_hash,
            proposer_address: self.proposer_address,
        })
    }
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
    /// When it has another shape, or its id, its transactions or its certificate are not those that
    /// its header names.
    pub fn read(result: Value) -> Result<Self> {
        let Answer { block_id, block } = serde_json::from_value(result).context("a block")?;
        let BlockJson { header, data, evidence, last_commit } = block;
        let (header, id, last_commit) =
            (header.read()?, block_id.hash.parse()?, last_commit.read()?);
        let mut tx_bytes = 0;
        let mut hashes = Vec::with_capacity(data.txs.len());
        let mut record = None;
        for tx in &data.txs {
            let tx = STANDARD.decode(tx).context("transaction")?;
            hashes.push(Hash::of(&tx));
            if record.is_none() {
                record = Some(tx);
            } else {
                tx_bytes += tx.len();
            }
        }
        let record = record.context("a block has its liveness record")?;
        ensure!(header.id() == id, "its id is not its header's");
        ensure!(
            comet::tx_hashes_root(&hashes) == header.data_hash,
            "its transactions are not those that its header names"
        );
        ensure!(
            comet::commit_hash(&last_commit) == header.last_commit_hash,
            "its certificate is not the one that its header names"
        );
        Ok(Self {
            height: header.height,
            id,
            parent: header.last_block_id,
            time: header.time,
            validators_hash: header.validators_hash,
            app_hash: header.app_hash,
            proposer: header.proposer_address,
            record: codec::decode_canonical("liveness record", &record, MAX_ENCODED_BYTES)?,
            txs: hashes.split_off(1),
            tx_bytes,
            last_commit,
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

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tandem_chain::block::Block;
    use tandem_chain::liveness::LivenessRecord;
    use tandem_node::rpc::shapes::comet as shapes;

    use super::*;

    fn block() -> Block {
        let record = SignedRecord {
            record: LivenessRecord::default(),
            signature: Signature::from_slice(&[0; 64]).expect("64 bytes"),
        };
        let last_commit = Commit { height: Height(6), signatures: vec![None], ..Commit::default() };
        let header = Header {
            chain_id: "test".parse().expect("a name"),
            height: Height(7),
            time: Timestamp::from_millis(1_700_000_000_123),
            last_block_id: Some(Hash::of(b"parent")),
            last_commit_hash: comet::commit_hash(&last_commit),
            data_hash: comet::data_hash(&record, &[]),
            validators_hash: Hash::of(b"table"),
            next_validators_hash: Hash::of(b"next table"),
            consensus_hash: Hash::of(b"limits"),
            app_hash: Hash::of(b"state"),
            last_results_hash: Hash::of(b"results"),
            evidence_hash: comet::evidence_hash(&[]),
            proposer_address: Address([3; 20]),
        };
        Block { header, record, txs: Vec::new(), evidence: Vec::new(), last_commit }
    }

    #[test]
    fn a_block_whose_header_names_something_else_is_found() {
        let block = block();
        let id = shapes::block_id(Some(block.id()));
        let told = json!({ "block_id": id, "block": shapes::block(&block) });
        let view = BlockView::read(told.clone()).expect("it is as its header says");
        assert_eq!((view.height, view.id, view.txs.len()), (Height(7), block.id(), 0));

        let tx = json!(STANDARD.encode("a transaction that is not in it"));
        let lies = [
            ("/block/header/app_hash", json!(Hash::of(b"another state")), "its header's"),
            ("/block/data/txs/0", tx, "its transactions"),
            ("/block/last_commit/signatures", json!([]), "its certificate"),
        ];
        for (place, lie, expected) in lies {
            let mut told = told.clone();
            *told.pointer_mut(place).expect("a field") = lie;
            let error = BlockView::read(told).expect_err(place).to_string();
            assert!(error.contains(expected), "{place}: {error}");
        }
    }

    #[test]
    fn a_header_beside_the_certificate_of_another_is_found() {
        let block = block();
        let commit = Commit { height: Height(7), block: Some(block.id()), ..Commit::default() };
        let told = |commit: &Commit| {
            let (header, commit) = (shapes::header(&block.header), shapes::commit(commit));
            json!({ "signed_header": { "header": header, "commit": commit } })
        };
        let view = HeaderView::read(told(&commit)).expect("they belong together");
        assert_eq!((view.id, view.commit), (block.id(), commit.clone()));
        let other = Commit { block: Some(Hash::of(b"another")), ..commit };
        assert!(HeaderView::read(told(&other)).is_err());
    }
}
