//! Messages from peers, and what peers are sent beside fresh votes: what they may lack, follow
//! messages, questions of a lost key.

use std::sync::Arc;

use tandem_chain::keys::PublicKey;
use tandem_chain::types::{BlockId, Height, Round};
use tandem_chain::vote::{Vote, VoteKind};

use super::height::HeightState;
use super::{Followed, OwedFollow, Replica, report};
use crate::effect::Effect;
use crate::journal::{Place, Signing, Slot};
use crate::limits::{FOLLOW_BEHIND, FOLLOWS_PER_GRACE, MAX_NEXT_VOTES_PER_VALIDATOR, RESEND_MAX};
use crate::message::{FollowBody, Message, Proposal};
use crate::time::{Instant, Now};
use crate::validate;
use crate::verify::Fault;
use crate::votes::{Added, is_holders, not_holder};

impl Replica {
    pub(super) fn on_message(
        &mut self,
        now: Now,
        from: PublicKey,
        message: Message,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(height) = message.claims() {
            self.catch_up.claim(&from, height);
        }
        match message {
            Message::Proposal(proposal) => self.on_proposal(now, from, *proposal, effects),
            Message::Vote(vote) => {
                self.note_clock(now, &vote);
                self.on_vote(from, &vote, effects);
            }
            Message::Follow(follow) => self.shown.follow(&follow.body),
            Message::Status { .. } => {}
            Message::LostQuery => {
                let committed = self.tip.height;
                effects.push(Effect::Send { to: from, message: Message::LostAnswer { committed } });
            }
            Message::LostAnswer { committed } => {
                self.catch_up.claim(&from, committed);
                if self.journal.guard.is_lost() {
                    self.recovery.answer(from, committed);
                }
            }
        }
    }

    fn on_vote(&mut self, from: PublicKey, vote: &Vote, effects: &mut Vec<Effect>) {
        if vote.validator_address == self.address {
            self.on_own_vote(vote, effects);
            return;
        }
        if vote.height <= self.tip.height {
            self.note_late_vote(vote);
        }
        if vote.height == self.state.height {
            let round = self.state.round;
            let added = self.state.votes.add(vote, round);
            self.after_vote(from, vote, added, effects);
        } else if vote.height == self.tip.height {
            let Some(votes) = self.previous.as_mut() else { return };
            let added = votes.add(vote, vote.round);
            self.after_vote(from, vote, added, effects);
        } else if vote.height == self.state.height.next() {
            if !is_holders(&self.tip.next_next_table, vote) {
                effects.push(report(from, not_holder(vote)));
                return;
            }
            let early = self.early.votes.entry(vote.validator_address).or_default();
            if early.len() < MAX_NEXT_VOTES_PER_VALIDATOR && early.iter().all(|(_, v)| v != vote) {
                early.push((from, vote.clone()));
            }
        }
    }

    /// A vote with this node's own signature: one that it does not know of means that the key runs
    /// twice.
    fn on_own_vote(&mut self, vote: &Vote, effects: &mut Vec<Effect>) {
        let Vote { height, round, kind, .. } = *vote;
        self.check_own_place(Place { height, round, step: kind.into() }, effects);
        let cast =
            self.journal.votes.iter().find(|own| {
                (own.height, own.round, own.kind) == (vote.height, vote.round, vote.kind)
            });
        if cast.is_some_and(|own| own.block != vote.block) && !self.halted {
            self.halt_as_doubled(height, round, effects);
        }
    }

    fn note_clock(&mut self, now: Now, vote: &Vote) {
        let HeightState { height, votes, clocks, .. } = &mut self.state;
        let of_another = vote.validator_address != self.address;
        if vote.height == *height && of_another && is_holders(votes.table(), vote) {
            clocks.note(vote.validator_index, vote.timestamp, now.wall);
        }
    }

    /// A late vote, too, shows that its sender follows: it voted for the block that was decided.
    fn note_late_vote(&mut self, vote: &Vote) {
        let tables = [&self.tip.table, &self.tip.next_table];
        let mut holders = tables.into_iter().flat_map(|table| table.validators());
        if let Some(block) = vote.block
            && let Some(voter) = holders.find(|v| v.address == vote.validator_address)
        {
            self.shown.voted(&voter.key, vote.height, block);
        }
    }

