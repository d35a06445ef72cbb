//! Licence: whatever a correct node does in consensus is licensed by a rule of Tendermint (arXiv
//! 1807.04938, algorithm 1; numbers are its lines) and by what the node has heard. A wrong vote is
//! seen when it is cast, not only when a fork comes of it.

use std::collections::BTreeMap;

use tandem_chain::block::{CertifiedBlock, Commit};
use tandem_chain::modules::parameters::Parameters;
use tandem_chain::types::{Address, BlockId};
use tandem_chain::vote::{Vote, VoteKind};
use tandem_consensus::message::Proposal;

use super::heard::{Heard, Proposed};
use super::seats::Seats;
use super::signed::Signed;
use super::turns::{had_turn, turn};
use super::{Member, Verdict, broken};
use crate::sim::queue::{MS, Time};

const RULE: &str = "licence";

/// All that a node's doings are judged by.
pub(super) struct Licence<'a> {
    pub seats: &'a Seats,
    pub heard: &'a Heard,
    pub signed: &'a Signed,
    pub members: &'a [Member],
    pub by_address: &'a BTreeMap<Address, usize>,
    pub now: Time,
    /// What the node's wall clock shows.
    pub wall: u64,
    /// The node's name, for what is told.
    pub who: &'a str,
}

/// A timeout of a round: grows by a step each round, to a cap.
pub(super) fn timeout(parameters: &Parameters, first_ms: u64, round: u32) -> Time {
    let grown = first_ms + parameters.timeout_step_ms * u64::from(round);
    grown.min(parameters.timeout_max_ms.max(first_ms)) * MS
}

