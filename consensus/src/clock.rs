//! Whether this node's clock is off, by what the votes of the others say of theirs.
//!
//! A vote carries its voter's clock and arrives a while after. So of the votes of one voter the one
//! that is most ahead tells most; and a vote may seem old for being late, but never new.

use std::collections::BTreeMap;

use tandem_chain::modules::parameters::Parameters;
use tandem_chain::roles::RoleTable;
use tandem_chain::types::{OrgName, Power, Timestamp};

/// By voter index, how far its clock is ahead of this node's, in nanoseconds; behind is negative.
#[derive(Clone, Debug, Default)]
pub struct Clocks(BTreeMap<u16, i64>);

impl Clocks {
    /// A vote of another holder has just come.
    pub fn note(&mut self, index: u16, voted_at: Timestamp, now: Timestamp) {
        let ahead = i128::from(voted_at.0) - i128::from(now.0);
        let ahead = i64::try_from(ahead).unwrap_or(if ahead < 0 { i64::MIN } else { i64::MAX });
        let most = self.0.entry(index).or_insert(ahead);
        *most = (*most).max(ahead);
    }

    /// The median over the power that was heard; none when that is no more than 1/3 of all.
    fn median(&self, table: &RoleTable) -> Option<i64> {
        let power = |index: &u16| table.validators().get(usize::from(*index)).map(|v| v.power.0);
        let mut clocks: Vec<(i64, u64)> =
            self.0.iter().filter_map(|(index, ahead)| Some((*ahead, power(index)?))).collect();
        clocks.sort_unstable();
        let heard: u64 = clocks.iter().map(|(_, power)| power).sum();
        let mut below = 0;
        let middle = clocks.iter().find(|(_, power)| {
            below += power;
            below * 2 >= heard
        });
        middle.filter(|_| table.is_third(Power(heard))).map(|(ahead, _)| *ahead)
    }

    /// Milliseconds that this node's clock seems ahead of the others' (behind is negative), with the time
    /// that their votes took; none when too few were heard to tell.
    #[must_use]
    pub fn offset_ms(&self, table: &RoleTable) -> Option<i64> {
        Some(-(self.median(table)? / 1_000_000))
    }

    /// The same, when it is more than fresh proposals may be; seeming ahead, also more than messages
    /// may take.
    #[must_use]
    pub fn off_ms(&self, table: &RoleTable, parameters: &Parameters) -> Option<i64> {
        let off = self.offset_ms(table)?;
        let bound = parameters.max_clock_ahead_ms;
        let bound = if off > 0 { bound + parameters.network_bound_ms } else { bound };
        (off.unsigned_abs() > bound).then_some(off)
    }
}

