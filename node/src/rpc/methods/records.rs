//! Data sets, records and proofs of them, with types of their own. `abci_query` answers the first two in
//! CometBFT's shape.

use std::sync::Arc;

use serde_json::Value;
use tandem_chain::Error;
use tandem_chain::limits::{MAX_LIST, MAX_RECORD_KEY_BYTES};
use tandem_chain::modules::records;
use tandem_chain::store::{Column, Store};
use tandem_chain::tree;
use tandem_chain::types::DataSetName;

use super::Call;
use super::own::to_json;
use super::query::{data_sets as sets_of, entries};
use crate::rpc::error::RpcError;
use crate::rpc::params::{Params, missing};
use crate::rpc::shapes::comet;
use crate::rpc::shapes::records::{ProofInfo, RecordsInfo, StateProof};
use crate::rpc::state::RpcState;

/// Records of a listing when no limit is given.
const RECORDS: u64 = 100;

/// The parameter `data_set`.
pub(super) fn data_set(params: &Params) -> Result<DataSetName, RpcError> {
    let name = params.text("data_set")?.ok_or_else(|| missing("data_set"))?;
    name.parse().map_err(|error: Error| RpcError::params(format!("parameter data_set: {error}")))
}

/// The parameter `key`: that of a record.
pub(super) fn record_key(params: &Params) -> Result<Vec<u8>, RpcError> {
    let key = params.hex("key")?.ok_or_else(|| missing("key"))?;
    if key.is_empty() || key.len() > MAX_RECORD_KEY_BYTES {
        let got = key.len();
        return Err(RpcError::params(format!(
            "parameter key has {got} bytes: a record's key has 1 to {MAX_RECORD_KEY_BYTES}"
        )));
    }
    Ok(key)
}

/// `data_sets`.
pub async fn data_sets(state: &Arc<RpcState>, _: Params) -> Result<Value, RpcError> {
    state.read(|state| to_json(&sets_of(&state.db.snapshot())?)).await
}

/// `records`: a part of a data set's.
pub(super) async fn records(state: &Arc<RpcState>, call: Call) -> Result<Value, RpcError> {
    let Call { params, reader } = call;
    let data_set = data_set(&params)?;
    let prefix = params.hex("prefix")?.unwrap_or_default();
    let after = params.hex("after")?;
    let limit = match params.integer("limit")?.unwrap_or(RECORDS) {
        limit if (1..=MAX_LIST as u64).contains(&limit) => limit,
        _ => return Err(RpcError::params(format!("limit must be 1 to {MAX_LIST}"))),
    };
    state
        .read(move |state| {
            let snapshot = state.db.snapshot();
            let height = snapshot.height()?;
            let sets = records::data_sets(&snapshot)?;
            let set = sets.into_iter().find(|set| set.name == data_set);
            let owner = set.ok_or_else(|| no_data_set(&data_set))?.owner;
            let reach = reader.reach(&snapshot, &data_set)?;
            if reach.ranges().is_empty() {
                return Err(reader.no_records(&format!("records of data set {data_set}")));
            }
            let limit = usize::try_from(limit).unwrap_or(MAX_LIST);
            let after = after.as_deref();
            let page = records::list_within(&snapshot, &reach, &data_set, &prefix, after, limit)?;
            let next = page.next.map(hex::encode_upper);
            let records = entries(page.records).collect();
            to_json(&RecordsInfo { height, data_set, owner, records, next })
        })
        .await
}

fn no_data_set(name: &DataSetName) -> RpcError {
    RpcError::internal(format!("there is no data set {name}: data_sets lists those that there are"))
}

/// `proof`: what the state has under a record's key, or that it has nothing, with the way to the
/// commitment that the next header has. The way has hashes of other records.
pub async fn proof(state: &Arc<RpcState>, params: Params) -> Result<Value, RpcError> {
    let (data_set, key) = (data_set(&params)?, record_key(&params)?);
    state
        .read(move |state| {
            let snapshot = state.db.snapshot();
            let state_key = records::state_key(&data_set, &key);
            let stored = snapshot.get(Column::State, &state_key)?;
            let record = match records::get(&snapshot, &data_set, &key) {
                Err(Error::NotFound { .. }) => None,
                found => found?,
            };
            let height = snapshot.height()?;
            to_json(&ProofInfo {
                height,
                header_height: height.next(),
                app_hash: tree::root(&snapshot)?,
                data_set,
                key: hex::encode_upper(&key),
                version: record.as_ref().map(|record| record.version),
                content_type: record.as_ref().and_then(|record| record.content_type.clone()),
                value: record.and_then(|record| record.value).map(|value| comet::base64(&value)),
                state_key: hex::encode_upper(&state_key),
                state_value: stored.map(|value| comet::base64(&value)),
                proof: StateProof::from(tree::prove(&snapshot, &state_key)?),
            })
        })
        .await
}
