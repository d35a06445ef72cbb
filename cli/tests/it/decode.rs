//! `decode`: items as people have them, and what lies in a data folder, beside a running node.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::{Desk, Node};

const KEY: &str = "--key alpha-user.json";

async fn send(node: &Node<'_>, tx: &str) -> Value {
    let receipt = node.run(&format!("tx {tx} {KEY} --json")).await.json();
    assert_eq!(receipt["code"], 0, "{receipt}");
    receipt
}

/// The one item that an answer has.
fn item(answer: &Value) -> (&str, &Value) {
    let items = answer["items"].as_array().unwrap();
    assert_eq!(items.len(), 1, "{answer}");
    (items[0]["kind"].as_str().unwrap(), &items[0]["value"])
}

#[tokio::test]
async fn an_item_is_decoded_from_text_from_a_file_and_by_its_kind() {
    let desk = Desk::new();
    desk.network(&["alpha"]).await;
    let node = desk.start("alpha", "").await;
    let put = format!(
        "tx record put prices oil 81.2 --content-type application/json {KEY} --sign-only --json"
    );
    let signed = node.run(&put).await.json();
    let digits = signed["tx"].as_str().unwrap();
    let bytes = hex::decode(digits).unwrap();
    desk.write("tx.hex", &format!("{digits}\n"));
    std::fs::write(desk.path("tx.bin"), &bytes).unwrap();
    for (given, how) in [
        (digits.to_owned(), "hex"),
        (STANDARD.encode(&bytes), "base64"),
        ("@tx.hex".to_owned(), "hex"),
        ("@tx.bin".to_owned(), "bytes"),
        (format!("{digits} --kind transaction"), "hex"),
    ] {
        // For people it is JSON, too.
        let (text, answer) = desk.ask(&format!("decode {given}")).await;
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), answer);
        assert_eq!(
            (&answer["read_as"], &answer["bytes"]),
            (&json!(how), &json!(bytes.len().to_string()))
        );
        let (kind, value) = item(&answer);
        assert_eq!((kind, &value["hash"]), ("transaction", &signed["hash"]));
        let put = &value["body"]["call"]["Records"]["Put"];
        assert_eq!(put["key"], json!({ "bytes": "3", "text": "oil" }));
        assert_eq!(put["content_type"], "application/json");
        assert_eq!(put["value"], json!({ "bytes": "4", "json": 81.2 }));
    }

    // Transactions and the liveness record as the RPC has them.
    send(&node, "record create prices").await;
    let block = node.run("query block 1 --json").await.json();
    let record = block["block"]["data"]["txs"][0].as_str().unwrap();
    let (_, answer) = desk.ask(&format!("decode {record}")).await;
    assert_eq!(item(&answer).0, "liveness-record");

    let address = "node address set /ip4/127.0.0.1/tcp/26656 --key alpha/config/node_key.json";
    node.run(address).await.done();
    let token = node.run("node invite --admin-key alpha-admin.json").await.done();
    let (text, answer) = desk.ask(&format!("decode {}", token.trim())).await;
    let (kind, value) = item(&answer);
    assert_eq!((kind, &value["invitation"]["body"]["org"]), ("join-token", &json!("alpha")));
    assert!(value["invitation"]["body"]["valid_until"].as_str().unwrap().ends_with('Z'), "{text}");
    node.stop().await;
}

#[tokio::test]
async fn what_is_no_item_is_refused_with_what_was_tried() {
    let desk = Desk::new();
    desk.fail("decode zz!", 1, &["neither pairs of hex digits nor base64", "@FILE"]).await;
    desk.fail("decode @none", 1, &["cannot open none"]).await;
    desk.fail("decode -", 1, &["the input is empty"]).await;
    desk.fail("decode 00ff --kind blok", 2, &["kind of item blok", "certified-block"]).await;
    let words = ["as hex, 3 bytes", "block cannot be decoded", "decoding ended at byte 0 of 3"];
    desk.fail("decode 0000ff --kind block", 1, &words).await;
    desk.fail("decode", 2, &["<ITEM>"]).await;
    desk.fail("decode 00 --family state", 2, &["--family"]).await;
    desk.fail("decode --family stat", 2, &["stat", "state, tree, blocks"]).await;
    desk.fail("decode --key a", 2, &["--family"]).await;
    desk.fail("decode --family state --home none", 1, &["none", "tandem init"]).await;
    desk.network(&["alpha"]).await;
    desk.fail("decode --family state --home alpha", 1, &["there is no database in alpha/data"])
        .await;
    let (text, kinds) = desk.ask("decode --list-kinds").await;
    assert!(text.contains("certified-block") && text.contains("transaction"), "{text}");
    assert!(kinds["kinds"].as_array().unwrap().len() > 20);
    // Where several kinds fit, all are told, and people are told so.
    let zeros = "00".repeat(16);
    let both = desk.run(&format!("decode {zeros}")).await;
    assert!(both.answer()["items"].as_array().unwrap().len() > 1);
    assert!(both.stderr(0).contains("kinds fit these bytes; --kind tries one alone"));
}

