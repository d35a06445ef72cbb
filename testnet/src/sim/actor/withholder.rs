//! Sends each message to some of the others only.

use tandem_consensus::message::Message;

use super::deed::Deed;
use super::{Actor, Scene};

pub(super) struct Withholder;

impl Actor for Withholder {
    fn sends(&mut self, scene: &mut Scene, _to: usize, message: &Message) -> Vec<Message> {
        if scene.random.chance(500) {
            return vec![message.clone()];
        }
        scene.did(Deed::Withholds);
        Vec::new()
    }
}
