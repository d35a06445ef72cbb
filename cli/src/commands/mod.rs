//! One file for each command.

pub mod genesis;
pub mod grid;
pub mod init;
pub mod join;
pub mod keys;
pub mod node;
pub mod org;
pub mod permit;
pub mod query;
pub mod seats;
pub mod start;
pub mod status;
pub mod tx;
pub mod version;
