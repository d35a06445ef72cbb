//! What one seed picks: which faults strike whom, when, for how long.

use std::fmt;
use std::time::Duration;

use super::fault::{Fault, Harm, SHORTEST_MS, Target, What};
use crate::sim::random::Random;

/// Milliseconds between two faults.
const GAP_MS: (u64, u64) = (300, 2_500);
/// Draws for one moment, before it passes without a fault.
const MAX_DRAWS: usize = 12;
/// Milliseconds from the end of one fault that harms everybody to the next.
const BETWEEN_STORMS_MS: u64 = 20_000;
/// Milliseconds for which an organisation that has not been well is struck again: faults would stay
/// with the first ones for minutes otherwise, since no more than f are harmed at a time.
const SPELL_MS: u64 = 12_000;

/// A campaign's faults, in the order of their times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// Organisations, each with a pair.
    pub orgs: usize,
    /// How long faults strike.
    pub length: Duration,
    /// The faults.
    pub faults: Vec<Fault>,
}

impl Plan {
    /// What a seed picks. Faults of nodes and their links harm at most f organisations at a time,
    /// both nodes of each as it may be, so that the others go on; from time to time, blackouts and
    /// splits do not keep to that.
    #[must_use]
    pub fn new(seed: u64, orgs: usize, length: Duration) -> Self {
        let mut random = Random::new(seed);
        let mut plan = Self { seed, orgs, length, faults: Vec::new() };
        let end_ms = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
        let mut at_ms = random.between(GAP_MS.0, GAP_MS.1);
        while at_ms + SHORTEST_MS <= end_ms {
            let drawn = (0..MAX_DRAWS).map(|_| draw(&mut random, orgs, at_ms, end_ms));
            // All are drawn, so that which one fits does not change what comes later.
            let drawn: Vec<Fault> = drawn.collect();
            if let Some(fault) = drawn.into_iter().find(|fault| plan.admits(fault)) {
                plan.faults.push(fault);
            }
            at_ms += random.between(GAP_MS.0, GAP_MS.1);
        }
        plan
    }

    /// Organisations that may fail at a time.
    #[must_use]
    pub fn f(&self) -> usize {
        self.orgs.saturating_sub(1) / 3
    }

    /// The longest fault that harms more than may fail.
    #[must_use]
    pub fn longest_storm(&self) -> Duration {
        let storms = self.faults.iter().filter(|fault| fault.what.harm() == Harm::All);
        Duration::from_millis(storms.map(|fault| fault.lasts_ms).max().unwrap_or(0))
    }

    fn admits(&self, new: &Fault) -> bool {
        let clashes = |old: &Fault| {
            let resource = old.what.resource();
            resource.is_some() && resource == new.what.resource() && old.end_ms() >= new.at_ms
        };
        if self.faults.iter().any(clashes) {
            return false;
        }
        match new.what.harm() {
            Harm::None => true,
            Harm::All => {
                let last = self.faults.iter().rfind(|fault| fault.what.harm() == Harm::All);
                last.is_none_or(|last| last.end_ms() + BETWEEN_STORMS_MS <= new.at_ms)
            }
            Harm::Org(org) => {
                let spell = unwell_since(&self.faults, org, new.at_ms);
                if spell.is_some_and(|since_ms| since_ms + SPELL_MS < new.at_ms) {
                    return false;
                }
                let mut harmed = harmed_at(&self.faults, new.at_ms);
                harmed.push(org);
                harmed.sort_unstable();
                harmed.dedup();
                harmed.len() <= self.f()
            }
        }
    }
}

/// Organisations that faults before a moment have harmed and that may not be well yet.
fn harmed_at(faults: &[Fault], at_ms: u64) -> Vec<usize> {
    let unwell = faults.iter().filter(|fault| fault.over_ms() > at_ms);
    let orgs = unwell.filter_map(|fault| match fault.what.harm() {
        Harm::Org(org) => Some(org),
        Harm::None | Harm::All => None,
    });
    orgs.collect()
}

/// Since when an organisation has not been well, where it may not be at a moment.
fn unwell_since(faults: &[Fault], org: usize, at_ms: u64) -> Option<u64> {
    let (mut since_ms, mut over_ms) = (0, 0);
    for fault in faults.iter().filter(|fault| fault.what.harm() == Harm::Org(org)) {
        if fault.at_ms >= over_ms {
            since_ms = fault.at_ms;
        }
        over_ms = over_ms.max(fault.over_ms());
    }
    (over_ms > at_ms).then_some(since_ms)
}

