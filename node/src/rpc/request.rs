//! JSON-RPC 2.0 requests: their envelope, in a body and in a query.

use serde_json::{Map, Value};

use super::error::RpcError;

/// The id that CometBFT gives to answers to GET requests.
pub const GET_ID: i64 = -1;

/// Bytes of an id that is a string: it comes back in every answer, also in those that are given when
/// there is room for nothing else.
pub const MAX_ID_BYTES: usize = 256;

/// One call as it came in.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Echoed as it came, number or string; none in a notification, which has no answer.
    pub id: Option<Value>,
    /// Name of the method.
    pub method: String,
    /// Its parameters: null, an object or an array.
    pub params: Value,
}

/// What a body holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// One request, or why it is none, with the id to answer with.
    Single(Result<Request, (Value, RpcError)>),
    /// A list of such.
    Batch(Vec<Result<Request, (Value, RpcError)>>),
}

impl Body {
    /// Parses a body; a batch has 1 to `max_batch` entries.
    ///
    /// # Errors
    /// When the whole body is refused; what is wrong with one request of a batch concerns that
    /// request alone.
    pub fn parse(bytes: &[u8], max_batch: usize) -> Result<Self, RpcError> {
        let value = serde_json::from_slice(bytes)
            .map_err(|error| RpcError::parse(format!("the body is no JSON: {error}")))?;
        match value {
            Value::Array(items) if items.is_empty() => {
                Err(RpcError::invalid_request("the batch is empty"))
            }
            Value::Array(items) if items.len() > max_batch => {
                let got = items.len();
                let data = format!("batch of {got} requests, at most {max_batch} are allowed");
                Err(RpcError::invalid_request(data))
            }
            Value::Array(items) => Ok(Self::Batch(items.into_iter().map(parse_one).collect())),
            other => Ok(Self::Single(parse_one(other))),
        }
    }
}

impl Body {
    /// Requests in it.
    #[must_use]
    pub fn requests(&self) -> usize {
        match self {
            Self::Single(_) => 1,
            Self::Batch(requests) => requests.len(),
        }
    }

    /// The id to answer the whole of it with; none of a batch and of a notification.
    #[must_use]
    pub fn id(self) -> Option<Value> {
        match self {
            Self::Single(request) => request.map_or_else(|(id, _)| Some(id), |request| request.id),
            Self::Batch(_) => None,
        }
    }
}

fn parse_one(value: Value) -> Result<Request, (Value, RpcError)> {
    let Value::Object(mut object) = value else {
        let data = "a request is an object with jsonrpc, id, method and params";
        return Err((Value::Null, RpcError::invalid_request(data)));
    };
    let id = object.remove("id");
    let answer_id = match &id {
        None => Value::Null,
        Some(id @ (Value::Null | Value::Number(_))) => id.clone(),
        Some(Value::String(id)) if id.len() <= MAX_ID_BYTES => Value::from(id.as_str()),
        Some(_) => {
            let rule = format!("id must be a number, or a string of at most {MAX_ID_BYTES} bytes");
            return Err((Value::Null, RpcError::invalid_request(rule)));
        }
    };
    envelope(object)
        .map(|(method, params)| Request { id, method, params })
        .map_err(|error| (answer_id, error))
}

fn envelope(mut object: Map<String, Value>) -> Result<(String, Value), RpcError> {
    if object.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return Err(RpcError::invalid_request("jsonrpc must be \"2.0\""));
    }
    let Some(Value::String(method)) = object.remove("method") else {
        return Err(RpcError::invalid_request("method must be the name of a method"));
    };
    match object.remove("params").unwrap_or_default() {
        params @ (Value::Null | Value::Object(_) | Value::Array(_)) => Ok((method, params)),
        _ => Err(RpcError::params("params must be an object, an array or null")),
    }
}

