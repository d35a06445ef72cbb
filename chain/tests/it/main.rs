//! Integration tests of the chain crate: foreign test vectors, an unchanged light client, golden
//! bytes, and decoders under arbitrary input.

mod certificates;
mod comet_blocks;
mod decoded;
mod decoders;
mod example;
mod executed;
mod golden;
mod kinds;
mod light_client;
mod samples;
mod sign_bytes;
mod strategies;
