//! An unchanged light client follows the chain over switches, and refuses what is forged.

use std::time::Duration;

use tandem_chain::block::{Commit, CommitSig, Header};
use tandem_chain::comet;
use tandem_chain::keys::Strict;
use tandem_chain::roles::RoleTable;
use tandem_chain::types::{ChainId, Hash, Height, Round};
use tandem_chain::vote::VoteKind;
use tendermint_light_client_verifier::errors::VerificationErrorDetail as Why;
use tendermint_light_client_verifier::options::Options;
use tendermint_light_client_verifier::types::{
    LightBlock, PeerId, TrustThreshold, Validator, ValidatorSet,
};
use tendermint_light_client_verifier::{ProdVerifier, Verdict, Verifier};

use crate::samples::{chain_id, hash, public, secret_of, table, time};

/// A header with a commit and the tables of its height and the next.
#[derive(Clone)]
pub struct Signed {
    pub header: Header,
    pub commit: Commit,
    pub table: RoleTable,
    pub next: RoleTable,
}

impl Signed {
    /// Signs the header anew, with every holder of its table but those at the indexes `absent`.
    pub fn sign(&mut self, chain_id: &ChainId, round: Round, absent: &[usize]) {
        let mut commit = Commit {
            height: self.header.height,
            round,
            block: Some(self.header.id()),
            signatures: Vec::new(),
        };
        for (index, validator) in self.table.validators().iter().enumerate() {
            let timestamp = time(self.header.height.0 * 1_000 + index as u64);
            let (height, block) = (commit.height, commit.block);
            let kind = VoteKind::Precommit;
            let bytes = comet::vote_sign_bytes(chain_id, kind, height, round, block, timestamp);
            let signature = secret_of(&validator.key).sign(&bytes);
            let sig = CommitSig { address: validator.address, timestamp, signature };
            commit.signatures.push((!absent.contains(&index)).then_some(sig));
        }
        self.commit = commit;
    }

    /// As the light client's own types, by way of the protobuf messages that are hashed.
    pub fn light_block(&self) -> LightBlock {
        let header = comet::header_proto(&self.header).try_into().expect("a header");
        let commit = comet::commit_proto(&self.commit).try_into().expect("a commit");
        let signed = tendermint::block::signed_header::SignedHeader::new(header, commit)
            .expect("one height");
        let (set, next) = (validator_set(&self.table), validator_set(&self.next));
        LightBlock::new(signed, set, next, PeerId::new([0; 20]))
    }
}

fn validator_set(table: &RoleTable) -> ValidatorSet {
    let info = |validator: &tandem_chain::roles::Validator| Validator {
        address: tendermint::account::Id::new(validator.address.0),
        pub_key: tendermint::PublicKey::from_raw_ed25519(&validator.key.0).expect("a key"),
        power: validator.power.0.try_into().expect("a power"),
        name: None,
        proposer_priority: 0_i64.into(),
    };
    ValidatorSet::without_proposer(table.validators().iter().map(info).collect())
}

/// What an unchanged light client that trusts `trusted` says about `untrusted`.
pub fn verdict(trusted: &Signed, untrusted: &Signed) -> Verdict {
    let (trusted, untrusted) = (trusted.light_block(), untrusted.light_block());
    let options = Options {
        trust_threshold: TrustThreshold::ONE_THIRD,
        trusting_period: Duration::from_secs(86_400),
        clock_drift: Duration::from_secs(5),
    };
    let now = time(3_600_000);
    let now = tendermint::Time::from_unix_timestamp(now.seconds(), 0).expect("a time");
    ProdVerifier::default().verify_update_header(
        untrusted.as_untrusted_state(),
        trusted.as_trusted_state(),
        &options,
        now,
    )
}

/// Headers 1 to 12 of four seats: seat b passes to its standby at height 5 (as after a death: its
/// holder is absent from the commits before), seat c at 8 (planned, no vote missing), all others
/// but d at 11.
fn chain() -> Vec<Signed> {
    let id = chain_id();
    let table_at = |height: u64| match height {
        ..=4 => table(&[("a", 1, 1, 0), ("b", 2, 1, 0), ("c", 3, 1, 0), ("d", 4, 1, 0)]),
        5..=7 => table(&[("a", 1, 1, 0), ("b", 12, 1, 1), ("c", 3, 1, 0), ("d", 4, 1, 0)]),
        8..=10 => table(&[("a", 1, 1, 0), ("b", 12, 1, 1), ("c", 13, 1, 1), ("d", 4, 1, 0)]),
        _ => table(&[("a", 11, 1, 1), ("b", 2, 1, 2), ("c", 3, 1, 2), ("d", 4, 1, 0)]),
    };
    let mut blocks: Vec<Signed> = Vec::new();
    for height in 1..=12 {
        let (table, next) = (table_at(height), table_at(height + 1));
        let last = blocks.last();
        let header = Header {
            chain_id: id.clone(),
            height: Height(height),
            time: time(height * 1_000),
            last_block_id: last.map(|last| last.header.id()),
            last_commit_hash: last.map_or(Hash::EMPTY, |last| comet::commit_hash(&last.commit)),
            data_hash: hash(1),
            validators_hash: comet::validators_hash(&table),
            next_validators_hash: comet::validators_hash(&next),
            consensus_hash: comet::consensus_hash(1 << 20),
            app_hash: hash(2),
            last_results_hash: Hash::EMPTY,
            evidence_hash: Hash::EMPTY,
            proposer_address: table.validators()[0].address,
        };
        let mut signed = Signed { header, commit: Commit::default(), table, next };
        let (round, absent) = match height {
            3 | 4 => (0, signed.table.by_key(&public(2)).map(|(index, _)| index)),
            5 => (2, Some(0)),
            9 => (7, Some(3)),
            _ => (0, None),
        };
        signed.sign(&id, Round(round), absent.as_slice());
        signed.commit.check_power(&signed.table).expect("power");
        signed.commit.check_signatures(&Strict, &id, &signed.table).expect("signatures");
        blocks.push(signed);
    }
    blocks
}

