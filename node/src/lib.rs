//! A Tandem node: driver loop, network, storage, RPC, configuration.

pub mod admission;
pub mod backup;
pub mod client;
pub mod config;
pub mod decode;
pub mod doctor;
mod driver;
pub mod export;
pub mod genesis_files;
mod health;
pub mod home;
mod hooks;
mod indexer;
pub mod join;
pub mod key_move;
pub mod maintenance;
pub mod metrics;
pub mod network;
pub mod operator;
mod pairs;
pub mod pruning;
pub mod query;
pub mod rpc;
pub mod run;
pub mod search;
pub mod sink;
pub mod snapshots;
pub mod storage;
pub mod telemetry;
#[cfg(test)]
mod testing;
pub mod view;