impl Licence<'_> {
    fn refuse(&self, doing: &str, why: &str) -> Verdict {
        broken(RULE, format!("{} {doing}: {why}", self.who))
    }

    fn parameters(&self) -> &Parameters {
        self.seats.parameters_at(self.heard.height)
    }

    fn is_correct(&self, address: &Address) -> bool {
        self.by_address.get(address).is_some_and(|node| self.members[*node].is_correct)
    }

    /// When the node began a round; now, if that is one that it has just come to.
    fn began(&self, round: u32) -> Time {
        if round == self.heard.round { self.heard.began } else { self.now }
    }

    /// A new vote of its own.
    pub fn vote(&self, vote: &Vote) -> Verdict {
        let (round, block) = (vote.round.0, vote.block);
        let doing = format!("casts a {:?} of {}/{round}", vote.kind, vote.height);
        if vote.height.0 != self.heard.height {
            return self.refuse(&doing, "it works on another height");
        }
        let fault = match (vote.kind, block) {
            (VoteKind::Prevote, Some(block)) => self.prevote(round, block),
            (VoteKind::Prevote, None) => self.prevote_nil(round),
            (VoteKind::Precommit, Some(block)) => self.precommit(round, block),
            (VoteKind::Precommit, None) => self.precommit_nil(round),
        };
        fault.map_or(Ok(()), |why| self.refuse(&doing, why))
    }

    /// Lines 22 and 28: for the round's proposal, valid and not against the lock.
    fn prevote(&self, round: u32, block: BlockId) -> Option<&'static str> {
        if self.heard.checked.get(&block) != Some(&true) {
            return Some("its ledger has not found the block valid");
        }
        let is_it = |p: &&Proposed| (p.round, p.block) == (round, block);
        let mut faults = self.heard.proposals.iter().filter(is_it).map(|p| self.fault(p, p.wall.1));
        let first = faults.next().unwrap_or(Some("the block was not proposed"))?;
        faults.all(|fault| fault.is_some()).then_some(first)
    }

    /// Why a proposal may not have a prevote, as far as validity is not concerned. `wall` is the
    /// clock that it is held against.
    fn fault(&self, proposed: &Proposed, wall: u64) -> Option<&'static str> {
        let (height, round) = (self.heard.height, proposed.round);
        if turn(self.seats, height, round).is_none_or(|t| t.address != proposed.proposer) {
            return Some("it was not the proposer's turn");
        }
        let lock = self.signed.lock(height).filter(|(_, block)| *block != proposed.block);
        let Some(valid_round) = proposed.valid_round else {
            if proposed.author != proposed.proposer {
                return Some("the fresh block is another's");
            }
            let bound = self.parameters().max_clock_ahead_ms * MS;
            if !proposed.is_own && proposed.time > wall + bound {
                return Some("the fresh block is too far ahead of its clock");
            }
            return lock.map(|_| "it is locked on another block");
        };
        if valid_round >= round || !had_turn(self.seats, height, valid_round, proposed.author) {
            return Some("the block's author had no turn");
        }
        if !self.heard.has_quorum((valid_round, VoteKind::Prevote), Some(proposed.block)) {
            return Some("there is no quorum of prevotes in the valid round");
        }
        lock.filter(|(locked, _)| *locked > valid_round).map(|_| "its lock is newer than the proof")
    }

    /// Lines 22, 28 and 57: the proposal may not have one, or none came in time; or the round is
    /// left.
    fn prevote_nil(&self, round: u32) -> Option<&'static str> {
        let timeout = timeout(self.parameters(), self.parameters().propose_timeout_ms, round);
        if self.now >= self.began(round) + timeout || self.may_leave(round) {
            return None;
        }
        let mut proposals = self.heard.proposals.iter().filter(|p| p.round == round);
        let is_refused = proposals.any(|p| {
            let by_correct = self.is_correct(&p.author) && self.is_correct(&p.proposer);
            let is_invalid = self.heard.checked.get(&p.block) == Some(&false);
            !by_correct || is_invalid || self.fault(p, p.wall.0).is_some()
        });
        (!is_refused).then_some("nothing speaks against the proposal, and its time is not over")
    }

    /// Line 36: a quorum of prevotes.
    fn precommit(&self, round: u32, block: BlockId) -> Option<&'static str> {
        if self.heard.checked.get(&block) != Some(&true) {
            return Some("its ledger has not found the block valid");
        }
        let place = (round, VoteKind::Prevote);
        (!self.heard.has_quorum(place, Some(block))).then_some("it has no quorum of prevotes")
    }

    /// Lines 44 and 61: a quorum for nil, or of any and the timeout; or the round is left.
    fn precommit_nil(&self, round: u32) -> Option<&'static str> {
        let place = (round, VoteKind::Prevote);
        let is_over = self.is_over(place);
        let has_reason = is_over || self.heard.has_quorum(place, None) || self.may_leave(round);
        (!has_reason).then_some("no quorum for nil, and its time is not over")
    }

    /// Whether the timeout after a quorum of any votes may have run out.
    fn is_over(&self, place: (u32, VoteKind)) -> bool {
        let timeout = timeout(self.parameters(), self.parameters().vote_timeout_ms, place.0);
        let since = self.heard.any_since(place);
        since.is_some_and(|since| self.now >= since.max(self.began(place.0)) + timeout)
    }

    /// Lines 47, 55 and 65: whether there is a reason to go on to a later round. A quorum of
    /// precommits for nil is one while there are seats that have not had their turn.
    fn may_leave(&self, round: u32) -> bool {
        let place = (round, VoteKind::Precommit);
        let is_early = (round as usize) < self.heard.order.len();
        self.heard.third_from(round + 1)
            || self.is_over(place)
            || (is_early && self.heard.has_quorum(place, None))
    }

    /// The node has come to a later round.
    pub fn round(&self, round: u32) -> Verdict {
        if self.heard.third_from(round) || self.may_leave(round - 1) {
            return Ok(());
        }
        let doing = format!("begins round {}/{round}", self.heard.height);
        self.refuse(&doing, "there was no reason to leave the one before")
    }

    /// Lines 11 to 19: a new proposal of its own.
    pub fn proposal(&self, proposal: &Proposal) -> Verdict {
        let (height, round) = (proposal.height.0, proposal.round.0);
        let doing = format!("proposes at {height}/{round}");
        let fault = if height != self.heard.height {
            Some("it works on another height")
        } else if turn(self.seats, height, round).is_none_or(|t| t.holder != proposal.proposer) {
            Some("it is not its turn")
        } else {
            self.content(proposal)
        };
        fault.map_or(Ok(()), |why| self.refuse(&doing, why))
    }

    fn content(&self, proposal: &Proposal) -> Option<&'static str> {
        let lock = self.signed.lock(proposal.height.0);
        let Some(valid_round) = proposal.valid_round else {
            let parent = self.seats.time(proposal.height.0 - 1);
            if proposal.block.header.time.0 != self.wall.max(parent + 1) {
                return Some("the block's time is neither its clock's nor just after the parent's");
            }
            return lock.map(|_| "the block is a new one though it is locked");
        };
        let mut voters: Vec<&Vote> = proposal.prevotes.iter().collect();
        voters.retain(|vote| {
            let of = (vote.kind, vote.height, vote.round, vote.block);
            of == (VoteKind::Prevote, proposal.height, valid_round, Some(proposal.block_id))
        });
        let order = self.heard.order.iter().enumerate();
        let proof = order.filter(|(seat, holder)| {
            let is_its = |vote: &&Vote| {
                usize::from(vote.validator_index) == *seat
                    && vote.validator_address == holder.address
            };
            voters.iter().copied().any(|vote| is_its(&vote))
        });
        let power: u64 = proof.map(|(_, holder)| holder.power).sum();
        if valid_round >= proposal.round || !self.heard.is_quorum(power) {
            return Some("the prevotes in it are no quorum");
        }
        let is_against =
            |(round, block): (u32, BlockId)| block != proposal.block_id && round > valid_round.0;
        lock.filter(|lock| is_against(*lock)).map(|_| "its lock is newer than the valid round")
    }

    /// Line 49: a decision, by precommits that it has heard, or by a certificate that it has fetched.
    pub fn commit(&self, certified: &CertifiedBlock) -> Verdict {
        let commit = &certified.certificate.commit;
        let doing = format!("decides {}/{}", commit.height, commit.round);
        if commit.height.0 != self.heard.height || self.heard.deciding {
            return self.refuse(&doing, "it works on another height, or decides one already");
        }
        if !self.has_heard(commit) && !self.heard.has_fetched(commit) {
            return self.refuse(&doing, "it has neither heard nor fetched this certificate");
        }
        Ok(())
    }

    fn has_heard(&self, commit: &Commit) -> bool {
        let place = (commit.round.0, VoteKind::Precommit);
        let votes = self.heard.votes(place);
        let mut signed = commit.signatures.iter().enumerate().filter(|(_, sig)| sig.is_some());
        self.heard.has_quorum(place, commit.block)
            && signed.all(|(seat, _)| {
                votes.iter().any(|vote| (vote.seat, vote.block) == (seat, commit.block))
            })
    }
}
