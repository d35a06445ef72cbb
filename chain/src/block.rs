//! Headers, blocks, certificates.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::codec;
use crate::comet;
use crate::error::Error;
use crate::evidence::Evidence;
use crate::keys::{Signature, Verifier};
use crate::limits::{MAX_BLOCK_EVIDENCE, MAX_BLOCK_TXS, MAX_ORGS};
use crate::liveness::{Observation, SignedRecord};
use crate::roles::RoleTable;
use crate::tx::Tx;
use crate::types::{Address, BlockId, ChainId, Hash, Height, Power, Round, Timestamp};
use crate::vote::verify_observation;

/// A block's header: CometBFT 0.38's, with block version 11 and application version 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Id of the chain.
    pub chain_id: ChainId,
    /// Height of this block.
    pub height: Height,
    /// The proposer's clock; later than the parent's time.
    pub time: Timestamp,
    /// The block before; none at height 1.
    pub last_block_id: Option<BlockId>,
    /// Hash of the certificate in this block.
    pub last_commit_hash: Hash,
    /// Root over the SHA-256 of every transaction, the liveness record first.
    pub data_hash: Hash,
    /// Hash of the role table of this height.
    pub validators_hash: Hash,
    /// Hash of the role table of the next height.
    pub next_validators_hash: Hash,
    /// Hash of the block limits.
    pub consensus_hash: Hash,
    /// State commitment after the block before.
    pub app_hash: Hash,
    /// Root over the results of the block before.
    pub last_results_hash: Hash,
    /// Root over the evidence in this block.
    pub evidence_hash: Hash,
    /// The proposer that made the block (not the one that proposes it again).
    pub proposer_address: Address,
}

impl Header {
    /// The id of the block with this header.
    #[must_use]
    pub fn id(&self) -> BlockId {
        comet::header_hash(self)
    }
}

/// A block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Its header.
    pub header: Header,
    /// Transaction 0, made by the proposer alone.
    pub record: SignedRecord,
    /// Transactions 1 and up, in the order of execution.
    #[serde(deserialize_with = "codec::list::<MAX_BLOCK_TXS, _, _>")]
    pub txs: Vec<Tx>,
    /// Evidence of double signing.
    #[serde(deserialize_with = "codec::list::<MAX_BLOCK_EVIDENCE, _, _>")]
    pub evidence: Vec<Evidence>,
    /// Certificate of the block before; empty, of height 0, in block 1.
    pub last_commit: Commit,
}

impl Block {
    /// Its id. Hashes the header anew at each call: keep the result.
    #[must_use]
    pub fn id(&self) -> BlockId {
        self.header.id()
    }

    /// Checks that the header's hashes of data, evidence and certificate are those of the content.
    ///
    /// # Errors
    /// [`Error::Header`].
    pub fn check_hashes(&self) -> Result<(), Error> {
        let fields = [
            ("data_hash", self.header.data_hash, comet::data_hash(&self.record, &self.txs)),
            ("evidence_hash", self.header.evidence_hash, comet::evidence_hash(&self.evidence)),
            (
                "last_commit_hash",
                self.header.last_commit_hash,
                comet::commit_hash(&self.last_commit),
            ),
        ];
        for (field, got, expected) in fields {
            if got != expected {
                return Err(Error::Header {
                    field,
                    expected: expected.to_string(),
                    got: got.to_string(),
                });
            }
        }
        Ok(())
    }
}

/// One validator's part in a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitSig {
    /// Address of the validator.
    pub address: Address,
    /// Time in its precommit.
    pub timestamp: Timestamp,
    /// Signature of its precommit.
    pub signature: Signature,
}

/// A certificate: precommits of more than 2/3 of the power for one block at one height and round.
///
/// One entry per validator of the height's role table, in its order; none where its precommit for
/// the block is not in it. Precommits for nil have no place in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// Height of the certified block.
    pub height: Height,
    /// Round of the precommits.
    pub round: Round,
    /// The certified block; none only in the empty certificate of block 1.
    pub block: Option<BlockId>,
    /// By validator index.
    #[serde(deserialize_with = "codec::list::<MAX_ORGS, _, _>")]
    pub signatures: Vec<Option<CommitSig>>,
}

