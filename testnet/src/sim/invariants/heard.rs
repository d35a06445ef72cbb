//! What a correct node has heard at the height that it works on: a tally of its own, kept from the
//! inputs that the node's replica is given, for the invariants that judge what the node does.
//!
//! It is read in two ways: as everything that has come, for what a node may do; and as what it
//! *surely* has, which no bound of the replica's memory drops, for what a node must do.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use tandem_chain::block::Commit;
use tandem_chain::types::{Address, BlockId, Height};
use tandem_chain::vote::{Vote, VoteKind};
use tandem_consensus::Step;
use tandem_consensus::message::Proposal;

use super::seats::Holder;
use crate::sim::queue::Time;

/// Votes of one voter for the next height that a replica keeps until that height begins.
const EARLY_VOTES: usize = 8;

/// A step of a round.
pub(super) type Place = (u32, VoteKind);

/// A vote that counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted {
    /// Place of the voter's seat in the order of the height's table.
    pub seat: usize,
    pub block: Option<BlockId>,
    /// When it came.
    pub at: Time,
    pub surely: bool,
}

/// A proposal that has come, or that the node made.
#[derive(Clone, Debug)]
pub(super) struct Proposed {
    pub round: u32,
    pub block: BlockId,
    pub valid_round: Option<u32>,
    pub proposer: Address,
    /// Whom the block's header names.
    pub author: Address,
    /// The block's time.
    pub time: u64,
    /// Least and most that the node's wall clock has shown since it has the proposal.
    pub wall: (u64, u64),
    /// Whether the node made it.
    pub is_own: bool,
}

impl Proposed {
    pub fn of(proposal: &Proposal, wall: u64, is_own: bool) -> Self {
        let header = &proposal.block.header;
        Self {
            round: proposal.round.0,
            block: proposal.block_id,
            valid_round: proposal.valid_round.map(|round| round.0),
            proposer: proposal.proposer.address(),
            author: header.proposer_address,
            time: header.time.0,
            wall: (wall, wall),
            is_own,
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        let names = |p: &Self| (p.round, p.block, p.valid_round, p.proposer);
        names(self) == names(other)
    }
}

/// A vote for the next height.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Early {
    place: Place,
    index: usize,
    address: Address,
    block: Option<BlockId>,
    surely: bool,
}

/// What one node has heard since its process began to work on a height.
#[derive(Debug)]
pub(super) struct Heard {
    pub height: u64,
    /// Holders of the height's seats, as votes index them.
    pub order: Rc<[Holder]>,
    /// As the node showed them after its last input.
    pub round: u32,
    pub step: Step,
    /// When the round began.
    pub began: Time,
    /// Whether a commit is under way.
    pub deciding: bool,
    votes: BTreeMap<Place, Vec<Counted>>,
    pub proposals: Vec<Proposed>,
    /// The ledger's verdicts on blocks; those that the node proposes are taken for valid.
    pub checked: BTreeMap<BlockId, bool>,
    /// Whether something has come that may make it act.
    pub has_news: bool,
    early_votes: Vec<Early>,
    early_proposals: Vec<Proposed>,
    /// Fetches of this height that were answered with blocks: of whom, and from which height on.
    pub answered: BTreeSet<(Address, Height)>,
    /// Certificates of fetched blocks that are not committed yet, by height.
    fetched: BTreeMap<u64, Vec<Commit>>,
}

impl Heard {
    /// Nothing yet, in a process that works on `height`.
    pub fn new(height: u64, order: Rc<[Holder]>, now: Time) -> Self {
        Self {
            height,
            order,
            round: 0,
            step: Step::Propose,
            began: now,
            deciding: false,
            votes: BTreeMap::new(),
            proposals: Vec::new(),
            checked: BTreeMap::new(),
            has_news: false,
            early_votes: Vec::new(),
            early_proposals: Vec::new(),
            answered: BTreeSet::new(),
            fetched: BTreeMap::new(),
        }
    }

    /// The next height begins.
    pub fn begin(&mut self, order: Rc<[Holder]>, now: Time, wall: u64) {
        let early = std::mem::take(&mut self.early_votes);
        let mut proposals = std::mem::take(&mut self.early_proposals);
        proposals.iter_mut().for_each(|proposal| proposal.wall = (wall, wall));
        let mut fetched = std::mem::take(&mut self.fetched);
        fetched.retain(|height, _| *height > self.height);
        *self = Self { proposals, fetched, ..Self::new(self.height + 1, order, now) };
        for vote in early {
            let surely = vote.surely && vote.place.0 == 0;
            self.count(vote.place, vote.index, vote.address, vote.block, now, surely);
        }
    }

    /// A vote of this height or the next, that has come or that the node cast. `surely` is whether
    /// the voter is correct: only of such is it known that its first vote of a step is its only one.
    pub fn vote(&mut self, vote: &Vote, now: Time, surely: bool) {
        let place = (vote.round.0, vote.kind);
        let (index, address) = (usize::from(vote.validator_index), vote.validator_address);
        if vote.height.0 == self.height {
            let surely = surely && vote.round.0 <= self.round;
            self.count(place, index, address, vote.block, now, surely);
        } else if vote.height.0 == self.height + 1 {
            let of_voter = self.early_votes.iter().filter(|early| early.address == address);
            let surely = surely && of_voter.count() < EARLY_VOTES;
            let early = Early { place, index, address, block: vote.block, surely };
            if !self.early_votes.iter().any(|known| Early { surely, ..known.clone() } == early) {
                self.early_votes.push(early);
            }
        }
    }

