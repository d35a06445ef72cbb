//! The votes of one height.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tandem_chain::block::{Certificate, Commit, CommitSig};
use tandem_chain::roles::RoleTable;
use tandem_chain::types::{BlockId, Height, Power, Round};
use tandem_chain::vote::{Vote, VoteKind};

use crate::limits::{KEPT_ROUNDS, MAX_ROUNDS_AHEAD, MAX_VOTES_PER_VALIDATOR};
use crate::verify::Fault;

/// What became of a vote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Added {
    /// It is new, and counts.
    New,
    /// It was there already, or is one too many to keep.
    Ignored,
    /// It contradicts this earlier one of the same validator, which goes on to count.
    Conflict(Box<Vote>),
}

/// One round's votes, by validator index.
#[derive(Clone, Debug, Default)]
struct RoundVotes {
    prevotes: BTreeMap<u16, Vote>,
    precommits: BTreeMap<u16, Vote>,
}

impl RoundVotes {
    fn of(&self, kind: VoteKind) -> &BTreeMap<u16, Vote> {
        match kind {
            VoteKind::Prevote => &self.prevotes,
            VoteKind::Precommit => &self.precommits,
        }
    }

    fn of_mut(&mut self, kind: VoteKind) -> &mut BTreeMap<u16, Vote> {
        match kind {
            VoteKind::Prevote => &mut self.prevotes,
            VoteKind::Precommit => &mut self.precommits,
        }
    }

    fn holds(&self, index: u16) -> bool {
        self.prevotes.contains_key(&index) || self.precommits.contains_key(&index)
    }

    fn is_empty(&self) -> bool {
        self.prevotes.is_empty() && self.precommits.is_empty()
    }
}

/// All votes of one height that count, by round.
#[derive(Clone, Debug)]
pub struct HeightVotes {
    height: Height,
    table: Arc<RoleTable>,
    register_len: usize,
    rounds: BTreeMap<Round, RoundVotes>,
}

impl HeightVotes {
    /// No votes yet. Observations must have `register_len` bits.
    #[must_use]
    pub fn new(height: Height, table: Arc<RoleTable>, register_len: usize) -> Self {
        Self { height, table, register_len, rounds: BTreeMap::new() }
    }

    /// The height.
    #[must_use]
    pub fn height(&self) -> Height {
        self.height
    }

    /// The role table of the height.
    #[must_use]
    pub fn table(&self) -> &Arc<RoleTable> {
        &self.table
    }

