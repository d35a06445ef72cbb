//! Tests of the ledger as a whole; those of one module's calls are in the module's folder.

mod blocks;
mod evidence;
pub(crate) mod kit;
mod random;
mod restart;
