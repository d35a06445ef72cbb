//! Histories that must hold, in every run of the tests.

use super::*;

/// Seeds that every run of the tests lives through.
const SEEDS: Range<u64> = 0..300;

fn options(seeds: Range<u64>) -> Options {
    Options { seeds, jobs: 0, until_failure: false, trace: false, json: false }
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
    let Counts { blocks, crashes, partitions, pauses, wipes, automatic, planned, evidence, .. } =
        counts;
    for (what, count) in [
        ("blocks", blocks / 1000),
        ("crashes", crashes),
        ("partitions", partitions),
        ("pauses", pauses),
        ("wipes", wipes),
        ("automatic switches", automatic),
        ("planned switches", planned),
        ("evidence", evidence),
    ] {
        assert!(count > 0, "no {what}");
    }
}

#[test]
fn a_seed_gives_the_same_history_twice_told_or_not() {
    for seed in [1, 2, 3, 4] {
        let digests = [false, true].map(|with_story| run_seed(seed, with_story).digest);
        assert_eq!(digests[0], digests[1], "seed {seed}");
    }
}
