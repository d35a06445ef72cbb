//! One node of a pair that works together. By turns, some heights each: the standby votes with the
//! key of a holder that is mute; the holder shows a standby that is mute; it hides one that is not;
//! it hands its precommits to the standby alone, which passes them on as it likes.

use tandem_chain::liveness::Bits;
use tandem_chain::vote::{Vote, VoteKind};
use tandem_consensus::message::Message;

use super::{Actor, Scene, craft};

/// Heights of a turn.
const TURN: u64 = 20;

enum Turn {
    StandIn,
    Show,
    Hide,
    HandOn,
}

pub(super) struct Accomplice;

impl Accomplice {
    fn turn(scene: &Scene) -> Turn {
        match scene.tip.height.0 / TURN % 4 {
            0 => Turn::StandIn,
            1 => Turn::Show,
            2 => Turn::Hide,
            _ => Turn::HandOn,
        }
    }

    /// A vote of the holder that says of its partner what suits them.
    fn about_partner(scene: &Scene, vote: &Vote, is_alive: bool) -> Message {
        let mut changed = vote.clone();
        if let Some(honest) = &vote.observation {
            let org = scene.peers[scene.me].org;
            let ours = |key| scene.peers.iter().any(|p| p.org == org && p.key == key);
            let nodes = scene.tip.register.nodes.keys().zip(honest.seen.iter());
            let seen: Bits =
                nodes.map(|(key, seen)| if ours(*key) { is_alive } else { seen }).collect();
            let (height, round) = (vote.height, vote.round);
            changed.observation =
                Some(craft::observation(scene, scene.signer, height, round, seen));
        }
        Message::Vote(Box::new(changed))
    }

    fn holder_sends(scene: &mut Scene, to: usize, message: &Message) -> Vec<Message> {
        let org = scene.peers[scene.me].org;
        match (Self::turn(scene), message) {
            (Turn::StandIn, _) => Vec::new(),
            (Turn::Show, Message::Vote(vote)) => vec![Self::about_partner(scene, vote, true)],
            (Turn::Hide, Message::Vote(vote)) => vec![Self::about_partner(scene, vote, false)],
            (Turn::HandOn, Message::Vote(vote))
                if vote.kind == VoteKind::Precommit && scene.peers[to].org != org =>
            {
                Vec::new()
            }
            _ => vec![message.clone()],
        }
    }
}

impl Actor for Accomplice {
    fn sends(&mut self, scene: &mut Scene, to: usize, message: &Message) -> Vec<Message> {
        if scene.tip.next_table.by_key(&scene.key()).is_some() {
            return Self::holder_sends(scene, to, message);
        }
        match Self::turn(scene) {
            Turn::Show => Vec::new(),
            _ => vec![message.clone()],
        }
    }

    fn hears(&mut self, scene: &mut Scene, from: usize, message: &Message) -> bool {
        // What the other signs with its key must not stop its replica.
        if matches!(message, Message::Vote(vote) if scene.is_own(vote)) {
            return false;
        }
        let Some((index, holder)) = scene.partner() else { return true };
        let (key, address) = (holder.key, holder.address);
        match (Self::turn(scene), message) {
            (Turn::StandIn, Message::Proposal(heard)) if heard.height == scene.height() => {
                if let Some(signer) = scene.signer_of(&key) {
                    let votes = craft::votes_for(scene, signer, index, heard);
                    craft::cast(scene, votes);
                }
            }
            (Turn::HandOn, Message::Vote(vote))
                if vote.validator_address == address && scene.peers[from].key == key =>
            {
                for to in 0..scene.peers.len() {
                    if scene.random.chance(500) {
                        scene.more.push((to, message.clone()));
                    }
                }
            }
            _ => {}
        }
        true
    }
}
