//! Records as applications keep them: JSON of eight fields, each written by one transaction.

use std::fmt::Write as _;

use serde_json::{Value, json};
use tandem_chain::modules::{Call, records};
use tandem_chain::tx::{Tx, TxBody};
use tandem_chain::types::Height;

use super::chain::{genesis, user};
use crate::sim::random::Random;

/// Bytes of a transaction.
pub const TX_BYTES: usize = 512;

const PORTS: [&str; 8] =
    ["Rotterdam", "Singapore", "Santos", "Mombasa", "Shanghai", "Hamburg", "Oslo", "Valencia"];
const GOODS: [&str; 6] = ["coffee", "steel coils", "crude oil", "soy beans", "timber", "phosphate"];
const STATES: [&str; 4] = ["loaded", "at sea", "arrived", "cleared"];

/// A transaction with what it writes.
pub struct Sample {
    /// The transaction, of [`TX_BYTES`].
    pub tx: Tx,
    /// The record as JSON text.
    pub value: String,
}

/// The transaction that creates the data set.
pub fn create() -> Tx {
    let data_set = "shipments".parse().expect("a name");
    sign(0, Call::Records(records::Call::Create { data_set }))
}

/// The transaction with this number, valid for a chain's first blocks.
pub fn sample(number: u64, random: &mut Random) -> Sample {
    let key = format!("shipment/{number:08}");
    let nonce = random.next();
    // What the other fields leave of the transaction's bytes is an identifier, as a hash would be.
    let mut digest = String::new();
    loop {
        let value = value(number, &mut Random::new(nonce), &digest).to_string();
        let call = records::Call::Put {
            data_set: "shipments".parse().expect("a name"),
            key: key.clone().into_bytes(),
            content_type: None,
            value: value.clone().into_bytes(),
            expected: None,
        };
        let tx = sign(nonce, Call::Records(call));
        match TX_BYTES.checked_sub(tx.bytes().len()) {
            None | Some(0) => return Sample { tx, value },
            Some(missing) => {
                while digest.len() < missing {
                    write!(digest, "{:016x}", random.next()).expect("texts take everything");
                }
                digest.truncate(missing);
            }
        }
    }
}

fn value(number: u64, random: &mut Random, digest: &str) -> Value {
    json!({
        "id": format!("shipment/{number:08}"),
        "from": random.pick(&PORTS),
        "to": random.pick(&PORTS),
        "goods": random.pick(&GOODS),
        "weight_kg": random.below(40_000),
        "state": random.pick(&STATES),
        "updated": format!("2026-11-{:02}T{:02}:{:02}:00Z", 1 + random.below(30), random.below(24), random.below(60)),
        "document": digest,
    })
}

fn sign(nonce: u64, call: Call) -> Tx {
    let key = user();
    let body = TxBody {
        chain_id: genesis().chain_id,
        sender: key.public(),
        nonce,
        valid_until: Height(9_000),
        call,
    };
    Tx::sign(body, &key)
}

/// A transaction as JSON, as an application would store it: with nothing but what it says.
pub fn tx_json(sample: &Sample) -> String {
    let body = sample.tx.body();
    json!({
        "hash": sample.tx.hash(),
        "chain_id": body.chain_id,
        "sender": body.sender,
        "nonce": body.nonce.to_string(),
        "valid_until": body.valid_until.to_string(),
        "put": { "data_set": "shipments", "value": sample.value },
        // Of 64 bytes, as hex digits.
        "signature": "0".repeat(128),
    })
    .to_string()
}

/// A record as JSON, with its key and version.
pub fn record_json(number: u64, sample: &Sample) -> String {
    let value: Value = serde_json::from_str(&sample.value).expect("it was made from JSON");
    json!({ "key": format!("shipment/{number:08}"), "version": "1", "value": value }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transactions_have_the_size_that_is_measured_and_are_alike_at_each_run() {
        let (mut one, mut other) = (Random::new(7), Random::new(7));
        for number in 0..50 {
            let sample = sample(number, &mut one);
            assert_eq!(sample.tx.bytes().len(), TX_BYTES);
            assert_eq!(sample.tx.bytes(), super::sample(number, &mut other).tx.bytes());
            assert!(record_json(number, &sample).len() > sample.value.len());
            assert!(tx_json(&sample).contains("shipments"));
        }
    }
}
