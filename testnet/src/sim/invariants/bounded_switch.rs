//! 8. Bounded switch: after the network has healed, a dead holder with a live partner is replaced
//!    after detection (the grace), then N blocks or `failover_min`, whichever is later, and four blocks;
//!    stretched by the share of turns that liars and honest clocks within the bound hold.

use super::progress::Healing;
use super::seats::{self, Table};
use super::{Verdict, broken};
use crate::sim::queue::{MS, Time};

const RULE: &str = "8 bounded switch";

/// Time from the end of the faults until every holder that is dead by then is replaced, where its
/// partner is live.
///
/// Grace and `failover_min` are times of blocks, of which each counts its idle interval and no more. A
/// clock that is as far ahead of the next proposer's as two may be takes half of what may be ahead from
/// the interval between them, in half of the turns at most.
#[must_use]
pub fn bound(healing: &Healing, table: &Table) -> Time {
    let parameters = &healing.parameters;
    let grace = seats::grace(parameters, table);
    let window = (parameters.failover_min_ms * MS).max(grace);
    let counted = (parameters.idle_block_interval_ms * MS) - parameters.max_clock_ahead_ms * MS / 4;
    let detection = grace.div_ceil(counted) + 1;
    let blocks = parameters.failover_blocks.max(table.len() as u64 + 1);
    let run = blocks.max(window.div_ceil(counted) + 1);
    healing.settled() + healing.blocks(detection + run + 4)
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
