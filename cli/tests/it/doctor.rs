//! `doctor`: a line for each check, and an exit code.

use serde_json::Value;

use crate::support::Desk;

fn check<'a>(answer: &'a Value, name: &str) -> &'a Value {
    let checks = answer["checks"].as_array().unwrap();
    checks.iter().find(|check| check["check"] == name).unwrap_or_else(|| panic!("{name}: {answer}"))
}

#[tokio::test]
async fn a_home_that_is_not_there_has_failed() {
    let desk = Desk::new();
    let ran = desk.run("doctor --home none").await;
    assert!(!ran.is_done());
    let text = ran.stderr(1);
    assert!(text.starts_with("error: 1 of ") && text.contains("checks have failed"), "{text}");
    let answer = desk.run("doctor --home none --json").await.answer();
    assert_eq!(answer["verdict"], "fail");
    assert!(check(&answer, "configuration")["found"].as_str().unwrap().contains("tandem init"));
    assert!(!desk.path("none").exists(), "nothing is made");
}

#[tokio::test]
async fn a_node_that_runs_is_well_and_one_that_has_moved_is_not() {
    let desk = Desk::new();
    desk.network(&["alpha"]).await;
    let node = desk.start("alpha", "").await;
    // There is a block then.
    node.run("tx record create prices --key alpha-user.json").await.done();
    let answer = node.run("doctor --home alpha --json").await.json();
    // A chain of one has no standby: the genesis warns of it. Disk and limits are this machine's.
    for name in
        ["configuration", "node key", "signing record", "versions", "database", "clock", "ports"]
    {
        assert_eq!(check(&answer, name)["verdict"], "ok", "{name}: {answer}");
        assert_eq!(check(&answer, name)["advice"], Value::Null);
    }
    assert_eq!(check(&answer, "genesis")["verdict"], "warn");
    assert!(check(&answer, "node")["found"].as_str().unwrap().starts_with("runs as validator"));
    node.stop().await;

    desk.run("keys export key --home alpha").await.done();
    let ran = desk.run("doctor --home alpha --node http://127.0.0.1:0").await;
    let text = ran.stderr(1);
    assert!(text.contains("checks have failed"), "{text}");
    let answer = desk.run("doctor --home alpha --node http://127.0.0.1:0 --json").await.answer();
    let record = check(&answer, "signing record");
    assert_eq!(record["verdict"], "fail");
    assert!(record["found"].as_str().unwrap().contains("has moved away"), "{record}");
}
