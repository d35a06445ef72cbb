//! Trust in headers far away, and in the block of a restored state.

use std::sync::Arc;
use std::time::Duration;

use tandem_chain::block::{CertifiedBlock, Commit, CommitSig, Header};
use tandem_chain::comet;
use tandem_chain::keys::{PublicKey, SecretKey, Signature, Strict};
use tandem_chain::ledger::Ledger;
use tandem_chain::store::MemoryStore;
use tandem_chain::tip::Tip;
use tandem_chain::types::{Address, Hash, Height, Power, Round, Timestamp};
use tandem_consensus::light::{
    LightBlock, LightError, LightValidator, MAX_CLOCK_DRIFT, Trusted, ValidatorSet, Walk,
    check_restored,
};

use crate::world::{World, at, chain_id, commit, rehash};

const PERIOD: Duration = Duration::from_secs(1_000_000);
/// Milliseconds between blocks.
const STEP: u64 = 10;
const HONEST: PublicKey = PublicKey([1; 32]);
const LIAR: PublicKey = PublicKey([2; 32]);

/// A set of the keys with these numbers, of power 1 each, in CometBFT's order.
fn set(keys: &[u8]) -> ValidatorSet {
    let mut keys: Vec<PublicKey> = keys.iter().map(|n| secret(*n).public()).collect();
    keys.sort_by_key(PublicKey::address);
    let validator = |key| LightValidator { key, power: Power(1) };
    ValidatorSet { validators: keys.into_iter().map(validator).collect() }
}

fn secret(n: u8) -> SecretKey {
    SecretKey::from_seed(&[n; 32])
}

/// Signs a block's header anew, with its hashes of validators, by the keys with these numbers.
fn sign(block: &mut LightBlock, keys: &[u8]) {
    block.header.validators_hash = block.validators.hash();
    let id = block.header.id();
    let round = Round::ZERO;
    block.commit =
        Commit { height: block.header.height, round, block: Some(id), signatures: Vec::new() };
    for validator in &block.validators.validators {
        let signer = keys.iter().map(|n| secret(*n)).find(|s| s.public() == validator.key);
        let sig = signer.map(|secret| {
            let (address, timestamp) = (validator.key.address(), block.header.time);
            let mut sig = CommitSig { address, timestamp, signature: Signature([0; 64]) };
            sig.signature = secret.sign(&block.commit.sign_bytes(&chain_id(), &sig));
            sig
        });
        block.commit.signatures.push(sig);
    }
}

/// A chain whose heights, from 1 on, have validators with these key numbers; all sign.
fn chain(sets: &[Vec<u8>]) -> Vec<LightBlock> {
    let mut blocks: Vec<LightBlock> = Vec::new();
    for (i, keys) in sets.iter().enumerate() {
        let next = sets.get(i + 1).unwrap_or(keys);
        let zero = Hash([0; 32]);
        let height = i as u64 + 1;
        let header = Header {
            chain_id: chain_id(),
            height: Height(height),
            time: at(height * STEP).wall,
            last_block_id: blocks.last().map(|block| block.header.id()),
            last_commit_hash: zero,
            data_hash: zero,
            validators_hash: zero,
            next_validators_hash: set(next).hash(),
            consensus_hash: zero,
            app_hash: Hash::of(&height.to_le_bytes()),
            last_results_hash: zero,
            evidence_hash: zero,
            proposer_address: Address([0; 20]),
        };
        let mut block = LightBlock { header, commit: Commit::default(), validators: set(keys) };
        sign(&mut block, keys);
        blocks.push(block);
    }
    blocks
}

/// The validators of genesis.
fn first() -> Vec<u8> {
    vec![1, 2, 3, 4]
}

fn genesis() -> Trusted {
    Trusted::genesis(&World::new(&[1; 4]).genesis)
}

/// The clock of who checks, later than all blocks.
fn now() -> Timestamp {
    at(100_000).wall
}

/// Follows a walk; the heights that were asked for.
fn follow(walk: &mut Walk, blocks: &[LightBlock]) -> Result<Vec<u64>, LightError> {
    let mut asked = Vec::new();
    while let Some(Height(height)) = walk.wanted() {
        asked.push(height);
        let index = usize::try_from(height).unwrap() - 1;
        walk.take(&Strict, now(), HONEST, blocks[index].clone()).map_err(|(_, error)| error)?;
    }
    Ok(asked)
}

