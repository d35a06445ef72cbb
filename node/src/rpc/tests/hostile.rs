//! Every parameter of every method with what does not belong there, one at a time, beside others that are
//! good: an answer or an error that says what is wrong, and the node goes on. Of what kind a parameter is,
//! and whether it must be there, the OpenAPI document says. And bodies that are not quite JSON.

use std::time::{Duration, Instant};

use percent_encoding::percent_decode_str;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tandem_chain::types::Height;

use super::openapi::held::check;
use super::reading::table::{params, target};
use super::{Node, node};
use crate::rpc::methods::{METHODS, Method};
use crate::rpc::openapi;

/// Time that none of these requests may take.
const SOON: Duration = Duration::from_secs(5);

/// Values of every type, at the edges of numbers, and such as attackers send.
fn values() -> Vec<Value> {
    let mut deep = json!(1);
    for _ in 0..100 {
        deep = json!([deep]);
    }
    let texts = [
        "",
        " ",
        "-1",
        "0",
        "+1",
        "1.5",
        "1e3",
        "18446744073709551615",
        "18446744073709551616",
        "99999999999999999999999999999999999999999999",
        "0x",
        "0xZZ",
        "AB",
        "\0",
        "\u{1b}[31mred",
        "\u{202e}",
        "<script>alert(1)</script>",
        "%00",
        "../../etc/passwd",
        "' OR '1' = '1",
        "'",
        "\"",
        "{",
        "[[[[[[[[",
        "tx.height > ",
        "a.b = '\u{1b}[2J",
        "tx.height EXISTS AND",
        "1/1/1",
    ];
    let mut values: Vec<Value> = texts.map(Value::from).into();
    values.extend([json!("AB".repeat(32)), json!("zz".repeat(32)), json!("x".repeat(20_000))]);
    values.extend([json!(true), json!(0), json!(-1), json!(1.5), json!(1e300), json!(u64::MAX)]);
    values.extend([
        json!(i64::MIN),
        json!([]),
        json!([1, "2"]),
        json!({}),
        json!({ "a": {} }),
        deep,
    ]);
    values
}

/// An answer: its error's code, none of a good one. What stands in an error can be printed.
fn code(answer: &Value, asked: &str) -> Option<i64> {
    let error = &answer["error"];
    if error.is_null() {
        assert!(answer.get("result").is_some(), "{asked}: {answer}");
        return None;
    }
    let (code, text) = (error["code"].as_i64().unwrap(), error["data"].as_str().unwrap());
    assert!([-32602, -32603, -32000, -32001].contains(&code), "{asked}: {answer}");
    assert!(text.chars().all(|c| !c.is_control() && c != '\u{202e}'), "{asked}: {text:?}");
    assert!(text.len() < 2_000 && !text.contains("could not be computed"), "{asked}: {text}");
    Some(code)
}

/// A node that has taken away its first block.
async fn with_blocks() -> Node {
    let node = node().await;
    let create = node.chain().create(1);
    node.commit(vec![create]);
    let put = node.chain().put(2, "a/1", b"value");
    node.commit(vec![put]);
    (0..3).for_each(|_| node.commit(vec![]));
    node.chain().db.prune(Height(2)).unwrap();
    node
}

/// Parameters as good as they can be without a chain of their own.
fn good(method: &Method) -> Value {
    let mut good = params(method.name);
    let members = good.as_object_mut().unwrap();
    let hash = "AB".repeat(32);
    for (name, value) in
        [("data_set", "set"), ("hash", hash.as_str()), ("path", "/records"), ("sign_bytes", "AAAA")]
    {
        if method.params.contains(&name) {
            members.entry(name).or_insert_with(|| json!(value));
        }
    }
    if method.name == "record_history" {
        members.insert("key".to_owned(), json!(hex::encode("a/1")));
    }
    good
}

/// A parameter as the OpenAPI document has it.
struct Parameter {
    method: &'static Method,
    name: &'static str,
    kind: String,
    /// Whether it is a number with limits of its own.
    is_limited: bool,
    is_required: bool,
}

/// All parameters of all methods.
fn parameters() -> Vec<Parameter> {
    let written = openapi::methods();
    let mut parameters = Vec::new();
    for method in METHODS {
        for &name in method.params {
            let text = written[method.name]["params"][name].as_str().unwrap();
            let kind = text.split(' ').next().unwrap();
            let (kind, is_required) =
                kind.strip_suffix('!').map_or((kind, false), |kind| (kind, true));
            let (kind, is_limited) =
                kind.split_once('(').map_or((kind, false), |(kind, _)| (kind, true));
            let kind = kind.to_owned();
            parameters.push(Parameter { method, name, kind, is_limited, is_required });
        }
    }
    parameters
}