/// The answer to a request.
#[must_use]
pub fn response(id: Value, result: Result<Value, RpcError>) -> Value {
    let (name, value) = match result {
        Ok(value) => ("result", value),
        Err(error) => ("error", error.to_json()),
    };
    // Not the macro `json!`, which would copy a block once more.
    let members = [("jsonrpc", Value::from("2.0")), ("id", id), (name, value)];
    Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn parse(text: &str) -> Result<Body, RpcError> {
        Body::parse(text.as_bytes(), 3)
    }

    #[test]
    fn ids_and_params_come_through_as_they_are() {
        for (id, params) in [
            (json!(1), json!(null)),
            (json!(1.5), json!({"height": "5"})),
            (json!("a\"b"), json!(["5"])),
            (json!(null), json!({})),
        ] {
            let text = json!({"jsonrpc": "2.0", "id": id, "method": "m", "params": params});
            let expected = Request { id: Some(id), method: "m".to_owned(), params };
            assert_eq!(parse(&text.to_string()), Ok(Body::Single(Ok(expected))));
        }
    }

    #[test]
    fn params_may_be_left_out_and_a_missing_id_is_a_notification() {
        let request = Request { id: None, method: "m".to_owned(), params: Value::Null };
        assert_eq!(parse(r#"{"jsonrpc":"2.0","method":"m"}"#), Ok(Body::Single(Ok(request))));
    }

    #[test]
    fn bad_bodies() {
        let whole = [
            ("", -32700),
            ("{", -32700),
            ("{\"a\":1}x", -32700),
            ("\u{0}", -32700),
            ("[]", -32600),
            ("[1,2,3,4]", -32600),
        ];
        for (text, code) in whole {
            assert_eq!(parse(text).unwrap_err().code, code, "{text}");
        }
        let deep = "[".repeat(100_000);
        assert_eq!(parse(&deep).unwrap_err().code, -32700);
    }

    #[test]
    fn bad_requests_are_answered_with_their_id() {
        let cases = [
            (r"1", json!(null), -32600),
            (r#""x""#, json!(null), -32600),
            (r"{}", json!(null), -32600),
            (r#"{"id":7}"#, json!(7), -32600),
            (r#"{"id":7,"jsonrpc":"1.0","method":"m"}"#, json!(7), -32600),
            (r#"{"id":7,"jsonrpc":"2.0"}"#, json!(7), -32600),
            (r#"{"id":7,"jsonrpc":"2.0","method":5}"#, json!(7), -32600),
            (r#"{"id":"x","jsonrpc":"2.0","method":"m","params":5}"#, json!("x"), -32602),
            (r#"{"id":[1],"jsonrpc":"2.0","method":"m"}"#, json!(null), -32600),
            (r#"{"id":true,"jsonrpc":"2.0","method":"m"}"#, json!(null), -32600),
        ];
        for (text, id, code) in cases {
            let Ok(Body::Single(Err((got, error)))) = parse(text) else { panic!("{text}") };
            assert_eq!((got, error.code), (id, code), "{text}");
        }
    }

    #[test]
    fn ids_that_come_back_are_bounded() {
        for (bytes, is_taken) in [(MAX_ID_BYTES, true), (MAX_ID_BYTES + 1, false)] {
            let text = json!({"jsonrpc": "2.0", "id": "x".repeat(bytes), "method": "m"});
            let Ok(Body::Single(request)) = parse(&text.to_string()) else { panic!("{text}") };
            assert_eq!(request.is_ok(), is_taken);
            let refused = request.err().map(|(id, error)| (id, error.code));
            assert_eq!(refused, (!is_taken).then_some((Value::Null, -32600)));
        }
    }

    #[test]
    fn one_bad_request_of_a_batch_leaves_the_others_alone() {
        let Ok(Body::Batch(items)) = parse(r#"[{"id":1,"jsonrpc":"2.0","method":"m"},5]"#) else {
            panic!("a batch")
        };
        assert!(items[0].is_ok() && items[1].is_err() && items.len() == 2);
    }

    /// JSON with the names that a request has among others.
    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            // Numbers that text keeps whole.
            any::<i16>().prop_map(|number| Value::from(f64::from(number) / 4.0)),
            "2.0|m|\\PC{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 6, |inner| {
            prop_oneof![
                vec(inner.clone(), 0..5).prop_map(Value::from),
                btree_map("jsonrpc|id|method|params|x", inner, 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_body_or_refused(bytes in vec(any::<u8>(), 0..80)) {
            if let Err(error) = Body::parse(&bytes, 3) {
                prop_assert!(matches!(error.code, -32700 | -32600));
            }
        }

        #[test]
        fn any_json_is_answered_with_an_id_that_may_come_back(value in any_json()) {
            let requests = match parse(&value.to_string()) {
                Err(error) => {
                    prop_assert_eq!(error.code, -32600);
                    return Ok(());
                }
                Ok(Body::Single(request)) => vec![request],
                Ok(Body::Batch(requests)) => requests,
            };
            prop_assert!(requests.len() <= 3);
            for request in requests {
                let id = match request {
                    Ok(request) => request.id.unwrap_or_default(),
                    Err((id, error)) => {
                        prop_assert!(matches!(error.code, -32600 | -32602));
                        id
                    }
                };
                prop_assert!(matches!(id, Value::Null | Value::Number(_) | Value::String(_)));
            }
        }

        #[test]
        fn a_request_comes_back_from_its_json(
            id in "\\PC{0,20}",
            method in "\\PC{0,20}",
            params in any_json(),
        ) {
            let takes = matches!(params, Value::Null | Value::Object(_) | Value::Array(_));
            let text = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
            let request = Request { id: Some(Value::from(id)), method, params };
            let parsed = parse(&text.to_string());
            prop_assert_eq!(parsed == Ok(Body::Single(Ok(request))), takes);
        }
    }
}
