//! Where in their effects correct nodes crashed: before one, after it, and for what takes time or
//! goes to several peers, while it was under way.

use std::collections::BTreeSet;
use std::fmt;

use tandem_chain::vote::{Vote, VoteKind};
use tandem_consensus::Effect;
use tandem_consensus::message::Message;

use super::{Row, rows};
use crate::sim::node::Process;

rows! {
    /// A kind of effect. The values that are persisted are told by what leaves after them.
    Kind {
        PersistProposal: "persist a proposal, and the prevote for it",
        PersistPrevote: "persist a prevote",
        PersistPrevoteNil: "persist a prevote for nil",
        PersistPrecommit: "persist a precommit with lock and valid value",
        PersistPrecommitNil: "persist a precommit for nil",
        PersistKey: "persist that the key is good again",
        Proposal: "send a proposal",
        Prevote: "send a prevote",
        PrevoteNil: "send a prevote for nil",
        Precommit: "send a precommit",
        PrecommitNil: "send a precommit for nil",
        Follow: "send a follow message",
        Status: "send the height committed",
        LostKey: "ask about a lost key, or answer",
        Commit: "execute and store a block",
        Other: "build, check, fetch, verify, tell",
    }
}

impl Kind {
    /// The kind of an effect; `rest` are those that came with it, behind it.
    #[must_use]
    pub fn of(effect: &Effect, rest: &[Effect]) -> Self {
        match effect {
            Effect::Persist(_) => Self::of_persist(rest),
            Effect::Send { message, .. } | Effect::Broadcast(message) => match message {
                Message::Proposal(_) => Self::Proposal,
                Message::Vote(vote) => Self::of_vote(vote),
                Message::Follow(_) => Self::Follow,
                Message::Status { .. } => Self::Status,
                Message::LostQuery | Message::LostAnswer { .. } => Self::LostKey,
            },
            Effect::Commit(_) => Self::Commit,
            _ => Self::Other,
        }
    }

    /// One write holds all that leaves for one input: its last vote tells most.
    fn of_persist(rest: &[Effect]) -> Self {
        let messages = || {
            rest.iter().filter_map(|effect| match effect {
                Effect::Broadcast(message) => Some(message),
                _ => None,
            })
        };
        if messages().any(|message| matches!(message, Message::Proposal(_))) {
            return Self::PersistProposal;
        }
        let mut votes = messages().filter_map(|message| match message {
            Message::Vote(vote) => Some(vote),
            _ => None,
        });
        match votes.next_back().map(|vote| Self::of_vote(vote)) {
            Some(Self::Prevote) => Self::PersistPrevote,
            Some(Self::PrevoteNil) => Self::PersistPrevoteNil,
            Some(Self::Precommit) => Self::PersistPrecommit,
            Some(_) => Self::PersistPrecommitNil,
            None => Self::PersistKey,
        }
    }

    fn of_vote(vote: &Vote) -> Self {
        match (vote.kind, vote.block) {
            (VoteKind::Prevote, Some(_)) => Self::Prevote,
            (VoteKind::Prevote, None) => Self::PrevoteNil,
            (VoteKind::Precommit, Some(_)) => Self::Precommit,
            (VoteKind::Precommit, None) => Self::PrecommitNil,
        }
    }

    fn takes_time(self) -> bool {
        self != Self::Other
    }

    /// Whether it is a write that is synced.
    #[must_use]
    pub fn is_persist(self) -> bool {
        matches!(
            self,
            Self::PersistProposal
                | Self::PersistPrevote
                | Self::PersistPrevoteNil
                | Self::PersistPrecommit
                | Self::PersistPrecommitNil
                | Self::PersistKey
        )
    }

    /// Whether it is a message, to all peers or to one.
    #[must_use]
    pub fn is_message(self) -> bool {
        !self.is_persist() && self != Self::Commit && self != Self::Other
    }
}

/// When a node crashed, seen from an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum When {
    /// It was the next.
    Before,
    /// Its fsync or its execution was under way, or it had reached some of the peers.
    During,
    /// It was the last, and done.
    After,
}

/// A place of a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    /// The effect.
    pub kind: Kind,
    /// When.
    pub when: When,
}

impl Point {
    /// Whether there is such a place: some effects take no time.
    #[must_use]
    pub fn exists(self) -> bool {
        self.when != When::During || self.kind.takes_time()
    }
}

impl Row for Point {
    fn all() -> Vec<Self> {
        let moments = [When::Before, When::During, When::After];
        let all = Kind::all().into_iter().flat_map(|kind| moments.map(|when| Self { kind, when }));
        all.filter(|point| point.exists()).collect()
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let when = match self.when {
            When::Before => "before",
            When::During => "during",
            When::After => "after",
        };
        write!(f, "{when}: {}", self.kind)
    }
}

/// How far a process is with its effects.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    last: Option<Kind>,
    under_way: BTreeSet<Kind>,
    next: Option<Kind>,
}

impl Progress {
    /// An effect is about to be carried out.
    pub fn comes_to(&mut self, kind: Kind) {
        self.next = Some(kind);
    }

    /// It is being carried out; it is done at once, unless it takes time.
    pub fn begins(&mut self, kind: Kind) {
        self.next = None;
        if kind.takes_time() {
            self.under_way.insert(kind);
        } else {
            self.last = Some(kind);
        }
    }

    /// Whether it is at a place now.
    #[must_use]
    pub fn is_at(&self, Point { kind, when }: Point) -> bool {
        match when {
            When::Before => self.next == Some(kind),
            When::During => self.under_way.contains(&kind),
            When::After => self.last == Some(kind),
        }
    }

    /// It is done.
    pub fn ended(&mut self, kind: Kind) {
        self.under_way.remove(&kind);
        self.last = Some(kind);
    }
}

/// Where a process is that dies now.
pub(super) fn points(process: &Process) -> Vec<Point> {
    let Progress { last, under_way, next } = &process.progress;
    let next = next.or(process.effects.front().map(|(kind, _)| *kind));
    let during = under_way.iter().map(|kind| (When::During, *kind));
    let others = [(When::Before, next), (When::After, *last)];
    let others = others.into_iter().filter_map(|(when, kind)| Some((when, kind?)));
    let points = during.chain(others).map(|(when, kind)| Point { kind, when });
    points.filter(|point| point.exists()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_time_is_under_way_until_it_has_ended() {
        let at = |progress: &Progress, kind, when| progress.is_at(Point { kind, when });
        let mut progress = Progress::default();
        progress.comes_to(Kind::PersistPrevote);
        assert!(at(&progress, Kind::PersistPrevote, When::Before));
        progress.begins(Kind::PersistPrevote);
        assert!(at(&progress, Kind::PersistPrevote, When::During));
        progress.comes_to(Kind::Other);
        progress.begins(Kind::Other);
        assert!(at(&progress, Kind::Other, When::After));
        assert!(at(&progress, Kind::PersistPrevote, When::During));
        progress.ended(Kind::PersistPrevote);
        assert!(at(&progress, Kind::PersistPrevote, When::After));
        assert!(!at(&progress, Kind::PersistPrevote, When::During));
    }
}
