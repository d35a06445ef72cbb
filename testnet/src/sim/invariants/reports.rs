//! No unjust report: what a correct node reports of another correct one is true, and nothing that a
//! correct node does. There is what the network does to both: a fetch whose question or answer is
//! lost, or whose peer dies, has no answer. And there is what their clocks do: a block that is made by
//! one clock (see [`super::licence`]) may be too far ahead of another.
//!
//! Nor does a correct node refuse what a correct one sends, with one exception: a node that has not
//! committed the block which registers another, or has committed the one that removes it, knows no key
//! of its votes and follow messages. Of proposals that is no reason: one that is looked at is at most
//! two heights ahead, whose role tables are known, and so are all who can have signed what is in it. And
//! where more than f power lies, it takes correct nodes to whatever round it likes (line 55), so that
//! what they say of the rounds after the highest that is allowed is refused.

use tandem_chain::types::Address;
use tandem_consensus::verify::Fault;

use super::heard::Heard;
use super::{Verdict, broken};
use crate::sim::queue::MS;

const RULE: &str = "no unjust report";

/// A correct node reports another correct one.
pub(super) fn reported(
    who: &str,
    peer: (&str, Address),
    fault: &Fault,
    heard: &Heard,
    wall: u64,
) -> Verdict {
    let (name, address) = peer;
    let is_true = match fault {
        Fault::Fetch { from, .. } => !heard.answered.contains(&(address, *from)),
        Fault::ClockAhead { max_ms, .. } => heard
            .proposals
            .iter()
            .any(|proposed| proposed.proposer == address && proposed.time > wall + max_ms * MS),
        _ => false,
    };
    if is_true {
        return Ok(());
    }
    broken(RULE, format!("{who} reports {name}: {fault}"))
}

/// A correct node refuses a message of another correct one.
pub(super) fn refused(who: &str, from: &str, fault: &Fault, beyond_f: bool) -> Verdict {
    match fault {
        Fault::Inconsistent { what } if beyond_f && what.contains("its round is above") => Ok(()),
        Fault::UnknownNode { what: "vote" | "follow message", .. } => Ok(()),
        _ => broken(RULE, format!("{who} refuses a message of {from}: {fault}")),
    }
}
