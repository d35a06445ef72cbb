//! The one place that calls bincode.
//!
//! Fixed-width little-endian integers, a limit on every call, no trailing bytes. What is hashed or
//! signed is decoded with [`decode_canonical`], which encodes it again and demands the same bytes,
//! so that one value has one encoding.

use std::fmt;
use std::marker::PhantomData;

use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use bincode::de::read::Reader;
use bincode::enc::write::Writer;
use bincode::error::{DecodeError, EncodeError};
use serde::de::{DeserializeOwned, Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::error::Error;
use crate::limits::MAX_ENCODED_BYTES;

type Config<const LIMIT: usize> = Configuration<LittleEndian, Fixint, Limit<LIMIT>>;

fn config<const LIMIT: usize>() -> Config<LIMIT> {
    bincode::config::standard().with_little_endian().with_fixed_int_encoding().with_limit::<LIMIT>()
}

/// The bytes of `value`.
///
/// # Panics
/// When a value of our own is over [`MAX_ENCODED_BYTES`]: everything that is built is bounded
/// below that.
#[must_use]
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    let bytes = bincode::serde::encode_to_vec(value, config::<MAX_ENCODED_BYTES>())
        .expect("all our values have bytes");
    // bincode holds to its limit only where it decodes.
    let len = bytes.len();
    assert!(len <= MAX_ENCODED_BYTES, "a value of {len} bytes is over the limit of our own values");
    bytes
}

/// The value whose encoding is all of `bytes`.
///
/// # Errors
/// [`Error::TooLong`] when `bytes` is longer than `max`; [`Error::Undecodable`] when it is cut,
/// has bytes behind the value, or claims more than there are.
pub fn decode<T: DeserializeOwned>(
    what: &'static str,
    bytes: &[u8],
    max: usize,
) -> Result<T, Error> {
    let max = max.min(MAX_ENCODED_BYTES);
    if bytes.len() > max {
        return Err(Error::TooLong { what, max, got: bytes.len() });
    }
    let (value, read) = decode_within(bytes)
        .map_err(|source| Error::Undecodable { what, reason: reason(source) })?;
    if read != bytes.len() {
        return Err(Error::Undecodable {
            what,
            reason: format!("{} bytes behind the value", bytes.len() - read),
        });
    }
    Ok(value)
}

/// Why decoding ended, in words: bincode's own text is its error as it stands in a program.
fn reason(error: DecodeError) -> String {
    match error {
        DecodeError::UnexpectedEnd { additional } => {
            format!("it ends where {additional} more bytes belong")
        }
        DecodeError::LimitExceeded => "it claims to hold more than is there".to_owned(),
        DecodeError::UnexpectedVariant { found, .. } => format!("there is no variant {found}"),
        DecodeError::InvalidBooleanValue(found) => format!("{found} is neither 0 nor 1"),
        DecodeError::Utf8 { .. } => "a text is not UTF-8".to_owned(),
        DecodeError::OtherString(reason) => reason,
        DecodeError::Other(reason) => reason.to_owned(),
        other => other.to_string(),
    }
}

/// How many of `bytes`, from their front, were read when decoding a `T` ended, be it with a value or
/// with an error: the place to look at in what [`decode`] refuses.
#[must_use]
pub fn place_of_end<T: DeserializeOwned>(bytes: &[u8]) -> usize {
    let mut unread = Unread(bytes);
    if bytes.len() <= MAX_ENCODED_BYTES {
        let _ = decode_from::<T>(&mut unread);
    }
    bytes.len() - unread.0.len()
}

/// The value at the front of `bytes`, and how many are its.
fn decode_within<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, usize), DecodeError> {
    let mut unread = Unread(bytes);
    let value = decode_from(&mut unread)?;
    Ok((value, bytes.len() - unread.0.len()))
}

