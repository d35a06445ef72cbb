//! 10. No transaction with a receipt is lost (the one chain never changes, by invariant 1); none is
//!     executed twice; one that is sent again until it has a receipt gets one (asked for at the end).

use std::collections::BTreeMap;

use tandem_chain::block::Block;
use tandem_chain::types::{Height, TxHash};

use super::{Verdict, broken};

const RULE: &str = "10 exactly once";

/// All transactions of the one chain.
#[derive(Debug, Default)]
pub struct ExactlyOnce {
    committed: BTreeMap<TxHash, Height>,
}

impl ExactlyOnce {
    /// The one chain has a new block.
    pub(super) fn committed(&mut self, block: &Block) -> Verdict {
        let height = block.header.height;
        for tx in &block.txs {
            if tx.body().valid_until < height {
                return broken(RULE, format!("{} is executed at {height}, expired", tx.hash()));
            }
            if let Some(first) = self.committed.insert(tx.hash(), height) {
                let hash = tx.hash();
                return broken(RULE, format!("{hash} is executed at {first} and at {height}"));
            }
        }
        Ok(())
    }

    pub(super) fn has_receipt(&self, hash: &TxHash) -> bool {
        self.committed.contains_key(hash)
    }

    /// Transactions in the one chain.
    #[must_use]
    pub fn count(&self) -> usize {
        self.committed.len()
    }

    /// At the end: what clients kept sending has a receipt.
    ///
    /// # Errors
    /// When one has none.
    pub fn at_end<'a>(&self, wanted: impl Iterator<Item = &'a TxHash>) -> Verdict {
        for hash in wanted {
            if !self.has_receipt(hash) {
                return broken(
                    RULE,
                    format!("{hash} was sent again and again, and has no receipt"),
                );
            }
        }
        Ok(())
    }
}
