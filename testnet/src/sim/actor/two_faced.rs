//! Shows one face to half of the others and a second one to the rest: two blocks in its turns, and
//! with each half the votes of one that believes in that half's block. Several of them act as one:
//! each knows the second block of another's turn.

use std::collections::BTreeMap;

use tandem_chain::types::{BlockId, Height, Timestamp};
use tandem_chain::vote::Vote;
use tandem_consensus::message::{Message, Proposal};

use super::deed::Deed;
use super::{Actor, Scene, craft};

/// Heights of which the second block is remembered.
const MAX_MEMORY: usize = 8;

#[derive(Default)]
pub(super) struct TwoFaced {
    /// By height: the first block, and the proposal of the second.
    second: BTreeMap<Height, (BlockId, Proposal)>,
}

/// A fresh proposal by any of the Byzantine.
fn of_liar<'m>(scene: &Scene, message: &'m Message) -> Option<&'m Proposal> {
    let Message::Proposal(proposal) = message else { return None };
    let is_fresh = proposal.valid_round.is_none();
    let author = proposal.block.header.proposer_address;
    let is_liars = scene.signer_of(&proposal.proposer).is_some();
    (is_fresh && is_liars && proposal.proposer.address() == author).then_some(proposal)
}

impl TwoFaced {
    /// The second block of a turn: the first at another time. The same for all who make it.
    fn second_proposal(&mut self, scene: &Scene, first: &Proposal) -> Proposal {
        if let Some((_, second)) = self.second.get(&first.height)
            && second.round == first.round
        {
            return second.clone();
        }
        let mut block = first.block.as_ref().clone();
        block.header.time = Timestamp(block.header.time.0 + 1);
        let signer = scene.signer_of(&first.proposer).unwrap_or(scene.signer);
        let second = craft::proposal(scene, signer, (first.height, first.round), block);
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
        let other = Vote { block: Some(second.block_id), ..vote.clone() };
        Some(craft::sign_vote(scene, scene.signer, other))
    }

    /// Others of its kind are shown the first face, and so are half of the rest.
    fn sees_second(scene: &Scene, to: usize) -> bool {
        scene.signer_of(&scene.peers[to].key).is_none() && !to.is_multiple_of(2)
    }
}

impl Actor for TwoFaced {
    fn sends(&mut self, scene: &mut Scene, to: usize, message: &Message) -> Vec<Message> {
        let second = of_liar(scene, message).map(|first| self.second_proposal(scene, first));
        if !Self::sees_second(scene, to) {
            return vec![message.clone()];
        }
        let other = match (second, message) {
            (Some(second), _) => Some((Deed::ShowsSecond, Message::Proposal(Box::new(second)))),
            (None, Message::Vote(vote)) if scene.is_own(vote) => {
                let second = self.second_vote(scene, vote);
                second.map(|vote| (Deed::VotesForSecond, Message::Vote(Box::new(vote))))
            }
            _ => None,
        };
        let Some((deed, other)) = other else { return vec![message.clone()] };
        scene.did(deed);
        vec![other]
    }

    fn hears(&mut self, scene: &mut Scene, _from: usize, message: &Message) -> bool {
        if let Some(first) = of_liar(scene, message) {
            self.second_proposal(scene, first);
        }
        true
    }
}
