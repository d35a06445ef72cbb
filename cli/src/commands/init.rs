//! `tandem init`.

use serde_json::json;
use tandem_chain::genesis::GenesisNode;
use tandem_node::config::Config;
use tandem_node::genesis_files::{self, PartChange};
use tandem_node::home::{Home, files};

use crate::args::{Global, Init, Places};
use crate::{input, output};

/// The defaults, but for where the node listens and is reached.
pub fn config_at(places: Places) -> Config {
    let Places { listen, rpc_listen, address } = places;
    let mut config = Config::default();
    if let Some(listen) = listen {
        config.p2p.listen = listen;
    }
    if let Some(listen) = rpc_listen {
        config.rpc.listen = listen;
    }
    config.p2p.addresses = address;
    config
}

pub fn init(global: &Global, init: Init) -> anyhow::Result<()> {
    let home = Home::new(&global.home);
    let mut config = config_at(init.places);
    if let Some(levels) = init.log {
        config.log.level = levels;
    }
    config.validate()?;
    // All that can be wrong is found before anything is written.
    let genesis = init.genesis.as_deref().map(genesis_files::load).transpose()?;
    let admin_key = init.admin_key.as_deref().map(input::public_key).transpose()?;
    let users: Vec<_> =
        init.user.iter().map(|user| input::public_key(user)).collect::<Result<_, _>>()?;

    let passphrase = input::new_passphrase(global, init.encrypt, &home.node_key_path())?;

    let secret = input::new_key();
    let mut part = None;
    if let Some((path, org)) = init.org_part.as_ref().zip(init.org) {
        let addresses = config.p2p.addresses.clone();
        let node = Some(GenesisNode { key: secret.public(), role: init.role, addresses });
        let change = PartChange { org, admin_key, power: init.power, node, users };
        part = Some((path, genesis_files::changed_part(path, change)?));
    }

    let key = home.init(&config, &secret, passphrase.as_ref())?;
    if let Some((genesis, _)) = &genesis {
        files::write_atomic(&home.genesis_path(), genesis.to_json().as_bytes(), 0o644)?;
    }
    if let Some((path, part)) = &part {
        genesis_files::store_part(path, part)?;
    }
    let answer = json!({
        "home": home.root(),
        "public_key": key,
        "address": key.address(),
        "org_part": init.org_part,
    });
    output::show(global, &answer, |_| {
        let mut facts = vec![
            ("home", home.root().display().to_string()),
            ("node key", key.to_string()),
            ("address", key.address().to_string()),
        ];
        if let Some(path) = &init.org_part {
            facts.push(("org part", path.display().to_string()));
        }
        output::facts(&facts)
    })
}
