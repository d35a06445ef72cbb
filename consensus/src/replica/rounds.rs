//! The rules of a round: arXiv 1807.04938, algorithm 1; each with its line.

use std::sync::Arc;
use std::time::Duration;

use tandem_chain::types::{BlockId, Round};
use tandem_chain::vote::VoteKind::{Precommit, Prevote};

use super::height::{HeightState, Once, Proposed, Step, Timers};
use super::{Candidate, Replica};
use crate::effect::Effect;
use crate::journal::{Lock, Valid};
use crate::message::Proposal;
use crate::proposer::proposer;
use crate::time::{Instant, Now};

impl Replica {
    /// The length of a timeout in a round: grows by a step each round, to a cap.
    fn timeout(&self, first_ms: u64, round: Round) -> Duration {
        let parameters = &self.tip.parameters;
        let grown =
            first_ms.saturating_add(parameters.timeout_step_ms.saturating_mul(u64::from(round.0)));
        Duration::from_millis(grown.min(parameters.timeout_max_ms.max(first_ms)))
    }

    pub(super) fn propose_timeout(&self) -> Duration {
        self.timeout(self.tip.parameters.propose_timeout_ms, self.state.round)
    }

    fn vote_timeout(&self) -> Duration {
        self.timeout(self.tip.parameters.vote_timeout_ms, self.state.round)
    }

    /// Key of the scheduled proposer of a round of this height.
    pub(super) fn proposer_of(&self, round: Round) -> tandem_chain::keys::PublicKey {
        proposer(&self.tip.next_table, self.tip.alive.as_deref(), self.state.height, round).holder
    }

    pub(super) fn is_my_turn(&self) -> bool {
        self.proposer_of(self.state.round) == self.me
    }

    /// Line 11: begins a round.
    pub(super) fn start_round(&mut self, now: Now, round: Round, effects: &mut Vec<Effect>) {
        self.state.round = round;
        self.state.began = now.instant;
        self.state.step = Step::Propose;
        self.state.timers = Timers::default();
        self.state.once = Once::default();
        self.state.prune();
        let idle = round == Round::ZERO && !self.has_work;
        let wait = if idle { self.tip.parameters.idle_block_interval() } else { Duration::ZERO };
        self.state.timers.propose = Some(now.instant.plus(wait + self.propose_timeout()));
        if let Some(proposed) = self.state.proposals.get(&round) {
            let block = proposed.block;
            self.check(block, effects);
            return;
        }
        if !self.is_my_turn() {
            return;
        }
        if self.valid.is_some() {
            self.propose_again(effects);
        } else if idle {
            self.state.timers.idle = Some(now.instant.plus(wait));
        } else {
            self.ask_for_block(effects);
        }
    }

    /// Begins a later round, but not without votes in the one before it: where none was cast, nil.
    ///
    /// The paper may leave a round without, since there everything that reaches one correct process
    /// reaches all. Here a faulty validator may have sent the vote that completed a quorum to this
    /// node alone. The others then lack this node's votes to follow: they need those of all correct
    /// nodes, and own votes, unlike others', are there after a restart.
    fn leave_for_round(&mut self, now: Now, round: Round, effects: &mut Vec<Effect>) {
        let last = round.back(1);
        if self.state.round < last {
            self.state.round = last;
            self.state.step = Step::Propose;
        }
        if self.state.step == Step::Propose {
            self.vote(now, Prevote, None, effects);
        }
        if self.state.step == Step::Prevote {
            self.vote(now, Precommit, None, effects);
        }
        self.start_round(now, round, effects);
    }

    /// Asks for a block after all when it is this node's turn, and the fetched block for which it was
    /// not asked for turned out to be none.
    pub(super) fn propose_if_due(&mut self, effects: &mut Vec<Effect>) {
        let HeightState { round, step, timers, proposals, committing, .. } = &self.state;
        let waits = timers.idle.is_some() || committing.is_some() || proposals.contains_key(round);
        if *step == Step::Propose && !waits && self.is_my_turn() {
            self.state.once.build = false;
            self.ask_for_block(effects);
        }
    }

    fn ask_for_block(&mut self, effects: &mut Vec<Effect>) {
        self.state.timers.idle = None;
        if self.valid.is_some() || self.catch_up.has(self.state.height) {
            return;
        }
        if !std::mem::replace(&mut self.state.once.build, true) {
            let (height, round) = (self.state.height, self.state.round);
            effects.push(Effect::Build { height, round });
        }
    }

    /// There are transactions now, or none any more: with some, the wait of an idle chain is over. In
    /// later rounds, which do not wait, nothing is sooner than it was.
    pub(super) fn on_work(&mut self, now: Now, has_work: bool) {
        self.has_work = has_work;
        if !has_work || self.state.step != Step::Propose {
            return;
        }
        if self.state.timers.idle.is_some() {
            self.state.timers.idle = Some(now.instant);
        }
        let sooner = now.instant.plus(self.propose_timeout());
        self.state.timers.propose = self.state.timers.propose.map(|at| at.min(sooner));
    }

    /// Applies every rule until none applies any more.
    pub(super) fn advance(&mut self, now: Now, effects: &mut Vec<Effect>) {
        while !self.halted && self.state.committing.is_none() && self.apply_one_rule(now, effects) {
        }
    }

