//! The program as a whole, over processes that stand in for nodes.

mod supervisor;
