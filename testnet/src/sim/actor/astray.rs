//! A pair whose holder plays dead while its standby holds another state than the chain's: it has every
//! block, and says so, but its state commitment is another. It must not be given the seat.

use tandem_chain::types::Hash;
use tandem_consensus::message::{FollowBody, Message};

use super::deed::Deed;
use super::{Actor, Scene};

pub(super) struct Astray;

/// A follow message with another state commitment.
fn astray(scene: &Scene, body: FollowBody) -> Message {
    let body = FollowBody { app_hash: Hash::of(&body.app_hash.0), ..body };
    Message::Follow(Box::new(body.sign(scene.chain_id, scene.signer.as_ref())))
}

impl Actor for Astray {
    fn sends(&mut self, scene: &mut Scene, _to: usize, message: &Message) -> Vec<Message> {
        if scene.tip.next_table.by_key(&scene.key()).is_some() {
            return Vec::new();
        }
        match message {
            Message::Follow(follow) => {
                scene.did(Deed::FollowsAstray);
                vec![astray(scene, follow.body.clone())]
            }
            Message::Vote(_) | Message::Proposal(_) => Vec::new(),
            other => vec![other.clone()],
        }
    }
}
