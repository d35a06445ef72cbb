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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tandem_chain::roles::Seat;
    use tandem_chain::types::{Power, Term};

    use super::*;

    fn key(n: u8) -> PublicKey {
        PublicKey([n; 32])
    }

    /// Seats of these powers; key `n` holds the seat at place `n`.
    fn table(powers: &[u64]) -> RoleTable {
        let seat = |(n, power): (u8, &u64)| {
            let name = format!("org-{n}").parse().expect("a name");
            (name, Seat { holder: key(n), power: Power(*power), term: Term(0) })
        };
        (0..).zip(powers).map(seat).collect::<BTreeMap<_, _>>().into()
    }

    fn after(answers: &[(u8, u64)], powers: &[u64], tip: u64) -> Option<u64> {
        let mut recovery = Recovery::default();
        for (peer, height) in answers {
            recovery.answer(key(*peer), Height(*height));
        }
        recovery.resolved(&key(0), &table(powers), Height(tip)).map(|height| height.0)
    }

    #[test]
    fn two_thirds_of_the_others_are_enough_and_less_is_not() {
        let four = [1, 1, 1, 1];
        assert_eq!(after(&[(1, 7)], &four, 7), None);
        assert_eq!(after(&[(1, 7), (2, 7)], &four, 7), Some(9), "exactly 2/3 of the others");
        // The others have 9: 6 are 2/3, 5 are not.
        let uneven = [5, 4, 1, 2, 2];
        assert_eq!(after(&[(1, 7), (2, 7)], &uneven, 7), None);
        assert_eq!(after(&[(1, 7), (3, 7)], &uneven, 7), Some(9));
    }

    #[test]
    fn only_holders_of_seats_count_and_not_this_node_itself() {
        let four = [1, 1, 1, 1];
        assert_eq!(after(&[(0, 7), (1, 7), (9, 7), (10, 7)], &four, 7), None);
    }

    #[test]
    fn an_answer_counts_once_this_node_has_caught_up_with_it() {
        let four = [1, 1, 1, 1];
        assert_eq!(after(&[(1, 7), (2, 8)], &four, 7), None);
        assert_eq!(after(&[(1, 7), (2, 8)], &four, 8), Some(10));
    }

    #[test]
    fn who_names_a_height_that_does_not_exist_is_not_waited_for() {
        assert_eq!(after(&[(1, u64::MAX), (2, 7), (3, 6)], &[1, 1, 1, 1], 7), Some(9));
    }

    #[test]
    fn a_peers_first_answer_counts() {
        assert_eq!(after(&[(1, 7), (1, 99), (2, 7)], &[1, 1, 1, 1], 7), Some(9));
    }

    #[test]
    fn alone_there_is_nobody_to_ask() {
        assert_eq!(after(&[], &[1], 7), None);
    }

    #[test]
    fn the_question_is_repeated_after_the_interval() {
        let mut recovery = Recovery::default();
        let begin = Instant(5);
        assert!(recovery.is_query_due(begin));
        assert!(!recovery.is_query_due(begin));
        let next = begin.plus(LOST_QUERY_INTERVAL);
        assert_eq!(recovery.next_query(), next);
        assert!(!recovery.is_query_due(Instant(next.0 - 1)));
        assert!(recovery.is_query_due(next.plus(Duration::from_secs(9))));
    }
}
