//! Signs for the holder of its organisation's seat with its own key: votes at the holder's index,
//! in its own name and in the holder's; follow messages for a holder that may be dead; proposals.

use tandem_chain::types::{Height, Round};
use tandem_chain::vote::Vote;
use tandem_consensus::message::{FollowBody, Message, Proposal};

use super::deed::Deed;
use super::{Actor, Scene, craft};

#[derive(Default)]
pub(super) struct Impostor {
    /// Where it last stood in for the holder: once in a round is enough.
    last: Option<(Height, Round)>,
}

impl Impostor {
    fn votes(scene: &mut Scene, heard: &Proposal) {
        let Some((index, holder)) = scene.partner() else { return };
        let address = holder.address;
        let votes = craft::votes_for(scene, scene.signer, index, heard);
        let in_its_name = votes.clone().map(|vote| Vote { validator_address: address, ..vote });
        let choice = if scene.random.chance(500) { votes } else { in_its_name };
        craft::cast(scene, Deed::VotesForHolder, choice);
    }

    fn proposes(scene: &mut Scene, heard: &Proposal) {
        let Some((_, holder)) = scene.partner() else { return };
        let holder = holder.key;
        let certificate = craft::certificate_in(&heard.block);
        let Some(mut block) = craft::rebuilt(scene, scene.signer, &heard.block, &certificate)
        else {
            return;
        };
        let in_its_name = scene.random.chance(500);
        if in_its_name {
            block.header.proposer_address = holder.address();
        }
        let mut own = craft::proposal(scene, scene.signer, (heard.height, heard.round), block);
        if in_its_name {
            own.proposer = holder;
        }
        scene.sends_all(Deed::ProposesForHolder, &Message::Proposal(Box::new(own)));
    }

    fn follows(scene: &mut Scene) {
        let Some((_, holder)) = scene.partner() else { return };
        let Some(block) = scene.tip.block else { return };
        let (node, height) = (holder.key, scene.tip.height);
        let body = FollowBody { node, height, block, app_hash: scene.tip.app_hash };
        let follow = body.sign(scene.chain_id, scene.signer.as_ref());
        scene.sends_all(Deed::FollowsForHolder, &Message::Follow(Box::new(follow)));
    }
}

impl Actor for Impostor {
    fn hears(&mut self, scene: &mut Scene, _from: usize, message: &Message) -> bool {
        if let Message::Proposal(heard) = message
            && heard.height == scene.height()
            && self.last.replace((heard.height, heard.round)) != Some((heard.height, heard.round))
        {
            Self::votes(scene, heard);
            Self::proposes(scene, heard);
        }
        true
    }

    fn acts(&mut self, scene: &mut Scene) {
        Self::follows(scene);
    }
}
