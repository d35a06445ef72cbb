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
    let taken = node.run("snapshot create --json").await.json();
    let height: u64 = taken["height"].as_str().unwrap().parse().unwrap();
    let above = height + 1;
    let (_, block) = node.ask(&format!("query block {above}")).await;
    let hash = block["block_id"]["hash"].as_str().unwrap();
    let (_, listed) = node.ask("query rpc snapshots").await;
    assert_eq!(listed["snapshots"][0], taken);
    node.stop().await;

    let (table, listed) = desk.ask("snapshot list --home alpha").await;
    assert_eq!(listed["snapshots"][0]["manifest"], taken["manifest"]);
    assert!(table.contains(&height.to_string()), "{table}");
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

    // The restore that was begun goes on, and is done once.
    let restored = desk.run(&format!("{restore} --json")).await.json();
    assert_eq!(restored, verified);
    desk.fail(&restore, 1, &["the database is at height", "empty one only"]).await;

    let node = desk.start("beta", "").await;
    let (_, status) = node.ask("status").await;
    let sync: &Value = &status["sync_info"];
    assert_eq!(sync["latest_block_height"], taken["height"]);
    assert_eq!(sync["earliest_block_height"], taken["height"]);
    assert_eq!(sync["latest_app_hash"], verified["app_hash"]);
    assert_eq!(node.run("query record prices oil").await.done(), "81.20");
    node.stop().await;
}
