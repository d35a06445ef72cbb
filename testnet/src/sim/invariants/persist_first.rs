//! 5. Persist before send: whatever a crash at this moment would leave of the disk holds what is
//!    being sent, and for a precommit the lock and the valid value that go with it.

use tandem_chain::keys::PublicKey;
use tandem_chain::vote::{Vote, VoteKind};
use tandem_consensus::journal::Slot;
use tandem_consensus::message::{Message, Proposal};

use super::{Verdict, broken};
use crate::sim::disk::Image;

const RULE: &str = "5 persist before send";

/// A proposal or vote of its own leaves a correct node for the first time.
pub(super) fn sent(key: &PublicKey, message: &Message, disk: &Image) -> Verdict {
    match message {
        Message::Proposal(proposal) => of_proposal(key, proposal, disk),
        Message::Vote(vote) => of_vote(key, vote, disk),
        _ => Ok(()),
    }
}

fn of_proposal(key: &PublicKey, proposal: &Proposal, disk: &Image) -> Verdict {
    let place = (proposal.height, proposal.round);
    let last = disk.journal().and_then(|journal| journal.guard.last());
    let is_recorded = last.is_some_and(|p| (p.height, p.round) >= place);
    if !is_recorded || !disk.holds(Slot::Proposal, proposal) {
        let (height, round) = place;
        return broken(RULE, format!("{key} sends a proposal of {height}/{round} that is not"));
    }
    Ok(())
}

fn of_vote(key: &PublicKey, vote: &Vote, disk: &Image) -> Verdict {
    let Vote { height, round, kind, .. } = *vote;
    let lacks = |what| broken(RULE, format!("{key} sends a {kind:?} of {height}/{round}: {what}"));
    let Some(journal) = disk.journal() else { return lacks("there is no journal") };
    let last = journal.guard.last();
    // One input may take a node through several rounds, with one write for all. What no peer needs any
    // more is not kept for them: the guard alone stands for it.
    let decides = kind == VoteKind::Precommit && vote.block.is_some();
    let is_past = !decides && last.is_some_and(|last| last.round.0 > round.0 + 1);
    if journal.height != height || !(is_past || journal.votes.contains(vote)) {
        return lacks("it is not durable");
    }
    if last.is_none_or(|last| (last.height, last.round, last.step) < (height, round, kind.into())) {
        return lacks("the guard is not durable");
    }
    let (VoteKind::Precommit, Some(block)) = (kind, vote.block) else { return Ok(()) };
    if journal.locked.is_none_or(|lock| lock.round < round) {
        return lacks("its lock is not durable");
    }
    if disk.valid_at().is_none_or(|(of, at)| of != height || at < round) {
        return lacks("its valid value is not durable");
    }
    let locked = journal.locked.filter(|lock| lock.round == round);
    if locked.is_some_and(|lock| lock.block != block) {
        return lacks("its lock is on another block");
    }
    Ok(())
}
