//! Types, hashing, codec, transactions, ledger and role table of a Tandem chain.
//!
//! Pure and deterministic: no clock, randomness, socket, file or thread.

pub mod block;
pub mod codec;
pub mod comet;
mod error;
pub mod evidence;
pub mod evidence_pool;
pub mod genesis;
pub mod keys;
pub mod ledger;
pub mod limits;
pub mod liveness;
pub mod mempool;
pub mod modules;
pub mod permit;
pub mod roles;
pub mod snapshot;
pub mod store;
pub mod stored;
pub mod tip;
pub mod tree;
pub mod tx;
pub mod types;
pub mod vote;

pub use error::Error;
