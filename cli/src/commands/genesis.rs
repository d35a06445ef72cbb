//! `tandem genesis`.

use std::path::Path;
use std::time::SystemTime;

use anyhow::Context;
use serde_json::json;
use tandem_chain::genesis::Genesis as ChainGenesis;
use tandem_chain::modules::consortium::Policy;
use tandem_chain::modules::parameters::Parameters;
use tandem_chain::types::Timestamp;
use tandem_node::genesis_files;
use tandem_node::home::{Home, files};

use crate::args::{Genesis, Global, Preset};
use crate::exit::Usage;
use crate::output;

pub fn genesis(global: &Global, command: Genesis) -> anyhow::Result<()> {
    match command {
        Genesis::Make { parts, chain_id, preset, set, policy, time, out } => {
            let time = match time {
                Some(text) => {
                    Timestamp::from_rfc3339(&text).map_err(|error| Usage(error.to_string()))?
                }
                None => now()?,
            };
            let preset = match preset {
                Preset::Wan => Parameters::wan(),
                Preset::Lan => Parameters::lan(),
            };
            let parameters = genesis_files::set_parameters(preset, &set).map_err(Usage)?;
            let policy = genesis_files::set_policy(&Policy::default(), &policy).map_err(Usage)?;
            let parts = parts.iter().map(|path| genesis_files::load_part(path));
            let parts = parts.collect::<Result<Vec<_>, _>>()?;
            let genesis = genesis_files::assemble(chain_id, time, parameters, policy, parts);
            let warnings = genesis.validate()?;
            files::write_atomic(&out, genesis.to_json().as_bytes(), 0o644)?;
            report(global, &genesis, &warnings, &out)
        }
        Genesis::Check { file } => {
            let file = file.unwrap_or_else(|| Home::new(&global.home).genesis_path());
            let (genesis, warnings) = genesis_files::load(&file)?;
            report(global, &genesis, &warnings, &file)
        }
    }
}

fn report(
    global: &Global,
    genesis: &ChainGenesis,
    warnings: &[String],
    file: &Path,
) -> anyhow::Result<()> {
    let nodes: usize = genesis.organizations.iter().map(|org| org.nodes.len()).sum();
    let answer = json!({
        "file": file,
        "chain_id": genesis.chain_id,
        "hash": genesis.hash(),
        "organizations": genesis.organizations.len(),
        "nodes": nodes,
        "warnings": warnings,
    });
    output::show(global, &answer, |_| {
        let mut facts = vec![
            ("file", file.display().to_string()),
            ("chain id", genesis.chain_id.to_string()),
            ("hash", genesis.hash().to_string()),
            ("organizations", genesis.organizations.len().to_string()),
            ("nodes", nodes.to_string()),
        ];
        facts.extend(warnings.iter().map(|warning| ("warning", warning.clone())));
        output::facts(&facts)
    })
}

/// Now, in whole seconds.
pub(super) fn now() -> anyhow::Result<Timestamp> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let since = since.context("this machine's clock is before 1970")?;
    Ok(Timestamp::from_millis(since.as_secs() * 1_000))
}
