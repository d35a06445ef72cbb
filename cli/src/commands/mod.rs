//! One file for each command.

pub mod genesis;
pub mod grid;
pub mod init;
pub mod keys;
pub mod query;
pub mod seats;
pub mod snapshot;
pub mod start;
pub mod status;
pub mod tx;
pub mod version;
