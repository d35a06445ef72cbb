//! Who was alive in the last blocks, for the grid of `seats`.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use tandem_chain::keys::PublicKey;
use tandem_chain::tip::Tip;
use tandem_chain::types::Height;

/// Blocks that are remembered.
pub const MAX_BLOCKS: usize = 200;

/// The liveness records of the last blocks that this process has committed. It starts empty.
#[derive(Debug, Default)]
pub struct AliveBlocks(Mutex<VecDeque<AliveBlock>>);

/// What one block's record says.
#[derive(Clone, Debug)]
pub struct AliveBlock {
    /// The block.
    pub height: Height,
    /// The nodes that its record calls alive; none where there is no record.
    pub alive: Option<Arc<BTreeSet<PublicKey>>>,
}

impl AliveBlocks {
    fn lock(&self) -> MutexGuard<'_, VecDeque<AliveBlock>> {
        self.0.lock().expect("no holder of the lock panics")
    }

    /// Adds a block that was committed.
    pub fn committed(&self, tip: &Tip) {
        let mut blocks = self.lock();
        if blocks.len() >= MAX_BLOCKS {
            blocks.pop_front();
        }
        blocks.push_back(AliveBlock { height: tip.height, alive: tip.alive.clone() });
    }

    /// The nodes that the record of this block calls alive; none where that is not remembered.
    #[must_use]
    pub fn at(&self, height: Height) -> Option<Arc<BTreeSet<PublicKey>>> {
        self.lock().iter().rev().find(|block| block.height == height)?.alive.clone()
    }

    /// The last `count` blocks, or as many as there are; the newest at the end.
    #[must_use]
    pub fn last(&self, count: usize) -> Vec<AliveBlock> {
        let blocks = self.lock();
        blocks.iter().skip(blocks.len().saturating_sub(count)).cloned().collect()
    }
}
