//! Histories that must hold, in every run of the tests.

use super::coverage::{Entry, Row as _};
use super::plan::{CrashPoint, Fault, Plan};
use super::random::Random;
use super::*;

/// Seeds that every run of the tests lives through.
const SEEDS: Range<u64> = 0..300;

fn options(seeds: Range<u64>) -> Options {
    Options {
        seeds,
        jobs: 0,
        until_failure: false,
        trace: false,
        orgs: None,
        calm: false,
        signatures: None,
        json: false,
    }
}

#[test]
fn no_invariant_is_violated_in_any_history() {
    let mut counts = Counts::default();
    for_each_seed(&options(SEEDS), |seed, outcome| {
        assert_eq!(
            outcome.violation,
            None,
            "replay: tandem-testnet sim --seeds {seed}..{} --trace",
            seed + 1
        );
        counts.add(&outcome.counts);
    });
    // A simulator in which nothing happens proves nothing.
    let changes = counts.changes;
    for (what, count) in [
        ("blocks", counts.blocks / 1000),
        ("crashes", counts.crashes),
        ("torn writes", counts.torn_writes),
        ("writes that fail", counts.failed_writes),
        ("restored disks", counts.restored),
        ("blocks asked for that were taken away", counts.lacked),
        ("disks rolled back", counts.rolled_back),
        ("holders that die before a standby that is behind", counts.died_before_laggard),
        ("automatic switches", counts.automatic),
        ("planned switches", counts.planned),
        ("nodes registered", changes.registered),
        ("nodes removed", changes.removed),
        ("partners named", changes.partners),
        ("parameters set", changes.parameters),
        ("organisations that join", changes.joined),
        ("organisations removed", changes.left),
        ("organisations suspended", changes.suspended),
        ("organisations restored", changes.restored),
        ("powers changed", changes.powers),
        ("calls refused", changes.refused),
        ("nodes that came by invitations", changes.invited),
        ("addresses changed", changes.addresses),
        ("votes by keys of no node", counts.strangers_votes),
        ("networks that grew to seven", counts.coverage.entries.count(Entry::Grown)),
        ("networks that shrank to four", counts.coverage.entries.count(Entry::Shrunk)),
        ("evidence", counts.evidence),
        ("histories beyond f", counts.beyond_f),
        ("forks beyond f", counts.forks),
    ] {
        assert!(count > 0, "no {what}");
    }
    for fault in Fault::ALL {
        assert!(counts.faults.get(&fault).is_some_and(|count| *count > 0), "no {fault}");
    }
    for point in CrashPoint::ALL {
        assert!(counts.crash_points.contains_key(&point), "no crash {point}");
    }
    assert_eq!(counts.idle_kinds(), [], "kinds of actors that did nothing");
    let refusals = Entry::all().into_iter().filter(|row| row.to_string().starts_with("refused"));
    for row in refusals {
        assert!(counts.coverage.entries.count(row) > 0, "nobody tried: {row}");
    }
    // Else it may be that no such history demands anything at its end.
    let (beyond_f, stood_still) = (counts.beyond_f, counts.stood_still);
    assert!(beyond_f > stood_still, "{stood_still} of {beyond_f} histories beyond f stood still");
}

#[test]
fn a_seed_gives_the_same_history_twice_told_or_not() {
    for seed in [1, 2, 3, 4] {
        let digests = [false, true].map(|with_story| run_seed(seed, with_story).digest);
        assert_eq!(digests[0], digests[1], "seed {seed}");
    }
}

#[test]
fn many_organisations_make_blocks_when_nothing_fails() {
    let shape = Shape { orgs: Some(30), calm: true, signatures: None };
    let outcome = run_shaped(1, shape, false);
    assert_eq!(outcome.violation, None);
    assert!(outcome.counts.blocks > 10 && outcome.counts.crashes == 0);
}

#[test]
fn no_more_lies_than_f_unless_it_is_told_and_never_enough_for_a_certificate() {
    let mut beyond_f = 0;
    for seed in 0..2_000 {
        let plan = Plan::new(seed, Shape::default(), &mut Random::new(seed));
        let power = |org: usize| plan.orgs[org].power;
        let total: u64 = (0..plan.orgs.len()).map(power).sum();
        let lying: u64 = plan.lying().map(power).sum();
        assert_eq!(lying > (total - 1) / 3, plan.beyond_f, "seed {seed}");
        assert!(lying * 3 <= total * 2, "seed {seed}");
        assert_eq!(plan.to_string().contains("off are 1"), plan.beyond_f, "seed {seed}");
        beyond_f += u64::from(plan.beyond_f);
    }
    assert!(beyond_f > 0, "no history with more than f lying power");
}
