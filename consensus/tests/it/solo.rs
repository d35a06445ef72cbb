//! One replica among seats that the test plays itself, message by message.

use std::sync::Arc;
use std::time::Duration;

use tandem_chain::block::{Block, Certificate, CertifiedBlock};
use tandem_chain::keys::PublicKey;
use tandem_chain::tip::Tip;
use tandem_chain::types::{BlockId, Height, Round};
use tandem_chain::vote::{Vote, VoteKind};
use tandem_consensus::journal::KeyState;
use tandem_consensus::message::{Message, Proposal};
use tandem_consensus::time::Now;
use tandem_consensus::verify::Fault;
use tandem_consensus::{Effect, Input};

use crate::node::Node;
use crate::world::{World, at};

pub use tandem_chain::vote::VoteKind::{Precommit, Prevote};

pub struct Solo {
    pub world: World,
    pub node: Node,
    /// The organisation whose validator the replica is at genesis; none when it is a standby.
    me: Option<usize>,
    ms: u64,
    /// How far its wall clock is ahead.
    pub ahead_ms: u64,
}

impl Solo {
    /// Organisation `me` of four with equal power, started at genesis. Its turn at height 1 is
    /// round `(me + 3) % 4`.
    pub fn new(me: usize) -> Self {
        Self::with_powers(&[1; 4], me)
    }

    pub fn with_powers(powers: &[u64], me: usize) -> Self {
        let world = World::new(powers);
        let node = Node::new(&world, world.validator(me));
        Self::started(world, node, Some(me))
    }

    /// The standby of the first of four organisations.
    pub fn standby() -> Self {
        let world = World::new(&[1; 4]);
        let node = Node::new(&world, world.standby(0));
        Self::started(world, node, None)
    }

    /// The validator of the first of four organisations, whose key is lost.
    pub fn lost() -> Self {
        let world = World::new(&[1; 4]);
        let node = Node::with_key(&world, world.validator(0), KeyState::Lost);
        Self::started(world, node, Some(0))
    }

    fn started(world: World, node: Node, me: Option<usize>) -> Self {
        let mut solo = Self { world, node, me, ms: 0, ahead_ms: 0 };
        solo.feed(Input::Start);
        solo
    }

    /// The organisations whose validators the test plays.
    pub fn others(&self) -> Vec<usize> {
        (0..self.world.genesis.organizations.len()).filter(|org| Some(*org) != self.me).collect()
    }

    pub fn now(&self) -> Now {
        at(self.ms)
    }

    pub fn ms(&self) -> u64 {
        self.ms
    }

    pub fn tip(&self) -> Arc<Tip> {
        Arc::clone(self.node.replica.tip())
    }

    pub fn round(&self) -> u32 {
        self.node.replica.view().round.0
    }

    pub fn feed(&mut self, input: Input) -> Vec<Effect> {
        let mut now = self.now();
        now.wall = now.wall.plus(Duration::from_millis(self.ahead_ms));
        self.node.feed(now, input)
    }

    /// Lets time pass, with a wake-up whenever the replica wants one.
    pub fn pass(&mut self, ms: u64) -> Vec<Effect> {
        let end = at(self.ms + ms).instant;
        let mut effects = Vec::new();
        while let Some(wanted) = self.node.replica.next_wakeup().filter(|wanted| *wanted <= end) {
            self.ms = self.ms.max(wanted.0.div_ceil(1_000_000));
            effects.extend(self.feed(Input::Wakeup));
            let next = self.node.replica.next_wakeup();
            assert!(next > Some(wanted), "a wake-up moves the next one on");
        }
        self.ms = end.0 / 1_000_000;
        effects
    }

    /// A message as it comes from another organisation's validator.
    pub fn receive(&mut self, from: usize, message: &Message) -> Vec<Effect> {
        let from = self.world.validator(from);
        self.node.receive(self.now(), from, message)
    }

    /// As [`Self::receive`], but what the replica asks for is not answered.
    pub fn receive_alone(&mut self, from: usize, message: &Message) -> Vec<Effect> {
        let input = self.node.verified(self.world.validator(from), message);
        let input = input.expect("a good message").expect("of a height that counts");
        self.node.handle(self.now(), input)
    }

    /// An organisation's vote.
    pub fn vote(
        &mut self,
        org: usize,
        kind: VoteKind,
        round: u32,
        block: Option<BlockId>,
    ) -> Vec<Effect> {
        let vote = self.vote_of(org, kind, round, block);
        self.receive(org, &Message::Vote(Box::new(vote)))
    }

