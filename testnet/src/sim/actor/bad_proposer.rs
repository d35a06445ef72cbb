//! Proposes blocks that are invalid, each in one way, and says that a block was proposed before with
//! prevotes that it does not have.

use std::sync::Arc;

use tandem_chain::block::Block;
use tandem_chain::comet;
use tandem_chain::evidence::Evidence;
use tandem_chain::liveness::Bits;
use tandem_chain::modules::{Call, records};
use tandem_chain::tx::{Tx, TxBody};
use tandem_chain::types::{Hash, Height, Power, Round, Timestamp};
use tandem_chain::vote::VoteKind;
use tandem_consensus::message::{Message, Proposal};

use super::deed::Deed;
use super::doctored::Doctored;
use super::{Actor, Scene, craft};

/// What may be wrong with a block of its.
const DEEDS: [Deed; 15] = [
    Deed::OldTx,
    Deed::ExpiredTx,
    Deed::SameTx,
    Deed::ForgedTx,
    Deed::TooManyTxs,
    Deed::TooManyBytes,
    Deed::TooFewSigners,
    Deed::OtherObservation,
    Deed::OtherRecord,
    Deed::NoObservation,
    Deed::Frames,
    Deed::OtherHash,
    Deed::SameTime,
    Deed::Ahead,
    Deed::FalseProof,
];
/// Transactions that it remembers.
const MAX_MEMORY: usize = 128;
/// Transactions that it makes for one block at most.
const MAX_MORE: usize = 32;
/// Blocks for which its transactions are valid.
const VALID_FOR: u64 = 50;
/// How far its clock is ahead when it lies about the time, in nanoseconds.
const AHEAD: u64 = 20_000_000_000;

#[derive(Default)]
pub(super) struct BadProposer {
    /// Transactions of blocks that were proposed to it.
    txs: Vec<Tx>,
    doctored: Doctored,
}

impl BadProposer {
    fn doctor(&self, scene: &mut Scene, fresh: &Proposal) -> Option<(Deed, Proposal)> {
        let (height, round) = (fresh.height, fresh.round);
        if height != scene.height() {
            return None;
        }
        let mut block = fresh.block.as_ref().clone();
        let ahead = height.plus(VALID_FOR);
        // Proofs are of earlier rounds, of which there are few.
        let is_again = round > Round::ZERO && scene.random.chance(300);
        let deed = if is_again { Deed::FalseProof } else { scene.random.pick(&DEEDS) };
        match deed {
            Deed::OldTx => block.txs.push(self.old(|tx| tx.body().valid_until >= height)?),
            Deed::ExpiredTx => block.txs.push(own_tx(scene, scene.tip.height, 0)),
            Deed::SameTx => block.txs.push(fresh.block.txs.first().cloned()?),
            Deed::ForgedTx => block.txs.push(forged(&own_tx(scene, ahead, 0))?),
            Deed::TooManyTxs => {
                let most = usize::try_from(scene.tip.parameters.block_max_txs).ok()?;
                let missing = (most + 1).saturating_sub(block.txs.len());
                if missing > MAX_MORE {
                    return None;
                }
                block.txs.extend((0..missing).map(|_| own_tx(scene, ahead, 0)));
            }
            Deed::TooManyBytes => {
                let most = usize::try_from(scene.tip.parameters.block_max_bytes).ok()?;
                block.txs = (0..2).map(|_| own_tx(scene, ahead, most / 2)).collect();
            }
            Deed::TooFewSigners => too_few_signers(scene, &mut block),
            Deed::OtherObservation => {
                let observations = block.record.record.observations.iter_mut();
                observations.flatten().next()?.seen = std::iter::empty().collect();
            }
            Deed::OtherRecord => block.record.record.alive = flipped(&block, scene)?,
            Deed::NoObservation => {
                *block.record.record.observations.iter_mut().find(|o| o.is_some())? = None;
            }
            Deed::Frames => block.evidence.push(framing(scene)?),
            Deed::OtherHash => {
                let hash = Hash::of(&[scene.random.next().to_le_bytes()[0]]);
                let header = &mut block.header;
                let fields = [
                    &mut header.app_hash,
                    &mut header.last_results_hash,
                    &mut header.validators_hash,
                    &mut header.next_validators_hash,
                    &mut header.consensus_hash,
                ];
                *fields.into_iter().nth(scene.random.index(5))? = hash;
            }
            Deed::SameTime => block.header.time = scene.tip.time,
            Deed::Ahead => block.header.time = Timestamp(scene.wall.0 + AHEAD),
            _ => return Some((deed, again(scene, fresh)?)),
        }
        let record = block.record.record.clone();
        block.record = record.sign(scene.chain_id, scene.signer.as_ref());
        block.header.data_hash = comet::data_hash(&block.record, &block.txs);
        block.header.evidence_hash = comet::evidence_hash(&block.evidence);
        block.header.last_commit_hash = comet::commit_hash(&block.last_commit);
        Some((deed, craft::proposal(scene, scene.signer, (height, round), block)))
    }

