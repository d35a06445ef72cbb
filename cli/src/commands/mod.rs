//! One file for each command.

pub mod db;
pub mod decode;
pub mod doctor;
pub mod export;
pub mod genesis;
pub mod grid;
pub mod import;
pub mod init;
pub mod join;
pub mod keys;
pub mod node;
pub mod org;
pub mod permit;
pub mod query;
pub mod seats;
pub mod snapshot;
pub mod start;
pub mod status;
pub mod top;
pub mod tx;
pub mod version;
