//! A block as events: what queries see of them, and their JSON, in the shapes of CometBFT 0.38's
//! types/events.go.

use std::sync::Arc;

use axum::body::Bytes;
use serde_json::{Value, json};
use tandem_chain::ledger::{Event, Receipt};
use tandem_chain::roles::{RoleTable, Validator};
use tandem_chain::types::Power;
use tokio::sync::OnceCell;

use crate::query::Events;
use crate::rpc::error::RpcError;
use crate::rpc::shapes::comet;
use crate::rpc::state::RpcState;
use crate::view::Committed;

/// The kind of the ledger's events about changes of holders.
const SWITCH: &str = "switch";
/// Bytes in memory for each that a transaction or an event's text has: it stands in the block, in the
/// messages about the block and about the transaction, as base64 there, and in the keys for queries.
const COPIES: usize = 5;
/// Bytes of a block besides: header, certificate, liveness record and their JSON.
const REST_BYTES: usize = 32 * 1024;

/// The events of a block. What follows from the block is made when it is asked for first, and once.
#[derive(Debug)]
pub struct BlockEvents {
    committed: Arc<Committed>,
    bytes: usize,
    events: OnceCell<Vec<BlockEvent>>,
}

/// An event of a block.
#[derive(Debug)]
pub struct BlockEvent {
    /// What queries see.
    pub keys: Events,
    what: What,
    members: OnceCell<Bytes>,
}

/// What happened.
#[derive(Debug)]
enum What {
    NewBlock,
    NewBlockHeader,
    NewBlockEvents,
    /// With its number in the block.
    NewEvidence(usize),
    /// With its place in the block; 0, the liveness record, is none of them.
    Tx(usize),
    /// With the entries of the role table that change.
    ValidatorSetUpdates(Vec<Validator>),
    /// With what the ledger says of it.
    Switch(Event),
}

impl What {
    /// The type in the message's data.
    fn name(&self) -> &'static str {
        match self {
            Self::NewBlock => "tendermint/event/NewBlock",
            Self::NewBlockHeader => "tendermint/event/NewBlockHeader",
            Self::NewBlockEvents => "tendermint/event/NewBlockEvents",
            Self::NewEvidence(_) => "tendermint/event/NewEvidence",
            Self::Tx(_) => "tendermint/event/Tx",
            Self::ValidatorSetUpdates(_) => "tendermint/event/ValidatorSetUpdates",
            Self::Switch(_) => "tandem/event/Switch",
        }
    }

    /// The value of `tm.event`.
    fn kind(&self) -> &'static str {
        let name = self.name();
        name.rsplit_once('/').map_or(name, |(_, kind)| kind)
    }
}

impl BlockEvents {
    /// Of a block that was committed. Cheap.
    pub fn new(committed: Arc<Committed>) -> Self {
        let of_events = |events: &[Event]| -> usize {
            let attributes = events.iter().flat_map(|event| &event.attributes);
            attributes.map(|(name, value)| name.len() + value.len() + 64).sum()
        };
        let of_receipt = |receipt: &Receipt| {
            receipt.log.len() + receipt.data.len() + of_events(&receipt.events) + 256
        };
        let txs: usize = committed.block.block.txs.iter().map(|tx| tx.bytes().len()).sum();
        let receipts: usize = committed.receipts.iter().map(of_receipt).sum();
        let bytes = COPIES * (txs + receipts + of_events(&committed.events)) + REST_BYTES;
        Self { committed, bytes, events: OnceCell::new() }
    }

    /// Bytes that it takes in memory, roughly.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The block.
    #[cfg(test)]
    pub fn height(&self) -> tandem_chain::types::Height {
        self.committed.block.block.header.height
    }

    /// The events in their order: the block's, those of its evidence, of its transactions, and of what
    /// they changed. They are made off the async loop, since that takes time for a large block.
    ///
    /// # Errors
    /// When they could not be made.
    pub async fn all(&self, state: &Arc<RpcState>) -> Result<&[BlockEvent], RpcError> {
        let make = || {
            let committed = self.committed.clone();
            state.read(move |_| Ok(events(&committed)))
        };
        self.events.get_or_try_init(make).await.map(Vec::as_slice)
    }

    /// The members `data` and `events` of the message about one of the events, by its number. They
    /// are made off the async loop, too.
    ///
    /// # Errors
    /// When they could not be made.
    pub async fn members(
        self: &Arc<Self>,
        state: &Arc<RpcState>,
        number: usize,
    ) -> Result<Bytes, RpcError> {
        let make = || {
            let block = self.clone();
            state.read(move |_| Ok(block.make(number)))
        };
        let event = &self.all(state).await?[number];
        event.members.get_or_try_init(make).await.cloned()
    }

