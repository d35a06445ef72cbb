//! Hashes of blocks that CometBFT made.

use serde::Deserialize;
use tandem_chain::comet;
use tandem_chain::keys::{PublicKey, Signature};
use tandem_chain::roles::{RoleTable, Seat};
use tandem_chain::types::{Address, Hash, Height, Power, Round, Term, Timestamp};
use tandem_chain::vote::{Vote, VoteKind};
use tendermint_proto::v0_38::types as proto;

#[derive(Deserialize)]
struct Fixture {
    genesis_validators: Vec<proto::Validator>,
    consensus_params: ConsensusParams,
    blocks: Vec<Block>,
}

#[derive(Deserialize)]
struct ConsensusParams {
    max_bytes: String,
}

#[derive(Deserialize)]
struct Block {
    name: String,
    #[serde(rename = "block_id")]
    id: proto::BlockId,
    #[serde(rename = "block")]
    content: proto::Block,
}

impl Block {
    fn header(&self) -> &proto::Header {
        self.content.header.as_ref().expect("a header")
    }

    fn txs(&self) -> &[Vec<u8>] {
        &self.content.data.as_ref().expect("data").txs
    }

    fn evidence(&self) -> Vec<proto::DuplicateVoteEvidence> {
        let list = self.content.evidence.as_ref().expect("a list of evidence");
        list.evidence
            .iter()
            .map(|evidence| match &evidence.sum {
                Some(proto::evidence::Sum::DuplicateVoteEvidence(evidence)) => evidence.clone(),
                other => panic!("no duplicate vote: {other:?}"),
            })
            .collect()
    }
}

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("fixtures/cometbft_blocks.json")).expect("a fixture")
}

#[test]
fn hashes_of_real_headers_and_their_content_are_ours() {
    for block in fixture().blocks {
        let (name, header) = (&block.name, block.header());
        let commit = block.content.last_commit.as_ref().expect("a commit");
        let txs: Vec<Hash> = block.txs().iter().map(|tx| Hash::of(tx)).collect();
        let fields = [
            ("block id", &block.id.hash, comet::header_proto_hash(header)),
            ("last_commit_hash", &header.last_commit_hash, comet::commit_proto_hash(commit)),
            ("data_hash", &header.data_hash, comet::tx_hashes_root(&txs)),
            ("evidence_hash", &header.evidence_hash, comet::evidence_proto_hash(&block.evidence())),
        ];
        for (field, theirs, ours) in fields {
            assert_eq!(ours.0, theirs.as_slice(), "{field} of block \"{name}\"");
        }
    }
}

#[test]
fn the_fixtures_hold_a_transaction_evidence_and_several_signers() {
    let blocks = fixture().blocks;
    assert!(blocks.iter().any(|b| !b.txs().is_empty()));
    assert!(blocks.iter().any(|b| !b.evidence().is_empty()));
    let signers = |b: &Block| b.content.last_commit.as_ref().map_or(0, |c| c.signatures.len());
    assert_eq!(blocks.iter().map(signers).max(), Some(3));
    assert_eq!(blocks.iter().map(signers).min(), Some(0), "block 1");
}

#[test]
fn hash_of_a_real_validator_set_is_ours() {
    let fixture = fixture();
    let seats = fixture.genesis_validators.iter().map(|validator| {
        let key = match &validator.pub_key.as_ref().and_then(|key| key.sum.as_ref()) {
            Some(tendermint_proto::v0_38::crypto::public_key::Sum::Ed25519(key)) => key,
            other => panic!("no ed25519 key: {other:?}"),
        };
        let holder = PublicKey::from_slice(key).expect("a key");
        assert_eq!(holder.address().0, validator.address.as_slice());
        let power = Power(validator.voting_power.cast_unsigned());
        (format!("seat-{power}").parse().expect("a name"), Seat { holder, power, term: Term(0) })
    });
    let table = RoleTable::from(seats.collect::<std::collections::BTreeMap<_, _>>());
    let header = fixture.blocks[0].header();
    assert_eq!(comet::validators_hash(&table).0, header.validators_hash.as_slice());
}

#[test]
fn hash_of_real_block_limits_is_ours() {
    let fixture = fixture();
    let max_bytes = fixture.consensus_params.max_bytes.parse().expect("a number");
    let header = fixture.blocks[0].header();
    assert_eq!(comet::consensus_hash(max_bytes).0, header.consensus_hash.as_slice());
}

#[test]
fn hash_of_the_results_of_a_real_block_is_ours() {
    let blocks = fixture().blocks;
    let with_tx = blocks.iter().position(|b| !b.txs().is_empty()).expect("a transaction");
    let (block, after) = (&blocks[with_tx], &blocks[with_tx + 1]);
    assert_eq!(after.header().height, block.header().height + 1);
    let results = block.txs().iter().map(|_| (0, &[][..]));
    assert_eq!(comet::results_hash(results).0, after.header().last_results_hash.as_slice());
}

#[test]
fn a_vote_for_nil_in_evidence_is_written_as_in_a_real_block() {
    let evidence = fixture().blocks.iter().flat_map(Block::evidence).next().expect("evidence");
    let theirs = evidence.vote_a.expect("a vote");
    let time = theirs.timestamp.expect("a time");
    let ours = Vote {
        kind: VoteKind::Precommit,
        height: Height(theirs.height.cast_unsigned()),
        round: Round(theirs.round.cast_unsigned()),
        block: None,
        timestamp: Timestamp(
            time.seconds.cast_unsigned() * 1_000_000_000 + u64::from(time.nanos.cast_unsigned()),
        ),
        validator_index: u16::try_from(theirs.validator_index).expect("an index"),
        validator_address: Address::from_slice(&theirs.validator_address).expect("an address"),
        signature: Signature::from_slice(&theirs.signature).expect("a signature"),
        observation: None,
    };
    assert_eq!(comet::vote_proto(&ours), theirs);
}
