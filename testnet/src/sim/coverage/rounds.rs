//! Which rules a correct node's replica applied, found out from what it was given, what came out of
//! it, and the round that it shows.

use tandem_chain::block::CertifiedBlock;
use tandem_chain::keys::PublicKey;
use tandem_chain::roles::RoleTable;
use tandem_chain::types::Round;
use tandem_chain::vote::VoteKind::Precommit;
use tandem_consensus::message::{Message, Proposal};
use tandem_consensus::verify::Fault;
use tandem_consensus::{Effect, Replica, View};

use super::part::{Cause, Part, Proposed};
use super::{Rule, Tally};

/// How the round changed while one input was handled.
pub(super) struct Change {
    pub before: Round,
    pub now: Round,
    /// Own votes that were cast before.
    pub cast: usize,
    /// More than 1/3 of the power was in the new round or later.
    pub joins: bool,
    /// More than 2/3 had precommitted nil in the round before, without a vote of now.
    pub nil: bool,
    /// This node has precommitted nil in the round before now.
    pub precommits_nil: bool,
}

impl Part {
    /// The replica has handled the input.
    pub fn gave(&mut self, effects: &[Effect], replica: &Replica, hits: &mut Tally<Rule>) {
        let is_quiet = match self.cause {
            Cause::Vote { round, nil } => round <= self.round && !nil,
            Cause::Other => true,
            _ => false,
        };
        if is_quiet && effects.is_empty() {
            return;
        }
        let view = replica.view();
        let change = self.change(effects, &view);
        for effect in effects {
            match effect {
                Effect::Broadcast(Message::Vote(vote)) => self.ballots.add(vote),
                Effect::Report { fault, .. } => self.reported(fault, hits),
                _ => {}
            }
        }
        for effect in effects {
            match effect {
                Effect::Broadcast(message) => self.sent(message, None, &change, hits),
                Effect::Send { to, message } => self.sent(message, Some(to), &change, hits),
                Effect::Build { round, .. } => {
                    self.build = match (*round, self.cause) {
                        (Round::ZERO, Cause::Wakeup) => Rule::NewAfterIdle,
                        (Round::ZERO, Cause::Work) => Rule::NewByWork,
                        (Round::ZERO, _) => Rule::NewAtOnce,
                        _ => Rule::NewLater,
                    };
                }
                Effect::Commit(block) => self.decided(block, &change, hits),
                Effect::Fetch { .. } => hits.hit(Rule::Fetch),
                Effect::DoubleSign { one, .. } => match self.cause {
                    Cause::Vote { .. } => hits.hit(Rule::AccusedByVote),
                    // Prevotes are in proposals that are made again.
                    Cause::Proposal(_) | Cause::Verified if one.kind == Precommit => {
                        hits.hit(Rule::AccusedByCommit);
                    }
                    _ => {}
                },
                _ => {}
            }
        }
        self.entered(&change, hits);
        self.looked_at(&view, effects, hits);
    }

    fn change(&self, effects: &[Effect], view: &View) -> Change {
        let (before, now) = (self.round, view.round);
        let is_of_before = match self.cause {
            Cause::Vote { round, .. } => round < now,
            cause => cause == Cause::Wakeup,
        };
        let precommits_nil = effects.iter().any(|effect| {
            let Effect::Broadcast(Message::Vote(vote)) = effect else { return false };
            let place = (vote.round, vote.kind);
            place == (before, Precommit) && vote.block.is_none() && !self.cast.contains(&place)
        });
        Change {
            before,
            now,
            cast: self.cast.len(),
            joins: now > before && !is_of_before && self.ballots.third_from(now),
            nil: now > before && self.ballots.quorum(Precommit, before, None),
            precommits_nil,
        }
    }

    /// The round that the replica is in now: how it came there.
    fn entered(&mut self, change: &Change, hits: &mut Tally<Rule>) {
        let Change { before, now, .. } = *change;
        self.round = now;
        if now <= before {
            return;
        }
        let is_late = self.cause == Cause::Wakeup && now == before.next();
        let votes_now = self.cast[change.cast..].contains(&(before, Precommit));
        if change.joins {
            hits.hit(Rule::Join);
        } else if self.ballots.quorum(Precommit, before, None) {
            match (self.is_second_pass(before), is_late && !votes_now) {
                (false, false) => hits.hit(Rule::NilRound),
                (true, true) => hits.hit(Rule::NilRoundWaits),
                _ => {}
            }
        } else if is_late && self.ballots.quorum_of_any(Precommit, before) {
            hits.hit(Rule::RoundTimeout);
        }
        let parameters = &self.tip.parameters;
        let grown = parameters.timeout_step_ms * u64::from(now.0);
        if parameters.propose_timeout_ms + grown >= parameters.timeout_max_ms {
            hits.hit(Rule::Capped);
        }
    }