/// The value at the front. bincode takes the memory of a text or of
/// bytes before it looks whether they are there: so the limit on what is claimed is the lowest of a few
/// that is not below the bytes at hand. None is more than 64 times the one before it: from the second
/// on, a claim takes at most 64 bytes of memory for each byte that is there.
fn decode_from<T: DeserializeOwned>(bytes: &mut Unread) -> Result<T, DecodeError> {
    const SHORT: usize = 1_024;
    const MIDDLE: usize = 64 * SHORT;
    const LONG: usize = 16 * MIDDLE;
    const { assert!(MAX_ENCODED_BYTES <= 64 * LONG) };
    let len = bytes.0.len();
    if len <= SHORT {
        bincode::serde::decode_from_reader(bytes, config::<SHORT>())
    } else if len <= MIDDLE {
        bincode::serde::decode_from_reader(bytes, config::<MIDDLE>())
    } else if len <= LONG {
        bincode::serde::decode_from_reader(bytes, config::<LONG>())
    } else {
        bincode::serde::decode_from_reader(bytes, config::<MAX_ENCODED_BYTES>())
    }
}

/// Bytes that are still to be read.
struct Unread<'a>(&'a [u8]);

impl Reader for Unread<'_> {
    #[inline]
    fn read(&mut self, bytes: &mut [u8]) -> Result<(), DecodeError> {
        let Some((read, rest)) = self.0.split_at_checked(bytes.len()) else {
            return Err(DecodeError::UnexpectedEnd { additional: bytes.len() - self.0.len() });
        };
        bytes.copy_from_slice(read);
        self.0 = rest;
        Ok(())
    }
}

/// As [`decode`], and encoding the value again gives `bytes`.
///
/// # Errors
/// As [`decode`], and [`Error::NotCanonical`].
pub fn decode_canonical<T: Serialize + DeserializeOwned>(
    what: &'static str,
    bytes: &[u8],
    max: usize,
) -> Result<T, Error> {
    let value = decode(what, bytes, max)?;
    if is_encoding(&value, bytes) { Ok(value) } else { Err(Error::NotCanonical { what }) }
}

/// Whether [`encode`] would give `bytes`, found without making them.
fn is_encoding<T: Serialize>(value: &T, bytes: &[u8]) -> bool {
    let mut rest = Expected(bytes);
    bincode::serde::encode_into_writer(value, &mut rest, config::<MAX_ENCODED_BYTES>()).is_ok()
        && rest.0.is_empty()
}

/// Bytes that are to be written, each of which takes one away; others are an error.
struct Expected<'a>(&'a [u8]);

impl Writer for Expected<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.0 = self.0.strip_prefix(bytes).ok_or(EncodeError::Other("other bytes"))?;
        Ok(())
    }
}

/// For `#[serde(deserialize_with = "codec::list::<MAX, _, _>")]` on a list in what comes from
/// outside: more than `MAX` items are refused before the first is read. The limit on bytes does not
/// bound a list's memory, since an absent item takes one byte of the encoding and a hundred of memory.
///
/// # Errors
/// When there are more than `MAX` items, or one cannot be read.
pub fn list<'de, const MAX: usize, T, D>(from: D) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    struct List<const MAX: usize, T>(PhantomData<T>);
    impl<'de, const MAX: usize, T: Deserialize<'de>> Visitor<'de> for List<MAX, T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of at most {MAX} items")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
            let claimed = seq.size_hint().unwrap_or(0);
            if claimed > MAX {
                return Err(A::Error::invalid_length(claimed, &self));
            }
            let mut items = Vec::with_capacity(claimed);
            while let Some(item) = seq.next_element()? {
                if items.len() == MAX {
                    return Err(A::Error::invalid_length(MAX + 1, &self));
                }
                items.push(item);
            }
            Ok(items)
        }
    }
    from.deserialize_seq(List::<MAX, T>(PhantomData))
}

/// For `#[serde(with = "codec::bytes")]` on a field of bytes: the encoding of a `Vec<u8>`, written
/// and read at once instead of byte by byte; serializers are told that it is bytes.
pub mod bytes {
    use std::fmt;

    use serde::de::{Error, SeqAccess, Visitor};
    use serde::{Deserializer, Serializer};

    /// Writes bytes.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(bytes)
    }

    /// Reads bytes.
    ///
    /// # Errors
    /// Those of the deserializer.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        struct Bytes;
        impl<'de> Visitor<'de> for Bytes {
            type Value = Vec<u8>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }

            fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
                Ok(bytes)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<u8>, A::Error> {
                let mut bytes = Vec::new();
                while let Some(byte) = seq.next_element()? {
                    bytes.push(byte);
                }
                Ok(bytes)
            }
        }
        from.deserialize_byte_buf(Bytes)
    }
}
