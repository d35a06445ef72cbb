//! `export` and `import`: a ledger as a file, and a node made from it.

use serde_json::{Value, json};
use tandem_chain::types::Hash;
use tokio::io::AsyncWriteExt;

use crate::support::{Desk, Node};

async fn send(node: &Node<'_>, tx: &str) -> Value {
    let receipt = node.run(&format!("tx {tx} --key alpha-user.json --json")).await.json();
    assert_eq!(receipt["code"], 0, "{receipt}");
    receipt
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A home with a key that is new to the chain.
async fn home(desk: &Desk, name: &str) {
    let ports = "--listen /ip4/127.0.0.1/tcp/0 --rpc-listen 127.0.0.1:0";
    desk.run(&format!("init --home {name} {ports} --genesis genesis.json")).await.done();
    let config = format!("{name}/config/config.toml");
    desk.write(&config, &desk.read(&config).replace("format = \"plain\"", "format = \"json\""));
}

#[tokio::test]
async fn a_ledger_is_written_beside_its_node_and_a_node_is_made_from_it() {
    let desk = Desk::new();
    let genesis = desk.network(&["alpha"]).await;
    let node = desk.start("alpha", "").await;
    send(&node, "record create prices").await;
    let put = send(&node, "record put prices oil 81.20 --content-type text/plain").await;
    let height = put["height"].as_str().unwrap();

    let written = desk.run("export blocks.jsonl --home alpha --json").await.json();
    assert_eq!((&written["holds"], &written["from"]), (&json!("blocks"), &json!("1")));
    let to = written["to"].as_str().unwrap();
    assert!(to.parse::<u64>().unwrap() >= height.parse().unwrap());
    let file = desk.read("blocks.jsonl");
    let all = lines(&file);
    assert_eq!((&all[0]["tandem_export"], &all[0]["genesis"]), (&json!("blocks"), &json!(genesis)));
    let last = &all[all.len() - 1]["end"];
    assert_eq!(last["lines"], to);
    let before = &file[..=file.trim_end().rfind('\n').unwrap()];
    assert_eq!(last["sha256"], json!(Hash::of(before.as_bytes())));
    let line = &all[height.parse::<usize>().unwrap()];
    let content = &line["content"]["block"]["txs"][0];
    assert_eq!((&line["height"], &content["hash"]), (&json!(height), &put["hash"]));
    let call = &content["body"]["call"]["Records"]["Put"];
    assert_eq!(
        (&call["content_type"], &call["value"]["text"]),
        (&json!("text/plain"), &json!("81.20"))
    );

    desk.fail("export blocks.jsonl --home alpha", 1, &["blocks.jsonl exists already"]).await;
    assert_eq!(desk.read("blocks.jsonl"), file);
    desk.fail(
        "export other.jsonl --home alpha --from 9999999",
        1,
        &["9999999 to", "there are 1 to"],
    )
    .await;
    assert!(!desk.path("other.jsonl").exists());
    let part = desk.run("export - --home alpha --from 2 --to 3 --compact").await.done();
    let part = lines(&part);
    assert_eq!(
        (part.len(), &part[1]["height"], &part[1]["content"]),
        (4, &json!("2"), &Value::Null)
    );

    let text = desk.run("export records.jsonl --records --home alpha").await.done();
    assert!(text.contains("records of height"), "{text}");
    let records = lines(&desk.read("records.jsonl"));
    assert_eq!(records[1], json!({ "data_set": "prices", "owner": "alpha" }));
    let record = &records[2];
    assert_eq!((&record["key"], &record["version"]), (&json!("6F696C"), &json!("1")));
    assert_eq!(record["content"]["value"], json!({ "bytes": "5", "text": "81.20" }));
    assert_eq!(record["content_type"], "text/plain");

    home(&desk, "copy").await;
    let imported = desk.run("import blocks.jsonl --home copy --json").await.json();
    assert_eq!((&imported["added"], &imported["height"]), (&json!(to), &json!(to)));
    assert_eq!(imported["key_is_lost"], false);
    let (text, again) = desk.ask("import blocks.jsonl --home copy").await;
    assert_eq!((&again["known"], &again["added"]), (&json!(to), &json!("0")));
    assert!(text.contains("there before"), "{text}");
    desk.run("export again.jsonl --home copy").await.done();
    assert_eq!(desk.read("again.jsonl"), file, "byte for byte");
    desk.fail("import records.jsonl --home copy", 1, &["line 1: the file holds records"]).await;
    // The home of a node that runs, and one that has signed.
    desk.fail("import blocks.jsonl --home alpha", 1, &["another tandem process uses alpha/data"])
        .await;
    node.stop().await;
    desk.fail("import blocks.jsonl --home alpha", 1, &["has signed votes, as far as height"]).await;

    // A node starts from it, and has what the other had.
    let copy = desk.start("copy", "").await;
    assert_eq!(copy.run("query record prices oil").await.done(), "81.20");
    let oil = copy.run("query record prices oil --json").await.json();
    assert_eq!(oil["content_type"], "text/plain");
    let found =
        copy.run(&format!("query tx {} --json", put["hash"].as_str().unwrap())).await.json();
    assert_eq!(found, put);
    copy.stop().await;
}

/// The height that a home's database has; none while it is not there.
async fn height(desk: &Desk, home: &str) -> Option<u64> {
    let ran = desk.run(&format!("decode --home {home} --family meta --key height")).await;
    if !ran.is_done() {
        return None;
    }
    ran.json()["value"].as_str()?.parse().ok()
}

#[tokio::test]
async fn an_import_that_is_killed_goes_on_in_an_encrypted_home_too() {
    let desk = Desk::new();
    desk.network(&["alpha"]).await;
    let node = desk.start("alpha", "").await;
    send(&node, "record create prices").await;
    send(&node, "record put prices oil 81.20").await;
    node.stop().await;
    desk.run("export all.jsonl --home alpha").await.done();
    let all = desk.read("all.jsonl");
    let lines: Vec<&str> = all.split_inclusive('\n').collect();
    let count = lines.len() - 2;
    desk.run("db key storage.key").await.done();
    home(&desk, "copy").await;
    desk.encrypt("copy", "storage.key");

    let mut import = desk.begin("import - --home copy");
    let mut input = import.stdin.take().unwrap();
    input.write_all(lines[..3].concat().as_bytes()).await.unwrap();
    while height(&desk, "copy").await.is_none_or(|height| height < 2) {
        assert_eq!(import.try_wait().unwrap(), None, "it waits for more");
    }
    desk.fail("import all.jsonl --home copy", 1, &["another tandem process uses copy/data"]).await;
    import.kill().await.unwrap();
    let imported = desk.run("import all.jsonl --home copy --json").await.json();
    assert_eq!(
        (&imported["known"], &imported["added"]),
        (&json!("2"), &json!((count - 2).to_string()))
    );
    desk.run("export again.jsonl --home copy").await.done();
    assert_eq!(desk.read("again.jsonl"), all, "byte for byte");
    let table = std::fs::read_dir(desk.path("copy/data")).unwrap().flatten().map(|f| f.path());
    for file in table.filter(|path| path.is_file()) {
        let bytes = std::fs::read(&file).unwrap();
        assert!(!bytes.windows(6).any(|part| part == b"prices"), "{}", file.display());
    }
}

#[tokio::test]
async fn a_full_disk_ends_both_with_a_word_and_spoils_nothing() {
    let desk = Desk::new();
    desk.network(&["alpha"]).await;
    let node = desk.start("alpha", "").await;
    send(&node, "record create prices").await;
    for (i, letter) in ["a", "b", "c"].into_iter().enumerate() {
        desk.write("value", &letter.repeat(100_000 + i));
        send(&node, &format!("record put prices {letter} @value")).await;
    }
    node.stop().await;
    let error = desk.run_bounded("export all.jsonl --home alpha", 64).await.stderr(1);
    assert!(error.contains("cannot write the export") && error.contains("too large"), "{error}");
    let files = std::fs::read_dir(desk.path("")).unwrap().flatten().map(|file| file.file_name());
    let files: Vec<_> = files.map(|name| name.into_string().unwrap()).collect();
    assert!(!files.iter().any(|name| name.starts_with(".tmp") || name == "all.jsonl"), "{files:?}");
    desk.run("export all.jsonl --home alpha").await.done();

    home(&desk, "copy").await;
    let error = desk.run_bounded("import all.jsonl --home copy", 128).await.stderr(1);
    assert!(error.contains("File too large"), "{error}");
    let there = height(&desk, "copy").await.unwrap();
    let imported = desk.run("import all.jsonl --home copy --json").await.json();
    assert_eq!(imported["known"], there.to_string());
    desk.run("export again.jsonl --home copy").await.done();
    assert_eq!(desk.read("again.jsonl"), desk.read("all.jsonl"), "byte for byte");
}

#[tokio::test]
async fn a_file_that_is_cut_off_or_changed_is_refused_and_what_was_good_of_it_stays() {
    let desk = Desk::new();
    desk.network(&["alpha"]).await;
    let node = desk.start("alpha", "").await;
    send(&node, "record create prices").await;
    send(&node, "record put prices oil 81.20").await;
    send(&node, "record put prices oil 81.30").await;
    node.stop().await;
    desk.run("export all.jsonl --home alpha --compact").await.done();
    let all = desk.read("all.jsonl");
    let lines: Vec<&str> = all.split_inclusive('\n').collect();
    let count = lines.len() - 2;

    home(&desk, "copy").await;
    desk.write("cut.jsonl", &lines[..3].concat());
    let error = desk.run("import cut.jsonl --home copy").await.failed(1);
    assert!(error.contains("imported up to block 2: line 4: the file is cut off here"), "{error}");
    // They are there.
    desk.fail("import cut.jsonl --home copy", 1, &["line 4: the file is cut off here"]).await;
    let changed = lines[3].replacen("AAAA", "AAAB", 1);
    assert_ne!(changed, lines[3]);
    desk.write("bad.jsonl", &[lines[0], lines[1], lines[2], &changed].concat());
    desk.fail("import bad.jsonl --home copy", 1, &["line 4: "]).await;
    desk.write("text.jsonl", "one\ntwo\n");
    desk.fail("import text.jsonl --home copy", 1, &["line 1: it is not the JSON"]).await;
    desk.fail("import none.jsonl --home copy", 1, &["cannot open none.jsonl"]).await;
    desk.fail("import - --home copy", 1, &["line 1: the file is cut off here"]).await;
    desk.fail("import all.jsonl --home none", 1, &["none", "tandem init"]).await;
    let imported = desk.run("import all.jsonl --home copy --json").await.json();
    assert_eq!(imported["known"], "2");
    assert_eq!(imported["added"], (count - 2).to_string());

    // The validator's own key in a home without its record: it may not sign what it may have signed.
    home(&desk, "again").await;
    for file in ["node_key.json", "guard.json"] {
        let path = format!("again/config/{file}");
        std::fs::copy(desk.path(&format!("alpha/config/{file}")), desk.path(&path)).unwrap();
    }
    let word = desk.run("import all.jsonl --home again").await.done();
    assert!(word.contains("held a seat at these heights"), "{word}");
    assert!(desk.read("again/config/guard.json").contains("\"restored\""));
    let again = desk.start("again", "").await;
    let status = again.run("status --json").await.json();
    assert!(status["tandem"].to_string().contains("lost"), "{status}");
    again.stop().await;
}
