//! 9. Progress: after faults stop (but at most f power that stays dead or lying), every live node
//!    commits new blocks within a bound.
//!
//! The bound is made of what must come one after another: processes and connections are back; whoever
//! is behind catches up; the height at which the chain stood is decided, in a round after the highest
//! that anyone has reached, when each bad seat has had its turn in vain; then blocks come, each an
//! idle interval and a network bound after the one before, but for the rounds that bad seats cost in
//! their turns.

use tandem_chain::modules::parameters::Parameters;
use tandem_chain::types::Height;
use tandem_consensus::limits::{FETCH_PENALTY, FETCH_TIMEOUT, RESEND_MAX};

use super::licence::timeout;
use super::{Verdict, broken};
use crate::sim::queue::{MS, S, Time};

const RULE: &str = "9 progress";

/// Blocks that every live node must add to what there was when the faults stopped.
pub const NEW_BLOCKS: u64 = 10;
/// Time in which processes are started again, silence is noticed, and connections are made.
const BACK: Time = S + 5 * S + S / 2;
/// Time to fetch, verify and execute one block of many.
const CATCH_UP: Time = 15 * MS;

/// What was so when the faults stopped.
#[derive(Clone, Debug)]
pub struct Healing {
    /// The parameters.
    pub parameters: Parameters,
    /// Seats.
    pub seats: u64,
    /// Seats whose holder is dead, lies, or cannot sign.
    pub bad: u64,
    /// The highest round that a node was in.
    pub round: u32,
    /// Blocks that the node furthest behind lacked.
    pub behind: u64,
    /// How far the chain's time was ahead of the true one: fresh blocks wait for clocks to get near.
    pub ahead: Time,
}

fn nanos(duration: std::time::Duration) -> Time {
    u64::try_from(duration.as_nanos()).expect("a few seconds")
}

impl Healing {
    /// A round that comes to nothing.
    fn round(&self, round: u32) -> Time {
        let Parameters { propose_timeout_ms, vote_timeout_ms, network_bound_ms, .. } =
            self.parameters;
        timeout(&self.parameters, propose_timeout_ms, round)
            + 2 * timeout(&self.parameters, vote_timeout_ms, round)
            + network_bound_ms * MS
    }

    /// Until all that is live works on one height, and that is decided.
    #[must_use]
    pub fn settled(&self) -> Time {
        let behind = nanos(FETCH_TIMEOUT) + nanos(FETCH_PENALTY) + self.behind * CATCH_UP;
        let mut round = self.round;
        let mut decided = self.ahead;
        // Rounds go on while connections are made.
        while decided < BACK {
            decided += self.round(round);
            round += 1;
        }
        for _ in 0..=self.bad + 1 {
            decided += self.round(round);
            round += 1;
        }
        decided + nanos(RESEND_MAX) + if self.behind > 0 { behind } else { 0 }
    }

    /// Until so many blocks have come, each after its turn has gone round to a good seat. In turns that
    /// go round once, a run of b bad seats costs b rounds, then b - 1, and so on.
    #[must_use]
    pub fn blocks(&self, count: u64) -> Time {
        let block =
            (self.parameters.idle_block_interval_ms + self.parameters.network_bound_ms) * MS;
        let cycles = count.div_ceil(self.seats.max(1)) + 1;
        let rounds = cycles * self.bad * (self.bad + 1) / 2;
        let last = u32::try_from(self.bad).unwrap_or(u32::MAX);
        count * block + rounds * self.round(last)
    }

    /// Until every live node must have made its blocks.
    #[must_use]
    pub fn bound(&self) -> Time {
        self.settled() + self.blocks(NEW_BLOCKS)
    }
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
