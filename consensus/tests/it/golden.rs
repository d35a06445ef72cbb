//! What replicas sign, send and make durable, frozen: a change of a single byte fails here. Blocks,
//! votes and records alone stand in the golden file of `tandem-chain`.
//!
//! The bytes stand in `golden.txt`, which a person can read. After a change that is meant (and that
//! says so in its version numbers), write the file anew and look at the difference:
//!
//! ```text
//! TANDEM_WRITE_GOLDEN=1 cargo test --release -p tandem-consensus golden
//! git diff consensus/tests/it/golden.txt
//! ```

use std::fmt::{Debug, Write as _};
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tandem_chain::block::{Block, Commit, CommitSig, Header};
use tandem_chain::codec;
use tandem_chain::comet;
use tandem_chain::keys::{Domain, SecretKey, Signature};
use tandem_chain::limits::MAX_ENCODED_BYTES;
use tandem_chain::liveness::{LivenessRecord, Observation};
use tandem_chain::types::{ChainId, Hash, Height, Power, Round, Timestamp};
use tandem_chain::vote::{Vote, VoteKind};
use tandem_consensus::journal::{Journal, KeyState, Lock, Place, Signing, Valid, VoteGuard};
use tandem_consensus::light::{LightBlock, LightValidator, ValidatorSet};
use tandem_consensus::message::{FollowBody, Message, Proposal};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/golden.txt");

/// Lines of the golden file, in sections.
struct Golden(String);

impl Golden {
    fn section(&mut self, title: &str) {
        let _ = write!(self.0, "\n# {title}\n");
    }

    fn bytes(&mut self, name: &str, bytes: &[u8]) {
        let _ = write!(self.0, "{name}: {} bytes ", bytes.len());
        for byte in bytes {
            let _ = write!(self.0, "{byte:02x}");
        }
        self.0.push('\n');
    }

    /// The encoding of a value, which must come back from it.
    fn encoded<T>(&mut self, name: &str, value: &T)
    where
        T: Serialize + DeserializeOwned + PartialEq + Debug,
    {
        let bytes = codec::encode(value);
        let again = codec::decode_canonical::<T>("value", &bytes, MAX_ENCODED_BYTES);
        assert_eq!(again.as_ref(), Ok(value), "{name}");
        self.bytes(name, &bytes);
    }
}

fn chain_id() -> ChainId {
    "tandem-golden-1".parse().expect("a chain id")
}

fn secret(n: u8) -> SecretKey {
    SecretKey::from_seed(&[n; 32])
}

/// 14 November 2023, 22:13:20 UTC, and `ms` milliseconds and one nanosecond.
fn time(ms: u64) -> Timestamp {
    Timestamp(1_700_000_000_000_000_001 + ms * 1_000_000)
}

/// A block of height 7 with nothing in it.
fn block() -> Block {
    let record = LivenessRecord { height: Height(7), ..LivenessRecord::default() };
    let header = Header {
        chain_id: chain_id(),
        height: Height(7),
        time: time(60),
        last_block_id: Some(Hash([1; 32])),
        last_commit_hash: Hash([2; 32]),
        data_hash: Hash([3; 32]),
        validators_hash: Hash([4; 32]),
        next_validators_hash: Hash([5; 32]),
        consensus_hash: Hash([6; 32]),
        app_hash: Hash([7; 32]),
        last_results_hash: Hash([8; 32]),
        evidence_hash: Hash([9; 32]),
        proposer_address: secret(1).public().address(),
    };
    Block {
        header,
        record: record.sign(&chain_id(), &secret(1)),
        txs: Vec::new(),
        evidence: Vec::new(),
        last_commit: Commit::default(),
    }
}

/// A vote of key `n`, at its own index.
fn vote(n: u8, kind: VoteKind, round: u32, block: Option<Hash>) -> Vote {
    let (height, round, key) = (Height(7), Round(round), secret(n));
    let observation = (kind == VoteKind::Precommit && block.is_some()).then(|| {
        let seen: tandem_chain::liveness::Bits = [true, false, true].into_iter().collect();
        let content = seen.to_extension();
        let bytes = comet::extension_sign_bytes(&chain_id(), height, round, &content);
        Observation { seen, signature: key.sign(&bytes) }
    });
    let mut vote = Vote {
        kind,
        height,
        round,
        block,
        timestamp: time(70),
        validator_index: u16::from(n),
        validator_address: key.public().address(),
        signature: Signature([0; 64]),
        observation,
    };
    vote.signature = key.sign(&vote.sign_bytes(&chain_id()));
    vote
}

/// Prevotes of round 1 for the block.
fn prevotes() -> Vec<Vote> {
    (1..=2).map(|n| vote(n, VoteKind::Prevote, 1, Some(block().id()))).collect()
}

/// A proposal by key 1: a fresh one in round 0, or the valid value of round 1 again in round 2.
pub fn proposal(again: bool) -> Proposal {
    let block = Arc::new(block());
    let mut proposal = Proposal {
        height: Height(7),
        round: Round(if again { 2 } else { 0 }),
        valid_round: again.then_some(Round(1)),
        block_id: block.id(),
        proposer: secret(1).public(),
        signature: Signature([0; 64]),
        block,
        prevotes: if again { prevotes() } else { Vec::new() },
    };
    proposal.signature = secret(1).sign(&proposal.sign_bytes(&chain_id()));
    proposal
}