    /// A message leaves the replica, to one peer or to all.
    fn sent(
        &mut self,
        message: &Message,
        to: Option<&PublicKey>,
        change: &Change,
        hits: &mut Tally<Rule>,
    ) {
        match message {
            Message::Vote(vote) => {
                let place = (vote.round, vote.kind);
                if to.is_none() && !self.cast.contains(&place) {
                    self.cast.push(place);
                    self.voted |= vote.block.is_some();
                    if let Some(rule) = self.voted(vote, change) {
                        hits.hit(rule);
                    }
                    if let Some(observation) = &vote.observation {
                        let all = observation.seen.iter().all(|bit| bit);
                        hits.hit(if all { Rule::SeesAll } else { Rule::SeesSome });
                    }
                    return;
                }
                if self.restored.contains(vote) {
                    hits.hit(Rule::RestartVotes);
                }
                hits.hit(if to.is_some() { Rule::ResentToPeer } else { Rule::ResentToAll });
            }
            Message::Proposal(proposal) if to.is_none() => self.proposed(proposal, hits),
            Message::Proposal(proposal) => {
                if proposal.proposer == self.key && self.restored_proposal == Some(proposal.round) {
                    hits.hit(Rule::RestartProposal);
                } else if self.cause != Cause::Connected {
                    hits.hit(Rule::ResentProposal);
                }
            }
            Message::Follow(_) if to.is_none() => {
                let has = |table: &RoleTable| table.by_key(&self.key).is_some();
                match (has(&self.tip.table), has(&self.tip.next_table), self.voted_at_tip) {
                    (false, false, _) => hits.hit(Rule::Follows),
                    (true, _, Some(false)) => hits.hit(Rule::FollowsUnvoted),
                    _ => {}
                }
            }
            Message::LostQuery => hits.hit(Rule::KeyAsks),
            Message::Follow(_) | Message::Status { .. } | Message::LostAnswer { .. } => {}
        }
    }

    fn proposed(&mut self, proposal: &Proposal, hits: &mut Tally<Rule>) {
        let Proposal { round, valid_round, block_id: block, .. } = *proposal;
        match valid_round {
            None => hits.hit(self.build),
            Some(valid) if self.ballots.prove(&proposal.prevotes, valid, block) => {
                hits.hit(Rule::Again);
                if self.lock != Some((valid, block)) {
                    hits.hit(Rule::AgainUnlocked);
                }
            }
            Some(_) => {}
        }
        if self.is_second_pass(round) {
            hits.hit(Rule::SecondPass);
        } else if self.turns(round).len() < self.ballots.table().seats().len() {
            hits.hit(Rule::LeftOut);
        }
        self.proposals.insert(round, Proposed { block, valid_round, is_ahead: false });
        self.verdicts.insert(block, true);
    }

    fn decided(&mut self, block: &CertifiedBlock, change: &Change, hits: &mut Tally<Rule>) {
        if self.cause == Cause::Verified {
            hits.hit(Rule::DecideFetched);
            return;
        }
        let commit = &block.certificate.commit;
        if !self.ballots.quorum(Precommit, commit.round, commit.block) {
            return;
        }
        if commit.round == change.now {
            hits.hit(Rule::Decide);
        } else if commit.round < change.now {
            hits.hit(Rule::DecideEarlier);
        }
        if matches!(self.cause, Cause::Proposal(_) | Cause::Checked)
            && self.cast.len() == change.cast
        {
            hits.hit(Rule::DecideBlockLast);
        }
    }

    fn reported(&mut self, fault: &Fault, hits: &mut Tally<Rule>) {
        match (fault, self.cause) {
            (Fault::Chain(_), Cause::Proposal(block)) => {
                self.verdicts.insert(block, false);
                hits.hit(Rule::HeaderRefused);
            }
            (Fault::Chain(_), Cause::Checked) => hits.hit(Rule::ContentRefused),
            (Fault::Fetch { .. }, _) => hits.hit(Rule::FetchUnanswered),
            (_, Cause::Fetched | Cause::Verified) => hits.hit(Rule::FetchRefused),
            (Fault::NotHolder { .. }, _) => hits.hit(Rule::NotHolder),
            (Fault::NotProposer { .. }, _) => hits.hit(Rule::OutOfTurn),
            _ => {}
        }
    }

    fn looked_at(&mut self, view: &View, effects: &[Effect], hits: &mut Tally<Rule>) {
        if self.key_lost && !view.key_lost {
            hits.hit(Rule::KeyRecovers);
        }
        self.key_lost = view.key_lost;
        self.silent = view.key_lost || view.silent_through >= view.height;
        match self.cause {
            Cause::Executed => {
                if view.clock_off_ms.is_some() {
                    hits.hit(Rule::ClockOff);
                }
                if !view.clocks_ahead.is_empty() {
                    hits.hit(Rule::ClockAhead);
                }
            }
            Cause::Connected => {
                let can = self.tip.register.nodes.contains_key(&self.key)
                    && self.tip.block.is_some()
                    && !self.silent;
                let is_follow = |effect: &Effect| {
                    matches!(effect, Effect::Send { message: Message::Follow(_), .. })
                };
                if can && !effects.iter().any(is_follow) {
                    hits.hit(Rule::FollowsNot);
                }
            }
            _ => {}
        }
    }
}
