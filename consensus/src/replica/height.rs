//! The state of the height that a replica works on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tandem_chain::block::Block;
use tandem_chain::keys::PublicKey;
use tandem_chain::tip::Tip;
use tandem_chain::types::{BlockId, Height, Round};

use crate::clock::Clocks;
use crate::limits::{KEPT_ROUNDS, STALL};
use crate::message::Proposal;
use crate::time::Instant;
use crate::votes::HeightVotes;

/// Step of a round (paper, `step`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Waiting for a proposal.
    Propose,
    /// Prevoted.
    Prevote,
    /// Precommitted.
    Precommit,
}

/// A block of this height and what is known of its validity.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub block: Arc<Block>,
    /// Whether the ledger has been asked to check it.
    pub asked: bool,
    /// None before the ledger's answer.
    pub valid: Option<bool>,
}

/// The proposal of a round, its block kept among the candidates.
#[derive(Clone, Debug)]
pub(super) struct Proposed {
    pub block: BlockId,
    pub valid_round: Option<Round>,
    /// Whether a fresh one's time was within the bound when it came.
    pub timely: bool,
    /// The message, to be sent to peers that lack it.
    pub message: Proposal,
}

/// Deadlines of the current round; none when not set or gone by.
#[derive(Clone, Debug, Default)]
pub(super) struct Timers {
    /// The proposer's own wait for transactions.
    pub idle: Option<Instant>,
    pub propose: Option<Instant>,
    pub prevote: Option<Instant>,
    pub precommit: Option<Instant>,
}

/// What has been done once in the current round (paper, "for the first time").
#[derive(Clone, Debug, Default)]
pub(super) struct Once {
    pub prevote_timer: bool,
    pub precommit_timer: bool,
    pub build: bool,
}

#[derive(Clone, Debug)]
pub(super) struct HeightState {
    pub height: Height,
    pub entered: Instant,
    pub round: Round,
    /// When the round began here.
    pub began: Instant,
    pub step: Step,
    pub votes: HeightVotes,
    pub proposals: BTreeMap<Round, Proposed>,
    pub candidates: BTreeMap<BlockId, Candidate>,
    pub timers: Timers,
    pub once: Once,
    /// The block whose commit is under way.
    pub committing: Option<BlockId>,
    /// Whether this node has cast a non-nil vote: then it needs no follow message.
    pub voted: bool,
    /// The clocks of the other voters.
    pub clocks: Clocks,
    /// Keys whose double signing has been handed on while at this height.
    pub accused: BTreeSet<PublicKey>,
    pub resend_at: Instant,
    pub resend_every: Duration,
    /// How often what peers may lack was sent again.
    pub resends: usize,
}

impl HeightState {
    /// The height after `tip`.
    pub fn new(tip: &Tip, now: Instant) -> Self {
        let height = tip.height.next();
        let votes = HeightVotes::new(height, Arc::clone(&tip.next_table), tip.register.nodes.len());
        Self {
            height,
            entered: now,
            round: Round::ZERO,
            began: now,
            step: Step::Propose,
            votes,
            proposals: BTreeMap::new(),
            candidates: BTreeMap::new(),
            timers: Timers::default(),
            once: Once::default(),
            committing: None,
            voted: false,
            clocks: Clocks::default(),
            accused: BTreeSet::new(),
            resend_at: now.plus(STALL),
            resend_every: STALL,
            resends: 0,
        }
    }

    /// Forgets proposals of rounds long past, and candidates that nothing refers to any more.
    pub fn prune(&mut self) {
        let first = self.round.back(KEPT_ROUNDS);
        self.votes.prune(self.round);
        self.proposals.retain(|round, _| *round >= first);
        self.drop_candidates();
    }

    /// Forgets candidates that neither a proposal refers to, nor voters with more than 1/3 of the
    /// power: these have voted for the locked block and for the valid value.
    fn drop_candidates(&mut self) {
        let Self { proposals, votes, candidates, .. } = self;
        candidates
            .retain(|id, _| proposals.values().any(|p| p.block == *id) || votes.has_third_for(*id));
    }

    /// Makes room for a proposal if it may be kept: none of a round long past, and of each proposer
    /// only the newest of the rounds ahead, so that nobody fills the memory with rounds to come.
    pub fn make_room(&mut self, round: Round, proposer: &PublicKey) -> bool {
        if round <= self.round {
            return round >= self.round.back(KEPT_ROUNDS);
        }
        let mut ahead = self.proposals.range(self.round.next()..);
        let kept = ahead.find(|(_, p)| p.message.proposer == *proposer).map(|(kept, _)| *kept);
        match kept {
            Some(kept) if kept > round => false,
            Some(kept) => {
                self.proposals.remove(&kept);
                self.drop_candidates();
                true
            }
            None => true,
        }
    }

    /// Whether a block is known and valid.
    pub fn is_valid(&self, block: BlockId) -> bool {
        self.candidates.get(&block).is_some_and(|c| c.valid == Some(true))
    }
    /// Whether a block is known not to be valid.
    pub fn is_invalid(&self, block: BlockId) -> bool {
        self.candidates.get(&block).is_some_and(|c| c.valid == Some(false))
    }
}
