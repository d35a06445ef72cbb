//! The lowest block that stays: a pure function of what must.

use std::fmt;

use tandem_chain::limits::{EVIDENCE_WINDOW, MAX_TX_VALIDITY};
use tandem_chain::types::Height;

/// Blocks before the newest that stay whatever a policy says: as many as evidence may be about, and a
/// transaction be repeated in.
pub const WINDOW: u64 =
    if EVIDENCE_WINDOW > MAX_TX_VALIDITY { EVIDENCE_WINDOW } else { MAX_TX_VALIDITY };

/// The fewest blocks that a policy may keep.
pub const LEAST_BLOCKS: u64 = WINDOW + 1;

/// What the floor follows from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// The newest block, which a restart reads.
    pub tip: Height,
    /// The lowest block that is there.
    pub lowest: Height,
    /// How many of the last blocks the policy keeps, if it counts them.
    pub keep_blocks: Option<u64>,
    /// The first block that is young enough for the policy to keep, if it goes by age.
    pub young: Option<Height>,
    /// The lowest snapshot that this node has or writes: who restores it needs what comes after.
    pub snapshot: Option<Height>,
}

/// The lowest block that stays, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Floor {
    /// Its height: never below the lowest block that is there.
    pub height: Height,
    /// What it stays for.
    pub bound: Bound,
}

/// What keeps a block from being taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// No policy lets any go.
    Archive,
    /// The policy's number of blocks.
    Blocks,
    /// The policy's age.
    Days,
    /// The window of evidence and repeated transactions.
    Window,
    /// The snapshot of this height.
    Snapshot(Height),
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Archive => f.write_str("the policy, which keeps all"),
            Self::Blocks => f.write_str("keep_blocks"),
            Self::Days => f.write_str("keep_days"),
            Self::Window => write!(f, "evidence and repeated transactions ({WINDOW} blocks)"),
            Self::Snapshot(height) => write!(f, "the snapshot of height {height}"),
        }
    }
}

/// The lowest block that stays. The more careful bound wins; of those that say the same, the policy's is
/// named.
#[must_use]
pub fn floor(needs: &Needs) -> Floor {
    let Needs { tip, lowest, keep_blocks, young, snapshot } = *needs;
    let by_number = keep_blocks.map(|blocks| (Bound::Blocks, tip.next().back(blocks)));
    let by_age = young.map(|height| (Bound::Days, height));
    if by_number.is_none() && by_age.is_none() {
        return Floor { height: lowest, bound: Bound::Archive };
    }
    let window = Some((Bound::Window, tip.back(WINDOW)));
    let snapshot = snapshot.map(|height| (Bound::Snapshot(height), height));
    let bounds = [by_number, by_age, window, snapshot].into_iter().flatten();
    let (bound, height) = bounds.min_by_key(|(_, height)| *height).expect("the window is one");
    Floor { height: height.max(lowest), bound }
}

/// The first height from `lowest` to `tip` that is not old, where all below an old one are: `tip` when
/// none else is.
///
/// # Errors
/// Those of `is_old`, which is asked for few heights.
pub fn first_young<E>(
    lowest: Height,
    tip: Height,
    mut is_old: impl FnMut(Height) -> Result<bool, E>,
) -> Result<Height, E> {
    let (mut from, mut to) = (lowest.0, tip.0);
    while from < to {
        let middle = from + (to - from) / 2;
        if is_old(Height(middle))? {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    Ok(Height(to))
}
