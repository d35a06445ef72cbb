//! Evidence: what a block says of double signing is true. It names a key that did sign two things at
//! one height, round and step, at which it held the seat; never that of a correct node; and each key
//! once.

use std::collections::BTreeSet;

use tandem_chain::evidence::Evidence;
use tandem_chain::keys::{PublicKey, Verifier};
use tandem_chain::types::ChainId;

use super::seats::Seats;
use super::{Verdict, broken};

const RULE: &str = "evidence";

/// Keys that evidence has named.
#[derive(Debug, Default)]
pub struct Accused {
    named: BTreeSet<PublicKey>,
}

impl Accused {
    /// A new block of the one chain holds this.
    pub(super) fn committed(
        &mut self,
        evidence: &Evidence,
        seats: &Seats,
        is_correct: bool,
        verifier: &dyn Verifier,
        chain_id: &ChainId,
    ) -> Verdict {
        let Evidence { vote_a, vote_b, key, .. } = evidence;
        let wrong = |what| broken(RULE, format!("evidence against {key}: {what}"));
        if is_correct {
            return wrong("it is correct");
        }
        if !self.named.insert(*key) {
            return wrong("it was accused before");
        }
        let place = |vote: &tandem_chain::vote::Vote| (vote.height, vote.round, vote.kind);
        if place(vote_a) != place(vote_b) || vote_a.block == vote_b.block {
            return wrong("the votes do not contradict each other");
        }
        let table = seats.table(vote_a.height.0);
        let held = table.is_some_and(|table| table.values().any(|seat| seat.holder == *key));
        if !held {
            return wrong("it held no seat there");
        }
        let is_signed = [vote_a, vote_b]
            .into_iter()
            .all(|vote| verifier.verifies(key, &vote.sign_bytes(chain_id), &vote.signature));
        if is_signed { Ok(()) } else { wrong("it has not signed both votes") }
    }
}
