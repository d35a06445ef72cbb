//! Answers those who are behind with certificates that claim all the power, with signatures that are
//! its own, another block's, or nobody's; and with true certificates in which a part is false.

use std::sync::Arc;

use tandem_chain::block::{CertifiedBlock, CommitSig};
use tandem_chain::keys::Signature;
use tandem_chain::types::{Height, Timestamp};

use super::{Actor, Scene, craft};

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

impl Actor for Counterfeiter {
    fn answers(
        &mut self,
        scene: &mut Scene,
        _first: Height,
        mut blocks: Vec<CertifiedBlock>,
    ) -> Option<Vec<CertifiedBlock>> {
        if blocks.is_empty() {
            return Some(blocks);
        }
        let at = if scene.random.chance(500) { 0 } else { scene.random.index(blocks.len()) };
        let certified = &mut blocks[at];
        match scene.random.below(8) {
            0 | 1 => {
                alter(certified);
                claim_all(scene, certified);
            }
            2 => alter(certified),
            3 => certified.certificate.commit.signatures.iter_mut().for_each(spoil),
            4 => {
                let round = &mut certified.certificate.commit.round;
                *round = round.next();
            }
            5 => {
                let observations = certified.certificate.observations.iter_mut().flatten();
                for observation in observations {
                    observation.seen = observation.seen.iter().map(|bit| !bit).collect();
                }
            }
            6 => {
                // The header's hash of evidence does not cover the key that it is about.
                let key = scene.peers[scene.random.index(scene.peers.len())].key;
                let block = Arc::make_mut(&mut certified.block);
                block.evidence.iter_mut().for_each(|evidence| evidence.key = key);
            }
            _ => {
                let block = Arc::make_mut(&mut certified.block);
                block.last_commit.signatures.iter_mut().for_each(spoil);
            }
        }
        Some(blocks)
    }
}
