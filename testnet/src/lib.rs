//! Local Tandem networks of real processes: faults, load, stories, measurements.
//!
//! ```text
//!   tandem-testnet up | story | chaos | bench
//!        │ starts, and speaks to over a Unix socket (control)
//!        ▼
//!   supervisor ── owns ──► cluster: a process per node (process), a relay per link (relay)
//!                                 │ HTTP JSON-RPC (rpc)
//!                                 ▼
//!   watcher (follows blocks), load (sends, waits for receipts), checks (of whole chains)
//! ```
//!
//! Whoever starts a network is its owner: when the owner dies, of whatever cause, the supervisor
//! stops the nodes, and when the supervisor dies the kernel kills them. Only `up`, and `story tour
//! --leave-up`, let a network outlive them.

pub mod bench;
pub mod chaos;
pub mod checks;
pub mod cli;
pub mod cluster;
pub mod commands;
pub mod control;
pub mod disk;
pub mod homes;
pub mod layout;
pub mod load;
pub mod network;
pub mod process;
pub mod relay;
pub mod rpc;
pub mod sim;
pub mod stats;
pub mod story;
pub mod supervisor;
pub mod table;
pub mod until;
pub mod watcher;
