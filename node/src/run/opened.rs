//! What a node is started from: the files of its home folder.

use std::sync::Arc;

use tandem_chain::genesis::Genesis;
use tandem_chain::keys::SecretKey;
use tracing::warn;

use super::{NodeError, Options, load_genesis, wall_clock};
use crate::backup;
use crate::config::Config;
use crate::home::Home;
use crate::network::{Events, Network, NetworkConfig, Rates};
use crate::sink::Server;
use crate::snapshots::{Shelf, TrustedBlock};
use crate::storage::{Database, StorageConfig};

/// What a node is started from.
pub(super) struct Opened {
    pub genesis: Arc<Genesis>,
    pub key: SecretKey,
    pub config: Config,
    pub storage: StorageConfig,
    /// What a restore trusts first, if not the genesis.
    pub trust: Option<TrustedBlock>,
    /// Its snapshots.
    pub shelf: Shelf,
    /// Where transactions and events are written as well.
    pub sink: Option<Server>,
}

impl Opened {
    /// Reads the files of a home folder.
    pub fn read(home: &Home, config: Config, options: &Options) -> Result<Self, NodeError> {
        let (genesis, warnings) = load_genesis(home, options.genesis_hash)?;
        for warning in warnings {
            warn!(%warning, "genesis");
        }
        for warning in config.warnings() {
            warn!(%warning, "config.toml");
        }
        if genesis.genesis_time > wall_clock() {
            warn!(
                genesis_time = genesis.genesis_time.to_rfc3339(),
                "the chain begins at its genesis time, which is yet to come: no block is made before"
            );
        }
        let key = home.node_key(&options.passphrases)?;
        let storage = home.storage(&config)?;
        let sink = home.sink(&config)?;
        let configured = config.snapshots.trusted().expect("the configuration is checked");
        let trust = options.trust.or(configured);
        let shelf = Shelf::new(home.snapshots_path(), storage.key.clone());
        Ok(Self { genesis: Arc::new(genesis), key, config, storage, trust, shelf, sink })
    }

    /// Opens the database, whether it is whole or restored in part.
    pub fn database(&self, home: &Home) -> Result<Database, NodeError> {
        backup::finish(home)?;
        let path = home.data_path();
        let db = Database::open_to_restore(&path, self.genesis.hash(), &self.storage)?;
        backup::clean_up(home)?;
        Ok(db)
    }

    /// Starts the network.
    pub async fn network(&self) -> Result<(Network, Events), NodeError> {
        let started = Network::start(NetworkConfig {
            secret: self.key.clone(),
            listen: self.config.p2p.listen.clone(),
            chain_id: self.genesis.chain_id.clone(),
            genesis: self.genesis.hash(),
            dial: self.config.p2p.dial.clone(),
            bootstrap: self.config.p2p.bootstrap.clone(),
            rates: Rates::default(),
        });
        Ok(started.await?)
    }
}
