//! Proposes two blocks in one round: one to some, the other to the rest.

use tandem_chain::block::Block;
use tandem_chain::types::Timestamp;
use tandem_consensus::message::{Message, Proposal};

use super::deed::Deed;
use super::{Actor, Scene, craft};

#[derive(Default)]
pub(super) struct DoubleProposer {
    /// The last proposal and its double.
    last: Option<(Proposal, Proposal)>,
}

fn double(scene: &Scene, fresh: &Proposal) -> Proposal {
    let mut block = Block::clone(&fresh.block);
    block.header.time = Timestamp(block.header.time.0 + 1);
    craft::proposal(scene, scene.signer, (fresh.height, fresh.round), block)
}

impl Actor for DoubleProposer {
    fn sends(&mut self, scene: &mut Scene, to: usize, message: &Message) -> Vec<Message> {
        let Some(fresh) = craft::own_fresh(scene, message) else { return vec![message.clone()] };
        if self.last.as_ref().is_none_or(|(first, _)| first != fresh) {
            self.last = Some((fresh.clone(), double(scene, fresh)));
        }
        let second = self.last.iter().map(|(_, second)| second.clone());
        let second = second.map(|second| Message::Proposal(Box::new(second)));
        let both = scene.random.chance(100);
        if !both && to.is_multiple_of(2) {
            return vec![message.clone()];
        }
        scene.did(Deed::ProposesTwo);
        both.then(|| message.clone()).into_iter().chain(second).collect()
    }
}
