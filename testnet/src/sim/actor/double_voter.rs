//! Votes for two things: the block to some, nil to the others.

use std::collections::BTreeMap;

use tandem_chain::types::{BlockId, Height, Round};
use tandem_chain::vote::{Vote, VoteKind};
use tandem_consensus::message::Message;

use super::{Actor, Scene};

/// Second votes that are remembered at most.
const MAX_MEMORY: usize = 256;

#[derive(Default)]
pub(super) struct DoubleVoter {
    second: BTreeMap<(Height, Round, VoteKind), Vote>,
    /// The last block that was proposed, to vote for where a correct node votes nil.
    block: Option<(Height, BlockId)>,
}

impl DoubleVoter {
    fn second(&mut self, scene: &mut Scene, vote: &Vote) -> Option<Vote> {
        let key = (vote.height, vote.round, vote.kind);
        if let Some(second) = self.second.get(&key) {
            return Some(second.clone());
        }
        let block = match (vote.kind, vote.block) {
            (_, Some(_)) => None,
            (VoteKind::Prevote, None) => {
                let (_, id) = self.block.filter(|(height, _)| *height == vote.height)?;
                Some(id)
            }
            (VoteKind::Precommit, None) => return None,
        };
        let mut second = Vote { block, observation: None, ..vote.clone() };
        second.signature = scene.signer.sign(&second.sign_bytes(scene.chain_id));
        if self.second.len() >= MAX_MEMORY {
            self.second.pop_first();
        }
        self.second.insert(key, second.clone());
        Some(second)
    }
}

impl Actor for DoubleVoter {
    fn sends(&mut self, scene: &mut Scene, _to: usize, message: &Message) -> Vec<Message> {
        let Message::Vote(vote) = message else { return vec![message.clone()] };
        if !scene.is_own(vote) {
            return vec![message.clone()];
        }
        let second = self.second(scene, vote).map(|vote| Message::Vote(Box::new(vote)));
        match scene.random.below(4) {
            0 => second.into_iter().collect(),
            1 => std::iter::once(message.clone()).chain(second).collect(),
            _ => vec![message.clone()],
        }
    }

    fn hears(&mut self, _scene: &mut Scene, _from: usize, message: &Message) -> bool {
        if let Message::Proposal(proposal) = message {
            self.block = Some((proposal.height, proposal.block_id));
        }
        true
    }
}
