//! `tandem version` and `tandem completions`.

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
