//! Frames a victim: leaves its precommit, and as many others as it can, out of the certificates in
//! its blocks, and calls it dead.

use tandem_chain::block::Certificate;
use tandem_chain::liveness::Bits;
use tandem_chain::types::Power;
use tandem_chain::vote::Vote;
use tandem_consensus::message::{Message, Proposal};

use super::deed::Deed;
use super::doctored::Doctored;
use super::{Actor, Scene, craft};
use crate::sim::random::Random;

pub(super) struct Framer {
    /// Counts up to the victim among the nodes of other organisations.
    choice: usize,
    doctored: Doctored,
}

impl Framer {
    pub fn new(random: &mut Random) -> Self {
        Self { choice: random.index(64), doctored: Doctored::default() }
    }

    /// The victim, as an organisation: both nodes of its pair.
    fn victim(&self, scene: &Scene) -> usize {
        let me = scene.peers[scene.me].org;
        let orgs = 1 + scene.peers.iter().map(|peer| peer.org).max().unwrap_or(0);
        (me + 1 + self.choice % (orgs - 1).max(1)) % orgs
    }

    /// The least that is still a certificate, without the victim if possible.
    fn thin(&self, scene: &Scene, certificate: &mut Certificate) {
        let victim = self.victim(scene);
        let is_victim = |key| scene.peers.iter().any(|peer| peer.org == victim && peer.key == key);
        let table = &scene.tip.table;
        let mut order: Vec<usize> = (0..table.validators().len()).collect();
        order.sort_by_key(|index| !is_victim(table.validators()[*index].key));
        for index in order {
            let signers = certificate.commit.signatures.iter().zip(table.validators()).enumerate();
            let others = signers.filter(|(i, (sig, _))| *i != index && sig.is_some());
            let left = others.map(|(_, (_, validator))| validator.power.0).sum();
            if table.is_quorum(Power(left)) {
                certificate.commit.signatures[index] = None;
                certificate.observations[index] = None;
            }
        }
    }

    fn thinned(&self, scene: &Scene, fresh: &Proposal) -> Option<(Deed, Proposal)> {
        let mut certificate = craft::certificate_in(&fresh.block);
        if certificate.commit.signatures.len() != scene.tip.table.validators().len() {
            return None;
        }
        self.thin(scene, &mut certificate);
        if certificate.commit == fresh.block.last_commit {
            return None;
        }
        let block = craft::rebuilt(scene, scene.signer, &fresh.block, &certificate)?;
        let at = (fresh.height, fresh.round);
        Some((Deed::Thins, craft::proposal(scene, scene.signer, at, block)))
    }

    fn accusing(&self, scene: &mut Scene, vote: &Vote) -> Vote {
        let Some(honest) = &vote.observation else { return vote.clone() };
        let victim = self.victim(scene);
        let is_victim = |key| scene.peers.iter().any(|p| p.org == victim && p.key == key);
        let nodes = scene.tip.register.nodes.keys().zip(honest.seen.iter());
        let seen: Bits = nodes.map(|(key, seen)| seen && !is_victim(*key)).collect();
        if seen != honest.seen {
            scene.did(Deed::Accuses);
        }
        let observation = craft::observation(scene, scene.signer, vote.height, vote.round, seen);
        Vote { observation: Some(observation), ..vote.clone() }
    }
}

impl Actor for Framer {
    fn sends(&mut self, scene: &mut Scene, _to: usize, message: &Message) -> Vec<Message> {
        let mut doctored = std::mem::take(&mut self.doctored);
        let instead = doctored.sends(scene, message, |scene, fresh| self.thinned(scene, fresh));
        self.doctored = doctored;
        match instead {
            Message::Vote(vote) if scene.is_own(&vote) && vote.height == scene.height() => {
                vec![Message::Vote(Box::new(self.accusing(scene, &vote)))]
            }
            other => vec![other],
        }
    }
}
