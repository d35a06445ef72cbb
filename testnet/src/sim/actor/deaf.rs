//! Leaves the precommits of some validators out of its certificates, as if they had never come.

use std::collections::BTreeSet;

use tandem_chain::vote::VoteKind;
use tandem_consensus::message::Message;

use super::deed::Deed;
use super::{Actor, Scene};
use crate::sim::random::Random;

pub(super) struct Deaf {
    share: u64,
    disliked: Option<BTreeSet<usize>>,
}

impl Deaf {
    pub fn new(random: &mut Random) -> Self {
        Self { share: random.pick(&[200, 300, 500]), disliked: None }
    }
}

impl Actor for Deaf {
    fn hears(&mut self, scene: &mut Scene, from: usize, message: &Message) -> bool {
        let share = self.share;
        let nodes = 0..scene.peers.len();
        let random = &mut *scene.random;
        let disliked =
            self.disliked.get_or_insert_with(|| nodes.filter(|_| random.chance(share)).collect());
        let is_precommit =
            matches!(message, Message::Vote(vote) if vote.kind == VoteKind::Precommit);
        let is_ignored = is_precommit && disliked.contains(&from);
        if is_ignored {
            scene.did(Deed::Ignores);
        }
        !is_ignored
    }
}
