//! Whether the snapshot in a folder is to be trusted.

use std::time::Duration;

use tandem_chain::genesis::Genesis;
use tandem_chain::keys::Strict;
use tandem_chain::types::Timestamp;
use tandem_consensus::light::{LightError, Trusted};

use super::{Folder, SnapshotError, TrustedBlock};

/// Checks that the header above a folder's state is to be trusted: by the hash that `trust` has of it,
/// else from genesis, within `period` of the genesis time.
///
/// # Errors
/// [`SnapshotError::Trust`], [`SnapshotError::Unfit`].
pub fn verify_folder(
    folder: &Folder,
    genesis: &Genesis,
    trust: Option<TrustedBlock>,
    now: Timestamp,
    period: Duration,
) -> Result<(), SnapshotError> {
    let (got, expected) = (folder.manifest().chain_id(), &genesis.chain_id);
    if got != expected {
        let what = format!(
            "the snapshot is of chain {got}, the home's genesis is that of {expected}: take a home of \
             that chain, or a snapshot of this one"
        );
        return Err(SnapshotError::Unfit { what });
    }
    let above = folder.above();
    let height = above.header.height;
    let Some(trust) = trust else {
        let advanced = Trusted::genesis(genesis).advance(&Strict, now, period, above);
        return match advanced {
            Ok(_) => Ok(()),
            Err(LightError::TooFar { .. } | LightError::Expired { .. }) => {
                let what = format!(
                    "the genesis is not enough to trust the snapshot: give the hash that another \
                     member's node has of block {height} (tandem query block {height}): \
                     --trust {height}:HASH"
                );
                Err(SnapshotError::Unfit { what })
            }
            Err(error) => Err(error.into()),
        };
    };
    if trust.height != height {
        let what = format!(
            "the snapshot is proved by block {height}, not by {}: give the hash of that one, \
             --trust {height}:HASH",
            trust.height
        );
        return Err(SnapshotError::Unfit { what });
    }
    Trusted::named(&Strict, &genesis.chain_id, trust.hash, above)?;
    Ok(())
}
