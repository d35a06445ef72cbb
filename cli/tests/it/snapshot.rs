//! `snapshot`: taken of a running node, verified and restored on another machine.

use serde_json::Value;

use crate::support::Desk;

#[tokio::test]
async fn a_snapshot_is_taken_verified_and_restored_elsewhere() {
    let desk = Desk::new();
    desk.network(&["alpha"]).await;
    let node = desk.start("alpha", "").await;
    for tx in ["create prices", "put prices oil 81.20"] {
        let sent = node.run(&format!("tx record {tx} --key alpha-user.json --json")).await.json();
        assert_eq!(sent["code"], 0, "{sent}");
    }
    let taken = node.run("snapshot create --home alpha --json").await.json();
    let height: u64 = taken["height"].as_str().unwrap().parse().unwrap();
    let above = height + 1;
    let (_, block) = node.ask(&format!("query block {above}")).await;
    let hash = block["block_id"]["hash"].as_str().unwrap();
    let (_, listed) = node.ask("query rpc snapshots").await;
    let first = &listed["snapshots"][0];
    assert_eq!((&first["height"], &first["manifest"]), (&taken["height"], &taken["manifest"]));
    assert_eq!(first["above"], hash);
    assert_eq!(taken["proof"], format!("{above}:{hash}"));
    node.stop().await;
    desk.fail("snapshot create --home alpha", 1, &["does not run", "start it first"]).await;

    let (table, listed) = desk.ask("snapshot list --home alpha").await;
    assert_eq!(listed["snapshots"][0], taken);
    assert!(table.contains(&format!("{above}:{hash}")), "{table}");
    let folder = format!("alpha/snapshots/{height}");

    let (listen, rpc) = ("--listen /ip4/127.0.0.1/tcp/0", "--rpc-listen 127.0.0.1:0");
    desk.run(&format!("init --home beta --genesis genesis.json {listen} {rpc}")).await.done();
    let config = desk.read("beta/config/config.toml");
    let config = config.replace("format = \"plain\"", "format = \"json\"");
    desk.write("beta/config/config.toml", &config);
    let verify = format!("snapshot verify {folder} --home beta");
    let wrong = "AB".repeat(32);
    let of_block = format!("proved by block {above}");
    for (trust, code, words) in [
        (format!("{above}:{wrong}"), 1, &["another block than the one with the hash"][..]),
        (format!("{height}:{hash}"), 1, &[of_block.as_str()]),
        ("7".to_owned(), 2, &["HEIGHT:HASH"]),
    ] {
        desk.fail(&format!("{verify} --trust {trust}"), code, words).await;
    }
    desk.fail("snapshot verify none --home beta", 1, &["none/manifest"]).await;
    // A home of another chain: what is there is not looked at any further, and nothing is made.
    desk.run("init --home gamma").await.done();
    let mut other: Value = serde_json::from_str(&desk.read("genesis.json")).unwrap();
    other["chain_id"] = "cli-2".into();
    desk.write("gamma/config/genesis.json", &other.to_string());
    for command in ["verify", "restore"] {
        for trust in [String::new(), format!("--trust {above}:{hash}")] {
            let line = format!("snapshot {command} {folder} --home gamma {trust}");
            desk.fail(&line, 1, &["cli-1", "cli-2"]).await;
        }
    }
    assert!(!desk.path("gamma/data/CURRENT").exists());
    let (_, verified) = desk.ask(&verify).await;
    let by_hash = desk.run(&format!("{verify} --trust {above}:{hash} --json")).await.json();
    assert_eq!(verified, by_hash);
    assert_eq!(verified["above"], hash);

    // A damaged file is named, and nothing is restored from it that is not proved.
    let chunk = desk.path(&format!("{folder}/chunk-00000"));
    let bytes = std::fs::read(&chunk).unwrap();
    let mut damaged = bytes.clone();
    damaged[bytes.len() / 2] ^= 1;
    std::fs::write(&chunk, damaged).unwrap();
    let restore = format!("snapshot restore {folder} --home beta");
    for command in [&verify, &restore] {
        desk.fail(command, 1, &["chunk-00000", "damaged"]).await;
    }
    std::fs::write(&chunk, bytes).unwrap();
    // Neither empty nor whole: nothing takes it for a database.
    desk.fail("db stats --home beta", 1, &["a part of the state", "snapshot restore"]).await;

    // The restore that was begun goes on. Given again by who does not know that it is done, the command finds
    // the state there; another state stays.
    for _ in 0..2 {
        let restored = desk.run(&format!("{restore} --json")).await.json();
        assert_eq!(restored, verified);
    }
    let on_another = format!("snapshot restore {folder} --home alpha");
    desk.fail(&on_another, 1, &["the database is at height", "empty one only"]).await;

    let node = desk.start("beta", "").await;
    let (_, status) = node.ask("query rpc status").await;
    let sync: &Value = &status["sync_info"];
    assert_eq!(sync["latest_block_height"], taken["height"]);
    assert_eq!(sync["earliest_block_height"], taken["height"]);
    assert_eq!(sync["latest_app_hash"], verified["app_hash"]);
    assert_eq!(node.run("query record prices oil").await.done(), "81.20");
    let lowest = format!("lowest height is {height}");
    node.fail(&format!("query block {}", height - 1), 1, &["is not available", &lowest]).await;
    node.stop().await;
}

