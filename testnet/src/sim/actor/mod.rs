//! Byzantine validators: production replicas whose messages are changed on their way out or in.

mod deaf;
mod double_proposer;
mod double_voter;
mod liar;
mod silent;
mod withholder;

use std::sync::Arc;

use tandem_chain::keys::Signer;
use tandem_chain::types::ChainId;
use tandem_consensus::message::Message;

use super::random::Random;

/// What an actor works with.
pub struct Scene<'a> {
    /// Chance.
    pub random: &'a mut Random,
    /// Its node's signer, without the guard.
    pub signer: &'a Arc<dyn Signer>,
    /// The chain.
    pub chain_id: &'a ChainId,
    /// Number of nodes.
    pub nodes: usize,
}

/// A Byzantine validator.
pub trait Actor {
    /// What it sends to node `to` in the place of a message that a correct node would send.
    fn sends(&mut self, scene: &mut Scene, to: usize, message: &Message) -> Vec<Message>;

    /// Whether it takes notice of a message from node `from`.
    fn hears(&mut self, _scene: &mut Scene, _from: usize, _message: &Message) -> bool {
        true
    }
}

/// The actors there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Proposes two blocks.
    DoubleProposer,
    /// Votes for two things.
    DoubleVoter,
    /// Lies in its observations.
    Liar,
    /// Sends no votes and no proposals.
    Silent,
    /// Sends its messages to some only.
    Withholder,
    /// Leaves precommits that it dislikes out of its certificates.
    Deaf,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::DoubleProposer,
        Self::DoubleVoter,
        Self::Liar,
        Self::Silent,
        Self::Withholder,
        Self::Deaf,
    ];

    /// An actor of this kind.
    #[must_use]
    pub fn actor(self, random: &mut Random) -> Box<dyn Actor> {
        match self {
            Self::DoubleProposer => Box::new(double_proposer::DoubleProposer::default()),
            Self::DoubleVoter => Box::new(double_voter::DoubleVoter::default()),
            Self::Liar => Box::new(liar::Liar::new(random)),
            Self::Silent => Box::new(silent::Silent),
            Self::Withholder => Box::new(withholder::Withholder),
            Self::Deaf => Box::new(deaf::Deaf::new(random)),
        }
    }
}