    fn after_vote(
        &mut self,
        from: PublicKey,
        vote: &Vote,
        added: Result<Added, Fault>,
        effects: &mut Vec<Effect>,
    ) {
        match added {
            Ok(Added::New | Added::Ignored) => {}
            Ok(Added::Conflict(earlier)) => {
                self.accuse(vote.validator_index, &earlier, vote, effects);
            }
            Err(fault) => effects.push(report(from, fault)),
        }
    }

    fn on_proposal(
        &mut self,
        now: Now,
        from: PublicKey,
        proposal: Proposal,
        effects: &mut Vec<Effect>,
    ) {
        if proposal.height == self.state.height.next() {
            self.keep_early(from, proposal, effects);
            return;
        }
        if proposal.height != self.state.height || self.state.committing.is_some() {
            return;
        }
        self.accuse_by_commit(&proposal.block.last_commit, effects);
        self.check_own_signature(&proposal.block.last_commit, effects);
        if proposal.proposer == self.me {
            let Proposal { height, round, .. } = proposal;
            self.check_own_place(Place { height, round, step: Signing::Proposal }, effects);
        }
        if self.halted || self.state.proposals.contains_key(&proposal.round) {
            return;
        }
        match self.judge_proposal(now, &proposal) {
            Ok(timely) => {
                if let Err(fault) = &timely {
                    effects.push(report(proposal.proposer, fault.clone()));
                }
                self.take_proposal(from, proposal, timely.is_ok(), effects);
            }
            Err(fault) => effects.push(report(from, fault)),
        }
    }

    /// Keeps a proposal for the next height: of each holder of a seat there the newest one.
    fn keep_early(&mut self, from: PublicKey, proposal: Proposal, effects: &mut Vec<Effect>) {
        let Proposal { height, round, proposer, .. } = proposal;
        if self.tip.next_next_table.by_key(&proposer).is_none() {
            let address = proposer.address();
            effects.push(report(from, Fault::NoSeat { what: "proposal", height, address }));
            return;
        }
        let kept = self.early.proposals.get(&proposer);
        if kept.is_none_or(|(_, kept)| kept.round < round) {
            self.early.proposals.insert(proposer, (from, proposal));
        }
    }

    /// Whether a proposal may be one of this height and round; inside, whether its time is within
    /// the bound.
    fn judge_proposal(&self, now: Now, proposal: &Proposal) -> Result<Result<(), Fault>, Fault> {
        let height = proposal.height;
        let expected = self.proposer_of(proposal.round);
        if proposal.proposer != expected {
            let (expected, got) = (expected.address(), proposal.proposer.address());
            return Err(Fault::NotProposer { height, expected, got });
        }
        let header = &proposal.block.header;
        let author = header.proposer_address;
        let Some(valid_round) = proposal.valid_round else {
            if author != expected.address() {
                let expected = expected.address();
                return Err(Fault::NotProposer { height, expected, got: author });
            }
            let bound = self.tip.parameters.max_clock_ahead();
            let ahead = header.time.since(now.wall);
            let millis =
                |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
            return Ok(if ahead <= bound {
                Ok(())
            } else {
                Err(Fault::ClockAhead { ahead_ms: millis(ahead), max_ms: millis(bound) })
            });
        };
        if !self.state.votes.is_quorum_of(&proposal.prevotes) {
            let what = "the prevotes in a proposal are not of more than 2/3 of the power";
            return Err(Fault::Inconsistent { what });
        }
        // The author had its turn in some round up to the valid one. Turns repeat.
        let seats = u32::try_from(self.tip.next_table.seats().len()).unwrap_or(u32::MAX);
        let last = valid_round.0.min(seats.saturating_mul(2));
        let was_its_turn = (0..=last).any(|r| self.proposer_of(Round(r)).address() == author);
        if was_its_turn {
            Ok(Ok(()))
        } else {
            Err(Fault::NotProposer { height, expected: expected.address(), got: author })
        }
    }

    fn take_proposal(
        &mut self,
        from: PublicKey,
        proposal: Proposal,
        timely: bool,
        effects: &mut Vec<Effect>,
    ) {
        for vote in &proposal.prevotes {
            self.on_vote(from, vote, effects);
        }
        let proposer = proposal.proposer;
        if self.halted || !self.state.make_room(proposal.round, &proposer) {
            return;
        }
        let Proposal { block_id: id, round, .. } = proposal;
        let block = Arc::clone(&proposal.block);
        let is_new = !self.state.candidates.contains_key(&id);
        self.accept_proposal(proposal, timely);
        if is_new && let Err(fault) = validate::check(&self.tip, &self.fixed, &block) {
            self.set_verdict(id, false);
            effects.push(report(proposer, fault));
        } else if round <= self.state.round {
            self.check(id, effects);
        }
    }

