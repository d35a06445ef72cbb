//! 1. Agreement: no two nodes commit different blocks at one height.

use tandem_chain::types::{BlockId, Height};

use super::{Commit, Verdict, Violation, broken};

const RULE: &str = "1 agreement";

/// The one chain.
#[derive(Debug, Default)]
pub struct Agreement {
    ids: Vec<BlockId>,
}

impl Agreement {
    /// The height of the one chain.
    #[must_use]
    pub fn height(&self) -> Height {
        Height(self.ids.len() as u64)
    }

    /// The block of the one chain at a height.
    pub(super) fn id(&self, height: Height) -> Option<BlockId> {
        let index = usize::try_from(height.0.checked_sub(1)?).ok()?;
        self.ids.get(index).copied()
    }

    /// A node finds a block on its disk.
    pub(super) fn stored(&self, node: usize, height: Height, id: Option<BlockId>) -> Verdict {
        if self.id(height) == id {
            Ok(())
        } else {
            broken(RULE, format!("node {node} finds {id:?} at height {height} on its disk"))
        }
    }

    /// A node commits a block; whether it is the first to do so.
    pub(super) fn committed(&mut self, commit: &Commit) -> Result<bool, Violation> {
        let (height, node, id) = (commit.block.block.header.height, commit.node, commit.id);
        match self.id(height) {
            Some(known) if known == id => Ok(false),
            Some(known) => {
                let what = format!("node {node} commits {id} at height {height}, others {known}");
                Err(Violation { rule: RULE, what })
            }
            None => {
                self.ids.push(id);
                if self.height() == height {
                    return Ok(true);
                }
                let what = format!("node {node} commits height {height} beyond the chain's end");
                Err(Violation { rule: RULE, what })
            }
        }
    }
}
