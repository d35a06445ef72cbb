//! Metrics for Prometheus, on a port of their own.
//!
//! ```text
//!   commits ──> follower ──> counts of blocks ─┐
//!   tip, view (watch) ─────────────────────────┤
//!   admission, network, RPC: counters ─────────┼──> GET /metrics
//!   database: a snapshot of the seats ─────────┤
//!   /proc, the disk ───────────────────────────┘
//! ```
//!
//! A scrape reads what is published for everyone, and takes no lock of consensus. Scrapes are made one
//! after the other, whoever asks. Labels have values of the program, or names of members, nodes and
//! peers of the register: their number is bounded by [`tandem_chain::limits`]. All metrics stand in
//! `table`.

mod blocks;
mod machine;
mod page;
mod sample;
mod server;
mod table;
#[cfg(test)]
mod tests;

pub use server::{Setup, Sources, serve};
