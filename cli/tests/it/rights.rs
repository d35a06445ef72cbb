//! Users, rights and permits, at a node whose reading is limited.

use serde_json::{Value, json};

use crate::support::{Desk, Node};

/// The options of a transaction of the admin key.
const ADMIN: &str = "--key alpha-admin.json";

/// A network of one organisation whose node asks for permits, with the keys of a reader and a writer.
async fn desk() -> Desk {
    let desk = Desk::new();
    desk.network(&["alpha"]).await;
    let config = desk.read("alpha/config/config.toml");
    let limited = config.replace("reading = \"open\"", "reading = \"limited\"");
    assert_ne!(config, limited, "the key is in the file");
    desk.write("alpha/config/config.toml", &limited);
    for name in ["app", "other"] {
        desk.run(&format!("keys new {name}.json")).await.done();
    }
    desk
}

async fn done(node: &Node<'_>, line: &str) -> Value {
    node.run(&format!("{line} --json")).await.json()
}

#[tokio::test]
async fn users_and_rights_are_given_shown_and_taken() {
    let desk = desk().await;
    let node = desk.start("alpha", "").await;
    done(&node, &format!("tx record create prices {ADMIN}")).await;
    for record in ["2026-11-26", "2026-11-27", "2027-01-01"] {
        done(&node, &format!("tx record put prices {record} of-{record} {ADMIN}")).await;
    }
    // An admin that is a user sees to others by their key files.
    done(&node, &format!("tx user add other.json --role admin {ADMIN}")).await;
    let proof = desk.run("keys proof app.json --org alpha --chain-id cli-1 --json").await.json();
    let [key, proof] = ["public_key", "proof"].map(|name| proof[name].as_str().unwrap());
    let add = format!("tx user add {key} --role reader --proof {proof} --key other.json");
    let added = done(&node, &add).await;
    assert_eq!(added["events"][0]["attributes"]["role"], "reader");
    node.fail("tx user remove other.json --key other.json", 3, &["admin key"]).await;
    let app = desk.run("keys show app.json").await.done().trim().to_owned();

    done(&node, &format!("tx right revoke prices --org alpha --all {ADMIN}")).await;
    let grant = "tx right grant prices read --user app.json --prefix 2026-";
    let granted = done(&node, &format!("{grant} {ADMIN}")).await;
    assert_eq!(granted["events"][0]["type"], "right_granted");
    let words = ["name the records' keys", "--prefix"];
    node.fail(&format!("tx right grant prices read --members {ADMIN}"), 2, &words).await;
    let nobody = "f".repeat(64);
    let line = format!("tx right grant prices read --user {nobody} --all {ADMIN}");
    node.fail(&line, 1, &["is no user", "--of ORG"]).await;
    node.fail("tx right grant prices read --members --all --key app.json", 3, &["an admin"]).await;

    let (text, found) = node.ask(&format!("query users --read-key {}", "app.json")).await;
    assert!(text.contains(&app) && text.contains("reader") && text.contains("alpha"), "{text}");
    assert_eq!(found[0]["users"].as_array().map(Vec::len), Some(3));
    let (text, found) = node.ask("query rights prices --read-key app.json").await;
    assert!(text.contains("2026-..2026.") && text.contains("read"), "{text}");
    assert_eq!(found["rights"][0]["user"], app.as_str());
    let line = "query may-read app.json prices 2027-01-01 --read-key app.json";
    let (text, found) = node.ask(line).await;
    assert_eq!((&found["record"], &found["blocks"]), (&json!(false), &json!(false)));
    assert!(text.contains("2026-..2026.") && text.contains("this record"), "{text}");
    let (text, _) = node.ask(&format!("query key {app} --read-key app.json")).await;
    assert!(text.contains("user of alpha: reader"), "{text}");

    done(&node, &format!("tx user role app.json auditor {ADMIN}")).await;
    let whole = node.run("query record prices 2027-01-01 --read-key app.json").await.done();
    assert_eq!(whole, "of-2027-01-01");
    done(&node, &format!("tx right revoke prices --user app.json --prefix 2026- {ADMIN}")).await;
    done(&node, &format!("tx user remove app.json {ADMIN}")).await;
    node.fail("query rights prices --read-key app.json", 1, &["-32001", &app]).await;
    let line = format!("tx right grant prices read --user {app} --of alpha --all {ADMIN}");
    node.fail(&line, 3, &["does not exist"]).await;
    node.stop().await;
}

