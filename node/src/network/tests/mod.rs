//! Networks of a few nodes on loopback, in one process.

mod guests;
mod links;
mod misbehaviour;
mod moves;
mod reconnects;
mod requests;
#[cfg(target_os = "linux")]
mod strangers;
mod support;
