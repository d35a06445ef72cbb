//! `keys export` and `keys import`: a node's key moves to another home.

use serde_json::Value;

use crate::support::Desk;

#[tokio::test]
async fn a_key_moves_between_homes_and_signs_in_one_of_them() {
    let desk = Desk::new();
    desk.network(&["alpha"]).await;
    let node = desk.start("alpha", "").await;
    desk.fail("keys export moved --home alpha", 1, &["another tandem process uses"]).await;
    // A chain of one makes blocks by itself.
    loop {
        let status: Value = node.run("status --json").await.json();
        let height = status["sync_info"]["latest_block_height"].as_str().unwrap().to_owned();
        if height.parse::<u64>().unwrap() > 2 {
            break;
        }
    }
    node.stop().await;
    let exported = desk.run("keys export moved --home alpha --json").await.json();
    let height: u64 = exported["signed"]["height"].as_str().unwrap().parse().unwrap();
    assert!(height > 2, "{exported}");
    assert_eq!((&exported["encrypted"], &exported["key_lost"]), (&false.into(), &false.into()));

    let error = desk.run("start --home alpha").await.stderr(1);
    assert!(error.contains("guard.json") && error.contains("has moved away"), "{error}");
    desk.fail("keys export again --home alpha", 1, &["has moved away"]).await;
    assert!(!desk.path("again").exists());
    // Its public part is no secret.
    let shown = desk.run("keys show --home alpha --json").await.json();
    assert_eq!(shown["public_key"], exported["public_key"]);

    let places = "--listen /ip4/127.0.0.1/tcp/0 --rpc-listen 127.0.0.1:0";
    let wrong = "keys import moved --home b --listen 127.0.0.1:0";
    desk.fail(wrong, 1, &["p2p.listen", "multiaddress"]).await;
    assert!(!desk.path("b").exists());
    desk.run("init --home c").await.done();
    desk.fail("keys import moved --home c", 1, &["the key of another node"]).await;
    let imported = desk.run(&format!("keys import moved --home b {places} --json")).await.json();
    assert_eq!(imported["signed"], exported["signed"]);
    assert_eq!(imported["public_key"], exported["public_key"]);
    let words = ["moved was imported into", "/b at 20", "good for one import"];
    desk.fail("keys import moved --home d", 1, &words).await;
    assert!(!desk.path("d").exists());
    let error = desk.run("start --home alpha").await.stderr(1);
    assert!(error.contains("has moved away"), "{error}");

    // Nobody has the chain of one any more, and yet the key does not begin another.
    desk.configure_log("b");
    let node = desk.start("b", "").await;
    let status: Value = node.run("status --json").await.json();
    assert_eq!(status["tandem"]["public_key"], exported["public_key"]);
    assert_eq!(status["sync_info"]["latest_block_height"], "0");
    node.stop().await;
}

#[tokio::test]
async fn a_key_is_encrypted_for_the_way() {
    use std::os::unix::fs::PermissionsExt;
    let desk = Desk::new();
    desk.network(&["alpha"]).await;
    desk.write("words", "correct horse battery");
    let mode = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(desk.path("words"), mode).unwrap();
    let export = "keys export moved --home alpha --encrypt";
    desk.fail(export, 1, &["moved is to be encrypted", "--passphrase-file"]).await;
    // Nothing was begun.
    assert!(desk.read("alpha/config/guard.json").contains("\"new\""));
    let text = desk.run(&format!("{export} --passphrase-file words")).await.done();
    assert!(text.contains("nothing yet") && text.contains("does not start"), "{text}");
    desk.fail("keys import moved --home b", 1, &["moved is encrypted"]).await;
    desk.run("keys import moved --home b --passphrase-file words").await.done();
    assert!(desk.read("b/config/node_key.json").contains("encrypted_key"));
}
