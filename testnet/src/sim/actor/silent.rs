//! Takes part in nothing: no votes, no proposals; but says that it follows, and keeps its seat.

use tandem_consensus::message::Message;

use super::{Actor, Scene, craft};

pub(super) struct Silent;

impl Actor for Silent {
    fn sends(&mut self, _scene: &mut Scene, _to: usize, message: &Message) -> Vec<Message> {
        match message {
            Message::Proposal(_) | Message::Vote(_) => Vec::new(),
            other => vec![other.clone()],
        }
    }

    // Its replica votes, for nobody to hear, and so owes no follow message.
    fn acts(&mut self, scene: &mut Scene) {
        craft::follow(scene);
    }
}
