//! Between two runs of a node's parts: a snapshot is restored.

use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::{NodeError, Opened, wall_clock};
use crate::snapshots::{Ended, Fetch, SnapshotError};
use crate::storage::Database;

/// Time that a restore waits for somebody who has what it needs.
const PATIENCE: Duration = Duration::from_secs(30);

/// Restores a snapshot of the peers', if it can. When it returns, the database is whole or empty.
///
/// # Errors
/// [`NodeError`] when the database or the network fails.
pub(super) async fn restore(opened: &Opened, db: Database) -> Result<(), NodeError> {
    let Opened { genesis, config, trust, .. } = opened;
    let (network, mut events) = opened.network().await?;
    let nodes = genesis.organizations.iter().flat_map(|org| &org.nodes);
    network.set_peers(nodes.map(|node| (node.key, node.addresses.clone())).collect());
    // Nobody is answered: what this node has is no chain yet.
    let unanswered = tokio::spawn(async move { while events.recv().await.is_some() {} });
    let fetch = Fetch {
        db,
        genesis: Arc::clone(genesis),
        network: network.clone(),
        trust: *trust,
        period: config.snapshots.trust_period,
        patience: PATIENCE,
        clock: wall_clock,
    };
    let ended = fetch.run().await;
    network.shutdown().await;
    unanswered.abort();
    match ended {
        Ok(Ended::Restored(height)) => info!(%height, "a snapshot is restored"),
        Ok(Ended::Nothing) => {
            info!("no snapshot is to be had: blocks are fetched from the first on");
        }
        // Of what the peers have, nothing is to be trusted.
        Err(
            error @ (SnapshotError::Trust(_)
            | SnapshotError::Unfit { .. }
            | SnapshotError::NoPeer { .. }),
        ) => warn!(%error, "no snapshot is restored: blocks are fetched from the first on"),
        Err(error) => return Err(error.stopped().into()),
    }
    Ok(())
}
