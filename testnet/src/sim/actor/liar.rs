//! Lies in its observations.

use tandem_chain::comet;
use tandem_chain::liveness::{Bits, Observation};
use tandem_chain::vote::Vote;
use tandem_consensus::message::Message;

use super::{Actor, Scene};
use crate::sim::random::Random;

#[derive(Clone, Copy)]
enum Lie {
    AllAlive,
    AllDead,
    Random,
    Opposite,
}

pub(super) struct Liar {
    lie: Lie,
    /// The last vote that was changed, before and after: all peers are told the same.
    last: Option<(Vote, Vote)>,
}

impl Liar {
    pub fn new(random: &mut Random) -> Self {
        let lies = [Lie::AllAlive, Lie::AllDead, Lie::Random, Lie::Opposite];
        Self { lie: random.pick(&lies), last: None }
    }

    fn changed(&self, scene: &mut Scene, vote: &Vote) -> Vote {
        let Some(observation) = &vote.observation else { return vote.clone() };
        let seen: Bits = observation
            .seen
            .iter()
            .map(|bit| match self.lie {
                Lie::AllAlive => true,
                Lie::AllDead => false,
                Lie::Random => scene.random.chance(500),
                Lie::Opposite => !bit,
            })
            .collect();
        let extension = seen.to_extension();
        let bytes =
            comet::extension_sign_bytes(scene.chain_id, vote.height, vote.round, &extension);
        let signature = scene.signer.sign(&bytes);
        Vote { observation: Some(Observation { seen, signature }), ..vote.clone() }
    }
}

impl Actor for Liar {
    fn sends(&mut self, scene: &mut Scene, _to: usize, message: &Message) -> Vec<Message> {
        let Message::Vote(vote) = message else { return vec![message.clone()] };
        if vote.observation.is_none() || vote.validator_address != scene.signer.public().address() {
            return vec![message.clone()];
        }
        if self.last.as_ref().is_none_or(|(before, _)| before != vote.as_ref()) {
            let after = self.changed(scene, vote);
            self.last = Some((vote.as_ref().clone(), after));
        }
        self.last.iter().map(|(_, after)| Message::Vote(Box::new(after.clone()))).collect()
    }
}