fn follow_body() -> FollowBody {
    let node = secret(1).public();
    FollowBody { node, height: Height(8), block: Hash([8; 32]), app_hash: Hash([9; 32]) }
}

/// Every message, by name.
pub fn messages() -> Vec<(&'static str, Message)> {
    use VoteKind::{Precommit, Prevote};
    let vote = |kind, block| Message::Vote(Box::new(vote(1, kind, 2, block)));
    let id = Some(block().id());
    vec![
        ("proposal", Message::Proposal(Box::new(proposal(false)))),
        ("proposal of a valid value again", Message::Proposal(Box::new(proposal(true)))),
        ("prevote", vote(Prevote, id)),
        ("prevote for nil", vote(Prevote, None)),
        ("precommit", vote(Precommit, id)),
        ("precommit for nil", vote(Precommit, None)),
        ("follow", Message::Follow(Box::new(follow_body().sign(&chain_id(), &secret(1))))),
        ("status", Message::Status { committed: Height(7) }),
        ("lost query", Message::LostQuery),
        ("lost answer", Message::LostAnswer { committed: Height(7) }),
    ]
}

/// A guard that is silent through height 6 and has signed at height 7.
fn guard() -> VoteGuard {
    let mut guard = VoteGuard::new(KeyState::Lost);
    guard.recover(Height(6));
    assert!(guard.admit(place(Signing::Precommit)));
    guard
}

fn place(step: Signing) -> Place {
    Place { height: Height(7), round: Round(2), step }
}

fn lock() -> Lock {
    Lock { round: Round(1), block: block().id() }
}

/// A journal with everything in it.
pub fn journal() -> Journal {
    let id = block().id();
    let votes =
        vec![vote(1, VoteKind::Prevote, 2, Some(id)), vote(1, VoteKind::Precommit, 2, None)];
    let (height, round) = (Height(7), Round(2));
    Journal { guard: guard(), height, round, locked: Some(lock()), votes }
}

/// The valid value of round 1.
pub fn valid() -> Valid {
    let (block_id, block) = (block().id(), Arc::new(block()));
    Valid { height: Height(7), round: Round(1), block_id, block, prevotes: prevotes() }
}

/// A header with the precommit of one of its two validators.
pub fn light_block() -> LightBlock {
    let (header, id) = (block().header, block().id());
    let vote = vote(1, VoteKind::Precommit, 2, Some(id));
    let Vote { validator_address: address, timestamp, signature, .. } = vote;
    let signatures = vec![Some(CommitSig { address, timestamp, signature }), None];
    let (height, round, block) = (Height(7), Round(2), Some(id));
    let commit = Commit { height, round, block, signatures };
    let validator = |(n, power)| LightValidator { key: secret(n).public(), power: Power(power) };
    let validators = [(1, 3), (2, 1)].map(validator).to_vec();
    LightBlock { header, commit, validators: ValidatorSet { validators } }
}

fn golden() -> String {
    let mut out = Golden(
        "Bytes of what replicas sign, send and make durable. Test `golden` compares them, and\n\
         TANDEM_WRITE_GOLDEN=1 cargo test --release -p tandem-consensus golden\n\
         writes this file. Values are made in golden.rs.\n"
            .to_owned(),
    );
    out.section("Sign bytes");
    out.bytes("proposal", &proposal(false).sign_bytes(&chain_id()));
    out.bytes("proposal of a valid value again", &proposal(true).sign_bytes(&chain_id()));
    out.bytes("follow", &Domain::Follow.sign_bytes(&chain_id(), &follow_body()));

    out.section("The block that is proposed");
    out.encoded("block", &block());

    out.section("Messages");
    for (name, message) in messages() {
        out.encoded(name, &message);
    }

    out.section("What a header far away is trusted by");
    out.encoded("light block", &light_block());

    out.section("Parts of the journal");
    for step in [Signing::Proposal, Signing::Prevote, Signing::Precommit] {
        out.encoded(&format!("place of a {step:?}").to_lowercase(), &place(step));
    }
    out.encoded("guard of a new key", &VoteGuard::new(KeyState::Good));
    out.encoded("guard of a lost key", &VoteGuard::new(KeyState::Lost));
    out.encoded("guard", &guard());
    out.encoded("lock", &lock());

    out.section("Durable values");
    out.encoded("journal of a new key", &Journal::new(KeyState::Good));
    out.encoded("journal", &journal());
    out.encoded("valid", &valid());
    out.encoded("proposal", &proposal(false));
    out.0
}

#[test]
fn encodings_are_the_golden_ones() {
    let now = golden();
    if std::env::var_os("TANDEM_WRITE_GOLDEN").is_some() {
        std::fs::write(FILE, &now).expect("the golden file can be written");
    }
    let frozen = std::fs::read_to_string(FILE).expect("the golden file can be read");
    for (now, frozen) in now.lines().zip(frozen.lines()) {
        assert_eq!(now, frozen, "left is what the code gives, right is frozen");
    }
    assert_eq!(now.lines().count(), frozen.lines().count(), "lines of the golden file");
}

#[test]
fn every_message_is_among_the_golden_ones() {
    let mut seen = [false; 6];
    for (_, message) in messages() {
        let variant = match message {
            Message::Proposal(_) => 0,
            Message::Vote(_) => 1,
            Message::Follow(_) => 2,
            Message::Status { .. } => 3,
            Message::LostQuery => 4,
            Message::LostAnswer { .. } => 5,
        };
        seen[variant] = true;
    }
    assert_eq!(seen, [true; 6]);
}
