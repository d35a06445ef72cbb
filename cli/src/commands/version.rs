//! `tandem version`, `tandem completions` and `tandem man`.

use std::path::Path;

use anyhow::Context;
use clap::CommandFactory;
use serde_json::json;
use tandem_chain::comet::{APP_VERSION, BLOCK_VERSION};
use tandem_node::network::PROTOCOL_VERSION;
use tandem_node::storage::FORMAT;

use crate::args::{Cli, Global};
use crate::output;

pub fn version(global: &Global, verbose: bool) -> anyhow::Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    let answer = json!({
        "version": version,
        "block_version": BLOCK_VERSION,
        "app_version": APP_VERSION,
        "network_version": PROTOCOL_VERSION,
        "database_format": FORMAT,
    });
    output::show(global, &answer, |_| {
        if !verbose {
            return version.to_owned();
        }
        output::facts(&[
            ("tandem", version.to_owned()),
            ("block version", BLOCK_VERSION.to_string()),
            ("app version", APP_VERSION.to_string()),
            ("network version", PROTOCOL_VERSION.to_string()),
            ("database format", FORMAT.to_string()),
        ])
    })
}

pub fn completions(global: &Global, shell: clap_complete::Shell) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "tandem", &mut script);
    let script = String::from_utf8(script)?;
    let answer = json!({ "shell": shell.to_string(), "script": script });
    output::show(global, &answer, |_| script)
}

/// A page for each command, named as the words of the command with dashes between.
pub fn man(global: &Global, dir: &Path) -> anyhow::Result<()> {
    let written = std::fs::create_dir_all(dir)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), dir))
        .with_context(|| format!("cannot write man pages to {}", dir.display()));
    written?;
    output::show(global, &json!({ "dir": dir }), |_| format!("man pages are in {}", dir.display()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Names of the pages of a command and all below it.
    fn pages(command: &clap::Command, before: &str, names: &mut BTreeSet<String>) {
        let name = format!("{before}{}", command.get_name());
        for command in command.get_subcommands() {
            pages(command, &format!("{name}-"), names);
        }
        names.insert(format!("{name}.1"));
    }

    #[test]
    fn each_command_has_one_page_and_nothing_else_has() {
        let dir = tempfile::tempdir().unwrap();
        clap_mangen::generate_to(Cli::command(), dir.path()).unwrap();
        let mut expected = BTreeSet::new();
        pages(&Cli::command(), "", &mut expected);
        let found = std::fs::read_dir(dir.path()).unwrap();
        let found: BTreeSet<String> =
            found.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        assert_eq!(found, expected);
        assert!(expected.contains("tandem-snapshot-restore.1") && expected.len() > 50);
    }
}
