//! Parameters of the chain, set at genesis or by the consortium, and what is derived from them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::roles::RoleTable;

/// A call of this module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Call {
    /// Replaces all parameters from the next height on. Signed by admin keys of... see the ledger.
    Set(Parameters),
}

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
    /// Most that either grows to.
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
