//! Tandem's own methods about changes of the consortium: motions, policy, changes on paper.

use std::sync::Arc;

use serde_json::Value;
use tandem_chain::modules::consortium::{self, Change, MotionStatus};

use super::own::to_json;
use crate::rpc::error::RpcError;
use crate::rpc::params::{Params, missing};
use crate::rpc::shapes::motions::{MotionInfo, Motions, PolicyInfo, Tried};
use crate::rpc::state::RpcState;

/// Motions in one answer when no number is given, and at most.
const MOTIONS: u64 = 30;
const MAX_MOTIONS: u64 = 100;

/// `motions`.
pub async fn motions(state: &Arc<RpcState>, params: Params) -> Result<Value, RpcError> {
    let only_open = params.flag("open")?;
    let before = params.integer("before")?;
    let limit = params.integer("limit")?.unwrap_or(MOTIONS);
    if !(1..=MAX_MOTIONS).contains(&limit) {
        return Err(RpcError::params(format!("limit must be 1 to {MAX_MOTIONS}")));
    }
    state
        .read(move |state| {
            let limit = usize::try_from(limit).unwrap_or(usize::MAX);
            let found = consortium::motions(&state.db.snapshot(), only_open, before, limit)?;
            to_json(&Motions { motions: found.into_iter().map(Into::into).collect() })
        })
        .await
}

/// `motion`.
pub async fn motion(state: &Arc<RpcState>, params: Params) -> Result<Value, RpcError> {
    let number = params.integer("motion")?.ok_or_else(|| missing("motion"))?;
    state
        .read(move |state| {
            let snapshot = state.db.snapshot();
            let Some(view) = consortium::motion(&snapshot, number)? else {
                return Err(RpcError::internal(format!("motion ({number}) not found")));
            };
            let tried = if view.status == MotionStatus::Open {
                Some(Tried::new(consortium::try_change(&snapshot, &view.motion.change))?)
            } else {
                None
            };
            to_json(&MotionInfo { motion: view.into(), tried })
        })
        .await
}

/// `try_change`.
pub async fn try_change(state: &Arc<RpcState>, params: Params) -> Result<Value, RpcError> {
    let change: Change = params.json("change")?.ok_or_else(|| missing("change"))?;
    state
        .read(move |state| {
            to_json(&Tried::new(consortium::try_change(&state.db.snapshot(), &change))?)
        })
        .await
}

/// `policy`.
pub async fn policy(state: &Arc<RpcState>, _: Params) -> Result<Value, RpcError> {
    state
        .read(|state| {
            let snapshot = state.db.snapshot();
            let policy = consortium::policy(&snapshot)?;
            let members = consortium::organizations(&snapshot)?;
            let members = members.iter().filter(|org| !org.is_suspended).count() as u64;
            to_json(&PolicyInfo::new(policy, members))
        })
        .await
}
