//! Parameters of the chain, set at genesis or by the consortium, and what is derived from them.
//!
//! The consortium changes them by a motion: see [`crate::modules::consortium`]. Values that could
//! stop a node are refused before they are voted on.
//!
//! | state key | value |
//! |---|---|
//! | `parameters/current` | [`Parameters`] from the next height on |

mod state;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::limits::{MAX_BLOCK_TX_BYTES, MAX_BLOCK_TXS, MAX_TX_BYTES};
use crate::roles::RoleTable;

pub use state::current;
pub(crate) use state::{genesis, read, set};

/// Longest idle block interval and network bound.
const MAX_INTERVAL_MS: u64 = 60_000;
/// Light clients allow a header to be 5 s ahead of their clock.
const MAX_CLOCK_AHEAD_MS: u64 = 4_999;
/// Largest `failover_blocks`.
const MAX_FAILOVER_BLOCKS: u64 = 100_000;
/// Longest `failover_min`: a day.
const MAX_FAILOVER_MIN_MS: u64 = 86_400_000;
/// Longest timeout of a round: ten minutes.
const MAX_TIMEOUT_MS: u64 = 600_000;
/// Least that the timeouts of rounds may grow to: with less, members far from each other would decide in no
/// round, and no vote could change that back.
const MIN_TIMEOUT_MAX_MS: u64 = 1_000;

/// Parameters as set. Times in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// Time between blocks while there are no transactions.
    pub idle_block_interval_ms: u64,
    /// B: latency in and out and a round trip, within which a live node's messages arrive.
    pub network_bound_ms: u64,
    /// How far a fresh proposal's time may be ahead of one's own clock.
    pub max_clock_ahead_ms: u64,
    /// Blocks in a row that a holder is dead and its partner alive before the seat moves; N is at
    /// least the number of seats and one more.
    pub failover_blocks: u64,
    /// Least time that those blocks take; the liveness grace when 0 or shorter.
    pub failover_min_ms: u64,
    /// Time for a proposal in round 0.
    pub propose_timeout_ms: u64,
    /// Time for late prevotes or precommits after more than 2/3 of any have come, in round 0.
    pub vote_timeout_ms: u64,
    /// What each round adds to both.
    pub timeout_step_ms: u64,
    /// Most that either grows to: a second at least, and twice the network bound, so that there is a
    /// round in which every live node is heard in time.
    pub timeout_max_ms: u64,
    /// Bytes of transactions in one block.
    pub block_max_bytes: u64,
    /// Transactions in one block.
    pub block_max_txs: u64,
}

impl Parameters {
    /// For members in different places: the default.
    #[must_use]
    pub fn wan() -> Self {
        Self {
            idle_block_interval_ms: 500,
            network_bound_ms: 1_000,
            max_clock_ahead_ms: 500,
            failover_blocks: 10,
            failover_min_ms: 0,
            propose_timeout_ms: 1_500,
            vote_timeout_ms: 500,
            timeout_step_ms: 500,
            timeout_max_ms: 10_000,
            block_max_bytes: 2 * 1024 * 1024,
            block_max_txs: 4_000,
        }
    }

    /// For local testnets and members on one site.
    #[must_use]
    pub fn lan() -> Self {
        Self {
            idle_block_interval_ms: 100,
            network_bound_ms: 200,
            max_clock_ahead_ms: 100,
            propose_timeout_ms: 500,
            vote_timeout_ms: 200,
            timeout_step_ms: 200,
            timeout_max_ms: 3_000,
            ..Self::wan()
        }
    }

