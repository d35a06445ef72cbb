//! Takes part in nothing: no votes, no proposals; but says that it follows, and keeps its seat.

use tandem_consensus::message::Message;

use super::deed::Deed;
use super::{Actor, Scene, craft};

pub(super) struct Silent;

impl Actor for Silent {
    fn sends(&mut self, scene: &mut Scene, _to: usize, message: &Message) -> Vec<Message> {
        match message {
            Message::Proposal(_) | Message::Vote(_) => {
                scene.did(Deed::SaysNothing);
                Vec::new()
            }
            other => vec![other.clone()],
        }
    }

    // Its replica votes, for nobody to hear, and so owes no follow message.
    fn acts(&mut self, scene: &mut Scene) {
        craft::follow(scene);
        craft::keeps_seat(scene, Deed::KeepsSeatSilently);
    }
}
