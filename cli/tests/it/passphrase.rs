//! Key files that are encrypted: made, used, changed; and where the passphrase comes from.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::Desk;

const WORDS: &str = "correct horse battery";
const FILE: &str = "--passphrase-file words";

/// A desk with a file that holds the passphrase.
fn desk() -> Desk {
    let desk = Desk::new();
    private(&desk, "words", &format!("{WORDS}\n"));
    desk
}

fn private(desk: &Desk, name: &str, text: &str) {
    desk.write(name, text);
    let mode = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(desk.path(name), mode).unwrap();
}

#[tokio::test]
async fn an_encrypted_key_is_made_and_signs_by_its_passphrase_alone() {
    let desk = desk();
    let words = ["admin.json is to be encrypted", "--passphrase-file", "TANDEM_PASSPHRASE"];
    desk.fail("keys new admin.json --encrypt", 1, &words).await;
    assert!(!desk.path("admin.json").exists());

    let made = desk.run(&format!("keys new admin.json --encrypt {FILE} --json")).await.json();
    let file: Value = serde_json::from_str(&desk.read("admin.json")).unwrap();
    assert_eq!(file["public_key"], made["public_key"]);
    assert!(file["secret_key"].is_null() && file["encrypted_key"]["sealed"].is_string());
    assert_eq!(file["encrypted_key"]["memory_kib"], 65_536);

    // The public part asks for nothing.
    let (_, shown) = desk.ask("keys show admin.json").await;
    assert_eq!(shown, made);
    let proof = "keys proof admin.json --org alpha --chain-id c-1";
    desk.fail(proof, 1, &["admin.json is encrypted", "no passphrase is given"]).await;
    let (_, by_file) = desk.ask(&format!("{proof} {FILE}")).await;
    private(&desk, "other", "another one");
    let wrong = format!("{proof} --passphrase-file other");
    desk.fail(&wrong, 1, &["admin.json is encrypted", "not the one that it was encrypted with"])
        .await;
    let missing = format!("{proof} --passphrase-file none");
    desk.fail(&missing, 1, &["none does not exist"]).await;
    desk.write("words-of-all", WORDS);
    let public = format!("{proof} --passphrase-file words-of-all");
    desk.fail(&public, 1, &["words-of-all may be read by others", "chmod 600"]).await;

    let environment = [("TANDEM_PASSPHRASE", WORDS)];
    let by_variable = desk.run_with(&environment, &format!("{proof} --json")).await.json();
    assert_eq!(by_variable["proof"], by_file["proof"]);
    let by_name = [("TANDEM_PASSPHRASE_FILE", "words")];
    assert!(desk.run_with(&by_name, proof).await.is_done());
    let both = desk.run_with(&environment, &format!("{proof} {FILE}")).await.failed(2);
    assert!(both.contains("TANDEM_PASSPHRASE is set") && both.contains("words"), "{both}");
    assert!(!both.contains(WORDS), "{both}");
}

