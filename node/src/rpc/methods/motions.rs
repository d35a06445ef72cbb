//! Tandem's own methods about changes of the consortium: motions, policy, changes on paper.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use tandem_chain::modules::consortium::{self, Change, MotionStatus};
use tandem_chain::modules::parameters;
use tandem_chain::store::Store;
use tandem_chain::types::OrgName;

use super::own::to_json;
use crate::rpc::error::RpcError;
use crate::rpc::params::{Params, missing};
use crate::rpc::shapes::motions::{Changed, MotionInfo, Motions, PolicyInfo, Tried};
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
                Some(tried(&snapshot, &view.motion.change)?)
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
    state.read(move |state| to_json(&tried(&state.db.snapshot(), &change)?)).await
}

/// A change on paper.
fn tried(store: &dyn Store, change: &Change) -> Result<Tried, RpcError> {
    Ok(Tried::new(consortium::try_change(store, change), replaced(store, change)?)?)
}

/// The values that a change replaces by others, as they are now and as they would be.
fn replaced(store: &dyn Store, change: &Change) -> Result<Vec<Changed>, RpcError> {
    let of_org = |what: &str, name: &OrgName, old: String, new: String| {
        let changed = Changed { name: format!("{what} of {name}"), old, new };
        if changed.old == changed.new { Vec::new() } else { vec![changed] }
    };
    match change {
        Change::SetParameters(new) => differing(&parameters::current(store)?, new),
        Change::SetPolicy(new) => differing(&consortium::policy(store)?, new),
        Change::SetPower { name, power } => {
            let Some(org) = consortium::organization(store, name)? else { return Ok(Vec::new()) };
            Ok(of_org("power", name, org.power.to_string(), power.to_string()))
        }
        Change::ReplaceAdminKey { name, key } => {
            let Some(org) = consortium::organization(store, name)? else { return Ok(Vec::new()) };
            Ok(of_org("admin key", name, org.admin_key.to_string(), key.to_string()))
        }
        Change::AddOrg { .. }
        | Change::RemoveOrg { .. }
        | Change::SuspendOrg { .. }
        | Change::RestoreOrg { .. } => Ok(Vec::new()),
    }
}

/// The fields of a struct that have other values in another of its kind.
fn differing<T: Serialize>(old: &T, new: &T) -> Result<Vec<Changed>, RpcError> {
    let (old, new) = (to_json(old)?, to_json(new)?);
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let fields = old.as_object().into_iter().flatten();
    let changed = fields.filter_map(|(name, old)| {
        let new = &new[name];
        (new != old).then(|| Changed { name: name.clone(), old: text(old), new: text(new) })
    });
    Ok(changed.collect())
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
