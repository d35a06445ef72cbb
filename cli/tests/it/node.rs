//! A node and what is asked of it: `start` to SIGTERM, every answer as text and JSON, transactions
//! from signature to receipt, and the exit code of each way to fail.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Desk, Node};

const KEY: &str = "--key alpha-user.json";

/// Sends a transaction and returns its receipt.
async fn send(node: &Node<'_>, tx: &str) -> Value {
    let receipt = node.run(&format!("tx {tx} --json")).await.json();
    assert_eq!(receipt["code"], 0, "{receipt}");
    receipt
}

#[tokio::test]
async fn a_network_of_one_runs_until_it_is_told_to_stop_and_goes_on_later() {
    let desk = Desk::new();
    let hash = desk.network(&["alpha"]).await;
    let node = desk.start("alpha", &format!("--genesis-hash {hash}")).await;
    let created = send(&node, &format!("record create prices {KEY}")).await;

    let words = ["another tandem process uses alpha/data", "stop it first", "another home"];
    let second = desk.run("start --home alpha").await.stderr(1);
    let error = second.lines().next_back().unwrap();
    assert!(error.starts_with("error: ") && words.iter().all(|w| error.contains(w)), "{second}");
    // Where the log is, too, the object is the last line.
    let second = desk.run("start --home alpha --json").await.stderr(1);
    let error: Value = serde_json::from_str(second.lines().next_back().unwrap()).unwrap();
    assert_eq!(error["code"], 1);
    assert!(words.iter().all(|word| error["error"].as_str().unwrap().contains(word)), "{error}");

    // The first has taken no notice.
    send(&node, &format!("record put prices oil 81.20 {KEY}")).await;
    let log = node.stop().await;
    let is_stop = |line: &str| line.contains("\"stopping\"") && line.contains("SIGTERM");
    assert!(log.lines().any(is_stop) && log.contains("\"stopped\""), "{log}");

    let node = desk.start("alpha", "").await;
    let (_, receipt) = node.ask(&format!("query tx {}", created["hash"].as_str().unwrap())).await;
    assert_eq!(receipt, created);
    assert_eq!(node.run("query record prices oil").await.done(), "81.20");
    node.stop().await;
}

#[tokio::test]
async fn levels_of_the_log_are_read_again_at_sighup() {
    let desk = Desk::new();
    desk.network(&["alpha"]).await;
    let path = "alpha/config/config.toml";
    let config = desk.read(path);
    let with_level = |level: &str| config.replace("level = \"info\"", level);
    let node = desk.start("alpha", "").await;
    // The node tells of it at level debug.
    let no_request = async |node: &Node<'_>| {
        let address = node.url().strip_prefix("http://").unwrap().to_owned();
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(b"no request of HTTP\r\n\r\n").await.unwrap();
        stream.read_to_end(&mut Vec::new()).await.unwrap();
    };
    no_request(&node).await;
    desk.write(path, &with_level("level = \"loud\""));
    node.hang_up();
    node.logs(&["stay as they are", "log.level", "loud"]).await;
    desk.write(path, &with_level("level = \"warn,tandem_node::rpc=debug\""));
    node.hang_up();
    node.logs(&["levels of the log are set", "warn,tandem_node::rpc=debug"]).await;
    no_request(&node).await;
    node.logs(&["DEBUG", "connection ended"]).await;
    desk.write(path, &with_level("level = \"info\"").replace("max_batch = 10", "max_batch = 9"));
    node.hang_up();
    node.logs(&["other changes", "next start"]).await;
    let log = node.stop().await;
    let ended = log.lines().filter(|line| line.contains("connection ended")).count();
    assert_eq!(ended, 1, "the first came when the level was info: {log}");
}

#[tokio::test]
async fn another_genesis_is_refused() {
    let desk = Desk::new();
    let hash = desk.network(&["alpha"]).await;
    let wrong = "AB".repeat(32);
    let words = ["alpha/config/genesis.json", &hash, &wrong, "get the genesis file of this chain"];
    desk.fail(&format!("start --home alpha --genesis-hash {wrong}"), 1, &words).await;
    // The guard record says that the key has signed nothing yet.
    assert!(desk.read("alpha/config/guard.json").contains("\"new\""));

    desk.start("alpha", "").await.stop().await;
    let mut genesis: Value = serde_json::from_str(&desk.read("genesis.json")).unwrap();
    genesis["chain_id"] = json!("cli-2");
    desk.write("alpha/config/genesis.json", &genesis.to_string());
    let error = desk.run("start --home alpha").await.stderr(1);
    assert!(error.contains("alpha/data is of genesis") && error.contains(&hash), "{error}");
}