    fn make(&self, number: usize) -> Bytes {
        let event = &self.events.get().expect("the events are made before")[number];
        let value = value(&event.what, &self.committed);
        let keys = serde_json::to_string(&event.keys).expect("texts are JSON");
        let name = event.what.name();
        format!(r#""data":{{"type":"{name}","value":{value}}},"events":{keys}"#).into()
    }
}

impl BlockEvent {
    /// The value of its key `tm.event`, which it has once.
    pub fn kind(&self) -> &'static str {
        self.what.kind()
    }
}

fn events(committed: &Committed) -> Vec<BlockEvent> {
    let block = &committed.block.block;
    let height = block.header.height.to_string();
    let mut all = Vec::with_capacity(block.txs.len() + 4);
    let mut add = |what: What, keys: &[(&str, String)], events: &[Event]| {
        let mut of_event = Events::default();
        of_event.add("tm.event", what.kind());
        for (key, value) in keys {
            of_event.add(key, value.as_str());
        }
        of_event.add_all(events);
        all.push(BlockEvent { keys: of_event, what, members: OnceCell::new() });
    };
    let of_block = [("block.height", height.clone())];
    add(What::NewBlock, &of_block, &committed.events);
    add(What::NewBlockHeader, &of_block, &[]);
    add(What::NewBlockEvents, &of_block, &committed.events);
    for number in 0..block.evidence.len() {
        add(What::NewEvidence(number), &of_block, &[]);
    }
    for (index, (tx, receipt)) in (1..).zip(block.txs.iter().zip(committed.receipts.iter().skip(1)))
    {
        let keys = [("tx.height", height.clone()), ("tx.hash", tx.hash().to_string())];
        add(What::Tx(index), &keys, &receipt.events);
    }
    let changed = updates(&committed.tip.next_table, &committed.tip.next_next_table);
    if !changed.is_empty() {
        add(What::ValidatorSetUpdates(changed), &of_block, &[]);
    }
    let receipts = committed.receipts.iter().flat_map(|receipt| &receipt.events);
    for event in committed.events.iter().chain(receipts).filter(|event| event.kind == SWITCH) {
        add(What::Switch(event.clone()), &of_block, std::slice::from_ref(event));
    }
    all
}

/// The entries of a role table that differ from the one before, and with power 0 those that are not
/// in it any more.
fn updates(before: &RoleTable, after: &RoleTable) -> Vec<Validator> {
    let is_new = |validator: &&Validator| {
        let old = before.by_key(&validator.key);
        old.is_none_or(|(_, old)| old.power != validator.power)
    };
    let changed = after.validators().iter().filter(is_new).cloned();
    let gone = before.validators().iter().filter(|old| after.by_key(&old.key).is_none());
    changed.chain(gone.map(|old| Validator { power: Power(0), ..old.clone() })).collect()
}

/// The value in a message's data.
fn value(what: &What, committed: &Committed) -> Value {
    let block = &committed.block.block;
    let height = comet::number(block.header.height);
    match what {
        What::NewBlock => {
            let mut value = json!({
                "block_id": comet::block_id(Some(block.id())),
                "result_finalize_block": {
                    "events": comet::events(&committed.events),
                    "validator_updates": null,
                    "consensus_param_updates": null,
                    "app_hash": comet::base64(committed.tip.app_hash.as_bytes()),
                },
            });
            let results = committed.receipts.iter().map(comet::tx_result).collect();
            value["result_finalize_block"]["tx_results"] = Value::Array(results);
            value["block"] = comet::block(block);
            value
        }
        What::NewBlockHeader => json!({ "header": comet::header(&block.header) }),
        What::NewBlockEvents => json!({
            "height": height,
            "events": comet::events(&committed.events),
            // With the liveness record, which is transaction 0 of a block.
            "num_txs": comet::number(block.txs.len() + 1),
        }),
        What::NewEvidence(number) => json!({
            "height": height,
            "evidence": comet::evidence(&block.evidence[*number]),
        }),
        What::Tx(index) => json!({
            "TxResult": {
                "height": height,
                "index": index,
                "tx": comet::base64(block.txs[index - 1].bytes()),
                "result": comet::tx_result(&committed.receipts[*index]),
            },
        }),
        What::ValidatorSetUpdates(changed) => {
            let changed: Vec<Value> = changed.iter().map(comet::validator).collect();
            json!({ "validator_updates": changed })
        }
        What::Switch(event) => {
            let text = |name| event.attribute(name).filter(|text| !text.is_empty());
            // As an entry of `switches`.
            json!({
                "height": height,
                "effective": text("effective_height"),
                "seat": text("seat"),
                "from": text("from"),
                "to": text("to"),
                "term": text("term"),
                "reason": text("reason"),
            })
        }
    }
}