/// As on a full disk: see `db.rs`.
#[tokio::test]
async fn a_full_disk_ends_a_restore_which_goes_on_when_there_is_room() {
    let desk = Desk::new();
    desk.network(&["alpha"]).await;
    let node = desk.start("alpha", "").await;
    desk.write("large", &"what is not small ".repeat(10_000));
    for tx in ["create prices", "put prices oil @large"] {
        let sent = node.run(&format!("tx record {tx} --key alpha-user.json --json")).await.json();
        assert_eq!(sent["code"], 0, "{sent}");
    }
    let taken = node.run("snapshot create --home alpha --json").await.json();
    let height = taken["height"].as_str().unwrap();
    node.stop().await;
    desk.run("init --home beta --genesis genesis.json").await.done();
    let restore = format!("snapshot restore alpha/snapshots/{height} --home beta");
    let error = desk.run_bounded(&restore, 64).await.failed(1);
    for word in ["the restore has stopped", "File too large", "beta/data", "make room", "goes on"] {
        assert!(error.contains(word), "{word}: {error}");
    }
    desk.fail("db stats --home beta", 1, &["a part of the state"]).await;
    desk.run(&restore).await.done();
    let (_, stats) = desk.ask("db stats --home beta").await;
    assert_eq!(stats["height"], taken["height"]);
}

#[tokio::test]
async fn a_snapshot_of_an_encrypted_home_is_opened_with_its_key() {
    let desk = Desk::new();
    desk.network(&["alpha"]).await;
    desk.run("db key storage.key").await.done();
    let path = "alpha/config/config.toml";
    let key_file = desk.path("storage.key");
    let with_key = format!("\nkey_file = \"{}\"", key_file.display());
    desk.write(path, &desk.read(path).replace("\nkey_file = \"\"", &with_key));
    let node = desk.start("alpha", "").await;
    let sent = node.run("tx record create prices --key alpha-user.json --json").await.json();
    assert_eq!(sent["code"], 0, "{sent}");
    let taken = node.run("snapshot create --home alpha --json").await.json();
    node.stop().await;
    desk.run("init --home beta --genesis genesis.json").await.done();
    let folder = format!("alpha/snapshots/{}", taken["height"].as_str().unwrap());
    for command in ["verify", "restore"] {
        let line = format!("snapshot {command} {folder} --home beta");
        desk.fail(&line, 1, &["encrypted with another key", "--key-file"]).await;
        let done = desk.run(&format!("{line} --key-file storage.key --json")).await.json();
        assert_eq!(done["height"], taken["height"]);
    }
}
