//! Calls in JSON that are prepared, signed elsewhere, and assembled.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tandem_chain::limits::{MAX_RECORD_VALUE_BYTES, MAX_TX_BYTES, MAX_TX_VALIDITY};
use tandem_chain::tx::{Tx, TxBody};
use tandem_chain::types::Height;

use super::{Node, node};
use crate::client::VALID_FOR;
use crate::decode::readable;
use crate::testing;

fn decoded(answer: &Value, member: &str) -> Vec<u8> {
    STANDARD.decode(answer[member].as_str().expect("a text")).expect("base64")
}

fn create(data_set: &str) -> Value {
    json!({ "Records": { "Create": { "data_set": data_set } } })
}

/// What a program does that has ed25519 and nothing of ours.
async fn assembled(node: &Node, prepared: &Value) -> Value {
    let signature = testing::user().sign(&decoded(prepared, "sign_bytes"));
    let params = json!({ "sign_bytes": prepared["sign_bytes"], "signature": signature });
    node.call("tx_assemble", params).await
}

#[tokio::test]
async fn every_kind_of_call_is_prepared_and_assembled_as_if_it_were_signed_here() {
    let node = node().await;
    let user = testing::user();
    for (name, golden) in testing::golden_txs() {
        let call = golden.body().call.clone();
        let shown = testing::call_json(&call);
        let body = TxBody {
            chain_id: node.chain().genesis.chain_id.clone(),
            sender: user.public(),
            nonce: u64::MAX,
            valid_until: Height(500),
            call,
        };
        let params = json!({
            "call": shown, "sender": user.public(), "nonce": u64::MAX.to_string(), "valid_until": 500,
        });
        let prepared = node.call("tx_prepare", params).await;
        assert_eq!(decoded(&prepared, "sign_bytes"), body.sign_bytes(), "{name}");
        assert_eq!(prepared["sign_bytes_hex"], hex::encode_upper(body.sign_bytes()), "{name}");
        assert_eq!(prepared["body"], readable(&body), "{name}");
        let tx = Tx::sign(body, &user);
        let answer = assembled(&node, &prepared).await;
        assert_eq!(decoded(&answer, "tx"), tx.bytes(), "{name}");
        assert_eq!(answer["hash"], json!(tx.hash()), "{name}");
    }
}

#[tokio::test]
async fn what_is_left_out_is_chosen_and_what_comes_out_is_taken() {
    let node = node().await;
    node.commit(vec![]);
    let params = json!({ "call": create("set"), "sender": testing::user().public() });
    let prepared = node.call("tx_prepare", params.clone()).await;
    let again = node.call("tx_prepare", params).await;
    let last = Height(1 + VALID_FOR).to_string();
    assert_eq!(prepared["body"]["valid_until"], json!(last));
    assert_ne!(prepared["body"]["nonce"], again["body"]["nonce"]);
    let answer = assembled(&node, &prepared).await;
    let params = json!({ "tx": answer["tx"] });
    let sent = node.call("broadcast_tx_sync", params).await;
    assert_eq!((&sent["code"], &sent["hash"]), (&json!(0), &answer["hash"]));
    node.commit(node.admission.take(1_000_000, 10));
    let found = node.call("data_sets", json!({})).await;
    assert_eq!(found["data_sets"][0]["name"], "set");
}

