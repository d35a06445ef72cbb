//! Tests of the crate from outside.

mod cases;
mod decode;
mod imports;
