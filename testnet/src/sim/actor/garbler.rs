//! Sends bytes that are no message: cut, lengthened, spliced, with huge lengths, of nothing at all.

use tandem_consensus::message::Message;

use super::deed::Deed;
use super::{Actor, Scene};

/// Bytes of noise in one message at most.
const MAX_NOISE: usize = 300;

#[derive(Default)]
pub(super) struct Garbler {
    /// The last message that it sent.
    last: Vec<u8>,
}

fn noise(scene: &mut Scene) -> Vec<u8> {
    let length = scene.random.index(MAX_NOISE);
    (0..length).map(|_| scene.random.next().to_le_bytes()[0]).collect()
}

impl Actor for Garbler {
    fn acts(&mut self, scene: &mut Scene) {
        scene.sends_someone(None, Message::LostQuery);
    }

    fn garbles(&mut self, scene: &mut Scene, bytes: &mut Vec<u8>) {
        let sound = bytes.clone();
        let at = scene.random.index(bytes.len());
        match scene.random.below(20) {
            0 => bytes.truncate(at),
            1 => bytes.push(0),
            2 => bytes.extend(noise(scene)),
            3 => bytes[at] ^= 1 << scene.random.below(8),
            // Lengths are of eight bytes: one that claims more than there is memory.
            4 => bytes.iter_mut().skip(at).take(8).for_each(|byte| *byte = 0xff),
            5 => bytes.splice(..at, noise(scene)).for_each(drop),
            6 => *bytes = noise(scene),
            7 => bytes[0] = scene.random.next().to_le_bytes()[0],
            8 => {
                let from = at.min(self.last.len());
                bytes.splice(at.., self.last[from..].iter().copied()).for_each(drop);
            }
            9 => bytes.extend_from_within(..),
            _ => {}
        }
        if *bytes != sound {
            scene.did(Deed::Garbles);
        }
        self.last = sound;
    }
}
