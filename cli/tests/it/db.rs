//! `tandem db`: figures, backups and restores of a node that runs and of one that stands.

use serde_json::Value;

use crate::support::Desk;

/// The home `alpha` of a chain with one validator, which may make backups while it runs.
async fn alpha() -> Desk {
    let desk = Desk::new();
    desk.network(&["alpha"]).await;
    desk.configure("alpha", "backup_dir", "backups");
    desk
}

fn guard_state(desk: &Desk, home: &str) -> Value {
    let guard = desk.read(&format!("{home}/config/guard.json"));
    serde_json::from_str::<Value>(&guard).unwrap()["state"].clone()
}

fn height(answer: &Value) -> u64 {
    answer["height"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_backup_is_made_while_the_node_runs_and_restored_with_the_key_lost() {
    let desk = alpha().await;
    let node = desk.start("alpha", "").await;
    let (text, stats) = node.ask("db stats --home alpha").await;
    assert!(text.contains("blocks") && text.contains("FAMILY"), "{text}");
    assert_eq!(
        (&stats["encrypted"], stats["families"].as_array().unwrap().len()),
        (&false.into(), 9)
    );

    let made = node.run("db backup monday --home alpha --json").await.json();
    assert_eq!(made["with_key"], false);
    assert!(desk.path("alpha/backups/monday/backup.json").exists());
    assert!(!desk.path("alpha/backups/monday/config/node_key.json").exists());
    let words = ["monday exists already", "another name"];
    node.fail("db backup monday --home alpha", 1, &words).await;
    node.fail("db backup ../a --home alpha", 2, &["no name for a backup"]).await;
    node.fail("db backup a --home alpha --dir x", 2, &["is running", "storage.backup_dir"]).await;
    let compacted = node.run("db compact --home alpha --json").await.json();
    assert!(height(&compacted) >= height(&made), "the chain goes on meanwhile");
    let restore = "db restore alpha/backups/monday --home alpha --replace";
    desk.fail(restore, 1, &["another tandem process uses"]).await;
    node.stop().await;
    assert_eq!(guard_state(&desk, "alpha"), "used");

    desk.fail("db restore alpha/backups/monday --home alpha", 1, &["--replace"]).await;
    let restored = desk.run(&format!("{restore} --json")).await.json();
    assert_eq!((&restored["height"], &restored["key_lost"]), (&made["height"], &true.into()));
    assert_eq!(guard_state(&desk, "alpha"), "restored");
    let (_, stats) = desk.ask("db stats --home alpha").await;
    assert_eq!(stats["height"], made["height"]);

    let node = desk.start("alpha", "").await;
    let log = node.stop().await;
    assert!(log.contains("the key's signing record is lost"), "{log}");
    assert_eq!(guard_state(&desk, "alpha"), "used");
}

#[tokio::test]
async fn a_node_that_stands_is_backed_up_too_with_its_key_if_that_is_asked_for() {
    let desk = alpha().await;
    desk.fail("db stats --home alpha", 1, &["there is no database in"]).await;
    desk.start("alpha", "").await.stop().await;
    let made = desk.run("db backup --home alpha --json").await.json();
    let folder = made["folder"].as_str().unwrap();
    assert!(folder.starts_with("alpha/backups/20") && folder.ends_with('Z'), "{folder}");
    desk.run("db backup all --home alpha --dir out --with-key").await.done();
    desk.run("db compact --home alpha").await.done();

    let restored = desk.run("db restore out/all --home new --json").await.json();
    assert_eq!(restored["height"], made["height"]);
    let (_, key) = desk.ask("keys show --home new").await;
    assert_eq!(key["public_key"], restored["node"]);
    assert_eq!(guard_state(&desk, "new"), "restored");
    desk.fail(&format!("db restore {folder} --home other"), 1, &["tandem init"]).await;
    desk.fail("db restore alpha --home other", 1, &["no backup", "backup.json"]).await;
}

#[tokio::test]
async fn an_encrypted_database_opens_with_its_key_alone() {
    let desk = Desk::new();
    desk.network(&["alpha"]).await;
    let made = desk.run("db key storage.key --json").await.json();
    assert_eq!(made["file"], "storage.key");
    desk.fail("db key storage.key", 1, &["exists already"]).await;
    desk.encrypt("alpha", "storage.key");
    let node = desk.start("alpha", "").await;
    let (_, stats) = node.ask("db stats --home alpha").await;
    assert_eq!(stats["encrypted"], true);
    node.stop().await;

    let key = desk.read("storage.key");
    desk.run("db key other.key").await.done();
    desk.write("storage.key", &desk.read("other.key"));
    for line in ["db stats --home alpha", "start --home alpha"] {
        let error = desk.run(line).await.stderr(1);
        assert!(error.contains("another key") && error.contains("storage.key_file"), "{error}");
    }
    desk.write("storage.key", &key);
    desk.run("db stats --home alpha").await.done();
}

/// Files may have so many KiB, as on a disk that has no more room: a limit of the system, since no
/// test may fill the disk.
#[tokio::test]
async fn a_full_disk_ends_what_writes_to_it_with_a_word_and_spoils_nothing() {
    let desk = alpha().await;
    let error = desk.run_bounded("start --home alpha", 256).await.stderr(1);
    assert!(error.contains("File too large"), "{error}");
    assert!(error.contains("the node stops"), "{error}");
    let (_, before) = desk.ask("db stats --home alpha").await;
    assert!(height(&before) > 0);

    let error = desk.run_bounded("db backup a --home alpha", 16).await.stderr(1);
    assert!(error.contains("File too large"), "{error}");
    assert!(!desk.path("alpha/backups/a").exists());
    desk.run("db backup a --home alpha").await.done();
    let restore = "db restore alpha/backups/a --home alpha --replace";
    let error = desk.run_bounded(restore, 16).await.stderr(1);
    assert!(error.contains("make room and begin again"), "{error}");
    assert_eq!(guard_state(&desk, "alpha"), "used", "the old database stands, and its record");
    let (_, stats) = desk.ask("db stats --home alpha").await;
    assert_eq!(stats["height"], before["height"]);
    desk.run(restore).await.done();
}
