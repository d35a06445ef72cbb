//! What a replica must find again after a crash, and the guard over its signatures.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tandem_chain::block::Block;
use tandem_chain::types::{BlockId, Height, Round};
use tandem_chain::vote::{Vote, VoteKind};

/// The step of a signature, in the order in which a round makes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Signing {
    /// A proposal.
    Proposal,
    /// A prevote.
    Prevote,
    /// A precommit.
    Precommit,
}

impl From<VoteKind> for Signing {
    fn from(kind: VoteKind) -> Self {
        match kind {
            VoteKind::Prevote => Self::Prevote,
            VoteKind::Precommit => Self::Precommit,
        }
    }
}

/// Place of a signature: height, round, step. Ordered as they follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// Height.
    pub height: Height,
    /// Round.
    pub round: Round,
    /// Step.
    pub step: Signing,
}

/// Whether the key's signing record is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyState {
    /// It is: the key may sign what is above its record.
    Good,
    /// The record was lost or restored from a backup: the key signs nothing until peers have told
    /// how far it can have signed.
    Lost,
}

/// The one way to a signature on a proposal or vote: refuses what is not above the highest place
/// that was ever signed, and everything at or below a height that a lost key may have signed at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoteGuard {
    last: Option<Place>,
    silent_through: Height,
    key: KeyState,
}

impl VoteGuard {
    /// The guard of a key that has never signed, or of one whose record is lost.
    #[must_use]
    pub fn new(key: KeyState) -> Self {
        Self { last: None, silent_through: Height::ZERO, key }
    }

    /// Whether the key may sign something at this height at all.
    #[must_use]
    pub fn may_sign_at(&self, height: Height) -> bool {
        self.key == KeyState::Good && height > self.silent_through
    }

    /// Whether a signature at `place` is allowed; if so it is the last from now on. The caller
    /// makes that durable before the signature leaves.
    #[must_use]
    pub fn admit(&mut self, place: Place) -> bool {
        let allowed = self.may_sign_at(place.height) && self.last.is_none_or(|last| place > last);
        if allowed {
            self.last = Some(place);
        }
        allowed
    }

    /// The highest place signed.
    #[must_use]
    pub fn last(&self) -> Option<Place> {
        self.last
    }

    /// Whether the key is lost.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.key == KeyState::Lost
    }

    /// The height at and below which nothing is signed.
    #[must_use]
    pub fn silent_through(&self) -> Height {
        self.silent_through
    }

    /// A lost key is good again above `height`.
    pub fn recover(&mut self, height: Height) {
        self.key = KeyState::Good;
        self.silent_through = self.silent_through.max(height);
    }
}

/// The lock: paper, `lockedRound` and `lockedValue`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// Round of the lock.
    pub round: Round,
    /// The block locked on.
    pub block: BlockId,
}

/// The valid value with what justifies it: paper, `validRound` and `validValue`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Valid {
    /// Its height.
    pub height: Height,
    /// The round in which it got more than 2/3 of the prevotes.
    pub round: Round,
    /// Its id.
    pub block_id: BlockId,
    /// The block.
    pub block: Arc<Block>,
    /// Those prevotes.
    pub prevotes: Vec<Vote>,
}

/// The small part of what a replica makes durable: one value, written whole each time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// The guard.
    pub guard: VoteGuard,
    /// The height that the rest is about; without meaning at any other height.
    pub height: Height,
    /// The round.
    pub round: Round,
    /// The lock.
    pub locked: Option<Lock>,
    /// Own votes of this height, whole, to be sent again as they were.
    pub votes: Vec<Vote>,
}

impl Journal {
    /// The journal of a key with this state that has signed nothing since.
    #[must_use]
    pub fn new(key: KeyState) -> Self {
        Self {
            guard: VoteGuard::new(key),
            height: Height::ZERO,
            round: Round::ZERO,
            locked: None,
            votes: Vec::new(),
        }
    }
}

/// Name of a durable value. A slot is overwritten by each write to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slot {
    /// A [`Journal`].
    Journal,
    /// A [`Valid`].
    Valid,
    /// The last own [`crate::message::Proposal`].
    Proposal,
}

/// All that was durable when the process ended.
#[derive(Clone, Debug)]
pub struct Durable {
    /// The journal.
    pub journal: Journal,
    /// The valid value; of an older height, or none.
    pub valid: Option<Valid>,
    /// The last own proposal; of an older height or round, or none.
    pub proposal: Option<crate::message::Proposal>,
}

impl Durable {
    /// What a node that never ran has.
    #[must_use]
    pub fn new(key: KeyState) -> Self {
        Self { journal: Journal::new(key), valid: None, proposal: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(height: u64, round: u32, step: Signing) -> Place {
        Place { height: Height(height), round: Round(round), step }
    }

    #[test]
    fn the_guard_admits_what_is_above_its_last_and_nothing_else() {
        use Signing::{Precommit, Prevote, Proposal};
        let cases = [
            ("the same", place(5, 2, Prevote), false),
            ("the step before", place(5, 2, Proposal), false),
            ("the step after", place(5, 2, Precommit), true),
            ("a later step of the round before", place(5, 1, Precommit), false),
            ("an earlier step of the round after", place(5, 3, Proposal), true),
            ("a later round of the height before", place(4, 9, Precommit), false),
            ("an earlier round of the height after", place(6, 0, Proposal), true),
        ];
        for (name, next, admitted) in cases {
            let mut guard = VoteGuard::new(KeyState::Good);
            assert!(guard.admit(place(5, 2, Prevote)));
            assert_eq!(guard.admit(next), admitted, "{name}");
            let last = if admitted { next } else { place(5, 2, Prevote) };
            assert_eq!(guard.last(), Some(last), "{name}");
            assert!(!guard.admit(last), "{name}: not twice");
        }
    }

    #[test]
    fn the_guard_of_a_new_key_admits_the_very_first_place() {
        assert!(VoteGuard::new(KeyState::Good).admit(place(1, 0, Signing::Proposal)));
    }

    #[test]
    fn a_lost_key_admits_nothing_and_a_recovered_one_only_what_is_above_its_silence() {
        let mut guard = VoteGuard::new(KeyState::Lost);
        assert!(guard.is_lost());
        assert!(!guard.admit(place(u64::MAX, 0, Signing::Prevote)));
        guard.recover(Height(12));
        assert!(!guard.is_lost());
        assert!(!guard.may_sign_at(Height(12)) && guard.may_sign_at(Height(13)));
        assert!(!guard.admit(place(12, 9, Signing::Precommit)));
        assert_eq!(guard.last(), None, "what is refused leaves no trace");
        assert!(guard.admit(place(13, 0, Signing::Proposal)));
        guard.recover(Height(3));
        assert_eq!(guard.silent_through(), Height(12), "silence is never shortened");
    }
}
