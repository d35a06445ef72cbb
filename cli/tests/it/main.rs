//! The program `tandem` as an operator uses it: its files, its answers, its exit codes.
//!
//! Every command is written as at a shell, runs in a folder of its own and has a bound on its time.
//! Nodes listen on ports that the system chooses, which are read from their logs; they end with the
//! test, however it ends.

mod ceremony;
mod db;
mod decode;
mod doctor;
mod export;
mod genesis;
mod home;
mod join;
mod key_move;
mod node;
mod packaging;
mod passphrase;
mod program;
mod prune;
mod rights;
mod snapshot;
mod support;
mod top;