#[tokio::test]
async fn every_question_has_an_answer_for_people_and_for_scripts() {
    let desk = Desk::new();
    let genesis_hash = desk.network(&["alpha"]).await;
    let node_key = desk.run("keys show --home alpha --json").await.json()["public_key"].take();
    let key = node_key.as_str().unwrap();
    let node = desk.start("alpha", "").await;
    send(&node, &format!("record create prices {KEY}")).await;
    let put = send(&node, &format!("record put prices oil 81.20 {KEY}")).await;
    let height = put["height"].as_str().unwrap();

    let (text, status) = node.ask("status").await;
    assert_eq!(status["node_info"]["network"], "cli-1");
    assert_eq!(status["tandem"]["genesis_hash"], genesis_hash);
    assert_eq!(status["tandem"]["public_key"], node_key);
    assert_eq!(status["tandem"]["role"], "validator");
    assert_eq!(status["tandem"]["alarms"], json!([]));
    assert!(text.contains("cli-1") && text.contains("validator of alpha, term 0"), "{text}");
    // The newest block's age, and the seats. Its time may be a little ahead of the clock.
    assert!(text.contains(" ago)") || text.contains(" ahead of this machine's clock)"), "{text}");
    assert!(text.contains("ALIVE IN BLOCKS"), "{text}");

    let (text, seats) = node.ask("seats --blocks 1").await;
    assert_eq!(seats["seats"].as_array().map(Vec::len), Some(1));
    let seat = &seats["seats"][0];
    assert_eq!((&seat["seat"], &seat["holder"]), (&json!("alpha"), &node_key));
    assert_eq!((&seat["partner"], &seat["is_down"]), (&Value::Null, &json!(false)));
    assert_eq!(seat["holder_grid"], "1");
    let never = seat["never_automatic"].as_str().unwrap();
    assert!(text.contains('█') && text.contains(never), "{text}");

    let (text, switches) = node.ask("switches").await;
    assert_eq!(switches["switches"], json!([]));
    assert!(text.contains("no seat has changed its holder"), "{text}");

    let (_, block) = node.ask(&format!("query block {height}")).await;
    assert_eq!(block["block"]["header"]["height"], height);
    node.ask("query block").await;
    let (text, found) = node.ask("org list").await;
    assert_eq!(found["organizations"][0]["name"], "alpha");
    assert!(text.contains("member"), "{text}");
    let (text, found) = node.ask("org show alpha").await;
    assert_eq!(
        (&found["organization"]["users"], &found["seat"]["term"]),
        (&json!("1"), &json!("0"))
    );
    assert!(text.contains(key) && text.contains("alive"), "{text}");
    let (text, found) = node.ask("org policy").await;
    assert_eq!(
        (&found["policy"]["add"], &found["needed"]["add"]),
        (&json!("more-than-half"), &json!("1"))
    );
    assert!(text.contains("more-than-half") && text.contains("1 of 1"), "{text}");
    let (text, found) = node.ask("org motions").await;
    assert_eq!(found["motions"], json!([]));
    assert!(text.contains("there is no motion"), "{text}");
    let (text, found) = node.ask("node list").await;
    assert_eq!(found["nodes"][0]["key"], node_key);
    assert!(text.contains(&key[..12]), "{text}");
    let (text, found) = node.ask("query parameters").await;
    assert_eq!(found["parameters"]["idle_block_interval_ms"], 100);
    assert!(text.contains("idle_block_interval_ms"), "{text}");
    let (text, found) = node.ask(&format!("query key {key}")).await;
    assert_eq!(found["organization"], "alpha");
    assert!(text.contains("node of alpha"), "{text}");
    desk.run("keys new other.json").await.done();
    let (text, _) = node.ask("query key other.json").await;
    assert!(text.contains("not a key of this chain"), "{text}");
    let (_, answer) = node.ask(&format!("query rpc block height={height}")).await;
    assert_eq!(answer, block);
    node.fail("query rpc frobnicate", 1, &["frobnicate", "-32601"]).await;

    // The first that answers, of several.
    let (nobody, url) = ("http://127.0.0.1:0", node.url());
    let both = desk.run(&format!("status --node {nobody},{url} --json")).await.json();
    assert_eq!(both["tandem"]["public_key"], node_key);
    let word = desk.run(&format!("status --node {nobody},{url}")).await.stderr(0);
    assert!(word.contains("127.0.0.1:0 is not reachable"), "{word}");
    node.stop().await;
}

