//! Stored and sent items in a form for people: JSON.
//!
//! ```text
//!   hex, base64, a file ──> text ──┐
//!                                  ├─ bytes ──> kinds: every type that fits ──> readable ──> JSON
//!   a key in the database ─────────┴──────────> entry: the type of its key ───> readable ──> JSON
//! ```
//!
//! - **What fits** ([`kinds`]): a type whose encoding is the whole input, to the byte. A few short
//!   inputs are the encoding of several types; then all are told. A chunk that is compressed is
//!   decompressed first.
//! - **How it looks** ([`readable()`]): as in the RPC. Integers of 64 bits are strings, hashes, keys and
//!   signatures upper-case hex, times RFC 3339. Bytes of users are shown by what is in them
//!   ([`content`]).
//! - **And back** ([`typed()`]): a value from its JSON, where a program writes one, such as a call.
//! - **On a terminal** ([`terminal`]): nothing of others that it would act on.
//! - **What lies in a data folder** ([`entry`]): read beside a node that runs, by
//!   [`crate::storage::Reader`].

pub mod cbor;
pub mod content;
pub mod entry;
pub mod kinds;
mod readable;
pub mod terminal;
pub mod text;
mod typed;

pub use readable::readable;
pub use typed::{Fault, typed};
