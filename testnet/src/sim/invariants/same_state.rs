//! 6. Same blocks, same state commitment and results, on every node.

use tandem_chain::types::Hash;

use super::{Commit, Verdict, broken};

const RULE: &str = "6 same state";

/// State commitments and results by height.
#[derive(Debug, Default)]
pub struct SameState {
    known: Vec<(Hash, Hash)>,
}

impl SameState {
    pub(super) fn committed(&mut self, commit: &Commit) -> Verdict {
        let height = commit.block.block.header.height;
        let got = (commit.tip.app_hash, commit.tip.results_hash);
        let index = usize::try_from(height.0 - 1).expect("heights of a history are few");
        match self.known.get(index) {
            None => self.known.push(got),
            Some(known) if *known == got => {}
            Some(_) => {
                let node = commit.node;
                return broken(RULE, format!("node {node} has another state after {height}"));
            }
        }
        Ok(())
    }
}
