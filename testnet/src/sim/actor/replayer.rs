//! Sends what it ever heard or said again, to anyone; and what is of heights and rounds to come.

use tandem_chain::limits::MAX_ROUND;
use tandem_chain::types::{Height, Round};
use tandem_chain::vote::{Vote, VoteKind};
use tandem_consensus::message::{FollowBody, Message};

use super::{Actor, Scene, craft};

/// Messages that it keeps.
const MAX_MEMORY: usize = 256;

#[derive(Default)]
pub(super) struct Replayer {
    memory: Vec<Message>,
}

impl Replayer {
    fn keep(&mut self, scene: &mut Scene, message: &Message) {
        if self.memory.len() < MAX_MEMORY {
            self.memory.push(message.clone());
        } else if scene.random.chance(20) {
            // What stays is of any age.
            let place = scene.random.index(MAX_MEMORY);
            self.memory[place] = message.clone();
        }
    }

    /// A vote of its own for a height or round to come, or past.
    fn untimely_vote(scene: &mut Scene) -> Vote {
        let now = scene.height();
        let (height, round) = match scene.random.below(4) {
            // A double signing only where it is for another block than the one that it made then.
            0 => (now.back(scene.random.below(20)), Round(MAX_ROUND)),
            1 => (now, Round(scene.random.pick(&[1, 2, 100, MAX_ROUND, MAX_ROUND + 1, u32::MAX]))),
            2 => (Height(now.0 + scene.random.pick(&[1, 2, 3, 1_000])), Round::ZERO),
            _ => (Height(u64::MAX - scene.random.below(2)), Round::ZERO),
        };
        let kind = scene.random.pick(&[VoteKind::Prevote, VoteKind::Precommit]);
        let index = scene.tip.next_table.by_key(&scene.key()).map_or(0, |(index, _)| index);
        let block = scene.tip.block.filter(|_| scene.random.chance(500));
        craft::vote(scene, scene.signer, index, (height, round, kind), block)
    }

    fn early_follow(scene: &mut Scene) -> Option<Message> {
        let ahead = scene.random.pick(&[1, 2, 3, 1_000]);
        let height = if ahead == 3 { Height(u64::MAX) } else { scene.tip.height.plus(ahead) };
        let (node, app_hash) = (scene.key(), scene.tip.app_hash);
        let body = FollowBody { node, height, block: scene.tip.block?, app_hash };
        let follow = body.sign(scene.chain_id, scene.signer.as_ref());
        Some(Message::Follow(Box::new(follow)))
    }

    /// Something that it heard proposed, for the height after.
    fn early_proposal(&self, scene: &mut Scene) -> Option<Message> {
        let mut proposals = self.memory.iter().rev().filter_map(|message| match message {
            Message::Proposal(proposal) => Some(proposal),
            _ => None,
        });
        let mut block = proposals.next()?.block.as_ref().clone();
        block.header.height = scene.height().plus(scene.random.below(4));
        block.header.proposer_address = scene.key().address();
        let at = (block.header.height, Round(scene.random.pick(&[0, 1, 7, MAX_ROUND])));
        let proposal = craft::proposal(scene, scene.signer, at, block);
        Some(Message::Proposal(Box::new(proposal)))
    }
}

impl Actor for Replayer {
    fn sends(&mut self, scene: &mut Scene, _to: usize, message: &Message) -> Vec<Message> {
        self.keep(scene, message);
        vec![message.clone()]
    }

    fn hears(&mut self, scene: &mut Scene, _from: usize, message: &Message) -> bool {
        self.keep(scene, message);
        true
    }

    fn acts(&mut self, scene: &mut Scene) {
        for _ in 0..4 {
            if !self.memory.is_empty() {
                let old = self.memory[scene.random.index(self.memory.len())].clone();
                scene.sends_someone(old);
            }
        }
        let new = match scene.random.below(4) {
            0 => Some(Message::Vote(Box::new(Self::untimely_vote(scene)))),
            1 => Self::early_follow(scene),
            2 => self.early_proposal(scene),
            _ => Some(Message::LostQuery),
        };
        if let Some(new) = new {
            scene.sends_all(&new);
        }
    }
}
