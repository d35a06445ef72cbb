//! Votes for two things: the block to some, nil or another block to the others. Some do so at the last
//! height at which they hold a seat alone, so that they are found out when they hold none.

use std::collections::BTreeMap;

use tandem_chain::block::Header;
use tandem_chain::types::{BlockId, Height, Round, Timestamp};
use tandem_chain::vote::{Vote, VoteKind};
use tandem_consensus::message::Message;

use super::deed::Deed;
use super::{Actor, Scene, craft};
use crate::sim::random::Random;

/// Second votes that are remembered at most.
const MAX_MEMORY: usize = 256;

pub(super) struct DoubleVoter {
    /// Whether it waits for its last height with a seat.
    is_patient: bool,
    second: BTreeMap<(Height, Round, VoteKind), (Deed, Vote)>,
    /// The header that was proposed last.
    header: Option<Header>,
}

impl DoubleVoter {
    pub fn new(random: &mut Random) -> Self {
        Self { is_patient: random.chance(300), second: BTreeMap::new(), header: None }
    }

    fn waits(&self, scene: &Scene) -> bool {
        self.is_patient && scene.tip.next_next_table.by_key(&scene.key()).is_some()
    }

    /// The block that was proposed at a height, and another one.
    fn blocks(&self, height: Height) -> Option<[BlockId; 2]> {
        let header = self.header.as_ref().filter(|header| header.height == height)?;
        let other = Header { time: Timestamp(header.time.0 + 1), ..header.clone() };
        Some([header.id(), other.id()])
    }

    fn second(&mut self, scene: &mut Scene, vote: &Vote) -> Option<(Deed, Vote)> {
        let place = (vote.height, vote.round, vote.kind);
        if let Some(second) = self.second.get(&place) {
            return Some(second.clone());
        }
        let blocks = self.blocks(vote.height);
        let (deed, block) = match (vote.block, blocks) {
            (Some(_), Some([_, other])) if scene.random.chance(500) => {
                (Deed::VotesTwo, Some(other))
            }
            (Some(_), _) => (Deed::VotesNilToo, None),
            (None, blocks) => (Deed::VotesBlockToo, Some(blocks?[0])),
        };
        let index = usize::from(vote.validator_index);
        let at = (vote.height, vote.round, vote.kind);
        let second = (deed, craft::vote(scene, scene.signer, index, at, block));
        if self.second.len() >= MAX_MEMORY {
            self.second.pop_first();
        }
        self.second.insert(place, second.clone());
        Some(second)
    }
}

impl Actor for DoubleVoter {
    fn sends(&mut self, scene: &mut Scene, _to: usize, message: &Message) -> Vec<Message> {
        let Message::Vote(vote) = message else { return vec![message.clone()] };
        let said = scene.random.below(4);
        if !scene.is_own(vote) || said > 1 || self.waits(scene) {
            return vec![message.clone()];
        }
        let Some((deed, second)) = self.second(scene, vote) else { return vec![message.clone()] };
        scene.did(deed);
        let second = Message::Vote(Box::new(second));
        if said == 0 { vec![second] } else { vec![message.clone(), second] }
    }

    fn hears(&mut self, _scene: &mut Scene, _from: usize, message: &Message) -> bool {
        if let Message::Proposal(proposal) = message {
            self.header = Some(proposal.block.header.clone());
        }
        true
    }
}
