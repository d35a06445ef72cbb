//! `liveness`: the liveness records of a range of blocks.

use std::sync::Arc;

use serde_json::Value;
use tandem_chain::types::Height;

use super::blocks::load;
use super::own::to_json;
use crate::rpc::error::RpcError;
use crate::rpc::params::Params;
use crate::rpc::shapes::tandem::{Liveness, LivenessEntry};
use crate::rpc::state::RpcState;

/// Records in one answer when no range is given, and at most.
const RECORDS: u64 = 30;
const MAX_RECORDS: u64 = 100;

/// `liveness`.
pub async fn liveness(state: &Arc<RpcState>, params: Params) -> Result<Value, RpcError> {
    let (from, to) = (params.height("from")?, params.height("to")?);
    state
        .scan(move |state| {
            let to = state.block_height(to)?;
            let lowest = state.db.first_height();
            let from = match from {
                None => to.back(RECORDS - 1).max(lowest),
                Some(from) if from < lowest => return Err(state.not_available(from)),
                Some(from) => from,
            };
            if from > to {
                return Err(RpcError::params(format!("from is {from}, and to is {to}, below it")));
            }
            if to.0 - from.0 >= MAX_RECORDS {
                return Err(RpcError::params(format!(
                    "from {from} to {to} are {} records: at most {MAX_RECORDS} are given at once",
                    to.0 - from.0 + 1
                )));
            }
            let entry = |height| -> Result<LivenessEntry, RpcError> {
                let block = load(state, height)?.block;
                let alive = state.alive.at(height);
                let alive_nodes = alive.map(|nodes| nodes.iter().copied().collect());
                Ok(LivenessEntry::new(&block, alive_nodes))
            };
            let records = (from.0..=to.0).map(|height| entry(Height(height)));
            to_json(&Liveness { from, to, records: records.collect::<Result<_, _>>()? })
        })
        .await
}
