//! Holds requests and answers to the document.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonschema::Validator;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

use crate::rpc::openapi::document;
use crate::rpc::request::GET_ID;

const JSON: &str = "application/json";

/// The document.
pub static DOCUMENT: LazyLock<Value> = LazyLock::new(document);
/// The same, where objects have no members but those that it names.
static CLOSED: LazyLock<Value> = LazyLock::new(|| {
    let mut closed = document();
    close(&mut closed);
    closed
});

/// Closes all objects whose members have names.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if members.contains_key("properties") {
                members.entry("additionalProperties").or_insert(json!(false));
            }
            members.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

/// The schemas that were asked for, by whether they are closed and their place: made once.
static VALIDATORS: Mutex<BTreeMap<(bool, String), Arc<Validator>>> = Mutex::new(BTreeMap::new());

/// The schema at a place of the document.
pub fn validator(is_closed: bool, place: &str) -> Arc<Validator> {
    let known = (is_closed, place.to_owned());
    if let Some(found) = VALIDATORS.lock().unwrap().get(&known) {
        return found.clone();
    }
    let mut root = if is_closed { CLOSED.clone() } else { DOCUMENT.clone() };
    root["$ref"] = Value::from(format!("#{place}"));
    let made = jsonschema::options()
        .should_validate_formats(true)
        .build(&root)
        .unwrap_or_else(|error| panic!("{place}: {error}"));
    let made = Arc::new(made);
    VALIDATORS.lock().unwrap().insert(known, made.clone());
    made
}

/// Checks a value against the schema of a name, closed.
pub fn check_schema(name: &str, value: &Value) {
    must(&validator(true, &format!("/components/schemas/{name}")), value, name);
}

fn must(validator: &Validator, value: &Value, what: &str) {
    let faults: Vec<String> = validator
        .iter_errors(value)
        .map(|error| format!("{error} at {}", error.instance_path()))
        .collect();
    assert!(faults.is_empty(), "{what}: {faults:#?}");
}

/// A path as a part of a pointer.
fn escaped(path: &str) -> String {
    path.replace('~', "~0").replace('/', "~1")
}

/// Checks status, kind and body of an answer; returns the body's JSON, null where it has none.
pub fn check_body(
    way: &str,
    path: &str,
    status: StatusCode,
    kind: Option<&str>,
    body: &[u8],
) -> Value {
    let what = format!("{way} {path} {}", status.as_u16());
    let mut place = format!("/paths/{}/{way}/responses/{}", escaped(path), status.as_u16());
    let mut response = CLOSED.pointer(&place);
    if let Some(reference) = response.and_then(|response| response["$ref"].as_str()) {
        place = reference.trim_start_matches('#').to_owned();
        response = CLOSED.pointer(&place);
    }
    let response = response.unwrap_or_else(|| panic!("{what} is not in the document"));
    let Some(content) = response["content"].as_object() else {
        assert!(body.is_empty(), "{what} has a body");
        return Value::Null;
    };
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default();
    assert!(content.contains_key(kind), "{what}: {kind}");
    if kind != JSON {
        return Value::Null;
    }
    let value = serde_json::from_slice(body).unwrap_or_else(|error| panic!("{what}: {error}"));
    let schema = format!("{place}/content/{}/schema", escaped(kind));
    must(&validator(true, &schema), &value, &format!("{what}: {value:.300}"));
    value
}

/// The same of an answer as it comes.
pub async fn check(way: &str, path: &str, response: Response) -> Value {
    let status = response.status();
    let kind = response.headers().get("content-type").cloned();
    let kind = kind.as_ref().map(|kind| kind.to_str().unwrap());
    check_body(way, path, status, kind, &response.bytes().await.unwrap())
}

/// Checks a method's result, which by POST the document leaves open, against that of GET.
pub fn check_result(method: &str, result: &Value) {
    let answer = json!({ "jsonrpc": "2.0", "id": GET_ID, "result": result });
    check_body(
        "get",
        &format!("/{method}"),
        StatusCode::OK,
        Some(JSON),
        answer.to_string().as_bytes(),
    );
}

/// Checks a good request by POST.
pub fn check_request(request: &Value) {
    must(&validator(false, "/components/schemas/Request"), request, &request.to_string());
}

/// Checks the parameters of a good request by GET, such as `/block?height=1`.
pub fn check_target(target: &str) {
    let (path, query) = target.split_once('?').unwrap();
    let place = format!("/paths/{}/get/parameters", escaped(path));
    let written = DOCUMENT.pointer(&place).and_then(Value::as_array).unwrap();
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        let text = percent_decode_str(value).decode_utf8().unwrap();
        let at = written.iter().position(|parameter| parameter["name"] == name);
        let at = at.unwrap_or_else(|| panic!("{target}: {name} is not in the document"));
        let (schema, is_json) = match written[at].get("schema") {
            Some(schema) => ("schema".to_owned(), schema["type"] != "string"),
            None => ("content/application~1json/schema".to_owned(), true),
        };
        let json = if is_json { serde_json::from_str(&text).ok() } else { None };
        let value = json.unwrap_or_else(|| Value::from(text.as_ref()));
        must(&validator(false, &format!("{place}/{at}/{schema}")), &value, target);
    }
}

/// How a method is asked by GET, as the document says of its parameters, such as `/block?height=1`; bytes
/// are given as in JSON.
pub fn target(method: &str, params: &Value) -> String {
    let written = &DOCUMENT["paths"][format!("/{method}")]["get"]["parameters"];
    let pair = |(name, value): (&String, &Value)| {
        let found = written.as_array().into_iter().flatten().find(|param| param["name"] == *name);
        let schema = &found.unwrap_or_else(|| panic!("{method} has no {name}"))["schema"];
        let is_of_bytes = schema["pattern"].as_str().is_some_and(|pattern| pattern.contains("0x"));
        let text = match value {
            Value::String(text) if ["tx", "sign_bytes"].contains(&name.as_str()) => {
                format!("0x{}", hex::encode(STANDARD.decode(text).unwrap()))
            }
            Value::String(text) if is_of_bytes => format!("0x{text}"),
            Value::String(text) if schema["type"] == "integer" => text.clone(),
            Value::String(text) => format!("\"{text}\""),
            other => other.to_string(),
        };
        format!("{name}={}", utf8_percent_encode(&text, NON_ALPHANUMERIC))
    };
    let pairs: Vec<String> = params.as_object().into_iter().flatten().map(pair).collect();
    format!("/{method}?{}", pairs.join("&"))
}
