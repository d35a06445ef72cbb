//! Votes nil, always; but says that it follows, and keeps its seat.

use tandem_chain::vote::Vote;
use tandem_consensus::message::Message;

use super::{Actor, Scene, craft};

pub(super) struct NilVoter;

impl Actor for NilVoter {
    fn sends(&mut self, scene: &mut Scene, _to: usize, message: &Message) -> Vec<Message> {
        match message {
            Message::Vote(vote) if scene.is_own(vote) && vote.block.is_some() => {
                let nil = Vote { block: None, observation: None, ..vote.as_ref().clone() };
                vec![Message::Vote(Box::new(craft::sign_vote(scene, scene.signer, nil)))]
            }
            other => vec![other.clone()],
        }
    }

    // A vote for nil shows nothing, and its replica, which voted for a block, owes no follow message.
    fn acts(&mut self, scene: &mut Scene) {
        craft::follow(scene);
    }
}