    /// The rounds that have votes, in their order.
    #[must_use]
    pub fn rounds(&self) -> impl DoubleEndedIterator<Item = Round> + '_ {
        self.rounds.keys().copied()
    }

    /// Adds a verified vote of this height. `current` is the replica's round.
    ///
    /// # Errors
    /// [`Fault::NotHolder`]; [`Fault::Inconsistent`] when its observation has not one bit a node.
    pub fn add(&mut self, vote: &Vote, current: Round) -> Result<Added, Fault> {
        let index = vote.validator_index;
        if !is_holders(&self.table, vote) {
            return Err(not_holder(vote));
        }
        if vote.observation.as_ref().is_some_and(|o| o.seen.len() != self.register_len) {
            return Err(Fault::Inconsistent { what: "observation has not one bit per node" });
        }
        if let Some(earlier) =
            self.rounds.get(&vote.round).and_then(|r| r.of(vote.kind).get(&index))
        {
            return Ok(if earlier.block == vote.block {
                Added::Ignored
            } else {
                Added::Conflict(Box::new(earlier.clone()))
            });
        }
        if !self.has_room(vote, current) {
            return Ok(Added::Ignored);
        }
        let round = self.rounds.entry(vote.round).or_default();
        round.of_mut(vote.kind).insert(index, vote.clone());
        Ok(Added::New)
    }

    /// Whether one more vote of its validator may be kept; makes room above the current round.
    fn has_room(&mut self, vote: &Vote, current: Round) -> bool {
        let index = vote.validator_index;
        if vote.block.is_none() && vote.round < current.back(KEPT_ROUNDS) {
            return false;
        }
        let kept: usize = self
            .rounds
            .values()
            .map(|r| {
                usize::from(r.prevotes.contains_key(&index))
                    + usize::from(r.precommits.contains_key(&index))
            })
            .sum();
        if kept >= MAX_VOTES_PER_VALIDATOR {
            return false;
        }
        if vote.round <= current {
            return true;
        }
        let ahead: Vec<Round> = self
            .rounds
            .range(current.next()..)
            .filter(|(_, r)| r.holds(index))
            .map(|(round, _)| *round)
            .collect();
        if ahead.contains(&vote.round) || ahead.len() < MAX_ROUNDS_AHEAD {
            return true;
        }
        let lowest = ahead[0];
        if vote.round < lowest {
            return false;
        }
        if let Some(round) = self.rounds.get_mut(&lowest) {
            round.prevotes.remove(&index);
            round.precommits.remove(&index);
            if round.is_empty() {
                self.rounds.remove(&lowest);
            }
        }
        true
    }

    /// Forgets nil votes of rounds long before the current one.
    pub fn prune(&mut self, current: Round) {
        let first = current.back(KEPT_ROUNDS);
        self.rounds.retain(|round, votes| {
            if *round < first {
                votes.prevotes.retain(|_, vote| vote.block.is_some());
                votes.precommits.retain(|_, vote| vote.block.is_some());
            }
            !votes.is_empty()
        });
    }

    fn power<'a>(&self, votes: impl Iterator<Item = &'a u16>) -> Power {
        let validators = self.table.validators();
        Power(votes.map(|i| validators[usize::from(*i)].power.0).sum())
    }

    fn votes(&self, kind: VoteKind, round: Round) -> impl Iterator<Item = (&u16, &Vote)> {
        self.rounds.get(&round).into_iter().flat_map(move |r| r.of(kind))
    }

    /// Whether more than 2/3 of the power has voted in this step, for whatever.
    #[must_use]
    pub fn quorum_of_any(&self, kind: VoteKind, round: Round) -> bool {
        self.table.is_quorum(self.power(self.votes(kind, round).map(|(i, _)| i)))
    }

    /// Whether more than 2/3 of the power has voted for `block`, or for nil.
    #[must_use]
    pub fn quorum_for(&self, kind: VoteKind, round: Round, block: Option<BlockId>) -> bool {
        let votes = self.votes(kind, round).filter(|(_, vote)| vote.block == block);
        self.table.is_quorum(self.power(votes.map(|(i, _)| i)))
    }

    /// The block that more than 2/3 of the power has voted for.
    #[must_use]
    pub fn quorum_block(&self, kind: VoteKind, round: Round) -> Option<BlockId> {
        let candidates = self.votes(kind, round).filter_map(|(_, vote)| vote.block);
        candidates.into_iter().find(|block| self.quorum_for(kind, round, Some(*block)))
    }

    /// Round and block of a certificate, if there is one in any round.
    #[must_use]
    pub fn decided(&self) -> Option<(Round, BlockId)> {
        self.rounds.keys().find_map(|round| {
            self.quorum_block(VoteKind::Precommit, *round).map(|block| (*round, block))
        })
    }

    /// The highest round above `current` in which, or above which, more than 1/3 of the power has
    /// voted.
    #[must_use]
    pub fn round_to_join(&self, current: Round) -> Option<Round> {
        let mut seen = BTreeSet::new();
        for (round, votes) in self.rounds.range(current.next()..).rev() {
            seen.extend(votes.prevotes.keys().chain(votes.precommits.keys()));
            if self.table.is_third(self.power(seen.iter())) {
                return Some(*round);
            }
        }
        None
    }

    /// The votes of a step for a block.
    #[must_use]
    pub fn votes_for(&self, kind: VoteKind, round: Round, block: BlockId) -> Vec<Vote> {
        let votes = self.votes(kind, round).filter(|(_, vote)| vote.block == Some(block));
        votes.map(|(_, vote)| vote.clone()).collect()
    }

    /// The vote of one validator.
    #[must_use]
    pub fn vote_of(&self, kind: VoteKind, round: Round, index: u16) -> Option<&Vote> {
        self.rounds.get(&round)?.of(kind).get(&index)
    }

    /// Whether votes, however often one is among them, are those of holders with more than 2/3 of
    /// the power.
    #[must_use]
    pub fn is_quorum_of(&self, votes: &[Vote]) -> bool {
        let votes = votes.iter().filter(|vote| is_holders(&self.table, vote));
        let voters: BTreeSet<u16> = votes.map(|vote| vote.validator_index).collect();
        self.table.is_quorum(self.power(voters.iter()))
    }

    /// Whether more than 1/3 of the power has voted for `block` in any round and step.
    #[must_use]
    pub fn has_third_for(&self, block: BlockId) -> bool {
        let voters: BTreeSet<u16> = self.voters_for(block).collect();
        self.table.is_third(self.power(voters.iter()))
    }

    /// Indexes of all validators with a vote for `block` in any round and step.
    pub fn voters_for(&self, block: BlockId) -> impl Iterator<Item = u16> + '_ {
        self.rounds
            .values()
            .flat_map(|r| r.prevotes.iter().chain(&r.precommits))
            .filter(move |(_, vote)| vote.block == Some(block))
            .map(|(index, _)| *index)
    }

    /// The certificate of a round for a block, from all precommits for it that are here.
    #[must_use]
    pub fn certificate(&self, round: Round, block: BlockId) -> Certificate {
        let precommit = |index: usize| {
            let index = u16::try_from(index).ok()?;
            self.vote_of(VoteKind::Precommit, round, index).filter(|v| v.block == Some(block))
        };
        let count = self.table.validators().len();
        let signatures = (0..count).map(|i| {
            precommit(i).map(|vote| CommitSig {
                address: vote.validator_address,
                timestamp: vote.timestamp,
                signature: vote.signature,
            })
        });
        let commit = Commit {
            height: self.height,
            round,
            block: Some(block),
            signatures: signatures.collect(),
        };
        let observations =
            (0..count).map(|i| precommit(i).and_then(|v| v.observation.clone())).collect();
        Certificate { commit, observations }
    }
}

/// Whether the voter holds the seat at the index that it names, by the role table of its height.
#[must_use]
pub fn is_holders(table: &RoleTable, vote: &Vote) -> bool {
    let holder = table.validators().get(usize::from(vote.validator_index));
    holder.is_some_and(|holder| holder.address == vote.validator_address)
}

/// The fault of a vote that is not [`is_holders`].
#[must_use]
pub fn not_holder(vote: &Vote) -> Fault {
    let Vote { height, validator_index: index, validator_address: address, .. } = *vote;
    Fault::NotHolder { height, index, address }
}
