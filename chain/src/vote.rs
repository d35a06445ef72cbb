//! Votes.

use serde::{Deserialize, Serialize};

use crate::comet;
use crate::error::Error;
use crate::keys::{PublicKey, Signature, Verifier};
use crate::liveness::Observation;
use crate::types::{Address, BlockId, ChainId, Height, Round, Timestamp};

/// The step of a vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum VoteKind {
    /// First vote of a round.
    Prevote,
    /// Second vote of a round.
    Precommit,
}

/// A vote by the holder of a seat. `None` as the block is a vote for nil.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// Prevote or precommit.
    pub kind: VoteKind,
    /// Height voted on.
    pub height: Height,
    /// Round of that height.
    pub round: Round,
    /// The block, or nil.
    pub block: Option<BlockId>,
    /// The voter's clock.
    pub timestamp: Timestamp,
    /// Index in the role table's validators ([`crate::roles::RoleTable::validators`]).
    pub validator_index: u16,
    /// Address of the entry at that index.
    pub validator_address: Address,
    /// Over [`Vote::sign_bytes`].
    pub signature: Signature,
    /// With a non-nil precommit, and only with one: what the voter observed.
    pub observation: Option<Observation>,
}

impl Vote {
    /// CometBFT's sign bytes.
    #[must_use]
    pub fn sign_bytes(&self, chain_id: &ChainId) -> Vec<u8> {
        comet::vote_sign_bytes(
            chain_id,
            self.kind,
            self.height,
            self.round,
            self.block,
            self.timestamp,
        )
    }

    /// Checks both signatures against the voter's key, that the address is the key's, and that an
    /// observation is there exactly with a non-nil precommit. Whether the key holds a seat is
    /// another question.
    ///
    /// # Errors
    /// [`Error::BadSignature`], [`Error::Certificate`].
    pub fn verify(
        &self,
        verifier: &dyn Verifier,
        chain_id: &ChainId,
        key: &PublicKey,
    ) -> Result<(), Error> {
        if key.address() != self.validator_address {
            return Err(Error::BadSignature { what: "vote", key: *key });
        }
        let wants = self.kind == VoteKind::Precommit && self.block.is_some();
        if wants != self.observation.is_some() {
            return Err(Error::Certificate {
                what: "an observation belongs to each non-nil precommit and to nothing else",
            });
        }
        if !verifier.verifies(key, &self.sign_bytes(chain_id), &self.signature) {
            return Err(Error::BadSignature { what: "vote", key: *key });
        }
        match &self.observation {
            Some(observation) => {
                verify_observation(verifier, chain_id, self.height, self.round, observation, key)
            }
            None => Ok(()),
        }
    }
}

/// Checks an observation's signature.
///
/// # Errors
/// [`Error::BadSignature`].
pub fn verify_observation(
    verifier: &dyn Verifier,
    chain_id: &ChainId,
    height: Height,
    round: Round,
    observation: &Observation,
    key: &PublicKey,
) -> Result<(), Error> {
    let extension = observation.seen.to_extension();
    let message = comet::extension_sign_bytes(chain_id, height, round, &extension);
    if verifier.verifies(key, &message, &observation.signature) {
        Ok(())
    } else {
        Err(Error::BadSignature { what: "observation", key: *key })
    }
}
