//! Watches correct nodes: what each one's replica is given, for the invariants that judge what it
//! makes of that ([`super::acts`]).

use std::collections::{BTreeMap, BTreeSet};

use tandem_chain::keys::PublicKey;
use tandem_chain::types::{Address, Height};
use tandem_chain::vote::Vote;
use tandem_consensus::Input;
use tandem_consensus::journal::KeyState;
use tandem_consensus::message::{Message, Proposal};

use super::heard::{Heard, Proposed};
use super::lost_key::LostKey;
use super::observations::Eyes;
use super::rounds::Rounds;
use super::signed::Signed;
use super::{Chain, Member, Verdict, broken};
use crate::sim::disk::Image;
use crate::sim::queue::Time;

/// When a node handles an input.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The time.
    pub now: Time,
    /// What the node's wall clock shows.
    pub wall: u64,
}

/// A follow message to all.
#[derive(Clone, Copy)]
pub(super) struct Followed {
    pub at: Time,
    /// Whether the block that it named was old.
    pub was_old: bool,
    /// When one last went out before the pause was over.
    pub hurried: Option<Time>,
}

/// A correct node's running process.
pub(super) struct Process {
    pub heard: Heard,
    pub eyes: Eyes,
    pub rounds: Rounds,
    /// Its last follow message to all.
    pub followed: Option<Followed>,
    /// Whether it has handled no input yet.
    pub is_new: bool,
}

/// All nodes.
pub struct Watch {
    pub(super) members: Vec<Member>,
    pub(super) by_address: BTreeMap<Address, usize>,
    /// Of correct nodes, the last that started.
    pub(super) processes: Vec<Option<Box<Process>>>,
    pub(super) signed: Vec<Signed>,
    pub(super) lost: Vec<LostKey>,
    /// Keys with which others vote, and heights at which they do: those hold no seat there.
    in_other_hands: BTreeSet<(usize, Height)>,
    /// Votes and proposals of their own that correct nodes signed.
    pub licences: u64,
    /// Bits of observations of correct validators.
    pub bits: u64,
}

impl Watch {
    pub(super) fn new(members: &[Member]) -> Self {
        let addresses = members.iter().enumerate().map(|(i, member)| (member.address, i));
        Self {
            members: members.to_vec(),
            by_address: addresses.collect(),
            processes: members.iter().map(|_| None).collect(),
            signed: members.iter().map(|_| Signed::default()).collect(),
            lost: members.iter().map(|_| LostKey::default()).collect(),
            in_other_hands: BTreeSet::new(),
            licences: 0,
            bits: 0,
        }
    }

    /// A correct node's process starts from what its disk holds, with this tip.
    pub(super) fn started(
        &mut self,
        node: usize,
        at: Moment,
        tip: u64,
        disk: &Image,
        chain: &Chain,
    ) -> Verdict {
        let Member { name: who, key, .. } = self.members[node].clone();
        let height = tip + 1;
        self.signed[node].started();
        let durable = disk.journal().map(|_| disk.durable(KeyState::Good));
        let journal = durable.as_ref().map(|durable| &durable.journal);
        self.lost[node].started(journal, &who)?;
        let mut heard = Heard::new(height, chain.seats.order(height), at.now);
        let of_height = durable.filter(|durable| durable.journal.height.0 == height);
        if let Some(durable) = of_height {
            heard.round = durable.journal.round.0;
            for vote in &durable.journal.votes {
                let place = (height, vote.round.0, vote.kind);
                if !self.signed[node].found(place, vote.block) {
                    let what = format!("{who} finds a vote on its disk that it never cast");
                    return broken("licence", what);
                }
                heard.vote(vote, at.now, true);
            }
            if let Some(valid) = durable.valid.filter(|valid| valid.height.0 == height) {
                valid.prevotes.iter().for_each(|vote| heard.vote(vote, at.now, false));
            }
            if let Some(own) = durable.proposal.filter(|own| own.height.0 == height) {
                heard.proposals.push(Proposed::of(&own, at.wall, true));
            }
        }
        let rounds = Rounds::begin(&chain.seats, height, heard.round, at.now);
        let eyes = Eyes::new(key, tip, chain.seats.register(tip));
        let process = Process { heard, eyes, rounds, followed: None, is_new: true };
        self.processes[node] = Some(Box::new(process));
        Ok(())
    }

    /// The record of a node's key is lost.
    pub(super) fn lost_key(&mut self, node: usize) {
        self.lost[node].lose();
    }

    /// Others vote with a node's key at a height at which it holds no seat.
    pub(super) fn in_other_hands(&mut self, node: usize, height: Height) {
        self.in_other_hands.insert((node, height));
    }

    /// Whether others do, at a height.
    pub(super) fn is_in_other_hands(&self, node: usize, height: Height) -> bool {
        self.in_other_hands.contains(&(node, height))
    }

    /// A node keeps to the protocol no more.
    pub(super) fn faulty(&mut self, node: usize) {
        self.members[node].is_correct = false;
        self.processes[node] = None;
    }

