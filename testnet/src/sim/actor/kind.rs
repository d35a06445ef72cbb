//! The kinds of actors, and which nodes of an organisation they are.

use std::fmt;

use serde::Serialize;

use super::{
    Actor, accomplice, astray, bad_proposer, clinger, counterfeiter, deaf, double_proposer,
    double_voter, framer, garbler, hider, impostor, liar, nil_voter, pretender, replayer, silent,
    twin, two_faced, withholder,
};
use crate::sim::plan::Org;
use crate::sim::random::Random;

/// The actors there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Kind {
    /// A pair that works together: each node hides, shows and stands in for the other.
    Accomplice,
    /// A pair whose holder plays dead, and whose standby holds another state than the chain's.
    Astray,
    /// Proposes blocks that are invalid, and false re-proposals.
    BadProposer,
    /// Goes on voting and proposing after its seat has moved.
    Clinger,
    /// Answers fetches with forged blocks, and certificates that claim all the power.
    Counterfeiter,
    /// Leaves precommits that it dislikes out of its certificates.
    Deaf,
    /// Proposes two blocks.
    DoubleProposer,
    /// Votes for two things.
    DoubleVoter,
    /// Leaves a victim out of its certificates, with as many others as it can, and calls it dead.
    Framer,
    /// Sends garbage through the codec.
    Garbler,
    /// Withholds its blocks from some.
    Hider,
    /// Signs for the holder of its organisation's seat, with its own key.
    Impostor,
    /// Lies in its observations.
    Liar,
    /// Votes nil, always.
    NilVoter,
    /// Claims heights that it does not have.
    Pretender,
    /// Sends what it ever heard again, and what is of heights and rounds to come.
    Replayer,
    /// Sends no votes and no proposals.
    Silent,
    /// Runs twice, with one key.
    Twin,
    /// Shows half of the others one block and its votes for it, the rest another.
    TwoFaced,
    /// Sends its messages to some only.
    Withholder,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::Accomplice,
        Self::Astray,
        Self::BadProposer,
        Self::Clinger,
        Self::Counterfeiter,
        Self::Deaf,
        Self::DoubleProposer,
        Self::DoubleVoter,
        Self::Framer,
        Self::Garbler,
        Self::Hider,
        Self::Impostor,
        Self::Liar,
        Self::NilVoter,
        Self::Pretender,
        Self::Replayer,
        Self::Silent,
        Self::Twin,
        Self::TwoFaced,
        Self::Withholder,
    ];

    /// An actor of this kind.
    #[must_use]
    pub fn actor(self, random: &mut Random) -> Box<dyn Actor> {
        match self {
            Self::Accomplice => Box::new(accomplice::Accomplice),
            Self::Astray => Box::new(astray::Astray),
            Self::BadProposer => Box::new(bad_proposer::BadProposer::default()),
            Self::Clinger => Box::new(clinger::Clinger::new()),
            Self::Counterfeiter => Box::new(counterfeiter::Counterfeiter),
            Self::Deaf => Box::new(deaf::Deaf::new(random)),
            Self::DoubleProposer => Box::new(double_proposer::DoubleProposer::default()),
            Self::DoubleVoter => Box::new(double_voter::DoubleVoter::new(random)),
            Self::Framer => Box::new(framer::Framer::new(random)),
            Self::Garbler => Box::new(garbler::Garbler::default()),
            Self::Hider => Box::new(hider::Hider::new(random)),
            Self::Impostor => Box::new(impostor::Impostor::default()),
            Self::Liar => Box::new(liar::Liar::new(random)),
            Self::NilVoter => Box::new(nil_voter::NilVoter::default()),
            Self::Pretender => Box::new(pretender::Pretender::default()),
            Self::Replayer => Box::new(replayer::Replayer::default()),
            Self::Silent => Box::new(silent::Silent),
            Self::Twin => Box::new(twin::Twin),
            Self::TwoFaced => Box::new(two_faced::TwoFaced::default()),
            Self::Withholder => Box::new(withholder::Withholder),
        }
    }

    /// Whether it is nothing without a partner.
    #[must_use]
    pub fn needs_pair(self) -> bool {
        matches!(self, Self::Accomplice | Self::Astray | Self::Clinger | Self::Impostor)
    }

    fn pick(random: &mut Random, of: &[Self], has_pair: bool) -> Self {
        let kinds = of.iter().copied().filter(|kind| has_pair || !kind.needs_pair());
        random.pick(&kinds.collect::<Vec<_>>())
    }

    /// Which nodes of a lying organisation are Byzantine, those of genesis first, and how; the first
    /// of them in one of the ways of `kinds`.
    #[must_use]
    pub fn cast(random: &mut Random, kinds: &[Self], org: &Org) -> Vec<Option<Self>> {
        let mut cast = vec![None; org.at_genesis() + org.spares];
        let kind = Self::pick(random, kinds, org.pair);
        match kind {
            Self::Accomplice | Self::Astray => cast[..2].fill(Some(kind)),
            Self::Impostor => cast[1] = Some(kind),
            _ => cast[0] = Some(kind),
        }
        // A clinger's partner takes its seat, which takes a correct one.
        let first = if kind == Self::Clinger { 2 } else { 0 };
        for other in &mut cast[first..] {
            if other.is_none() && random.chance(150) {
                *other = Some(Self::beside(random, org.pair));
            }
        }
        cast
    }

    /// A kind for a node that holds no seat as yet: most often one that needs none.
    fn beside(random: &mut Random, has_pair: bool) -> Self {
        let seatless =
            [Self::Counterfeiter, Self::Garbler, Self::Impostor, Self::Pretender, Self::Replayer];
        let alone = Self::ALL.map(|kind| {
            // Those of which both nodes are.
            if matches!(kind, Self::Accomplice | Self::Astray) { Self::Impostor } else { kind }
        });
        let kinds: &[Self] = if random.chance(700) { &seatless } else { &alone };
        Self::pick(random, kinds, has_pair)
    }
}