    fn old(&self, is_wanted: impl Fn(&Tx) -> bool) -> Option<Tx> {
        self.txs.iter().find(|tx| is_wanted(tx)).cloned()
    }
}

/// A transaction of its own, with a value of so many bytes.
fn own_tx(scene: &mut Scene, valid_until: Height, bytes: usize) -> Tx {
    let call = records::Call::Put {
        data_set: "none".parse().expect("a name"),
        key: vec![0],
        content_type: None,
        value: vec![0; bytes],
        expected: None,
    };
    let body = TxBody {
        chain_id: scene.chain_id.clone(),
        sender: scene.key(),
        nonce: scene.random.next(),
        valid_until,
        call: Call::Records(call),
    };
    Tx::sign(body, scene.signer.as_ref())
}

/// The same with another signature.
fn forged(tx: &Tx) -> Option<Tx> {
    let mut bytes = tx.bytes().to_vec();
    *bytes.last_mut()? ^= 1;
    Tx::decode(bytes).ok()
}

/// Takes signatures out of the certificate until one more would make it one; the record is what
/// follows.
fn too_few_signers(scene: &Scene, block: &mut Block) {
    let table = &scene.tip.table;
    let mut certificate = craft::certificate_in(block);
    for index in 0..certificate.commit.signatures.len() {
        let signers = certificate.commit.signatures.iter().zip(table.validators());
        let power = signers.filter(|(sig, _)| sig.is_some()).map(|(_, v)| v.power.0).sum();
        if !table.is_quorum(Power(power)) {
            break;
        }
        certificate.commit.signatures[index] = None;
        certificate.observations[index] = None;
    }
    if let Some(rebuilt) = craft::rebuilt(scene, scene.signer, block, &certificate) {
        *block = rebuilt;
    }
}

/// The bits of the record with one or all of them changed.
fn flipped(block: &Block, scene: &mut Scene) -> Option<Bits> {
    let alive = &block.record.record.alive;
    if alive.is_empty() {
        return None;
    }
    let one = scene.random.index(alive.len());
    let all = scene.random.chance(300);
    Some(alive.iter().enumerate().map(|(i, bit)| bit != (all || i == one)).collect())
}

/// Evidence against another holder, of votes that it did not sign.
fn framing(scene: &mut Scene) -> Option<Evidence> {
    let table = Arc::clone(&scene.tip.table);
    let index = scene.random.index(table.validators().len());
    let victim = &table.validators()[index];
    if victim.key == scene.key() {
        return None;
    }
    let at = (scene.tip.height, Round::ZERO, VoteKind::Precommit);
    let mut votes = [None, scene.tip.block].map(|block| {
        let mut vote = craft::vote(scene, scene.signer, index, at, block);
        vote.validator_address = victim.address;
        vote
    });
    if scene.random.chance(500) {
        votes.reverse();
    }
    let [one, other] = votes;
    let (total, power) = (table.total_power(), victim.power);
    Some(Evidence::new(&one, &other, victim.key, total, power, scene.tip.time))
}

/// The same as a re-proposal, with prevotes of the round before by itself alone, as often as would be
/// enough.
fn again(scene: &mut Scene, fresh: &Proposal) -> Option<Proposal> {
    let valid_round = Round(fresh.round.0.checked_sub(1)?);
    let at = (fresh.height, valid_round, VoteKind::Prevote);
    let (index, _) = scene.tip.next_table.by_key(&scene.key())?;
    let vote = craft::vote(scene, scene.signer, index, at, Some(fresh.block_id));
    let copies = scene.random.index(1 + scene.tip.next_table.validators().len());
    let prevotes = vec![vote; copies];
    let again = Proposal { valid_round: Some(valid_round), prevotes, ..fresh.clone() };
    Some(craft::sign_proposal(scene, scene.signer, again))
}

impl Actor for BadProposer {
    fn sends(&mut self, scene: &mut Scene, _to: usize, message: &Message) -> Vec<Message> {
        let mut doctored = std::mem::take(&mut self.doctored);
        let instead = doctored.sends(scene, message, |scene, fresh| self.doctor(scene, fresh));
        self.doctored = doctored;
        vec![instead]
    }

    fn hears(&mut self, _scene: &mut Scene, _from: usize, message: &Message) -> bool {
        if let Message::Proposal(proposal) = message {
            let room = MAX_MEMORY.saturating_sub(self.txs.len());
            self.txs.extend(proposal.block.txs.iter().take(room).cloned());
        }
        true
    }
}
