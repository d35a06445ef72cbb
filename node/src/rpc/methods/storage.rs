//! The database: figures, backup, compaction, snapshots and pruning, for the node's operator.

use std::sync::Arc;

use serde_json::{Value, json};
use tandem_chain::keys::Signature;
use tandem_chain::types::Timestamp;

use crate::operator::{OperatorCall, OperatorRequest};
use crate::rpc::error::RpcError;
use crate::rpc::params::{Params, missing};
use crate::rpc::state::RpcState;
use crate::run::wall_clock;

/// `storage`.
pub async fn storage(state: &Arc<RpcState>, params: Params) -> Result<Value, RpcError> {
    let wait = params.flag("wait")?;
    answer(state, OperatorCall::Storage { wait }, &params).await
}

/// `backup`.
pub async fn backup(state: &Arc<RpcState>, params: Params) -> Result<Value, RpcError> {
    let name = params.text("name")?.ok_or_else(|| missing("name"))?;
    let with_key = params.flag("with_key")?;
    answer(state, OperatorCall::Backup { name, with_key }, &params).await
}

/// `compact`.
pub async fn compact(state: &Arc<RpcState>, params: Params) -> Result<Value, RpcError> {
    answer(state, OperatorCall::Compact, &params).await
}

/// `take_snapshot`.
pub async fn take_snapshot(state: &Arc<RpcState>, params: Params) -> Result<Value, RpcError> {
    answer(state, OperatorCall::Snapshot, &params).await
}

/// `prune`.
pub async fn prune(state: &Arc<RpcState>, params: Params) -> Result<Value, RpcError> {
    let number = |name| Ok::<_, RpcError>(params.integer(name)?.unwrap_or(0));
    let (keep_blocks, keep_days) = (number("keep_blocks")?, number("keep_days")?);
    let dry_run = params.flag("dry_run")?;
    answer(state, OperatorCall::Prune { keep_blocks, keep_days, dry_run }, &params).await
}

/// The parameter `signature`.
pub(super) fn signature(params: &Params) -> Result<Signature, RpcError> {
    let bytes = params.hex("signature")?.ok_or_else(|| missing("signature"))?;
    Signature::from_slice(&bytes)
        .map_err(|_| RpcError::params("parameter signature must be 128 hex digits"))
}

async fn answer(
    state: &Arc<RpcState>,
    call: OperatorCall,
    params: &Params,
) -> Result<Value, RpcError> {
    let time = params.integer("time")?.ok_or_else(|| missing("time"))?;
    let signature = signature(params)?;
    let wait = matches!(call, OperatorCall::Storage { wait: true });
    let request = OperatorRequest { call, time: Timestamp(time), signature };
    let admitted = state.maintenance.admit(request, wall_clock()).map_err(RpcError::internal)?;
    if wait {
        let limit = state.config.rpc.request_timeout / 2;
        // When it takes longer, the answer tells of a job that is under way.
        let _ = tokio::time::timeout(limit, state.maintenance.idle()).await;
    }
    state
        .read(move |state| {
            let answer = state.maintenance.answer(admitted);
            answer.map(|answer| json!(answer)).map_err(RpcError::internal)
        })
        .await
}
