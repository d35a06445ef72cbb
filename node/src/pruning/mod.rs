//! Which old blocks a node takes away, and the thread that does it while the node runs.
//!
//! ```text
//!   1 ........ lowest ........ floor ..................... tip
//!   gone       goes next       stays: the policy's, the windows', the snapshots'
//! ```
//!
//! What is right in the chain stands in the state, not in old blocks: repeated transactions, the tables
//! and times that evidence is judged by. Blocks are for the others, who fetch and look them up. So a node
//! keeps more than it needs itself: see [`floor()`].

mod floor;
mod pruner;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tandem_chain::Error as ChainError;
use tandem_chain::types::{Height, Timestamp};

use crate::config;
use crate::snapshots::{Shelf, SnapshotError};
use crate::storage::{Database, Pruned};

pub use floor::{Bound, Floor, LEAST_BLOCKS, Needs, WINDOW, first_young, floor};
pub use pruner::Pruner;

/// Days that a policy may name at most: a hundred years.
pub const MOST_DAYS: u64 = 36_500;

/// Blocks that a node keeps, by their number and by their age: a block goes when both let it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// The last blocks that stay; 0 when it is not by number.
    pub keep_blocks: u64,
    /// Days before the newest block's time for which blocks stay; 0 when it is not by age.
    pub keep_days: u64,
}

impl From<&config::Storage> for Policy {
    fn from(storage: &config::Storage) -> Self {
        Self { keep_blocks: storage.keep_blocks as u64, keep_days: storage.keep_days as u64 }
    }
}

impl Policy {
    /// Whether all blocks stay.
    #[must_use]
    pub fn is_archive(&self) -> bool {
        *self == Self::default()
    }

    /// Checks its numbers.
    ///
    /// # Errors
    /// Which number is wrong, and the rule.
    pub fn check(&self) -> Result<(), PolicyError> {
        let Self { keep_blocks, keep_days } = *self;
        if keep_blocks != 0 && keep_blocks < LEAST_BLOCKS {
            return Err(PolicyError { key: "keep_blocks", got: keep_blocks, rule: blocks_rule() });
        }
        if keep_days > MOST_DAYS {
            let rule = format!("0 to {MOST_DAYS} is allowed");
            return Err(PolicyError { key: "keep_days", got: keep_days, rule });
        }
        Ok(())
    }

    /// The age up to which blocks stay.
    fn age(&self) -> Option<Duration> {
        (self.keep_days > 0).then(|| Duration::from_secs(self.keep_days.saturating_mul(24 * 3_600)))
    }
}

fn blocks_rule() -> String {
    format!(
        "0, which keeps all, or at least {LEAST_BLOCKS}: the newest block, and {WINDOW} before it, for which \
         evidence may come, transactions be repeated, and members that were down come back"
    )
}

/// A policy that is not allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} is {got}: {rule}")]
pub struct PolicyError {
    /// The number: `keep_blocks` or `keep_days`.
    pub key: &'static str,
    /// What it is.
    pub got: u64,
    /// What is allowed.
    pub rule: String,
}

/// Why blocks are not taken away.
#[derive(Debug, thiserror::Error)]
pub enum PruneError {
    /// The database.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The folder of snapshots.
    #[error(transparent)]
    Snapshots(#[from] SnapshotError),
    /// The node stops.
    #[error("the node stops: what is left to be taken away goes another time")]
    Stopped,
}

/// Up to where blocks may go now.
///
/// # Errors
/// [`PruneError::Chain`], [`PruneError::Snapshots`].
pub fn plan(db: &Database, shelf: &Shelf, policy: &Policy) -> Result<Floor, PruneError> {
    let (tip, lowest) = (db.height(), db.first_height());
    // A block that another thread has taken away meanwhile was old.
    let time = |height| -> Result<Timestamp, ChainError> {
        Ok(db.block(height)?.map(|found| found.block.header.time).unwrap_or_default())
    };
    let young = match policy.age() {
        None => None,
        Some(age) => {
            let now = time(tip)?;
            let is_old = |height| Ok::<_, ChainError>(now.since(time(height)?) > age);
            Some(first_young(lowest, tip, is_old)?)
        }
    };
    let snapshot = shelf.lowest()?;
    let keep_blocks = Some(policy.keep_blocks).filter(|blocks| *blocks > 0);
    Ok(floor(&Needs { tip, lowest, keep_blocks, young, snapshot }))
}

/// What a prune takes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Up to where.
    pub floor: Floor,
    /// Blocks.
    pub blocks: u64,
    /// Their bytes on the disk with their results, as far as tables say.
    pub bytes: u64,
}

/// What a prune would take away now.
///
/// # Errors
/// [`PruneError::Chain`], [`PruneError::Snapshots`].
pub fn report(db: &Database, shelf: &Shelf, policy: &Policy) -> Result<Report, PruneError> {
    let floor = plan(db, shelf, policy)?;
    let lowest = db.first_height();
    let blocks = floor.height.0.saturating_sub(lowest.0);
    let bytes = if blocks > 0 { db.block_bytes(lowest..floor.height)? } else { 0 };
    Ok(Report { floor, blocks, bytes })
}

/// Takes away all blocks below `floor`, step by step, with a `rest` after each.
///
/// # Errors
/// [`PruneError::Stopped`] when `stop` was set meanwhile; [`PruneError::Chain`].
pub fn prune(
    db: &Database,
    floor: Height,
    stop: &AtomicBool,
    mut rest: impl FnMut(),
) -> Result<Pruned, PruneError> {
    let mut all = Pruned::default();
    while db.first_height() < floor {
        if stop.load(Ordering::Relaxed) {
            return Err(PruneError::Stopped);
        }
        let Pruned { blocks, bytes } = db.prune(floor)?;
        all = Pruned { blocks: all.blocks + blocks, bytes: all.bytes + bytes };
        rest();
    }
    Ok(all)
}
