//! `tandem genesis`.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, anyhow, bail};
use serde_json::json;
use tandem_chain::genesis::{Genesis as ChainGenesis, GenesisOrg};
use tandem_chain::modules::consortium::Policy;
use tandem_chain::modules::parameters::Parameters;
use tandem_chain::types::{Hash, Timestamp};
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
        Genesis::Part { parts } => show_parts(global, &parts),
        Genesis::Check { file, hash, part } => {
            let file = file.unwrap_or_else(|| Home::new(&global.home).genesis_path());
            let (genesis, warnings) = genesis_files::load(&file)?;
            if let Some(expected) = hash {
                check_hash(&genesis, expected, &file)?;
            }
            for path in &part {
                let part = genesis_files::load_part(path)?;
                let found = genesis_files::check_part(&genesis, &part);
                found.map_err(|reason| anyhow!("{}: {reason}", file.display()))?;
            }
            report(global, &genesis, &warnings, &file)
        }
        Genesis::Install { file, hash } => {
            let (genesis, warnings) = genesis_files::load(&file)?;
            check_hash(&genesis, hash, &file)?;
            let home = Home::new(&global.home);
            genesis_files::install(&home, &genesis)?;
            report(global, &genesis, &warnings, &home.genesis_path())
        }
    }
}

fn check_hash(genesis: &ChainGenesis, expected: Hash, file: &Path) -> anyhow::Result<()> {
    let got = genesis.hash();
    if got == expected {
        return Ok(());
    }
    bail!("{} has hash {got}, not {expected}: it is not what the others have", file.display())
}

fn show_parts(global: &Global, paths: &[PathBuf]) -> anyhow::Result<()> {
    let parts = paths.iter().map(|path| genesis_files::load_part(path));
    let parts = parts.collect::<Result<Vec<_>, _>>()?;
    let answer =
        parts.iter().map(|part| json!({ "hash": genesis_files::part_hash(part), "part": part }));
    let answer: Vec<_> = answer.collect();
    output::show(global, &answer, |_| parts.iter().map(part_text).collect::<Vec<_>>().join("\n\n"))
}

fn part_text(part: &GenesisOrg) -> String {
    let mut facts = vec![
        ("organization", part.name.to_string()),
        ("hash", genesis_files::part_hash(part).to_string()),
        ("admin key", part.admin_key.to_string()),
        ("power", part.power.to_string()),
    ];
    for node in &part.nodes {
        facts.push((node.role.name(), format!("{} {}", node.key, node.addresses.join(" "))));
    }
    facts.extend(part.users.iter().map(|user| ("user", user.to_string())));
    output::facts(&facts)
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
