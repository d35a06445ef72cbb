//! 3. One signer: for each seat and height, only the node in the role table has a vote in any
//!    certificate, by its own key and at its index, those that blocks carry included; and a correct
//!    node signs proposals and votes only where it holds a seat.
//!
//! A chain with more than f lying power may fork, but by true certificates alone, and by those who
//! lie. Two certificates of one round have signers in common with more than f power, none of which is
//! correct. Of two rounds no such thing can be demanded: prevotes of liars for two blocks in the
//! earlier one let correct nodes sign both certificates, each with its proof; their votes are judged by
//! [`super::licence`].

use std::sync::Arc;

use tandem_chain::block::{Block, CertifiedBlock, Commit};
use tandem_chain::comet;
use tandem_chain::genesis::Genesis;
use tandem_chain::keys::{Domain, PublicKey, Signature, Verifier};
use tandem_chain::types::{BlockId, ChainId, Height, Timestamp};
use tandem_consensus::message::Message;

use super::seats::{Holder, Seats};
use super::{Verdict, broken};

const RULE: &str = "3 one signer";

/// A signature in a certificate: what it is for, and when it was made.
type Signed = (Option<BlockId>, u32, Timestamp, Signature);

/// What certificates have been found to hold, and for which blocks.
#[derive(Debug)]
pub struct OneSigner {
    chain_id: ChainId,
    /// Signatures that were found good, by height and seat: those of one round for each, since there
    /// are rarely more.
    good: Vec<Vec<Option<Signed>>>,
    /// The blocks of the one chain, each with the certificate of the node that committed it first.
    first: Vec<Arc<CertifiedBlock>>,
}

impl OneSigner {
    pub(super) fn new(genesis: &Genesis) -> Self {
        Self { chain_id: genesis.chain_id.clone(), good: Vec::new(), first: Vec::new() }
    }

    /// A certificate that is said to be for a block at a height.
    pub(super) fn certificate(
        &mut self,
        seats: &Seats,
        commit: &Commit,
        (height, block): (Height, Option<BlockId>),
        verifier: &dyn Verifier,
    ) -> Verdict {
        if (commit.height, commit.block) != (height, block) {
            return broken(RULE, format!("the certificate of {height} is for another block"));
        }
        let order = seats.order(height.0);
        if commit.signatures.len() != order.len() {
            return broken(RULE, format!("the certificate of {height} is of another table"));
        }
        let mut power = 0;
        for (seat, (holder, sig)) in order.iter().zip(&commit.signatures).enumerate() {
            let Some(sig) = sig else { continue };
            if sig.address != holder.address {
                return broken(RULE, format!("{} has a vote in {height}", sig.address));
            }
            let signed = (commit.block, commit.round.0, sig.timestamp, sig.signature);
            let good = self.good(height.0, seat);
            if *good != Some(signed) {
                *good = Some(signed);
                let bytes = commit.sign_bytes(&self.chain_id, sig);
                if !verifier.verifies(&holder.holder, &bytes, &sig.signature) {
                    let what =
                        format!("{} has not signed the certificate of {height}", sig.address);
                    return broken(RULE, what);
                }
            }
            power += holder.power;
        }
        let total: u64 = order.iter().map(|holder| holder.power).sum();
        if power * 3 <= total * 2 {
            let what = format!("the certificate of {height} has {power} of {total} power");
            return broken(RULE, what);
        }
        Ok(())
    }

    fn good(&mut self, height: u64, seat: usize) -> &mut Option<Signed> {
        let height = usize::try_from(height).expect("heights of a history are few");
        if self.good.len() <= height {
            self.good.resize(height + 1, Vec::new());
        }
        let seats = &mut self.good[height];
        if seats.len() <= seat {
            seats.resize(seat + 1, None);
        }
        &mut seats[seat]
    }

    /// The one chain has a new block: the certificate that it carries, the observations that came
    /// with that, and its author's name under them.
    pub(super) fn block(
        &mut self,
        seats: &Seats,
        certified: &Arc<CertifiedBlock>,
        verifier: &dyn Verifier,
    ) -> Verdict {
        self.first.push(Arc::clone(certified));
        let block: &Block = &certified.block;
        let height = block.header.height.0;
        let (commit, record) = (&block.last_commit, &block.record);
        let author = seats.order(height);
        let author = author.iter().find(|seat| seat.address == block.header.proposer_address);
        let bytes = Domain::LivenessRecord.sign_bytes(&self.chain_id, &record.record);
        let is_by = |author: &Holder| verifier.verifies(&author.holder, &bytes, &record.signature);
        if !author.is_some_and(is_by) {
            return broken(RULE, format!("the record of {height} is not its author's"));
        }
        if height == 1 {
            return Ok(());
        }
        let before = (Height(height - 1), block.header.last_block_id);
        self.certificate(seats, commit, before, verifier)?;
        let order = seats.order(height - 1);
        let observations = order.iter().zip(&commit.signatures).zip(&record.record.observations);
        for ((holder, sig), observation) in observations {
            let is_good = match (sig, observation) {
                (None, None) => true,
                (Some(_), Some(observation)) => {
                    let bytes = comet::extension_sign_bytes(
                        &self.chain_id,
                        commit.height,
                        commit.round,
                        &observation.seen.to_extension(),
                    );
                    verifier.verifies(&holder.holder, &bytes, &observation.signature)
                }
                _ => false,
            };
            if !is_good {
                let what = format!("{} has not observed what {height} says", holder.address);
                return broken(RULE, what);
            }
        }
        Ok(())
    }

    /// A node has a true certificate for another block than the one chain's, which has forked over it.
    /// `lies` tells whether a key is a liar's.
    pub(super) fn forked(
        &self,
        seats: &Seats,
        other: &Commit,
        lies: impl Fn(&PublicKey) -> bool,
    ) -> Verdict {
        let height = other.height;
        let index = height.0.checked_sub(1).and_then(|index| usize::try_from(index).ok());
        let Some(one) = index.and_then(|index| self.first.get(index)) else {
            return broken(RULE, format!("there is no other block at {height}"));
        };
        let one = &one.certificate.commit;
        if one.round != other.round {
            return Ok(());
        }
        let order = seats.order(height.0);
        let signatures = one.signatures.iter().zip(&other.signatures);
        let both = order.iter().zip(signatures).filter(|(_, (a, b))| a.is_some() && b.is_some());
        let mut power = 0;
        for (holder, _) in both {
            if !lies(&holder.holder) {
                let what = format!("{} is correct and signs for two at {height}", holder.address);
                return broken(RULE, what);
            }
            power += holder.power;
        }
        let total: u64 = order.iter().map(|holder| holder.power).sum();
        if power > (total - 1) / 3 {
            return Ok(());
        }
        broken(RULE, format!("{power} of {total} power is enough for two blocks at {height}"))
    }
}

/// A message leaves a correct node.
pub(super) fn sent(seats: &Seats, key: &PublicKey, message: &Message) -> Verdict {
    let height = match message {
        Message::Proposal(proposal) if proposal.proposer == *key => proposal.height,
        Message::Vote(vote) if vote.validator_address == key.address() => vote.height,
        _ => return Ok(()),
    };
    let Some(table) = seats.table(height.0) else {
        return broken(RULE, format!("{key} signs at {height}, whose table nobody knows"));
    };
    if table.values().any(|seat| seat.holder == *key) {
        Ok(())
    } else {
        broken(RULE, format!("{key} signs at {height}, where it holds no seat"))
    }
}
