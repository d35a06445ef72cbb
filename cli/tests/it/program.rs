//! The program by itself: version, completions, wrong use, and nodes that are not there.

use clap::ValueEnum;
use clap_complete::Shell;
use serde_json::json;
use tandem_chain::comet::{APP_VERSION, BLOCK_VERSION};
use tandem_node::network::PROTOCOL_VERSION;
use tandem_node::storage::FORMAT;

use crate::support::Desk;

/// A URL at which no node can be: nobody listens on port 0.
const NOBODY: &str = "http://127.0.0.1:0";

#[tokio::test]
async fn version_tells_what_must_agree_between_programs() {
    let desk = Desk::new();
    let version = env!("CARGO_PKG_VERSION");
    let (text, answer) = desk.ask("version").await;
    assert_eq!(text.trim(), version);
    let all = json!({
        "version": version,
        "block_version": BLOCK_VERSION,
        "app_version": APP_VERSION,
        "network_version": PROTOCOL_VERSION,
        "database_format": FORMAT,
    });
    assert_eq!(answer, all);
    let (text, answer) = desk.ask("version --verbose").await;
    assert_eq!(answer, all);
    let values: Vec<&str> =
        text.lines().map(|line| line.split_whitespace().next_back().unwrap()).collect();
    let numbers = [BLOCK_VERSION, APP_VERSION, PROTOCOL_VERSION.into(), FORMAT.into()];
    assert_eq!(values[0], version);
    assert_eq!(values[1..], numbers.map(|number| number.to_string()), "{text}");
    for name in ["block", "app", "network", "database"] {
        assert!(text.contains(name), "{text}");
    }
    assert_eq!(desk.run("--version").await.done().trim(), format!("tandem {version}"));
}

#[tokio::test]
async fn every_shell_has_its_completions() {
    let desk = Desk::new();
    for shell in Shell::value_variants() {
        let (script, answer) = desk.ask(&format!("completions {shell}")).await;
        for command in ["genesis", "seats", "sign-only"] {
            assert!(script.contains(command), "{shell}: no {command}");
        }
        assert_eq!(answer["shell"], shell.to_string());
        assert_eq!(answer["script"].as_str().map(str::trim), Some(script.trim()));
    }
    desk.fail("completions tcsh", 2, &["tcsh", "bash"]).await;
}

#[tokio::test]
async fn every_command_has_its_man_page() {
    let desk = Desk::new();
    let (text, answer) = desk.ask("man share/man").await;
    assert!(text.contains("share/man"), "{text}");
    assert_eq!(answer["dir"], "share/man");
    for page in ["tandem", "tandem-node-invite", "tandem-tx-record-put"] {
        let text = desk.read(&format!("share/man/{page}.1"));
        assert!(text.contains(".SH SYNOPSIS") && text.contains("\\-\\-json"), "{page}: {text}");
    }
    desk.write("file", "");
    desk.fail("man file/man", 1, &["cannot write man pages to file/man"]).await;
}

#[tokio::test]
async fn a_live_view_without_a_terminal_is_wrong_use() {
    Desk::new().fail("top", 2, &["terminal", "tandem status --json"]).await;
}

#[tokio::test]
async fn help_is_no_error_and_names_the_exit_codes() {
    let desk = Desk::new();
    for line in ["--help", "--json --help", "tx record put --help"] {
        assert!(desk.run(line).await.done().contains("Usage: tandem"), "{line}");
    }
    let help = desk.run("--help").await.done();
    for code in 0..=5 {
        assert!(help.contains(&format!("\n  {code}  ")), "{code} is not in {help}");
    }
}

#[tokio::test]
async fn wrong_use_has_exit_code_2() {
    let desk = Desk::new();
    desk.run("keys new user.json").await.done();
    for (line, words) in [
        ("frobnicate", &["frobnicate", "--help"][..]),
        ("status --frobnicate", &["--frobnicate"]),
        ("seats --blocks 1000", &["1000", "1..=200"]),
        ("start --genesis-hash xyz", &["xyz", "--genesis-hash"]),
        ("tx record create prices", &["--key"]),
        (
            "tx record create prices --key user.json --timeout 5",
            &["--timeout", "500ms, 30s, 2m or 7d"],
        ),
        ("tx raw xyz", &["hex digits alone"]),
        ("status --node ftp://x", &["ftp://x", "http://HOST:PORT"]),
        ("query key zz --node http://127.0.0.1:0", &["neither a key of 64 hex digits"]),
        ("query rpc status a --node http://127.0.0.1:0", &["\"a\" is not NAME=VALUE"]),
    ] {
        desk.fail(line, 2, words).await;
    }
    // Without a command there is the help, which has no "error: " before it.
    let error = desk.run("--json").await.failed_json(2);
    assert!(error.contains("Usage: tandem"), "{error}");
    // Behind "--" it is a value, and not the option.
    let error = desk.run("frobnicate -- --json").await.failed(2);
    assert!(error.contains("frobnicate"), "{error}");
}

#[tokio::test]
async fn a_node_that_is_not_there_has_exit_code_4() {
    let desk = Desk::new();
    desk.run("keys new user.json").await.done();
    let words = ["http://127.0.0.1:0 is not reachable", "is the node running"];
    for line in [
        "status",
        "seats",
        "switches",
        "query data-sets",
        "query rpc health",
        "tx record create prices --key user.json",
        "switch alpha --key user.json",
    ] {
        desk.fail(&format!("{line} --node {NOBODY}"), 4, &words).await;
    }
    // Each that was tried has a word for people, and only the end has one for scripts.
    let line = format!("status --node {NOBODY},127.0.0.2:0");
    let text = desk.run(&line).await.stderr(4);
    assert_eq!(text.matches("is not reachable").count(), 2, "{text}");
    let json = desk.run(&format!("{line} --json")).await.failed_json(4);
    assert!(json.contains("127.0.0.2:0"), "{json}");
}

#[tokio::test]
async fn a_failure_without_a_code_of_its_own_has_exit_code_1() {
    let desk = Desk::new();
    desk.fail("start --home none", 1, &["config.toml does not exist", "tandem init"]).await;
    desk.run("init --home a1").await.done();
    let words = ["genesis.json does not exist", "tandem genesis make"];
    desk.fail("start --home a1", 1, &words).await;
    desk.write("a1/config/config.toml", "[rpc]\nlissten = 1\n");
    desk.fail("start --home a1", 1, &["config.toml", "lissten", "line 2"]).await;
}
