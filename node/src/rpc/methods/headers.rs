//! Headers, and the limits that a block had.

use std::sync::Arc;

use serde_json::{Value, json};
use tandem_chain::block::Block;
use tandem_chain::codec;
use tandem_chain::comet as format;
use tandem_chain::types::Height;

use super::blocks::load;
use crate::rpc::error::RpcError;
use crate::rpc::params::Params;
use crate::rpc::shapes::comet;
use crate::rpc::state::RpcState;

/// Headers in one answer of `blockchain`.
const MAX_HEADERS: u64 = 20;

/// `header`.
pub async fn header(state: &Arc<RpcState>, params: Params) -> Result<Value, RpcError> {
    let asked = params.height("height")?;
    state
        .read(move |state| {
            let block = load(state, state.block_height(asked)?)?.block;
            Ok(json!({ "header": comet::header(&block.header) }))
        })
        .await
}

/// `header_by_hash`: null where there is no such block here.
pub async fn header_by_hash(state: &Arc<RpcState>, params: Params) -> Result<Value, RpcError> {
    let hash = params.hash("hash")?;
    state
        .read(move |state| {
            let found = state.block_by_id(&hash)?;
            Ok(json!({ "header": found.map(|found| comet::header(&found.block.header)) }))
        })
        .await
}

/// `blockchain`: the newest headers of a range, the newest first.
pub async fn blockchain(state: &Arc<RpcState>, params: Params) -> Result<Value, RpcError> {
    let min = params.height_or_newest("minHeight")?.unwrap_or_default();
    let max = params.height_or_newest("maxHeight")?.unwrap_or_default();
    state
        .scan(move |state| {
            let newest = state.block_height(None)?;
            let max = if max == Height::ZERO { newest } else { max.min(newest) };
            let min = min.max(state.db.first_height()).max(max.back(MAX_HEADERS - 1));
            if min > max {
                let text = format!("min height {min} can't be greater than max height {max}");
                return Err(RpcError::internal(text));
            }
            let metas = (min.0..=max.0)
                .rev()
                .map(|height| Ok::<_, RpcError>(meta(&load(state, Height(height))?.block)));
            let metas = metas.collect::<Result<Vec<Value>, _>>()?;
            Ok(json!({ "last_height": comet::number(newest), "block_metas": metas }))
        })
        .await
}

fn meta(block: &Block) -> Value {
    json!({
        "block_id": comet::block_id(Some(block.id())),
        "block_size": comet::number(codec::encode(block).len()),
        "header": comet::header(&block.header),
        "num_txs": comet::number(1 + block.txs.len()),
    })
}

/// `consensus_params`: of a height whose header has the hash of today's.
pub async fn consensus_params(state: &Arc<RpcState>, params: Params) -> Result<Value, RpcError> {
    let asked = params.height("height")?;
    state
        .read(move |state| {
            let tip = state.tip();
            let next = tip.height.next();
            let max_bytes = tip.parameters.block_max_bytes;
            let height = match asked {
                None => next,
                Some(height) if height == next => next,
                asked => {
                    let height = state.block_height(asked)?;
                    let hash = load(state, height)?.block.header.consensus_hash;
                    if hash != format::consensus_hash(max_bytes) {
                        return Err(RpcError::internal(format!(
                            "the parameters of height {height} are others than today's, and are not \
                             kept: its header has their hash, {hash}"
                        )));
                    }
                    height
                }
            };
            Ok(json!({
                "block_height": comet::number(height),
                "consensus_params": comet::consensus_params(max_bytes),
            }))
        })
        .await
}