#[tokio::test]
async fn a_key_file_is_encrypted_changed_and_decrypted_in_its_place() {
    let desk = desk();
    let made = desk.run("keys new user.json --json").await.json();
    let plain = desk.read("user.json");
    desk.fail("keys decrypt user.json", 1, &["user.json is not encrypted"]).await;
    desk.fail("keys passphrase user.json", 1, &["not encrypted", "tandem keys encrypt"]).await;
    private(&desk, "short", "1234567");
    let short = "keys encrypt user.json --passphrase-file short";
    desk.fail(short, 1, &["user.json is to be encrypted", "fewer than 8 bytes"]).await;
    assert_eq!(desk.read("user.json"), plain);

    let encrypted = desk.run(&format!("keys encrypt user.json {FILE} --json")).await.json();
    assert_eq!(encrypted["public_key"], made["public_key"]);
    assert_eq!(encrypted["encrypted"], true);
    let secret: Value = serde_json::from_str(&plain).unwrap();
    assert!(!desk.read("user.json").contains(secret["secret_key"].as_str().unwrap()));
    let again = format!("keys encrypt user.json {FILE}");
    desk.fail(&again, 1, &["encrypted already", "tandem keys passphrase"]).await;

    private(&desk, "new", "another passphrase");
    let change = format!("keys passphrase user.json {FILE} --new-passphrase-file new");
    assert!(desk.run(&change).await.is_done());
    desk.fail(&format!("keys decrypt user.json {FILE}"), 1, &["not the one"]).await;
    let decrypted = desk.run("keys decrypt user.json --passphrase-file new --json").await.json();
    assert_eq!(decrypted["encrypted"], false);
    assert_eq!(desk.read("user.json"), plain);
    assert_eq!(
        std::fs::metadata(desk.path("user.json")).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[tokio::test]
async fn a_damaged_file_is_told_from_a_wrong_passphrase() {
    let desk = desk();
    desk.run(&format!("keys new admin.json --encrypt {FILE}")).await.done();
    let good = desk.read("admin.json");
    let proof = format!("keys proof admin.json --org alpha --chain-id c-1 {FILE}");
    for (old, new, word) in [
        ("\"passes\": 3", "\"passes\": 4", "do not agree"),
        ("\"memory_kib\": 65536", "\"memory_kib\": 4294967295", "do not agree"),
        ("\"argon2id\"", "\"argon2d\"", "no key file"),
        ("\"salt\": \"", "\"salt\": \"0", "salt is not 32 hex digits"),
    ] {
        let bad = good.replace(old, new);
        assert_ne!(bad, good);
        private(&desk, "admin.json", &bad);
        desk.fail(&proof, 1, &["admin.json", word]).await;
    }
}

#[tokio::test]
async fn a_node_with_an_encrypted_key_starts_by_its_passphrase() {
    let desk = desk();
    desk.fail("init --home b --encrypt", 1, &["node_key.json is to be encrypted"]).await;
    assert!(!desk.path("b").exists());
    desk.run(&format!("init --home b --encrypt {FILE}")).await.done();
    assert!(desk.read("b/config/node_key.json").contains("encrypted_key"));

    desk.network(&["alpha"]).await;
    desk.run(&format!("keys encrypt --home alpha {FILE}")).await.done();
    let error = desk.run("start --home alpha").await.stderr(1);
    assert!(error.contains("node_key.json is encrypted"), "{error}");
    private(&desk, "other", "another passphrase");
    let error = desk.run("start --home alpha --passphrase-file other").await.stderr(1);
    assert!(error.contains("not the one"), "{error}");
    assert!(!error.contains("another passphrase"), "{error}");

    let node = desk.start("alpha", FILE).await;
    // The operator's own requests are signed with the same key.
    let stats = node.run(&format!("db stats --home alpha {FILE}")).await.done();
    assert!(stats.contains("height"), "{stats}");
    node.fail("db stats --home alpha", 1, &["node_key.json is encrypted"]).await;
    let log = node.stop().await;
    assert!(!log.contains(WORDS), "{log}");
}

/// `script` gives a terminal.
#[tokio::test]
async fn a_person_is_asked_at_a_terminal() {
    let desk = Desk::new();
    let mut running = desk.begin_at_terminal("keys new admin.json --encrypt");
    let (mut input, mut output) = (running.stdin.take().unwrap(), running.stdout.take().unwrap());
    let mut seen = String::new();
    for question in ["new passphrase for admin.json: ", "the same again: "] {
        while !seen.contains(question) {
            let mut bytes = [0; 256];
            let read = output.read(&mut bytes).await.unwrap();
            assert_ne!(read, 0, "it ended with: {seen}");
            seen.push_str(&String::from_utf8_lossy(&bytes[..read]));
        }
        input.write_all(format!("{WORDS}\n").as_bytes()).await.unwrap();
    }
    let status = running.wait().await.unwrap();
    assert!(status.success(), "{seen}");
    private(&desk, "words", WORDS);
    assert!(desk.run(&format!("keys decrypt admin.json {FILE}")).await.is_done());
}
