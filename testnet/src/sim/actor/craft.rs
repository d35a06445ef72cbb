//! What actors make: votes, observations, blocks and proposals, signed with the keys of liars.

use std::sync::Arc;

use tandem_chain::block::{Block, Certificate, CommitSig};
use tandem_chain::comet;
use tandem_chain::keys::{Signature, Signer};
use tandem_chain::liveness::{Bits, Observation};
use tandem_chain::types::{BlockId, Height, Round};
use tandem_chain::vote::{Vote, VoteKind};
use tandem_consensus::message::{FollowBody, Message, Proposal};
use tandem_consensus::validate::{self, Fixed};

use super::Scene;
use super::deed::Deed;

/// Height at which a holder that had shown nothing since genesis would be recorded dead, and its seat
/// have moved, in all but some histories.
const LONG: Height = Height(20);

/// A vote, signed anew.
pub(super) fn sign_vote(scene: &Scene, signer: &Arc<dyn Signer>, mut vote: Vote) -> Vote {
    vote.signature = signer.sign(&vote.sign_bytes(scene.chain_id));
    vote
}

/// An observation, signed.
pub(super) fn observation(
    scene: &Scene,
    signer: &Arc<dyn Signer>,
    height: Height,
    round: Round,
    seen: Bits,
) -> Observation {
    let extension = seen.to_extension();
    let bytes = comet::extension_sign_bytes(scene.chain_id, height, round, &extension);
    Observation { signature: signer.sign(&bytes), seen }
}

/// A vote with the address of `signer`; with a precommit for a block goes that all are alive.
pub(super) fn vote(
    scene: &Scene,
    signer: &Arc<dyn Signer>,
    index: usize,
    (height, round, kind): (Height, Round, VoteKind),
    block: Option<BlockId>,
) -> Vote {
    let has_observation = kind == VoteKind::Precommit && block.is_some();
    let seen = || scene.tip.register.nodes.keys().map(|_| true).collect();
    let vote = Vote {
        kind,
        height,
        round,
        block,
        timestamp: scene.wall,
        validator_index: u16::try_from(index).unwrap_or(u16::MAX),
        validator_address: signer.public().address(),
        signature: Signature([0; Signature::LEN]),
        observation: has_observation.then(|| observation(scene, signer, height, round, seen())),
    };
    sign_vote(scene, signer, vote)
}

/// Prevote and precommit for what was proposed.
pub(super) fn votes_for(
    scene: &Scene,
    signer: &Arc<dyn Signer>,
    index: usize,
    proposal: &Proposal,
) -> [Vote; 2] {
    let Proposal { height, round, block_id, .. } = *proposal;
    [VoteKind::Prevote, VoteKind::Precommit]
        .map(|kind| vote(scene, signer, index, (height, round, kind), Some(block_id)))
}

/// Tells all that its node follows, as is true.
pub(super) fn follow(scene: &mut Scene) {
    let Some(block) = scene.tip.block else { return };
    let (node, height, app_hash) = (scene.key(), scene.tip.height, scene.tip.app_hash);
    let body = FollowBody { node, height, block, app_hash };
    let follow = body.sign(scene.chain_id, scene.signer.as_ref());
    scene.sends_all(None, &Message::Follow(Box::new(follow)));
}

/// It has held its seat for long, and the record calls it alive still.
pub(super) fn keeps_seat(scene: &mut Scene, deed: Deed) {
    let (key, tip) = (scene.key(), &scene.tip);
    let is_alive = tip.alive.as_ref().is_some_and(|alive| alive.contains(&key));
    if is_alive && tip.height > LONG && tip.next_table.by_key(&key).is_some() {
        scene.did(deed);
    }
}

/// Sends votes to all.
pub(super) fn cast(scene: &mut Scene, deed: Deed, votes: impl IntoIterator<Item = Vote>) {
    for vote in votes {
        scene.sends_all(deed, &Message::Vote(Box::new(vote)));
    }
}

/// What a message holds that is a fresh proposal of the node's own.
pub(super) fn own_fresh<'m>(scene: &Scene, message: &'m Message) -> Option<&'m Proposal> {
    let Message::Proposal(proposal) = message else { return None };
    let me = scene.key();
    let is_own = proposal.proposer == me && proposal.valid_round.is_none();
    (is_own && proposal.block.header.proposer_address == me.address()).then_some(proposal)
}

/// The certificate, with its observations, that a block carries.
pub(super) fn certificate_in(block: &Block) -> Certificate {
    let observations = block.record.record.observations.clone();
    Certificate { commit: block.last_commit.clone(), observations }
}

/// The block of a proposal made again by `signer`, on another certificate; none unless it is of the
/// height that the node works on.
pub(super) fn rebuilt(
    scene: &Scene,
    signer: &Arc<dyn Signer>,
    block: &Block,
    certificate: &Certificate,
) -> Option<Block> {
    if block.header.height != scene.height() {
        return None;
    }
    let content = (block.txs.clone(), block.evidence.clone());
    let fixed = Fixed::of(&scene.tip);
    let time = block.header.time;
    Some(validate::build(&scene.tip, &fixed, certificate, time, content, signer.as_ref()))
}

/// A proposal of `block` at the place of another.
pub(super) fn proposal(
    scene: &Scene,
    signer: &Arc<dyn Signer>,
    (height, round): (Height, Round),
    block: Block,
) -> Proposal {
    let proposal = Proposal {
        height,
        round,
        valid_round: None,
        block_id: block.id(),
        proposer: signer.public(),
        signature: Signature([0; Signature::LEN]),
        block: Arc::new(block),
        prevotes: Vec::new(),
    };
    sign_proposal(scene, signer, proposal)
}

/// A proposal, signed anew.
pub(super) fn sign_proposal(
    scene: &Scene,
    signer: &Arc<dyn Signer>,
    mut proposal: Proposal,
) -> Proposal {
    proposal.signature = signer.sign(&proposal.sign_bytes(scene.chain_id));
    proposal
}

/// Puts a precommit of `signer` at a place of a certificate, whoever holds the seat there.
pub(super) fn sign_certificate(
    scene: &Scene,
    signer: &Arc<dyn Signer>,
    index: usize,
    certificate: &mut Certificate,
) {
    let Certificate { commit, observations } = certificate;
    let seen = observations.iter().flatten().next().map(|o| o.seen.clone());
    let Some(seen) = seen.filter(|_| index < commit.signatures.len()) else { return };
    let mut sig = CommitSig {
        address: signer.public().address(),
        timestamp: scene.wall,
        signature: Signature([0; Signature::LEN]),
    };
    sig.signature = signer.sign(&commit.sign_bytes(scene.chain_id, &sig));
    observations[index] = Some(observation(scene, signer, commit.height, commit.round, seen));
    commit.signatures[index] = Some(sig);
}
