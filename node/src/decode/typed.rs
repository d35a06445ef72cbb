//! JSON for people as a value of the chain again.

use std::fmt::Display;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserializer;
use serde::de::value::{StrDeserializer, U64Deserializer};
use serde::de::{
    DeserializeOwned, DeserializeSeed, EnumAccess, Error as _, Expected, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor,
};
use serde_json::{Map, Value, map};
use tandem_chain::types::{Timestamp, escaped};

/// The value that a JSON is, in the form that [`super::readable()`] gives it: names of variants and fields as
/// there, integers of 64 bits as texts or numbers, times as RFC 3339. Bytes are an object with `text`, `hex`
/// or `base64`; where there are several they must agree, and so must `bytes`, their number. What is unknown or
/// stands in the wrong form is refused.
///
/// Bytes that are shown as `json` or `cbor` are not taken so: that does not say how they were written.
///
/// # Errors
/// What is wrong, and where: `of` is the name of the whole.
pub fn typed<T: DeserializeOwned>(of: &str, json: &Value) -> Result<T, Fault> {
    T::deserialize(Typed(json)).map_err(|fault| fault.within(of))
}

/// Why a JSON is no value of a type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {reason}")]
pub struct Fault {
    /// The way to what is wrong: names and places, joined by dots.
    at: String,
    reason: String,
}

impl Fault {
    fn new(reason: impl Into<String>) -> Self {
        Self { at: String::new(), reason: reason.into() }
    }

    /// That of a member or item, as one of what holds it.
    fn within(mut self, name: impl Display) -> Self {
        self.at = if self.at.is_empty() { name.to_string() } else { format!("{name}.{}", self.at) };
        self
    }

    fn of(json: &Value, rule: impl Display) -> Self {
        let got = match json {
            Value::Null => "nothing".to_owned(),
            Value::Bool(flag) => flag.to_string(),
            Value::Number(number) => number.to_string(),
            Value::String(text) => format!("\"{}\"", escaped(text)),
            Value::Array(_) => "a list".to_owned(),
            Value::Object(_) => "an object".to_owned(),
        };
        Self::new(format!("must be {rule}, got {got}"))
    }

    fn unknown(what: &str, name: &str, known: &[&str]) -> Self {
        Self::new(format!("there is no {what} {}; there are {}", escaped(name), known.join(", ")))
    }
}

impl serde::de::Error for Fault {
    fn custom<T: Display>(reason: T) -> Self {
        Self::new(reason.to_string())
    }

    fn invalid_type(_: Unexpected, expected: &dyn Expected) -> Self {
        Self::new(format!("must be {expected}"))
    }

    fn invalid_value(_: Unexpected, expected: &dyn Expected) -> Self {
        Self::new(format!("must be {expected}"))
    }

    fn missing_field(name: &'static str) -> Self {
        Self::new("is missing").within(name)
    }
}

#[derive(Clone, Copy)]
struct Typed<'a>(&'a Value);

impl<'a> Typed<'a> {
    fn text(self, rule: &str) -> Result<&'a str, Fault> {
        self.0.as_str().ok_or_else(|| Fault::of(self.0, rule))
    }

    fn object(self, rule: &str) -> Result<&'a Map<String, Value>, Fault> {
        self.0.as_object().ok_or_else(|| Fault::of(self.0, rule))
    }

    /// A number or its digits.
    fn integer(self) -> Result<u64, Fault> {
        let digits = self.0.as_str().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        let number = digits.map_or_else(|| self.0.as_u64(), |digits| digits.parse().ok());
        number.ok_or_else(|| Fault::of(self.0, "a whole number from 0 to 18446744073709551615"))
    }

    fn bytes(self) -> Result<Vec<u8>, Fault> {
        const RULE: &str = "bytes: an object with text, hex or base64";
        let mut found: Option<Vec<u8>> = None;
        let mut count = None;
        for (form, content) in self.object(RULE)? {
            let content = Typed(content);
            let bytes = match form.as_str() {
                "bytes" => {
                    count = Some(content.integer().map_err(|fault| fault.within(form))?);
                    continue;
                }
                "text" => content.text("a text").map(|text| text.as_bytes().to_vec()),
                "hex" => content.decoded("hex digits", |text| hex::decode(text).ok()),
                "base64" => content.decoded("base64", |text| STANDARD.decode(text).ok()),
                "json" | "cbor" => {
                    let reason = "shows what bytes hold and not how they are written: give text, hex or base64";
                    Err(Fault::new(reason))
                }
                other => {
                    return Err(Fault::unknown("form of bytes", other, &["text", "hex", "base64"]));
                }
            };
            let bytes = bytes.map_err(|fault| fault.within(form))?;
            if found.as_ref().is_some_and(|other| *other != bytes) {
                return Err(Fault::new("its forms are of different bytes: give one of them"));
            }
            found = Some(bytes);
        }
        let found = found.ok_or_else(|| Fault::of(self.0, RULE))?;
        match count {
            Some(count) if count != found.len() as u64 => {
                let got = found.len();
                Err(Fault::new(format!("these are {got} bytes, and bytes says {count}")))
            }
            _ => Ok(found),
        }
    }

    fn decoded(
        self,
        rule: &str,
        decode: impl Fn(&str) -> Option<Vec<u8>>,
    ) -> Result<Vec<u8>, Fault> {
        decode(self.text(rule)?).ok_or_else(|| Fault::of(self.0, rule))
    }
}

