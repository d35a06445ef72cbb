//! Blocks, their results, certificates and role tables.

use std::sync::Arc;

use serde_json::{Value, json};
use tandem_chain::block::CertifiedBlock;
use tandem_chain::modules::standby;
use tandem_chain::roles::RoleTable;
use tandem_chain::types::{Hash, Height};

use super::Call;
use crate::rpc::error::RpcError;
use crate::rpc::params::Params;
use crate::rpc::reading::Reader;
use crate::rpc::shapes::comet;
use crate::rpc::state::RpcState;

/// Entries of a page when none are asked for.
const PER_PAGE: u64 = 30;
/// Most entries of a page.
const MAX_PER_PAGE: u64 = 100;

pub(super) fn load(state: &RpcState, height: Height) -> Result<CertifiedBlock, RpcError> {
    // It was there when it was asked for, and may have been taken away since.
    state.db.block(height)?.ok_or_else(|| state.not_available(height))
}

/// `block`.
pub async fn block(state: &Arc<RpcState>, params: Params) -> Result<Value, RpcError> {
    let asked = params.height("height")?;
    state
        .read(move |state| {
            let certified = load(state, state.block_height(asked)?)?;
            let mut value = json!({ "block_id": comet::block_id(Some(certified.block.id())) });
            value["block"] = comet::block(&certified.block);
            Ok(value)
        })
        .await
}

/// `block_by_hash`: an empty id and null where there is no such block here.
pub async fn block_by_hash(state: &Arc<RpcState>, params: Params) -> Result<Value, RpcError> {
    let hash = params.hash("hash")?;
    state
        .read(move |state| {
            let found = state.block_by_id(&hash)?;
            let mut value = json!({ "block_id": comet::block_id(found.is_some().then_some(hash)) });
            value["block"] = found.map_or(Value::Null, |found| comet::block(&found.block));
            Ok(value)
        })
        .await
}

/// `commit`: below the newest block the certificate that the next block carries (canonical), of
/// the newest the one that this node has.
pub async fn commit(state: &Arc<RpcState>, params: Params) -> Result<Value, RpcError> {
    let asked = params.height("height")?;
    state
        .read(move |state| {
            let height = state.block_height(asked)?;
            let certified = load(state, height)?;
            let next = state.db.block(height.next())?;
            let canonical = next.is_some();
            let commit =
                next.map_or(certified.certificate.commit, |next| next.block.last_commit.clone());
            Ok(json!({
                "signed_header": {
                    "header": comet::header(&certified.block.header),
                    "commit": comet::commit(&commit),
                },
                "canonical": canonical,
            }))
        })
        .await
}

/// `block_results`.
pub async fn block_results(state: &Arc<RpcState>, params: Params) -> Result<Value, RpcError> {
    let asked = params.height("height")?;
    state
        .read(move |state| {
            let height = state.block_height(asked)?;
            let tip = state.tip();
            let missing = || {
                if height < state.db.first_height() {
                    return state.not_available(height);
                }
                RpcError::internal(format!(
                    "results of height {height} are not kept: the state after it comes from a snapshot"
                ))
            };
            let results = state.db.results(height)?.ok_or_else(missing)?;
            let app_hash = if tip.height == height {
                Some(tip.app_hash)
            } else {
                // In CometBFT's header the state after a block stands in the next one.
                state.db.block(height.next())?.map(|next| next.block.header.app_hash)
            };
            Ok(json!({
                "height": comet::number(height),
                "txs_results": results.receipts.iter().map(comet::tx_result).collect::<Vec<_>>(),
                "finalize_block_events": comet::events(&results.events),
                "validator_updates": null,
                "consensus_param_updates": null,
                // Hex, not CometBFT's base64: tendermint-rpc reads nothing else here.
                "app_hash": app_hash,
            }))
        })
        .await
}

