//! What correct nodes do, held against what they have heard: each new vote, proposal, follow message
//! and decision is handed to the invariants that judge such.

use std::rc::Rc;

use tandem_chain::block::CertifiedBlock;
use tandem_chain::keys::PublicKey;
use tandem_chain::types::{Height, Round};
use tandem_chain::vote::{Vote, VoteKind};
use tandem_consensus::message::{Follow, Message, Proposal};
use tandem_consensus::verify::Fault;
use tandem_consensus::{Effect, Step};

use super::heard::Heard;
use super::licence::Licence;
use super::liveness::Liveness;
use super::reports;
use super::rounds::{self, Rounds};
use super::signed::Signing;
use super::watch::{Followed, Moment, Process, Watch};
use super::{Chain, Member, Verdict, broken};

/// Follow messages that a node sends to all in one grace.
const FOLLOWS: u64 = 4;

/// A block is old when it was made longer ago than the grace divided by this.
const OLD: u64 = 2;

/// By whom something is done, and when.
#[derive(Clone, Copy)]
pub(super) struct By<'a> {
    pub node: usize,
    pub at: Moment,
    pub chain: &'a Chain,
}

impl Watch {
    /// What the replica of a correct node has made of an input.
    ///
    /// # Errors
    /// The invariant that does not hold.
    pub(super) fn acts(
        &mut self,
        by: By,
        place: (Height, Round, Step),
        effects: &[Effect],
        liveness: &mut Liveness,
    ) -> Verdict {
        let Some(mut process) = self.processes[by.node].take() else { return Ok(()) };
        process.heard.note_wall(by.at.wall);
        let verdict = self.judge(by, place, effects, liveness, &mut process);
        self.processes[by.node] = Some(process);
        verdict
    }

    fn judge(
        &mut self,
        by: By,
        place: (Height, Round, Step),
        effects: &[Effect],
        liveness: &mut Liveness,
        process: &mut Process,
    ) -> Verdict {
        let Member { key, address, .. } = self.members[by.node];
        for effect in effects {
            match effect {
                Effect::Send { message, .. } | Effect::Broadcast(message) => match message {
                    Message::Vote(vote) if vote.validator_address == address => {
                        self.voted(by, vote, liveness, process)?;
                    }
                    Message::Proposal(proposal) if proposal.proposer == key => {
                        self.proposed(by, proposal, process)?;
                    }
                    Message::Follow(follow) => {
                        let to_all = matches!(effect, Effect::Broadcast(_));
                        self.followed(by, follow, to_all, process)?;
                    }
                    _ => {}
                },
                Effect::Commit(block) => self.decided(by, block, process)?,
                Effect::Fetch { from, first, .. } => process.heard.asked(from.address(), *first),
                Effect::Report { peer, fault } => self.reported(by, peer, fault, process)?,
                _ => {}
            }
        }
        self.moved(by, place, process)
    }

    fn reported(&self, by: By, peer: &PublicKey, fault: &Fault, process: &Process) -> Verdict {
        let of = self.members.iter().find(|member| member.key == *peer);
        let Some(of) = of.filter(|member| member.is_correct) else { return Ok(()) };
        if let Fault::NotHolder { height, address, .. } = fault
            && self
                .by_address
                .get(address)
                .is_some_and(|node| self.is_in_other_hands(*node, *height))
        {
            // The vote is not its own: its key was unknown when that was cast, and has come since.
            return Ok(());
        }
        let (who, of) = (&self.members[by.node].name, (of.name.as_ref(), of.address));
        reports::reported(who, of, fault, &process.heard, by.at.wall)
    }

    /// Where the node stands after an input.
    fn moved(
        &mut self,
        by: By,
        (height, round, step): (Height, Round, Step),
        process: &mut Process,
    ) -> Verdict {
        let By { node, at, chain } = by;
        let Process { heard, rounds, is_new, .. } = process;
        let (key, who) = (self.members[node].key, self.members[node].name.as_ref());
        let (height, round) = (height.0, round.0);
        if height != heard.height || round < heard.round {
            let (before, of) = (heard.height, heard.round);
            let what = format!("{who} goes to {height}/{round} from {before}/{of}");
            return broken("rounds end", what);
        }
        if std::mem::take(is_new) && self.lost[node].signs(height) {
            rounds::restarted(&self.signed[node], height, round, who)?;
        }
        if round > heard.round {
            self.licence(by, heard).round(round)?;
            let holds = heard.order.iter().any(|seat| seat.holder == key);
            if holds && self.lost[node].signs(height) {
                rounds::left(&self.signed[node], height, round, who)?;
            }
            (heard.round, heard.began, heard.has_news) = (round, at.now, true);
            *rounds = Rounds::begin(&chain.seats, height, round, at.now);
        }
        heard.has_news |= heard.step != step;
        heard.step = step;
        rounds.look(&chain.seats, heard, at.now, who)?;
        self.lost[node].look(&heard.order, &key, height - 1);
        Ok(())
    }

