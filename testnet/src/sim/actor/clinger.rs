//! Does not accept that its seat has moved: it goes on voting and proposing with the index that it
//! had, and puts its own precommits into certificates. To lose its seat it plays dead while it has it.

use tandem_chain::block::CertifiedBlock;
use tandem_chain::types::{Height, Round};
use tandem_consensus::message::{Message, Proposal};

use super::deed::Deed;
use super::{Actor, Scene, craft};

pub(super) struct Clinger {
    /// The index that it had last.
    index: Option<usize>,
    /// Whether it plays dead.
    mute: bool,
    /// Where it last voted all the same: once in a round is enough.
    last: Option<(Height, Round)>,
}

impl Clinger {
    pub fn new() -> Self {
        Self { index: None, mute: true, last: None }
    }

    fn usurps(index: usize, scene: &mut Scene, heard: &Proposal) {
        let votes = craft::votes_for(scene, scene.signer, index, heard);
        craft::cast(scene, Deed::Usurps, votes);
        let mut certificate = craft::certificate_in(&heard.block);
        craft::sign_certificate(scene, scene.signer, index, &mut certificate);
        if let Some(block) = craft::rebuilt(scene, scene.signer, &heard.block, &certificate) {
            let own = craft::proposal(scene, scene.signer, (heard.height, heard.round), block);
            scene.sends_all(Deed::Usurps, &Message::Proposal(Box::new(own)));
        }
    }
}

impl Actor for Clinger {
    fn sends(&mut self, _scene: &mut Scene, _to: usize, message: &Message) -> Vec<Message> {
        if self.mute { Vec::new() } else { vec![message.clone()] }
    }

    fn hears(&mut self, scene: &mut Scene, _from: usize, message: &Message) -> bool {
        let seat = scene.tip.next_table.by_key(&scene.key());
        if let Some((index, _)) = seat {
            self.index = Some(index);
            return true;
        }
        self.mute = false;
        if let (Message::Proposal(heard), Some(index)) = (message, self.index)
            && heard.height == scene.height()
            && self.last.replace((heard.height, heard.round)) != Some((heard.height, heard.round))
        {
            Self::usurps(index, scene, heard);
        }
        true
    }

    fn acts(&mut self, scene: &mut Scene) {
        self.mute = scene.tip.next_table.by_key(&scene.key()).is_some();
    }

    fn answers(
        &mut self,
        scene: &mut Scene,
        _first: Height,
        mut blocks: Vec<CertifiedBlock>,
    ) -> Option<Vec<CertifiedBlock>> {
        if let (Some(index), Some(last)) = (self.index, blocks.last_mut()) {
            let sound = last.certificate.clone();
            craft::sign_certificate(scene, scene.signer, index, &mut last.certificate);
            if last.certificate != sound {
                scene.did(Deed::SignsCertificate);
            }
        }
        Some(blocks)
    }
}
