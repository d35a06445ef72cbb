//! Sending transactions.
//!
//! The `code` in an answer is that of the checks at admission; 0 means that the transaction waits
//! for a block. Only a receipt (`tx`, or `tx_result` of `broadcast_tx_commit`) says that it was
//! executed.

use std::sync::Arc;

use serde_json::{Value, json};
use tandem_chain::Error as ChainError;
use tandem_chain::types::{Hash, TxHash};

use crate::admission::AdmissionError;
use crate::rpc::error::RpcError;
use crate::rpc::params::{Params, missing};
use crate::rpc::shapes::comet;
use crate::rpc::state::RpcState;
use crate::rpc::waiters::Found;

fn answer(hash: TxHash, result: &Result<TxHash, AdmissionError>) -> Value {
    let (code, log) = verdict(result);
    json!({
        "code": code,
        "data": "",
        "log": log,
        "codespace": comet::codespace(code),
        "hash": hash,
    })
}

pub(super) fn verdict(result: &Result<TxHash, AdmissionError>) -> (u32, String) {
    match result {
        Ok(_) => (0, String::new()),
        Err(error) => (error.code(), error.to_string()),
    }
}

/// `broadcast_tx_async`.
pub async fn broadcast_async(state: &Arc<RpcState>, params: Params) -> Result<Value, RpcError> {
    let bytes = params.base64("tx")?.ok_or_else(|| missing("tx"))?;
    let hash = Hash::of(&bytes);
    Ok(answer(hash, &state.admission.submit_unchecked(bytes)))
}

/// `broadcast_tx_sync`.
pub async fn broadcast_sync(state: &Arc<RpcState>, params: Params) -> Result<Value, RpcError> {
    let bytes = params.base64("tx")?.ok_or_else(|| missing("tx"))?;
    let hash = Hash::of(&bytes);
    Ok(answer(hash, &state.admission.submit(bytes).await))
}

/// `broadcast_tx_commit`: of a transaction that is in the chain already, its receipt.
pub async fn broadcast_commit(state: &Arc<RpcState>, params: Params) -> Result<Value, RpcError> {
    let bytes = params.base64("tx")?.ok_or_else(|| missing("tx"))?;
    let hash = Hash::of(&bytes);
    // Before it is sent: its block may come at once.
    let mut waiter = state.waiters.add(hash)?;
    let admitted = state.admission.submit(bytes).await;
    let found = match &admitted {
        Ok(_) => {
            let limit = state.config.rpc.broadcast_commit_timeout;
            match tokio::time::timeout(limit, waiter.found()).await {
                Ok(Some(found)) => Some(found),
                Ok(None) => {
                    return Err(RpcError::busy(format!(
                        "the node is stopping: tx {hash} may still be included in a block; ask \
                         another node for it with tx, or send it the same bytes"
                    )));
                }
                Err(_) => {
                    return Err(RpcError::internal(format!(
                        "timed out waiting for tx {hash} to be included in a block: it may still \
                         be; ask for it with tx, or send the same bytes again"
                    )));
                }
            }
        }
        Err(AdmissionError::Refused(ChainError::Repeated { .. })) => {
            state.read(move |state| state.find(&hash)).await?
        }
        Err(_) => None,
    };
    let (code, log) = if found.is_some() { (0, String::new()) } else { verdict(&admitted) };
    let check = tandem_chain::ledger::Receipt { code, log, ..Default::default() };
    let (height, receipt) = match found {
        Some(Found { height, receipt, .. }) => (height.0, receipt),
        None => Default::default(),
    };
    Ok(json!({
        "check_tx": comet::tx_result(&check),
        "tx_result": comet::tx_result(&receipt),
        "hash": hash,
        "height": comet::number(height),
    }))
}
