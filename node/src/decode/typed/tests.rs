//! JSON that is a call, and JSON that is none.

use proptest::prelude::*;
use serde_json::json;
use tandem_chain::modules::Call;
use tandem_chain::modules::parameters::Parameters;

use super::*;
use crate::testing;

#[test]
fn every_kind_of_call_comes_back_from_what_is_shown_of_it() {
    for (name, tx) in testing::golden_txs() {
        let call = &tx.body().call;
        let shown = testing::call_json(call);
        assert_eq!(typed::<Call>("call", &shown).as_ref(), Ok(call), "{name}: {shown}");
    }
}

#[test]
fn the_calls_in_the_docs_are_calls() {
    let page = include_str!("../../../../docs/rpc.md");
    let (_, list) =
        page.split_once("A call is an object of its module and kind").expect("it is there");
    let lines = list.lines().skip_while(|line| !line.starts_with("    {"));
    let lines = lines.map_while(|line| line.strip_prefix("    "));
    let calls: Vec<&str> = lines.flat_map(|line| line.split("   ")).collect();
    assert_eq!(calls.len(), 16);
    for call in calls {
        let (signature, key) = ("AB".repeat(64), "AB".repeat(32));
        let call = call.replace("\"proof\":\"HEX\"", &format!("\"proof\":\"{signature}\""));
        let call = call.replace("\"HEX\"", &format!("\"{key}\""));
        let json = serde_json::from_str(&call).expect(&call);
        assert!(typed::<Call>("call", &json).is_ok(), "{call}");
    }
}