/// What is wrong in a parameter, with the error's code and a part of its words.
type Mistake<T> = (T, i64, &'static str);

impl Parameter {
    fn is_number(&self) -> bool {
        ["height", "integer", "page", "per_page"].contains(&self.kind.as_str())
    }

    /// The error for numbers below 0: as in CometBFT, heights have words of their own.
    fn below_zero(&self) -> (i64, &'static str) {
        if self.kind == "height" || ["height", "minHeight", "maxHeight"].contains(&self.name) {
            (-32603, "height must be greater than 0, but got -")
        } else {
            (-32602, self.name)
        }
    }

    /// The method's parameters in JSON: this one with a value, the others good.
    fn with(&self, value: Value) -> Value {
        let mut params = good(self.method);
        params[self.name] = value;
        params
    }

    /// The same as path and query; the value is as it stands there.
    fn target(&self, value: &str) -> String {
        let mut params = good(self.method);
        params.as_object_mut().unwrap().remove(self.name);
        let others = target(&(self.method.name.to_owned(), params));
        let and = if others.ends_with('?') { "" } else { "&" };
        format!("{others}{and}{}={value}", self.name)
    }

    fn mistakes_in_json(&self) -> Vec<Mistake<Value>> {
        let mut values = vec![json!([]), json!([1, "2"]), json!({}), json!({ "a": {} })];
        match self.kind.as_str() {
            _ if self.is_number() => {
                values.extend([json!(true), json!(false), json!(1.5), json!(-1.5), json!(1e300)]);
                let texts =
                    ["", " ", "x", "1.5", "-1.5", "1e3", "0x1", " 1", "1 ", "-", "--1", "1/1"];
                values.extend(texts.map(Value::from));
                // A digit of another script, and what has more than 64 bits.
                values.extend([json!("\u{967}"), json!("18446744073709551616")]);
                values.extend([json!("9".repeat(44)), json!("9".repeat(20_000))]);
            }
            "flag" => {
                values.extend([json!(0), json!(1), json!(""), json!("true"), json!("x")]);
            }
            "hash" => {
                values.extend([json!(true), json!(0), json!(-1), json!(u64::MAX)]);
                values.extend(["", " ", "x", "-1", "AB", "AAAA"].map(Value::from));
                // What stands in a query, what are no hex digits, and 33 bytes of base64.
                let digits = "AB".repeat(32);
                values.extend([json!(format!("0x{digits}")), json!(digits[1..])]);
                values.extend([json!("z".repeat(64)), json!("A".repeat(44))]);
            }
            // Texts, or objects.
            _ => {
                values.extend([json!(true), json!(false), json!(0), json!(-1), json!(1.5)]);
                values.extend([json!(1e300), json!(u64::MAX), json!(i64::MIN)]);
            }
        }
        let mut mistakes: Vec<Mistake<Value>> =
            values.into_iter().map(|value| (value, -32602, self.name)).collect();
        if self.is_number() {
            let (code, words) = self.below_zero();
            let long = format!("-{}", "9".repeat(40));
            let values = [json!(-1), json!(i64::MIN), json!("-1"), json!(long)];
            mistakes.extend(values.map(|value| (value, code, words)));
        }
        mistakes
    }

    fn mistakes_in_query(&self) -> Vec<Mistake<String>> {
        let long = "9".repeat(20_000);
        // Not in quotes, which texts need; some are no UTF-8.
        let mut values = vec!["x", "%", "%zz", "%00", "%ff", "%ff%fe"];
        match self.kind.as_str() {
            _ if self.is_number() => {
                values.extend(["true", "%5B1%5D", "%7B%22a%22%3A1%7D", "%22x%22", "%22%22", "%22"]);
                values.extend(["1.5", "1e3", "0x1", "%201", "1%20", "+1", "+", "%E0%A5%A7"]);
                values.extend(["18446744073709551616", long.as_str()]);
                // No UTF-8: beside a number, cut short, a surrogate, and a longer way to write 1.
                values.extend(["1%ff", "%ff1", "%22%ff%22", "%221%ff%22", "%c3%28", "1%c3"]);
                values.extend(["%ed%a0%80", "%c0%b1"]);
            }
            "flag" => values.extend(["1", "0", "TRUE", "yes", "%22true%22", "%22%22", "true%ff"]),
            "hash" => {
                values.extend(["true", "-1", "1", "0x", "0xZZ", "0xABAB", "0xAB%ff"]);
                values.extend(["%22", "%22%22", "%22x%22", "%22%ff%22", "%5B%5D", long.as_str()]);
                // Without 0x.
                values.push("ABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABAB");
            }
            _ => {}
        }
        let named = |value: &str| {
            let is_text = percent_decode_str(value).decode_utf8().is_ok();
            (value.to_owned(), -32602, if is_text { self.name } else { "not UTF-8" })
        };
        let mut mistakes: Vec<Mistake<String>> = values.into_iter().map(named).collect();
        if self.is_number() {
            let (code, words) = self.below_zero();
            let values = ["-1", "%22-1%22", "-9223372036854775808", "-99999999999999999999"];
            mistakes.extend(values.map(|value| (value.to_owned(), code, words)));
        }
        mistakes
    }

    /// What 0 and the largest number of 64 bits give: the code of an error, none for an answer.
    fn edges(&self) -> [Option<i64>; 2] {
        const ANSWER: Option<i64> = None;
        const WRONG: Option<i64> = Some(-32602);
        const NOT_TO_BE_HAD: Option<i64> = Some(-32603);
        match (self.method.name, self.name, self.kind.as_str()) {
            _ if self.is_limited => [WRONG; 2],
            // It is above the end, which is the newest block.
            ("liveness", "from", _) => [NOT_TO_BE_HAD, WRONG],
            (_, _, "height" | "page") => [NOT_TO_BE_HAD; 2],
            // As in CometBFT: 0 is as if nothing was said, and too many are as many as may be.
            (_, _, "per_page") | ("unconfirmed_txs" | "record_history", "limit", _) => [ANSWER; 2],
            // As in CometBFT: 0 is the end that there is, and what is above the newest is that.
            ("blockchain", "maxHeight", _) => [ANSWER; 2],
            ("blockchain", "minHeight", _) => [ANSWER, NOT_TO_BE_HAD],
            // As in CometBFT: 0 is the newest.
            ("abci_query", "height", _) => [ANSWER, NOT_TO_BE_HAD],
            ("genesis_chunked", "chunk", _) => [ANSWER, NOT_TO_BE_HAD],
            (_, "nonce" | "skip" | "before", _) => [ANSWER; 2],
            ("tx_prepare", "valid_until", _) => [WRONG; 2],
            ("motion", "motion", _) => [NOT_TO_BE_HAD; 2],
            // It is not what was signed, and not signed by the operator.
            (_, "time" | "keep_blocks" | "keep_days", _) => [NOT_TO_BE_HAD; 2],
            other => panic!("{other:?} has no edges yet"),
        }
    }
}

async fn post(http: &reqwest::Client, node: &Node, method: &str, params: &Value) -> Value {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let response = http.post(node.client.url()).body(body.to_string()).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK, "{body}");
    check("post", "/", response).await
}