macro_rules! integers {
    ($($name:ident),*) => {$(
        fn $name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            visitor.visit_u64(self.integer()?)
        }
    )*};
}

macro_rules! texts {
    ($($name:ident),*) => {$(
        fn $name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            visitor.visit_str(self.text("a text")?)
        }
    )*};
}

impl<'de> Deserializer<'de> for Typed<'_> {
    type Error = Fault;

    integers!(deserialize_u8, deserialize_u16, deserialize_u32, deserialize_u64);
    texts!(deserialize_str, deserialize_string);

    /// What no call has: types that take whatever stands there, signed numbers, fractions, tuples, maps.
    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Fault> {
        Err(Fault::new("a value of this type cannot be given as JSON"))
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u128 f32 f64 char bytes unit unit_struct tuple tuple_struct map identifier
        ignored_any
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_bool(self.0.as_bool().ok_or_else(|| Fault::of(self.0, "true or false"))?)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_byte_buf(self.bytes()?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        if name != "Timestamp" {
            return visitor.visit_newtype_struct(self);
        }
        let text = self.text("a time such as 2026-11-22T23:09:21.5Z")?;
        let time = Timestamp::from_rfc3339(text).map_err(Fault::custom)?;
        visitor.visit_newtype_struct(U64Deserializer::new(time.0))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let items = self.0.as_array().ok_or_else(|| Fault::of(self.0, "a list"))?;
        visitor.visit_seq(Items { items: items.iter(), place: 0 })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let members = self.object(&format!("an object with {}", fields.join(", ")))?;
        if let Some(name) = members.keys().find(|name| !fields.contains(&name.as_str())) {
            return Err(Fault::unknown("member", name, fields));
        }
        visitor.visit_map(Members { members: members.iter(), next: None })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let (name, content) = match self.0 {
            Value::String(name) => (name, None),
            Value::Object(members) if members.len() == 1 => {
                let (name, content) = members.iter().next().expect("it has one");
                (name, Some(Typed(content)))
            }
            other => {
                let names = variants.join(", ");
                return Err(Fault::of(other, format!("an object with one member of {names}")));
            }
        };
        let Some(&name) = variants.iter().find(|known| *known == name) else {
            return Err(Fault::unknown("kind", name, variants));
        };
        visitor.visit_enum(Variant { name, content })
    }
}

/// The items of a list that are still to be read.
struct Items<'a> {
    items: std::slice::Iter<'a, Value>,
    place: usize,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Fault> {
        let Some(item) = self.items.next() else { return Ok(None) };
        let place = self.place;
        self.place += 1;
        seed.deserialize(Typed(item)).map(Some).map_err(|fault| fault.within(place))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

/// The members of an object that are still to be read.
struct Members<'a> {
    members: map::Iter<'a>,
    next: Option<(&'a str, &'a Value)>,
}

impl<'de> MapAccess<'de> for Members<'_> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        self.next = self.members.next().map(|(name, content)| (name.as_str(), content));
        let Some((name, _)) = self.next else { return Ok(None) };
        seed.deserialize(StrDeserializer::new(name)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let (name, content) = self.next.take().expect("a value is asked for behind its name");
        seed.deserialize(Typed(content)).map_err(|fault| fault.within(name))
    }
}

/// A variant's name, and what it holds where it stands as an object.
struct Variant<'a> {
    name: &'static str,
    content: Option<Typed<'a>>,
}

impl<'a> Variant<'a> {
    fn content(&self) -> Result<Typed<'a>, Fault> {
        let rule = || format!("must be an object that has what belongs to {} in it", self.name);
        self.content.ok_or_else(|| Fault::new(rule()))
    }
}

impl<'de> EnumAccess<'de> for Variant<'_> {
    type Error = Fault;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Fault> {
        let variant = seed.deserialize(StrDeserializer::<Fault>::new(self.name))?;
        Ok((variant, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        match self.content {
            None => Ok(()),
            Some(_) => {
                Err(Fault::new(format!("{} has nothing in it: give it as a text", self.name)))
            }
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        seed.deserialize(self.content()?).map_err(|fault| fault.within(self.name))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        self.content()?.deserialize_any(visitor).map_err(|fault| fault.within(self.name))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let fields = self.content()?.deserialize_struct(self.name, fields, visitor);
        fields.map_err(|fault| fault.within(self.name))
    }
}

#[cfg(test)]
mod tests;
