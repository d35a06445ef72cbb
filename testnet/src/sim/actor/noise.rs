//! Sends bytes with errors in them, old messages again, votes at indexes that are not its own, and
//! claims to heights that do not exist.

use std::collections::VecDeque;

use tandem_chain::vote::Vote;
use tandem_consensus::message::{FollowBody, Message};

use super::{Actor, Scene};

/// Messages that it keeps to send again.
const MAX_MEMORY: usize = 64;

#[derive(Default)]
pub(super) struct Noise {
    old: VecDeque<Message>,
}

impl Noise {
    fn more(&mut self, scene: &mut Scene, message: &Message) -> Option<Message> {
        let kind = scene.random.below(12);
        match (kind, message) {
            (0, _) if !self.old.is_empty() => {
                let index = scene.random.index(self.old.len());
                Some(self.old[index].clone())
            }
            (1, Message::Vote(vote)) => {
                let mut vote = Vote { round: vote.round.plus(1), ..vote.as_ref().clone() };
                vote.validator_index = u16::try_from(scene.random.below(70_000) / 2).unwrap_or(7);
                vote.signature = scene.signer.sign(&vote.sign_bytes(scene.chain_id));
                Some(Message::Vote(Box::new(vote)))
            }
            (2, _) => {
                let far = scene.random.pick(&[1, 50, 1 << 40]);
                let committed = message.claims()?.plus(far);
                Some(Message::Status { committed })
            }
            (3, Message::Follow(follow)) => {
                let body = FollowBody { height: follow.body.height.next(), ..follow.body.clone() };
                let follow = body.sign(scene.chain_id, scene.signer.as_ref());
                Some(Message::Follow(Box::new(follow)))
            }
            (4, Message::Proposal(proposal)) => {
                let mut late = proposal.clone();
                late.round = late.round.plus(1);
                late.signature = scene.signer.sign(&late.sign_bytes(scene.chain_id));
                Some(Message::Proposal(late))
            }
            (5, _) => Some(Message::LostQuery),
            (6, _) => Some(Message::LostAnswer { committed: message.claims()?.plus(1 << 30) }),
            _ => None,
        }
    }
}

impl Actor for Noise {
    fn sends(&mut self, scene: &mut Scene, _to: usize, message: &Message) -> Vec<Message> {
        if scene.random.chance(200) {
            self.old.push_back(message.clone());
            if self.old.len() > MAX_MEMORY {
                self.old.pop_front();
            }
        }
        let more = self.more(scene, message);
        std::iter::once(message.clone()).chain(more).collect()
    }

    fn garbles(&mut self, scene: &mut Scene, bytes: &mut Vec<u8>) {
        if scene.random.chance(950) {
            return;
        }
        match scene.random.below(3) {
            0 => bytes.truncate(scene.random.index(bytes.len())),
            1 => bytes.push(0),
            _ => {
                let at = scene.random.index(bytes.len());
                bytes[at] ^= 1 << scene.random.below(8);
            }
        }
    }
}