async fn get(http: &reqwest::Client, node: &Node, method: &str, target: &str) -> Value {
    let response = http.get(format!("{}{target}", node.client.url())).send().await.unwrap();
    check("get", &format!("/{method}"), response).await
}

/// Asserts that an answer is an error of this code, with these words in it.
fn must_be_refused(answer: &Value, asked: &str, expected: i64, words: &str) {
    assert_eq!(code(answer, asked), Some(expected), "{asked}: {answer}");
    let text = answer["error"]["data"].as_str().unwrap();
    assert!(text.contains(words), "{asked}: {text}");
}

#[tokio::test]
async fn bad_parameters_in_json_are_answered_and_change_nothing() {
    let (node, http) = (with_blocks().await, reqwest::Client::new());
    let before = node.call("status", json!({})).await["sync_info"].clone();
    for parameter in parameters() {
        let (method, name) = (parameter.method.name, parameter.name);
        for value in values() {
            let asked = format!("{method} {name} = {:.60}", value.to_string());
            // Lists and objects belong nowhere but where a change or evidence does.
            let is_wrong = value.is_array() || value.is_object();
            let begun = Instant::now();
            let answer = post(&http, &node, method, &parameter.with(value)).await;
            let code = code(&answer, &asked);
            assert!(!is_wrong || code == Some(-32602), "{asked}: {answer}");
            assert!(begun.elapsed() < SOON, "{asked}");
        }
        let mut params = good(parameter.method);
        params.as_object_mut().unwrap().remove(name);
        let answer = post(&http, &node, method, &params).await;
        let asked = format!("{method} without {name}");
        if parameter.is_required {
            must_be_refused(&answer, &asked, -32602, &format!("parameter {name} is missing"));
        } else {
            assert_ne!(code(&answer, &asked), Some(-32602), "{asked}: {answer}");
        }
    }
    for method in METHODS {
        for params in [json!(5), json!("x"), json!([[], {}, 1, 2, 3, 4, 5, 6]), json!({ "x": 1 })] {
            let answer = post(&http, &node, method.name, &params).await;
            must_be_refused(&answer, &format!("{} {params}", method.name), -32602, "param");
        }
    }
    assert_eq!(node.call("status", json!({})).await["sync_info"], before);
    assert_eq!(node.call("num_unconfirmed_txs", json!({})).await["total"], "0");
}

