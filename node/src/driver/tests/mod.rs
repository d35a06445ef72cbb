//! The production driver, database, network and replica, with a peer at the other end of a real
//! link. What the driver hands to its two threads goes through a [`support::Tap`]: the test says
//! when.

mod behind;
mod failures;
mod order;
mod support;
mod turns;
