//! Sign bytes, against those that crate `tendermint` gives.

use tandem_chain::comet;
use tandem_chain::types::{Height, Round};
use tandem_chain::vote::VoteKind;
use tendermint::block::parts;
use tendermint::{Hash, Proposal, Time, Vote, block, vote};

use crate::samples::{chain_id, hash, time};

fn their_chain() -> tendermint::chain::Id {
    chain_id().as_str().parse().expect("a chain id")
}

fn their_time() -> Time {
    let time = time(5);
    Time::from_unix_timestamp(time.seconds(), time.subsec_nanos()).expect("a time")
}

fn their_block_id() -> block::Id {
    let hash = Hash::Sha256(hash(7).0);
    block::Id { hash, part_set_header: parts::Header::new(1, hash).expect("a part-set header") }
}

#[test]
fn sign_bytes_of_votes_are_those_of_crate_tendermint() {
    let cases = [
        (VoteKind::Prevote, vote::Type::Prevote, 1, 0, true),
        (VoteKind::Prevote, vote::Type::Prevote, 300, 2, false),
        (VoteKind::Precommit, vote::Type::Precommit, u64::from(u32::MAX) + 1, 1_000_000, true),
        (VoteKind::Precommit, vote::Type::Precommit, 9, 0, false),
    ];
    for (kind, vote_type, height, round, for_block) in cases {
        let theirs = Vote {
            vote_type,
            height: height.try_into().expect("a height"),
            round: round.try_into().expect("a round"),
            block_id: for_block.then(their_block_id),
            timestamp: Some(their_time()),
            validator_address: tendermint::account::Id::new([9; 20]),
            validator_index: vote::ValidatorIndex::try_from(0_i32).expect("an index"),
            signature: None,
            extension: Vec::new(),
            extension_signature: None,
        };
        let ours = comet::vote_sign_bytes(
            &chain_id(),
            kind,
            Height(height),
            Round(round),
            for_block.then(|| hash(7)),
            time(5),
        );
        assert_eq!(ours, theirs.into_signable_vec(their_chain()), "{kind:?} {height} {round}");
    }
}

#[test]
fn sign_bytes_of_proposals_are_those_of_crate_tendermint() {
    for (round, valid_round) in [(0, None), (3, Some(0)), (200, Some(199))] {
        let theirs = Proposal {
            msg_type: tendermint::proposal::Type::Proposal,
            height: 77_u32.into(),
            round: round.try_into().expect("a round"),
            pol_round: valid_round.map(|round: u32| round.try_into().expect("a round")),
            block_id: Some(their_block_id()),
            timestamp: Some(their_time()),
            signature: None,
        };
        let ours = comet::proposal_sign_bytes(
            &chain_id(),
            Height(77),
            Round(round),
            valid_round.map(Round),
            hash(7),
            time(5),
        );
        assert_eq!(ours, theirs.into_signable_vec(their_chain()), "{round} {valid_round:?}");
    }
}

#[test]
fn sign_bytes_of_one_kind_are_never_those_of_another() {
    let (id, height, round, block) = (chain_id(), Height(4), Round(1), hash(7));
    let vote = |kind, block| comet::vote_sign_bytes(&id, kind, height, round, block, time(0));
    let all = [
        vote(VoteKind::Prevote, Some(block)),
        vote(VoteKind::Prevote, None),
        vote(VoteKind::Precommit, Some(block)),
        vote(VoteKind::Precommit, None),
        comet::proposal_sign_bytes(&id, height, round, None, block, time(0)),
        comet::proposal_sign_bytes(&id, height, round, Some(Round(0)), block, time(0)),
        comet::extension_sign_bytes(&id, height, round, &[]),
        comet::extension_sign_bytes(&id, height, round, block.as_bytes()),
        comet::extension_sign_bytes(&"another".parse().expect("an id"), height, round, &[]),
        comet::extension_sign_bytes(&id, Height(5), round, &[]),
        comet::extension_sign_bytes(&id, height, Round(2), &[]),
    ];
    for (i, one) in all.iter().enumerate() {
        for other in &all[..i] {
            assert_ne!(one, other);
        }
    }
}

#[test]
fn numbers_out_of_cometbft_s_range_have_sign_bytes_of_their_own() {
    let (id, huge) = (chain_id(), Height(u64::MAX));
    let of = |height, round| {
        comet::vote_sign_bytes(&id, VoteKind::Prevote, height, round, None, time(0))
    };
    assert_ne!(of(huge, Round(0)), of(huge.back(1), Round(0)));
    assert_ne!(of(huge, Round(u32::MAX)), of(huge, Round(0)));
}