#[tokio::test]
async fn bad_calls_and_senders_are_refused_by_name() {
    let node = node().await;
    let good = json!({ "call": create("set"), "sender": testing::user().public() });
    let with = |name: &str, value: Value| {
        let mut params = good.clone();
        params[name] = value;
        params
    };
    let put = |bytes: usize| {
        let value = json!({ "text": "x".repeat(bytes) });
        json!({ "Records": { "Put": { "data_set": "set", "key": { "text": "a" }, "value": value } } })
    };
    node.call("tx_prepare", with("call", put(MAX_RECORD_VALUE_BYTES))).await;
    node.call("tx_prepare", with("valid_until", json!(1 + MAX_TX_VALIDITY))).await;
    for (params, told) in [
        (json!({}), "parameter call is missing"),
        (with("call", json!(null)), "parameter call is missing"),
        (with("call", json!("{")), "parameter call: EOF"),
        (with("call", json!(5)), "parameter call: must be an object with one member"),
        (
            with("call", json!({ "Records": { "Make": {} } })),
            "parameter call.Records: there is no kind",
        ),
        (
            with("call", create("Big")),
            "parameter call.Records.Create.data_set: data set name must be",
        ),
        (with("call", put(MAX_TX_BYTES)), "parameter call: transaction: 262"),
        (with("sender", json!(null)), "parameter sender is missing"),
        (with("sender", json!("AB")), "parameter sender: PublicKey: 1 bytes where 32 belong"),
        (with("sender", json!("x")), "parameter sender must be hex digits"),
        (with("sender", json!("00".repeat(32))), "parameter sender: key 0000"),
        (with("nonce", json!(-1)), "parameter nonce must be a whole number of at least 0"),
        (with("nonce", json!("18446744073709551616")), "parameter nonce must be a whole number"),
        (with("valid_until", json!(0)), "parameter valid_until: transaction expired at height 0"),
        (with("valid_until", json!("soon")), "parameter valid_until must be a whole number"),
        (
            with("valid_until", json!(2 + MAX_TX_VALIDITY)),
            "parameter valid_until: transaction is valid until 10002, at most 10001",
        ),
        (with("valid_until", json!(u64::MAX)), "parameter valid_until: transaction is valid until"),
        (with("fee", json!(1)), "there is no parameter fee"),
    ] {
        let (code, text) = node.error("tx_prepare", params).await;
        assert!(code == -32602 && text.starts_with(told), "{code} {text} and not {told}");
    }
}

#[tokio::test]
async fn what_was_not_signed_so_is_not_assembled() {
    let node = node().await;
    let user = testing::user();
    let params = json!({ "call": create("set"), "sender": user.public() });
    let prepared = node.call("tx_prepare", params).await;
    let bytes = decoded(&prepared, "sign_bytes");
    let sign = |bytes: &[u8]| user.sign(bytes).to_string();
    let of = |bytes: &[u8], signature: String| json!({ "sign_bytes": STANDARD.encode(bytes), "signature": signature });
    let elsewhere = {
        let mut body = TxBody::of_sign_bytes(&bytes).unwrap();
        body.chain_id = "elsewhere".parse().unwrap();
        body.sign_bytes()
    };
    // The chain's id stands before the body, too: another of the same length there.
    let two = [&bytes[..29], b"elsewhe", &bytes[36..]].concat();
    let mut longer = bytes.clone();
    longer.push(0);
    let cut = &bytes[..bytes.len() - 1];
    let stranger = testing::key(250).sign(&bytes).to_string();
    for (params, told) in [
        (json!({}), "parameter sign_bytes is missing"),
        (json!({ "sign_bytes": "%" }), "parameter sign_bytes must be base64"),
        (json!({ "sign_bytes": prepared["sign_bytes"] }), "parameter signature is missing"),
        (of(&bytes, "AB".into()), "parameter signature must be 128 hex digits"),
        (of(&bytes, "x".repeat(128)), "parameter signature must be hex digits"),
        (
            of(&bytes, stranger),
            "parameter signature: transaction: the signature is not that of key",
        ),
        (of(&bytes, sign(b"other")), "parameter signature: transaction: the signature is not that"),
        (
            of(&[], sign(&[])),
            "parameter sign_bytes: what is signed of a transaction cannot be decoded",
        ),
        (
            of(&bytes[1..], sign(&bytes)),
            "parameter sign_bytes: what is signed of a transaction cannot",
        ),
        (
            of(cut, sign(cut)),
            "parameter sign_bytes: what is signed of a transaction cannot be decoded",
        ),
        (
            of(&longer, sign(&longer)),
            "parameter sign_bytes: what is signed of a transaction cannot",
        ),
        (
            of(&two, sign(&two)),
            "parameter sign_bytes: what is signed of a transaction is for chain",
        ),
        (
            of(&elsewhere, sign(&elsewhere)),
            "parameter sign_bytes: transaction is for chain elsewhere",
        ),
    ] {
        let (code, text) = node.error("tx_assemble", params).await;
        assert!(code == -32602 && text.starts_with(told), "{code} {text} and not {told}");
    }
}