#[test]
fn numbers_and_bytes_in_all_their_forms() {
    let put = |key: Value, expected: Value| {
        json!({ "Records": { "Put": {
            "data_set": "set", "key": key, "value": { "text": "" }, "expected": expected,
        } } })
    };
    let oil = json!({ "text": "oil" });
    let call: Call = typed("call", &put(oil.clone(), json!(7))).unwrap();
    for (key, expected) in [
        (json!({ "text": "oil", "bytes": "3" }), json!("7")),
        (json!({ "hex": "6F696c" }), json!(7)),
        (json!({ "base64": "b2ls" }), json!("007")),
        (json!({ "hex": "6f696c", "base64": "b2ls", "bytes": 3 }), json!(7)),
    ] {
        assert_eq!(typed::<Call>("call", &put(key, expected)).as_ref(), Ok(&call));
    }
    for (key, expected, told) in [
        (json!("oil"), json!(7), "key: must be bytes: an object with text, hex or base64"),
        (json!({}), json!(7), "key: must be bytes"),
        (json!({ "bytes": 3 }), json!(7), "key: must be bytes"),
        (json!({ "text": 5 }), json!(7), "key.text: must be a text, got 5"),
        (json!({ "hex": "6f6" }), json!(7), "key.hex: must be hex digits, got \"6f6\""),
        (json!({ "base64": "b2l" }), json!(7), "key.base64: must be base64"),
        (json!({ "text": "a", "hex": "62" }), json!(7), "key: its forms are of different"),
        (json!({ "text": "a", "bytes": 2 }), json!(7), "key: these are 1 bytes"),
        (json!({ "text": "a", "bytes": -1 }), json!(7), "key.bytes: must be a whole number"),
        (json!({ "json": {} }), json!(7), "key.json: shows what bytes hold"),
        (json!({ "octal": "7" }), json!(7), "key: there is no form of bytes octal"),
        (oil.clone(), json!(-1), "expected: must be a whole number"),
        (oil.clone(), json!(0.5), "expected: must be a whole number"),
        (oil.clone(), json!("+7"), "expected: must be a whole number"),
        (oil.clone(), json!(""), "expected: must be a whole number"),
        (oil, json!("18446744073709551616"), "expected: must be a whole number"),
    ] {
        let error = typed::<Call>("call", &put(key, expected)).unwrap_err().to_string();
        assert!(error.starts_with(&format!("call.Records.Put.{told}")), "{error}");
    }
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let change = |change: Value| {
        let time = "2026-11-22T23:09:21Z";
        json!({ "Consortium": { "Propose": { "change": change, "force": false, "expires": time } } })
    };
    let mut parameters = serde_json::to_value(Parameters::lan()).unwrap();
    parameters["idle_block_interval_ms"] = json!("soon");
    let grant = |to: Value| {
        let range = json!({ "from": { "text": "" }, "until": { "text": "" } });
        json!({ "Rights": { "Revoke": { "data_set": "set", "to": to, "range": range } } })
    };
    let addresses =
        |addresses: Value| json!({ "Consortium": { "SetAddresses": { "addresses": addresses } } });
    let vote = |fields: Value| json!({ "Consortium": { "Vote": fields } });
    for (call, told) in [
        (json!(null), "call: must be an object with one member of Consortium, Standby"),
        (json!([]), "call: must be an object with one member"),
        (json!({}), "call: must be an object with one member"),
        (json!({ "Records": {}, "Rights": {} }), "call: must be an object with one member"),
        (json!("Records"), "call: must be an object that has what belongs to Records in it"),
        (json!({ "records": {} }), "call: there is no kind records; there are Consortium"),
        (json!({ "Records": { "Steal": {} } }), "call.Records: there is no kind Steal"),
        (
            json!({ "Records": { "Create": 5 } }),
            "call.Records.Create: must be an object with data_set",
        ),
        (json!({ "Records": { "Create": {} } }), "call.Records.Create.data_set: is missing"),
        (
            json!({ "Records": { "Create": { "data_set": "Big" } } }),
            "call.Records.Create.data_set: data set name must be 1 to 32",
        ),
        (vote(json!({ "motion": null })), "call.Consortium.Vote.motion: must be a whole number"),
        (
            vote(json!({ "motion": 1, "of": "me" })),
            "call.Consortium.Vote: there is no member of; there are motion",
        ),
        (
            change(json!({ "set_parameters": parameters })),
            "call.Consortium.Propose.change.set_parameters.idle_block_interval_ms: must be a whole",
        ),
        (
            change(json!({ "add_org": { "name": "a", "admin_key": "AB", "power": 1 } })),
            "call.Consortium.Propose.change.add_org.admin_key: PublicKey: 1 bytes where 32 belong",
        ),
        (addresses(json!("here")), "call.Consortium.SetAddresses.addresses: must be a list"),
        (addresses(json!(["here", 5])), "call.Consortium.SetAddresses.addresses.1: must be a text"),
        (
            addresses(json!(vec!["here"; 9])),
            "call.Consortium.SetAddresses.addresses: invalid length 9, expected a list of at most 8",
        ),
        (grant(json!({ "members": {} })), "call.Rights.Revoke.to: members has nothing in it"),
        (grant(json!({ "user": { "org": "a" } })), "call.Rights.Revoke.to.user.key: is missing"),
    ] {
        let error = typed::<Call>("call", &call).unwrap_err().to_string();
        assert!(error.starts_with(told), "{error} and not {told}");
    }
    let time = json!({ "Consortium": { "Propose": {
        "change": { "remove_org": { "name": "a" } }, "force": "no", "expires": 5 } } });
    let error = typed::<Call>("call", &time).unwrap_err().to_string();
    assert!(error.contains("expires: must be a time") || error.contains("force: "), "{error}");
}

/// JSON with the names that calls have among others.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,90}|[0-9]{1,25}|set|2026-11-22T23:09:21Z|members".prop_map(Value::from),
    ];
    let name = "Consortium|Standby|Records|Rights|Vote|Propose|Put|Delete|Create|Grant|Switch|\
                motion|change|force|expires|data_set|key|value|expected|text|hex|bytes|to|range|x";
    leaf.prop_recursive(5, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..9).prop_map(Value::from),
            prop::collection::btree_map(name, inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_json_is_a_call_or_refused_in_bounded_words(json in any_json()) {
        if let Err(fault) = typed::<Call>("call", &json) {
            let text = fault.to_string();
            prop_assert!(text.starts_with("call"), "{}", text);
            prop_assert!(text.chars().all(|c| !c.is_control()), "{}", text);
            prop_assert!(text.len() < 1_200, "{}", text);
        }
    }

    #[test]
    fn any_bytes_come_back(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let digits = json!({ "hex": hex::encode(&bytes) });
        prop_assert_eq!(Typed(&digits).bytes(), Ok(bytes.clone()));
        let shown = crate::decode::content::show(&bytes, None);
        if shown.get("json").is_none() && shown.get("cbor").is_none() {
            prop_assert_eq!(Typed(&shown).bytes(), Ok(bytes));
        }
    }
}
