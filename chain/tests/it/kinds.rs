//! Decoders under cut, lengthened and changed bytes. Which decoders is up to the caller: these checks
//! serve the tests of `tandem-consensus` too.

use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tandem_chain::codec;
use tandem_chain::limits::MAX_ENCODED_BYTES;

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
    /// What is decoded by [`codec::decode_canonical`].
    pub fn new<T: Serialize + DeserializeOwned>(name: &'static str, value: &T) -> Self {
        let again = |bytes: &[u8]| {
            let value = codec::decode_canonical::<T>("value", bytes, MAX_ENCODED_BYTES);
            value.map(|value| codec::encode(&value)).ok()
        };
        Self { name, bytes: codec::encode(value), again }
    }

    /// Decodes in bounded memory: whether a value comes out, which then has these bytes.
    pub fn takes(&self, bytes: &[u8]) -> bool {
        let mut again = None;
        let taken = allocation_counter::measure(|| again = (self.again)(bytes)).bytes_max;
        let max = MEMORY.0 + MEMORY.1 * bytes.len() as u64;
        assert!(taken <= max, "{}: {taken} bytes of memory for {} bytes", self.name, bytes.len());
        assert!(again.as_ref().is_none_or(|again| again == bytes), "{}", self.name);
        again.is_some()
    }
}

/// A value is taken, and not when it is cut anywhere or something stands behind it.
pub fn check_ends(kinds: &[Kind]) {
    for kind in kinds {
        let Kind { name, bytes, .. } = kind;
        assert!(kind.takes(bytes), "{name}");
        for len in 0..bytes.len() {
            assert!(!kind.takes(&bytes[..len]), "{name} cut to {len} bytes");
        }
        for behind in [0, 1, 255] {
            let longer = [bytes.as_slice(), &[behind]].concat();
            assert!(!kind.takes(&longer), "{name} with a byte {behind} behind it");
        }
    }
}

/// Each byte is changed, and each eight bytes are made a great number, as if a length stood there:
/// [`Kind::takes`] says what must hold.
pub fn check_changes(kinds: &[Kind]) {
    const CLAIMS: [u64; 6] =
        [u64::MAX, 1 << 40, MAX_ENCODED_BYTES as u64 + 1, 8 << 20, 1_000_000, 101];
    for kind in kinds {
        for i in 0..kind.bytes.len() {
            for change in [1, 2, 0x80, 0xff] {
                let mut changed = kind.bytes.clone();
                changed[i] ^= change;
                kind.takes(&changed);
            }
        }
        for i in 0..kind.bytes.len().saturating_sub(8) {
            for claim in CLAIMS {
                let mut changed = kind.bytes.clone();
                changed[i..i + 8].copy_from_slice(&claim.to_le_bytes());
                kind.takes(&changed);
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
    T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let bytes = codec::encode(value);
    let decoded = codec::decode_canonical::<T>("value", &bytes, MAX_ENCODED_BYTES);
    prop_assert_eq!(decoded.as_ref(), Ok(value));
    Ok(())
}
