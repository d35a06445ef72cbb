//! What a block must be to follow a tip: everything but signatures (see [`crate::verify`]) and
//! content (the ledger's `check`).

use std::sync::Arc;

use tandem_chain::Error;
use tandem_chain::block::{Block, Certificate, Commit, Header};
use tandem_chain::comet;
use tandem_chain::evidence::Evidence;
use tandem_chain::keys::Signer;
use tandem_chain::liveness::{LivenessRecord, Observation};
use tandem_chain::roles::RoleTable;
use tandem_chain::tip::Tip;
use tandem_chain::tx::Tx;
use tandem_chain::types::{Address, Hash, Height, Timestamp};

use crate::verify::Fault;

/// The hashes that a tip fixes for the header of the next block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fixed {
    validators: Hash,
    next_validators: Hash,
    consensus: Hash,
}

impl Fixed {
    /// Those of the block after `tip`.
    #[must_use]
    pub fn of(tip: &Tip) -> Self {
        Self {
            validators: comet::validators_hash(&tip.next_table),
            next_validators: comet::validators_hash(&tip.next_next_table),
            consensus: comet::consensus_hash(tip.parameters.block_max_bytes),
        }
    }

    /// As [`Self::of`] `tip`, where these are those of the block after `before`, the tip one block
    /// earlier: most of it stays as it was.
    #[must_use]
    pub fn next(&self, before: &Tip, tip: &Tip) -> Self {
        let known = &before.next_next_table;
        let hash = |table: &Arc<RoleTable>| {
            if table == known { self.next_validators } else { comet::validators_hash(table) }
        };
        Self {
            validators: hash(&tip.next_table),
            next_validators: hash(&tip.next_next_table),
            consensus: comet::consensus_hash(tip.parameters.block_max_bytes),
        }
    }
}

/// Checks a block against the tip that it is to follow. Who may have made it, and clocks, are
/// checked elsewhere.
///
/// # Errors
/// What differs.
pub fn check(tip: &Tip, fixed: &Fixed, block: &Block) -> Result<(), Fault> {
    check_header(tip, fixed, &block.header)?;
    check_last_commit(tip, &block.last_commit)?;
    check_record(tip, &block.record.record)?;
    Ok(())
}

/// Checks a header against the tip that its block is to follow.
///
/// # Errors
/// What differs.
pub fn check_header(tip: &Tip, fixed: &Fixed, header: &Header) -> Result<(), Fault> {
    let expected = Header {
        chain_id: tip.chain_id.clone(),
        height: tip.height.next(),
        last_block_id: tip.block,
        validators_hash: fixed.validators,
        next_validators_hash: fixed.next_validators,
        consensus_hash: fixed.consensus,
        app_hash: tip.app_hash,
        last_results_hash: tip.results_hash,
        ..header.clone()
    };
    if *header != expected {
        return Err(first_difference(header, &expected).into());
    }
    if header.time <= tip.time {
        return Err(Error::TimeNotRising.into());
    }
    Ok(())
}

fn first_difference(got: &Header, expected: &Header) -> Error {
    let id = |id: Option<Hash>| id.map_or_else(|| "none".to_owned(), |id| id.to_string());
    let fields = [
        ("chain_id", got.chain_id.to_string(), expected.chain_id.to_string()),
        ("height", got.height.to_string(), expected.height.to_string()),
        ("last_block_id", id(got.last_block_id), id(expected.last_block_id)),
        ("validators_hash", got.validators_hash.to_string(), expected.validators_hash.to_string()),
        (
            "next_validators_hash",
            got.next_validators_hash.to_string(),
            expected.next_validators_hash.to_string(),
        ),
        ("consensus_hash", got.consensus_hash.to_string(), expected.consensus_hash.to_string()),
        ("app_hash", got.app_hash.to_string(), expected.app_hash.to_string()),
        (
            "last_results_hash",
            got.last_results_hash.to_string(),
            expected.last_results_hash.to_string(),
        ),
    ];
    let (field, got, expected) =
        fields.into_iter().find(|(_, got, expected)| got != expected).expect("headers differ");
    Error::Header { field, got, expected }
}

fn check_last_commit(tip: &Tip, commit: &Commit) -> Result<(), Error> {
    if tip.height == Height::ZERO {
        return if *commit == Commit::default() {
            Ok(())
        } else {
            Err(Error::Certificate { what: "block 1 carries one" })
        };
    }
    if commit.height != tip.height || commit.block != tip.block {
        return Err(Error::Certificate { what: "it is not for the block before" });
    }
    commit.check_power(&tip.table)
}

/// Checks all but the signatures of a certificate that came with the block after `tip`: its power,
/// and that each observation has a bit per node, so that the next block can be made from it.
///
/// # Errors
/// [`Error::Certificate`], [`Error::Record`].
pub fn check_certificate(tip: &Tip, certificate: &Certificate) -> Result<(), Error> {
    certificate.check_power(&tip.next_table)?;
    check_lengths(&certificate.observations, tip.register.nodes.len())
}

/// Checks that each observation has one bit per node.
pub(crate) fn check_lengths(
    observations: &[Option<Observation>],
    bits: usize,
) -> Result<(), Error> {
    if observations.iter().flatten().any(|o| o.seen.len() != bits) {
        return Err(Error::Record { what: "an observation has not one bit per node" });
    }
    Ok(())
}

/// The record is the one that follows from the certificate in the block: the same derivation by
/// everyone.
fn check_record(tip: &Tip, record: &LivenessRecord) -> Result<(), Error> {
    check_lengths(&record.observations, tip.previous_register.nodes.len())?;
    if *record != derive(tip, record.observations.clone()) {
        return Err(Error::Record { what: "it does not follow from its observations" });
    }
    Ok(())
}

fn derive(tip: &Tip, observations: Vec<Option<Observation>>) -> LivenessRecord {
    let height = tip.height.next();
    if tip.height == Height::ZERO {
        return LivenessRecord { height, ..LivenessRecord::default() };
    }
    LivenessRecord::derive(height, &tip.table, &tip.previous_register, observations)
}

/// Makes the block that follows a tip.
#[must_use]
pub fn build(
    tip: &Tip,
    fixed: &Fixed,
    certificate: &Certificate,
    time: Timestamp,
    content: (Vec<Tx>, Vec<Evidence>),
    signer: &dyn Signer,
) -> Block {
    let (txs, evidence) = content;
    let record = derive(tip, certificate.observations.clone()).sign(&tip.chain_id, signer);
    let last_commit = certificate.commit.clone();
    let proposer_address: Address = signer.public().address();
    let header = Header {
        chain_id: tip.chain_id.clone(),
        height: tip.height.next(),
        time,
        last_block_id: tip.block,
        last_commit_hash: comet::commit_hash(&last_commit),
        data_hash: comet::data_hash(&record, &txs),
        validators_hash: fixed.validators,
        next_validators_hash: fixed.next_validators,
        consensus_hash: fixed.consensus,
        app_hash: tip.app_hash,
        last_results_hash: tip.results_hash,
        evidence_hash: comet::evidence_hash(&evidence),
        proposer_address,
    };
    Block { header, record, txs, evidence, last_commit }
}
