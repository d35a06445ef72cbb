//! Networks of a few nodes on loopback, in one process.

mod links;
mod misbehaviour;
mod requests;
mod support;
