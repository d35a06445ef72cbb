//! Who was alive in the last blocks, for the grid of `seats`.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use tandem_chain::Error;
use tandem_chain::keys::PublicKey;
use tandem_chain::modules::Call;
use tandem_chain::tip::Tip;
use tandem_chain::types::Height;

use crate::storage::Database;

/// Blocks that are remembered.
pub const MAX_BLOCKS: usize = 200;
/// How far above a change of the register a record is still about the register before it, and more: that of
/// a block names nodes by their places in the register of two blocks before.
const CHANGE_SHOWS_AFTER: u64 = 5;

/// The liveness records of the last blocks.
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

    /// Those in the database, of as many blocks as there are since the register has changed: of those before
    /// it is not kept which nodes their records are about.
    ///
    /// # Errors
    /// Those of the database.
    pub fn read(db: &Database, tip: &Tip) -> Result<Self, Error> {
        let mut blocks = VecDeque::new();
        let lowest = db.first_height().0.max(2);
        for height in (lowest..=tip.height.0).rev().take(MAX_BLOCKS) {
            let Some(certified) = db.block(Height(height))? else { break };
            let block = &certified.block;
            if block.txs.iter().any(|tx| matches!(tx.body().call, Call::Consortium(_))) {
                blocks.retain(|block: &AliveBlock| block.height.0 >= height + CHANGE_SHOWS_AFTER);
                break;
            }
            let alive = Arc::new(block.record.record.alive_nodes(&tip.register));
            blocks.push_front(AliveBlock { height: Height(height), alive: Some(alive) });
        }
        Ok(Self(Mutex::new(blocks)))
    }

    /// Adds a block that was committed.
    pub fn committed(&self, tip: &Tip) {
        let mut blocks = self.lock();
        // What was read from the database may have it already.
        if blocks.back().is_some_and(|last| last.height >= tip.height) {
            return;
        }
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
