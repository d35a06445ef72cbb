//! What is made for packages and containers.

use std::path::Path;

use tokio::process::Command;

use crate::support::Desk;

const COMPOSE: &str = include_str!("../../packaging/docker/compose.yaml");
const NODES: [&str; 8] =
    ["alpha-a", "alpha-b", "bravo-a", "bravo-b", "charlie-a", "charlie-b", "delta-a", "delta-b"];

/// Runs a script of `packaging`, with the program that is tested as `TANDEM`.
async fn run(desk: &Desk, script: &str, argument: &Path) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(script);
    let mut command = Command::new(path);
    command.arg(argument).env("TANDEM", env!("CARGO_BIN_EXE_tandem")).current_dir(desk.path(""));
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{script}: {output:?}");
}

#[tokio::test]
async fn the_network_of_the_compose_file_is_made() {
    let desk = Desk::new();
    run(&desk, "docker/make-network", &desk.path("net")).await;
    let checked = desk.run("genesis check net/genesis.json --json").await.json()["hash"].take();
    for name in NODES {
        let file = format!("net/{name}/config/genesis.json");
        assert_eq!(desk.run(&format!("genesis check {file} --json")).await.json()["hash"], checked);
        let config = desk.read(&format!("net/{name}/config/config.toml"));
        assert!(config.contains(&format!("/dns4/{name}/tcp/26656")), "{config}");
        let home = format!("${{TANDEM_NETWORK:?make-network writes it}}/{name}:/var/lib/tandem");
        assert!(COMPOSE.contains(&format!("\n  {name}:\n")) && COMPOSE.contains(&home), "{name}");
    }
    assert_eq!(COMPOSE.matches("<<: *node").count(), NODES.len());
    let genesis: serde_json::Value = serde_json::from_str(&desk.read("net/genesis.json")).unwrap();
    assert_eq!(genesis["organizations"].as_array().map(Vec::len), Some(4));
    let settings = desk.read("net/compose.env");
    for name in ["TANDEM_NETWORK=/", "TANDEM_UID=", "TANDEM_GID="] {
        assert!(settings.contains(name), "{settings}");
    }
    assert!(!settings.contains("TANDEM_UID=0"), "no node runs as root: {settings}");
}

#[tokio::test]
async fn what_the_package_has_besides_files_is_made() {
    let desk = Desk::new();
    let program = Path::new(env!("CARGO_BIN_EXE_tandem"));
    std::fs::hard_link(program, desk.path("tandem"))
        .or_else(|_| std::fs::copy(program, desk.path("tandem")).map(drop))
        .unwrap();
    run(&desk, "debian/stage", &desk.path("")).await;
    for (file, word) in [
        ("deb/tandem.bash", "complete"),
        ("deb/tandem.zsh", "#compdef tandem"),
        ("deb/tandem.fish", "complete -c tandem"),
        ("deb/home/config/config.toml", "[rpc]"),
    ] {
        assert!(desk.read(file).contains(word), "{file}");
    }
    let page = std::fs::read(desk.path("deb/man/tandem-switch.1.gz")).unwrap();
    assert!(page.starts_with(&[0x1f, 0x8b]), "pages are compressed, as Debian has them");
    assert!(!desk.path("deb/home/config/node_key.json").exists(), "a key in a package");
}
