//! Integers of 64 bits as strings, as all of CometBFT's JSON has them: for `#[serde(with)]`.

use std::fmt::Display;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error};
use serde::ser::Serializer;

/// Writes a number, or a type around one, as a string.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<T: Display, S: Serializer>(number: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(number)
}

/// Reads a string of digits.
///
/// # Errors
/// When it is none.
pub fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: From<Number>,
    D: Deserializer<'de>,
{
    let text = String::deserialize(deserializer)?;
    let number = u64::from_str(&text).map_err(D::Error::custom)?;
    Ok(Number(number).into())
}

/// A number on its way into a type of its own.
#[derive(Clone, Copy, Debug)]
pub struct Number(u64);

macro_rules! from_number {
    ($($name:ident),*) => {$(
        impl From<Number> for tandem_chain::types::$name {
            fn from(number: Number) -> Self {
                Self(number.0)
            }
        }
    )*};
}
from_number!(Height, Term, Power);

impl From<Number> for u64 {
    fn from(number: Number) -> Self {
        number.0
    }
}

/// The same for values that may be missing (null).
pub mod option {
    use super::{Deserializer, Display, Number, Serializer};
    use serde::de::{Deserialize, Error};

    /// As [`super::serialize`].
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<T: Display, S: Serializer>(
        number: &Option<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match number {
            Some(number) => serializer.collect_str(number),
            None => serializer.serialize_none(),
        }
    }

    /// As [`super::deserialize`].
    ///
    /// # Errors
    /// When it is a string, but not of digits.
    pub fn deserialize<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
    where
        T: From<Number>,
        D: Deserializer<'de>,
    {
        let text: Option<String> = Option::deserialize(deserializer)?;
        let number = text.map(|text| text.parse().map_err(D::Error::custom)).transpose()?;
        Ok(number.map(|number| Number(number).into()))
    }
}

/// The same for numbers by name.
pub mod map {
    use std::collections::BTreeMap;

    use super::{Deserializer, Serializer};
    use serde::de::{Deserialize, Error};

    /// As [`super::serialize`].
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(
        numbers: &BTreeMap<String, u64>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(numbers.iter().map(|(name, number)| (name, number.to_string())))
    }

    /// As [`super::deserialize`].
    ///
    /// # Errors
    /// When one is a string, but not of digits.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<String, u64>, D::Error> {
        let texts: BTreeMap<String, String> = BTreeMap::deserialize(deserializer)?;
        let parsed = texts.into_iter().map(|(name, text)| text.parse().map(|n: u64| (name, n)));
        parsed.collect::<Result<_, _>>().map_err(D::Error::custom)
    }
}
