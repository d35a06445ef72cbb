use std::collections::BTreeMap;

use super::*;
use crate::keys::{SecretKey, Strict};
use crate::roles::{NodeEntry, Seat};
use crate::types::Term;

fn secret(n: u8) -> SecretKey {
    SecretKey::from_seed(&[n; 32])
}

fn table(powers: &[u64]) -> RoleTable {
    let seats = powers.iter().zip(0..).map(|(power, n)| {
        let name = format!("org-{n}").parse().unwrap();
        (name, Seat { holder: secret(n).public(), power: Power(*power), term: Term(0) })
    });
    seats.collect::<BTreeMap<_, _>>().into()
}

fn register(nodes: u8) -> Register {
    let node = || NodeEntry { org: "a".parse().unwrap(), pair: true, addresses: Vec::new() };
    Register { nodes: (0..nodes).map(|n| (secret(n).public(), node())).collect() }
}

/// Observations by validator: a bit per node, or "-" for none.
fn observations(by_validator: &[&str]) -> Vec<Option<Observation>> {
    let observation = |bits: &&str| {
        let seen = bits.chars().map(|bit| bit == '1').collect();
        (*bits != "-").then_some(Observation { seen, signature: Signature([0; 64]) })
    };
    by_validator.iter().map(observation).collect()
}

fn bits(count: u16, bytes: &[u8]) -> Result<Bits, Error> {
    RawBits { count, bytes: bytes.to_vec() }.try_into()
}

#[test]
fn bits_are_written_lowest_first() {
    let sample: Bits =
        [true, false, false, true, false, false, false, false, true].into_iter().collect();
    let raw = RawBits::from(&sample);
    assert_eq!((raw.count, raw.bytes.as_slice()), (9, &[0b1001, 1][..]));
    assert_eq!(bits(9, &[0b1001, 1]), Ok(sample));
}

#[test]
fn bits_whose_two_lengths_disagree_are_refused() {
    for (count, bytes, expected) in
        [(0, &[0][..], 0), (1, &[], 1), (8, &[1, 0], 1), (9, &[1], 2), (17, &[1, 0], 3)]
    {
        let got = bytes.len();
        let error = Error::Length { what: "bits", expected, got };
        assert_eq!(bits(count, bytes), Err(error), "{count} bits in {got} bytes");
    }
}

#[test]
fn bits_behind_the_last_are_refused() {
    for (count, bytes) in [(1, &[0b10][..]), (7, &[0x80]), (9, &[0, 2]), (15, &[0xff, 0xff])] {
        assert_eq!(bits(count, bytes), Err(Error::NotCanonical { what: "bits" }), "{count}");
    }
    assert!(bits(16, &[0xff, 0xff]).is_ok());
}

#[test]
fn more_bits_than_nodes_can_be_are_refused() {
    let max = u16::try_from(MAX_NODES).unwrap();
    assert!(bits(max, &[0; MAX_NODES.div_ceil(8)]).is_ok());
    let got = MAX_NODES + 1;
    let error = Error::TooMany { what: "bits", max: MAX_NODES, got };
    assert_eq!(bits(max + 1, &vec![0; got.div_ceil(8)]), Err(error));
}

#[test]
fn the_most_bits_fit_in_an_extension() {
    let most: Bits = std::iter::repeat_n(true, MAX_NODES).collect();
    assert_eq!(Bits::from_extension(&most.to_extension()), Ok(most.clone()));
    let longer = [most.to_extension(), vec![0]].concat();
    assert!(matches!(Bits::from_extension(&longer), Err(Error::TooLong { .. })));
}

#[test]
fn a_bit_beyond_the_end_is_not_set() {
    let sample: Bits = [true].into_iter().collect();
    assert!(sample.get(0) && !sample.get(1) && !sample.get(usize::MAX));
}

/// Bits of the record that is derived for as many nodes as `alive` has, against `alive`.
fn check(name: &str, powers: &[u64], by_validator: &[&str], alive: &str) {
    let observations = observations(by_validator);
    let register = register(u8::try_from(alive.len()).unwrap());
    let record = LivenessRecord::derive(Height(3), &table(powers), &register, observations.clone());
    assert_eq!((record.height, &record.observations), (Height(3), &observations));
    let bits: String = record.alive.iter().map(|bit| if bit { '1' } else { '0' }).collect();
    assert_eq!(bits, alive, "{name}");
}

#[test]
fn a_node_is_alive_when_observers_with_more_than_f_power_saw_it() {
    let four = [1, 1, 1, 1];
    check("two of four", &four, &["110", "010", "000", "-"], "010");
    check("one of four is f", &four, &["111", "000", "000", "-"], "000");
    check("of three, f is 0", &[1, 1, 1], &["100", "000", "-"], "100");
    check("no observation", &four, &["-", "-", "-", "-"], "000");
    check("an empty list", &four, &[], "000");
    check("more than there are validators", &[1], &["100", "111"], "100");
    check("shorter than the register", &four, &["11", "1", "-", "-"], "100");
}

#[test]
fn observers_count_with_their_power() {
    // Observations are in the order of powers: the heavy seat's is first.
    check("a heavy one is enough: f is 2", &[5, 1, 1], &["10", "01", "01"], "10");
    check("two light ones are f", &[6, 1, 1, 1], &["0", "1", "1", "0"], "0");
    check("three light ones are enough", &[6, 1, 1, 1], &["0", "1", "1", "1"], "1");
}

#[test]
fn the_nodes_alive_are_those_of_the_bits() {
    let register = register(5);
    let keys: Vec<PublicKey> = register.nodes.keys().copied().collect();
    let alive = [true, false, true, false, false].into_iter().collect();
    let record = LivenessRecord { height: Height(2), alive, observations: Vec::new() };
    assert_eq!(record.alive_nodes(&register), [keys[0], keys[2]].into());
    let none = LivenessRecord { height: Height(1), ..LivenessRecord::default() };
    assert!(none.alive_nodes(&register).is_empty());
}

#[test]
fn a_record_is_signed_by_its_proposer_for_its_chain() {
    let (chain, other): (ChainId, ChainId) = ("a".parse().unwrap(), "b".parse().unwrap());
    let record = LivenessRecord { height: Height(2), ..LivenessRecord::default() };
    let signed = record.sign(&chain, &secret(1));
    let (right, wrong) = (secret(1).public(), secret(2).public());
    assert_eq!(signed.verify(&Strict, &chain, &right), Ok(()));
    let refused = |key| Err(Error::BadSignature { what: "liveness record", key });
    assert_eq!(signed.verify(&Strict, &chain, &wrong), refused(wrong));
    assert_eq!(signed.verify(&Strict, &other, &right), refused(right));
    let mut changed = signed;
    changed.record.height = Height(3);
    assert_eq!(changed.verify(&Strict, &chain, &right), refused(right));
}

#[test]
fn bits_as_text_are_digits() {
    let bits: Bits = [true, false, true].into_iter().collect();
    let text = serde_json::to_string(&bits).unwrap();
    assert_eq!(text, "\"101\"");
    assert_eq!(serde_json::from_str::<Bits>(&text).unwrap(), bits);
    assert_eq!(serde_json::from_str::<Bits>("\"\"").unwrap(), Bits::default());
    let long = format!("\"{}\"", "1".repeat(MAX_NODES + 1));
    for bad in ["\"102\"", "\"1 \"", "5", "{\"count\":1,\"bytes\":[1]}", &long] {
        assert!(serde_json::from_str::<Bits>(bad).is_err(), "{bad}");
    }
    assert!(serde_json::from_str::<Bits>(&long.replacen('1', "", 1)).is_ok());
}
