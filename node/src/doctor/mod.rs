//! What a node needs of its home, its machine and the others, looked at one thing after another, with what to do
//! where something is amiss. Nothing is changed, and the node may run meanwhile.

mod machine;
mod others;

use std::net::SocketAddr;

use serde::Serialize;
use tandem_chain::genesis::Genesis;
use tandem_chain::keys::PublicKey;
use tandem_chain::types::Timestamp;

use crate::client::{Client, Status};
use crate::config::Config;
use crate::genesis_files;
use crate::home::{GuardState, Home, KeyFile};
use crate::network::{PROTOCOL_VERSION, try_listen};
use crate::rpc;
use crate::storage::{self, FORMAT, Reader};

/// How a check ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Nothing is amiss.
    Ok,
    /// The node runs, and something should be seen to.
    Warn,
    /// The node does not start, or does not do its part.
    Fail,
}

/// What a check has found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub check: &'static str,
    /// How it ended.
    pub verdict: Verdict,
    /// What is there.
    pub found: String,
    /// What to do; none where nothing is amiss.
    pub advice: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Ok, found: found.into(), advice: None }
    }

    fn warn(check: &'static str, found: impl Into<String>, advice: &str) -> Self {
        Self { verdict: Verdict::Warn, advice: Some(advice.to_owned()), ..Self::ok(check, found) }
    }

    fn fail(check: &'static str, found: impl Into<String>, advice: &str) -> Self {
        Self { verdict: Verdict::Fail, ..Self::warn(check, found, advice) }
    }
}

/// An error of ours says itself what to do.
const AS_IT_SAYS: &str = "as it says";

/// What the checks of the home leave for the others.
struct Known {
    config: Config,
    genesis: Option<Genesis>,
    node: Option<PublicKey>,
}

/// Looks at everything. `clients` are nodes that may be asked: the home's own, or others, whose clock and
/// versions are compared; those that do not answer within seconds are passed over. `now` is this machine's
/// clock.
pub async fn examine(home: &Home, clients: &[Client], now: fn() -> Timestamp) -> Vec<Finding> {
    let (mut findings, known) = home_findings(home);
    let Some(known) = known else {
        findings.extend(machine::disk(home).await);
        findings.push(machine::file_limit(&Config::default()));
        return findings;
    };
    let asked = others::ask(clients, &known.config).await;
    let own = asked.iter().find(|(_, status)| Some(status.tandem.public_key) == known.node);
    findings.push(versions(&asked, known.node));
    findings.push(database(home, &known));
    findings.extend(own.map(|(_, status)| running(status)));
    findings.push(others::clock(&asked, known.node, known.genesis.as_ref(), now).await);
    findings.extend(machine::disk(home).await);
    findings.push(machine::file_limit(&known.config));
    findings.extend(certificate(home, &known.config));
    findings.extend(ports(&known.config, own.is_some()));
    findings.push(others::peers(&known, own.map(|(client, _)| client)).await);
    findings
}

/// The files of the home; the rest of the checks need those.
fn home_findings(home: &Home) -> (Vec<Finding>, Option<Known>) {
    let mut findings = Vec::new();
    let config = match Config::load(&home.config_path()) {
        Ok(config) => config,
        Err(error) => {
            findings.push(Finding::fail("configuration", error.to_string(), AS_IT_SAYS));
            return (findings, None);
        }
    };
    let warnings: Vec<String> = config.warnings().iter().map(ToString::to_string).collect();
    findings.push(if warnings.is_empty() {
        Finding::ok("configuration", home.config_path().display().to_string())
    } else {
        Finding::warn("configuration", warnings.join("; "), "change it, or know why not")
    });
    let (finding, genesis) = match genesis_files::load(&home.genesis_path()) {
        Ok((genesis, warnings)) => {
            let found = format!("{}, hash {}", genesis.chain_id, genesis.hash());
            let finding = if warnings.is_empty() {
                Finding::ok("genesis", found)
            } else {
                let found = format!("{found}: {}", warnings.join("; "));
                Finding::warn(
                    "genesis",
                    found,
                    "it is as the members have agreed: know what it means",
                )
            };
            (finding, Some(genesis))
        }
        Err(error) => (Finding::fail("genesis", error.to_string(), AS_IT_SAYS), None),
    };
    findings.push(finding);
    let (finding, node) = match KeyFile::read(&home.node_key_path()) {
        Ok(file) => {
            let kept = if file.is_encrypted() { "encrypted" } else { "not encrypted" };
            let found = format!("{}, {kept}", file.public_key());
            (Finding::ok("node key", found), Some(file.public_key()))
        }
        Err(error) => (Finding::fail("node key", error.to_string(), AS_IT_SAYS), None),
    };
    findings.push(finding);
    findings.push(guard(home, node));
    (findings, Some(Known { config, genesis, node }))
}

