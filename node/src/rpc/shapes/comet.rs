//! Values of the chain in CometBFT 0.38's JSON.
//!
//! Integers of 64 bits are strings, hashes upper-case hex, times RFC 3339 in UTC, keys,
//! signatures and transactions base64.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tandem_chain::block::{Block, Commit, CommitSig, Header};
use tandem_chain::codec;
use tandem_chain::comet::{APP_VERSION, BLOCK_VERSION, tx_inclusion};
use tandem_chain::evidence::Evidence;
use tandem_chain::keys::PublicKey;
use tandem_chain::ledger::{Event, Receipt};
use tandem_chain::limits::{EVIDENCE_WINDOW, MAX_BLOCK_BYTES};
use tandem_chain::roles::Validator;
use tandem_chain::types::{BlockId, Hash, Power, TxHash};
use tandem_chain::vote::{Vote, VoteKind};

use crate::storage::hashes;

/// Go's zero time, which CometBFT writes where there is none.
const NO_TIME: &str = "0001-01-01T00:00:00Z";

/// Bytes as base64.
#[must_use]
pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// A number of 64 bits.
#[must_use]
pub fn number(number: impl std::fmt::Display) -> String {
    number.to_string()
}

/// A public key.
#[must_use]
pub fn public_key(key: &PublicKey) -> Value {
    json!({ "type": "tendermint/PubKeyEd25519", "value": base64(key.as_bytes()) })
}

/// A block's id with its part-set header; none is the empty struct of height 1 and of nil votes.
#[must_use]
pub fn block_id(id: Option<BlockId>) -> Value {
    match id {
        Some(id) => {
            let hash = id.to_string();
            json!({ "hash": hash, "parts": { "total": 1, "hash": hash } })
        }
        None => json!({ "hash": "", "parts": { "total": 0, "hash": "" } }),
    }
}

/// A header.
#[must_use]
pub fn header(header: &Header) -> Value {
    json!({
        "version": { "block": number(BLOCK_VERSION), "app": number(APP_VERSION) },
        "chain_id": header.chain_id,
        "height": number(header.height),
        "time": header.time.to_rfc3339(),
        "last_block_id": block_id(header.last_block_id),
        "last_commit_hash": header.last_commit_hash,
        "data_hash": header.data_hash,
        "validators_hash": header.validators_hash,
        "next_validators_hash": header.next_validators_hash,
        "consensus_hash": header.consensus_hash,
        "app_hash": header.app_hash,
        "last_results_hash": header.last_results_hash,
        "evidence_hash": header.evidence_hash,
        "proposer_address": header.proposer_address,
    })
}

/// A certificate.
#[must_use]
pub fn commit(commit: &Commit) -> Value {
    json!({
        "height": number(commit.height),
        "round": commit.round.0,
        "block_id": block_id(commit.block),
        "signatures": commit.signatures.iter().map(|sig| commit_sig(sig.as_ref())).collect::<Vec<_>>(),
    })
}

fn commit_sig(sig: Option<&CommitSig>) -> Value {
    match sig {
        Some(sig) => json!({
            "block_id_flag": 2,
            "validator_address": sig.address,
            "timestamp": sig.timestamp.to_rfc3339(),
            "signature": base64(sig.signature.as_bytes()),
        }),
        None => json!({
            "block_id_flag": 1,
            "validator_address": "",
            "timestamp": NO_TIME,
            "signature": null,
        }),
    }
}

/// A block; transaction 0 is the liveness record.
#[must_use]
pub fn block(block: &Block) -> Value {
    let record = base64(&codec::encode(&block.record));
    let txs = block.txs.iter().map(|tx| base64(tx.bytes()));
    // Built by hand: `json!` would copy megabytes of transactions.
    let txs: Vec<Value> = std::iter::once(record).chain(txs).map(Value::String).collect();
    let mut value = json!({
        "header": header(&block.header),
        "data": {},
        "evidence": { "evidence": block.evidence.iter().map(evidence).collect::<Vec<_>>() },
        "last_commit": commit(&block.last_commit),
    });
    value["data"]["txs"] = Value::Array(txs);
    value
}

