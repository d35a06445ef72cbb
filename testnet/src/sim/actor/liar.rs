//! Lies in its observations.

use tandem_chain::liveness::Bits;
use tandem_chain::vote::Vote;
use tandem_consensus::message::Message;

use super::deed::Deed;
use super::{Actor, Scene, craft};
use crate::sim::random::Random;

#[derive(Clone, Copy)]
enum Lie {
    AllAlive,
    AllDead,
    Random,
    Opposite,
    /// Its own organisation's nodes are alive, and nobody else.
    OwnAlone,
}

pub(super) struct Liar {
    lie: Lie,
    /// The last vote that was changed, before and after: all peers are told the same.
    last: Option<(Vote, Vote)>,
}

impl Liar {
    pub fn new(random: &mut Random) -> Self {
        let lies = [Lie::AllAlive, Lie::AllDead, Lie::Random, Lie::Opposite, Lie::OwnAlone];
        Self { lie: random.pick(&lies), last: None }
    }

    fn changed(&self, scene: &mut Scene, vote: &Vote) -> Vote {
        let Some(observation) = &vote.observation else { return vote.clone() };
        let org = scene.peers[scene.me].org;
        let ours = |key| scene.peers.iter().any(|peer| peer.org == org && peer.key == key);
        let nodes = scene.tip.register.nodes.keys().map(|key| ours(*key));
        let seen: Bits = nodes
            .zip(observation.seen.iter())
            .map(|(is_ours, bit)| match self.lie {
                Lie::AllAlive => true,
                Lie::AllDead => false,
                Lie::Random => scene.random.chance(500),
                Lie::Opposite => !bit,
                Lie::OwnAlone => is_ours,
            })
            .collect();
        let lie = craft::observation(scene, scene.signer, vote.height, vote.round, seen);
        Vote { observation: Some(lie), ..vote.clone() }
    }
}

impl Actor for Liar {
    fn sends(&mut self, scene: &mut Scene, _to: usize, message: &Message) -> Vec<Message> {
        let Message::Vote(vote) = message else { return vec![message.clone()] };
        if vote.observation.is_none() || !scene.is_own(vote) {
            return vec![message.clone()];
        }
        if self.last.as_ref().is_none_or(|(before, _)| before != vote.as_ref()) {
            let after = self.changed(scene, vote);
            self.last = Some((vote.as_ref().clone(), after));
        }
        if self.last.as_ref().is_some_and(|(before, after)| before != after) {
            scene.did(Deed::Lies);
        }
        self.last.iter().map(|(_, after)| Message::Vote(Box::new(after.clone()))).collect()
    }
}
