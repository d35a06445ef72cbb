//! `genesis make` and `genesis check`: parts become one file, and its faults are all named.

use serde_json::{Value, json};

use crate::support::Desk;

const TIME: &str = "--chain-id cli-1 --time 2026-01-01T00:00:00Z";

/// The public part of an organisation with a validator and, where asked for, a standby.
async fn part(desk: &Desk, org: &str, standby: bool) {
    desk.run(&format!("keys new {org}-admin.json")).await.done();
    let init = |node, role, more: String| {
        let org_part = format!("--org-part {org}.json --org {org} --role {role}");
        let address = format!("/dns4/{org}-{node}.example.org/tcp/26656");
        format!("init --home {org}-{node} --address {address} {org_part} {more}")
    };
    let admin = format!("--admin-key {org}-admin.json");
    desk.run(&init("a", "validator", admin)).await.done();
    if standby {
        desk.run(&init("b", "standby", String::new())).await.done();
    }
}

#[tokio::test]
async fn parts_become_a_genesis_whose_hash_all_can_compare() {
    let desk = Desk::new();
    part(&desk, "alpha", true).await;
    part(&desk, "beta", false).await;
    let secrets = ["alpha-admin.json", "alpha-a/config/node_key.json"].map(|file| {
        let file: Value = serde_json::from_str(&desk.read(file)).unwrap();
        file["secret_key"].as_str().unwrap().to_owned()
    });
    assert!(secrets.iter().all(|secret| !desk.read("alpha.json").contains(secret)));

    let make = format!("genesis make alpha.json beta.json {TIME} --set failover_blocks=20");
    let (text, made) = desk.ask(&make).await;
    let hash = made["hash"].as_str().unwrap();
    assert!(hash.len() == 64 && text.contains(hash), "{text}");
    assert_eq!(made["file"], "genesis.json");
    assert_eq!(made["chain_id"], "cli-1");
    assert_eq!((&made["organizations"], &made["nodes"]), (&json!(2), &json!(3)));
    let warnings = made["warnings"].as_array().unwrap();
    let warned = |word: &str| warnings.iter().any(|w| w.as_str().unwrap().contains(word));
    assert!(warned("beta has no standby") && warned("f = 0") && !warned("alpha has"), "{made}");
    assert!(text.contains("beta has no standby"), "{text}");

    // The order of the parts does not matter; what is in them does.
    let other = format!("genesis make beta.json alpha.json {TIME} --out other.json --json");
    let same = desk.run(&format!("{other} --set failover_blocks=20")).await.json();
    assert_eq!(same["hash"], hash);
    assert_eq!(desk.read("other.json"), desk.read("genesis.json"));
    assert_ne!(desk.run(&other).await.json()["hash"], hash);

    // The check, of a file and of a home.
    let (_, checked) = desk.ask("genesis check genesis.json").await;
    assert_eq!(checked, made);
    desk.run("init --home c --genesis genesis.json").await.done();
    let (_, of_home) = desk.ask("genesis check --home c").await;
    assert_eq!(
        (&of_home["hash"], &of_home["file"]),
        (&made["hash"], &json!("c/config/genesis.json"))
    );
}

#[tokio::test]
async fn a_broken_genesis_names_every_fault() {
    let desk = Desk::new();
    part(&desk, "alpha", true).await;
    let make = format!("genesis make alpha.json {TIME}");
    desk.run(&make).await.done();

    // What an organisation hands out.
    desk.run("init --home c --org-part alpha.json --org alpha --power 0 --user alpha-admin.json")
        .await
        .done();
    let faults = ["4 fault(s)", "power is 0", "2 validators", "a pair has two", "is there twice"];
    desk.fail(&format!("{make} --out new.json"), 1, &faults).await;
    assert!(!desk.path("new.json").exists());

    // What somebody wrote by hand.
    let mut genesis: Value = serde_json::from_str(&desk.read("genesis.json")).unwrap();
    genesis["organizations"][0]["power"] = json!(0);
    genesis["organizations"][0]["nodes"][1]["addresses"] = json!(["10.0.0.1:26656"]);
    genesis["parameters"]["failover_blocks"] = json!(0);
    genesis["genesis_time"] = json!("1970-01-01T00:00:00Z");
    desk.write("genesis.json", &genesis.to_string());
    let faults = ["4 fault(s)", "alpha: power is 0", "10.0.0.1:26656", "failover_blocks", "1970"];
    desk.fail("genesis check genesis.json", 1, &faults).await;
    desk.fail("init --home d --genesis genesis.json", 1, &faults).await;
    assert!(!desk.path("d").exists());
}

#[tokio::test]
async fn what_is_no_genesis_or_part_is_named() {
    let desk = Desk::new();
    part(&desk, "alpha", false).await;
    desk.write("x.json", "{\"chain_id\": \"cli-1\"}");
    let made_how = ["genesis.json does not exist", "tandem genesis make"];
    desk.fail("genesis check genesis.json", 1, &made_how).await;
    desk.fail("genesis check --home alpha-a", 1, &made_how).await;
    desk.fail("genesis check x.json", 1, &["x.json", "missing field"]).await;
    for (options, code, words) in [
        (format!("x.json {TIME}"), 1, &["x.json", "no part of an organisation"][..]),
        (format!("none.json {TIME}"), 1, &["none.json does not exist", "--org-part"]),
        (format!("alpha.json alpha.json {TIME}"), 1, &["two organisations are named alpha"]),
        (format!("alpha.json {TIME} --set fail=1"), 2, &["no parameter fail", "failover_blocks"]),
        (format!("alpha.json {TIME} --preset moon"), 2, &["moon", "wan", "lan"]),
        ("alpha.json --chain-id c --time now".to_owned(), 2, &["now"]),
        ("alpha.json".to_owned(), 2, &["--chain-id"]),
    ] {
        desk.fail(&format!("genesis make {options}"), code, words).await;
    }
    assert!(!desk.path("genesis.json").exists());
}

#[tokio::test]
async fn a_part_holds_one_organisation() {
    let desk = Desk::new();
    part(&desk, "alpha", false).await;
    let before = desk.read("alpha.json");
    desk.run("keys new other.json").await.done();
    for (n, options, words) in [
        (1, "--org-part alpha.json --org beta", "it is the part of alpha, not of beta"),
        (2, "--org-part alpha.json --org alpha --admin-key other.json", "its admin key is"),
        (3, "--org-part new.json --org alpha", "admin key is needed"),
    ] {
        let error = desk.run(&format!("init --home x{n} {options}")).await.failed(1);
        assert!(error.contains(words), "{options}: {error}");
        assert!(!desk.path(&format!("x{n}")).exists(), "{options}: a home is left behind");
    }
    assert_eq!(desk.read("alpha.json"), before);
    assert!(!desk.path("new.json").exists());
}
