//! 2. One chain: commits are gap-free, in order, once each, each on the one before; and what a node
//!    finds on its disk after a crash is a first part of what it had committed, or one block more: that
//!    which it was writing.

use tandem_chain::types::{BlockId, Height};

use super::{Commit, Verdict, broken};

const RULE: &str = "2 one chain";

/// The chain of each node by itself.
#[derive(Debug)]
pub struct OneChain {
    nodes: Vec<Own>,
}

/// What a node has ever committed, and how much of it it has now: a disk can be restored to an older
/// copy, and then to one that is newer than that.
#[derive(Clone, Debug, Default)]
struct Own {
    ids: Vec<BlockId>,
    height: usize,
}

impl OneChain {
    pub(super) fn new(nodes: usize) -> Self {
        Self { nodes: vec![Own::default(); nodes] }
    }

    /// A process starts from what its disk kept.
    pub(super) fn started(&mut self, node: usize, height: Height, id: Option<BlockId>) -> Verdict {
        let own = &mut self.nodes[node];
        let found = usize::try_from(height.0).expect("heights of a history are few");
        if own.height + 1 == found && own.ids.len() < found {
            own.ids.extend(id);
        }
        let known = found.checked_sub(1).map(|last| own.ids.get(last).copied());
        own.height = found;
        if known != id.map(Some) {
            return broken(
                RULE,
                format!("node {node} finds {id:?} at {height}, not its own block"),
            );
        }
        Ok(())
    }

    pub(super) fn committed(&mut self, commit: &Commit) -> Verdict {
        let node = commit.node;
        let Own { ids, height } = &mut self.nodes[node];
        let last = height.checked_sub(1).map(|last| ids[last]);
        let header = &commit.block.block.header;
        if ids.get(*height) != Some(&commit.id) {
            ids.truncate(*height);
            ids.push(commit.id);
        }
        *height += 1;
        if header.height.0 != *height as u64 {
            let got = header.height;
            return broken(RULE, format!("node {node} commits height {got} as block {height}"));
        }
        if header.last_block_id != last {
            return broken(RULE, format!("node {node} commits {got} on another", got = commit.id));
        }
        Ok(())
    }
}
