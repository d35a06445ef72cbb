//! By which rule a replica cast a vote.

use tandem_chain::types::{BlockId, Round};
use tandem_chain::vote::Vote;
use tandem_chain::vote::VoteKind::{Precommit, Prevote};

use super::Rule;
use super::part::{Cause, Part, Proposed};
use super::rounds::Change;

impl Part {
    /// The rule of a vote that has just been cast; none when it cannot be told.
    pub(super) fn voted(&mut self, vote: &Vote, change: &Change) -> Option<Rule> {
        match (vote.kind, vote.block) {
            (Prevote, Some(block)) => self.prevoted(vote.round, block),
            (Prevote, None) => self.prevoted_nil(vote.round, change),
            (Precommit, Some(block)) => self.precommitted(vote.round, block),
            (Precommit, None) => self.precommitted_nil(vote.round, change),
        }
    }

    fn prevoted(&self, round: Round, block: BlockId) -> Option<Rule> {
        let proposed = self.proposals.get(&round).filter(|proposed| proposed.block == block)?;
        match (proposed.valid_round, self.lock) {
            (None, None) => Some(Rule::PrevoteNew),
            (Some(_), None) => Some(Rule::AgainFree),
            (Some(_), Some((_, locked))) if locked == block => Some(Rule::AgainLocked),
            (Some(valid), Some((locked, _))) if locked < valid => Some(Rule::AgainNewer),
            _ => None,
        }
    }

    fn prevoted_nil(&self, round: Round, change: &Change) -> Option<Rule> {
        let leaves = change.precommits_nil && !self.ballots.quorum(Prevote, round, None);
        if change.joins || change.nil || leaves {
            return Some(Rule::NilLeaving);
        }
        let late = (self.cause == Cause::Wakeup).then_some(Rule::NilLate);
        let Some(Proposed { block, valid_round, is_ahead }) = self.proposals.get(&round) else {
            return late;
        };
        let Some(is_valid) = self.verdicts.get(block) else { return late };
        let other = self.lock.filter(|(_, locked)| locked != block);
        match (*is_valid, valid_round, other) {
            (false, ..) => Some(Rule::NilInvalid),
            (true, None, None) if *is_ahead => Some(Rule::NilAhead),
            (true, None, Some(_)) if !is_ahead => Some(Rule::NilLocked),
            (true, Some(valid), Some((locked, _))) if locked > *valid => Some(Rule::NilOldProof),
            _ => None,
        }
    }

    fn precommitted(&mut self, round: Round, block: BlockId) -> Option<Rule> {
        let before = self.lock.replace((round, block));
        let is_due = self.ballots.quorum(Prevote, round, Some(block));
        is_due.then_some(match before {
            None => Rule::Lock,
            Some((_, locked)) if locked == block => Rule::LockAgain,
            Some(_) => Rule::LockMoves,
        })
    }

    fn precommitted_nil(&self, round: Round, change: &Change) -> Option<Rule> {
        let is_late = self.cause == Cause::Wakeup;
        let prevotes_now = self.cast[change.cast..].contains(&(round, Prevote));
        if self.ballots.quorum(Prevote, round, None) {
            return (!is_late || prevotes_now).then_some(Rule::NilQuorum);
        }
        // Its timeout is over in the round itself; the vote may then be the last for a new round.
        let is_divided = is_late
            && self.ballots.quorum_of_any(Prevote, round)
            && (change.now == round || self.ballots.quorum(Precommit, round, None));
        if change.joins || change.nil {
            Some(Rule::NilLeaving)
        } else if is_divided {
            Some(Rule::NilDivided)
        } else {
            (change.now > round).then_some(Rule::NilLeaving)
        }
    }
}