    fn licence<'a>(&'a self, by: By<'a>, heard: &'a Heard) -> Licence<'a> {
        Licence {
            seats: &by.chain.seats,
            heard,
            signed: &self.signed[by.node],
            members: &self.members,
            by_address: &self.by_address,
            now: by.at.now,
            wall: by.at.wall,
            who: &self.members[by.node].name,
        }
    }

    fn voted(
        &mut self,
        by: By,
        vote: &Vote,
        liveness: &mut Liveness,
        process: &mut Process,
    ) -> Verdict {
        let By { node, at, chain } = by;
        let Process { heard, eyes, .. } = process;
        let who = Rc::clone(&self.members[node].name);
        let place = (vote.height.0, vote.round.0, vote.kind);
        // A licence looks at what was signed before.
        let licence = self.licence(by, heard).vote(vote);
        match self.signed[node].vote(place, vote.block) {
            Signing::Again => return Ok(()),
            Signing::Contradicts => {
                let what = format!("{who} votes twice at {}/{}", vote.height, vote.round);
                return broken("4 no double signing", what);
            }
            Signing::New => self.licences += 1,
        }
        self.lost[node].check(vote.height.0, &who)?;
        licence?;
        heard.vote(vote, at.now, true);
        let (VoteKind::Precommit, Some(block)) = (vote.kind, vote.block) else { return Ok(()) };
        let Some(observation) = &vote.observation else {
            return broken("observations", format!("{who} precommits without one"));
        };
        self.bits += observation.seen.len() as u64;
        eyes.observes(chain, heard, block, &observation.seen, &who)?;
        liveness.observed(at.now, node, heard.height, &observation.seen, &eyes.heard_at, chain)
    }

    fn proposed(&mut self, by: By, proposal: &Proposal, process: &mut Process) -> Verdict {
        let By { node, at, .. } = by;
        let (heard, who) = (&mut process.heard, Rc::clone(&self.members[node].name));
        let place = (proposal.height.0, proposal.round.0);
        let valid_round = proposal.valid_round.map(|round| round.0);
        let licence = self.licence(by, heard).proposal(proposal);
        let signing = self.signed[node].proposal(place, proposal.block_id, valid_round);
        if signing == Signing::Contradicts {
            let what = format!("{who} proposes twice at {}/{}", place.0, place.1);
            return broken("4 no double signing", what);
        }
        if signing == Signing::New {
            self.licences += 1;
            self.lost[node].check(proposal.height.0, &who)?;
            licence?;
        }
        // A process before this one may have made it, and died over it.
        heard.proposed(proposal, at.wall);
        Ok(())
    }

    fn followed(
        &mut self,
        by: By,
        follow: &Follow,
        to_all: bool,
        process: &mut Process,
    ) -> Verdict {
        let By { node, at, chain } = by;
        let (body, heard, who) = (&follow.body, &process.heard, &self.members[node].name);
        self.lost[node].check(heard.height, who)?;
        let height = body.height.0;
        let says = (Some(body.block), Some(body.app_hash));
        if height + 1 != heard.height || says != (chain.id(height), chain.state(height)) {
            let what = format!("{who} says that it follows at {height}, and says it wrongly");
            return broken("observations", what);
        }
        if !to_all {
            return Ok(());
        }
        // After one that names an old block, another that names a new one need not wait, once a grace.
        let grace = chain.grace_at(heard.height);
        let was_old = at.wall > chain.seats.time(height) + grace / OLD;
        let last = process.followed;
        let mut hurried = last.and_then(|last| last.hurried);
        if let Some(last) = last.filter(|last| at.now < last.at + grace / FOLLOWS) {
            let is_first = hurried.is_none_or(|before| at.now >= before + grace);
            if was_old || !last.was_old || !is_first {
                let what = format!("{who} says more than four times a grace that it follows");
                return broken("observations", what);
            }
            hurried = Some(at.now);
        }
        process.followed = Some(Followed { at: at.now, was_old, hurried });
        Ok(())
    }

    fn decided(&mut self, by: By, block: &CertifiedBlock, process: &mut Process) -> Verdict {
        let Process { heard, eyes, .. } = process;
        self.licence(by, heard).commit(block)?;
        let commit = &block.certificate.commit;
        let signers = commit.signatures.iter().enumerate().filter(|(_, sig)| sig.is_some());
        if let Some(id) = commit.block {
            eyes.decides(heard, id, signers.map(|(seat, _)| seat));
        }
        heard.deciding = true;
        Ok(())
    }
}
