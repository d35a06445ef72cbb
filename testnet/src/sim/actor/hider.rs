//! Withholds the blocks that are proposed from some, who see its votes for them.

use std::collections::BTreeSet;

use tandem_consensus::message::Message;

use super::deed::Deed;
use super::{Actor, Scene};
use crate::sim::random::Random;

pub(super) struct Hider {
    share: u64,
    avoided: Option<BTreeSet<usize>>,
}

impl Hider {
    pub fn new(random: &mut Random) -> Self {
        Self { share: random.pick(&[300, 500, 800]), avoided: None }
    }
}

impl Actor for Hider {
    fn sends(&mut self, scene: &mut Scene, to: usize, message: &Message) -> Vec<Message> {
        let (share, nodes) = (self.share, 0..scene.peers.len());
        let random = &mut *scene.random;
        let avoided =
            self.avoided.get_or_insert_with(|| nodes.filter(|_| random.chance(share)).collect());
        let is_hidden = matches!(message, Message::Proposal(_)) && avoided.contains(&to);
        if is_hidden {
            scene.did(Deed::HidesBlock);
            return Vec::new();
        }
        vec![message.clone()]
    }
}
