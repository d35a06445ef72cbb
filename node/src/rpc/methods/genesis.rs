//! The genesis, whole and in chunks.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::rpc::error::RpcError;
use crate::rpc::params::Params;
use crate::rpc::shapes::comet;
use crate::rpc::state::RpcState;

/// Bytes of a chunk, as in CometBFT.
const CHUNK_BYTES: usize = 16 * 1024 * 1024;

/// CometBFT's document; Tandem's own is its `app_state`.
fn document(state: &RpcState) -> Result<Value, RpcError> {
    let genesis = &state.genesis;
    let table = genesis.role_table();
    let validators: Vec<Value> = table
        .validators()
        .iter()
        .map(|validator| {
            json!({
                "address": validator.address,
                "pub_key": comet::public_key(&validator.key),
                "power": comet::number(validator.power),
                "name": validator.org,
            })
        })
        .collect();
    let app_state =
        serde_json::to_value(&**genesis).map_err(|error| RpcError::internal(error.to_string()))?;
    Ok(json!({
        "genesis_time": genesis.genesis_time.to_rfc3339(),
        "chain_id": genesis.chain_id,
        "initial_height": "1",
        "consensus_params": comet::consensus_params(genesis.parameters.block_max_bytes),
        "validators": validators,
        "app_hash": "",
        "app_state": app_state,
    }))
}

/// `genesis`.
pub async fn genesis(state: &Arc<RpcState>, _: Params) -> Result<Value, RpcError> {
    Ok(json!({ "genesis": document(state)? }))
}

/// `genesis_chunked`: parts of the document's text.
pub async fn chunked(state: &Arc<RpcState>, params: Params) -> Result<Value, RpcError> {
    let asked = params.integer("chunk")?.unwrap_or(0);
    let text = document(state)?.to_string();
    chunk(text.as_bytes(), CHUNK_BYTES, asked)
}

fn chunk(text: &[u8], bytes: usize, asked: u64) -> Result<Value, RpcError> {
    let total = text.len().div_ceil(bytes);
    let found = usize::try_from(asked).ok().and_then(|asked| text.chunks(bytes).nth(asked));
    let data = found.ok_or_else(|| {
        let last = total.saturating_sub(1);
        RpcError::internal(format!(
            "there are {total} chunks, 0 to {last}, but {asked} was asked for"
        ))
    })?;
    Ok(json!({
        "chunk": comet::number(asked),
        "total": comet::number(total),
        "data": comet::base64(data),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_together_are_the_text() {
        let chunk = |asked| chunk(b"0123456789", 4, asked);
        for (asked, data) in [(0, "0123"), (1, "4567"), (2, "89")] {
            let expected = json!({
                "chunk": asked.to_string(),
                "total": "3",
                "data": comet::base64(data.as_bytes()),
            });
            assert_eq!(chunk(asked), Ok(expected));
        }
        for asked in [3, u64::MAX] {
            let error = chunk(asked).unwrap_err();
            let text = format!("there are 3 chunks, 0 to 2, but {asked} was asked for");
            assert_eq!((error.code, error.data), (-32603, text));
        }
    }
}
