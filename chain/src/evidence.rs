//! Evidence of double signing.

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::keys::{PublicKey, Verifier};
use crate::types::{ChainId, Height, Power, Timestamp};
use crate::vote::Vote;

/// Two votes of one key at one height, round and step for different blocks (nil included):
/// CometBFT's duplicate-vote evidence. Observations are left out of both votes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The vote whose block has the lower id (nil is lowest).
    pub vote_a: Vote,
    /// The other vote.
    pub vote_b: Vote,
    /// The voter's key.
    pub key: PublicKey,
    /// Power of the whole role table at the votes' height.
    pub total_power: Power,
    /// Power of the voter at that height.
    pub validator_power: Power,
    /// Time of the block of that height.
    pub timestamp: Timestamp,
}

impl Evidence {
    /// The height that it is about.
    #[must_use]
    pub fn height(&self) -> Height {
        self.vote_a.height
    }

    /// From two votes of one key, in either order; the observations are dropped.
    #[must_use]
    pub fn new(
        one: &Vote,
        other: &Vote,
        key: PublicKey,
        total_power: Power,
        validator_power: Power,
        timestamp: Timestamp,
    ) -> Self {
        let bare = |vote: &Vote| Vote { observation: None, ..vote.clone() };
        let (vote_a, vote_b) = if one.block <= other.block {
            (bare(one), bare(other))
        } else {
            (bare(other), bare(one))
        };
        Self { vote_a, vote_b, key, total_power, validator_power, timestamp }
    }

    /// Checks what needs no state: same height, round, step and key, different blocks, in order,
    /// both signed. Whether the key held a seat then, powers and time are the ledger's to check.
    ///
    /// # Errors
    /// [`Error::Evidence`], [`Error::BadSignature`].
    pub fn verify(&self, verifier: &dyn Verifier, chain_id: &ChainId) -> Result<(), Error> {
        let (a, b) = (&self.vote_a, &self.vote_b);
        if (a.height, a.round, a.kind) != (b.height, b.round, b.kind) {
            return Err(Error::Evidence { what: "votes of different heights, rounds or steps" });
        }
        if a.block >= b.block {
            return Err(Error::Evidence { what: "votes for one block, or in the wrong order" });
        }
        if a.validator_index != b.validator_index
            || a.observation.is_some()
            || b.observation.is_some()
        {
            return Err(Error::Evidence { what: "indexes differ, or an observation is there" });
        }
        for vote in [a, b] {
            if vote.validator_address != self.key.address()
                || !verifier.verifies(&self.key, &vote.sign_bytes(chain_id), &vote.signature)
            {
                return Err(Error::BadSignature { what: "evidence", key: self.key });
            }
        }
        Ok(())
    }
}
