//! Newtypes of the chain: heights, rounds, terms, powers, times, hashes, names, content types.
//!
//! None converts silently from a number: a height and a round that are mixed up do not compile.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tendermint_proto::serializers::timestamp::to_rfc3339_nanos;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::error::Error;
use crate::limits::{MAX_CHAIN_ID_LEN, MAX_NAME_LEN};

mod content_type;

pub use content_type::ContentType;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl $name {
            /// Zero.
            pub const ZERO: Self = Self(0);

            /// The next one. Panics where the type overflows.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0 + 1)
            }

            /// This plus `n`. Panics where the type overflows.
            #[must_use]
            pub fn plus(self, n: $inner) -> Self {
                Self(self.0 + n)
            }

            /// This less `n`, not below zero.
            #[must_use]
            pub fn back(self, n: $inner) -> Self {
                Self(self.0.saturating_sub(n))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

number!(
    /// Number of a block in the chain. The first block has height 1; 0 is genesis.
    Height(u64)
);
number!(
    /// Attempt within a height, from 0 (arXiv 1807.04938). At most [`crate::limits::MAX_ROUND`].
    Round(u32)
);
number!(
    /// Number of a seat's holder: rises by one at every change of holder. A fencing token.
    Term(u64)
);
number!(
    /// Voting power. The sum over a table is at most [`crate::limits::MAX_TOTAL_POWER`].
    Power(u64)
);

/// Wall-clock time in nanoseconds since the Unix epoch, UTC. Serializers are told its name, so that
/// one for people can show it as a time; its bytes are those of the number.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// From whole milliseconds since the epoch.
    #[must_use]
    pub fn from_millis(ms: u64) -> Self {
        Self(ms * 1_000_000)
    }

    /// Time from `earlier` to this; zero when `earlier` is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This time and `by` more, saturating.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// Whole seconds since the epoch, as in a protobuf timestamp.
    #[must_use]
    pub fn seconds(self) -> i64 {
        (self.0 / 1_000_000_000).cast_signed()
    }

    /// Nanoseconds within the second, 0 to 999,999,999.
    #[must_use]
    pub fn subsec_nanos(self) -> u32 {
        u32::try_from(self.0 % 1_000_000_000).expect("below a thousand million")
    }

    /// As RFC 3339 text in UTC, such as `2026-11-22T23:09:21.5Z`.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        let time = OffsetDateTime::from_unix_timestamp_nanos(self.0.into());
        to_rfc3339_nanos(time.expect("1970 to 2554 is within the years 1 to 9999"))
    }

    /// From RFC 3339 text with any offset.
    ///
    /// # Errors
    /// [`Error::Name`] when it is none, or not of the years 1970 to 2554.
    pub fn from_rfc3339(text: &str) -> Result<Self, Error> {
        let nanos = OffsetDateTime::parse(text, &Rfc3339)
            .ok()
            .and_then(|time| u64::try_from(time.unix_timestamp_nanos()).ok());
        nanos.map(Self).ok_or_else(|| Error::Name {
            what: "time",
            rule: "RFC 3339 such as 2026-11-22T23:09:21.5Z, of the years 1970 to 2554",
            got: escaped(text),
        })
    }
}

macro_rules! byte_array {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        const _: () = assert!($len % 4 == 0, "it is encoded in words");

        impl $name {
            /// Bytes in this type.
            pub const LEN: usize = $len;

            /// The bytes.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }

            /// From a slice of exactly [`Self::LEN`] bytes.
            ///
            /// # Errors
            /// [`crate::Error::Length`] when the slice has another length.
            pub fn from_slice(bytes: &[u8]) -> Result<Self, $crate::Error> {
                <[u8; $len]>::try_from(bytes).map(Self).map_err(|_| $crate::Error::Length {
                    what: stringify!($name),
                    expected: $len,
                    got: bytes.len(),
                })
            }
        }

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&hex::encode_upper(self.0))
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), hex::encode_upper(self.0))
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::Error;

            /// From hex digits of either case.
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let bytes = hex::decode(text).map_err(|_| $crate::Error::NotHex {
                    what: stringify!($name),
                })?;
                Self::from_slice(&bytes)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    return serializer.collect_str(self);
                }
                // Word by word, which in the one encoding ([`crate::codec`]) are the same bytes as byte by
                // byte, with fewer calls.
                let mut tuple = serializer.serialize_tuple($len / 4)?;
                for word in self.0.as_chunks::<4>().0 {
                    let word = u32::from_le_bytes(*word);
                    serde::ser::SerializeTuple::serialize_element(&mut tuple, &word)?;
                }
                serde::ser::SerializeTuple::end(tuple)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Bytes;
                impl<'de> serde::de::Visitor<'de> for Bytes {
                    type Value = $name;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str(concat!(stringify!($len), " bytes"))
                    }
                    fn visit_seq<A: serde::de::SeqAccess<'de>>(
                        self,
                        mut seq: A,
                    ) -> Result<$name, A::Error> {
                        let mut bytes = [0; $len];
                        for (i, chunk) in bytes.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                            let word: Option<u32> = seq.next_element()?;
                            let short = || serde::de::Error::invalid_length(4 * i, &self);
                            *chunk = word.ok_or_else(short)?.to_le_bytes();
                        }
                        Ok($name(bytes))
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                if deserializer.is_human_readable() {
                    deserializer.deserialize_str(Bytes)
                } else {
                    deserializer.deserialize_tuple($len / 4, Bytes)
                }
            }
        }
    };
}
pub(crate) use byte_array;

byte_array!(
    /// A SHA-256 hash.
    Hash,
    32
);
byte_array!(
    /// Address of a node: the first 20 bytes of SHA-256 of its public key (CometBFT).
    Address,
    20
);

impl Hash {
    /// SHA-256 of nothing, which CometBFT uses as the root of an empty list.
    pub const EMPTY: Self = Self([
        0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9,
        0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52,
        0xb8, 0x55,
    ]);

    /// SHA-256 of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest;
        Self(sha2::Sha256::digest(bytes).into())
    }
}

/// Id of a block: its header's hash. The part-set header of CometBFT's block id is a function of
/// it (total 1, the same hash), so that one header has one block id.
pub type BlockId = Hash;
/// Id of a transaction: SHA-256 of its bytes.
pub type TxHash = Hash;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:expr, $allowed:expr, $rule:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;

            fn try_from(text: String) -> Result<Self, Error> {
                let allowed: fn(u8) -> bool = $allowed;
                if text.is_empty() || text.len() > $max || !text.bytes().all(allowed) {
                    return Err(Error::Name { what: $what, rule: $rule, got: escaped(&text) });
                }
                Ok(Self(text))
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self, Error> {
                text.to_owned().try_into()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// Id of a chain. Signed in every vote and transaction; never used twice.
    ChainId,
    "chain id",
    MAX_CHAIN_ID_LEN,
    |b| b.is_ascii_alphanumeric() || b"._-".contains(&b),
    "1 to 50 of A-Z a-z 0-9 . _ -"
);
name!(
    /// Name of an organisation, and thereby of its seat.
    OrgName,
    "organisation name",
    MAX_NAME_LEN,
    |b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-',
    "1 to 32 of a-z 0-9 -"
);
name!(
    /// Name of a data set of records.
    DataSetName,
    "data set name",
    MAX_NAME_LEN,
    |b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b),
    "1 to 32 of a-z 0-9 . _ -"
);

/// `text` cut to a length that fits a log line, with control characters escaped.
#[must_use]
pub fn escaped(text: &str) -> String {
    text.chars().take(80).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests;
