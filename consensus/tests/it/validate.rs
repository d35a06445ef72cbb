//! What a block must be to follow a tip, and a certificate to come with it.

use std::sync::Arc;

use tandem_chain::Error;
use tandem_chain::block::{Block, Certificate, Commit};
use tandem_chain::liveness::{Bits, LivenessRecord};
use tandem_chain::tip::Tip;
use tandem_chain::types::{Hash, Height, Round, Timestamp};
use tandem_consensus::validate::{Fixed, check, check_certificate};
use tandem_consensus::verify::Fault;

use crate::world::{World, at, commit, observation};

/// A tip, the certificate of its block, and a good block on it.
struct Fixture {
    world: World,
    tip: Arc<Tip>,
    last: Certificate,
    block: Block,
}

impl Fixture {
    fn on(height: u64) -> Self {
        let world = World::new(&[1; 4]);
        let blocks = world.chain(height, &[0, 1, 2]);
        let mut ledger = world.ledger();
        for certified in &blocks {
            commit(&mut ledger, &certified.block);
        }
        let tip = Arc::clone(ledger.tip());
        let last = blocks.last().map_or_else(Certificate::default, |b| b.certificate.clone());
        let block = world.block(&tip, &world.validator(0), at(1_000), &last);
        Self { world, tip, last, block }
    }

    fn check(&self, block: &Block) -> Result<(), Fault> {
        check(&self.tip, &Fixed::of(&self.tip), block)
    }