#[tokio::test]
async fn a_data_folder_is_read_beside_its_running_node() {
    let desk = Desk::new();
    desk.network(&["alpha"]).await;
    read_beside(&desk).await;
}

#[tokio::test]
async fn an_encrypted_one_is_read_beside_its_running_node_with_its_key_alone() {
    let desk = Desk::new();
    desk.network(&["alpha"]).await;
    desk.run("db key storage.key").await.done();
    desk.encrypt("alpha", "storage.key");
    read_beside(&desk).await;

    let rename = |from, to| std::fs::rename(desk.path(from), desk.path(to)).unwrap();
    desk.run("db key other.key").await.done();
    let line = "decode --home alpha --family meta --key height";
    rename("storage.key", "kept.key");
    desk.fail(line, 1, &["storage.key"]).await;
    rename("other.key", "storage.key");
    desk.fail(line, 1, &["another key", "storage.key_file"]).await;
    let config = desk.read("alpha/config/config.toml");
    let file = format!("\"{}\"", desk.path("storage.key").display());
    desk.write("alpha/config/config.toml", &config.replace(&file, "\"\""));
    desk.fail(line, 1, &["is encrypted", "storage.key_file"]).await;
    desk.write("alpha/config/config.toml", &config);
    rename("kept.key", "storage.key");
    desk.run(line).await.done();
}

/// The home `alpha` is read while its node runs, after it was compacted, and when the node has stopped.
async fn read_beside(desk: &Desk) {
    let node = desk.start("alpha", "").await;
    send(&node, "record create prices").await;
    std::fs::write(desk.path("escape"), b"\x1b[2J").unwrap();
    let put = send(&node, "record put prices 0x00ff @escape").await;
    let (hash, height) = (put["hash"].as_str().unwrap(), put["height"].as_str().unwrap());

    let decode = |line: String| async move {
        desk.run(&format!("decode --home alpha --family {line}")).await
    };
    for run in 0..3 {
        let record = decode("state --key records/data/prices/0x00ff".to_owned()).await.json();
        assert_eq!((&record["kind"], &record["value"]["version"]), (&json!("record"), &json!("1")));
        let value = json!({ "bytes": "4", "hex": "1B5B324A", "base64": "G1sySg==" });
        assert_eq!(record["value"]["value"], value);
        let place = decode(format!("index --key transaction/{hash}")).await.json();
        assert_eq!(place["value"], json!([height, put["index"]]));
        let block = decode(format!("blocks --key {height}")).await.json();
        assert_eq!(block["value"]["block"]["txs"][0]["hash"], *hash);
        let guard = decode("consensus --key journal".to_owned()).await.json();
        assert_eq!(guard["value"]["guard"]["key"], "Good");

        let lines = decode("state --prefix records/ --limit 2".to_owned()).await;
        let text = lines.stderr(0);
        assert!(text.contains("there are more: use --prefix or --limit"), "{text}");
        let lines = decode("state --limit 100000".to_owned()).await.done();
        let keys: Vec<String> = lines
            .lines()
            .map(|line| {
                serde_json::from_str::<Value>(line).unwrap()["key"].as_str().unwrap().to_owned()
            })
            .collect();
        for key in
            ["ledger/last", "standby/table/1", "consortium/org/alpha", "records/data/prices/0x00ff"]
        {
            assert!(keys.iter().any(|k| k == key), "{key}: {keys:?}");
        }
        desk.fail(
            "decode --home alpha --family blocks --key 999999",
            1,
            &["there is no key 999999"],
        )
        .await;
        desk.fail("decode --home alpha --family blocks --key x", 2, &["a height"]).await;
        // The node has taken no notice, and what it does next is seen.
        send(&node, &format!("record put prices oil {run} --content-type application/cbor")).await;
        let oil = decode("state --key records/data/prices/oil".to_owned()).await.json();
        assert_eq!(oil["value"]["content_type"], "application/cbor");
        // The digits are items of CBOR, too.
        assert_eq!(oil["value"]["value"]["cbor"], format!("-{}", run + 17));
        if run == 0 {
            node.run("db compact --home alpha").await.done();
        }
    }
    node.stop().await;
    let oil = decode("state --key records/data/prices/oil".to_owned()).await.json();
    assert_eq!(oil["value"]["value"]["cbor"], "-19");
}