    pub fn vote_of(&self, org: usize, kind: VoteKind, round: u32, block: Option<BlockId>) -> Vote {
        self.world.vote(&self.tip(), &self.world.validator(org), kind, round, block)
    }

    /// Votes of several organisations; the effects of all.
    pub fn votes(
        &mut self,
        orgs: &[usize],
        kind: VoteKind,
        round: u32,
        block: Option<BlockId>,
    ) -> Vec<Effect> {
        orgs.iter().flat_map(|org| self.vote(*org, kind, round, block)).collect()
    }

    /// Whether the replica's newest vote, a precommit for a block, sees a node.
    pub fn sees(&self, node: &PublicKey) -> bool {
        let votes = self.node.journal().votes;
        let observation = votes.last().and_then(|vote| vote.observation.as_ref());
        let index = self.tip().register.index(node).expect("registered");
        observation.expect("a precommit for a block").seen.get(index)
    }

    /// The certificate of the last block.
    pub fn certificate(&self) -> Certificate {
        self.node.blocks.last().map_or_else(Certificate::default, |b| b.certificate.clone())
    }

    /// Organisation whose turn it is at the next height with everybody alive.
    pub fn turn(&self, round: u32) -> usize {
        let seats = self.world.genesis.organizations.len() as u64;
        let turn = (self.tip().height.0 + 1 + u64::from(round)) % seats;
        usize::try_from(turn).expect("few seats")
    }

    /// A block by the organisation whose turn it is in `round`; `salt` tells blocks apart.
    pub fn block(&self, round: u32, salt: u64) -> Block {
        let (tip, mut now) = (self.tip(), self.now());
        now.wall = now.wall.max(tip.time.plus(Duration::from_nanos(1)));
        now.wall = now.wall.plus(Duration::from_nanos(salt));
        let author = self.world.validator(self.turn(round));
        self.world.block(&tip, &author, now, &self.certificate())
    }

    pub fn proposal(&self, round: u32, block: &Block, valid: Option<(u32, Vec<Vote>)>) -> Proposal {
        self.world.proposal(&self.world.validator(self.turn(round)), round, block, valid)
    }

    /// Proposes a block in a round.
    pub fn propose(
        &mut self,
        round: u32,
        block: &Block,
        valid: Option<(u32, Vec<Vote>)>,
    ) -> Vec<Effect> {
        let proposal = self.proposal(round, block, valid);
        self.receive(self.turn(round), &Message::Proposal(Box::new(proposal)))
    }

    /// Goes on to the next round by a quorum of nil precommits; when every seat has had its turn,
    /// after the vote timeout.
    pub fn next_round(&mut self) -> Vec<Effect> {
        let round = self.round();
        let orgs = self.others();
        let mut effects = self.votes(&orgs, Prevote, round, None);
        effects.extend(self.votes(&orgs, Precommit, round, None));
        let seats = u32::try_from(orgs.len()).expect("few") + 1;
        while round >= seats && self.round() == round {
            effects.extend(self.pass(1));
        }
        assert_eq!(self.round(), round + 1, "a quorum for nil ends a round");
        effects
    }

    /// Begins the height: after the idle interval its first proposal is there, the replica's own
    /// when it is its turn.
    pub fn open(&mut self) -> (Arc<Block>, Vec<Effect>) {
        let mut effects = self.pass(100);
        if Some(self.turn(0)) == self.me {
            return (Arc::clone(&proposed(&effects)[0].block), effects);
        }
        let block = Arc::new(self.block(0, 0));
        effects.extend(self.propose(0, &block, None));
        (block, effects)
    }

    /// Ends the height with a block by the votes of these organisations and the replica.
    pub fn close(&mut self, block: &Block, orgs: &[usize]) -> Vec<Effect> {
        let id = Some(block.id());
        let of = |kind| orgs.iter().map(move |org| (*org, kind));
        let votes = of(Prevote).chain(of(Precommit));
        let votes: Vec<(usize, Vote)> =
            votes.map(|(org, kind)| (org, self.vote_of(org, kind, 0, id))).collect();
        let receive = |(org, vote)| self.receive(org, &Message::Vote(Box::new(vote)));
        let effects = votes.into_iter().flat_map(receive).collect();
        assert_eq!(self.tip().block, id, "a certificate decides");
        effects
    }

