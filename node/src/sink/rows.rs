//! The rows of a block.

use prost::Message as _;
use tandem_chain::block::Block;
use tandem_chain::codec;
use tandem_chain::ledger::{Event, Receipt};
use tandem_chain::tx::Tx;
use tandem_chain::types::{Hash, Height};
use tendermint_proto::v0_38::abci;

use crate::rpc::shapes::comet::codespace;
use crate::storage::BlockResults;

/// What stands for U+0000 in texts, which PostgreSQL has no place for.
const FOR_NUL: &str = "\u{fffd}";

/// What is written of a block, column by column as PostgreSQL takes them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Rows {
    /// Its height.
    pub height: i64,
    /// Places, hashes and results of transactions.
    pub txs: Txs,
    /// All events, in their order.
    pub events: Events,
    /// Their attributes.
    pub attributes: Attributes,
}

/// Rows of `tx_results`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Txs {
    pub index: Vec<i32>,
    pub hash: Vec<String>,
    pub result: Vec<Vec<u8>>,
}

/// Rows of `events`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Events {
    /// Place of the transaction; none for an event of the block.
    pub tx: Vec<Option<usize>>,
    pub kind: Vec<String>,
}

/// Rows of `attributes`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Attributes {
    /// Place among [`Events`].
    pub event: Vec<usize>,
    pub key: Vec<String>,
    pub composite_key: Vec<String>,
    pub value: Vec<String>,
}

impl Rows {
    /// Of a block with its results.
    pub fn new(block: &Block, results: &BlockResults) -> Self {
        let height = block.header.height;
        let (mut rows, of_height) = (Self::default(), height.to_string());
        rows.height = signed(height);
        rows.event(None, "block", &[("height", of_height.as_str())]);
        rows.events(None, &results.events);
        let record = codec::encode(&block.record);
        let txs = std::iter::once(record.as_slice()).chain(block.txs.iter().map(Tx::bytes));
        for ((index, bytes), receipt) in (0u32..).zip(txs).zip(&results.receipts) {
            let (place, hash) = (rows.txs.index.len(), Hash::of(bytes).to_string());
            rows.event(Some(place), "tx", &[("hash", hash.as_str())]);
            rows.event(Some(place), "tx", &[("height", of_height.as_str())]);
            rows.events(Some(place), &receipt.events);
            rows.txs.index.push(index.cast_signed());
            rows.txs.hash.push(hash);
            rows.txs.result.push(tx_result(height, index, bytes, receipt));
        }
        rows
    }

    fn events(&mut self, tx: Option<usize>, events: &[Event]) {
        for event in events {
            let attributes = event.attributes.iter();
            let attributes: Vec<(&str, &str)> =
                attributes.map(|(key, value)| (key.as_str(), value.as_str())).collect();
            self.event(tx, &event.kind, &attributes);
        }
    }

    fn event(&mut self, tx: Option<usize>, kind: &str, attributes: &[(&str, &str)]) {
        for (key, value) in attributes {
            self.attributes.event.push(self.events.kind.len());
            self.attributes.key.push(text(key));
            self.attributes.composite_key.push(text(&format!("{kind}.{key}")));
            self.attributes.value.push(text(value));
        }
        self.events.tx.push(tx);
        self.events.kind.push(text(kind));
    }
}

/// A height as PostgreSQL has it.
pub(super) fn signed(height: Height) -> i64 {
    i64::try_from(height.0).expect("a chain has fewer blocks")
}

/// A text as PostgreSQL can have it.
fn text(text: &str) -> String {
    text.replace('\0', FOR_NUL)
}

/// CometBFT's message about a transaction.
fn tx_result(height: Height, index: u32, tx: &[u8], receipt: &Receipt) -> Vec<u8> {
    let attribute = |(key, value): &(String, String)| abci::EventAttribute {
        key: key.clone(),
        value: value.clone(),
        index: true,
    };
    let event = |event: &Event| abci::Event {
        r#type: event.kind.clone(),
        attributes: event.attributes.iter().map(attribute).collect(),
    };
    let result = abci::ExecTxResult {
        code: receipt.code,
        data: receipt.data.clone().into(),
        log: receipt.log.clone(),
        events: receipt.events.iter().map(event).collect(),
        codespace: codespace(receipt.code).to_owned(),
        ..Default::default()
    };
    let tx = tx.to_vec().into();
    abci::TxResult { height: signed(height), index, tx, result: Some(result) }.encode_to_vec()
}