#[tokio::test]
async fn a_record_is_written_and_read() {
    let desk = Desk::new();
    desk.network(&["alpha"]).await;
    let node = desk.start("alpha", "").await;
    let text = node.run(&format!("tx record create prices {KEY}")).await.done();
    assert!(text.contains("transaction") && text.contains("data_set=prices"), "{text}");

    let put = send(&node, &format!("record put prices oil 81.20 --expect 0 {KEY}")).await;
    assert_eq!(put["events"][0]["type"], "record_put");
    assert_eq!(put["events"][0]["attributes"]["version"], "1");
    desk.write("report", "two\nlines\n");
    send(&node, &format!("record put prices 0x00ff @report --content-type text/csv {KEY}")).await;
    let other = format!("tx record put prices oil 1 {KEY} --content-type");
    for bad in
        ["json", "text/", "t\u{e4}xt/plain", "text/<b>", &format!("text/{}", "x".repeat(123))]
    {
        let words = ["--content-type", "text/csv or application/json", "at most 127"];
        node.fail(&format!("{other} {bad}"), 2, &words).await;
    }

    let (text, record) = node.ask("query record prices oil").await;
    assert_eq!(text, "81.20", "the value as it is, with no line feed behind it");
    assert_eq!((&record["text"], &record["version"]), (&json!("81.20"), &json!("1")));
    assert_eq!(record["value"], "38312e3230");
    assert_eq!(record["content_type"], Value::Null);
    let (text, record) = node.ask("query record prices 0x00ff").await;
    assert_eq!(text, "two\nlines\n", "the value alone, into a pipe");
    assert_eq!(record["content_type"], "text/csv");
    let (text, found) = node.ask("query records prices").await;
    assert_eq!(found["records"].as_array().map(Vec::len), Some(2));
    assert!(text.contains("oil") && text.contains("0x00ff"), "{text}");
    assert!(text.contains("CONTENT TYPE") && text.contains("text/csv"), "{text}");
    let types = [&found["records"][0], &found["records"][1]].map(|record| &record["content_type"]);
    assert_eq!(types, [&json!("text/csv"), &Value::Null]);
    let (_, found) = node.ask("query records prices --prefix o").await;
    assert_eq!(found["records"].as_array().map(Vec::len), Some(1));
    let (text, found) = node.ask("query data-sets").await;
    assert_eq!(found["data_sets"][0]["name"], "prices");
    assert!(text.contains("prices") && text.contains("alpha"), "{text}");

    send(&node, &format!("record delete prices oil --expect 1 {KEY}")).await;
    node.fail("query record prices oil", 1, &["oil"]).await;
    let (text, found) = node.ask("query history prices oil").await;
    assert_eq!(found["versions"].as_array().map(Vec::len), Some(2));
    assert!(text.contains("81.20") && text.contains("deleted"), "{text}");
    let (text, found) = node.ask("query history prices oil --limit 1").await;
    let next = found["next"].as_str().unwrap().to_owned();
    assert!(text.contains(&format!("--before {next}")), "{text}");
    let (text, _) = node.ask(&format!("query history prices oil --before {next}")).await;
    assert!(text.contains("81.20") && !text.contains("deleted"), "{text}");
    node.fail("query history prices oil --before x", 1, &["before"]).await;
    node.fail("query records none", 1, &["none"]).await;
    let nothing = "0".repeat(64);
    node.fail(&format!("query tx {nothing}"), 1, &["is not in the chain", &nothing]).await;
    node.stop().await;
}