impl Commit {
    /// CometBFT's sign bytes of the precommit that entry `sig` holds the signature of.
    #[must_use]
    pub fn sign_bytes(&self, chain_id: &ChainId, sig: &CommitSig) -> Vec<u8> {
        let kind = crate::vote::VoteKind::Precommit;
        comet::vote_sign_bytes(chain_id, kind, self.height, self.round, self.block, sig.timestamp)
    }

    /// Checks everything but the signatures themselves: one entry per validator of `table` with
    /// its address at its index, a block, and more than 2/3 of the power.
    ///
    /// # Errors
    /// [`Error::Certificate`].
    pub fn check_power(&self, table: &RoleTable) -> Result<(), Error> {
        if self.block.is_none() {
            return Err(Error::Certificate { what: "it names no block" });
        }
        if self.signatures.len() != table.validators().len() {
            return Err(Error::Certificate { what: "not one entry per validator" });
        }
        let mut power = 0;
        for (sig, validator) in self.signatures.iter().zip(table.validators()) {
            let Some(sig) = sig else { continue };
            if sig.address != validator.address {
                return Err(Error::Certificate { what: "address of another validator" });
            }
            power += validator.power.0;
        }
        if !table.is_quorum(Power(power)) {
            return Err(Error::Certificate { what: "not more than 2/3 of the power" });
        }
        Ok(())
    }

    /// Checks every signature against the keys of `table`; call after [`Commit::check_power`].
    ///
    /// # Errors
    /// [`Error::BadSignature`].
    pub fn check_signatures(
        &self,
        verifier: &dyn Verifier,
        chain_id: &ChainId,
        table: &RoleTable,
    ) -> Result<(), Error> {
        for (sig, validator) in self.signatures.iter().zip(table.validators()) {
            let Some(sig) = sig else { continue };
            if !verifier.verifies(&validator.key, &self.sign_bytes(chain_id, sig), &sig.signature) {
                return Err(Error::BadSignature { what: "certificate", key: validator.key });
            }
        }
        Ok(())
    }
}

/// A certificate with the observations that came with its precommits: enough to propose the next
/// block.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// The precommits.
    pub commit: Commit,
    /// By validator index; there exactly where the commit has a signature.
    #[serde(deserialize_with = "codec::list::<MAX_ORGS, _, _>")]
    pub observations: Vec<Option<Observation>>,
}

impl Certificate {
    /// [`Commit::check_power`], and that observations and signatures stand at the same indexes.
    ///
    /// # Errors
    /// [`Error::Certificate`].
    pub fn check_power(&self, table: &RoleTable) -> Result<(), Error> {
        self.commit.check_power(table)?;
        let pairs = self.commit.signatures.iter().zip(&self.observations);
        if self.observations.len() != self.commit.signatures.len()
            || pairs.into_iter().any(|(sig, seen)| sig.is_some() != seen.is_some())
        {
            return Err(Error::Certificate { what: "not one observation per signature" });
        }
        Ok(())
    }

    /// Checks every signature in it, the observations' too; call after
    /// [`Certificate::check_power`].
    ///
    /// # Errors
    /// [`Error::BadSignature`].
    pub fn check_signatures(
        &self,
        verifier: &dyn Verifier,
        chain_id: &ChainId,
        table: &RoleTable,
    ) -> Result<(), Error> {
        self.commit.check_signatures(verifier, chain_id, table)?;
        let Commit { height, round, .. } = self.commit;
        for (observation, validator) in self.observations.iter().zip(table.validators()) {
            if let Some(seen) = observation {
                verify_observation(verifier, chain_id, height, round, seen, &validator.key)?;
            }
        }
        Ok(())
    }
}

/// A block with a certificate for it: what is stored for each height, and sent to whoever is
/// behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertifiedBlock {
    /// The block.
    pub block: Arc<Block>,
    /// A certificate for it; not necessarily the one that the next block carries.
    pub certificate: Certificate,
}