    /// Everything that is wrong with the values: [`Error::Parameter`]s. Parameters enter the chain
    /// only when there are none, so that no value can stop a node.
    #[must_use]
    pub fn faults(&self) -> Vec<Error> {
        let bounds = [
            ("idle_block_interval_ms", self.idle_block_interval_ms, 1, MAX_INTERVAL_MS),
            ("network_bound_ms", self.network_bound_ms, 1, MAX_INTERVAL_MS),
            ("max_clock_ahead_ms", self.max_clock_ahead_ms, 1, MAX_CLOCK_AHEAD_MS),
            ("failover_blocks", self.failover_blocks, 1, MAX_FAILOVER_BLOCKS),
            ("failover_min_ms", self.failover_min_ms, 0, MAX_FAILOVER_MIN_MS),
            ("propose_timeout_ms", self.propose_timeout_ms, 1, MAX_TIMEOUT_MS),
            ("vote_timeout_ms", self.vote_timeout_ms, 1, MAX_TIMEOUT_MS),
            ("timeout_step_ms", self.timeout_step_ms, 1, MAX_TIMEOUT_MS),
            ("timeout_max_ms", self.timeout_max_ms, MIN_TIMEOUT_MAX_MS, MAX_TIMEOUT_MS),
            (
                "block_max_bytes",
                self.block_max_bytes,
                MAX_TX_BYTES as u64,
                MAX_BLOCK_TX_BYTES as u64,
            ),
            ("block_max_txs", self.block_max_txs, 1, MAX_BLOCK_TXS as u64),
        ];
        let outside = bounds.into_iter().filter(|(_, got, min, max)| got < min || got > max);
        let mut faults: Vec<Error> = outside
            .map(|(name, got, min, max)| Error::Parameter {
                name,
                rule: format!("it must be {min} to {max}"),
                got,
            })
            .collect();
        let relations = [
            (
                "max_clock_ahead_ms",
                self.max_clock_ahead_ms,
                self.max_clock_ahead_ms <= self.idle_block_interval_ms,
                "it must be at most idle_block_interval_ms",
            ),
            (
                "timeout_max_ms",
                self.timeout_max_ms,
                self.timeout_max_ms >= self.propose_timeout_ms.max(self.vote_timeout_ms),
                "it must be at least propose_timeout_ms and vote_timeout_ms",
            ),
            // Else no round could ever succeed, and no vote could change that back.
            (
                "timeout_max_ms",
                self.timeout_max_ms,
                self.timeout_max_ms >= self.network_bound_ms.saturating_mul(2),
                "it must be at least twice network_bound_ms",
            ),
        ];
        let broken = relations.into_iter().filter(|(_, _, holds, _)| !holds);
        faults.extend(broken.map(|(name, got, _, rule)| Error::Parameter {
            name,
            rule: rule.to_owned(),
            got,
        }));
        faults
    }

    /// Time between blocks while there are no transactions.
    #[must_use]
    pub fn idle_block_interval(&self) -> Duration {
        Duration::from_millis(self.idle_block_interval_ms)
    }

    /// How far a fresh proposal's time may be ahead of one's own clock.
    #[must_use]
    pub fn max_clock_ahead(&self) -> Duration {
        Duration::from_millis(self.max_clock_ahead_ms)
    }

    /// `4/3 * (max_clock_ahead + (K + 1) * idle_block_interval + network_bound)`, with K from
    /// [`RoleTable::k`]: how long a node may show nothing and still be seen as alive.
    #[must_use]
    pub fn liveness_grace(&self, table: &RoleTable) -> Duration {
        let sum = self.max_clock_ahead_ms
            + (table.k() + 1) * self.idle_block_interval_ms
            + self.network_bound_ms;
        Duration::from_micros(sum * 4000 / 3)
    }

    /// The longer of `failover_min` as set and the liveness grace.
    #[must_use]
    pub fn failover_min(&self, table: &RoleTable) -> Duration {
        Duration::from_millis(self.failover_min_ms).max(self.liveness_grace(table))
    }

    /// N: the more of `failover_blocks` and the number of seats and one.
    #[must_use]
    pub fn failover_blocks(&self, table: &RoleTable) -> u64 {
        self.failover_blocks.max(table.seats().len() as u64 + 1)
    }
}
