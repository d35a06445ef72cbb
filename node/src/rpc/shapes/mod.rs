//! The JSON of answers: CometBFT's shapes in `comet`, Tandem's own in `tandem`.

pub mod comet;
pub mod motions;
pub mod records;
pub mod rights;
pub mod tandem;
pub mod text;
