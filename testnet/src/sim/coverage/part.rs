//! What is known of one process of a correct node: the height that its replica works on, with the
//! votes and proposals that it was given.

use std::collections::BTreeMap;
use std::sync::Arc;

use tandem_chain::keys::PublicKey;
use tandem_chain::tip::Tip;
use tandem_chain::types::{BlockId, Height, Round, Timestamp};
use tandem_chain::vote::Vote;
use tandem_chain::vote::VoteKind::{self, Precommit, Prevote};
use tandem_consensus::Input;
use tandem_consensus::message::{Message, Proposal};

use super::ballots::Ballots;
use super::{Rule, Start, Tally};

/// Proposals for the next height that are kept until it begins.
const MAX_EARLY: usize = 16;

/// What a replica was given last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    Vote { round: Round, nil: bool },
    Proposal(BlockId),
    Checked,
    Fetched,
    Verified,
    Executed,
    Connected,
    Work,
    Wakeup,
    Other,
}

/// The proposal of a round.
#[derive(Clone, Copy, Debug)]
pub(super) struct Proposed {
    pub(super) block: BlockId,
    pub(super) valid_round: Option<Round>,
    /// Whether its time was ahead of the node's clock by more than the bound when it came.
    pub(super) is_ahead: bool,
}

/// What is known of one process of a correct node.
pub(super) struct Part {
    pub(super) key: PublicKey,
    pub(super) incarnation: u64,
    pub(super) tip: Arc<Tip>,
    pub(super) round: Round,
    pub(super) ballots: Ballots,
    pub(super) next_ballots: Ballots,
    pub(super) proposals: BTreeMap<Round, Proposed>,
    pub(super) early: Vec<Proposal>,
    pub(super) verdicts: BTreeMap<BlockId, bool>,
    pub(super) lock: Option<(Round, BlockId)>,
    pub(super) cast: Vec<(Round, VoteKind)>,
    /// Whether one of its votes at the height is for a block.
    pub(super) voted: bool,
    /// The same at the height before, unless it has restarted since.
    pub(super) voted_at_tip: Option<bool>,
    /// Own votes and the round of the own proposal that were durable at the start.
    pub(super) restored: Vec<Vote>,
    pub(super) restored_proposal: Option<Round>,
    /// Why a block was asked for.
    pub(super) build: Rule,
    pub(super) key_lost: bool,
    pub(super) silent: bool,
    pub(super) cause: Cause,
}

impl Part {
    /// A process that starts.
    pub fn new(start: Start, hits: &mut Tally<Rule>) -> Self {
        let Start { key, tip, durable, incarnation } = start;
        let height = tip.height.next();
        let mut part = Self {
            key,
            incarnation,
            round: Round::ZERO,
            ballots: Ballots::new(height, &tip.next_table),
            next_ballots: Ballots::new(height.next(), &tip.next_next_table),
            proposals: BTreeMap::new(),
            early: Vec::new(),
            verdicts: BTreeMap::new(),
            lock: None,
            cast: Vec::new(),
            voted: false,
            voted_at_tip: None,
            restored: Vec::new(),
            restored_proposal: None,
            build: Rule::NewAtOnce,
            key_lost: durable.journal.guard.is_lost(),
            silent: false,
            cause: Cause::Other,
            tip,
        };
        let journal = &durable.journal;
        let is_restart = incarnation > 1 && !part.key_lost && part.holds_seat();
        if journal.height == height {
            part.round = journal.round;
            part.lock = journal.locked.map(|lock| (lock.round, lock.block));
            part.cast = journal.votes.iter().map(|vote| (vote.round, vote.kind)).collect();
            part.restored = journal.votes.clone();
            part.voted = journal.votes.iter().any(|vote| vote.block.is_some());
            let valid = durable.valid.as_ref().filter(|valid| valid.height == height);
            let prevotes = valid.into_iter().flat_map(|valid| &valid.prevotes);
            journal.votes.iter().chain(prevotes).for_each(|vote| part.ballots.add(vote));
            let place = (height, part.round);
            if let Some(own) = durable.proposal.filter(|own| (own.height, own.round) == place) {
                part.restored_proposal = Some(own.round);
                let Proposal { block_id: block, valid_round, .. } = own;
                part.proposals.insert(own.round, Proposed { block, valid_round, is_ahead: false });
            }
        }
        if is_restart {
            hits.hit(part.restarted_at());
            if part.lock.is_some_and(|(round, _)| round < part.round) {
                hits.hit(Rule::RestartLocked);
            }
        }
        part
    }

    fn restarted_at(&self) -> Rule {
        let of_round =
            |kind| self.restored.iter().find(|vote| (vote.round, vote.kind) == (self.round, kind));
        match (of_round(Prevote), of_round(Precommit)) {
            (_, Some(precommit)) if precommit.block.is_some() => Rule::RestartPrecommitted,
            (_, Some(_)) => Rule::RestartNil,
            (Some(_), None) => Rule::RestartPrevoted,
            (None, None) => Rule::RestartUnsigned,
        }
    }

    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The height that it has committed.
    pub fn height(&self) -> Height {
        self.tip.height
    }

