//! Blocks in short. A block never changes: what was made of one is remembered.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tandem_chain::block::CertifiedBlock;
use tandem_chain::keys::PublicKey;
use tandem_chain::tx::Tx;
use tandem_chain::types::{Address, Height, OrgName, Round, Timestamp, TxHash};

use super::value;
use crate::decode::readable;
use crate::rpc::error::RpcError;
use crate::rpc::state::RpcState;

/// Blocks that are remembered.
const MAX_REMEMBERED: usize = 1_024;
/// Transactions of a block that are remembered with it.
const FIRST_TXS: usize = 10;
/// Bytes of transactions of blocks that one page reads, and of one block more.
const MAX_READ_BYTES: usize = 16 * 1024 * 1024;

/// A block in short.
#[derive(Debug)]
pub(super) struct Summary {
    pub(super) height: Height,
    pub(super) time: Timestamp,
    /// Time since the block before; none of the first that is here.
    pub(super) interval_ms: Option<u64>,
    pub(super) proposer: Address,
    /// Round of its certificate.
    pub(super) round: Round,
    /// Validators whose signature is in it.
    pub(super) signed: usize,
    /// Validators.
    pub(super) seats: usize,
    /// Transactions, without the record.
    pub(super) txs: usize,
    /// Their bytes.
    pub(super) bytes: usize,
    /// Those that failed.
    pub(super) failed: usize,
    /// The first of them.
    pub(super) first: Vec<TxSummary>,
    /// Seats whose holder changes by it.
    pub(super) switched: Vec<String>,
}

/// A transaction in short.
#[derive(Clone, Debug)]
pub(super) struct TxSummary {
    pub(super) hash: TxHash,
    pub(super) sender: PublicKey,
    pub(super) height: Height,
    pub(super) time: Timestamp,
    /// Such as `put`.
    pub(super) what: String,
    /// What it is about, such as a data set.
    pub(super) about: Option<String>,
    /// Whether it did what it says; none where its result is not kept.
    pub(super) is_ok: Option<bool>,
}

impl TxSummary {
    /// A transaction at a place of a block, whose result has this code.
    pub(super) fn new(tx: &Tx, height: Height, time: Timestamp, code: Option<u32>) -> Self {
        let call = readable(&tx.body().call);
        let (what, fields) = value::call(&call);
        let about = ["data_set", "seat", "motion"].iter().find_map(|name| fields.get(*name));
        Self {
            hash: tx.hash(),
            sender: tx.body().sender,
            height,
            time,
            what,
            about: about.map(|about| match about {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            }),
            is_ok: code.map(|code| code == 0),
        }
    }
}

/// Names of the organisations by the addresses of their nodes, as registered now.
pub(super) fn proposers(rpc: &RpcState) -> BTreeMap<Address, OrgName> {
    let tip = rpc.tip();
    tip.register.nodes.iter().map(|(key, node)| (key.address(), node.org.clone())).collect()
}

#[derive(Debug, Default)]
struct Remembered {
    blocks: BTreeMap<Height, Arc<Summary>>,
    order: VecDeque<Height>,
}

/// The blocks that are remembered.
#[derive(Debug, Default)]
pub(super) struct Summaries(Mutex<Remembered>);

impl Summaries {
    /// Up to `count` blocks from `newest` down that are here. There are fewer where they are large.
    pub(super) fn down(
        &self,
        rpc: &RpcState,
        newest: Height,
        count: u64,
    ) -> Result<Vec<Arc<Summary>>, RpcError> {
        let lowest = rpc.db.first_height().0.max(1).max((newest.0 + 1).saturating_sub(count));
        let (mut found, mut read) = (Vec::new(), 0);
        // A block is read for itself and for the time of the one above it, and once for both.
        let mut below = None;
        for height in (lowest..=newest.0).rev().map(Height) {
            let known = self.lock().blocks.get(&height).cloned();
            let summary = match known {
                Some(summary) => summary,
                None if read > MAX_READ_BYTES => break,
                None => {
                    let Some(summary) = self.read(rpc, height, &mut below)? else { break };
                    read += summary.bytes;
                    summary
                }
            };
            found.push(summary);
        }
        Ok(found)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Remembered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads a block, where `below` is not that; leaves there the one below it, where that was read.
    fn read(
        &self,
        rpc: &RpcState,
        height: Height,
        below: &mut Option<CertifiedBlock>,
    ) -> Result<Option<Arc<Summary>>, RpcError> {
        let certified = match below.take() {
            Some(block) if block.block.header.height == height => Some(block),
            _ => rpc.db.block(height)?,
        };
        let Some(certified) = certified else { return Ok(None) };
        let (block, commit) = (&certified.block, &certified.certificate.commit);
        let results = rpc.db.results(height)?;
        let before = Height(height.0.saturating_sub(1));
        let time_before = match self.lock().blocks.get(&before) {
            Some(summary) => Some(summary.time),
            None if before == Height::ZERO => Some(rpc.genesis.genesis_time),
            None => None,
        };
        let time_before = match time_before {
            Some(time) => Some(time),
            None => {
                *below = rpc.db.block(before)?;
                below.as_ref().map(|below| below.block.header.time)
            }
        };
        let time = block.header.time;
        let code = |i: usize| results.as_ref()?.receipts.get(i + 1).map(|receipt| receipt.code);
        let events = results.iter().flat_map(|results| {
            results.events.iter().chain(results.receipts.iter().flat_map(|r| &r.events))
        });
        let switched = events.filter(|event| event.kind == "switch");
        let summary = Arc::new(Summary {
            height,
            time,
            interval_ms: time_before
                .map(|before| u64::try_from(time.since(before).as_millis()).unwrap_or(u64::MAX)),
            proposer: block.header.proposer_address,
            round: commit.round,
            signed: commit.signatures.iter().flatten().count(),
            seats: commit.signatures.len(),
            txs: block.txs.len(),
            bytes: block.txs.iter().map(|tx| tx.bytes().len()).sum(),
            failed: (0..block.txs.len()).filter(|i| code(*i).is_some_and(|c| c != 0)).count(),
            first: (block.txs.iter().take(FIRST_TXS).enumerate())
                .map(|(i, tx)| TxSummary::new(tx, height, time, code(i)))
                .collect(),
            switched: switched.filter_map(|e| e.attribute("seat").map(str::to_owned)).collect(),
        });
        let mut remembered = self.lock();
        if remembered.blocks.insert(height, summary.clone()).is_none() {
            remembered.order.push_back(height);
        }
        while remembered.order.len() > MAX_REMEMBERED {
            if let Some(oldest) = remembered.order.pop_front() {
                remembered.blocks.remove(&oldest);
            }
        }
        Ok(Some(summary))
    }
}
