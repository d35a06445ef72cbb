//! Snapshots of the state: taking, keeping, serving and restoring them.
//!
//! ```text
//!   executor ── block h, h a multiple of the interval ──> taker thread: reads a view of the database,
//!   tandem snapshot create ───── maintenance thread ───>  writes <home>/snapshots/h
//!   peers ── list, header, manifest, chunk i ──> server: answers from there
//!   start of an empty node that is far behind ──> fetch: trust, manifest, chunks of several peers
//!   tandem snapshot restore FOLDER ─────────────> restore: the same writes, from files
//! ```
//!
//! What a chunk or manifest must be is in [`tandem_chain::snapshot`], which header is to be trusted in
//! [`tandem_consensus::light`], and how a half-restored database is told from a whole one in
//! [`crate::storage`].

mod error;
mod fetch;
mod folder;
mod named;
mod pace;
mod pack;
mod restore;
mod serve;
mod shelf;
mod spill;
mod take;
mod taker;
#[cfg(test)]
mod tests;
mod trust;
pub mod wire;

pub use error::SnapshotError;
pub use fetch::{Ended, Fetch, offers_of};
pub use folder::Folder;
pub(crate) use folder::{Blocks, Sums};
pub use named::TrustedBlock;
pub use pace::{Pace, stand_back};
pub use pack::{pack, unpack};
pub use restore::Restore;
pub use serve::Server;
pub use shelf::Shelf;
pub use take::{Source, take};
pub use taker::{Taker, take_and_keep};
pub use trust::verify_folder;
