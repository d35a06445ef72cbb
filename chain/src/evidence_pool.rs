//! Double signings that a node has seen and that wait to be put into a block.

use std::collections::BTreeMap;

use crate::error::Error;
use crate::evidence::Evidence;
use crate::keys::PublicKey;
use crate::ledger::Ledger;
use crate::limits::{MAX_ACCUSED, MAX_BLOCK_EVIDENCE};
use crate::store::Store;
use crate::vote::Vote;

/// Double signings, one of each key: a second one of a key would change nothing, and a block with
/// both would be invalid.
#[derive(Clone, Debug, Default)]
pub struct EvidencePool(BTreeMap<PublicKey, (Vote, Vote)>);

impl EvidencePool {
    /// Remembers two votes of a key that contradict each other. Those of a key that is known, and
    /// of one more than [`MAX_ACCUSED`] keys, are dropped: their key will sign twice again, or was
    /// caught.
    pub fn add(&mut self, key: PublicKey, one: Vote, other: Vote) {
        if self.0.len() < MAX_ACCUSED {
            self.0.entry(key).or_insert((one, other));
        }
    }

    /// Complete evidence for the block after the ledger's tip, at most [`MAX_BLOCK_EVIDENCE`]. What
    /// is of a height that is not in the chain yet goes on waiting; what can be none any more,
    /// because its key is barred or its height is too old, is dropped.
    ///
    /// # Errors
    /// [`Error::Storage`], [`Error::Damaged`].
    pub fn for_block<S: Store>(&mut self, ledger: &Ledger<S>) -> Result<Vec<Evidence>, Error> {
        let mut complete = Vec::new();
        let mut hopeless = Vec::new();
        for (key, (one, other)) in &self.0 {
            if one.height > ledger.tip().height {
                continue;
            }
            match ledger.evidence(one, other, *key)? {
                Some(evidence) => complete.push(evidence),
                None => hopeless.push(*key),
            }
        }
        for key in hopeless {
            self.0.remove(&key);
        }
        complete.truncate(MAX_BLOCK_EVIDENCE);
        Ok(complete)
    }
}