fn draw(random: &mut Random, orgs: usize, at_ms: u64, end_ms: u64) -> Fault {
    let org = random.index(orgs);
    let target = match random.below(10) {
        0 => Target::Observer,
        1..=3 => Target::Standby(org),
        _ => Target::Holder(org),
    };
    let side = |random: &mut Random| {
        let mut all: Vec<Target> =
            (0..orgs).flat_map(|org| [Target::Holder(org), Target::Standby(org)]).collect();
        all.push(Target::Observer);
        random.shuffle(&mut all);
        all.truncate(random.index(orgs) + 2);
        all
    };
    let what = match random.below(36) {
        0..=5 => What::Kill(target),
        6..=7 => What::Restart(target),
        8..=11 => What::Pause(target),
        12..=14 => What::Wipe(target),
        15..=16 => What::KillPair(org),
        17..=19 => What::CutOff(target),
        20 => What::CutOffPair(org),
        21..=22 => What::Mute(target),
        23..=24 => What::Deafen(target),
        25 => What::Slow(Some(target), random.between(50, 500)),
        26 => What::Slow(None, random.between(1, 20)),
        27 => What::Lossy(Some(target), random.between(5, 30)),
        28 => What::Lossy(None, 1),
        29..=33 => What::Switch(org),
        34 => What::Split(side(random)),
        _ => What::Blackout,
    };
    let most = what.longest_ms().min(end_ms - at_ms);
    let least = if let What::Switch(_) = what { most } else { SHORTEST_MS };
    let lasts_ms = random.between(least, most);
    Fault { at_ms, lasts_ms, what }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fault in &self.faults {
            writeln!(f, "{fault}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::layout::ORGS;

    const QUARTER: Duration = Duration::from_secs(15 * 60);

    #[test]
    fn a_seed_gives_one_schedule() {
        let plan = Plan::new(7, 4, QUARTER);
        assert_eq!(plan, Plan::new(7, 4, QUARTER));
        assert_ne!(plan.faults, Plan::new(8, 4, QUARTER).faults);
        assert_eq!(Plan::new(7, 4, Duration::ZERO).faults, []);
    }

    #[test]
    fn a_quarter_of_an_hour_has_every_kind_of_fault() {
        let plan = Plan::new(1, 4, QUARTER);
        let kinds: BTreeSet<_> = plan.faults.iter().map(|fault| fault.what.name()).collect();
        assert_eq!(kinds.len(), 12, "{kinds:?}");
        assert!(plan.faults.len() > 300, "{}", plan.faults.len());
    }

    #[test]
    fn at_most_f_organisations_are_harmed_at_a_time_and_all_is_undone_by_the_end() {
        for (seed, orgs, f) in (0..40).flat_map(|seed| [(seed, 4, 1), (seed, 7, 2)]) {
            let plan = Plan::new(seed, orgs, QUARTER);
            assert_eq!(plan.f(), f);
            for (i, fault) in plan.faults.iter().enumerate() {
                let harmed: BTreeSet<_> =
                    harmed_at(&plan.faults[..=i], fault.at_ms).into_iter().collect();
                assert!(harmed.len() <= f, "seed {seed}, {fault}: {harmed:?}");
                assert!(fault.end_ms() <= 900_000, "seed {seed}, {fault}");
            }
        }
    }
    #[test]
    fn every_organisation_is_struck_and_none_for_long() {
        for seed in 0..40 {
            let plan = Plan::new(seed, 4, QUARTER);
            for (org, name) in ORGS.iter().enumerate().take(plan.orgs) {
                let of_org = |fault: &&Fault| fault.what.harm() == Harm::Org(org);
                let count = plan.faults.iter().filter(of_org).count();
                assert!(count >= 15, "seed {seed}: {count} faults of {name}");
                for (i, fault) in plan.faults.iter().enumerate().filter(|(_, fault)| of_org(fault))
                {
                    let since_ms = unwell_since(&plan.faults[..i], org, fault.at_ms);
                    let spell_ms = fault.at_ms - since_ms.unwrap_or(fault.at_ms);
                    assert!(spell_ms <= SPELL_MS, "seed {seed}, {fault}");
                }
            }
        }
    }
}
