//! Writes the home folders of a local network's nodes, by the same calls as `tandem` itself.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::SystemTime;

use anyhow::{Context as _, Result};
use tandem_chain::genesis::{Genesis, GenesisNode, GenesisOrg};
use tandem_chain::keys::{PublicKey, SecretKey};
use tandem_chain::modules::consortium::Policy;
use tandem_chain::modules::parameters::Parameters;
use tandem_chain::types::{OrgName, Power, Timestamp};
use tandem_node::config::Config;
use tandem_node::home::{Home, KeyFile, files};

use crate::layout::{Layout, Node, Preset};

/// Folder for the backups that a node makes while it runs, in its home.
pub const BACKUPS: &str = "backups";

/// Makes a network's folder: genesis, node keys, the organisations' key files, `network.json`.
///
/// # Errors
/// When a file cannot be written, or the genesis has a fault.
pub fn create(layout: &Layout, secrets: &[SecretKey]) -> Result<()> {
    let genesis = genesis(layout)?;
    let json = genesis.to_json();
    for (node, secret) in layout.nodes.iter().zip(secrets) {
        let home = Home::new(layout.home(node));
        home.init(&of_network(layout, node, &BTreeMap::new()), secret, None)?;
        files::write_atomic(&home.genesis_path(), json.as_bytes(), 0o644)?;
    }
    let keys = layout.dir().join("keys");
    files::create_dir(&keys)?;
    for org in &layout.orgs {
        KeyFile::new(&layout.admin(org)).create(&keys.join(format!("{org}-admin.json")))?;
        if let Some(user) = layout.users(org).first() {
            KeyFile::new(user).create(&keys.join(format!("{org}-user.json")))?;
        }
    }
    layout.save()
}

/// The genesis of a network, with the present time.
///
/// # Errors
/// When it has a fault.
pub fn genesis(layout: &Layout) -> Result<Genesis> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let genesis = Genesis {
        chain_id: layout.chain_id.clone(),
        genesis_time: Timestamp::from_millis(u64::try_from(now.as_millis())?),
        parameters: match layout.spec.preset {
            Preset::Lan => Parameters::lan(),
            Preset::Wan => Parameters::wan(),
        },
        policy: Policy::default(),
        organizations: layout.orgs.iter().map(|org| organization(layout, org)).collect(),
    };
    genesis.validate()?;
    Ok(genesis)
}

fn organization(layout: &Layout, org: &OrgName) -> GenesisOrg {
    let nodes = layout.nodes.iter().filter(|node| node.org == *org).map(|node| GenesisNode {
        key: node.key,
        role: node.role,
        addresses: layout.spec.addresses.then(|| address(node.p2p_port)).into_iter().collect(),
    });
    GenesisOrg {
        name: org.clone(),
        admin_key: layout.admin(org).public(),
        power: Power(1),
        nodes: nodes.collect(),
        users: layout.users(org).iter().map(SecretKey::public).collect(),
    }
}

/// Writes a node's configuration anew: `dial` has the loopback port at which it reaches each of
/// the others.
///
/// # Errors
/// When the file cannot be written.
pub fn write_config(layout: &Layout, node: &Node, dial: &BTreeMap<PublicKey, u16>) -> Result<()> {
    let path = Home::new(layout.home(node)).config_path();
    let config = of_network(layout, node, dial);
    files::write_atomic(&path, config.to_toml().as_bytes(), 0o644)?;
    Ok(())
}

/// With what the network was asked for.
fn of_network(layout: &Layout, node: &Node, dial: &BTreeMap<PublicKey, u16>) -> Config {
    let mut config = config(node, dial);
    config.snapshots.interval = layout.spec.snapshot_interval;
    config.storage.backup_dir = BACKUPS.into();
    config.hooks = layout.spec.hooks.clone();
    config.index.enabled = layout.spec.index;
    config.rpc.max_websockets = layout.spec.websockets;
    config.rpc.max_websockets_per_client = layout.spec.websockets.max(1);
    if let Some(sink) = layout.spec.sink.as_ref().filter(|sink| sink.nodes.contains(&node.name)) {
        config.index.psql = sink.url.clone();
        config.index.psql_password_file = sink.password_file.clone();
    }
    config
}

/// A node's configuration: the defaults, but for its ports.
#[must_use]
pub fn config(node: &Node, dial: &BTreeMap<PublicKey, u16>) -> Config {
    let mut config = Config::default();
    config.p2p.listen = address(node.p2p_port);
    config.p2p.addresses = vec![address(node.p2p_port)];
    config.p2p.dial = dial.iter().map(|(key, port)| (*key, vec![address(*port)])).collect();
    config.rpc.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, node.rpc_port));
    config.instrumentation.prometheus = true;
    config.instrumentation.prometheus_listen_addr =
        SocketAddr::from((Ipv4Addr::LOCALHOST, node.metrics_port));
    config
}

/// A loopback port as a multiaddress.
#[must_use]
pub fn address(port: u16) -> String {
    format!("/ip4/127.0.0.1/tcp/{port}")
}

/// Deletes a node's database: its key, its configuration and the mark that its key has signed stay.
///
/// # Errors
/// When the folder cannot be deleted.
pub fn wipe(layout: &Layout, node: &Node) -> Result<()> {
    let data = Home::new(layout.home(node)).data_path();
    std::fs::remove_dir_all(&data).with_context(|| data.display().to_string())?;
    files::create_dir(&data)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Spec;

    #[test]
    fn a_network_folder_is_what_a_node_reads() {
        let dir = tempfile::tempdir().unwrap();
        let spec = Spec { orgs: 4, observers: 1, ..Spec::default() };
        let (layout, secrets) = Layout::new(dir.path(), spec).unwrap();
        create(&layout, &secrets).unwrap();
        let mut hashes = std::collections::BTreeSet::new();
        for node in &layout.nodes {
            let home = Home::new(layout.home(node));
            assert_eq!(home.node_public_key().unwrap(), node.key);
            let json = std::fs::read_to_string(home.genesis_path()).unwrap();
            let genesis = Genesis::from_json(&json).unwrap();
            assert!(genesis.validate().unwrap().is_empty(), "a pair each, four seats: no warning");
            hashes.insert(genesis.hash());
            let config = Config::load(&home.config_path()).unwrap();
            assert_eq!(config.rpc.listen.port(), node.rpc_port);
        }
        assert_eq!(hashes.len(), 1);
        let admin = KeyFile::load_public(&dir.path().join("keys/delta-admin.json")).unwrap();
        assert_eq!(admin, layout.admin(&layout.orgs[3]).public());

        let node = &layout.nodes[0];
        let other = layout.nodes[1].key;
        write_config(&layout, node, &BTreeMap::from([(other, 4_000)])).unwrap();
        let config = Config::load(&Home::new(layout.home(node)).config_path()).unwrap();
        assert_eq!(config.p2p.dial[&other], ["/ip4/127.0.0.1/tcp/4000"]);

        std::fs::write(Home::new(layout.home(node)).data_path().join("x"), "x").unwrap();
        wipe(&layout, node).unwrap();
        assert!(Home::new(layout.home(node)).guard().unwrap().is_some());
        let data = Home::new(layout.home(node)).data_path();
        assert_eq!(std::fs::read_dir(data).unwrap().count(), 0);
    }
}