    fn apply_one_rule(&mut self, now: Now, effects: &mut Vec<Effect>) -> bool {
        if let Some((round, block)) = self.state.votes.decided()
            && self.decide(round, block, effects)
        {
            return true;
        }
        if let Some(round) = self.state.votes.round_to_join(self.state.round) {
            self.leave_for_round(now, round, effects); // line 55
            return true;
        }
        self.prevote_on_proposal(now, effects)
            || self.precommit_on_quorum(now, effects)
            || self.leave_on_nil(now, effects)
            || self.arm_timers(now)
            || self.fire_timers(now, effects)
    }

    /// Lines 22 and 28: prevote for the round's proposal, or nil.
    fn prevote_on_proposal(&mut self, now: Now, effects: &mut Vec<Effect>) -> bool {
        if self.state.step != Step::Propose {
            return false;
        }
        let round = self.state.round;
        let Some(proposed) = self.state.proposals.get(&round) else { return false };
        let Proposed { block, valid_round, timely, .. } = *proposed;
        let Some(valid) = self.state.candidates.get(&block).and_then(|c| c.valid) else {
            return false;
        };
        let unlocked = match (self.journal.locked, valid_round) {
            (None, None) => true,
            (Some(lock), None) => lock.block == block,
            // It came with the quorum of prevotes, else it would not have been taken.
            (lock, Some(valid_round)) => {
                lock.is_none_or(|lock| lock.round <= valid_round || lock.block == block)
            }
        };
        let timely = timely || valid_round.is_some();
        let choice = (valid && timely && unlocked).then_some(block);
        self.vote(now, Prevote, choice, effects);
        true
    }

    /// Lines 36 and 44: a quorum of prevotes of this round.
    fn precommit_on_quorum(&mut self, now: Now, effects: &mut Vec<Effect>) -> bool {
        if self.state.step == Step::Propose {
            return false;
        }
        let round = self.state.round;
        match self.state.votes.quorum_block(Prevote, round) {
            Some(block) if self.state.is_valid(block) => {
                if self.valid.as_ref().is_some_and(|valid| valid.round == round) {
                    return false;
                }
                self.set_valid(round, block);
                if self.state.step == Step::Prevote {
                    self.journal.locked = Some(Lock { round, block });
                    self.vote(now, Precommit, Some(block), effects);
                }
                true
            }
            Some(_) => false,
            None => {
                let nil = self.state.step == Step::Prevote
                    && self.state.votes.quorum_for(Prevote, round, None);
                if nil {
                    self.vote(now, Precommit, None, effects);
                }
                nil
            }
        }
    }

    fn set_valid(&mut self, round: Round, block_id: BlockId) {
        let candidate = &self.state.candidates[&block_id];
        self.valid = Some(Valid {
            height: self.state.height,
            round,
            block_id,
            block: Arc::clone(&candidate.block),
            prevotes: self.state.votes.votes_for(Prevote, round, block_id),
        });
    }

    /// Lines 34 and 47: more than 2/3 of the power has voted, for whatever.
    fn arm_timers(&mut self, now: Now) -> bool {
        let round = self.state.round;
        let deadline = Some(now.instant.plus(self.vote_timeout()));
        let once = &mut self.state.once;
        if self.state.step == Step::Prevote
            && !once.prevote_timer
            && self.state.votes.quorum_of_any(Prevote, round)
        {
            once.prevote_timer = true;
            self.state.timers.prevote = deadline;
            return true;
        }
        if !once.precommit_timer && self.state.votes.quorum_of_any(Precommit, round) {
            once.precommit_timer = true;
            self.state.timers.precommit = deadline;
            return true;
        }
        false
    }

    /// A quorum of precommits for nil: no block can be decided in this round any more, so the
    /// timeout of line 47 is not waited for, while there are seats that have not had their turn. After
    /// that it is: where rounds end for nil by themselves, as when most clocks are behind the chain's,
    /// they must not race.
    fn leave_on_nil(&mut self, now: Now, effects: &mut Vec<Effect>) -> bool {
        let round = self.state.round;
        let seats = self.tip.next_table.seats().len() as u64;
        let nil = u64::from(round.0) < seats && self.state.votes.quorum_for(Precommit, round, None);
        if nil {
            self.leave_for_round(now, round.next(), effects);
        }
        nil
    }

    /// Lines 57, 61 and 65, and the end of a proposer's wait for transactions.
    fn fire_timers(&mut self, now: Now, effects: &mut Vec<Effect>) -> bool {
        let due = |timer: &mut Option<Instant>| timer.take_if(|at| *at <= now.instant).is_some();
        let timers = &mut self.state.timers;
        if due(&mut timers.idle) {
            self.ask_for_block(effects);
        } else if due(&mut timers.propose) {
            if self.state.step == Step::Propose {
                self.vote(now, Prevote, None, effects);
            }
        } else if due(&mut timers.prevote) {
            if self.state.step == Step::Prevote {
                self.vote(now, Precommit, None, effects);
            }
        } else if due(&mut timers.precommit) {
            self.leave_for_round(now, self.state.round.next(), effects);
        } else {
            return false;
        }
        true
    }

    /// Takes a proposal of this height whose proposer has been checked. The first one of a round
    /// counts.
    pub(super) fn accept_proposal(&mut self, proposal: Proposal, timely: bool) {
        let Proposal { round, valid_round, block_id, .. } = proposal;
        if self.state.proposals.contains_key(&round) {
            return;
        }
        let block = Arc::clone(&proposal.block);
        let new = Candidate { block, asked: false, valid: None };
        self.state.candidates.entry(block_id).or_insert(new);
        let proposed = Proposed { block: block_id, valid_round, timely, message: proposal };
        self.state.proposals.insert(round, proposed);
    }
}
