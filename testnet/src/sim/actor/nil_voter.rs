//! Votes nil, always; but says that it follows, and keeps its seat: what its replica signed for blocks,
//! which would show that it signs twice, goes to nobody.

use tandem_chain::block::{Certificate, CertifiedBlock};
use tandem_chain::types::{Height, Power};
use tandem_chain::vote::Vote;
use tandem_consensus::message::{Message, Proposal};

use super::deed::Deed;
use super::{Actor, Scene, craft};

#[derive(Default)]
pub(super) struct NilVoter {
    /// What its replica proposed last, and the same without its own precommit, if that can be.
    last: Option<(Proposal, Option<Proposal>)>,
}

/// Takes its own precommit out of a certificate.
fn disown(scene: &Scene, certificate: &mut Certificate) {
    let me = scene.key().address();
    let Certificate { commit, observations } = certificate;
    for (sig, observation) in commit.signatures.iter_mut().zip(observations) {
        if sig.as_ref().is_some_and(|sig| sig.address == me) {
            (*sig, *observation) = (None, None);
        }
    }
}

/// A fresh proposal of its own without its own precommit; none when the others' are not enough.
fn disowned(scene: &Scene, fresh: &Proposal) -> Option<Proposal> {
    let mut certificate = craft::certificate_in(&fresh.block);
    let sound = certificate.commit.clone();
    disown(scene, &mut certificate);
    if certificate.commit == sound {
        return Some(fresh.clone());
    }
    let table = &scene.tip.table;
    let signers = certificate.commit.signatures.iter().zip(table.validators());
    let power = signers.filter(|(sig, _)| sig.is_some()).map(|(_, v)| v.power.0).sum();
    let block = craft::rebuilt(scene, scene.signer, &fresh.block, &certificate);
    let at = (fresh.height, fresh.round);
    let block = block.filter(|_| table.is_quorum(Power(power)))?;
    Some(craft::proposal(scene, scene.signer, at, block))
}

impl Actor for NilVoter {
    fn sends(&mut self, scene: &mut Scene, _to: usize, message: &Message) -> Vec<Message> {
        if let Some(fresh) = craft::own_fresh(scene, message) {
            if self.last.as_ref().is_none_or(|(known, _)| known != fresh) {
                self.last = Some((fresh.clone(), disowned(scene, fresh)));
            }
            let own = self.last.as_ref().and_then(|(_, own)| own.clone());
            return own.map(|own| Message::Proposal(Box::new(own))).into_iter().collect();
        }
        match message {
            Message::Vote(vote) if scene.is_own(vote) && vote.block.is_some() => {
                scene.did(Deed::VotesNil);
                let nil = Vote { block: None, observation: None, ..vote.as_ref().clone() };
                vec![Message::Vote(Box::new(craft::sign_vote(scene, scene.signer, nil)))]
            }
            Message::Proposal(again) => {
                let mut again = again.clone();
                again.prevotes.retain(|vote| !scene.is_own(vote));
                vec![Message::Proposal(again)]
            }
            other => vec![other.clone()],
        }
    }

    fn answers(
        &mut self,
        scene: &mut Scene,
        _first: Height,
        mut blocks: Vec<CertifiedBlock>,
    ) -> Option<Vec<CertifiedBlock>> {
        blocks.iter_mut().for_each(|block| disown(scene, &mut block.certificate));
        Some(blocks)
    }

    // A vote for nil shows nothing, and its replica, which voted for a block, owes no follow message.
    fn acts(&mut self, scene: &mut Scene) {
        craft::follow(scene);
        craft::keeps_seat(scene, Deed::KeepsSeatByNil);
    }
}
