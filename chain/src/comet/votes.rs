//! Sign bytes of votes, vote extensions and proposals.

use prost::Message as _;
use tendermint_proto::v0_38::types as proto;

use crate::comet::timestamp;
use crate::types::{BlockId, ChainId, Height, Round, Timestamp};
use crate::vote::VoteKind;

/// CometBFT's number of a step.
#[must_use]
pub fn signed_msg_type(kind: VoteKind) -> proto::SignedMsgType {
    match kind {
        VoteKind::Prevote => proto::SignedMsgType::Prevote,
        VoteKind::Precommit => proto::SignedMsgType::Precommit,
    }
}

fn canonical_block_id(id: BlockId) -> proto::CanonicalBlockId {
    proto::CanonicalBlockId {
        hash: id.0.to_vec(),
        part_set_header: Some(proto::CanonicalPartSetHeader { total: 1, hash: id.0.to_vec() }),
    }
}

/// Sign bytes of a vote: none as the block is a vote for nil.
#[must_use]
pub fn vote_sign_bytes(
    chain_id: &ChainId,
    kind: VoteKind,
    height: Height,
    round: Round,
    block: Option<BlockId>,
    time: Timestamp,
) -> Vec<u8> {
    let vote = proto::CanonicalVote {
        r#type: signed_msg_type(kind).into(),
        height: height.0.cast_signed(),
        round: round.0.into(),
        block_id: block.map(canonical_block_id),
        timestamp: Some(timestamp(time)),
        chain_id: chain_id.as_str().to_owned(),
    };
    vote.encode_length_delimited_to_vec()
}

/// Sign bytes of a vote extension. They bind chain, height and round, but not the block.
#[must_use]
pub fn extension_sign_bytes(
    chain_id: &ChainId,
    height: Height,
    round: Round,
    extension: &[u8],
) -> Vec<u8> {
    let extension = proto::CanonicalVoteExtension {
        extension: extension.to_vec(),
        height: height.0.cast_signed(),
        round: round.0.into(),
        chain_id: chain_id.as_str().to_owned(),
    };
    extension.encode_length_delimited_to_vec()
}

/// Sign bytes of a proposal; `valid_round` is the paper's, none for -1.
#[must_use]
pub fn proposal_sign_bytes(
    chain_id: &ChainId,
    height: Height,
    round: Round,
    valid_round: Option<Round>,
    block: BlockId,
    time: Timestamp,
) -> Vec<u8> {
    let proposal = proto::CanonicalProposal {
        r#type: proto::SignedMsgType::Proposal.into(),
        height: height.0.cast_signed(),
        round: round.0.into(),
        pol_round: valid_round.map_or(-1, |round| round.0.into()),
        block_id: Some(canonical_block_id(block)),
        timestamp: Some(timestamp(time)),
        chain_id: chain_id.as_str().to_owned(),
    };
    proposal.encode_length_delimited_to_vec()
}
