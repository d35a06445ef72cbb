//! A Tandem node: driver loop, network, storage, RPC, configuration.

pub mod admission;
pub mod client;
pub mod config;
pub mod genesis_files;
pub mod home;
pub mod rpc;
pub mod storage;
pub mod telemetry;
pub mod view;
pub mod network;
pub mod run;
mod driver;
#[cfg(test)]
mod testing;
