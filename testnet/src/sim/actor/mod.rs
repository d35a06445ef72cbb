//! Byzantine validators: production replicas whose messages are changed on their way out or in.

mod deaf;
mod double_proposer;
mod double_voter;
mod forger;
mod liar;
mod noise;
mod silent;
mod two_faced;
mod withholder;

use std::sync::Arc;

use tandem_chain::block::CertifiedBlock;
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

    /// Changes an answer to one who asks for blocks.
    fn answers(&mut self, _scene: &mut Scene, _blocks: &mut Vec<CertifiedBlock>) {}

    /// Changes the bytes of a message.
    fn garbles(&mut self, _scene: &mut Scene, _bytes: &mut Vec<u8>) {}
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
    /// Shows half of the others one block and its votes for it, the rest another.
    TwoFaced,
    /// Sends garbage, old messages and false claims.
    Noise,
    /// Answers fetches with forged blocks.
    Forger,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::DoubleProposer,
        Self::DoubleVoter,
        Self::Liar,
        Self::Silent,
        Self::Withholder,
        Self::Deaf,
        Self::TwoFaced,
        Self::Noise,
        Self::Forger,
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
            Self::TwoFaced => Box::new(two_faced::TwoFaced::default()),
            Self::Noise => Box::new(noise::Noise::default()),
            Self::Forger => Box::new(forger::Forger),
        }
    }
}
