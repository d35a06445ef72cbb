//! Wall clocks: how far they are off, and how that grows.

use super::queue::Time;
use super::random::Random;

/// A wall clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Nanoseconds that it was ahead of the truth when it was set.
    offset: i64,
    /// Nanoseconds that it gains in a millisecond.
    drift: i64,
    /// When it was set.
    set: Time,
    /// Nanoseconds within which it is kept, as by NTP; none when nobody does.
    kept: Option<i64>,
}

impl Clock {
    /// A clock that drifts as machines' clocks do and is kept well within `bound` nanoseconds of any
    /// other that is.
    #[must_use]
    pub fn kept(random: &mut Random, bound: u64, now: Time) -> Self {
        let most = (bound / 4).cast_signed();
        let offset = either_way(random, most);
        Self { offset, drift: either_way(random, MAX_DRIFT), set: now, kept: Some(most) }
    }

    /// One that has jumped by up to `most` nanoseconds, and is not put right.
    #[must_use]
    pub fn jumped(random: &mut Random, most: u64, now: Time) -> Self {
        let offset = either_way(random, most.cast_signed());
        Self { offset, drift: 0, set: now, kept: None }
    }

    /// This clock, from now on too fast or too slow by up to `most` nanoseconds in a millisecond.
    #[must_use]
    pub fn drifting(self, random: &mut Random, most: i64, now: Time) -> Self {
        let drift = either_way(random, most);
        Self { offset: self.offset(now), drift, set: now, kept: None }
    }

    /// Nanoseconds that it is ahead of the truth.
    #[must_use]
    pub fn offset(&self, now: Time) -> i64 {
        let passed = ((now - self.set) / 1_000_000).cast_signed();
        let offset = self.offset + passed * self.drift;
        match self.kept {
            // To and fro between the bounds.
            Some(most) if most > 0 => {
                let place = (offset + most).rem_euclid(4 * most);
                if place <= 2 * most { place - most } else { 3 * most - place }
            }
            Some(_) => 0,
            None => offset,
        }
    }
}

/// Most that a machine's clock gains or loses, in nanoseconds a millisecond: several times what
/// quartz does.
const MAX_DRIFT: i64 = 500;

fn either_way(random: &mut Random, most: i64) -> i64 {
    random.below(2 * most.unsigned_abs() + 1).cast_signed() - most
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::queue::{MS, S};

    #[test]
    fn a_clock_that_is_kept_drifts_and_stays_within_a_quarter_of_the_bound() {
        let mut random = Random::new(1);
        for bound in [0, 3, 40 * MS, S] {
            let clock = Clock::kept(&mut random, bound, 7);
            let offsets: Vec<i64> = (0..200).map(|s| clock.offset(7 + s * S)).collect();
            assert!(offsets.iter().all(|offset| offset.unsigned_abs() <= bound / 4), "{bound}");
            assert!(bound < MS || offsets.windows(2).any(|pair| pair[0] != pair[1]));
        }
    }

    #[test]
    fn a_clock_that_drifts_goes_on_from_where_it_is() {
        let mut random = Random::new(2);
        let jumped = Clock::jumped(&mut random, S, 0);
        let drifting = jumped.drifting(&mut random, 50_000, 5 * S);
        assert_eq!(drifting.offset(5 * S), jumped.offset(5 * S));
        let (one, two) = (drifting.offset(6 * S), drifting.offset(7 * S));
        assert_eq!(two - one, one - jumped.offset(0));
        assert_ne!(one, two);
    }
}
