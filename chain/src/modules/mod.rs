//! The ledger's modules: each has its state, calls, queries and events in a folder of its own.

pub mod consortium;
pub mod parameters;
pub mod records;
pub mod standby;

use serde::{Deserialize, Serialize};

/// What a transaction does: a call of one module. The order of variants is part of the encoding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Call {
    /// Organisations, nodes, pairs, addresses, users.
    Consortium(consortium::Call),
    /// Planned switches.
    Standby(standby::Call),
    /// Parameters of the chain.
    Parameters(parameters::Call),
    /// Data sets and records.
    Records(records::Call),
}
