//! Seeds: the golden values.

use tandem_chain::codec;

use crate::samples;

/// The bytes in a golden file whose names start with one of these.
fn golden(file: &str, names: &[&str]) -> Vec<Vec<u8>> {
    let lines = file.lines().filter_map(|line| line.split_once(": "));
    let of_name = lines.filter(|(name, _)| names.iter().any(|start| name.starts_with(start)));
    let digits = of_name.filter_map(|(_, value)| value.split_once(" bytes ")).map(|(_, hex)| hex);
    digits.filter_map(|digits| hex::decode(digits).ok()).collect()
}

/// Golden bytes of `tandem-consensus`.
pub fn of_consensus(names: &[&str]) -> Vec<Vec<u8>> {
    golden(include_str!("../../../consensus/tests/it/golden.txt"), names)
}

/// Golden bytes of `tandem-chain`.
pub fn of_chain(names: &[&str]) -> Vec<Vec<u8>> {
    golden(include_str!("../../../chain/tests/it/golden.txt"), names)
}

/// A transaction with each call.
pub fn txs() -> Vec<Vec<u8>> {
    samples::calls().into_iter().map(|(_, call)| samples::tx(call).bytes().to_vec()).collect()
}

/// Blocks, the second the first of a chain.
pub fn blocks() -> Vec<Vec<u8>> {
    vec![codec::encode(&samples::block()), codec::encode(&samples::first_block())]
}
