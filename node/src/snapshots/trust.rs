//! What is trusted first, beside the genesis; and whether the snapshot in a folder is to be trusted.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use tandem_chain::genesis::Genesis;
use tandem_chain::keys::Strict;
use tandem_chain::types::{BlockId, Height, Timestamp};
use tandem_consensus::light::{LightError, Trusted};

use super::{Folder, SnapshotError};

/// A block that somebody who is trusted has named: `HEIGHT:HASH`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrustedBlock {
    /// Its height.
    pub height: Height,
    /// Its hash.
    pub hash: BlockId,
}

impl FromStr for TrustedBlock {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rule = || "a trusted block is HEIGHT:HASH, the hash as 64 hex digits".to_owned();
        let (height, hash) = text.split_once(':').ok_or_else(rule)?;
        let height = height.parse().ok().filter(|height| *height > 0).ok_or_else(rule)?;
        Ok(Self { height: Height(height), hash: hash.parse().map_err(|_| rule())? })
    }
}

impl fmt::Display for TrustedBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.height, self.hash)
    }
}

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
