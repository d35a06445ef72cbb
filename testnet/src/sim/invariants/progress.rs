//! 9. Progress: after faults stop (but at most f power that stays dead or lying), every live node
//!    commits new blocks within a bound.

use tandem_chain::modules::parameters::Parameters;
use tandem_chain::types::Height;

use super::{Verdict, broken};
use crate::sim::queue::{MS, S, Time};

const RULE: &str = "9 progress";

/// Blocks that every live node must add to what there was when the faults stopped.
pub const NEW_BLOCKS: u64 = 10;

/// Time after the faults within which they must have: connections come back, lost keys get their
/// answers, those who are behind catch up, and each new block takes a few capped rounds, while the
/// dead are not yet recorded as dead and the Byzantine let their turns pass.
#[must_use]
pub fn bound(parameters: &Parameters, seats: usize) -> Time {
    let round = 3 * parameters.timeout_max_ms + parameters.idle_block_interval_ms;
    let rounds = NEW_BLOCKS + 4 * seats as u64;
    20 * S + rounds * round * MS
}

/// At the bound: the heights that live nodes have reached.
///
/// # Errors
/// When one has not made its blocks.
pub fn at_bound(healed_at: Height, heights: &[(String, Height)]) -> Verdict {
    for (name, height) in heights {
        if height.0 < healed_at.0 + NEW_BLOCKS {
            let all: Vec<String> = heights.iter().map(|(n, h)| format!("{n} at {h}")).collect();
            let what = format!(
                "{name} is at {height}, the chain was at {healed_at} when the faults stopped ({})",
                all.join(", ")
            );
            return broken(RULE, what);
        }
    }
    Ok(())
}