    fn count(
        &mut self,
        place: Place,
        seat: usize,
        address: Address,
        block: Option<BlockId>,
        at: Time,
        surely: bool,
    ) {
        if self.order.get(seat).is_none_or(|holder| holder.address != address) {
            return;
        }
        self.has_news = true;
        let votes = self.votes.entry(place).or_default();
        match votes.iter_mut().find(|vote| (vote.seat, vote.block) == (seat, block)) {
            Some(known) => known.surely |= surely,
            None => votes.push(Counted { seat, block, at, surely }),
        }
    }

    /// A proposal of this height or the next has come; its prevotes count too.
    pub fn proposal(&mut self, proposal: &Proposal, now: Time, wall: u64) {
        let proposed = Proposed::of(proposal, wall, false);
        let list = if proposal.height.0 == self.height {
            &mut self.proposals
        } else if proposal.height.0 == self.height + 1 {
            &mut self.early_proposals
        } else {
            return;
        };
        if !list.iter().any(|known| known.is_same(&proposed)) {
            list.push(proposed);
        }
        for vote in &proposal.prevotes {
            self.vote(vote, now, false);
        }
    }

    /// A proposal of the node's own, which may not be the first that this process has made of it.
    pub fn proposed(&mut self, proposal: &Proposal, wall: u64) {
        let proposed = Proposed::of(proposal, wall, true);
        if !self.proposals.iter().any(|known| known.is_own && known.is_same(&proposed)) {
            self.proposals.push(proposed);
            self.verdict(proposal.block_id, true);
        }
    }

    /// What the node's wall clock shows now.
    pub fn note_wall(&mut self, wall: u64) {
        for Proposed { wall: (least, most), .. } in &mut self.proposals {
            (*least, *most) = ((*least).min(wall), (*most).max(wall));
        }
    }

    /// There is a verdict on a block of this height.
    pub fn verdict(&mut self, block: BlockId, is_valid: bool) {
        self.has_news = true;
        self.checked.insert(block, is_valid);
    }

    /// A peer is asked for blocks.
    pub fn asked(&mut self, from: Address, first: Height) {
        self.answered.remove(&(from, first));
    }

    /// A fetch is over: the certificates of the blocks that have come.
    pub fn fetched<'a>(
        &mut self,
        from: Address,
        first: Height,
        commits: impl Iterator<Item = &'a Commit>,
    ) {
        for commit in commits {
            self.answered.insert((from, first));
            if commit.height.0 >= self.height {
                self.fetched.entry(commit.height.0).or_default().push(commit.clone());
            }
        }
    }

    /// Whether a fetched block of this height came with this certificate.
    pub fn has_fetched(&self, commit: &Commit) -> bool {
        self.fetched.get(&self.height).is_some_and(|commits| commits.contains(commit))
    }

    /// The votes of a step.
    pub fn votes(&self, place: Place) -> &[Counted] {
        self.votes.get(&place).map_or(&[], Vec::as_slice)
    }

    /// All votes of the height.
    pub fn all_votes(&self) -> impl Iterator<Item = &Counted> {
        self.votes.values().flatten()
    }

    /// Power of those who cast these votes, each counted once.
    fn power<'a>(&self, votes: impl Iterator<Item = &'a Counted>) -> u64 {
        let mut voters = 0_u128;
        let mut power = 0;
        for vote in votes {
            let bit = 1 << vote.seat;
            if voters & bit == 0 {
                voters |= bit;
                power += self.order[vote.seat].power;
            }
        }
        power
    }

    fn total(&self) -> u64 {
        self.order.iter().map(|holder| holder.power).sum()
    }

    /// Whether this is more than 2/3 of the power.
    pub fn is_quorum(&self, power: u64) -> bool {
        power * 3 > self.total() * 2
    }

    /// Whether more than 2/3 of the power have voted for this.
    pub fn has_quorum(&self, place: Place, block: Option<BlockId>) -> bool {
        self.is_quorum(self.power(self.votes(place).iter().filter(|vote| vote.block == block)))
    }

    /// The same, of votes that it surely has.
    pub fn surely_has_quorum(&self, place: Place, block: Option<BlockId>) -> bool {
        let votes = self.votes(place).iter().filter(|vote| vote.surely && vote.block == block);
        self.is_quorum(self.power(votes))
    }

    /// Whether it surely has votes of more than 2/3 of the power, for whatever.
    pub fn surely_has_any(&self, place: Place) -> bool {
        self.is_quorum(self.power(self.votes(place).iter().filter(|vote| vote.surely)))
    }

    /// Since when it has votes of more than 2/3 of the power, for whatever.
    pub fn any_since(&self, place: Place) -> Option<Time> {
        let votes = self.votes(place);
        (1..=votes.len())
            .find(|count| self.is_quorum(self.power(votes[..*count].iter())))
            .map(|count| votes[count - 1].at)
    }

    /// Whether holders of more than 1/3 of the power have voted in rounds from `round` on.
    pub fn third_from(&self, round: u32) -> bool {
        let later = self.votes.range((round, VoteKind::Prevote)..).flat_map(|(_, votes)| votes);
        self.power(later) * 3 > self.total()
    }

    /// A block that it surely has a certificate for, and that its ledger has found valid.
    pub fn decided(&self) -> Option<(u32, BlockId)> {
        let precommits = self.votes.iter().filter(|((_, kind), _)| *kind == VoteKind::Precommit);
        let mut places =
            precommits.flat_map(|(place, votes)| votes.iter().map(move |v| (*place, v)));
        places.find_map(|(place, vote)| {
            let block = vote.block.filter(|block| self.checked.get(block) == Some(&true))?;
            self.surely_has_quorum(place, Some(block)).then_some((place.0, block))
        })
    }
}
