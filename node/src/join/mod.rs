//! How a new machine comes to be a node: one command at a member, one at the machine.
//!
//! ```text
//!   member                                             new machine
//!   tandem node invite ──> token ── by hand ──────────> tandem join TOKEN
//!     (admin key)                                        makes home and key
//!                          <── visit: shows invitation ──
//!                          ── genesis, by chunks ──────>  checks its hash by the token
//!                          <── registration ────────────
//!                          ── receipt ─────────────────>  starts, restores a snapshot that members
//!                                                         have, and catches up as any node
//! ```
//!
//! A token ([`token`]) carries the organisation's signed invitation, the genesis hash and a newer
//! block's to trust on first contact, and where some members are. A visit is one stream with few questions ([`wire`]),
//! which a member's [`Reception`] answers and a newcomer's [`join`] asks. The stream and its bounds
//! are the network's ([`crate::network::Visit`], [`crate::network::Host`]).

mod home;
mod newcomer;
mod reception;
#[cfg(test)]
mod tests;
pub mod token;
pub mod wire;

pub use newcomer::{JoinError, Joined, Plan, Progress, join};
pub use reception::Reception;
pub use token::{Token, TokenError, TokenMember};
