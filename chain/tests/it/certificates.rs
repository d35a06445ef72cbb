//! Votes, certificates, blocks and evidence: what is refused, and by which name.

use tandem_chain::Error;
use tandem_chain::block::{Block, Certificate, Commit, CommitSig};
use tandem_chain::evidence::Evidence;
use tandem_chain::keys::Strict;
use tandem_chain::types::{Height, Power, Round};
use tandem_chain::vote::{Vote, VoteKind};

use crate::samples::{self, chain_id, hash, public, secret};

fn precommit() -> Vote {
    samples::vote(VoteKind::Precommit, Some(hash(9)))
}

#[test]
fn votes_are_verified_whole() {
    type Change = fn(&mut Vote);
    let bad = |what| Err(Error::BadSignature { what, key: public(1) });
    let extra = Err(Error::Certificate {
        what: "an observation belongs to each non-nil precommit and to nothing else",
    });
    let cases: [(&str, Change, Result<(), Error>); 10] = [
        ("as it is", |_| {}, Ok(())),
        ("another height", |v| v.height = Height(8), bad("vote")),
        ("another round", |v| v.round = Round(3), bad("vote")),
        ("another block", |v| v.block = Some(hash(8)), bad("vote")),
        ("another time", |v| v.timestamp.0 += 1, bad("vote")),
        ("another's address", |v| v.validator_address = public(2).address(), bad("vote")),
        ("no observation", |v| v.observation = None, extra.clone()),
        ("as a prevote", |v| v.kind = VoteKind::Prevote, extra),
        (
            "an observation of another round",
            |v| v.observation = Some(samples::observation(1, 7, 3, &[true])),
            bad("observation"),
        ),
        (
            "another's observation",
            |v| v.observation = Some(samples::observation(2, 7, 2, &[true])),
            bad("observation"),
        ),
    ];
    for (name, change, expected) in cases {
        let mut vote = precommit();
        change(&mut vote);
        assert_eq!(vote.verify(&Strict, &chain_id(), &public(1)), expected, "{name}");
    }
    let other = "another".parse().expect("an id");
    assert_eq!(precommit().verify(&Strict, &other, &public(1)), bad("vote"));
    for (kind, block) in [(VoteKind::Prevote, Some(hash(9))), (VoteKind::Precommit, None)] {
        let vote = samples::vote(kind, block);
        assert_eq!(vote.verify(&Strict, &chain_id(), &public(1)), Ok(()));
    }
}

#[test]
fn a_certificate_has_more_than_two_thirds_each_at_its_index() {
    type Change = fn(&mut Commit);
    let refused = |what| Err(Error::Certificate { what });
    let cases: [(&str, Change, Result<(), Error>); 8] = [
        ("as it is: 4 of 5", |_| {}, Ok(())),
        ("3 of 5", |c| c.signatures[1] = None, refused("not more than 2/3 of the power")),
        ("none", |c| c.signatures.fill(None), refused("not more than 2/3 of the power")),
        ("no block", |c| c.block = None, refused("it names no block")),
        ("an entry too few", |c| c.signatures.truncate(3), refused("not one entry per validator")),
        ("an entry too many", |c| c.signatures.push(None), refused("not one entry per validator")),
        ("swapped", |c| c.signatures.swap(0, 1), refused("address of another validator")),
        (
            "one signer twice",
            |c| c.signatures[3] = c.signatures[2].clone(),
            refused("address of another validator"),
        ),
    ];
    for (name, change, expected) in cases {
        let mut commit = samples::certificate(7, hash(7)).commit;
        change(&mut commit);
        assert_eq!(commit.check_power(&samples::sample_table()), expected, "{name}");
    }
}

#[test]
fn exactly_two_thirds_are_not_enough() {
    let table = samples::table(&[("a", 1, 1, 0), ("b", 2, 1, 0), ("c", 3, 1, 0)]);
    let sig = |i: usize| CommitSig {
        address: table.validators()[i].address,
        timestamp: samples::time(0),
        signature: secret(1).sign(b""),
    };
    let mut commit = Commit {
        height: Height(1),
        round: Round(0),
        block: Some(hash(1)),
        signatures: vec![Some(sig(0)), Some(sig(1)), None],
    };
    assert!(commit.check_power(&table).is_err());
    commit.signatures[2] = Some(sig(2));
    assert_eq!(commit.check_power(&table), Ok(()));
}

#[test]
fn every_signature_of_a_certificate_is_checked_also_behind_two_thirds() {
    type Change = fn(&mut Certificate);
    let table = samples::sample_table();
    let key = |index: usize| table.validators()[index].key;
    let bad = |what, index| Err(Error::BadSignature { what, key: key(index) });
    let cases: [(&str, Change, Result<(), Error>); 7] = [
        ("as it is", |_| {}, Ok(())),
        (
            "the last signature",
            |c| c.commit.signatures[2].as_mut().expect("a signature").signature.0[0] ^= 1,
            bad("certificate", 2),
        ),
        (
            "a time",
            |c| c.commit.signatures[0].as_mut().expect("a signature").timestamp.0 += 1,
            bad("certificate", 0),
        ),
        ("the round", |c| c.commit.round = Round(0), bad("certificate", 0)),
        ("the block", |c| c.commit.block = Some(hash(1)), bad("certificate", 0)),
        (
            "the last observation",
            |c| c.observations[2].as_mut().expect("an observation").signature.0[0] ^= 1,
            bad("observation", 2),
        ),
        ("observations swapped", |c| c.observations.swap(1, 2), bad("observation", 1)),
    ];
    for (name, change, expected) in cases {
        let mut certificate = samples::certificate(7, hash(7));
        change(&mut certificate);
        assert_eq!(certificate.check_power(&table), Ok(()), "{name}");
        let checked = certificate.check_signatures(&Strict, &chain_id(), &table);
        assert_eq!(checked, expected, "{name}");
    }
}

