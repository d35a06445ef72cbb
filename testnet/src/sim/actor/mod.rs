//! Byzantine nodes: production replicas whose messages are changed on their way out or in, and who
//! say things besides that no replica would. Each has its own key and those of the other Byzantine
//! nodes, which work together; never that of a correct one.

mod accomplice;
mod astray;
mod bad_proposer;
mod clinger;
mod counterfeiter;
mod craft;
mod deaf;
mod deed;
mod doctored;
mod double_proposer;
mod double_voter;
mod framer;
mod garbler;
mod hider;
mod impostor;
mod kind;
mod liar;
mod nil_voter;
mod pretender;
mod replayer;
mod silent;
mod twin;
mod two_faced;
mod withholder;

use std::collections::BTreeMap;
use std::sync::Arc;

use tandem_chain::block::CertifiedBlock;
use tandem_chain::keys::{PublicKey, Signer};
use tandem_chain::roles::Validator;
use tandem_chain::tip::Tip;
use tandem_chain::types::{ChainId, Height, Timestamp};
use tandem_chain::vote::Vote;
use tandem_consensus::message::Message;

pub use self::deed::Deed;
pub use self::kind::Kind;
use super::random::Random;

/// The signers of the Byzantine nodes.
pub type Keyring = BTreeMap<PublicKey, Arc<dyn Signer>>;

/// What actors know of a node.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// Its key.
    pub key: PublicKey,
    /// Its organisation.
    pub org: usize,
}

/// What an actor works with.
pub struct Scene<'a> {
    /// Chance.
    pub random: &'a mut Random,
    /// Its node.
    pub me: usize,
    /// Its node's signer, without the guard.
    pub signer: &'a Arc<dyn Signer>,
    /// The signers of all Byzantine nodes.
    pub liars: &'a Keyring,
    /// The chain.
    pub chain_id: &'a ChainId,
    /// All nodes.
    pub peers: &'a [Peer],
    /// Its node's state after the newest block that it has.
    pub tip: Arc<Tip>,
    /// Its node's wall clock.
    pub wall: Timestamp,
    /// What it sends besides: to which node, and what deed it is, if one.
    pub more: Vec<(usize, Option<Deed>, Message)>,
    /// What it has done that no correct node does, other than by sending [`Scene::more`].
    pub deeds: Vec<Deed>,
}

impl<'a> Scene<'a> {
    /// It has done a deed, which has reached someone.
    fn did(&mut self, deed: Deed) {
        self.deeds.push(deed);
    }

    /// Sends a message to another.
    fn sends_to(&mut self, to: usize, deed: impl Into<Option<Deed>>, message: Message) {
        self.more.push((to, deed.into(), message));
    }

    /// Sends a message to all others.
    fn sends_all(&mut self, deed: impl Into<Option<Deed>>, message: &Message) {
        let deed = deed.into();
        let others = (0..self.peers.len()).filter(|peer| *peer != self.me);
        self.more.extend(others.map(|peer| (peer, deed, message.clone())));
    }

    /// Sends a message to one other.
    fn sends_someone(&mut self, deed: impl Into<Option<Deed>>, message: Message) {
        let others: Vec<usize> = (0..self.peers.len()).filter(|peer| *peer != self.me).collect();
        if !others.is_empty() {
            let to = self.random.pick(&others);
            self.sends_to(to, deed, message);
        }
    }

    fn key(&self) -> PublicKey {
        self.signer.public()
    }

    /// Whether a vote has its node's signature.
    fn is_own(&self, vote: &Vote) -> bool {
        vote.validator_address == self.key().address()
    }

    /// The height that its node works on.
    fn height(&self) -> Height {
        self.tip.height.next()
    }

    /// Place in the role table and entry of the holder of its organisation's seat, if that is
    /// another node.
    fn partner(&self) -> Option<(usize, &Validator)> {
        let (me, org) = (self.key(), self.peers[self.me].org);
        let is_of_org = |key: &PublicKey| self.peers.iter().any(|p| p.org == org && p.key == *key);
        let mut holders = self.tip.next_table.validators().iter().enumerate();
        holders.find(|(_, holder)| is_of_org(&holder.key) && holder.key != me)
    }

    /// The signer of a key, if that is a Byzantine node's.
    fn signer_of(&self, key: &PublicKey) -> Option<&'a Arc<dyn Signer>> {
        self.liars.get(key)
    }
}

/// A Byzantine node.
pub trait Actor {
    /// What it sends to node `to` in the place of a message that a correct node would send.
    fn sends(&mut self, _scene: &mut Scene, _to: usize, message: &Message) -> Vec<Message> {
        vec![message.clone()]
    }

    /// Whether it takes notice of a message from node `from`.
    fn hears(&mut self, _scene: &mut Scene, _from: usize, _message: &Message) -> bool {
        true
    }

    /// What it does by itself, from time to time.
    fn acts(&mut self, _scene: &mut Scene) {}

    /// Its answer to one who asks for blocks from height `first` on, in the place of those that its
    /// node has; none leaves the question open.
    fn answers(
        &mut self,
        _scene: &mut Scene,
        _first: Height,
        blocks: Vec<CertifiedBlock>,
    ) -> Option<Vec<CertifiedBlock>> {
        Some(blocks)
    }

    /// Changes the bytes of a message.
    fn garbles(&mut self, _scene: &mut Scene, _bytes: &mut Vec<u8>) {}
}

/// What makes a node Byzantine.
pub struct Byzantine {
    /// How.
    pub kind: Kind,
    /// Its part.
    pub actor: Box<dyn Actor>,
    /// Whether it has turned honest. It is not judged as correct even so: what it signed before may
    /// come up at any time.
    pub reformed: bool,
}

impl Byzantine {
    /// A node of this kind.
    #[must_use]
    pub fn new(kind: Kind, random: &mut Random) -> Self {
        Self { kind, actor: kind.actor(random), reformed: false }
    }
}
