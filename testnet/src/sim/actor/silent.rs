//! Takes part in nothing: no votes, no proposals; its follow messages go on.

use tandem_consensus::message::Message;

use super::{Actor, Scene};

pub(super) struct Silent;

impl Actor for Silent {
    fn sends(&mut self, _scene: &mut Scene, _to: usize, message: &Message) -> Vec<Message> {
        match message {
            Message::Proposal(_) | Message::Vote(_) => Vec::new(),
            other => vec![other.clone()],
        }
    }
}
