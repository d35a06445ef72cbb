//! Tests of the crate from outside.

mod decode;
mod imports;
