//! The order of imports between the crates of the workspace, as `docs/architecture.md` gives it.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Each crate, and the crates of the workspace that it may import.
const ORDER: [(&str, &[&str]); 5] = [
    ("tandem-chain", &[]),
    ("tandem-consensus", &["tandem-chain"]),
    ("tandem-node", &["tandem-chain", "tandem-consensus"]),
    ("tandem", &["tandem-chain", "tandem-consensus", "tandem-node"]),
    ("tandem-testnet", &["tandem-chain", "tandem-consensus", "tandem-node"]),
];

/// What the pure crates never import, whatever its version.
const IMPURE: [&str; 7] =
    ["tokio", "libp2p", "rocksdb", "rand", "axum", "getrandom", "tracing-subscriber"];

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON")
}

/// The normal dependencies of each package of the workspace.
fn imports() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().expect("packages");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    packages
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"].as_array().expect("dependencies");
            let normal = dependencies.iter().filter(|d| d["kind"].is_null());
            (text(&package["name"]), normal.map(|d| text(&d["name"])).collect())
        })
        .collect()
}

#[test]
fn crates_import_only_what_stands_below_them() {
    let imports = imports();
    let names: BTreeSet<&str> = imports.keys().map(String::as_str).collect();
    assert_eq!(names, ORDER.iter().map(|(name, _)| *name).collect());
    for (name, allowed) in ORDER {
        let ours = imports[name].iter().map(String::as_str).filter(|n| names.contains(n));
        let wrong: Vec<&str> = ours.filter(|n| !allowed.contains(n)).collect();
        assert!(wrong.is_empty(), "{name} imports {wrong:?}");
    }
}

#[test]
fn chain_and_consensus_are_pure() {
    let imports = imports();
    for name in ["tandem-chain", "tandem-consensus"] {
        let wrong: Vec<&str> =
            IMPURE.into_iter().filter(|impure| imports[name].contains(*impure)).collect();
        assert!(wrong.is_empty(), "{name} imports {wrong:?}");
    }
}
