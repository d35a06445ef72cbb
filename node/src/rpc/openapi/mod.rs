//! `GET /openapi.json`: the RPC as an OpenAPI 3.1 document.
//!
//! Names of methods and parameters, their order, what a method is for and what it needs are those of
//! [`METHODS`]. The rest stands in files, in a [`notation`] of our own where schemas are:
//!
//! | file | what |
//! |---|---|
//! | `methods.json` | kind of each parameter (`!` where it is required), and the result, by method |
//! | `kinds.json` | kinds of parameters: schema and example in JSON and in a query |
//! | `texts.json`, `comet.json`, `tandem.json` | schemas by name |
//! | `frame.json` | what is no method, as OpenAPI has it |
//!
//! A new method has its line in `methods.json`. Tests hold methods, and answers of a node, to the
//! document.

mod notation;
mod parameters;

use std::sync::LazyLock;

use axum::body::Bytes;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use self::notation::{reference, schema};
use self::parameters::Parameter;
use super::methods::{METHODS, Method};
use super::reading::Needs;
use super::request::GET_ID;

/// Where it is served.
pub const PATH: &str = "/openapi.json";

/// Its text.
static TEXT: LazyLock<Bytes> = LazyLock::new(|| document().to_string().into());

/// Answers with the document, whoever asks.
pub async fn serve() -> Response {
    let content_type = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, content_type)], TEXT.clone()).into_response()
}

/// What `methods.json` says, by method.
pub(super) fn methods() -> Value {
    file(include_str!("methods.json"))
}

/// The document.
pub(super) fn document() -> Value {
    let methods = methods();
    let mut document = file(include_str!("frame.json"));
    document["info"]["version"] = Value::from(env!("CARGO_PKG_VERSION"));
    let mut requests = Vec::new();
    for method in METHODS {
        let written = &methods[method.name];
        let parameters = Parameter::all(method, &written["params"]);
        let name = format!("request.{}", method.name);
        requests.push(reference(&name));
        document["components"]["schemas"][name] = parameters::request(method, &parameters);
        let get = operation(method, &parameters, schema(&written["result"]));
        document["paths"][format!("/{}", method.name)] = json!({ "get": get });
    }
    let schemas = &mut document["components"]["schemas"];
    schemas["Request"] = json!({ "oneOf": requests });
    for text in
        [include_str!("texts.json"), include_str!("comet.json"), include_str!("tandem.json")]
    {
        for (name, notation) in file(text).as_object().into_iter().flatten() {
            schemas[name] = schema(notation);
        }
    }
    document
}

fn file(text: &str) -> Value {
    serde_json::from_str(text).expect("the files are JSON, as the tests see")
}

/// `GET /method`.
fn operation(method: &Method, parameters: &[Parameter], result: Value) -> Value {
    // Signed with the node's key, at a time.
    let is_of_operator = ["time", "signature"].iter().all(|name| method.params.contains(name));
    let (tag, is_limited) = match method.needs {
        _ if is_of_operator => ("operator", false),
        Needs::Nothing => ("everyone", false),
        Needs::Member => ("member", true),
        Needs::Blocks => ("blocks", true),
    };
    let answer = json!({
        "type": "object",
        "required": ["jsonrpc", "id", "result"],
        "properties": {
            "jsonrpc": { "const": "2.0" },
            "id": { "const": GET_ID },
            "result": result,
        },
    });
    let response = |name: &str| json!({ "$ref": format!("#/components/responses/{name}") });
    let answered = |about: &str, schema: Value| json!({ "description": about, "content": { "application/json": { "schema": schema } } });
    let mut responses = Map::new();
    if method.name == "health" {
        let faults = "Each part that is not well is named.";
        responses.insert("200".to_owned(), answered("All is well.", answer));
        responses.insert("400".to_owned(), response("BadRequest"));
        responses.insert("503".to_owned(), answered(faults, reference("Error")));
    } else {
        let either = json!({ "oneOf": [answer, reference("Error")] });
        responses.insert("200".to_owned(), answered("The result, or an error.", either));
    }
    responses.insert("421".to_owned(), response("OtherHost"));
    responses.insert("429".to_owned(), response("TooMany"));
    responses.insert("431".to_owned(), response("HeadTooLong"));
    if is_limited {
        responses.insert("401".to_owned(), response("PermitNeeded"));
        responses.insert("403".to_owned(), response("NotPermitted"));
    }
    let parameters: Vec<Value> = parameters.iter().map(Parameter::in_query).collect();
    let mut operation = json!({
        "operationId": method.name,
        "tags": [tag],
        "summary": method.about,
        "parameters": parameters,
        "responses": responses,
    });
    if is_limited {
        operation["security"] = json!([{}, { "permit": [] }]);
    }
    operation
}
