//! Recovery of a key whose signing record is lost (design, section 4).
//!
//! Such a key asks its peers for the highest height T that they have committed, and signs nothing
//! at or below T + 2. It counts the answers that it has caught up with itself, so that nobody can
//! silence it for ever by naming a height that does not exist.
//!
//! Why T + 2: when the key signed at height S, height S - 1 was certified, so more than 2/3 of the
//! power had precommitted there and committed S - 2. Those meet the answering 2/3 in a correct
//! node, which answers with S - 2 or more.

use std::collections::BTreeMap;

use tandem_chain::keys::PublicKey;
use tandem_chain::roles::RoleTable;
use tandem_chain::types::Height;

use crate::limits::LOST_QUERY_INTERVAL;
use crate::time::Instant;

/// The questions of a node whose key is lost.
#[derive(Clone, Debug, Default)]
pub struct Recovery {
    answers: BTreeMap<PublicKey, Height>,
    next_query: Instant,
}

impl Recovery {
    /// Whether the question is to be sent (again) now.
    #[must_use]
    pub fn is_query_due(&mut self, now: Instant) -> bool {
        let due = self.next_query <= now;
        if due {
            self.next_query = now.plus(LOST_QUERY_INTERVAL);
        }
        due
    }

    /// When the question is next due.
    #[must_use]
    pub fn next_query(&self) -> Instant {
        self.next_query
    }

    /// A peer's first answer counts: what it committed later tells nothing more.
    pub fn answer(&mut self, peer: PublicKey, committed: Height) {
        self.answers.entry(peer).or_insert(committed);
    }

    /// The height through which the key stays silent, once holders with at least 2/3 of the power
    /// of `table`, this node's own left out, have answered with heights up to `tip`.
    #[must_use]
    pub fn resolved(&self, me: &PublicKey, table: &RoleTable, tip: Height) -> Option<Height> {
        let others = table.validators().iter().filter(|v| v.key != *me);
        let (mut all, mut answered) = (0, 0);
        for validator in others {
            all += validator.power.0;
            if self.answers.get(&validator.key).is_some_and(|height| *height <= tip) {
                answered += validator.power.0;
            }
        }
        (all > 0 && answered * 3 >= all * 2).then(|| tip.plus(2))
    }
}
