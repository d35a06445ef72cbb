//! The Tandem replica: BFT rounds, liveness observations and standby switching as a pure state
//! machine.

pub mod catchup;
mod effect;
mod input;
pub mod journal;
pub mod limits;
pub mod liveness;
pub mod lost;
pub mod message;
pub mod proposer;
mod replica;
pub mod time;
pub mod validate;
pub mod verify;
pub mod votes;

pub use effect::{Effect, Role};
pub use input::Input;
pub use replica::{Replica, Setup, Step, View};