    /// Whether its key may sign nothing at present.
    pub fn is_silent(&self) -> bool {
        self.silent
    }

    /// Counts the node's processes.
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    pub(super) fn holds_seat(&self) -> bool {
        self.ballots.table().by_key(&self.key).is_some()
    }

    /// The holders that take turns in a round of the height.
    pub(super) fn turns(&self, round: Round) -> Vec<PublicKey> {
        let mut holders: Vec<PublicKey> =
            self.ballots.table().seats().values().map(|seat| seat.holder).collect();
        if let Some(alive) = self.tip.alive.as_ref().filter(|_| !self.is_second_pass(round))
            && holders.iter().any(|holder| alive.contains(holder))
        {
            holders.retain(|holder| alive.contains(holder));
        }
        holders
    }

    /// Whose turn it is.
    fn turn(&self, round: Round) -> PublicKey {
        let holders = self.turns(round);
        let turn = self.ballots.height().0 + u64::from(round.0);
        let index = turn % holders.len() as u64;
        holders[usize::try_from(index).expect("an index of a list")]
    }

    /// Whether all seats have had their turn before this round.
    pub(super) fn is_second_pass(&self, round: Round) -> bool {
        u64::from(round.0) >= self.ballots.table().seats().len() as u64
    }

    /// The replica is about to be given an input.
    pub fn given(&mut self, wall: Timestamp, input: &Input, hits: &mut Tally<Rule>) {
        self.cause = match input {
            Input::Message { message, .. } => match message.get() {
                Message::Vote(vote) => {
                    self.given_vote(vote);
                    Cause::Vote { round: vote.round, nil: vote.block.is_none() }
                }
                Message::Proposal(proposal) => {
                    self.given_proposal(wall, proposal);
                    Cause::Proposal(proposal.block_id)
                }
                Message::LostAnswer { .. } => {
                    if self.key_lost {
                        hits.hit(Rule::KeyAnswered);
                    }
                    Cause::Other
                }
                _ => Cause::Other,
            },
            Input::Checked { height, block, verdict } => {
                if *height == self.ballots.height() {
                    self.verdicts.insert(*block, verdict.is_ok());
                }
                Cause::Checked
            }
            Input::Fetched { .. } => Cause::Fetched,
            Input::BlockVerified { .. } => Cause::Verified,
            Input::Executed { tip } => {
                self.next_height(wall, tip, hits);
                Cause::Executed
            }
            Input::Connected(_) => Cause::Connected,
            Input::Work(_) => Cause::Work,
            Input::Wakeup => Cause::Wakeup,
            _ => Cause::Other,
        };
    }

    fn given_vote(&mut self, vote: &Vote) {
        if vote.height == self.ballots.height() {
            self.ballots.add(vote);
        } else if vote.height == self.next_ballots.height() {
            self.next_ballots.add(vote);
        }
    }

    fn given_proposal(&mut self, wall: Timestamp, proposal: &Proposal) {
        let Proposal { height, round, valid_round, block_id: block, .. } = *proposal;
        if height == self.next_ballots.height() && self.early.len() < MAX_EARLY {
            self.early.push(proposal.clone());
        }
        let is_due = height == self.ballots.height() && self.turn(round) == proposal.proposer;
        let is_proven =
            valid_round.is_none_or(|valid| self.ballots.prove(&proposal.prevotes, valid, block));
        if !is_due || !is_proven || self.proposals.contains_key(&round) {
            return;
        }
        proposal.prevotes.iter().for_each(|vote| self.given_vote(vote));
        let ahead = proposal.block.header.time.since(wall);
        let is_ahead = ahead > self.tip.parameters.max_clock_ahead();
        self.proposals.insert(round, Proposed { block, valid_round, is_ahead });
    }

    /// The height that the replica worked on is decided and executed.
    fn next_height(&mut self, wall: Timestamp, tip: &Arc<Tip>, hits: &mut Tally<Rule>) {
        if self.holds_seat() && self.silent && self.cast.is_empty() {
            hits.hit(Rule::GuardSilent);
        }
        self.tip = Arc::clone(tip);
        self.voted_at_tip = Some(std::mem::take(&mut self.voted));
        self.round = Round::ZERO;
        let next = Ballots::new(tip.height.plus(2), &tip.next_next_table);
        self.ballots = std::mem::replace(&mut self.next_ballots, next);
        self.proposals.clear();
        self.verdicts.clear();
        self.lock = None;
        self.cast.clear();
        self.restored.clear();
        self.restored_proposal = None;
        for proposal in std::mem::take(&mut self.early) {
            self.given_proposal(wall, &proposal);
        }
    }
}
