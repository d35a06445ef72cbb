//! Rounds end: timeouts grow by a step a round and are capped, so a node waits no longer than they
//! say; none is left without votes in it; what is decided is committed at once; and a node that comes
//! back goes on in the round in which it last signed.
//!
//! The replica has its deadlines kept to the nanosecond here, so nothing is added to them. What it
//! *surely* has heard sets them: see [`super::heard`].

use tandem_chain::vote::VoteKind;
use tandem_consensus::Step;

use super::heard::Heard;
use super::licence::timeout;
use super::seats::Seats;
use super::signed::Signed;
use super::{Verdict, broken};
use crate::sim::queue::{MS, Time};

const RULE: &str = "rounds end";

/// Times at which the round that a node is in must go on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rounds {
    propose: Time,
    prevote: Option<Time>,
    precommit: Option<Time>,
}

impl Rounds {
    /// Those of a round that begins now.
    pub fn begin(seats: &Seats, height: u64, round: u32, now: Time) -> Self {
        let parameters = seats.parameters_at(height);
        let wait = if round == 0 { parameters.idle_block_interval_ms * MS } else { 0 };
        let propose = now + wait + timeout(parameters, parameters.propose_timeout_ms, round);
        Self { propose, prevote: None, precommit: None }
    }

    /// A node has handled an input, and works in the same round as before.
    pub fn look(&mut self, seats: &Seats, heard: &mut Heard, now: Time, who: &str) -> Verdict {
        if heard.deciding {
            return Ok(());
        }
        let (height, round) = (heard.height, heard.round);
        let late = |what: &str| broken(RULE, format!("{who} at {height}/{round} {what}"));
        if std::mem::take(&mut heard.has_news) {
            if let Some((of, block)) = heard.decided() {
                return late(&format!("has a certificate of round {of} for {block}, and waits"));
            }
            let parameters = seats.parameters_at(height);
            let due = now + timeout(parameters, parameters.vote_timeout_ms, round);
            if heard.step == Step::Prevote && heard.surely_has_any((round, VoteKind::Prevote)) {
                self.prevote.get_or_insert(due);
            }
            if heard.surely_has_any((round, VoteKind::Precommit)) {
                self.precommit.get_or_insert(due);
            }
        }
        let is_over = |due: Option<Time>| due.is_some_and(|due| now >= due);
        match heard.step {
            Step::Propose if now >= self.propose => late("waits too long for a proposal"),
            Step::Prevote if is_over(self.prevote) => late("waits too long for prevotes"),
            _ if is_over(self.precommit) => late("waits too long for precommits"),
            _ => Ok(()),
        }
    }
}

/// A node that holds a seat and may sign has left for another round of the same height.
pub(super) fn left(signed: &Signed, height: u64, round: u32, who: &str) -> Verdict {
    let has = |kind| signed.has_voted((height, round - 1, kind));
    if has(VoteKind::Prevote) && has(VoteKind::Precommit) {
        return Ok(());
    }
    broken(RULE, format!("{who} begins round {height}/{round} without votes in the one before"))
}

/// A process has started.
pub(super) fn restarted(signed: &Signed, height: u64, round: u32, who: &str) -> Verdict {
    let last = signed.last_round(height);
    if round >= last {
        return Ok(());
    }
    broken(RULE, format!("{who} goes on at {height}/{round}, and has signed in round {last}"))
}
