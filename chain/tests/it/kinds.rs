//! Decoders under cut, lengthened and changed bytes. Which decoders is up to the caller: these checks
//! serve the tests of `tandem-consensus` too.

use std::fmt::Debug;

use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tandem_chain::codec;
use tandem_chain::limits::MAX_ENCODED_BYTES;

use crate::decoded::decoded;

/// Bytes of memory that a decoder may take: a list's before its first item has come, and so many for
/// each byte that it reads.
const MEMORY: (u64, u64) = (4 << 20, 64);

/// A type under test: its name, the bytes of a value, and decoding followed by encoding.
pub struct Kind {
    pub name: &'static str,
    pub bytes: Vec<u8>,
    pub again: fn(&[u8]) -> Option<Vec<u8>>,
}

impl Kind {
    /// What is read by [`codec::decode`].
    pub fn new<T>(name: &'static str, value: &T) -> Self
    where
        T: Serialize + DeserializeOwned + PartialEq + Debug,
    {
        let again = |bytes: &[u8]| decoded::<T>(bytes).map(|value| codec::encode(&value));
        Self { name, bytes: codec::encode(value), again }
    }

    /// Decodes in bounded memory; the encoding of what comes out.
    pub fn read(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut again = None;
        let taken = allocation_counter::measure(|| again = (self.again)(bytes)).bytes_max;
        let max = MEMORY.0 + MEMORY.1 * bytes.len() as u64;
        assert!(taken <= max, "{}: {taken} bytes of memory for {} bytes", self.name, bytes.len());
        again
    }

    /// Other bytes than the value's are refused, or are another value.
    fn check_other(&self, other: &[u8]) {
        let again = self.read(other);
        let is_same = again.as_ref() == Some(&self.bytes);
        assert!(!is_same || other == self.bytes, "{}: other bytes give the same value", self.name);
    }
}

/// A value is taken, and not when it is cut anywhere or something stands behind it.
pub fn check_ends(kinds: &[Kind]) {
    for kind in kinds {
        let Kind { name, bytes, .. } = kind;
        assert_eq!(kind.read(bytes).as_ref(), Some(bytes), "{name}");
        for len in 0..bytes.len() {
            assert_eq!(kind.read(&bytes[..len]), None, "{name} cut to {len} bytes");
        }
        for behind in [0, 1, 255] {
            let longer = [bytes.as_slice(), &[behind]].concat();
            assert_eq!(kind.read(&longer), None, "{name} with a byte {behind} behind it");
        }
    }
}

/// Each byte is changed, and each eight bytes are made a great number, as if a length stood there:
/// what comes out is another value.
pub fn check_changes(kinds: &[Kind]) {
    const CLAIMS: [u64; 6] =
        [u64::MAX, 1 << 40, MAX_ENCODED_BYTES as u64 + 1, 8 << 20, 1_000_000, 101];
    for kind in kinds {
        for i in 0..kind.bytes.len() {
            for change in [1, 2, 0x80, 0xff] {
                let mut changed = kind.bytes.clone();
                changed[i] ^= change;
                kind.check_other(&changed);
            }
        }
        for i in 0..kind.bytes.len().saturating_sub(8) {
            for claim in CLAIMS {
                let mut changed = kind.bytes.clone();
                changed[i..i + 8].copy_from_slice(&claim.to_le_bytes());
                kind.check_other(&changed);
            }
        }
    }
}

/// The index of a kind, and its bytes with some of them replaced, taken away or added.
pub fn spoilt(kinds: &'static [Kind]) -> impl Strategy<Value = (usize, Vec<u8>)> {
    let added = proptest::collection::vec(any::<u8>(), 0..20);
    let edit = (any::<prop::sample::Index>(), 0..20_usize, added);
    let edits = proptest::collection::vec(edit, 1..4);
    (0..kinds.len(), edits).prop_map(|(kind, edits)| {
        let mut bytes = kinds[kind].bytes.clone();
        for (at, taken, added) in edits {
            let at = at.index(bytes.len() + 1);
            let end = (at + taken).min(bytes.len());
            bytes.splice(at..end, added);
        }
        (kind, bytes)
    })
}

/// Encoding and decoding give the same value.
pub fn round_trip<T>(value: &T) -> Result<(), TestCaseError>
where
    T: Serialize + DeserializeOwned + PartialEq + Debug,
{
    let bytes = codec::encode(value);
    let decoded = codec::decode_canonical::<T>("value", &bytes, MAX_ENCODED_BYTES);
    prop_assert_eq!(decoded.as_ref(), Ok(value));
    Ok(())
}