#[test]
fn observations_stand_where_signatures_stand() {
    type Change = fn(&mut Certificate);
    let changes: [Change; 4] = [
        |c| c.observations[0] = None,
        |c| c.observations[3] = c.observations[0].clone(),
        |c| c.observations.truncate(3),
        |c| c.observations.push(None),
    ];
    for (i, change) in changes.into_iter().enumerate() {
        let mut certificate = samples::certificate(7, hash(7));
        change(&mut certificate);
        let error = Error::Certificate { what: "not one observation per signature" };
        assert_eq!(certificate.check_power(&samples::sample_table()), Err(error), "change {i}");
    }
}

#[test]
fn a_block_s_content_is_that_of_its_header() {
    type Change = fn(&mut Block);
    let cases: [(&str, Change); 7] = [
        ("data_hash", |b| b.txs.swap(0, 1)),
        ("data_hash", |b| b.txs.truncate(1)),
        ("data_hash", |b| b.txs.push(b.txs[0].clone())),
        ("data_hash", |b| b.record.signature.0[0] ^= 1),
        ("evidence_hash", |b| b.evidence.clear()),
        ("evidence_hash", |b| b.evidence[0].total_power = Power(6)),
        ("last_commit_hash", |b| b.last_commit.signatures[0] = None),
    ];
    assert_eq!(samples::block().check_hashes(), Ok(()));
    for (expected, change) in cases {
        let mut block = samples::block();
        change(&mut block);
        let Err(Error::Header { field, .. }) = block.check_hashes() else {
            panic!("a change under {expected} is not noticed");
        };
        assert_eq!(field, expected);
    }
}

#[test]
fn every_field_of_a_header_is_under_its_hash() {
    type Change = fn(&mut Block);
    let changes: [Change; 14] = [
        |b| b.header.chain_id = "another".parse().expect("an id"),
        |b| b.header.height = Height(9),
        |b| b.header.time.0 += 1,
        |b| b.header.last_block_id = None,
        |b| b.header.last_block_id = Some(hash(0)),
        |b| b.header.last_commit_hash = hash(0),
        |b| b.header.data_hash = hash(0),
        |b| b.header.validators_hash = hash(0),
        |b| b.header.next_validators_hash = hash(0),
        |b| b.header.consensus_hash = hash(0),
        |b| b.header.app_hash = hash(0),
        |b| b.header.last_results_hash = hash(0),
        |b| b.header.evidence_hash = hash(0),
        |b| b.header.proposer_address = public(9).address(),
    ];
    let mut ids = vec![samples::block().id()];
    for (i, change) in changes.into_iter().enumerate() {
        let mut block = samples::block();
        change(&mut block);
        assert!(!ids.contains(&block.id()), "change {i}");
        ids.push(block.id());
    }
}

#[test]
fn evidence_is_two_votes_of_one_key_that_contradict() {
    type Change = fn(&mut Evidence);
    let what = |what| Err(Error::Evidence { what });
    let differ = what("votes of different heights, rounds or steps");
    let order = what("votes for one block, or in the wrong order");
    let index = what("indexes differ, or an observation is there");
    let bad = |key| Err(Error::BadSignature { what: "evidence", key });
    let cases: [(&str, Change, Result<(), Error>); 10] = [
        ("as it is", |_| {}, Ok(())),
        ("other heights", |e| e.vote_b.height = Height(8), differ.clone()),
        ("other rounds", |e| e.vote_b.round = Round(3), differ.clone()),
        ("other steps", |e| e.vote_b.kind = VoteKind::Prevote, differ),
        ("one block", |e| e.vote_a.block = e.vote_b.block, order.clone()),
        ("wrong order", |e| std::mem::swap(&mut e.vote_a, &mut e.vote_b), order),
        ("other indexes", |e| e.vote_b.validator_index = 0, index.clone()),
        ("an observation", |e| e.vote_b.observation = precommit().observation, index),
        ("another key", |e| e.key = public(2), bad(public(2))),
        ("a wrong signature", |e| e.vote_b.signature.0[0] ^= 1, bad(public(1))),
    ];
    for (name, change, expected) in cases {
        let mut evidence = samples::evidence();
        change(&mut evidence);
        assert_eq!(evidence.verify(&Strict, &chain_id()), expected, "{name}");
    }
}

#[test]
fn evidence_is_the_same_from_either_order_of_votes() {
    let (one, other) = (precommit(), samples::vote(VoteKind::Precommit, None));
    let of =
        |a: &Vote, b: &Vote| Evidence::new(a, b, public(1), Power(5), Power(1), samples::time(60));
    assert_eq!(of(&one, &other), of(&other, &one));
    assert_eq!(of(&one, &other).vote_a.block, None, "nil is lowest");
}

#[test]
fn a_transaction_is_its_sender_s_and_of_one_chain() {
    let tx = samples::tx(samples::calls().remove(0).1);
    assert_eq!(tx.verify(&Strict, &chain_id()), Ok(()));
    let other: tandem_chain::types::ChainId = "another".parse().expect("an id");
    let error = tx.verify(&Strict, &other).unwrap_err();
    assert!(matches!(error, Error::OtherChain { .. }), "{error}");
    let mut bytes = tx.bytes().to_vec();
    *bytes.last_mut().expect("bytes") ^= 1;
    let changed = tandem_chain::tx::Tx::decode(bytes).expect("a transaction");
    let error = changed.verify(&Strict, &chain_id()).unwrap_err();
    assert_eq!(error, Error::BadSignature { what: "transaction", key: public(21) });
}
