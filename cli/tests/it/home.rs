//! `init` and `keys`: what lies in a home folder, and that no key is ever lost or shown.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::support::Desk;

fn mode(desk: &Desk, name: &str) -> u32 {
    std::fs::metadata(desk.path(name)).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn init_makes_a_home_with_a_private_key() {
    let desk = Desk::new();
    let answer = desk.run("init --home a1 --json").await.json();
    assert_eq!(answer["home"], "a1");
    assert_eq!(answer["org_part"], Value::Null);
    for key in ["a1/config/node_key.json", "a1/config/guard.json"] {
        assert_eq!(mode(&desk, key), 0o600, "{key}");
    }
    for folder in ["a1", "a1/config", "a1/data"] {
        assert_eq!(mode(&desk, folder), 0o700, "{folder}");
    }
    let guard: Value = serde_json::from_str(&desk.read("a1/config/guard.json")).unwrap();
    assert_eq!(guard["state"], "new");
    assert_eq!(guard["public_key"], answer["public_key"]);
    let config = desk.read("a1/config/config.toml");
    let keys = config.lines().filter(|line| line.contains(" = ")).count();
    assert!(keys > 10 && config.lines().filter(|line| line.starts_with('#')).count() >= keys);

    let text = desk.run("init --home a2").await.done();
    assert!(text.contains("a2") && text.contains("node key"), "{text}");
}

#[tokio::test]
async fn a_second_init_is_refused_and_leaves_the_key() {
    let desk = Desk::new();
    desk.run("init --home a1").await.done();
    let files = ["a1/config/node_key.json", "a1/config/guard.json", "a1/config/config.toml"];
    let before = files.map(|file| desk.read(file));
    let words = ["node_key.json exists already", "never overwritten", "choose another --home"];
    desk.fail("init --home a1 --rpc-listen 127.0.0.1:1", 1, &words).await;
    assert_eq!(files.map(|file| desk.read(file)), before);
}

#[tokio::test]
async fn what_is_wrong_with_init_is_found_before_anything_is_written() {
    let desk = Desk::new();
    for (options, code, words) in [
        ("--listen 127.0.0.1:26656", 1, &["p2p.listen", "multiaddress"][..]),
        ("--address /ip4/10.0.0.1", 1, &["p2p.addresses", "/tcp/PORT"]),
        ("--log loud", 1, &["log.level", "loud", "debug"]),
        ("--genesis none.json", 1, &["none.json does not exist"]),
        ("--rpc-listen localhost", 2, &["--rpc-listen", "localhost"]),
        ("--org alpha", 2, &["--org-part"]),
        ("--org-part a.json --org alpha --admin-key zz", 2, &["\"zz\" is neither a key of"]),
        ("--org-part a.json --org alpha --role judge", 2, &["validator, standby or observer"]),
    ] {
        desk.fail(&format!("init --home a1 {options}"), code, words).await;
        assert!(!desk.path("a1").exists(), "{options}");
    }
    assert_eq!(std::fs::read_dir(desk.path("")).unwrap().count(), 0);
}

#[tokio::test]
async fn keys_are_made_once_and_only_their_public_part_is_shown() {
    let desk = Desk::new();
    let made = desk.run("keys new admin.json --json").await.json();
    assert_eq!(mode(&desk, "admin.json"), 0o600);
    let file = desk.read("admin.json");
    desk.fail("keys new admin.json", 1, &["admin.json exists already", "another name"]).await;
    assert_eq!(desk.read("admin.json"), file);

    let (text, shown) = desk.ask("keys show admin.json").await;
    assert_eq!(shown, made);
    assert_eq!(text.trim(), made["public_key"]);
    assert_eq!(made["public_key"].as_str().map(str::len), Some(64));
    assert_eq!(made["address"].as_str().map(str::len), Some(40));

    let secret: Value = serde_json::from_str(&file).unwrap();
    let secret = secret["secret_key"].as_str().unwrap();
    assert!(!text.contains(secret) && !shown.to_string().contains(secret));

    let words = ["none.json does not exist", "tandem init", "tandem keys new"];
    desk.fail("keys show none.json", 1, &words).await;
    let everyone = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(desk.path("admin.json"), everyone).unwrap();
    desk.fail("keys show admin.json", 1, &["may be read by others", "chmod 600"]).await;
}

#[tokio::test]
async fn a_home_shows_its_node_key_and_proves_it() {
    let desk = Desk::new();
    let node = desk.run("init --home a1 --json").await.json();
    let (_, shown) = desk.ask("keys show --home a1").await;
    assert_eq!(shown["public_key"], node["public_key"]);
    assert_eq!(shown["address"], node["address"]);

    let (text, proof) = desk.ask("keys proof --home a1 --org alpha --chain-id cli-1").await;
    assert_eq!(proof["public_key"], node["public_key"]);
    let digits = proof["proof"].as_str().unwrap();
    assert_eq!(digits.len(), 128);
    assert!(text.contains(digits), "a signature of ed25519 is the same each time: {text}");
    let (_, other) = desk.ask("keys proof --home a1 --org beta --chain-id cli-1").await;
    assert_ne!(other["proof"], proof["proof"]);
}