fn guard(home: &Home, node: Option<PublicKey>) -> Finding {
    const CHECK: &str = "signing record";
    const LOST: &str =
        "start the node: it asks the others how far the chain is, and signs above that";
    let read = home.check_key_is_here().and_then(|()| home.guard());
    match read {
        Err(error) => Finding::fail(CHECK, error.to_string(), AS_IT_SAYS),
        Ok(None) => Finding::warn(CHECK, "guard.json is not there: the key counts as lost", LOST),
        Ok(Some(guard)) if node.is_some_and(|node| node != guard.public_key) => Finding::fail(
            CHECK,
            format!("guard.json is about key {}", guard.public_key),
            "put the key and the guard file that belong together in one home",
        ),
        Ok(Some(guard)) => match guard.state {
            GuardState::New => Finding::ok(CHECK, "the key has never signed"),
            GuardState::Restored => {
                Finding::warn(CHECK, "the home was restored: the key counts as lost", LOST)
            }
            _ => Finding::ok(CHECK, "the key has signed"),
        },
    }
}

fn versions(asked: &[(Client, Status)], node: Option<PublicKey>) -> Finding {
    const CHECK: &str = "versions";
    let program = env!("CARGO_PKG_VERSION");
    let found =
        format!("program {program}, network protocol {PROTOCOL_VERSION}, database format {FORMAT}");
    let differ = |status: &&Status| status.tandem.version != program;
    let own = |status: &&Status| Some(status.tandem.public_key) == node;
    let statuses = || asked.iter().map(|(_, status)| status);
    if let Some(status) = statuses().filter(own).find(differ) {
        let found = format!("{found}; the node that runs is {}", status.tandem.version);
        return Finding::warn(CHECK, found, "restart the node with this program");
    }
    let others: Vec<String> = statuses()
        .filter(differ)
        .map(|status| format!("{} runs {}", status.tandem.public_key, status.tandem.version))
        .collect();
    if others.is_empty() {
        return Finding::ok(CHECK, found);
    }
    let found = format!("{found}; {}", others.join(", "));
    Finding::warn(CHECK, found, "members should run one version: see the upgrade in operations.md")
}

fn database(home: &Home, known: &Known) -> Finding {
    const CHECK: &str = "database";
    let Some(genesis) = &known.genesis else {
        return Finding::warn(CHECK, "not looked at without a genesis", "see to the genesis first");
    };
    let storage = match home.storage(&known.config) {
        Ok(storage) => storage,
        Err(error) => return Finding::fail(CHECK, error.to_string(), AS_IT_SAYS),
    };
    match Reader::open(&home.data_path(), genesis.hash(), &storage) {
        Ok(reader) => Finding::ok(CHECK, format!("blocks up to {}", reader.height())),
        Err(storage::Error::None { .. }) => {
            Finding::ok(CHECK, "none yet: the first start makes it")
        }
        Err(error @ storage::Error::Restoring { .. }) => {
            Finding::warn(CHECK, error.to_string(), "start the node: it goes on with it")
        }
        Err(error) => Finding::fail(CHECK, error.to_string(), AS_IT_SAYS),
    }
}

/// What the node that runs says of itself.
fn running(status: &Status) -> Finding {
    let own = &status.tandem;
    let found = format!("runs as {}, at height {}", own.role, status.sync_info.latest_block_height);
    if own.alarms.is_empty() {
        return Finding::ok("node", found);
    }
    let found = format!("{found}: {}", own.alarms.join("; "));
    Finding::warn("node", found, "operations.md says what to do about each")
}

/// The files for TLS, where the node answers over it.
fn certificate(home: &Home, config: &Config) -> Option<Finding> {
    const CHECK: &str = "TLS certificate";
    config.rpc.tls().expect("the configuration is checked")?;
    Some(match rpc::Tls::of(home, &config.rpc) {
        Ok(tls) => Finding::ok(CHECK, format!("{} goes with its key", tls.cert().display())),
        Err(error) => Finding::fail(CHECK, error.to_string(), AS_IT_SAYS),
    })
}

fn ports(config: &Config, runs: bool) -> Vec<Finding> {
    const HINT: &str = "stop what listens there, or change the configuration";
    if runs {
        let found = format!("{} and {} are the node's", config.p2p.listen, config.rpc.listen);
        return vec![Finding::ok("ports", found)];
    }
    let mut findings = Vec::new();
    findings.push(match try_listen(&config.p2p.listen) {
        Ok(()) => Finding::ok("peer port", format!("{} is free", config.p2p.listen)),
        Err(error) => Finding::fail("peer port", error.to_string(), HINT),
    });
    findings.push(port("RPC port", config.rpc.listen, "rpc.listen"));
    if let Some(at) = config.rpc.tls().expect("the configuration is checked") {
        findings.push(port("TLS port", at, "rpc.tls_listen"));
    }
    let instrumentation = &config.instrumentation;
    if instrumentation.prometheus {
        let at = instrumentation.prometheus_listen_addr;
        findings.push(port("metrics port", at, "instrumentation.prometheus_listen_addr"));
    }
    findings
}

fn port(check: &'static str, at: SocketAddr, key: &str) -> Finding {
    match rpc::bind(at, key) {
        Ok(_) => Finding::ok(check, format!("{at} is free")),
        Err(error) => Finding::fail(check, error.to_string(), AS_IT_SAYS),
    }
}

#[cfg(test)]
mod tests;
