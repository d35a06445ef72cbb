//! `broadcast_evidence`: two votes that contradict each other, which this node puts into a block that it
//! proposes. Powers and time are taken from the chain, whatever the client says of them.

use std::sync::Arc;
use std::sync::mpsc::TrySendError;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use tandem_chain::Error as ChainError;
use tandem_chain::comet::evidence_bytes;
use tandem_chain::evidence::Evidence;
use tandem_chain::keys::{Signature, Strict};
use tandem_chain::ledger;
use tandem_chain::modules::standby;
use tandem_chain::types::{Address, BlockId, Hash, Height, Round, Timestamp, escaped};
use tandem_chain::vote::{Vote, VoteKind};

use crate::driver::Accusation;
use crate::rpc::error::RpcError;
use crate::rpc::params::{Params, missing};
use crate::rpc::shapes::text;
use crate::rpc::state::RpcState;

/// The kind of evidence that there is.
const KIND: &str = "tendermint/DuplicateVoteEvidence";

/// Evidence in CometBFT's JSON; what else is in it is passed over.
#[derive(Deserialize)]
struct Given {
    #[serde(rename = "type")]
    kind: String,
    value: Votes,
}

#[derive(Deserialize)]
struct Votes {
    vote_a: GivenVote,
    vote_b: GivenVote,
}

#[derive(Deserialize)]
struct GivenVote {
    #[serde(rename = "type")]
    kind: u8,
    #[serde(with = "text")]
    height: Height,
    round: u32,
    block_id: GivenId,
    timestamp: String,
    validator_address: Address,
    validator_index: u16,
    signature: String,
}

#[derive(Deserialize)]
struct GivenId {
    hash: String,
}

impl GivenVote {
    fn vote(&self) -> Result<Vote, RpcError> {
        let bad = |what: &str, got: &str| {
            RpcError::params(format!("parameter evidence: {what}, got {}", escaped(got)))
        };
        let kind = match self.kind {
            1 => VoteKind::Prevote,
            2 => VoteKind::Precommit,
            other => return Err(bad("a vote's type is 1 or 2", &other.to_string())),
        };
        let block = match self.block_id.hash.as_str() {
            "" => None,
            digits => {
                let hash = digits.parse::<BlockId>();
                Some(hash.map_err(|_| bad("a block's hash has 64 hex digits", digits))?)
            }
        };
        let timestamp = Timestamp::from_rfc3339(&self.timestamp)
            .map_err(|_| bad("a vote's time is as RFC 3339 has it", &self.timestamp))?;
        let signature = STANDARD.decode(&self.signature).ok();
        let signature = signature.and_then(|bytes| Signature::from_slice(&bytes).ok());
        Ok(Vote {
            kind,
            height: self.height,
            round: Round(self.round),
            block,
            timestamp,
            validator_index: self.validator_index,
            validator_address: self.validator_address,
            signature: signature
                .ok_or_else(|| bad("a signature has 64 bytes, in base64", &self.signature))?,
            observation: None,
        })
    }
}

/// `broadcast_evidence`.
pub async fn broadcast(state: &Arc<RpcState>, params: Params) -> Result<Value, RpcError> {
    let given: Given = params.json("evidence")?.ok_or_else(|| missing("evidence"))?;
    if given.kind != KIND {
        let got = escaped(&given.kind);
        return Err(RpcError::params(format!("parameter evidence: its type is {KIND}, not {got}")));
    }
    let (one, other) = (given.value.vote_a.vote()?, given.value.vote_b.vote()?);
    if state.tip().next_table.by_key(&state.me).is_none() {
        return Err(RpcError::internal(
            "this node holds no seat, and proposes no block that evidence could be in: send it to the \
             validators",
        ));
    }
    let evidence = state.read(move |state| judged(state, &one, &other)).await?;
    let hash = Hash::of(&evidence_bytes(&evidence));
    let Evidence { vote_a: one, vote_b: other, key, .. } = evidence;
    match state.accuse.try_send(Accusation { key, one, other }) {
        Ok(()) => Ok(json!({ "hash": hash })),
        Err(TrySendError::Full(_)) => Err(RpcError::busy(
            "as much evidence as may wait waits for this node's turn to propose: send it again later, or \
             to another validator",
        )),
        Err(TrySendError::Disconnected(_)) => {
            Err(RpcError::busy("the node is stopping: send the evidence to another validator"))
        }
    }
}

/// The votes as evidence that a block may carry, with good signatures.
fn judged(state: &RpcState, one: &Vote, other: &Vote) -> Result<Evidence, RpcError> {
    let snapshot = state.db.snapshot();
    let refused = |error: ChainError| match error {
        error @ (ChainError::Storage { .. } | ChainError::Damaged { .. }) => error.into(),
        error => RpcError::internal(format!("this is no evidence: {error}")),
    };
    let table = standby::table_at(&snapshot, one.height)?;
    let voter =
        table.as_ref().and_then(|table| table.validators().get(usize::from(one.validator_index)));
    let key = match voter {
        Some(voter) if voter.address == one.validator_address => voter.key,
        _ => {
            return Err(RpcError::internal(format!(
                "this is no evidence: no validator {} of address {} is known of height {}",
                one.validator_index, one.validator_address, one.height
            )));
        }
    };
    let evidence = ledger::evidence(&snapshot, one, other, key).map_err(refused)?;
    evidence.verify(&Strict, &state.genesis.chain_id).map_err(refused)?;
    Ok(evidence)
}
