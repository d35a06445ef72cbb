//! One node of a pair that works together. By turns, some heights each: the standby votes with the
//! key of a holder that is mute; the holder shows a standby that is mute; it hides one that is not;
//! it hands its precommits to the standby alone, which passes them on as it likes.

use tandem_chain::liveness::Bits;
use tandem_chain::vote::{Vote, VoteKind};
use tandem_consensus::message::Message;

use super::deed::Deed;
use super::{Actor, Scene, craft};

/// Heights after which it begins anew.
const TURNS: u64 = 32;

enum Turn {
    StandIn,
    Show,
    Hide,
    HandOn,
}

pub(super) struct Accomplice;

impl Accomplice {
    fn turn(scene: &Scene) -> Turn {
        match scene.tip.height.0 % TURNS {
            0..4 => Turn::StandIn,
            // A mute standby is not seen to be so before the grace is over.
            4..20 => Turn::Show,
            20..26 => Turn::Hide,
            _ => Turn::HandOn,
        }
    }

    /// A vote of the holder that says of its partner what suits them.
    fn about_partner(scene: &mut Scene, vote: &Vote, deed: Deed) -> Vec<Message> {
        let is_alive = deed == Deed::Shows;
        let mut changed = vote.clone();
        if let Some(honest) = &vote.observation {
            let org = scene.peers[scene.me].org;
            let ours = |key| scene.peers.iter().any(|p| p.org == org && p.key == key);
            let nodes = scene.tip.register.nodes.keys().zip(honest.seen.iter());
            let seen: Bits =
                nodes.map(|(key, seen)| if ours(*key) { is_alive } else { seen }).collect();
            if seen != honest.seen {
                scene.did(deed);
            }
            let (height, round) = (vote.height, vote.round);
            changed.observation =
                Some(craft::observation(scene, scene.signer, height, round, seen));
        }
        vec![Message::Vote(Box::new(changed))]
    }

    fn holder_sends(scene: &mut Scene, to: usize, message: &Message) -> Vec<Message> {
        let org = scene.peers[scene.me].org;
        match (Self::turn(scene), message) {
            (Turn::StandIn, _) => Vec::new(),
            (Turn::Show, Message::Vote(vote)) => Self::about_partner(scene, vote, Deed::Shows),
            (Turn::Hide, Message::Vote(vote)) => Self::about_partner(scene, vote, Deed::Hides),
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
                    craft::cast(scene, Deed::StandsIn, votes);
                }
            }
            (Turn::HandOn, Message::Vote(vote))
                if vote.validator_address == address && scene.peers[from].key == key =>
            {
                for to in 0..scene.peers.len() {
                    if to != from && scene.random.chance(500) {
                        scene.sends_to(to, Deed::HandsOn, message.clone());
                    }
                }
            }
            _ => {}
        }
        true
    }
}