/// The verdicts that a light client gives on every later header from every earlier one.
pub fn check_all_pairs(blocks: &[Signed]) -> usize {
    let mut skipped = 0;
    for (i, trusted) in blocks.iter().enumerate() {
        for (j, untrusted) in blocks.iter().enumerate().skip(i + 1) {
            let verdict = verdict(trusted, untrusted);
            let name = format!("{} -> {}", trusted.header.height, untrusted.header.height);
            if j == i + 1 {
                assert_eq!(verdict, Verdict::Success, "{name}");
            } else if known_signers(trusted, untrusted) * 3 > trusted.next.total_power().0 {
                assert_eq!(verdict, Verdict::Success, "{name}");
                skipped += 1;
            } else {
                assert!(matches!(verdict, Verdict::NotEnoughTrust(_)), "{name}: {verdict:?}");
            }
        }
    }
    skipped
}

/// Power in the set that `trusted` announces of those that signed `untrusted`.
fn known_signers(trusted: &Signed, untrusted: &Signed) -> u64 {
    let signed =
        |address| untrusted.commit.signatures.iter().flatten().any(|sig| sig.address == address);
    let known = trusted.next.validators().iter().filter(|known| signed(known.address));
    known.map(|known| known.power.0).sum()
}

#[test]
fn a_light_client_follows_headers_one_by_one_and_skipping_over_switches() {
    let blocks = chain();
    let skipped = check_all_pairs(&blocks);
    let pairs = blocks.len() * (blocks.len() - 1) / 2;
    assert!(skipped > pairs / 2, "only {skipped} of {pairs}");
    let (early, late) = (&blocks[6], &blocks[11]);
    assert!(
        matches!(verdict(early, late), Verdict::NotEnoughTrust(_)),
        "three of four seats have moved: the client has to look at headers between"
    );
}

#[test]
fn a_light_client_refuses_what_is_forged() {
    type Change = fn(&mut Signed);
    type Refusal = fn(&Verdict) -> bool;
    const OTHER_CHAIN: &str = "another-chain";
    let cases: [(&str, Change, Refusal); 9] = [
        (
            "2 of 4 signatures",
            |b| b.sign(&chain_id(), Round(0), &[0, 3]),
            |v| matches!(v, Verdict::Invalid(Why::InsufficientSignersOverlap(_))),
        ),
        (
            "a set that the header before does not announce",
            |b| {
                b.table = table(&[("a", 1, 1, 0), ("b", 2, 1, 0), ("c", 3, 1, 0), ("d", 20, 1, 1)]);
                b.header.validators_hash = comet::validators_hash(&b.table);
                b.sign(&chain_id(), Round(0), &[]);
            },
            |v| matches!(v, Verdict::Invalid(Why::InvalidNextValidatorSet(_))),
        ),
        (
            "a set that is not the header's",
            |b| b.table = table(&[("a", 21, 1, 0), ("b", 22, 1, 0), ("c", 23, 1, 0)]),
            |v| matches!(v, Verdict::Invalid(Why::InvalidValidatorSet(_))),
        ),
        (
            "another chain's header",
            |b| {
                b.header.chain_id = OTHER_CHAIN.parse().expect("an id");
                b.sign(&b.header.chain_id.clone(), Round(0), &[]);
            },
            |v| matches!(v, Verdict::Invalid(Why::ChainIdMismatch(_))),
        ),
        (
            "signatures for another chain",
            |b| b.sign(&OTHER_CHAIN.parse().expect("an id"), Round(0), &[]),
            |v| matches!(v, Verdict::Invalid(Why::InvalidSignature(_))),
        ),
        (
            "a header that is not the signed one",
            |b| b.header.app_hash = hash(99),
            |v| matches!(v, Verdict::Invalid(Why::InvalidCommitValue(_))),
        ),
        (
            "a wrong signature",
            |b| b.commit.signatures[0].as_mut().expect("a signature").signature.0[5] ^= 1,
            |v| matches!(v, Verdict::Invalid(Why::InvalidSignature(_))),
        ),
        (
            "a signature's time changed",
            |b| b.commit.signatures[1].as_mut().expect("a signature").timestamp = time(0),
            |v| matches!(v, Verdict::Invalid(Why::InvalidSignature(_))),
        ),
        (
            "the round changed",
            |b| b.commit.round = Round(1),
            |v| matches!(v, Verdict::Invalid(Why::InvalidSignature(_))),
        ),
    ];
    let blocks = chain();
    for (name, change, refusal) in cases {
        let mut forged = blocks[1].clone();
        change(&mut forged);
        let verdict = verdict(&blocks[0], &forged);
        assert!(refusal(&verdict), "{name}: {verdict:?}");
    }
}

#[test]
fn a_header_signed_by_the_holder_before_the_switch_is_refused_after_it() {
    let blocks = chain();
    let mut forged = blocks[4].clone();
    forged.table = blocks[3].table.clone();
    forged.header.validators_hash = comet::validators_hash(&forged.table);
    forged.sign(&chain_id(), Round(0), &[]);
    let verdict = verdict(&blocks[3], &forged);
    assert!(matches!(verdict, Verdict::Invalid(Why::InvalidNextValidatorSet(_))), "{verdict:?}");
}