#[test]
fn validators_that_stay_are_trusted_over_any_distance() {
    let blocks = chain(&vec![first(); 40]);
    let mut walk = Walk::new(genesis(), Height(40), PERIOD);
    assert_eq!(follow(&mut walk, &blocks).unwrap(), [40]);
    assert_eq!(walk.trusted().header(), Some(&blocks[39].header));
}

/// Four validators of which one is replaced every eight heights.
fn changing(length: u64) -> Vec<LightBlock> {
    let keys = |height: u64| {
        let gone = u8::try_from(height / 8).unwrap();
        (gone + 1..=gone + 4).collect::<Vec<u8>>()
    };
    chain(&(0..length).map(keys).collect::<Vec<_>>())
}

#[test]
fn validators_that_change_are_followed_in_steps() {
    let blocks = changing(100);
    let mut walk = Walk::new(genesis(), Height(100), PERIOD);
    let asked = follow(&mut walk, &blocks).unwrap();
    assert!(asked.len() > 5 && asked.len() < 40, "{asked:?}");
    assert_eq!(walk.trusted().header(), Some(&blocks[99].header));
    // From height to height nothing is needed but the link.
    let mut trusted = genesis();
    for block in &blocks {
        trusted = trusted.advance(&Strict, now(), PERIOD, block).unwrap();
    }
    assert_eq!(trusted.height(), Height(100));
}

#[test]
fn exactly_a_third_of_what_was_trusted_is_too_little() {
    for (kept, trusted) in [(1, false), (2, true)] {
        let later: Vec<u8> = (1..=kept).chain(11..=13).collect();
        let mut blocks = chain(&[vec![1, 2, 3], vec![1, 2, 3], later.clone()]);
        let one = Trusted::named(&Strict, &chain_id(), blocks[0].header.id(), &blocks[0]).unwrap();
        let result = one.advance(&Strict, now(), PERIOD, &blocks[2]);
        assert_eq!(result.is_ok(), trusted, "{kept} of 3: {result:?}");
        // Those that are trusted, and did not sign, count nothing.
        let signers: Vec<u8> = later.iter().copied().filter(|n| *n != 1).collect();
        sign(&mut blocks[2], &signers);
        let result = one.advance(&Strict, now(), PERIOD, &blocks[2]);
        assert!(matches!(result, Err(LightError::TooFar { .. })), "{result:?}");
    }
}

#[test]
fn a_block_that_strangers_signed_is_refused_in_the_end_and_its_sender_named() {
    let blocks = changing(60);
    let forged = chain(&vec![vec![91, 92, 93, 94]; 60]);
    let mut walk = Walk::new(genesis(), Height(60), PERIOD);
    walk.take(&Strict, now(), LIAR, forged[59].clone()).unwrap();
    let mut refused = None;
    while let Some(Height(height)) = walk.wanted() {
        let block = blocks[usize::try_from(height).unwrap() - 1].clone();
        if let Err((from, error)) = walk.take(&Strict, now(), HONEST, block) {
            assert_eq!(from, LIAR, "{error}");
            assert!(refused.replace(error).is_none(), "once");
        }
    }
    assert!(matches!(refused, Some(LightError::Unfit { .. })), "{refused:?}");
    assert_eq!(walk.trusted().header(), Some(&blocks[59].header));
}