#[tokio::test]
async fn a_transaction_can_be_signed_here_and_sent_there() {
    let desk = Desk::new();
    desk.network(&["alpha"]).await;
    let node = desk.start("alpha", "").await;
    let signed = node.run(&format!("tx record create prices {KEY} --sign-only")).await.done();
    assert!(!signed.trim().is_empty() && signed.trim().bytes().all(|b| b.is_ascii_hexdigit()));
    desk.write("signed.hex", &signed);
    let receipt = send(&node, "raw @signed.hex").await;
    // Sent again, it is the same transaction with the same receipt.
    assert_eq!(send(&node, &format!("raw {}", signed.trim())).await, receipt);

    let line = format!("tx record put prices oil 1 {KEY} --sign-only --json");
    let signed = node.run(&line).await.json();
    let receipt = send(&node, &format!("raw {}", signed["tx"].as_str().unwrap())).await;
    assert_eq!(receipt["hash"], signed["hash"]);
    let number = |value: &Value| value.as_str().unwrap().parse::<u64>().unwrap();
    assert!(number(&receipt["height"]) <= number(&signed["valid_until"]));

    // Sent without waiting, there is a hash and no receipt.
    let sent = format!("tx record put prices oil 2 {KEY} --no-wait");
    let hash = node.run(&sent).await.done();
    assert_eq!(hash.trim().len(), 64, "{hash}");
    let sent = node.run(&format!("{sent} --json")).await.json();
    assert_eq!((&sent["code"], sent["hash"].as_str().map(str::len)), (&json!(0), Some(64)));
    node.stop().await;
}

#[tokio::test]
async fn what_the_ledger_refuses_has_exit_code_3() {
    let desk = Desk::new();
    desk.network(&["alpha"]).await;
    desk.run("keys new stranger.json").await.done();
    let node = desk.start("alpha", "").await;
    send(&node, &format!("record create prices {KEY}")).await;

    // In a block, with a receipt that says why; its JSON is there all the same.
    for (tx, words) in [
        ("record create prices", &["prices", "height", "code"][..]),
        ("record put none oil 1", &["none"]),
        ("record put prices oil 1 --expect 7", &["version", "7"]),
        ("record delete prices oil", &["oil"]),
    ] {
        node.fail(&format!("tx {tx} {KEY}"), 3, words).await;
        let ran = node.run(&format!("tx {tx} {KEY} --json")).await;
        let receipt = ran.answer();
        assert!(receipt["code"].as_u64().is_some_and(|code| code > 0), "{receipt}");
        let error = ran.failed_json(3);
        assert!(error.contains(receipt["log"].as_str().unwrap()), "{error}: {receipt}");
    }

    // Before it comes into a block.
    for tx in [
        "record create mine --key stranger.json",
        "record create mine --no-wait --key stranger.json",
    ] {
        node.fail(&format!("tx {tx}"), 3, &["is refused"]).await;
    }
    node.stop().await;
}

