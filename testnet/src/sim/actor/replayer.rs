//! Sends what it ever heard or said again, to anyone; and what is of heights and rounds to come, or
//! at another's index.

use tandem_chain::limits::MAX_ROUND;
use tandem_chain::types::{Height, Round};
use tandem_chain::vote::{Vote, VoteKind};
use tandem_consensus::message::{FollowBody, Message, Proposal};

use super::deed::Deed;
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

    /// The newest proposal that it keeps.
    fn proposal(&self) -> Option<&Proposal> {
        self.memory.iter().rev().find_map(|message| match message {
            Message::Proposal(proposal) => Some(proposal.as_ref()),
            _ => None,
        })
    }

    /// A vote of its own for a height or round to come, or past.
    fn untimely_vote(scene: &mut Scene) -> Vote {
        let now = scene.height();
        let (height, round) = match scene.random.below(4) {
            // Two of these of one height and kind, for different blocks, are a double signing.
            0 => (now.back(scene.random.below(20)), Round(MAX_ROUND)),
            1 => (now, Round(scene.random.pick(&[1, 2, 100, MAX_ROUND, MAX_ROUND + 1, u32::MAX]))),
            2 => (Height(now.0 + scene.random.pick(&[1, 2, 3, 1_000])), Round::ZERO),
            _ => (Height(u64::MAX - scene.random.below(2)), Round::ZERO),
        };
        let index = scene.tip.next_table.by_key(&scene.key()).map_or(0, |(index, _)| index);
        Self::vote(scene, index, (height, round))
    }

    /// A vote at any index but its own.
    fn misplaced_vote(scene: &mut Scene) -> Vote {
        let own = scene.tip.next_table.by_key(&scene.key()).map(|(index, _)| index);
        let indexes = scene.random.pick(&[1 + scene.tip.next_table.validators().len(), 70_000]);
        let index = Some(scene.random.index(indexes)).filter(|index| Some(*index) != own);
        let at = (scene.height(), Round(u32::from(scene.random.chance(500))));
        Self::vote(scene, index.unwrap_or(usize::MAX), at)
    }

    fn vote(scene: &mut Scene, index: usize, (height, round): (Height, Round)) -> Vote {
        let kind = scene.random.pick(&[VoteKind::Prevote, VoteKind::Precommit]);
        let block = scene.tip.block.filter(|_| scene.random.chance(500));
        craft::vote(scene, scene.signer, index, (height, round, kind), block)
    }

    fn early_follow(scene: &mut Scene) -> Option<Message> {
        let ahead = scene.random.pick(&[1, 2, 1_000, u64::MAX]);
        let height = Height(scene.tip.height.0.saturating_add(ahead));
        let (node, app_hash) = (scene.key(), scene.tip.app_hash);
        let body = FollowBody { node, height, block: scene.tip.block?, app_hash };
        let follow = body.sign(scene.chain_id, scene.signer.as_ref());
        Some(Message::Follow(Box::new(follow)))
    }

    /// Something that it heard proposed, for this height or one after.
    fn early_proposal(&self, scene: &mut Scene) -> Option<Message> {
        let mut block = self.proposal()?.block.as_ref().clone();
        block.header.height = scene.height().plus(scene.random.below(4));
        block.header.proposer_address = scene.key().address();
        let at = (block.header.height, Round(scene.random.pick(&[0, 1, 7, MAX_ROUND])));
        let proposal = craft::proposal(scene, scene.signer, at, block);
        Some(Message::Proposal(Box::new(proposal)))
    }

    /// The same in its own name, a round later.
    fn next_round(&self, scene: &Scene) -> Option<Message> {
        let heard = self.proposal()?;
        let own = Proposal { round: heard.round.next(), proposer: scene.key(), ..heard.clone() };
        let own = craft::sign_proposal(scene, scene.signer, own);
        Some(Message::Proposal(Box::new(own)))
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
                scene.sends_someone(Deed::Replays, old);
            }
        }
        let vote = |vote| Some(Message::Vote(Box::new(vote)));
        let (deed, new) = match scene.random.below(6) {
            0 => (Deed::VotesElsewhere, vote(Self::untimely_vote(scene))),
            1 => (Deed::VotesAtAnyIndex, vote(Self::misplaced_vote(scene))),
            2 => (Deed::FollowsAhead, Self::early_follow(scene)),
            3 => (Deed::ProposesAhead, self.early_proposal(scene)),
            4 => (Deed::ProposesNext, self.next_round(scene)),
            // That its key is not lost does not keep it from asking.
            _ => return scene.sends_all(None, &Message::LostQuery),
        };
        if let Some(new) = new {
            scene.sends_all(deed, &new);
        }
    }
}