    /// Has the ledger check a candidate, once. Those of later rounds wait until their round begins or
    /// they are decided, so that nobody makes work with rounds that are never reached.
    pub(super) fn check(&mut self, id: BlockId, effects: &mut Vec<Effect>) {
        let candidate = self.state.candidates.get_mut(&id);
        if let Some(candidate) = candidate.filter(|c| c.valid.is_none() && !c.asked) {
            candidate.asked = true;
            effects.push(Effect::Check { id, block: Arc::clone(&candidate.block) });
        }
    }

    fn set_verdict(&mut self, id: BlockId, valid: bool) {
        if let Some(candidate) = self.state.candidates.get_mut(&id) {
            candidate.valid = Some(valid);
        }
    }

    /// The ledger has checked a candidate.
    pub(super) fn on_checked(
        &mut self,
        height: Height,
        id: BlockId,
        verdict: Result<(), tandem_chain::Error>,
        effects: &mut Vec<Effect>,
    ) {
        if height != self.state.height {
            return;
        }
        self.set_verdict(id, verdict.is_ok());
        if let Err(error) = verdict {
            let proposer = self.state.proposals.values().find(|p| p.block == id);
            if let Some(proposed) = proposer {
                effects.push(report(proposed.message.proposer, error.into()));
            }
        }
    }

    /// What came early for the height that begins now.
    pub(super) fn take_early(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let early = std::mem::take(&mut self.early);
        for (from, proposal) in early.proposals.into_values() {
            self.on_proposal(now, from, proposal, effects);
        }
        for (from, vote) in early.votes.into_values().flatten() {
            if vote.height == self.state.height {
                self.on_vote(from, &vote, effects);
            }
        }
    }

    /// A connection is up: the peer gets whatever it may lack.
    pub(super) fn on_connected(&mut self, now: Now, peer: PublicKey, effects: &mut Vec<Effect>) {
        self.catch_up.connected(peer);
        let mut messages = self.status_and_votes();
        messages.extend(self.round_proposal());
        if self.is_far_behind(now) {
            self.hold_follow(now);
        } else if let Some(follow) = self.follow_message() {
            messages.push(follow);
            let was_old = self.is_old(now);
            let followed = Followed { at: now.instant, was_old, hurried: None };
            self.followed.get_or_insert(followed);
        }
        if self.journal.guard.is_lost() {
            messages.push(Message::LostQuery);
        }
        let send = |message| Effect::Send { to: peer, message };
        effects.extend(messages.into_iter().map(send));
    }

    /// The height committed, and this node's own votes of the height.
    fn status_and_votes(&self) -> Vec<Message> {
        let mut messages = vec![Message::Status { committed: self.tip.height }];
        let votes = self.journal.votes.iter().rev();
        messages.extend(votes.map(|vote| Message::Vote(Box::new(vote.clone()))));
        messages
    }

    /// The round's proposal, unless it is invalid.
    fn round_proposal(&self) -> Option<Message> {
        let proposed = self.state.proposals.get(&self.state.round)?;
        let is_sound = !self.state.is_invalid(proposed.block);
        is_sound.then(|| Message::Proposal(Box::new(proposed.message.clone())))
    }

    /// Sends the round's proposal to holders that should have it by now and have not voted for its
    /// block. Each is sent it by a third of the others at a time, by turns: a block is large, and if
    /// all sent it to all, votes would wait behind it.
    fn resend_proposal(&self, now: Now, effects: &mut Vec<Effect>) {
        let HeightState { round, began, votes, resends, .. } = &self.state;
        let validators = votes.table().validators();
        let Some((me, _)) = votes.table().by_key(&self.me) else { return };
        if now.instant.since(*began) < self.propose_timeout() {
            return;
        }
        let Some(message) = self.round_proposal() else { return };
        let block = self.state.proposals.get(round).map(|proposed| proposed.block);
        for (index, validator) in (0u16..).zip(validators) {
            let vote = votes.vote_of(VoteKind::Prevote, *round, index);
            let has_it = vote.is_some_and(|vote| vote.block == block);
            let turn = (resends + me + usize::from(index)) % validators.len();
            if validator.key != self.me && !has_it && turn <= validators.len() / 3 {
                effects.push(Effect::Send { to: validator.key, message: message.clone() });
            }
        }
    }

