//! Transactions that wait for a block, and what would be said of one that is not sent.

use std::sync::Arc;

use serde_json::{Value, json};
use tandem_chain::ledger::Receipt;
use tandem_chain::limits::MAX_TX_BYTES;

use super::blocks::per_page;
use super::submit::verdict;
use crate::rpc::error::RpcError;
use crate::rpc::params::{Params, missing};
use crate::rpc::shapes::comet;
use crate::rpc::state::RpcState;

/// Bytes of the transactions in one answer.
const MAX_BYTES: usize = 4 * 1024 * 1024;
const _: () = assert!(MAX_BYTES >= MAX_TX_BYTES);

/// `num_unconfirmed_txs`.
pub async fn num_unconfirmed_txs(state: &Arc<RpcState>, _: Params) -> Result<Value, RpcError> {
    let (count, bytes) = state.admission.waiting();
    Ok(json!({
        "n_txs": comet::number(count),
        "total": comet::number(count),
        "total_bytes": comet::number(bytes),
        "txs": null,
    }))
}

/// `unconfirmed_txs`: those that have waited longest.
pub async fn unconfirmed_txs(state: &Arc<RpcState>, params: Params) -> Result<Value, RpcError> {
    let limit = usize::try_from(per_page(params.integer("limit")?)).unwrap_or(usize::MAX);
    let (total, bytes) = state.admission.waiting();
    let txs = state.admission.take(MAX_BYTES, limit);
    Ok(json!({
        "n_txs": comet::number(txs.len()),
        "total": comet::number(total),
        "total_bytes": comet::number(bytes),
        "txs": txs.iter().map(|tx| comet::base64(tx.bytes())).collect::<Vec<_>>(),
    }))
}

/// `check_tx`: what `broadcast_tx_sync` would find, of a transaction that is not taken in.
pub async fn check_tx(state: &Arc<RpcState>, params: Params) -> Result<Value, RpcError> {
    let bytes = params.base64("tx")?.ok_or_else(|| missing("tx"))?;
    let checked = state.read(move |state| Ok(state.admission.check(bytes))).await?;
    let (code, log) = verdict(&checked);
    Ok(comet::tx_result(&Receipt { code, log, ..Receipt::default() }))
}