    /// Decides a block by the votes of these organisations and the replica.
    pub fn decide_by(&mut self, orgs: &[usize]) -> Vec<Effect> {
        let (block, mut effects) = self.open();
        effects.extend(self.close(&block, orgs));
        effects
    }

    /// As [`Self::decide`], without waiting for the idle interval. Not in the replica's own turn.
    pub fn decide_now(&mut self) -> Vec<Effect> {
        let block = self.block(0, 0);
        let mut effects = self.propose(0, &block, None);
        effects.extend(self.close(&block, &self.others()));
        effects
    }

    /// Decides a block by everybody's votes.
    pub fn decide(&mut self) -> Vec<Effect> {
        self.decide_by(&self.others())
    }

    /// The last block with its certificate.
    pub fn last(&self) -> CertifiedBlock {
        self.node.blocks.last().expect("a block").clone()
    }

    /// Starts a new process from the disk and connects a peer; what it sends to that peer.
    pub fn restart(&mut self) -> Vec<Message> {
        self.node.restart();
        self.feed(Input::Start);
        let peer = self.world.validator(self.others()[0]);
        sent(&self.feed(Input::Connected(peer)))
    }

    pub fn is_over(&mut self) -> bool {
        self.node.replica.next_wakeup().is_none() && self.feed(Input::Wakeup).is_empty()
    }
}

/// What a vote is for.
pub type Cast = (VoteKind, u32, Option<BlockId>);

/// The replica's new votes, in order.
pub fn cast(effects: &[Effect]) -> Vec<Cast> {
    let votes = fresh(effects).filter_map(|message| match message {
        Message::Vote(vote) => Some((vote.kind, vote.round.0, vote.block)),
        _ => None,
    });
    votes.collect()
}

/// The replica's new proposals.
pub fn proposed(effects: &[Effect]) -> Vec<Proposal> {
    let proposals = fresh(effects).filter_map(|message| match message {
        Message::Proposal(proposal) => Some(proposal.as_ref().clone()),
        _ => None,
    });
    proposals.collect()
}

/// What was broadcast, but for what is sent again: that comes after a status, with nothing written.
fn fresh(effects: &[Effect]) -> impl Iterator<Item = &Message> {
    let mut again = false;
    effects.iter().filter_map(move |effect| match effect {
        Effect::Persist(_) => {
            again = false;
            None
        }
        Effect::Broadcast(message) => {
            again |= matches!(message, Message::Status { .. });
            Some(message).filter(|_| !again)
        }
        _ => None,
    })
}

/// Everything that was broadcast.
pub fn broadcast(effects: &[Effect]) -> Vec<Message> {
    let messages = effects.iter().filter_map(|effect| match effect {
        Effect::Broadcast(message) => Some(message.clone()),
        _ => None,
    });
    messages.collect()
}

/// What was sent to one peer.
pub fn sent(effects: &[Effect]) -> Vec<Message> {
    let messages = effects.iter().filter_map(|effect| match effect {
        Effect::Send { message, .. } => Some(message.clone()),
        _ => None,
    });
    messages.collect()
}

/// The votes among messages, the oldest first.
pub fn votes_in(messages: &[Message]) -> Vec<Vote> {
    let votes = messages.iter().rev().filter_map(|message| match message {
        Message::Vote(vote) => Some(vote.as_ref().clone()),
        _ => None,
    });
    votes.collect()
}

/// The faults reported.
pub fn faults(effects: &[Effect]) -> Vec<Fault> {
    let faults = effects.iter().filter_map(|effect| match effect {
        Effect::Report { fault, .. } => Some(fault.clone()),
        _ => None,
    });
    faults.collect()
}

/// Why the replica stopped, if it did.
pub fn halted(effects: &[Effect]) -> Option<String> {
    effects.iter().find_map(|effect| match effect {
        Effect::Halt { reason } => Some(reason.clone()),
        _ => None,
    })
}

/// The answer to a wish for a block: an empty one.
pub fn built(height: u64, round: u32) -> Input {
    let (height, round) = (Height(height), Round(round));
    Input::Built { height, round, txs: Vec::new(), evidence: Vec::new() }
}

/// Rounds of the blocks that the replica wants built.
pub fn builds(effects: &[Effect]) -> Vec<Round> {
    let builds = effects.iter().filter_map(|effect| match effect {
        Effect::Build { round, .. } => Some(*round),
        _ => None,
    });
    builds.collect()
}
