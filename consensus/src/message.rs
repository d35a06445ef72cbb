//! What replicas send to each other.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tandem_chain::block::Block;
use tandem_chain::codec;
use tandem_chain::comet;
use tandem_chain::keys::{Domain, PublicKey, Signature, Signer};
use tandem_chain::types::{BlockId, ChainId, Hash, Height, Round};
use tandem_chain::vote::Vote;

use crate::limits::MAX_PREVOTES;

/// A proposal of a block for a round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// Height of the block.
    pub height: Height,
    /// Round it is proposed in.
    pub round: Round,
    /// The round at which the block got more than 2/3 of the prevotes; none for a fresh one.
    pub valid_round: Option<Round>,
    /// The block's id.
    pub block_id: BlockId,
    /// The proposer of this round (that of the block itself is named in its header).
    pub proposer: PublicKey,
    /// Over CometBFT's sign bytes of a proposal, with the block's time.
    pub signature: Signature,
    /// The block.
    pub block: Arc<Block>,
    /// With a valid round: the prevotes of that round for the block. Empty for a fresh one.
    #[serde(deserialize_with = "codec::list::<MAX_PREVOTES, _, _>")]
    pub prevotes: Vec<Vote>,
}

impl Proposal {
    /// CometBFT's sign bytes.
    #[must_use]
    pub fn sign_bytes(&self, chain_id: &ChainId) -> Vec<u8> {
        comet::proposal_sign_bytes(
            chain_id,
            self.height,
            self.round,
            self.valid_round,
            self.block_id,
            self.block.header.time,
        )
    }
}

/// "I have committed this block and have this state": shows that a node follows the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Follow {
    /// What is signed.
    pub body: FollowBody,
    /// The node's signature, in [`Domain::Follow`].
    pub signature: Signature,
}

/// The signed part of a [`Follow`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FollowBody {
    /// The node.
    pub node: PublicKey,
    /// The height it has committed.
    pub height: Height,
    /// Its block at that height.
    pub block: BlockId,
    /// Its state commitment after that block.
    pub app_hash: Hash,
}

impl FollowBody {
    /// Signs it with the node's key.
    #[must_use]
    pub fn sign(self, chain_id: &ChainId, signer: &dyn Signer) -> Follow {
        let signature = signer.sign(&Domain::Follow.sign_bytes(chain_id, &self));
        Follow { body: self, signature }
    }
}

/// A message between replicas. Sent over connections whose other end has proved its node key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// A proposal, by its proposer or sent on by whoever has it.
    Proposal(Box<Proposal>),
    /// A vote.
    Vote(Box<Vote>),
    /// A follow message.
    Follow(Box<Follow>),
    /// "I have committed this height": a claim that others may ask the sender to make good.
    Status {
        /// The height.
        committed: Height,
    },
    /// A node whose key is lost asks how far its peers' chains go.
    LostQuery,
    /// The answer.
    LostAnswer {
        /// The highest height that the sender has committed.
        committed: Height,
    },
}

impl Message {
    /// The height that the sender must have committed to have sent this, as far as it claims one.
    #[must_use]
    pub fn claims(&self) -> Option<Height> {
        match self {
            Self::Proposal(proposal) => Some(proposal.height.back(1)),
            Self::Vote(vote) => Some(vote.height.back(1)),
            Self::Follow(follow) => Some(follow.body.height),
            Self::Status { committed } => Some(*committed),
            Self::LostQuery | Self::LostAnswer { .. } => None,
        }
    }
}
