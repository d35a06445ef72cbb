//! A block put in the place of each fresh one that the node proposes, with votes for it in the place
//! of those for the other.

use tandem_chain::types::BlockId;
use tandem_chain::vote::Vote;
use tandem_consensus::message::{Message, Proposal};

use super::deed::Deed;
use super::{Scene, craft};

/// The last such block.
#[derive(Default)]
pub(super) struct Doctored {
    /// What the replica proposed, and what is said instead, if anything.
    last: Option<(Proposal, Option<(Deed, Proposal)>)>,
}

impl Doctored {
    /// What is sent in the place of a message; `doctor` makes another proposal from a fresh one.
    pub fn sends(
        &mut self,
        scene: &mut Scene,
        message: &Message,
        doctor: impl FnOnce(&mut Scene, &Proposal) -> Option<(Deed, Proposal)>,
    ) -> Message {
        if let Some(fresh) = craft::own_fresh(scene, message) {
            if self.last.as_ref().is_none_or(|(known, _)| known != fresh) {
                self.last = Some((fresh.clone(), doctor(scene, fresh)));
            }
            let doctored = self.last.as_ref().and_then(|(_, doctored)| doctored.clone());
            let Some((deed, doctored)) = doctored else { return message.clone() };
            scene.did(deed);
            return Message::Proposal(Box::new(doctored));
        }
        if let Message::Vote(vote) = message
            && scene.is_own(vote)
            && let Some(block) = vote.block.and_then(|block| self.instead_of(block))
        {
            let vote = Vote { block: Some(block), ..vote.as_ref().clone() };
            return Message::Vote(Box::new(craft::sign_vote(scene, scene.signer, vote)));
        }
        message.clone()
    }

    fn instead_of(&self, block: BlockId) -> Option<BlockId> {
        let (known, doctored) = self.last.as_ref()?;
        doctored.as_ref().filter(|_| known.block_id == block).map(|(_, doctored)| doctored.block_id)
    }
}
