//! Every parameter of every method with what does not belong there, one at a time, beside others that are
//! good: an answer or an error that says what is wrong, and the node goes on.

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::{Value, json};
use tandem_chain::types::Height;

use super::openapi::held::check;
use super::reading::table::{params, target};
use super::{Node, node};
use crate::rpc::methods::{METHODS, Method};

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
    for (name, value) in [("data_set", "set"), ("hash", &"AB".repeat(32))] {
        if method.params.contains(&name) && method.name != "abci_query" {
            members.entry(name).or_insert_with(|| json!(value));
        }
    }
    if method.name == "record_history" {
        members.insert("key".to_owned(), json!(hex::encode("a/1")));
    }
    good
}

async fn post(node: &Node, method: &str, params: &Value) -> Value {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let request = reqwest::Client::new().post(node.client.url()).body(body.to_string());
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK, "{body}");
    check("post", "/", response).await
}

#[tokio::test]
async fn bad_parameters_in_json_are_answered_and_change_nothing() {
    let node = with_blocks().await;
    let before = node.call("status", json!({})).await["sync_info"].clone();
    for method in METHODS {
        for name in method.params {
            for value in values() {
                let mut params = good(method);
                params[*name] = value.clone();
                let asked = format!("{} {name} = {:.60}", method.name, value.to_string());
                let begun = Instant::now();
                let code = code(&post(&node, method.name, &params).await, &asked);
                assert!(begun.elapsed() < SOON, "{asked}");
                // Lists and objects belong nowhere but where a change or evidence does.
                if value.is_array() || value.is_object() {
                    assert!(matches!(code, Some(-32602 | -32001)), "{asked}: {code:?}");
                }
            }
            let mut params = good(method);
            params.as_object_mut().unwrap().remove(*name);
            code(&post(&node, method.name, &params).await, method.name);
        }
        for params in [json!(5), json!("x"), json!([[], {}, 1, 2, 3, 4, 5, 6]), json!({ "x": 1 })] {
            let answer = post(&node, method.name, &params).await;
            let code = answer["error"]["code"].as_i64();
            let is_list = params.is_array() || params.is_object();
            assert!(!is_list || code == Some(-32602), "{} {params}: {answer}", method.name);
        }
    }
    assert_eq!(node.call("status", json!({})).await["sync_info"], before);
    assert_eq!(node.call("num_unconfirmed_txs", json!({})).await["total"], "0");
}

#[tokio::test]
async fn bad_parameters_in_a_query_are_answered_and_change_nothing() {
    let node = with_blocks().await;
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
    let http = reqwest::Client::new();
    let ask = async |method: &str, target: String| -> (StatusCode, Value) {
        let response = http.get(format!("{}{target}", node.client.url())).send().await.unwrap();
        (response.status(), check("get", &format!("/{method}"), response).await)
    };
    for method in METHODS {
        for name in method.params {
            let mut params = good(method);
            params.as_object_mut().unwrap().remove(*name);
            let others = target(&(method.name.to_owned(), params));
            let others = others.trim_end_matches('?');
            let with = if others.contains('?') { '&' } else { '?' };
            for value in values.into_iter().chain([long.as_str()]) {
                let asked = format!("{others}{with}{name}={value}");
                let (_, answer) = ask(method.name, asked.clone()).await;
                code(&answer, &asked[..asked.len().min(200)]);
            }
            let (_, answer) = ask(method.name, format!("{others}{with}{name}=1&{name}=1")).await;
            let text = answer["error"]["data"].as_str().unwrap();
            assert!(text.contains("is there twice"), "{}: {text}", method.name);
        }
    }
    let (status, _) = ask("health", "/health".to_owned()).await;
    assert_eq!(status, StatusCode::OK);
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