    fn fault(&self, change: impl FnOnce(&mut Block)) -> Error {
        let mut block = self.block.clone();
        change(&mut block);
        match self.check(&block) {
            Err(Fault::Chain(error)) => error,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_good_block_follows() {
    for height in [0, 1, 2, 5] {
        let fixture = Fixture::on(height);
        assert_eq!(fixture.check(&fixture.block), Ok(()), "on block {height}");
    }
}

#[test]
fn every_header_field_that_the_tip_fixes_is_checked() {
    let wrong = Hash([9; 32]);
    let cases: [(&str, fn(&mut Block, Hash)); 9] = [
        ("chain_id", |b, _| b.header.chain_id = "other".parse().expect("a chain id")),
        ("height", |b, _| b.header.height = b.header.height.next()),
        ("last_block_id", |b, wrong| b.header.last_block_id = Some(wrong)),
        ("last_block_id", |b, _| b.header.last_block_id = None),
        ("validators_hash", |b, wrong| b.header.validators_hash = wrong),
        ("next_validators_hash", |b, wrong| b.header.next_validators_hash = wrong),
        ("consensus_hash", |b, wrong| b.header.consensus_hash = wrong),
        ("app_hash", |b, wrong| b.header.app_hash = wrong),
        ("last_results_hash", |b, wrong| b.header.last_results_hash = wrong),
    ];
    let fixture = Fixture::on(3);
    for (name, change) in cases {
        match fixture.fault(|block| change(block, wrong)) {
            Error::Header { field, got, expected } => {
                assert_eq!(field, name);
                assert_ne!(got, expected);
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn what_a_tip_fixes_is_the_same_when_it_is_made_from_what_the_tip_before_fixed() {
    let before = Fixture::on(3).tip;
    let mut changed = before.next_next_table.seats().clone();
    changed.pop_first();
    let tables = [Arc::clone(&before.next_next_table), Arc::new(changed.into())];
    for next_next_table in tables {
        let next_table = Arc::clone(&before.next_next_table);
        let after = Tip { next_table, next_next_table, ..Tip::clone(&before) };
        assert_eq!(Fixed::of(&before).next(&before, &after), Fixed::of(&after));
    }
}

#[test]
fn the_time_is_later_than_the_parents() {
    let fixture = Fixture::on(3);
    let parent = fixture.tip.time;
    for (time, good) in [(parent.0 - 1, false), (parent.0, false), (parent.0 + 1, true)] {
        let mut block = fixture.block.clone();
        block.header.time = Timestamp(time);
        assert_eq!(fixture.check(&block).is_ok(), good);
    }
    // And block 1's than that of genesis.
    let genesis = Fixture::on(0);
    let fault = genesis.fault(|block| block.header.time = genesis.tip.time);
    assert_eq!(fault, Error::TimeNotRising);
}

#[test]
fn the_certificate_is_of_the_block_before_by_its_role_table() {
    let fixture = Fixture::on(3);
    let cases: [(&str, fn(&mut Commit)); 9] = [
        ("too little power", |c| c.signatures[0..2].fill(None)),
        ("none at all", |c| c.signatures.fill(None)),
        ("a repeated signer", |c| {
            let first = c.signatures.iter().flatten().next().cloned();
            c.signatures.fill(first);
        }),
        ("in another order", |c| c.signatures.reverse()),
        ("an entry too many", |c| c.signatures.push(None)),
        ("an entry too few", |c| c.signatures.truncate(3)),
        ("of another height", |c| c.height = Height(2)),
        ("of another block", |c| c.block = Some(Hash([9; 32]))),
        ("of no block", |c| c.block = None),
    ];
    for (name, change) in cases {
        let fault = fixture.fault(|block| change(&mut block.last_commit));
        assert!(matches!(fault, Error::Certificate { .. }), "{name}: {fault:?}");
    }
}

#[test]
fn block_1_carries_no_certificate_and_an_empty_record() {
    let fixture = Fixture::on(0);
    let empty = LivenessRecord { height: Height(1), ..LivenessRecord::default() };
    assert_eq!(fixture.block.record.record, empty);
    assert_eq!(fixture.block.last_commit, Commit::default());
    let later = Fixture::on(1);
    let fault = fixture.fault(|block| block.last_commit = later.last.commit.clone());
    assert!(matches!(fault, Error::Certificate { .. }));
    let fault = fixture.fault(|block| block.last_commit.round = Round(1));
    assert!(matches!(fault, Error::Certificate { .. }));
    let fault = fixture.fault(|block| block.record.record.alive = [true].into_iter().collect());
    assert!(matches!(fault, Error::Record { .. }));
    let fault = fixture.fault(|block| block.record.record.observations = vec![None]);
    assert!(matches!(fault, Error::Record { .. }));
}

#[test]
fn the_record_is_the_one_that_follows_from_the_observations() {
    let fixture = Fixture::on(3);
    let world = &fixture.world;
    let flip = |record: &mut LivenessRecord, bit: usize| {
        record.alive = record.alive.iter().enumerate().map(|(i, b)| b ^ (i == bit)).collect();
    };
    let first = |record: &LivenessRecord| {
        record.observations.iter().position(Option::is_some).expect("a signer")
    };
    for bit in 0..8 {
        let fault = fixture.fault(|block| flip(&mut block.record.record, bit));
        assert!(matches!(fault, Error::Record { .. }), "bit {bit}");
    }
    let short = observation(world.secret(&world.validator(0)), Height(3), Round(0), &[true; 7]);
    let cases: [(&str, Box<dyn Fn(&mut LivenessRecord)>); 6] = [
        ("a bit too few", Box::new(|r| r.alive = r.alive.iter().take(7).collect())),
        ("a bit too many", Box::new(|r| r.alive = r.alive.iter().chain([true]).collect())),
        ("no bits", Box::new(|r| r.alive = Bits::default())),
        ("of another height", Box::new(|r| r.height = r.height.next())),
        ("of no observations", Box::new(|r| r.observations.fill(None))),
        (
            "a short observation",
            Box::new(move |r| {
                let first = first(r);
                r.observations[first] = Some(short.clone());
            }),
        ),
    ];
    for (name, change) in cases {
        let fault = fixture.fault(|block| change(&mut block.record.record));
        assert!(matches!(fault, Error::Record { .. }), "{name}: {fault:?}");
    }
}

#[test]
fn a_fetched_blocks_certificate_has_its_power_and_whole_observations() {
    let fixture = Fixture::on(2);
    let good = fixture.world.certificate(&fixture.tip, &[0, 2, 3], 0, &fixture.block);
    assert_eq!(check_certificate(&fixture.tip, &good), Ok(()));
    let first = good.observations.iter().position(Option::is_some).expect("a signer");
    let secret = fixture.world.secret(&fixture.world.validator(0));
    let cases: [(&str, Box<dyn Fn(&mut Certificate)>); 4] = [
        (
            "too little power",
            Box::new(move |c| {
                c.commit.signatures[first] = None;
                c.observations[first] = None;
            }),
        ),
        ("a signature without an observation", Box::new(move |c| c.observations[first] = None)),
        ("an observation too few", Box::new(|c| c.observations.truncate(3))),
        (
            "a long observation",
            Box::new(move |c| {
                let seen = observation(secret, Height(3), Round(0), &[true; 9]);
                c.observations[first] = Some(seen);
            }),
        ),
    ];
    for (name, change) in cases {
        let mut certificate = good.clone();
        change(&mut certificate);
        assert!(check_certificate(&fixture.tip, &certificate).is_err(), "{name}");
    }
}
