//! What a client reads from nodes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tandem_chain::modules::parameters::Parameters;

use crate::client::answers::{Broadcast, QueryAnswer, Status, TxInfo};
use crate::client::plain::plain;
use crate::rpc::shapes::tandem::{
    DataSets, KeyInfo, Nodes, Organizations, ParametersInfo, RecordsPage, Seats, Switches,
};
use crate::samples;

/// The result in an answer, as every type that a client takes it for.
pub fn answer(bytes: &[u8]) {
    let Ok(answer) = serde_json::from_slice::<Value>(bytes) else { return };
    let answer = plain(answer);
    check_texts(&answer);
    comes_back::<Status>(&answer);
    comes_back::<Broadcast>(&answer);
    comes_back::<Seats>(&answer);
    comes_back::<Switches>(&answer);
    comes_back::<Organizations>(&answer);
    comes_back::<Nodes>(&answer);
    comes_back::<ParametersInfo>(&answer);
    comes_back::<KeyInfo>(&answer);
    let _ = TxInfo::deserialize(&answer);
    let Ok(query) = QueryAnswer::deserialize(&answer["response"]) else { return };
    let Ok(listing) = serde_json::from_slice::<Value>(&query.value) else { return };
    let listing = plain(listing);
    check_texts(&listing);
    comes_back::<DataSets>(&listing);
    comes_back::<RecordsPage>(&listing);
}

/// No text has anything in it that a terminal would act on.
fn check_texts(value: &Value) {
    let check = |text: &str| assert!(!text.contains(char::is_control), "{text:?}");
    match value {
        Value::String(text) => check(text),
        Value::Array(values) => values.iter().for_each(check_texts),
        Value::Object(members) => members.iter().for_each(|(name, value)| {
            check(name);
            check_texts(value);
        }),
        _ => {}
    }
}

/// What is read is read from what is written of it, too.
fn comes_back<T: Serialize + DeserializeOwned>(answer: &Value) {
    let Ok(value) = T::deserialize(answer) else { return };
    let json = serde_json::to_value(&value).expect("texts, numbers and lists");
    let again = T::deserialize(&json).expect("it comes from this type");
    assert_eq!(serde_json::to_value(&again).expect("texts, numbers and lists"), json);
}

pub fn seeds() -> Vec<Vec<u8>> {
    let (key, hash) = (samples::public(1), samples::hash(1));
    let query = |value: &Value| {
        let value = STANDARD.encode(value.to_string());
        json!({ "response": {
            "code": 0, "log": "", "value": value, "version": "3", "height": "7",
            "content_type": "text/csv"
        } })
    };
    let event = json!({ "type": "switch", "attributes": [{ "key": "seat", "value": "a" }] });
    let answers = [
        json!({
            "node_info": { "network": "tandem-test", "id": key.address() },
            "sync_info": {
                "latest_block_hash": hash,
                "latest_app_hash": hash,
                "latest_block_height": "7",
                "latest_block_time": samples::time(7).to_rfc3339(),
                "earliest_block_height": "1",
                "catching_up": false,
            },
            "tandem": {
                "version": "0.1.0",
                "public_key": key,
                "organization": "a",
                "role": "validator",
                "term": "0",
                "height": "8",
                "round": 0,
                "step": "propose",
                "rounds_above_zero": "0",
                "key_lost": false,
                "silent_through": "0",
                "fsyncs": "9",
                "alarms": ["\u{1b}[31m"],
                "peers": 3,
                "genesis_hash": hash,
                "counters": { "network_frames": "5" },
            },
        }),
        json!({ "code": 7, "log": "unknown sender", "hash": hash }),
        json!({ "hash": hash, "height": "7", "index": 0, "tx_result": {
            "code": 0, "data": null, "log": "", "events": [event]
        } }),
        json!({ "height": "7", "grid_from": "6", "seats": [{
            "seat": "a",
            "power": "1",
            "term": "0",
            "effective": "1",
            "holder": key,
            "partner": null,
            "holder_alive": true,
            "partner_ready": null,
            "is_down": false,
            "holder_grid": "11",
            "partner_grid": "??",
            "run_blocks": "0",
            "run_ms": "0",
            "failover_blocks": "10",
            "failover_min_ms": "667",
            "blocks_until_switch": null,
            "never_automatic": "no partner",
        }] }),
        json!({ "switches": [{
            "height": "7", "effective": "9", "seat": "a", "from": key, "to": null, "term": "1",
            "reason": "barred"
        }] }),
        json!({ "organizations": [{
            "name": "a", "admin_key": key, "power": "1", "pair": [key], "observers": [], "users": "0"
        }] }),
        json!({ "height": "7", "nodes": [{
            "key": key, "address": key.address(), "organization": "a", "role": "standby",
            "alive": true, "connected": false, "addresses": ["/ip4/192.0.2.1/tcp/1"]
        }] }),
        json!({
            "parameters": Parameters::wan(),
            "votes": [{ "organization": "a", "parameters": Parameters::lan() }],
            "liveness_grace_ms": "1500",
            "failover_blocks": "10",
            "failover_min_ms": "667",
        }),
        json!({ "organization": "a", "role": "user" }),
        query(&json!({ "data_sets": [{ "name": "prices", "owner": "a" }] })),
        query(&json!({
            "records": [
                { "key": "6b", "version": "1", "size": "2", "digest": hash, "content_type": null },
            ],
            "next": "6b"
        })),
    ];
    answers.iter().map(|answer| answer.to_string().into_bytes()).collect()
}