impl Clocks {
    /// The seats whose holders' clocks are ahead of this node's by more than fresh proposals may be.
    /// None when this node's own clock is off. One that is behind cannot be told from votes that come
    /// late; its holder's own node tells it.
    #[must_use]
    pub fn ahead(&self, table: &RoleTable, parameters: &Parameters) -> Vec<OrgName> {
        if self.off_ms(table, parameters).is_some() {
            return Vec::new();
        }
        let bound = i64::try_from(parameters.max_clock_ahead_ms).unwrap_or(i64::MAX);
        let over = self.0.iter().filter(|(_, ahead)| **ahead / 1_000_000 > bound);
        let holders = over.filter_map(|(index, _)| table.validators().get(usize::from(*index)));
        holders.map(|holder| holder.org.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use tandem_chain::keys::PublicKey;
    use tandem_chain::roles::Seat;
    use tandem_chain::types::Term;

    use super::*;

    const NOW: u64 = 10_000;

    /// Four holders of power 1, and their clocks by index and milliseconds.
    fn clocks(votes: &[(u16, u64)]) -> (RoleTable, Clocks) {
        let seat = |n: u8| {
            let name = format!("org-{n}").parse().expect("a name");
            (name, Seat { holder: PublicKey([n; 32]), power: Power(1), term: Term(0) })
        };
        let table: RoleTable = (0..4).map(seat).collect::<BTreeMap<_, _>>().into();
        let mut clocks = Clocks::default();
        for (index, ms) in votes {
            clocks.note(*index, Timestamp::from_millis(*ms), Timestamp::from_millis(NOW));
        }
        (table, clocks)
    }

    fn off(votes: &[(u16, u64)]) -> Option<i64> {
        let (table, clocks) = clocks(votes);
        clocks.off_ms(&table, &Parameters::lan())
    }

    #[test]
    fn others_whose_clocks_are_ahead_are_named_unless_the_own_is_off() {
        let ahead = |votes: &[(u16, u64)]| {
            let (table, clocks) = clocks(votes);
            clocks.ahead(&table, &Parameters::lan()).len()
        };
        assert_eq!(ahead(&[(1, NOW + 101), (2, NOW), (3, NOW)]), 1);
        assert_eq!(ahead(&[(1, NOW + 100), (2, NOW - 9_000), (3, NOW)]), 0);
        assert_eq!(ahead(&[(1, NOW + 101), (2, NOW + 101), (3, NOW + 101)]), 0);
        assert_eq!(ahead(&[(8, NOW + 9_000), (2, NOW), (3, NOW)]), 0, "no such seat");
    }

    #[test]
    fn a_clock_behind_is_told_from_the_bound_on() {
        assert_eq!(off(&[(1, NOW + 100), (2, NOW + 100), (3, NOW + 100)]), None);
        assert_eq!(off(&[(1, NOW + 101), (2, NOW + 101), (3, NOW + 101)]), Some(-101));
    }

    #[test]
    fn a_clock_ahead_is_told_from_the_bound_and_the_time_of_messages_on() {
        assert_eq!(off(&[(1, NOW - 300), (2, NOW - 300), (3, NOW - 300)]), None);
        assert_eq!(off(&[(1, NOW - 301), (2, NOW - 301), (3, NOW - 301)]), Some(301));
    }

    #[test]
    fn an_offset_within_the_bounds_can_be_shown() {
        for (ms, expected) in [(NOW, 0), (NOW - 20, 20), (NOW + 20, -20)] {
            let (table, clocks) = clocks(&[(1, ms), (2, ms), (3, 0)]);
            assert_eq!(clocks.offset_ms(&table), Some(expected));
        }
        let (table, clocks) = clocks(&[(1, NOW)]);
        assert_eq!(clocks.offset_ms(&table), None, "too few were heard");
    }

    #[test]
    fn the_middle_one_counts_so_that_a_single_wrong_clock_is_not_taken_for_the_own() {
        assert_eq!(off(&[(1, NOW + 9_000), (2, NOW), (3, NOW)]), None);
        assert_eq!(off(&[(1, 0), (2, NOW), (3, NOW)]), None);
    }

    #[test]
    fn of_one_voter_the_newest_looking_vote_counts() {
        assert_eq!(off(&[(1, 0), (2, 0), (3, 0), (1, NOW), (2, NOW), (3, 5)]), None);
    }

    #[test]
    fn clocks_at_the_ends_of_time_are_as_far_off_as_can_be_told() {
        for (voted_at, now, expected) in [(0, u64::MAX, i64::MIN), (u64::MAX, 0, i64::MAX)] {
            let (table, mut clocks) = clocks(&[]);
            (1..4).for_each(|index| clocks.note(index, Timestamp(voted_at), Timestamp(now)));
            let off = clocks.off_ms(&table, &Parameters::lan());
            assert_eq!(off, Some(-(expected / 1_000_000)), "{voted_at} at {now}");
        }
    }

    #[test]
    fn who_hears_too_few_can_tell_nothing() {
        assert_eq!(off(&[]), None);
        assert_eq!(off(&[(1, NOW + 9_000)]), None);
        assert_eq!(off(&[(1, NOW + 9_000), (2, NOW + 9_000)]), Some(-9_000));
        assert_eq!(off(&[(8, NOW + 9_000), (9, NOW + 9_000)]), None, "no such seats");
    }
}
