//! `tx_search` and `block_search`.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use tandem_chain::block::Block;
use tandem_chain::codec;
use tandem_chain::ledger::Receipt;
use tandem_chain::types::Height;

use super::blocks::{load, page_range};
use crate::query::Query;
use crate::rpc::error::RpcError;
use crate::rpc::params::{Params, missing};
use crate::rpc::shapes::comet;
use crate::rpc::state::RpcState;
use crate::search::{SearchError, search};
use crate::storage::EventKind;

/// Bytes of blocks and transactions in one answer.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// What is asked of both.
struct Asked {
    query: Query,
    page: Option<u64>,
    per_page: Option<u64>,
    /// The newest first.
    is_falling: bool,
}

impl Asked {
    fn new(params: &Params, falls: bool) -> Result<Self, RpcError> {
        let query = params.text("query")?.ok_or_else(|| missing("query"))?;
        let query = query.parse::<Query>().map_err(|error| RpcError::params(error.to_string()))?;
        let is_falling = match params.text("order_by")?.as_deref() {
            None | Some("") => falls,
            Some("asc") => false,
            Some("desc") => true,
            Some(other) => {
                let got = tandem_chain::types::escaped(other);
                let rule = "parameter order_by must be asc or desc";
                return Err(RpcError::params(format!("{rule}, got {got}")));
            }
        };
        let (page, per_page) = (params.integer("page")?, params.integer("per_page")?);
        Ok(Self { query, page, per_page, is_falling })
    }

    /// A page of what is found.
    fn find(&self, state: &RpcState, kind: EventKind) -> Result<FoundPage, RpcError> {
        let events = state.db.events();
        let until = Instant::now() + state.config.rpc.request_timeout;
        let found = search(&events, kind, &self.query, until, |hash| state.db.tx(hash))?;
        let total = found.count(&events)?;
        let Range { start, end } = page_range(total, self.page, self.per_page)?;
        let places = if self.is_falling {
            let mut part = found.part(&events, total - end..total - start)?;
            part.reverse();
            part
        } else {
            found.part(&events, start..end)?
        };
        Ok(FoundPage { places, total, heights: events.heights()?.unwrap_or_default() })
    }
}

/// A page of what is found.
struct FoundPage {
    /// Blocks, or transactions with their places.
    places: Vec<(Height, u32)>,
    /// How much is found.
    total: usize,
    /// The lowest and the highest block that the index has.
    heights: (Height, Height),
}

impl FoundPage {
    /// The answer, with what stands at the places.
    fn answer(&self, name: &str, entries: Vec<Value>) -> Value {
        let (from, to) = self.heights;
        let mut value = json!({
            "total_count": comet::number(self.total),
            "from": comet::number(from),
            "to": comet::number(to),
        });
        value[name] = Value::Array(entries);
        value
    }
}

impl From<SearchError> for RpcError {
    fn from(error: SearchError) -> Self {
        match error {
            SearchError::Condition { .. } => Self::params(error.to_string()),
            SearchError::Chain(_) | SearchError::TooManySteps | SearchError::TooLong => {
                Self::internal(error.to_string())
            }
        }
    }
}

/// Counts bytes of an answer.
struct Room(usize);

impl Room {
    fn take(&mut self, bytes: usize) -> Result<(), RpcError> {
        self.0 = self.0.checked_sub(bytes).ok_or_else(|| {
            RpcError::internal(format!(
                "what is on this page has over {MAX_BYTES} bytes: ask for fewer with per_page"
            ))
        })?;
        Ok(())
    }
}

/// `tx_search`: the oldest first when nothing else is said.
pub async fn tx_search(state: &Arc<RpcState>, params: Params) -> Result<Value, RpcError> {
    let (asked, prove) = (Asked::new(&params, false)?, params.flag("prove")?);
    state
        .search(move |state| {
            let page = asked.find(state, EventKind::Transaction)?;
            let (mut room, mut last) = (Room(MAX_BYTES), None);
            let mut txs = Vec::with_capacity(page.places.len());
            for (height, place) in page.places.iter().copied() {
                let (block, receipts) = match last.take() {
                    Some((of, found)) if of == height => found,
                    _ => with_receipts(state, height)?,
                };
                let missing = || state.not_available(height);
                let receipt = receipts.get(place as usize).ok_or_else(missing)?;
                room.take(size(&block, place))?;
                txs.push(comet::tx(&block, place, receipt, prove).ok_or_else(missing)?);
                last = Some((height, (block, receipts)));
            }
            Ok(page.answer("txs", txs))
        })
        .await
}

/// A block with the results of its transactions.
fn with_receipts(state: &RpcState, height: Height) -> Result<(Arc<Block>, Vec<Receipt>), RpcError> {
    let block = load(state, height)?.block;
    let results = state.db.results(height)?.ok_or_else(|| state.not_available(height))?;
    Ok((block, results.receipts))
}

/// Bytes of a transaction.
fn size(block: &Block, place: u32) -> usize {
    let tx = (place as usize).checked_sub(1).and_then(|index| block.txs.get(index));
    tx.map_or_else(|| codec::encode(&block.record).len(), |tx| tx.bytes().len())
}

/// `block_search`: the newest first when nothing else is said.
pub async fn block_search(state: &Arc<RpcState>, params: Params) -> Result<Value, RpcError> {
    let asked = Asked::new(&params, true)?;
    state
        .search(move |state| {
            let page = asked.find(state, EventKind::Block)?;
            let mut room = Room(MAX_BYTES);
            let mut blocks = Vec::with_capacity(page.places.len());
            for (height, _) in page.places.iter().copied() {
                let block = load(state, height)?.block;
                room.take(codec::encode(&*block).len())?;
                let mut value = json!({ "block_id": comet::block_id(Some(block.id())) });
                value["block"] = comet::block(&block);
                blocks.push(value);
            }
            Ok(page.answer("blocks", blocks))
        })
        .await
}