/// Evidence of two votes for one round.
#[must_use]
pub fn evidence(evidence: &Evidence) -> Value {
    json!({
        "type": "tendermint/DuplicateVoteEvidence",
        "value": {
            "vote_a": vote(&evidence.vote_a),
            "vote_b": vote(&evidence.vote_b),
            "TotalVotingPower": number(evidence.total_power),
            "ValidatorPower": number(evidence.validator_power),
            "Timestamp": evidence.timestamp.to_rfc3339(),
        },
    })
}

fn vote(vote: &Vote) -> Value {
    let kind = match vote.kind {
        VoteKind::Prevote => 1,
        VoteKind::Precommit => 2,
    };
    json!({
        "type": kind,
        "height": number(vote.height),
        "round": vote.round.0,
        "block_id": block_id(vote.block),
        "timestamp": vote.timestamp.to_rfc3339(),
        "validator_address": vote.validator_address,
        "validator_index": vote.validator_index,
        "signature": base64(vote.signature.as_bytes()),
        "extension": null,
        "extension_signature": null,
    })
}

/// A transaction of a block with its result, and with its proof of inclusion when one is wanted; none when
/// there is none at that place. Place 0 is the liveness record.
#[must_use]
pub fn tx(block: &Block, place: u32, receipt: &Receipt, prove: bool) -> Option<Value> {
    let index = usize::try_from(place).ok()?;
    let bytes = match index.checked_sub(1) {
        None => codec::encode(&block.record),
        Some(index) => block.txs.get(index)?.bytes().to_vec(),
    };
    let mut value = json!({
        "hash": Hash::of(&bytes),
        "height": number(block.header.height),
        "index": place,
        "tx_result": tx_result(receipt),
        "tx": base64(&bytes),
    });
    if prove {
        let hashes: Vec<TxHash> = hashes(block).collect();
        let way = tx_inclusion(&hashes, index)?;
        value["proof"] = json!({
            "root_hash": block.header.data_hash,
            "data": value["tx"],
            "proof": {
                "total": number(way.total),
                "index": number(way.index),
                "leaf_hash": base64(way.leaf.as_bytes()),
                "aunts": way.aunts.iter().map(|hash| base64(hash.as_bytes())).collect::<Vec<_>>(),
            },
        });
    }
    Some(value)
}

/// Limits of blocks and evidence, as far as CometBFT has a place for them.
#[must_use]
pub fn consensus_params(block_max_bytes: u64) -> Value {
    json!({
        "block": { "max_bytes": number(block_max_bytes), "max_gas": "-1" },
        "evidence": {
            "max_age_num_blocks": number(EVIDENCE_WINDOW),
            "max_age_duration": "0",
            "max_bytes": number(MAX_BLOCK_BYTES),
        },
        "validator": { "pub_key_types": ["ed25519"] },
        "version": { "app": number(APP_VERSION) },
        "abci": { "vote_extensions_enable_height": "1" },
    })
}

/// An entry of a validator set. The chain has no rotating priorities: it is always 0.
#[must_use]
pub fn validator(validator: &Validator) -> Value {
    json!({
        "address": validator.address,
        "pub_key": public_key(&validator.key),
        "voting_power": number(validator.power),
        "proposer_priority": "0",
    })
}

/// The validator that a node is for `status`: with power 0 when it holds no seat.
#[must_use]
pub fn own_validator(key: &PublicKey, power: Power) -> Value {
    json!({
        "address": key.address(),
        "pub_key": public_key(key),
        "voting_power": number(power),
    })
}

/// The result of a transaction.
#[must_use]
pub fn tx_result(receipt: &Receipt) -> Value {
    let data = (!receipt.data.is_empty()).then(|| base64(&receipt.data));
    json!({
        "code": receipt.code,
        "data": data,
        "log": receipt.log,
        "info": "",
        "gas_wanted": "0",
        "gas_used": "0",
        "events": events(&receipt.events),
        "codespace": codespace(receipt.code),
    })
}

/// The name space of error codes: none for success.
#[must_use]
pub fn codespace(code: u32) -> &'static str {
    if code == 0 { "" } else { "tandem" }
}

/// Events.
#[must_use]
pub fn events(events: &[Event]) -> Value {
    let one = |event: &Event| {
        let attributes: Vec<Value> = event
            .attributes
            .iter()
            .map(|(key, value)| json!({ "key": key, "value": value, "index": true }))
            .collect();
        json!({ "type": event.kind, "attributes": attributes })
    };
    events.iter().map(one).collect()
}