    /// While a height takes long, what peers may lack is sent again from time to time.
    pub(super) fn resend_if_due(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let state = &mut self.state;
        if state.resend_at > now.instant {
            return;
        }
        state.resend_every = (state.resend_every * 2).min(RESEND_MAX);
        state.resend_at = now.instant.plus(state.resend_every);
        state.resends += 1;
        for message in self.status_and_votes() {
            Self::broadcast(effects, message);
        }
        self.resend_proposal(now, effects);
    }

    /// This node's follow message; none while it could not sign a vote, so that a node with a lost
    /// key is seen as dead.
    fn follow_message(&self) -> Option<Message> {
        let registered = self.tip.register.nodes.contains_key(&self.me);
        if !registered || !self.journal.guard.may_sign_at(self.state.height) {
            return None;
        }
        let body = FollowBody {
            node: self.me,
            height: self.tip.height,
            block: self.tip.block?,
            app_hash: self.tip.app_hash,
        };
        let follow = body.sign(&self.tip.chain_id, self.signer.as_ref());
        Some(Message::Follow(Box::new(follow)))
    }

    /// Whether no follow message goes until more is here: see [`FOLLOW_BEHIND`]. A clock that is off is
    /// no reason by itself: the others soon claim no more and no less than who keeps up with them.
    fn is_far_behind(&self, now: Now) -> bool {
        self.is_old(now) && self.catch_up.best_claim(&self.tip) != self.tip.height
    }

    /// Whether what this node has committed may soon be too old to be seen by.
    fn is_old(&self, now: Now) -> bool {
        now.wall.since(self.tip.time) > self.grace() / FOLLOW_BEHIND
    }

    /// A follow message is owed, and held back; not for longer than a grace, since a clock may be off
    /// and this node lack the newest block at each moment, and yet follow.
    fn hold_follow(&mut self, now: Now) {
        self.owed = match self.owed {
            OwedFollow::Held(since) if now.instant.since(since) >= self.grace() => OwedFollow::Yes,
            held @ OwedFollow::Held(_) => held,
            OwedFollow::No | OwedFollow::Yes => OwedFollow::Held(now.instant),
        };
    }

    /// When the follow message that is owed may go.
    pub(super) fn follow_due(&self) -> Option<Instant> {
        let is_owed = self.owed == OwedFollow::Yes;
        let can = is_owed && self.journal.guard.may_sign_at(self.state.height);
        let pause = self.grace() / FOLLOWS_PER_GRACE;
        can.then(|| self.followed.map_or(Instant::default(), |followed| followed.at.plus(pause)))
    }

    pub(super) fn follow_if_due(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if self.owed != OwedFollow::No && self.is_far_behind(now) {
            self.hold_follow(now);
        } else if self.owed != OwedFollow::No {
            self.owed = OwedFollow::Yes;
        }
        let Some(due) = self.follow_due() else { return };
        let was_old = self.is_old(now);
        // A process that stood still knows of no newer block when it goes on. It is not left with what it
        // said then until the pause is over; once a grace.
        let last = self.followed.filter(|last| last.was_old && !was_old);
        let is_long_ago = |at: Instant| now.instant.since(at) >= self.grace();
        let may_hurry = last.is_some_and(|last| last.hurried.is_none_or(is_long_ago));
        let hurries = due > now.instant;
        if hurries && !may_hurry {
            return;
        }
        self.owed = OwedFollow::No;
        if let Some(follow) = self.follow_message() {
            let before = self.followed.and_then(|last| last.hurried);
            let hurried = if hurries { Some(now.instant) } else { before };
            self.followed = Some(Followed { at: now.instant, was_old, hurried });
            Self::broadcast(effects, follow);
        }
    }

    /// Asks, and listens to the answers, while the key is lost.
    pub(super) fn recover_key(&mut self, now: Now, effects: &mut Vec<Effect>) {
        if !self.journal.guard.is_lost() {
            return;
        }
        let table = &self.tip.next_table;
        if let Some(height) = self.recovery.resolved(&self.me, table, self.tip.height) {
            self.journal.guard.recover(height);
            effects.push(Effect::Persist(vec![(Slot::Journal, self.encoded_journal())]));
        } else if self.recovery.is_query_due(now.instant) {
            Self::broadcast(effects, Message::LostQuery);
        }
    }
}
