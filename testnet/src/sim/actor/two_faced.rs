//! Shows one face to half of the others and a second one to the rest: two blocks in its turns, and
//! with each half the votes of one that believes in that half's block.

use std::collections::BTreeMap;
use std::sync::Arc;

use tandem_chain::block::Block;
use tandem_chain::types::{BlockId, Height, Timestamp};
use tandem_chain::vote::Vote;
use tandem_consensus::message::{Message, Proposal};

use super::{Actor, Scene};

/// Heights of which the second block is remembered.
const MAX_MEMORY: usize = 8;

#[derive(Default)]
pub(super) struct TwoFaced {
    /// By height: the first block, and the proposal of the second.
    second: BTreeMap<Height, (BlockId, Proposal)>,
}

impl TwoFaced {
    fn second_proposal(&mut self, scene: &Scene, first: &Proposal) -> Proposal {
        if let Some((_, second)) = self.second.get(&first.height)
            && second.round == first.round
        {
            return second.clone();
        }
        let mut block = Block::clone(&first.block);
        block.header.time = Timestamp(block.header.time.0 + 1);
        let mut second = Proposal {
            block_id: block.id(),
            valid_round: None,
            prevotes: Vec::new(),
            block: Arc::new(block),
            ..first.clone()
        };
        second.signature = scene.signer.sign(&second.sign_bytes(scene.chain_id));
        if self.second.len() >= MAX_MEMORY {
            self.second.pop_first();
        }
        self.second.insert(first.height, (first.block_id, second.clone()));
        second
    }

    fn second_vote(&self, scene: &Scene, vote: &Vote) -> Option<Vote> {
        let (first, second) = self.second.get(&vote.height)?;
        if vote.block != Some(*first) {
            return None;
        }
        let mut other = Vote { block: Some(second.block_id), ..vote.clone() };
        other.signature = scene.signer.sign(&other.sign_bytes(scene.chain_id));
        Some(other)
    }
}

impl Actor for TwoFaced {
    fn sends(&mut self, scene: &mut Scene, to: usize, message: &Message) -> Vec<Message> {
        let me = scene.signer.public();
        let same = || vec![message.clone()];
        if to.is_multiple_of(2) {
            if let Message::Proposal(proposal) = message
                && proposal.proposer == me
            {
                self.second_proposal(scene, proposal);
            }
            return same();
        }
        match message {
            Message::Proposal(proposal)
                if proposal.proposer == me
                    && proposal.block.header.proposer_address == me.address() =>
            {
                vec![Message::Proposal(Box::new(self.second_proposal(scene, proposal)))]
            }
            Message::Vote(vote) if vote.validator_address == me.address() => {
                match self.second_vote(scene, vote) {
                    Some(vote) => vec![Message::Vote(Box::new(vote))],
                    None => same(),
                }
            }
            _ => same(),
        }
    }
}
