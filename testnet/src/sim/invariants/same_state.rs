//! 6. Same blocks, same state commitment and results, on every node: when it commits, and when it
//!    starts from what its disk kept.

use tandem_chain::tip::Tip;
use tandem_chain::types::Hash;

use super::{Verdict, broken};

const RULE: &str = "6 same state";

/// State commitments and results by height, from genesis.
#[derive(Debug, Default)]
pub struct SameState {
    known: Vec<(Hash, Hash)>,
}

impl SameState {
    /// The state commitment after a block of the one chain.
    pub(super) fn commitment(&self, height: u64) -> Option<Hash> {
        let index = usize::try_from(height).ok()?;
        self.known.get(index).map(|(commitment, _)| *commitment)
    }

    /// A node has this state, after a block of the one chain. The first that has it sets what the
    /// others must have.
    pub(super) fn has(&mut self, node: usize, tip: &Tip) -> Verdict {
        let (height, got) = (tip.height, (tip.app_hash, tip.results_hash));
        let index = usize::try_from(height.0).expect("heights of a history are few");
        match self.known.get(index) {
            None => self.known.push(got),
            Some(known) if *known == got => {}
            Some(_) => {
                return broken(RULE, format!("node {node} has another state after {height}"));
            }
        }
        Ok(())
    }
}