#[test]
fn what_is_not_right_is_refused() {
    type Change = fn(&mut LightBlock);
    let cases: [(&str, u64, Change, &str); 13] = [
        ("not later", 3, |_| (), "not later than what is trusted"),
        ("of another chain", 8, |b| b.header.chain_id = "other".parse().unwrap(), "another chain"),
        ("another header", 8, |b| b.header.app_hash = Hash([9; 32]), "of another block"),
        ("another height", 8, |b| b.commit.height = Height(7), "of another block"),
        ("other validators", 8, |b| b.validators = set(&[1, 2, 3, 5]), "not those that its header"),
        ("2/3 and no more", 8, |b| sign(b, &[1, 2]), "not more than 2/3"),
        (
            "a wrong signature",
            8,
            |b| {
                let sig = b.commit.signatures[1].as_mut().unwrap();
                sig.signature = Signature([7; 64]);
            },
            "signature",
        ),
        ("one too few", 8, |b| b.commit.signatures.truncate(3), "one entry per validator"),
        ("at another index", 8, |b| b.commit.signatures.swap(0, 1), "another validator"),
        (
            "a key twice",
            8,
            |b| {
                let trusted = b.validators.validators[0];
                b.validators.validators = vec![trusted; 4];
                sign(b, &first());
            },
            "stands twice",
        ),
        (
            "no validators",
            8,
            |b| {
                b.validators = ValidatorSet::default();
                sign(b, &[]);
            },
            "not more than 2/3",
        ),
        (
            "the next, by others",
            4,
            |b| {
                b.validators = set(&[1, 2, 3, 5]);
                sign(b, &[1, 2, 3, 5]);
            },
            "not those that its parent names",
        ),
        (
            "the next, of another parent",
            4,
            |b| {
                b.header.last_block_id = Some(Hash([3; 32]));
                sign(b, &first());
            },
            "its parent is not",
        ),
    ];
    let blocks = chain(&vec![first(); 10]);
    let trusted = genesis().advance(&Strict, now(), PERIOD, &blocks[2]).unwrap();
    for (name, height, change, reason) in cases {
        let mut block = blocks[usize::try_from(height).unwrap() - 1].clone();
        change(&mut block);
        let error = trusted.advance(&Strict, now(), PERIOD, &block).unwrap_err().to_string();
        assert!(error.contains(reason), "{name}: {error}");
        // What was named by its hash is checked as well.
        if height == 8 && !matches!(name, "of another chain") {
            let id = block.header.id();
            assert!(Trusted::named(&Strict, &chain_id(), id, &block).is_err(), "{name}");
        }
    }
    let powers = |block: &mut LightBlock| {
        block.validators.validators.iter_mut().for_each(|v| v.power = Power(u64::MAX));
        sign(block, &[1, 2]);
    };
    let mut huge = blocks[7].clone();
    powers(&mut huge);
    assert!(trusted.advance(&Strict, now(), PERIOD, &huge).is_err(), "no sum overflows");
}

#[test]
fn times_are_held_to_the_clock_and_the_trust_period() {
    let blocks = chain(&vec![first(); 10]);
    let trusted = genesis().advance(&Strict, now(), PERIOD, &blocks[2]).unwrap();
    let times = |height: u64| at(height * STEP).wall;
    let advance = |now, period| trusted.advance(&Strict, now, period, &blocks[7]);

    let period = times(9).since(times(3));
    assert!(advance(Timestamp(times(9).0 - 1), period).is_ok());
    let expired = advance(times(9), period).unwrap_err();
    assert_eq!(expired, LightError::Expired { trusted: Height(3) });
    assert!(expired.to_string().contains("--trust"), "{expired}");

    let clock = Timestamp(times(8).0 - u64::try_from(MAX_CLOCK_DRIFT.as_nanos()).unwrap());
    assert!(advance(clock, PERIOD).is_ok());
    let ahead = advance(Timestamp(clock.0 - 1), PERIOD).unwrap_err().to_string();
    assert!(ahead.contains("ahead of this machine's clock"), "{ahead}");

    let mut earlier = blocks[7].clone();
    earlier.header.time = times(3);
    sign(&mut earlier, &first());
    let error = trusted.advance(&Strict, now(), PERIOD, &earlier).unwrap_err().to_string();
    assert!(error.contains("not later than that"), "{error}");
}

