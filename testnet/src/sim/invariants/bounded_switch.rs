//! 8. Bounded switch: after the network has healed, a dead holder with a live partner is replaced
//!    within detection, the window, and four blocks.

use tandem_chain::modules::parameters::Parameters;

use super::seats::{self, Table};
use super::{Verdict, broken};
use crate::sim::queue::{MS, S, Time};

const RULE: &str = "8 bounded switch";

/// Time from the death of a holder to its partner's holding the seat. `share` is the part of turns,
/// in percent, that the dead and the Byzantine hold: each of theirs may cost a round's timeouts
/// instead of an idle interval.
#[must_use]
pub fn bound(parameters: &Parameters, table: &Table, share: u64) -> Time {
    let grace = seats::grace(parameters, table);
    let idle = parameters.idle_block_interval_ms * MS;
    let blocks = parameters.failover_blocks.max(table.len() as u64 + 1);
    let window = (parameters.failover_min_ms * MS).max(grace).max(blocks * idle);
    let in_blocks = (grace + window) / idle + blocks + 4;
    let round = (parameters.propose_timeout_ms + 2 * parameters.vote_timeout_ms) * MS
        + parameters.network_bound_ms * MS
        + idle;
    let slow = in_blocks * round * share / 100;
    2 * (grace + window) + slow + 10 * round + 5 * S
}

/// At the bound: seats whose holder is dead though its partner is live.
///
/// # Errors
/// When there is one.
pub fn at_bound(overdue: &[String]) -> Verdict {
    if overdue.is_empty() {
        return Ok(());
    }
    broken(
        RULE,
        format!("dead holders with live partners keep their seats: {}", overdue.join(", ")),
    )
}
