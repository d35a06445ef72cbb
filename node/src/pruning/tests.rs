use std::cell::Cell;
use std::sync::Arc;

use proptest::option;
use proptest::prelude::*;
use tandem_chain::block::CertifiedBlock;
use tandem_chain::ledger::Execution;
use tandem_chain::store::Batch;
use tandem_chain::tip::Tip;

use super::*;
use crate::snapshots::{Source, take};
use crate::testing::Chain;

#[test]
fn the_floor_is_the_most_careful_bound() {
    let needs = |tip, lowest, keep_blocks: u64, young: u64, snapshot: u64| Needs {
        tip: Height(tip),
        lowest: Height(lowest),
        keep_blocks: Some(keep_blocks).filter(|n| *n > 0),
        young: Some(young).filter(|n| *n > 0).map(Height),
        snapshot: Some(snapshot).filter(|n| *n > 0).map(Height),
    };
    let snapshot = |height| Bound::Snapshot(Height(height));
    let cases = [
        ("no policy", needs(50_000, 7, 0, 0, 0), 7, Bound::Archive),
        ("no policy, with a snapshot", needs(50_000, 7, 0, 0, 20), 7, Bound::Archive),
        ("an empty chain", needs(0, 1, 10_001, 1, 0), 1, Bound::Blocks),
        ("a young chain", needs(10_001, 1, 10_001, 0, 0), 1, Bound::Blocks),
        ("the first block that goes", needs(10_002, 1, 10_001, 0, 0), 2, Bound::Blocks),
        ("by number", needs(50_000, 7, 20_000, 0, 0), 30_001, Bound::Blocks),
        ("the fewest", needs(50_000, 7, LEAST_BLOCKS, 0, 0), 40_000, Bound::Blocks),
        ("by age", needs(50_000, 7, 0, 30_000, 0), 30_000, Bound::Days),
        ("all are old", needs(50_000, 7, 0, 50_000, 0), 40_000, Bound::Window),
        ("both, age keeps more", needs(50_000, 7, 20_000, 30_000, 0), 30_000, Bound::Days),
        ("both, number keeps more", needs(50_000, 7, 20_000, 30_002, 0), 30_001, Bound::Blocks),
        ("a snapshot keeps more", needs(50_000, 7, 20_000, 0, 30_000), 30_000, snapshot(30_000)),
        ("one above keeps nothing", needs(50_000, 7, 20_000, 0, 40_000), 30_001, Bound::Blocks),
        ("a snapshot of what is gone", needs(50_000, 7, 20_000, 0, 3), 7, snapshot(3)),
        ("gone already", needs(50_000, 35_000, 20_000, 0, 0), 35_000, Bound::Blocks),
        ("a number beyond the chain", needs(50_000, 7, u64::MAX, 0, 0), 7, Bound::Blocks),
    ];
    for (name, needs, height, bound) in cases {
        assert_eq!(floor(&needs), Floor { height: Height(height), bound }, "{name}");
    }
}

prop_compose! {
    fn any_needs()(
        tip in 1..60_000u64,
        lowest in 1..60_000u64,
        keep_blocks in option::of(LEAST_BLOCKS..70_000),
        young in option::of(1..60_000u64),
        snapshot in option::of(1..60_000u64),
    ) -> Needs {
        Needs {
            tip: Height(tip),
            lowest: Height(lowest.min(tip)),
            keep_blocks,
            young: young.map(|height| Height(height.min(tip))),
            snapshot: snapshot.map(|height| Height(height.min(tip))),
        }
    }
}

proptest! {
    #[test]
    fn nothing_that_is_needed_goes(needs in any_needs()) {
        let Needs { tip, lowest, keep_blocks, young, snapshot } = needs;
        let Floor { height: floor, .. } = super::floor(&needs);
        prop_assert!(lowest <= floor && floor <= tip);
        prop_assert!(keep_blocks.is_some() || young.is_some() || floor == lowest);
        for needed in [Some(tip.back(WINDOW)), young, snapshot].into_iter().flatten() {
            prop_assert!(floor == lowest || floor <= needed, "{needed}");
        }
        let kept = tip.0 - floor.0 + 1;
        prop_assert!(floor == lowest || keep_blocks.is_none_or(|blocks| kept >= blocks));
    }

    #[test]
    fn more_room_in_a_need_never_lowers_the_floor(needs in any_needs(), by in 0..20_000u64) {
        let before = floor(&needs).height;
        let up = |height: Height| Height(height.0 + by);
        for more in [
            Needs { tip: up(needs.tip), ..needs },
            Needs { young: needs.young.map(up), ..needs },
            Needs { snapshot: needs.snapshot.map(up), ..needs },
            Needs { lowest: up(needs.lowest), ..needs },
            Needs { snapshot: None, ..needs },
            Needs {
                keep_blocks: needs.keep_blocks.map(|n| n.saturating_sub(by).max(LEAST_BLOCKS)),
                ..needs
            },
        ] {
            prop_assert!(floor(&more).height >= before, "{more:?}");
        }
    }

    #[test]
    fn the_first_young_block_is_found_with_few_looks(
        lowest in 1..1_000_000u64,
        more in 0..1_000_000u64,
        old in 0..2_000_000u64,
    ) {
        let looks = Cell::new(0);
        let is_old = |height: Height| {
            looks.set(looks.get() + 1);
            Ok::<_, ()>(height.0 < old)
        };
        let found = first_young(Height(lowest), Height(lowest + more), is_old);
        prop_assert_eq!(found, Ok(Height(old.clamp(lowest, lowest + more))));
        prop_assert!(looks.get() <= 21);
    }
}

