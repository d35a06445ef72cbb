//! 4. No double signing by a correct node, over crashes that lose unsynced writes: whatever it signs
//!    for a height, round and step, it signs once; when it is sent again, it is the same to the byte.

use std::collections::BTreeMap;

use tandem_chain::codec;
use tandem_chain::keys::PublicKey;
use tandem_chain::types::Hash;
use tandem_chain::vote::VoteKind;
use tandem_consensus::message::Message;

use super::Violation;

const RULE: &str = "4 no double signing";

/// Key, height, round and step.
type Place = (PublicKey, u64, u32, u8);

/// Everything that correct nodes have signed.
#[derive(Debug, Default)]
pub struct DoubleSign {
    signed: BTreeMap<Place, Hash>,
}

impl DoubleSign {
    /// A message leaves a correct node; whether it is a proposal or vote of its own, and new.
    pub(super) fn sent(&mut self, key: &PublicKey, message: &Message) -> Result<bool, Violation> {
        let (place, hash) = match message {
            Message::Proposal(p) if p.proposer == *key => {
                let what = (p.block_id, p.valid_round, p.signature);
                ((*key, p.height.0, p.round.0, 0), Hash::of(&codec::encode(&what)))
            }
            Message::Vote(vote) if vote.validator_address == key.address() => {
                let step = match vote.kind {
                    VoteKind::Prevote => 1,
                    VoteKind::Precommit => 2,
                };
                ((*key, vote.height.0, vote.round.0, step), Hash::of(&codec::encode(vote)))
            }
            _ => return Ok(false),
        };
        match self.signed.insert(place, hash) {
            None => Ok(true),
            Some(known) if known == hash => Ok(false),
            Some(_) => {
                let (_, height, round, step) = place;
                let what = format!("{key} signs twice at {height}/{round}, step {step}");
                Err(Violation { rule: RULE, what })
            }
        }
    }
}
