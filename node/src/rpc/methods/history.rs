//! `record_history`: what was written under a record's key, by the index.

use std::sync::Arc;

use serde_json::Value;
use tandem_chain::block::Block;
use tandem_chain::modules::{Call as TxCall, records};
use tandem_chain::store::Store;
use tandem_chain::types::{DataSetName, Hash, Height};

use super::Call;
use super::blocks::per_page;
use super::own::to_json;
use super::query::record_name;
use super::records::{data_set, record_key};
use crate::rpc::error::RpcError;
use crate::rpc::params::Params;
use crate::rpc::reading::Reader;
use crate::rpc::shapes::comet;
use crate::rpc::shapes::records::{RecordHistory, RecordVersion};
use crate::rpc::state::RpcState;

/// Bytes of values after which an answer ends.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// The parameter `before`: a block and a place in it.
fn before(params: &Params) -> Result<Option<(Height, u32)>, RpcError> {
    let Some(text) = params.text("before")? else { return Ok(None) };
    let place = text
        .split_once('/')
        .and_then(|(height, tx)| Some((Height(height.parse().ok()?), tx.parse().ok()?)));
    place.map(Some).ok_or_else(|| {
        let got = tandem_chain::types::escaped(&text);
        let rule = "a height, a slash and a place, as `next` in an answer has them";
        RpcError::params(format!("parameter before must be {rule}, got {got}"))
    })
}

/// `record_history`: the newest versions first.
pub(super) async fn record_history(state: &Arc<RpcState>, call: Call) -> Result<Value, RpcError> {
    let Call { params, reader } = call;
    let (data_set, key) = (data_set(&params)?, record_key(&params)?);
    let before = before(&params)?;
    let limit = usize::try_from(per_page(params.integer("limit")?)).unwrap_or(usize::MAX);
    state
        .search(move |state| {
            must_read(&state.db.snapshot(), &reader, &data_set, &key)?;
            let index = state.db.events();
            let (from, to) = index.heights()?.unwrap_or_default();
            // Of a block that is only partly in the index nothing is told.
            let end = (to.next(), 0);
            let before = before.map_or(end, |before| before.min(end));
            let writes = index.writes(&data_set, &key, before, limit + 1)?;
            let mut versions = Vec::new();
            let (mut bytes, mut next) = (0, None);
            for (height, tx, version) in &writes {
                if versions.len() == limit || bytes > MAX_BYTES {
                    next = versions
                        .last()
                        .map(|last: &RecordVersion| format!("{}/{}", last.height, last.index));
                    break;
                }
                // Blocks may be taken away meanwhile, the lowest first.
                let Some(certified) = state.db.block(*height)? else { break };
                let found = self::version(&certified.block, *tx, *version)?;
                bytes += found.value.as_ref().map_or(0, String::len);
                versions.push(found);
            }
            let key = hex::encode_upper(&key);
            to_json(&RecordHistory { data_set, key, from, to, versions, next })
        })
        .await
}

/// Refuses who may not read a record.
fn must_read(
    store: &dyn Store,
    reader: &Reader,
    data_set: &DataSetName,
    key: &[u8],
) -> Result<(), RpcError> {
    let reach = reader.reach(store, data_set)?;
    if reach.contains(key) { Ok(()) } else { Err(reader.no_records(&record_name(data_set, key))) }
}

/// What the transaction at a place of a block has written.
fn version(block: &Block, index: u32, version: u64) -> Result<RecordVersion, RpcError> {
    let height = block.header.height;
    let place = (index as usize).checked_sub(1);
    let tx = place.and_then(|place| block.txs.get(place));
    let (tx, content_type, value) = match tx.map(|tx| (tx, &tx.body().call)) {
        Some((tx, TxCall::Records(records::Call::Put { content_type, value, .. }))) => {
            (tx, content_type.clone(), Some(value))
        }
        Some((tx, TxCall::Records(records::Call::Delete { .. }))) => (tx, None, None),
        _ => {
            return Err(RpcError::internal(format!(
                "the index names transaction {index} of block {height}, which writes no record: it is \
                 damaged"
            )));
        }
    };
    Ok(RecordVersion {
        version,
        is_deleted: value.is_none(),
        height,
        index,
        time: block.header.time.to_rfc3339(),
        tx: tx.hash(),
        sender: tx.body().sender,
        content_type,
        value: value.map(|value| comet::base64(value)),
        digest: value.map(|value| Hash::of(value)),
    })
}
