//! Answers those who are behind with certificates that claim all the power, with signatures that are
//! its own, another block's, or nobody's; with true certificates and blocks in which a part is false;
//! and with blocks in another order. It signs twice once, so that there is evidence to falsify.

use std::sync::Arc;

use tandem_chain::block::{CertifiedBlock, CommitSig};
use tandem_chain::comet;
use tandem_chain::keys::Signature;
use tandem_chain::types::{Height, Timestamp};
use tandem_chain::vote::Vote;
use tandem_consensus::message::Message;

use super::deed::Deed;
use super::{Actor, Scene, craft};

/// Of a thousand votes to a peer, so many have a second one with them.
const SIGNS_TWICE: u64 = 4;

pub(super) struct Counterfeiter;

/// The address of every seat of the newest table stands in the certificate: with the signature that
/// a liar can make where the seat is a liar's, and one that it cannot make elsewhere.
fn claim_all(scene: &mut Scene, certified: &mut CertifiedBlock) {
    let table = &scene.tip.table;
    let holders: Vec<_> = table.validators().iter().map(|v| (v.key, v.address)).collect();
    let certificate = &mut certified.certificate;
    certificate.commit.signatures.resize(holders.len(), None);
    certificate.observations.resize(holders.len(), None);
    for (index, (key, address)) in holders.into_iter().enumerate() {
        let signer = scene.signer_of(&key).unwrap_or(scene.signer);
        craft::sign_certificate(scene, signer, index, certificate);
        if let Some(sig) = &mut certificate.commit.signatures[index] {
            sig.address = address;
        }
    }
}

/// A block that nobody proposed.
fn alter(certified: &mut CertifiedBlock) {
    let header = &mut Arc::make_mut(&mut certified.block).header;
    header.time = Timestamp(header.time.0 + 1);
    certified.certificate.commit.block = Some(header.id());
}

fn spoil(sig: &mut Option<CommitSig>) {
    if let Some(sig) = sig {
        sig.signature = Signature([0x55; Signature::LEN]);
    }
}

/// One of the blocks, or what certifies it, is another.
fn falsify(scene: &mut Scene, certified: &mut CertifiedBlock) -> Deed {
    let CertifiedBlock { block, certificate } = certified;
    if !block.evidence.is_empty() && scene.random.chance(500) {
        // The header's hash of evidence does not cover the key that it is about.
        let key = scene.peers[scene.random.index(scene.peers.len())].key;
        let evidence = &mut Arc::make_mut(block).evidence;
        evidence.iter_mut().for_each(|evidence| evidence.key = key);
        return Deed::OtherAccused;
    }
    match scene.random.below(10) {
        0 | 1 => {
            alter(certified);
            claim_all(scene, certified);
            Deed::ClaimsAll
        }
        2 => {
            alter(certified);
            Deed::AltersBlock
        }
        3 => {
            certificate.commit.signatures.iter_mut().for_each(spoil);
            Deed::SpoilsSignatures
        }
        4 => {
            certificate.commit.round = certificate.commit.round.next();
            Deed::OtherRound
        }
        5 => {
            for observation in certificate.observations.iter_mut().flatten() {
                observation.seen = observation.seen.iter().map(|bit| !bit).collect();
            }
            Deed::FlipsBits
        }
        6 => {
            Arc::make_mut(block).last_commit.signatures.iter_mut().for_each(spoil);
            Deed::SpoilsParent
        }
        7 => {
            certificate.commit.signatures.reverse();
            Deed::ReversesSignatures
        }
        8 => {
            certificate.observations.iter_mut().for_each(|observation| *observation = None);
            Deed::DropsObservations
        }
        _ => {
            let block = Arc::make_mut(block);
            block.txs.clear();
            block.header.data_hash = comet::data_hash(&block.record, &[]);
            Deed::DropsTxs
        }
    }
}

impl Actor for Counterfeiter {
    fn sends(&mut self, scene: &mut Scene, _to: usize, message: &Message) -> Vec<Message> {
        if let Message::Vote(vote) = message
            && scene.is_own(vote)
            && vote.block.is_some()
            && scene.random.chance(SIGNS_TWICE)
        {
            let nil = Vote { block: None, observation: None, ..vote.as_ref().clone() };
            let nil = craft::sign_vote(scene, scene.signer, nil);
            return vec![message.clone(), Message::Vote(Box::new(nil))];
        }
        vec![message.clone()]
    }

    // It is asked by those who think that it has more than others.
    fn acts(&mut self, scene: &mut Scene) {
        let committed = scene.tip.height.next();
        scene.sends_all(None, &Message::Status { committed });
    }

    fn answers(
        &mut self,
        scene: &mut Scene,
        _first: Height,
        mut blocks: Vec<CertifiedBlock>,
    ) -> Option<Vec<CertifiedBlock>> {
        if blocks.is_empty() {
            return Some(blocks);
        }
        let sound = blocks.clone();
        let deed = if scene.random.chance(80) {
            blocks.reverse();
            Deed::Reverses
        } else {
            let accused = blocks.iter().position(|block| !block.block.evidence.is_empty());
            let any = if scene.random.chance(500) { 0 } else { scene.random.index(blocks.len()) };
            let at = accused.unwrap_or(any);
            falsify(scene, &mut blocks[at])
        };
        if blocks != sound {
            scene.did(deed);
        }
        Some(blocks)
    }
}