#[test]
fn a_policy_that_keeps_too_little_is_refused_with_the_rule() {
    let policy = |keep_blocks, keep_days| Policy { keep_blocks, keep_days };
    for good in [policy(0, 0), policy(LEAST_BLOCKS, 0), policy(u64::MAX, MOST_DAYS)] {
        assert_eq!(good.check(), Ok(()));
        assert_eq!(good.is_archive(), good == policy(0, 0));
    }
    for (bad, words) in [
        (policy(1, 0), ["keep_blocks is 1", "at least 10001"]),
        (policy(LEAST_BLOCKS - 1, 3), ["keep_blocks is 10000", "evidence"]),
        (policy(0, MOST_DAYS + 1), ["keep_days is 36501", "0 to 36500"]),
    ] {
        let error = bad.check().unwrap_err().to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    }
}

/// A chain of blocks that nobody has executed, each an hour after the one before.
fn long_chain(height: u64) -> Chain {
    let mut chain = Chain::new();
    let first = chain.commit(Vec::new());
    let hours = |height: u64| Duration::from_secs(3_600) * u32::try_from(height).unwrap();
    for height in 2..=height {
        let mut block = (*first.block.block).clone();
        block.header.height = Height(height);
        block.header.time = block.header.time.plus(hours(height - 1));
        let tip = Tip { height: Height(height), ..(*first.tip).clone() };
        let (batch, tip) = (Batch::default(), Arc::new(tip));
        let execution = Execution { batch, receipts: Vec::new(), events: Vec::new(), tip };
        let certificate = first.block.certificate.clone();
        let certified = CertifiedBlock { block: Arc::new(block), certificate };
        chain.db.commit(&certified, &execution).unwrap();
    }
    chain
}

#[tokio::test]
async fn a_node_takes_away_what_its_policy_and_snapshots_let_go() {
    let chain = long_chain(LEAST_BLOCKS + 99);
    let db = &chain.db;
    let path = chain.home.snapshots_path();
    let shelf = Shelf::new(&path, None);
    let planned = |keep_blocks, keep_days| {
        let Floor { height, bound } = plan(db, &shelf, &Policy { keep_blocks, keep_days }).unwrap();
        (height.0, bound)
    };
    // The newest block is of height 10,100, and block h of hour h.
    assert_eq!(planned(0, 0), (1, Bound::Archive));
    assert_eq!(planned(LEAST_BLOCKS, 0), (100, Bound::Blocks));
    assert_eq!(planned(0, 1), (100, Bound::Window));
    assert_eq!(planned(0, 420), (20, Bound::Days), "420 days are 10,080 hours");
    assert_eq!(planned(LEAST_BLOCKS, 420), (20, Bound::Days));
    assert_eq!(planned(LEAST_BLOCKS + 90, 420), (10, Bound::Blocks));
    assert_eq!(planned(0, MOST_DAYS), (1, Bound::Days));
    for (name, height) in [("30", 30), ("unfinished-25", 25), ("removed-3", 25), ("50", 25)] {
        std::fs::create_dir_all(path.join(name)).unwrap();
        assert_eq!(planned(LEAST_BLOCKS, 0), (height, Bound::Snapshot(Height(height))), "{name}");
    }
    std::fs::remove_dir(path.join("unfinished-25")).unwrap();

    let policy = Policy { keep_blocks: LEAST_BLOCKS, keep_days: 0 };
    let told = report(db, &shelf, &policy).unwrap();
    assert_eq!((told.floor.height, told.blocks), (Height(30), 29));
    assert!(told.bytes > 0);
    let stopped = prune(db, told.floor.height, &AtomicBool::new(true), || {});
    assert!(matches!(stopped, Err(PruneError::Stopped)));
    assert_eq!(db.first_height(), Height(1), "what is planned or stopped takes nothing away");

    let mut lowest = db.follow_first();
    let mut until = async |height| drop(lowest.wait_for(|at| *at >= height).await.unwrap());
    let archive = Pruner::start(db.clone(), shelf.clone(), Policy::default());
    assert!(archive.is_none());
    let every = Duration::from_millis(1);
    let pruner = Pruner::start_every(every, db.clone(), shelf.clone(), policy);
    until(Height(30)).await;
    std::fs::remove_dir(path.join("30")).unwrap();
    until(Height(50)).await;
    std::fs::remove_dir(path.join("50")).unwrap();
    until(Height(100)).await;
    drop(pruner);
    let told = report(db, &shelf, &policy).unwrap();
    assert_eq!((told.floor.height, told.blocks, told.bytes), (Height(100), 0, 0));
    for (height, is_there) in [(1, false), (99, false), (100, true), (10_100, true)] {
        assert_eq!(db.block(Height(height)).unwrap().is_some(), is_there, "{height}");
    }
}

#[test]
fn a_snapshot_of_a_block_that_is_gone_is_refused_before_it_is_written() {
    let mut chain = Chain::new();
    chain.commit(Vec::new());
    let db = chain.db.clone();
    let view = db.snapshot();
    (0..2).for_each(|_| drop(chain.commit(Vec::new())));
    db.prune(Height(2)).unwrap();
    let shelf = Shelf::new(chain.home.snapshots_path(), None);
    let (genesis, stop) = (&chain.genesis, &AtomicBool::new(false));
    let source = Source { db: &db, view: &view, genesis, stop };
    let error = take(&source, &shelf, Duration::ZERO).unwrap_err().to_string();
    assert!(error.contains("block 1 was taken away"), "{error}");
    assert_eq!(shelf.lowest().unwrap(), None, "nothing is left of it");
}