#[tokio::test]
async fn what_is_of_another_kind_in_json_is_refused_by_name() {
    let (node, http) = (with_blocks().await, reqwest::Client::new());
    for parameter in parameters() {
        let (method, name) = (parameter.method.name, parameter.name);
        for (value, expected, words) in parameter.mistakes_in_json() {
            let asked = format!("{method} {name} = {:.60}", value.to_string());
            let answer = post(&http, &node, method, &parameter.with(value)).await;
            must_be_refused(&answer, &asked, expected, words);
        }
    }
}

#[tokio::test]
async fn bad_parameters_in_a_query_are_answered_and_change_nothing() {
    let (node, http) = (with_blocks().await, reqwest::Client::new());
    let values = [
        "-1",
        "0",
        "%220%22",
        "18446744073709551616",
        "1e3",
        "x",
        "%22x%22",
        "%22",
        "%22%22",
        "0x",
        "0xZ",
        "0xABAB",
        "%ff%fe",
        "%22%ff%22",
        "%00",
        "%22%00%22",
        "%22%1b%5b31m%22",
        "%",
        "%zz",
        "%22%3Cscript%3E%22",
        "%7B",
        "%5B%5B",
        "%5B1%5D",
        "%7B%22a%22%3A1%7D",
        "%22'%20OR%201%22",
        "%E2%80%AE",
        "+",
        "%26",
        "a=b",
    ];
    let long = "9".repeat(20_000);
    for parameter in parameters() {
        let (method, name) = (parameter.method.name, parameter.name);
        for value in values.into_iter().chain([long.as_str()]) {
            let asked = parameter.target(value);
            code(&get(&http, &node, method, &asked).await, &asked[..asked.len().min(200)]);
        }
        let asked = parameter.target(&format!("1&{name}=1"));
        let answer = get(&http, &node, method, &asked).await;
        must_be_refused(&answer, &asked, -32602, &format!("parameter {name} is there twice"));
    }
    let health = http.get(format!("{}/health", node.client.url())).send().await.unwrap();
    assert_eq!(health.status(), StatusCode::OK);
}

#[tokio::test]
async fn what_is_of_another_kind_in_a_query_is_refused_by_name() {
    let (node, http) = (with_blocks().await, reqwest::Client::new());
    for parameter in parameters() {
        for (value, expected, words) in parameter.mistakes_in_query() {
            let asked = parameter.target(&value);
            let answer = get(&http, &node, parameter.method.name, &asked).await;
            let asked = format!("{} {} = {value:.60}", parameter.method.name, parameter.name);
            must_be_refused(&answer, &asked, expected, words);
        }
    }
}

#[tokio::test]
async fn the_least_and_the_largest_numbers_are_answered_or_refused_each_as_it_is_written() {
    let (node, http) = (with_blocks().await, reqwest::Client::new());
    for parameter in parameters().into_iter().filter(Parameter::is_number) {
        let (method, name) = (parameter.method.name, parameter.name);
        for (number, expected) in [0, u64::MAX].into_iter().zip(parameter.edges()) {
            let asked = format!("{method} {name} = {number}");
            for value in [json!(number), json!(number.to_string())] {
                let answer = post(&http, &node, method, &parameter.with(value)).await;
                assert_eq!(code(&answer, &asked), expected, "{asked}: {answer}");
            }
            for value in [number.to_string(), format!("%22{number}%22")] {
                let answer = get(&http, &node, method, &parameter.target(&value)).await;
                assert_eq!(code(&answer, &asked), expected, "{asked}: {answer}");
            }
        }
    }
}

