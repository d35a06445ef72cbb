//! The program as a whole: over processes that stand in for nodes, and over real ones.

mod light_client;
mod supervisor;
