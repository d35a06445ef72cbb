//! One of two running copies of a node, with one key and two disks, each honest by itself (Twins,
//! arXiv 2004.10617). Every peer deals with one of the two at a time, and after some heights perhaps
//! with the other.

use tandem_consensus::message::Message;

use super::deed::Deed;
use super::{Actor, Scene};

/// Heights for which peers stay with a copy; the key tells which it is.
const PERIODS: [u64; 4] = [1, 3, 20, u64::MAX];

pub(super) struct Twin;

impl Twin {
    fn is_first(scene: &Scene) -> bool {
        let key = scene.key();
        scene.peers.iter().position(|peer| peer.key == key) == Some(scene.me)
    }

    fn deals_with(scene: &Scene, peer: usize) -> bool {
        let key = scene.key();
        let byte = |i: usize| u64::from(key.as_bytes()[i % key.as_bytes().len()]);
        let period = PERIODS[usize::from(key.as_bytes()[0]) % PERIODS.len()];
        let mix = (scene.tip.height.0 / period)
            .wrapping_add(byte(peer) << 32)
            .wrapping_add(peer as u64)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let is_of_first = (mix ^ mix >> 32).count_ones().is_multiple_of(2);
        is_of_first == Self::is_first(scene)
    }
}

impl Actor for Twin {
    fn sends(&mut self, scene: &mut Scene, to: usize, message: &Message) -> Vec<Message> {
        if !Self::deals_with(scene, to) {
            return Vec::new();
        }
        let is_own = matches!(message, Message::Vote(vote) if scene.is_own(vote));
        if is_own && !Self::is_first(scene) {
            scene.did(Deed::VotesAsSecond);
        }
        vec![message.clone()]
    }

    fn hears(&mut self, scene: &mut Scene, from: usize, _message: &Message) -> bool {
        Self::deals_with(scene, from)
    }
}