    /// Whether a node's key surely signs at the height that it works on.
    #[must_use]
    pub fn signs(&self, node: usize) -> bool {
        let process = self.processes[node].as_ref();
        process.is_some_and(|process| self.lost[node].signs(process.heard.height))
    }

    /// Whether a node's key may sign at a height.
    pub(super) fn may_sign(&self, node: usize, height: u64) -> bool {
        self.lost[node].may_sign(height)
    }

    fn correct(&self, address: &Address) -> Option<usize> {
        self.by_address.get(address).copied().filter(|node| self.members[*node].is_correct)
    }

    /// The replica of a correct node is about to be given an input.
    pub(super) fn hears(
        &mut self,
        node: usize,
        at: Moment,
        input: &Input,
        chain: &Chain,
    ) -> Verdict {
        match input {
            Input::Message { from, message } => match message.get() {
                Message::Vote(vote) => return self.vote(node, at, from, vote, chain),
                Message::Proposal(proposal) => return self.proposal(node, at, proposal),
                Message::LostAnswer { committed } => self.lost[node].answer(*from, committed.0),
                Message::Follow(follow) => {
                    let Some(Process { heard, eyes, .. }) = self.processes[node].as_deref_mut()
                    else {
                        return Ok(());
                    };
                    if follow.body.node == *from {
                        eyes.heard_at.insert(*from, at.now);
                    }
                    eyes.follow(chain, &follow.body, heard.height - 1);
                }
                Message::Status { .. } | Message::LostQuery => {}
            },
            Input::Executed { .. } => {
                if let Some(process) = self.processes[node].as_deref_mut() {
                    let Process { heard, eyes, rounds, .. } = process;
                    eyes.committed(chain, heard);
                    heard.begin(chain.seats.order(heard.height + 1), at.now, at.wall);
                    *rounds = Rounds::begin(&chain.seats, heard.height, 0, at.now);
                }
            }
            Input::Checked { height, block, verdict } => {
                if let Some(Process { heard, .. }) = self.processes[node].as_deref_mut()
                    && heard.height == height.0
                {
                    heard.verdict(*block, verdict.is_ok());
                }
            }
            Input::Fetched { from, first, blocks } => {
                if let Some(Process { heard, .. }) = self.processes[node].as_deref_mut() {
                    let commits = blocks.iter().map(|block| &block.certificate.commit);
                    heard.fetched(from.address(), *first, commits);
                }
            }
            Input::Lacks { from, first, .. } => {
                if let Some(Process { heard, .. }) = self.processes[node].as_deref_mut() {
                    heard.answered.insert((from.address(), *first));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn vote(
        &mut self,
        node: usize,
        at: Moment,
        from: &PublicKey,
        vote: &Vote,
        chain: &Chain,
    ) -> Verdict {
        let address = vote.validator_address;
        let Some(voter) = self.by_address.get(&address).copied().filter(|i| *i != node) else {
            return Ok(());
        };
        let Member { key, is_correct, .. } = self.members[voter];
        let is_correct = is_correct && !self.is_in_other_hands(voter, vote.height);
        let place = (vote.height.0, vote.round.0, vote.kind);
        if is_correct && !self.signed[voter].has_sent(place, vote.block) {
            let (who, whose) = (&self.members[node].name, &self.members[voter].name);
            return broken("licence", format!("{who} takes a vote for {whose}'s that is not"));
        }
        let Some(Process { heard, eyes, .. }) = self.processes[node].as_deref_mut() else {
            return Ok(());
        };
        if key == *from && vote.block.is_some() {
            eyes.heard_at.insert(key, at.now);
        }
        if vote.height.0 >= heard.height {
            heard.vote(vote, at.now, is_correct);
            return Ok(());
        }
        let tip = heard.height - 1;
        let holds = |height| chain.seats.order(height).iter().any(|seat| seat.holder == key);
        eyes.late_vote(chain, key, vote, is_correct && (holds(tip) || holds(tip + 1)));
        Ok(())
    }

    fn proposal(&mut self, node: usize, at: Moment, proposal: &Proposal) -> Verdict {
        let author = self.correct(&proposal.proposer.address());
        let place = (proposal.height.0, proposal.round.0);
        let is_false =
            |author: &usize| !self.signed[*author].has_proposed(place, proposal.block_id);
        if let Some(author) = author.filter(|author| *author != node).filter(is_false) {
            let (who, whose) = (&self.members[node].name, &self.members[author].name);
            return broken("licence", format!("{who} takes a proposal for {whose}'s that is not"));
        }
        if let Some(process) = &mut self.processes[node] {
            process.heard.proposal(proposal, at.now, at.wall);
        }
        Ok(())
    }

    /// A message leaves a correct node.
    pub(super) fn left(&mut self, node: usize, message: &Message) {
        let Member { key, address, .. } = self.members[node];
        match message {
            Message::Vote(vote) if vote.validator_address == address => {
                self.signed[node].vote_left((vote.height.0, vote.round.0, vote.kind));
            }
            Message::Proposal(proposal) if proposal.proposer == key => {
                self.signed[node].proposal_left((proposal.height.0, proposal.round.0));
            }
            _ => {}
        }
    }
}
