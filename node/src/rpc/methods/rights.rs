//! Tandem's own methods about users and what they may do with records.

use std::sync::Arc;

use serde_json::Value;
use tandem_chain::Error as ChainError;
use tandem_chain::ledger::may_send;
use tandem_chain::limits::MAX_USERS_PER_ORG;
use tandem_chain::modules::{consortium, rights};
use tandem_chain::types::OrgName;

use super::own::{public_key, to_json};
use crate::rpc::error::RpcError;
use crate::rpc::params::{Params, missing};
use crate::rpc::shapes::rights::{
    MayRead, RangeText, RightEntry, Rights, UserEntry, Users, grantee_from_text, grantee_text,
};
use crate::rpc::state::RpcState;

/// Grantees in one answer when no number is given, and at most: the ledger gives no more at once.
const GRANTEES: u64 = 30;
const MAX_GRANTEES: u64 = 60;

/// A parameter that is a name.
fn name<T: std::str::FromStr<Err = ChainError>>(
    params: &Params,
    name: &'static str,
) -> Result<T, RpcError> {
    let text = params.text(name)?.ok_or_else(|| missing(name))?;
    text.parse().map_err(|error| RpcError::params(format!("parameter {name}: {error}")))
}

/// `users`.
pub async fn users(state: &Arc<RpcState>, params: Params) -> Result<Value, RpcError> {
    let organization: OrgName = name(&params, "organization")?;
    state
        .read(move |state| {
            let snapshot = state.db.snapshot();
            if consortium::organization(&snapshot, &organization)?.is_none() {
                return Err(RpcError::internal(format!("organization ({organization}) not found")));
            }
            let found = consortium::users(&snapshot, &organization, None, MAX_USERS_PER_ORG)?;
            let users = found.into_iter().map(|(key, user)| UserEntry::new(key, user)).collect();
            to_json(&Users { organization, users })
        })
        .await
}

/// `rights`.
pub async fn rights(state: &Arc<RpcState>, params: Params) -> Result<Value, RpcError> {
    let data_set = name(&params, "data_set")?;
    let after = params.text("after")?.map(|text| grantee_from_text(&text)).transpose();
    let after = after.map_err(|error| RpcError::params(format!("parameter after: {error}")))?;
    let limit = params.integer("limit")?.unwrap_or(GRANTEES);
    if !(1..=MAX_GRANTEES).contains(&limit) {
        return Err(RpcError::params(format!("limit must be 1 to {MAX_GRANTEES}")));
    }
    state
        .read(move |state| {
            let limit = usize::try_from(limit).unwrap_or(usize::MAX);
            let snapshot = state.db.snapshot();
            let found = rights::grants(&snapshot, &data_set, after.as_ref(), limit)?;
            // All grants of a grantee stand together.
            let grantees = found.chunk_by(|one, next| one.to == next.to).count();
            let last = found.last().filter(|_| grantees == limit);
            let next = last.map(|granted| grantee_text(&granted.to));
            let rights = found.into_iter().map(RightEntry::from).collect();
            to_json(&Rights { data_set, rights, next })
        })
        .await
}

/// `may_read`.
pub async fn may_read(state: &Arc<RpcState>, params: Params) -> Result<Value, RpcError> {
    let key = public_key(&params, "key")?;
    let data_set = name(&params, "data_set")?;
    let record = params.hex("record")?;
    state
        .read(move |state| {
            let snapshot = state.db.snapshot();
            let (reach, reason) = match rights::reach(&snapshot, &key, &data_set) {
                Ok(reach) => (reach, None),
                // It reads nothing, and that is an answer.
                Err(error @ (ChainError::UnknownSender { .. } | ChainError::Suspended { .. })) => {
                    (rights::Reach::default(), Some(error.to_string()))
                }
                Err(error) => return Err(error.into()),
            };
            let tip = state.tip();
            let blocks = match tip.register.nodes.get(&state.me) {
                Some(node) if reason.is_none() => {
                    rights::may_read_blocks(&snapshot, &key, &node.org)?
                }
                _ => false,
            };
            to_json(&MayRead {
                organization: may_send(&snapshot, &key).ok(),
                data_set,
                ranges: reach.ranges().iter().map(RangeText::from).collect(),
                record: record.map(|record| reach.contains(&record)),
                blocks,
                reason,
            })
        })
        .await
}
