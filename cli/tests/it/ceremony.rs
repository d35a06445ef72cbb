//! The ceremony of docs/ceremony.md, command by command, each organisation in a folder of its own.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::support::Desk;

const DOC: &str = include_str!("../../../docs/ceremony.md");
const ORGS: [&str; 4] = ["alpha", "beta", "gamma", "delta"];
const WORDS: [(&str, &str); 1] = [("TANDEM_PASSPHRASE_FILE", "words")];

/// The commands of a section, in their order.
fn commands(section: &str) -> Vec<&'static str> {
    let start = DOC.find(&format!("## {section}")).expect("a section of the page");
    let rest = &DOC[start + 3..];
    let rest = &rest[..rest.find("\n## ").unwrap_or(rest.len())];
    let commands: Vec<_> =
        rest.lines().filter_map(|line| line.strip_prefix("    alpha$ tandem ")).collect();
    assert!(!commands.is_empty(), "{section} has commands");
    commands
}

/// A command as another organisation gives it. What names all parts is the same for each.
fn of(org: &str, command: &str) -> String {
    if command.contains("delta.json") {
        return command.to_owned();
    }
    let place = 1 + ORGS.iter().position(|other| *other == org).expect("one of the four");
    command.replace("alpha", org).replace("10.0.1.", &format!("10.0.{place}."))
}

#[tokio::test]
async fn four_organisations_make_one_chain_by_the_commands_of_the_page() {
    let desks = ORGS.map(|org| {
        let desk = Desk::new();
        desk.write("words", &format!("the passphrase of {org}"));
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(desk.path("words"), private).unwrap();
        (org, desk)
    });
    for (org, desk) in &desks {
        for command in commands("1. Keys") {
            desk.run_with(&WORDS, &of(org, command)).await.done();
        }
        for file in ["admin.json", "node1/config/node_key.json", "node2/config/node_key.json"] {
            assert!(desk.read(file).contains("encrypted_key"), "{org} {file}");
        }
    }
    // The parts, and nothing else, go to all.
    for (org, from) in &desks {
        let name = format!("{org}.json");
        assert!(!from.read(&name).contains("secret_key"));
        for (_, to) in &desks {
            to.write(&name, &from.read(&name));
        }
    }
    let mut hashes = Vec::new();
    for (org, desk) in &desks {
        for command in commands("2. The genesis") {
            desk.run_with(&WORDS, &of(org, command)).await.done();
        }
        let checked = desk.run("genesis check genesis.json --json").await.json();
        assert_eq!((&checked["organizations"], &checked["nodes"]), (&4.into(), &8.into()));
        assert_eq!(checked["warnings"], Value::Array(Vec::new()));
        hashes.push(checked["hash"].as_str().unwrap().to_owned());
    }
    hashes.dedup();
    let [hash] = &hashes[..] else { panic!("each has made another genesis: {hashes:?}") };
    for (org, desk) in &desks {
        for command in commands("3. Start") {
            let command = of(org, command).replace("HASH", hash);
            // Whether this machine is fit, and a node that runs, have tests of their own.
            if !command.starts_with("doctor") && !command.starts_with("start") {
                desk.run_with(&WORDS, &command).await.done();
            }
        }
        for home in ["node1", "node2"] {
            let check = format!("genesis check --home {home} --hash {hash} --part {org}.json");
            desk.run(&check).await.done();
        }
    }

    // One node of it comes up, on whatever ports are free; with another hash it does not.
    let (_, alpha) = &desks[0];
    let (path, free) = ("node1/config/config.toml", "/ip4/127.0.0.1/tcp/0");
    let before = alpha.read(path);
    let after = before
        .replace("listen = \"/ip4/0.0.0.0/tcp/26656\"", &format!("listen = \"{free}\""))
        .replace("listen = \"127.0.0.1:26657\"", "listen = \"127.0.0.1:0\"");
    assert_ne!(after, before);
    alpha.write(path, &after);
    let wrong =
        format!("start --home node1 --genesis-hash {} --passphrase-file words", "0".repeat(64));
    let error = alpha.run(&wrong).await.stderr(1);
    assert!(error.contains(hash), "{error}");
    alpha.configure_log("node1");
    let options = format!("--genesis-hash {hash} --passphrase-file words");
    let node = alpha.start("node1", &options).await;
    let (_, status) = node.ask("status").await;
    assert_eq!(status["node_info"]["network"], "trade-1");
    node.stop().await;
}

#[tokio::test]
async fn what_is_not_as_it_was_agreed_is_found_by_who_it_concerns() {
    let desk = Desk::new();
    for org in ["alpha", "beta"] {
        desk.run(&format!("keys new {org}-admin.json")).await.done();
        let part = format!("--org-part {org}.json --org {org} --admin-key {org}-admin.json");
        desk.run(&format!("init --home {org} {part}")).await.done();
    }
    let own = desk.read("alpha.json");
    let (_, before) = desk.ask("genesis part alpha.json beta.json").await;
    let make = "genesis make alpha.json beta.json --chain-id c-1 --time 2026-01-01T00:00:00Z";
    // Somebody puts a second node into alpha's part.
    desk.run("init --home guest --org-part alpha.json --org alpha --role standby").await.done();
    let (_, after) = desk.ask("genesis part alpha.json beta.json").await;
    assert_ne!(after[0]["hash"], before[0]["hash"]);
    assert_eq!(after[1], before[1]);
    let made = desk.run(&format!("{make} --json")).await.json();
    let hash = made["hash"].as_str().unwrap();
    desk.write("own.json", &own);
    let words = ["genesis.json", "alpha is not as its part says", "is not of the part"];
    desk.fail("genesis check genesis.json --part beta.json --part own.json", 1, &words).await;
    let zero = "0".repeat(64);
    let words = ["genesis.json has hash", hash, "not what the others have"];
    desk.fail(&format!("genesis check genesis.json --hash {zero}"), 1, &words).await;
    desk.fail(&format!("genesis install genesis.json --home alpha --hash {zero}"), 1, &words).await;
    assert!(!desk.path("alpha/config/genesis.json").exists());
    desk.run("init --home stranger").await.done();
    let stranger = format!("genesis install genesis.json --home stranger --hash {hash}");
    desk.fail(&stranger, 1, &["is none of the genesis"]).await;
    let install = format!("genesis install genesis.json --home alpha --hash {hash}");
    desk.run(&install).await.done();
    desk.run(&install).await.done();
    // Another one does not take its place.
    desk.write("alpha.json", &own);
    let other = desk.run(&format!("{make} --json")).await.json();
    let hash = other["hash"].as_str().unwrap();
    let install = format!("genesis install genesis.json --home alpha --hash {hash}");
    desk.fail(&install, 1, &["another genesis is there"]).await;
}