#[tokio::test]
async fn members_join_by_motions_that_are_tried_on_paper_first() {
    let desk = Desk::new();
    desk.network(&["alpha"]).await;
    for file in ["beta-admin.json", "beta-new.json", "alpha-new.json", "stranger.json"] {
        desk.run(&format!("keys new {file}")).await.done();
    }
    let node = desk.start("alpha", "").await;
    let admin = "--key alpha-admin.json";
    let line = "seats 1 -> 2, quorum 1 -> 2, online after this 1";
    let add = format!("org propose add beta --admin-key beta-admin.json {admin}");
    let text = node.run(&format!("{add} --dry-run")).await.done();
    assert!(text.contains(line) && text.contains("warning: the seat of beta stays"), "{text}");
    let tried = node.run(&format!("{add} --dry-run --json")).await.json();
    assert_eq!((&tried["summary"], &tried["after"]["quorum"]), (&json!(line), &json!("2")));
    let (_, found) = node.ask("org motions").await;
    assert_eq!(found["motions"], json!([]), "nothing was sent");

    // What is to be sent later stands alone on standard output.
    let unsent = node.run(&format!("{add} --sign-only")).await.done();
    assert!(unsent.trim().bytes().all(|byte| byte.is_ascii_hexdigit()), "{unsent}");
    let text = node.run(&add).await.done();
    assert!(text.contains(line) && text.contains("motion 1 is carried, in effect"), "{text}");
    let (text, found) = node.ask("org show beta").await;
    assert_eq!(found["seat"]["holder"], Value::Null);
    assert!(text.contains("left out"), "{text}");
    // Two members are needed of two from now on.
    let text = node.run(&format!("org propose parameters failover_blocks=12 {admin}")).await.done();
    assert!(text.contains("motion 2 has 1 of 2 votes"), "{text}");
    let (text, info) = node.ask("org motions 2").await;
    assert_eq!(
        (&info["motion"]["status"], &info["motion"]["votes"]),
        (&json!("open"), &json!(["alpha"]))
    );
    assert!(text.contains("failover_blocks=12") && text.contains("seats 1 -> 1"), "{text}");
    assert!(text.contains("failover_blocks 10 -> 12"), "{text}");
    node.fail(&format!("org vote 2 {admin}"), 3, &["vote of alpha for motion 2 exists"]).await;
    node.fail("org vote 2 --key stranger.json", 3, &["is refused"]).await;
    node.fail(&format!("org vote 7 {admin}"), 3, &["motion 7 does not exist"]).await;
    let vote = node.run("org vote 2 --key beta-admin.json --json").await.json();
    assert_eq!((&vote["motion"], &vote["votes"]), (&json!("2"), &json!("2 of 2")));
    let (_, found) = node.ask("query parameters").await;
    assert_eq!(found["parameters"]["failover_blocks"], 12);
    let (text, _) = node.ask("org motions").await;
    assert!(text.contains("carried") && text.contains("add beta with power 1"), "{text}");

    // What would stop the chain is refused before it is sent, with the numbers.
    let words = ["no seat would be left", "seats 1 -> 0", "online after this 0"];
    node.fail(&format!("org propose remove alpha --force {admin}"), 3, &words).await;
    node.fail(&format!("org propose remove gamma {admin}"), 3, &["gamma does not exist"]).await;
    let words = ["no threshold for x", "admin_key"];
    node.fail(&format!("org propose policy x=all {admin}"), 2, &words).await;
    node.fail(&format!("org propose policy add=all {admin}"), 3, &["above that for policy"]).await;

    // An organisation replaces its own key at once; the old one is useless then.
    node.run(&format!("org admin-key alpha-new.json {admin}")).await.done();
    node.fail(&format!("org propose suspend beta {admin}"), 3, &["is refused"]).await;
    let text = node.run("org propose suspend beta --key alpha-new.json").await.done();
    assert!(text.contains("motion 3 has 1 of 2 votes"), "{text}");
    let motion = "org propose admin-key beta beta-new.json --key alpha-new.json --json";
    assert_eq!(node.run(motion).await.json()["effective"], Value::Null);
    node.fail("org show gamma", 1, &["gamma is no member", "alpha, beta"]).await;
    node.stop().await;
}

#[tokio::test]
async fn of_what_a_change_replaces_old_and_new_are_told() {
    let desk = Desk::new();
    desk.network(&["alpha"]).await;
    desk.run("keys new alpha-new.json").await.done();
    let key = async |file: &str| {
        let key = desk.run(&format!("keys show {file}")).await.done();
        key.trim().to_owned()
    };
    let (old_key, new_key) = (key("alpha-admin.json").await, key("alpha-new.json").await);
    let node = desk.start("alpha", "").await;
    for (change, name, old, new) in [
        ("parameters failover_blocks=12", "failover_blocks", "10", "12"),
        ("policy add=any-one", "add", "more-than-half", "any-one"),
        ("power alpha 2", "power of alpha", "1", "2"),
        (
            "admin-key alpha alpha-new.json",
            "admin key of alpha",
            old_key.as_str(),
            new_key.as_str(),
        ),
    ] {
        let line = format!("org propose {change} --key alpha-admin.json --dry-run");
        let (text, tried) = node.ask(&line).await;
        let told = format!("{name} {old} -> {new}");
        assert_eq!(text.lines().next(), Some(told.as_str()), "{text}");
        assert_eq!(tried["changes"], json!([{ "name": name, "old": old, "new": new }]));
    }
    node.stop().await;
}