#[tokio::test]
async fn a_body_that_is_no_utf_8_is_no_json() {
    let (node, http) = (node().await, reqwest::Client::new());
    let ask = async |body: Vec<u8>| {
        let response = http.post(node.client.url()).body(body).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        check("post", "/", response).await
    };
    let call = |method: &[u8]| {
        let begin: &[u8] = br#"{"jsonrpc":"2.0","id":1,"method":""#;
        [begin, method, br#"","params":{}}"#].concat()
    };
    assert_eq!(ask(call(b"health")).await["result"], json!({}));
    let utf_16 = String::from_utf8(call(b"health")).unwrap();
    let utf_16: Vec<u8> = utf_16.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let with_mark = [b"\xef\xbb\xbf".as_slice(), &call(b"health")].concat();
    for body in [
        call(b"\xff"),
        call(b"health\xff"),
        // Cut short, a surrogate, a longer way to write a slash.
        call(b"health\xe2\x80"),
        call(b"\xed\xa0\x80"),
        call(b"\xc0\xaf"),
        // Halves of pairs, in escapes.
        call(br"\ud800"),
        call(br"\udc00\ud800"),
        b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"health\",\"\xff\":1}".to_vec(),
        [call(b"health").as_slice(), b"\xff"].concat(),
        with_mark,
        utf_16,
    ] {
        let shown = body.escape_ascii().to_string();
        let answer = ask(body).await;
        let error = &answer["error"];
        assert_eq!((&answer["id"], &error["code"]), (&Value::Null, &json!(-32700)), "{shown}");
        assert!(error["data"].as_str().unwrap().contains("no JSON"), "{shown}: {error}");
    }
}

#[tokio::test]
async fn of_a_member_that_is_there_twice_the_last_counts() {
    // As in CometBFT, which reads JSON as Go does.
    let (node, http) = (with_blocks().await, reqwest::Client::new());
    let begin = r#"{"jsonrpc":"2.0","id":1,"#;
    for (rest, id, expected) in [
        (r#""method":"status","method":"header","params":{"height":"3"}}"#, json!(1), Ok("3")),
        (r#""method":"header","params":[3],"params":{"height":"4"}}"#, json!(1), Ok("4")),
        (r#""method":"header","params":{"height":"x","height":"4"}}"#, json!(1), Ok("4")),
        (r#""method":"header","params":{"height":"4","height":"x"}}"#, json!(1), Err(-32602)),
        (r#""id":2,"method":"header","params":{"height":"3"}}"#, json!(2), Ok("3")),
        (r#""id":[],"method":"header","params":{"height":"3"}}"#, json!(null), Err(-32600)),
        (r#""jsonrpc":"1.0","method":"header","params":{"height":"3"}}"#, json!(1), Err(-32600)),
    ] {
        let request = http.post(node.client.url()).body(format!("{begin}{rest}"));
        let answer = check("post", "/", request.send().await.unwrap()).await;
        assert_eq!(answer["id"], id, "{rest}: {answer}");
        match expected {
            Ok(height) => assert_eq!(answer["result"]["header"]["height"], height, "{rest}"),
            Err(code) => assert_eq!(answer["error"]["code"], code, "{rest}"),
        }
    }
}

#[tokio::test]
async fn heights_that_are_gone_or_to_come_have_their_words() {
    let node = with_blocks().await;
    let of_height = ["block", "block_results", "header", "commit", "consensus_params"];
    let names = METHODS.iter().filter(|method| method.params == ["height"]).map(|m| m.name);
    assert_eq!(names.collect::<std::collections::BTreeSet<_>>(), of_height.into());
    for method in of_height {
        for (height, words) in [
            ("1", "height 1 is not available, lowest height is 2"),
            ("7", "height 7 must be less than or equal to the current blockchain height 5"),
            (
                "18446744073709551615",
                "must be less than or equal to the current blockchain height 5",
            ),
            ("0", "height must be greater than 0, but got 0"),
            ("-9223372036854775808", "height must be greater than 0, but got -9223372036854775808"),
        ] {
            let (code, text) = node.error(method, json!({ "height": height })).await;
            assert!(code == -32603 && text.contains(words), "{method} {height}: {text}");
        }
    }
}
