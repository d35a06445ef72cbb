//! 3. One signer: for each seat and height, only the node in the role table has a vote in any
//!    certificate; and a correct node signs proposals and votes only where it holds a seat.

use std::collections::BTreeSet;

use tandem_chain::block::Commit;
use tandem_chain::keys::PublicKey;
use tandem_consensus::message::Message;

use super::seats::Seats;
use super::{Verdict, broken};

const RULE: &str = "3 one signer";

/// A correct node has this certificate for a block that it commits.
pub(super) fn certificate(seats: &Seats, commit: &Commit) -> Verdict {
    let height = commit.height;
    let Some(table) = seats.table(height) else {
        return broken(RULE, format!("height {height} has no role table yet"));
    };
    let mut signers = BTreeSet::new();
    let (mut power, mut total) = (0, 0);
    for seat in table.values() {
        total += seat.power;
        let address = seat.address;
        if commit.signatures.iter().flatten().any(|sig| sig.address == address) {
            power += seat.power;
            signers.insert(address);
        }
    }
    if signers.len() != commit.signatures.iter().flatten().count() {
        return broken(RULE, format!("a stranger's signature is in the certificate of {height}"));
    }
    if power * 3 <= total * 2 {
        return broken(RULE, format!("certificate of {height} has {power} of {total} power"));
    }
    Ok(())
}

/// A message leaves a correct node.
pub(super) fn sent(seats: &Seats, key: &PublicKey, message: &Message) -> Verdict {
    let height = match message {
        Message::Proposal(proposal) if proposal.proposer == *key => proposal.height,
        Message::Vote(vote) if vote.validator_address == key.address() => vote.height,
        _ => return Ok(()),
    };
    let Some(table) = seats.table(height) else {
        return broken(RULE, format!("{key} signs at {height}, whose table nobody knows"));
    };
    if table.values().any(|seat| seat.holder == *key) {
        Ok(())
    } else {
        broken(RULE, format!("{key} signs at {height}, where it holds no seat"))
    }
}
