//! Proposes two blocks in one round: one to some, the other to the rest.

use std::sync::Arc;

use tandem_chain::block::Block;
use tandem_chain::types::Timestamp;
use tandem_consensus::message::{Message, Proposal};

use super::{Actor, Scene};

#[derive(Default)]
pub(super) struct DoubleProposer {
    /// The last proposal and its double.
    last: Option<(Proposal, Proposal)>,
}

fn double(scene: &Scene, proposal: &Proposal) -> Proposal {
    let mut block = Block::clone(&proposal.block);
    block.header.time = Timestamp(block.header.time.0 + 1);
    let mut double = Proposal {
        block_id: block.id(),
        valid_round: None,
        prevotes: Vec::new(),
        block: Arc::new(block),
        ..proposal.clone()
    };
    double.signature = scene.signer.sign(&double.sign_bytes(scene.chain_id));
    double
}

impl Actor for DoubleProposer {
    fn sends(&mut self, scene: &mut Scene, to: usize, message: &Message) -> Vec<Message> {
        let Message::Proposal(proposal) = message else { return vec![message.clone()] };
        let me = scene.signer.public();
        let is_own =
            proposal.proposer == me && proposal.block.header.proposer_address == me.address();
        if !is_own {
            return vec![message.clone()];
        }
        if self.last.as_ref().is_none_or(|(first, _)| first != proposal.as_ref()) {
            let second = double(scene, proposal);
            self.last = Some((proposal.as_ref().clone(), second));
        }
        let second =
            self.last.iter().map(|(_, second)| Message::Proposal(Box::new(second.clone())));
        match (to % 2, scene.random.chance(100)) {
            (_, true) => std::iter::once(message.clone()).chain(second).collect(),
            (0, _) => vec![message.clone()],
            _ => second.collect(),
        }
    }
}
