//! 2. One chain: commits are gap-free, in order, once each, each on the one before.

use tandem_chain::types::{BlockId, Height};

use super::{Commit, Verdict, broken};

const RULE: &str = "2 one chain";

/// Where each node stands.
#[derive(Debug)]
pub struct OneChain {
    nodes: Vec<(Height, Option<BlockId>)>,
}

impl OneChain {
    pub(super) fn new(nodes: usize) -> Self {
        Self { nodes: vec![(Height::ZERO, None); nodes] }
    }

    /// A process starts from what its disk kept.
    pub(super) fn started(&mut self, node: usize, height: Height) {
        self.nodes[node] = (height, None);
    }

    pub(super) fn committed(&mut self, commit: &Commit) -> Verdict {
        let (height, last) = self.nodes[commit.node];
        let header = &commit.block.block.header;
        self.nodes[commit.node] = (header.height, Some(commit.id));
        let node = commit.node;
        if header.height.0 != height.0 + 1 {
            let got = header.height;
            return broken(RULE, format!("node {node} commits height {got} after {height}"));
        }
        if last.is_some() && header.last_block_id != last {
            return broken(RULE, format!("node {node} commits {got} on another", got = commit.id));
        }
        Ok(())
    }
}
