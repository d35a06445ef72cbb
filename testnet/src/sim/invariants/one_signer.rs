//! 3. One signer: for each seat and height, only the node in the role table has a vote in any
//!    certificate, by its own key and at its index, those that blocks carry included; and a correct
//!    node signs proposals and votes only where it holds a seat.

use tandem_chain::block::{Block, Commit};
use tandem_chain::comet;
use tandem_chain::genesis::Genesis;
use tandem_chain::keys::{Domain, PublicKey, Signature, Verifier};
use tandem_chain::types::{ChainId, Timestamp};
use tandem_consensus::message::Message;

use super::seats::{Holder, Seats};
use super::{Verdict, broken};

const RULE: &str = "3 one signer";

/// Signatures in certificates that were found good, by height and seat: those of one round for each,
/// since there are rarely more.
#[derive(Debug)]
pub struct OneSigner {
    chain_id: ChainId,
    good: Vec<Vec<Option<(u32, Timestamp, Signature)>>>,
}

impl OneSigner {
    pub(super) fn new(genesis: &Genesis) -> Self {
        Self { chain_id: genesis.chain_id.clone(), good: Vec::new() }
    }

    /// A certificate for the one chain's block at its height.
    pub(super) fn certificate(
        &mut self,
        seats: &Seats,
        commit: &Commit,
        verifier: &dyn Verifier,
    ) -> Verdict {
        let height = commit.height;
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
            let signed = (commit.round.0, sig.timestamp, sig.signature);
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

    fn good(&mut self, height: u64, seat: usize) -> &mut Option<(u32, Timestamp, Signature)> {
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
        block: &Block,
        verifier: &dyn Verifier,
    ) -> Verdict {
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
        if commit.height.0 + 1 != height || commit.block != block.header.last_block_id {
            return broken(RULE, format!("block {height} carries another block's certificate"));
        }
        self.certificate(seats, commit, verifier)?;
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