#[tokio::test]
async fn every_question_takes_a_permit_where_it_is_asked_for() {
    let desk = desk().await;
    let node = desk.start("alpha", "").await;
    done(&node, &format!("tx record create prices {ADMIN}")).await;
    let put = done(&node, &format!("tx record put prices oil 81.20 {ADMIN}")).await;
    done(&node, &format!("tx record put prices gas 1.5 {ADMIN}")).await;
    let hash = put["hash"].as_str().unwrap();
    done(&node, &format!("tx user add app.json --role reader {ADMIN}")).await;

    // For everyone.
    node.ask("status").await;
    let tx = format!("query tx {hash}");
    let questions = [
        "seats",
        "switches",
        "org list",
        "org show alpha",
        "org motions",
        "org policy",
        "node list",
        "query data-sets",
        "query records prices",
        "query record prices oil",
        "query parameters",
        "query block",
        "query rpc genesis",
        &tx,
    ];
    let token = node.run("permit make --key alpha-admin.json --any-node").await.done();
    assert!(token.trim().bytes().all(|byte| byte.is_ascii_hexdigit()), "alone: {token}");
    desk.write("token", &token);
    for question in questions {
        node.fail(question, 1, &["-32001", "Permit needed", "tandem permit make"]).await;
        node.ask(&format!("{question} --read-key alpha-admin.json")).await;
        node.ask(&format!("{question} --permit @token")).await;
    }
    // From standard input it is read once, however often the node is asked.
    for line in ["query record prices gas", &format!("tx record put prices rye 2 {ADMIN}")] {
        node.run_reading(&format!("{line} --permit -"), "token").await.done();
    }
    let other = node.run_reading("query data-sets --permit -", "alpha-admin.json").await;
    assert!(other.failed(2).contains("no permit to read"));
    // By each with what its key may read.
    for (question, words) in [
        ("query block", "every record"),
        (tx.as_str(), "another's transaction"),
        ("query rpc block_results", "every record"),
    ] {
        node.fail(&format!("{question} --read-key app.json"), 1, &["Not permitted", words]).await;
    }
    assert_eq!(node.run("query record prices gas --read-key app.json").await.done(), "1.5");

    // A token for a part.
    let make = "permit make --key app.json --set prices --from oil --until oim --valid 10m";
    let token = done(&node, make).await;
    let body = &token["body"];
    assert_eq!((&body["only"]["data_set"], &body["node"].is_string()), (&json!("prices"), &true));
    desk.write("token", token["permit"].as_str().unwrap());
    assert_eq!(node.run("query record prices oil --permit @token").await.done(), "81.20");
    node.fail("query record prices gas --permit @token", 1, &["oil..oim in prices alone"]).await;
    let (text, shown) = node.ask("permit show @token").await;
    assert_eq!((&shown["refused"], &shown["body"]), (&Value::Null, body));
    assert!(text.contains("oil..oim in data set prices") && text.contains("good now"), "{text}");

    // One that is no good is shown and refused with the reason.
    let at = format!("permit make --key app.json --at {} --chain-id cli-1", "0a".repeat(32));
    let other = desk.run(&format!("{at} --json")).await.json();
    let other = other["permit"].as_str().unwrap();
    let words = ["the permit is refused", "another node"];
    node.fail(&format!("query data-sets --permit {other}"), 1, &words).await;
    let spoilt = format!("{}0", &other[..other.len() - 1]);
    let spoilt = if spoilt == other { format!("{}1", &other[..other.len() - 1]) } else { spoilt };
    let (text, shown) = node.ask(&format!("permit show {spoilt}")).await;
    assert!(shown["refused"].as_str().unwrap().contains("signature"), "{shown}");
    assert!(text.contains("no: "), "{text}");
    node.fail("query data-sets --permit xyz", 2, &["no permit to read"]).await;
    let words = ["--set NAME"];
    node.fail("permit make --key app.json --prefix a", 2, &words).await;
    node.stop().await;
}