/// `validators`: the role table of a height, with terms, and with liveness where this node remembers
/// what that block's record says.
pub async fn validators(state: &Arc<RpcState>, params: Params) -> Result<Value, RpcError> {
    let asked = params.height("height")?;
    let (page, per_page) = (params.integer("page")?, params.integer("per_page")?);
    state
        .read(move |state| {
            let tip = state.tip();
            // Role tables of the two heights to come are known.
            let newest = (tip.height > Height::ZERO).then_some(tip.height);
            let height = match asked.or(newest) {
                Some(height) if height <= tip.height.plus(2) => height,
                asked => state.block_height(asked)?,
            };
            let table = table(state, &tip, height)?;
            let alive =
                if height == tip.height { tip.alive.clone() } else { state.alive.at(height) };
            let all = table.validators();
            let range = page_range(all.len(), page, per_page)?;
            let entries: Vec<Value> = all[range]
                .iter()
                .map(|validator| {
                    let mut value = comet::validator(validator);
                    value["organization"] = json!(validator.org);
                    value["term"] = json!(comet::number(validator.term));
                    value["alive"] = json!(alive.as_ref().map(|a| a.contains(&validator.key)));
                    value
                })
                .collect();
            Ok(json!({
                "block_height": comet::number(height),
                "count": comet::number(entries.len()),
                "total": comet::number(all.len()),
                "validators": entries,
            }))
        })
        .await
}

fn table(
    state: &RpcState,
    tip: &tandem_chain::tip::Tip,
    height: Height,
) -> Result<RoleTable, RpcError> {
    if height == tip.height {
        return Ok((*tip.table).clone());
    }
    standby::table_at(&state.db, height)?.ok_or_else(|| {
        let window = tandem_chain::limits::EVIDENCE_WINDOW;
        RpcError::internal(format!(
            "the role table of height {height} is not kept: those of the last {window} heights are"
        ))
    })
}

/// Entries of a page, of those that are asked for.
pub(super) fn per_page(asked: Option<u64>) -> u64 {
    match asked {
        None | Some(0) => PER_PAGE,
        Some(asked) => asked.min(MAX_PER_PAGE),
    }
}

/// The entries of a page. Pages count from 1.
pub(super) fn page_range(
    total: usize,
    page: Option<u64>,
    per_page: Option<u64>,
) -> Result<std::ops::Range<usize>, RpcError> {
    let per_page = self::per_page(per_page);
    let pages = (total as u64).div_ceil(per_page).max(1);
    let page = page.unwrap_or(1);
    if !(1..=pages).contains(&page) {
        let text = format!("page should be within [1, {pages}] range, given {page}");
        return Err(RpcError::internal(text));
    }
    let start = usize::try_from((page - 1) * per_page).unwrap_or(total).min(total);
    let end = (start + usize::try_from(per_page).unwrap_or(total)).min(total);
    Ok(start..end)
}

/// `tx`.
pub(super) async fn tx(state: &Arc<RpcState>, call: Call) -> Result<Value, RpcError> {
    let Call { params, reader } = call;
    let (hash, prove) = (params.hash("hash")?, params.flag("prove")?);
    state.read(move |state| find_tx(state, &reader, &hash, prove)).await
}

fn find_tx(state: &RpcState, reader: &Reader, hash: &Hash, prove: bool) -> Result<Value, RpcError> {
    let not_found = || {
        let first = state.db.first_height();
        let where_else = if first > Height(1) {
            format!("no blocks below height {first} are here: ask a node that keeps all; ")
        } else {
            String::new()
        };
        // Clients know it by the last words.
        RpcError::internal(format!("{where_else}tx ({hash}) not found"))
    };
    let found = state.find(hash)?.ok_or_else(not_found)?;
    let block = load(state, found.height)?.block;
    let sender = match found.index.checked_sub(1) {
        None => None,
        Some(index) => Some(block.txs.get(index as usize).ok_or_else(not_found)?.body().sender),
    };
    reader.must_read_tx(state, &state.db.snapshot(), sender.as_ref())?;
    comet::tx(&block, found.index, &found.receipt, prove).ok_or_else(not_found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages() {
        let ranges = [
            (0, None, None, 0..0),
            (100, None, None, 0..30),
            (100, Some(4), None, 90..100),
            (100, Some(2), Some(60), 60..100),
            (100, None, Some(1_000), 0..100),
            (4, Some(1), Some(0), 0..4),
            (150, Some(2), Some(100), 100..150),
        ];
        for (total, page, per_page, expected) in ranges {
            assert_eq!(page_range(total, page, per_page), Ok(expected));
        }
        for page in [0, 5, u64::MAX] {
            let error = page_range(100, Some(page), None).unwrap_err();
            assert_eq!(error.data, format!("page should be within [1, 4] range, given {page}"));
        }
    }
}
