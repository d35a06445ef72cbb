//! Between two runs of a node's parts: a snapshot is restored.

use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::{NodeError, Opened, network};
use crate::driver::Fatal;
use crate::snapshots::{Ended, Fetch, SnapshotError};
use crate::storage::Database;

/// Time for the threads of a node that has ended to let go of the database.
const LET_GO: Duration = Duration::from_secs(30);

/// Waits until nothing else reads or writes the database any more.
pub(super) async fn until_sole(db: &Database) -> Result<(), NodeError> {
    for _ in 0..LET_GO.as_millis() / 10 {
        if db.is_sole() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Err(Fatal::Gone("threads, which still use the database,").into())
}

/// Time that a restore waits for somebody who has what it needs.
const PATIENCE: Duration = Duration::from_secs(30);

/// Restores a snapshot of the peers', if it can.
///
/// # Errors
/// [`NodeError`] when the database fails, or holds a part of a state that nobody has the rest of.
pub(super) async fn restore(opened: &Opened) -> Result<(), NodeError> {
    let Opened { genesis, db, config, trust, .. } = opened;
    let (network, mut events) = network(opened).await?;
    let nodes = genesis.organizations.iter().flat_map(|org| &org.nodes);
    network.set_peers(nodes.map(|node| (node.key, node.addresses.clone())).collect());
    // Nobody is answered: what this node has is no chain yet.
    let unanswered = tokio::spawn(async move { while events.recv().await.is_some() {} });
    let fetch = Fetch {
        db: db.clone(),
        genesis: Arc::clone(genesis),
        network: network.clone(),
        trust: *trust,
        period: config.snapshots.trust_period,
        patience: PATIENCE,
    };
    let ended = fetch.run().await;
    network.shutdown().await;
    unanswered.abort();
    match ended {
        Ok(Ended::Restored(height)) => info!(%height, "a snapshot is restored"),
        Ok(Ended::Nothing) => {
            info!("no snapshot is to be had: blocks are fetched from the first on")
        }
        Err(SnapshotError::Chain(error)) => return Err(error.into()),
        Err(error) => {
            warn!(%error, "no snapshot is restored: blocks are fetched from the first on")
        }
    }
    drop(fetch);
    until_sole(db).await
}