#[tokio::test]
async fn what_becomes_of_a_pair_is_told_before_it_is_sent() {
    let desk = Desk::new();
    desk.network(&["alpha"]).await;
    // As it is told, a key is its first twelve digits.
    let key = async |line: &str| {
        let key = desk.run(line).await.done();
        key.trim()[..12].to_owned()
    };
    let holder = key("keys show --home alpha").await;
    let one = key("keys new one.json").await;
    let two = key("keys new two.json").await;
    let node = desk.start("alpha", "").await;
    let admin = "--key alpha-admin.json";
    node.run(&format!("node register one.json --pair {admin}")).await.done();
    node.run(&format!("node register two.json {admin}")).await.done();
    let seat = format!("seat of alpha: validator {holder}, standby");

    let text = node.run(&format!("node set-partner two.json {admin}")).await.done();
    assert!(text.starts_with(&format!("{seat} {one} -> {two}\n")), "{text}");
    assert!(text.contains("pair_changed") && !text.contains("warning"), "{text}");
    // It is an observer by now.
    let text = node.run(&format!("node remove one.json {admin}")).await.done();
    assert!(text.starts_with(&format!("{seat} {two}, as before\n")), "{text}");
    assert!(text.contains("node_removed") && !text.contains("warning"), "{text}");
    // What is to be sent later stands alone on standard output.
    let remove = format!("node remove two.json {admin}");
    let unsent = node.run(&format!("{remove} --sign-only")).await.done();
    assert!(unsent.trim().bytes().all(|byte| byte.is_ascii_hexdigit()), "{unsent}");
    let told = format!("{seat} {two} -> none\nwarning: the seat of alpha is left without");
    // On paper alone it is still there afterwards.
    let (text, tried) = node.ask(&format!("{remove} --dry-run")).await;
    assert!(text.starts_with(&told), "{text}");
    assert_eq!((&tried["seat"], &tried["after"]), (&json!("alpha"), &json!([])));
    assert_eq!(tried["before"].as_array().map(Vec::len), Some(1));
    let text = node.run(&remove).await.done();
    assert!(text.starts_with(&told) && text.contains("node_removed"), "{text}");
    node.fail(&remove, 3, &["does not exist"]).await;
    let holder = format!("node remove alpha/config/node_key.json {admin}");
    node.fail(&holder, 3, &["the node holds the seat"]).await;
    let words = ["the ledger would refuse it", "the node holds the seat"];
    node.fail(&format!("{holder} --dry-run"), 3, &words).await;
    node.stop().await;
}

#[tokio::test]
async fn a_seat_without_a_partner_is_not_switched() {
    let desk = Desk::new();
    desk.network(&["alpha"]).await;
    let node_key = desk.run("keys show --home alpha").await.done();
    let node = desk.start("alpha", "").await;
    let words = ["seat alpha has no partner", "tandem node invite"];
    node.fail("switch alpha --key alpha-admin.json", 1, &words).await;
    let words = ["there is no seat beta", "there are alpha"];
    node.fail("switch beta --key alpha-admin.json", 2, &words).await;
    let holder = format!("switch alpha --to {} --key alpha-admin.json", node_key.trim());
    node.fail(&holder, 3, &["holds"]).await;
    let (_, seats) = node.ask("seats").await;
    assert_eq!(seats["seats"][0]["term"], "0");
    node.stop().await;
}

#[tokio::test]
async fn without_a_quorum_there_is_no_receipt_and_exit_code_5() {
    let desk = Desk::new();
    desk.network(&["alpha", "beta"]).await;
    // The other of two validators is down, so there is no block.
    let node = desk.start("alpha", "").await;
    let words = ["no receipt for transaction", "ask later with `tandem query tx"];
    node.fail(&format!("tx record create prices {KEY} --timeout 100ms"), 5, &words).await;
    let (text, status) = node.ask("status").await;
    assert_eq!(status["sync_info"]["latest_block_height"], "0");
    assert!(text.contains("validator of alpha"), "{text}");
    node.ask("seats").await;
    node.stop().await;
}
