//! Networks of a few nodes on loopback, in one process.

mod links;
mod misbehaviour;
mod reconnects;
mod requests;
#[cfg(target_os = "linux")]
mod strangers;
mod support;