#[test]
fn a_named_block_is_trusted_by_its_hash_and_those_before_it_by_its_links() {
    let blocks = changing(30);
    let newest = &blocks[29];
    let named = |hash| Trusted::named(&Strict, &chain_id(), hash, newest);
    let error = named(blocks[28].header.id()).unwrap_err().to_string();
    assert!(error.contains("another block than the one with the hash"), "{error}");
    let mut walk = Walk::new(named(newest.header.id()).unwrap(), Height(26), PERIOD);
    let mut other = blocks[28].clone();
    other.header.app_hash = Hash([1; 32]);
    sign(&mut other, &[4, 5, 6, 7]);
    let (from, error) = walk.take(&Strict, now(), LIAR, other).unwrap_err();
    assert_eq!(from, LIAR);
    assert!(error.to_string().contains("not the parent"), "{error}");
    assert_eq!(follow(&mut walk, &blocks).unwrap(), [29, 28, 27, 26]);
    assert_eq!(walk.trusted().header(), Some(&blocks[25].header));
    let mut foreign = blocks[24].clone();
    foreign.validators = set(&[1, 2]);
    assert!(walk.trusted().back(&foreign).is_err());
}

#[test]
fn another_height_than_was_asked_for_is_refused() {
    let blocks = chain(&vec![first(); 10]);
    let mut walk = Walk::new(genesis(), Height(9), PERIOD);
    let (from, error) = walk.take(&Strict, now(), LIAR, blocks[9].clone()).unwrap_err();
    assert_eq!((from, walk.wanted()), (LIAR, Some(Height(9))));
    assert!(error.to_string().contains("another height"), "{error}");
}

#[test]
fn a_role_table_and_its_validators_have_one_hash() {
    let table = World::new(&[5, 1, 3, 3]).genesis.role_table();
    assert_eq!(ValidatorSet::from(&table).hash(), comet::validators_hash(&table));
}

type BlockChange = fn(&mut CertifiedBlock);

/// A chain of three blocks, and what was known after the first and the second.
fn restored() -> (World, Vec<CertifiedBlock>, [Arc<Tip>; 2]) {
    let world = World::new(&[1; 4]);
    let blocks = world.chain(3, &[0, 1, 2]);
    let mut ledger: Ledger<MemoryStore> = world.ledger();
    let tips = [0, 1].map(|i| {
        commit(&mut ledger, &blocks[i].block);
        Arc::clone(ledger.tip())
    });
    (world, blocks, tips)
}

#[test]
fn the_block_of_a_restored_state_is_bound_to_the_header_above_it() {
    let (_, blocks, [first, second]) = restored();
    let check = |tip: &Tip, above: usize, block: &CertifiedBlock| {
        let before = (tip.height > Height(1)).then_some(&*first.table);
        check_restored(&Strict, tip, before, &blocks[above].block.header, block)
    };
    assert_eq!(check(&second, 2, &blocks[1]), Ok(()));
    assert_eq!(check(&first, 1, &blocks[0]), Ok(()));
    assert!(check(&second, 2, &blocks[0]).is_err(), "another block");
    assert!(check(&second, 1, &blocks[1]).is_err(), "another header");

    let cases: [(&str, BlockChange); 8] = [
        ("other content", |b| {
            let block = Arc::make_mut(&mut b.block);
            block.record.record.height = Height(9);
        }),
        ("another header", |b| {
            let block = Arc::make_mut(&mut b.block);
            block.record.record.height = Height(9);
            rehash(block);
            b.certificate.commit.block = Some(block.id());
        }),
        ("a certificate of another block", |b| b.certificate.commit.block = Some(Hash([1; 32]))),
        ("a certificate of another round", |b| b.certificate.commit.round = Round(1)),
        ("too few signatures", |b| {
            let at = b.certificate.commit.signatures.iter().position(Option::is_some).unwrap();
            b.certificate.commit.signatures[at] = None;
            b.certificate.observations[at] = None;
        }),
        ("an observation is missing", |b| {
            let at = b.certificate.observations.iter().position(Option::is_some).unwrap();
            b.certificate.observations[at] = None;
        }),
        ("an observation of other nodes", |b| {
            let seen = b.certificate.observations.iter_mut().flatten().next().unwrap();
            seen.seen = [true].into_iter().collect();
        }),
        ("the parent's certificate of another round", |b| {
            Arc::make_mut(&mut b.block).last_commit.round = Round(1);
        }),
    ];
    for (name, change) in cases {
        let mut block = blocks[1].clone();
        change(&mut block);
        assert!(check(&second, 2, &block).is_err(), "{name}");
    }
}
