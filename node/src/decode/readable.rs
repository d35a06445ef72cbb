//! Any type of the chain as JSON for people.

use std::cell::Cell;

use serde::Serialize;
use serde::ser::{self, Serializer};
use serde_json::{Map, Value};
use tandem_chain::types::{ContentType, Timestamp};

use super::content;

/// Members of objects and items of lists that are shown: a bound on memory, of which a few bytes may be
/// worth some hundred.
const MAX_VALUES: usize = 1_000_000;

/// A value as JSON, in the manner of the RPC: integers of 64 bits are strings, times RFC 3339, hashes,
/// keys and signatures upper-case hex; bytes are what [`content::show`] makes of them, and of a content
/// type that stands before them. What has more than a million members and items, which no block has, is a
/// text that says so.
#[must_use]
pub fn readable<T: Serialize + ?Sized>(value: &T) -> Value {
    let reading = Reading { left: Cell::new(MAX_VALUES), claimed: Cell::new(None) };
    value.serialize(Readable(&reading)).unwrap_or_else(|Fault(reason)| Value::String(reason))
}

/// Why a value is not shown; that a type says so, none of the chain's does.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Fault(String);

impl ser::Error for Fault {
    fn custom<T: std::fmt::Display>(reason: T) -> Self {
        Self(reason.to_string())
    }
}

/// What is known from what came before.
struct Reading {
    /// Members and items that may still come.
    left: Cell<usize>,
    /// What the next bytes are claimed to be.
    claimed: Cell<Option<ContentType>>,
}

#[derive(Clone, Copy)]
struct Readable<'a>(&'a Reading);

impl Readable<'_> {
    /// A member or an item is to come.
    fn count(self) -> Result<Self, Fault> {
        let left = self.0.left.get().checked_sub(1);
        let left =
            left.ok_or_else(|| Fault(format!("more than {MAX_VALUES} values: not shown")))?;
        self.0.left.set(left);
        Ok(self)
    }
}

/// An object with one member: a variant's name and its content.
fn variant(name: &str, content: Value) -> Value {
    Value::Object(Map::from_iter([(name.to_owned(), content)]))
}

macro_rules! small_numbers {
    ($($name:ident: $type:ty),*) => {$(
        fn $name(self, number: $type) -> Result<Value, Fault> {
            Ok(number.into())
        }
    )*};
}

macro_rules! large_numbers {
    ($($name:ident: $type:ty),*) => {$(
        fn $name(self, number: $type) -> Result<Value, Fault> {
            Ok(Value::String(number.to_string()))
        }
    )*};
}

impl<'a> Serializer for Readable<'a> {
    type Ok = Value;
    type Error = Fault;
    type SerializeSeq = Items<'a>;
    type SerializeTuple = Items<'a>;
    type SerializeTupleStruct = Items<'a>;
    type SerializeTupleVariant = Items<'a>;
    type SerializeMap = Members<'a>;
    type SerializeStruct = Members<'a>;
    type SerializeStructVariant = Members<'a>;

    small_numbers! {
        serialize_bool: bool, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32,
        serialize_f32: f32, serialize_f64: f64
    }
    large_numbers! {
        serialize_i64: i64, serialize_i128: i128, serialize_u64: u64, serialize_u128: u128
    }

    fn serialize_char(self, character: char) -> Result<Value, Fault> {
        Ok(Value::String(character.to_string()))
    }

    fn serialize_str(self, text: &str) -> Result<Value, Fault> {
        Ok(Value::String(text.to_owned()))
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<Value, Fault> {
        Ok(content::show(bytes, self.0.claimed.take().as_ref()))
    }

    fn serialize_none(self) -> Result<Value, Fault> {
        Ok(Value::Null)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Value, Fault> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<Value, Fault> {
        Ok(Value::Null)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Value, Fault> {
        Ok(Value::Null)
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
    ) -> Result<Value, Fault> {
        Ok(Value::String(name.to_owned()))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<Value, Fault> {
        let shown = value.serialize(self)?;
        let text = shown.as_str().unwrap_or_default();
        match name {
            "Timestamp" => {
                let time = text.parse().map(|nanoseconds| Timestamp(nanoseconds).to_rfc3339());
                Ok(time.map_or(shown, Value::String))
            }
            "ContentType" => {
                self.0.claimed.set(text.parse().ok());
                Ok(shown)
            }
            _ => Ok(shown),
        }
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        value: &T,
    ) -> Result<Value, Fault> {
        Ok(variant(name, value.serialize(self)?))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Items<'a>, Fault> {
        Ok(Items::new(self, None))
    }

    fn serialize_tuple(self, _: usize) -> Result<Items<'a>, Fault> {
        Ok(Items::new(self, None))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Items<'a>, Fault> {
        Ok(Items::new(self, None))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        _: usize,
    ) -> Result<Items<'a>, Fault> {
        Ok(Items::new(self, Some(name)))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Members<'a>, Fault> {
        Ok(Members::new(self, None))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Members<'a>, Fault> {
        Ok(Members::new(self, None))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        _: usize,
    ) -> Result<Members<'a>, Fault> {
        Ok(Members::new(self, Some(name)))
    }
}

/// A list that grows.
struct Items<'a> {
    readable: Readable<'a>,
    variant: Option<&'static str>,
    items: Vec<Value>,
}

impl<'a> Items<'a> {
    fn new(readable: Readable<'a>, variant: Option<&'static str>) -> Self {
        Self { readable, variant, items: Vec::new() }
    }

    fn push<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), Fault> {
        self.items.push(item.serialize(self.readable.count()?)?);
        Ok(())
    }

    fn finish(self) -> Value {
        let list = Value::Array(self.items);
        match self.variant {
            Some(name) => variant(name, list),
            None => list,
        }
    }
}

macro_rules! lists {
    ($($of:ident $push:ident),*) => {$(
        impl ser::$of for Items<'_> {
            type Ok = Value;
            type Error = Fault;

            fn $push<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), Fault> {
                self.push(item)
            }

            fn end(self) -> Result<Value, Fault> {
                Ok(self.finish())
            }
        }
    )*};
}
lists!(
    SerializeSeq serialize_element,
    SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field,
    SerializeTupleVariant serialize_field
);

/// An object that grows.
struct Members<'a> {
    readable: Readable<'a>,
    variant: Option<&'static str>,
    members: Map<String, Value>,
    key: String,
}

impl<'a> Members<'a> {
    fn new(readable: Readable<'a>, variant: Option<&'static str>) -> Self {
        Self { readable, variant, members: Map::new(), key: String::new() }
    }

    fn finish(self) -> Value {
        let object = Value::Object(self.members);
        match self.variant {
            Some(name) => variant(name, object),
            None => object,
        }
    }
}

impl ser::SerializeMap for Members<'_> {
    type Ok = Value;
    type Error = Fault;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Fault> {
        self.key = match key.serialize(self.readable)? {
            Value::String(text) => text,
            other => other.to_string(),
        };
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Fault> {
        let value = value.serialize(self.readable.count()?)?;
        self.members.insert(std::mem::take(&mut self.key), value);
        Ok(())
    }

    fn end(self) -> Result<Value, Fault> {
        Ok(self.finish())
    }
}

macro_rules! objects {
    ($($of:ident),*) => {$(
        impl ser::$of for Members<'_> {
            type Ok = Value;
            type Error = Fault;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), Fault> {
                let value = value.serialize(self.readable.count()?)?;
                self.members.insert(name.to_owned(), value);
                Ok(())
            }

            fn end(self) -> Result<Value, Fault> {
                Ok(self.finish())
            }
        }
    )*};
}
objects!(SerializeStruct, SerializeStructVariant);

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;
    use tandem_chain::keys::PublicKey;
    use tandem_chain::liveness::Bits;
    use tandem_chain::modules::records;
    use tandem_chain::types::{Hash, Height, Round};

    use super::*;

    #[test]
    fn values_look_as_in_the_rpc() {
        let time = Timestamp::from_rfc3339("2026-11-22T23:09:21.5Z").unwrap();
        assert_eq!(readable(&time), json!("2026-11-22T23:09:21.5Z"));
        assert_eq!(readable(&(Height(7), Round(2))), json!(["7", 2]));
        assert_eq!(readable(&Hash([0xab; 32])), json!("AB".repeat(32)));
        assert_eq!(readable(&Some(true)), json!(true));
        assert_eq!(readable(&None::<u8>), json!(null));
        let bits: Bits = [true, false, true].into_iter().collect();
        assert_eq!(readable(&bits), json!("101"));
        let map: BTreeMap<_, _> = [(PublicKey([1; 32]), 1u64), (PublicKey([2; 32]), 2)].into();
        let (one, two) = ("01".repeat(32), "02".repeat(32));
        assert_eq!(readable(&map), json!({ one: "1", two: "2" }));
        assert_eq!(readable(&BTreeMap::from([(7u64, vec![()])])), json!({ "7": [null] }));
    }

    #[test]
    fn calls_are_named_and_their_bytes_are_shown_by_content() {
        let call = tandem_chain::modules::Call::Records(records::Call::Put {
            data_set: "prices".parse().unwrap(),
            key: b"oil".to_vec(),
            content_type: None,
            value: b"{\"usd\": 81.2}".to_vec(),
            expected: None,
        });
        let put = json!({
            "data_set": "prices",
            "key": { "bytes": "3", "text": "oil" },
            "content_type": null,
            "value": { "bytes": "13", "json": { "usd": 81.2 } },
            "expected": null,
        });
        assert_eq!(readable(&call), json!({ "Records": { "Put": put } }));
    }

    #[test]
    fn bytes_behind_a_content_type_are_shown_by_it_and_no_others_are() {
        let stored = |content_type: Option<&str>| records::Stored {
            version: 7,
            is_deleted: false,
            content_type: content_type.map(|text| text.parse().unwrap()),
            value: b"[1]".to_vec(),
        };
        let shown = |content_type, value| {
            json!({
                "version": "7",
                "is_deleted": false,
                "content_type": content_type,
                "value": value,
            })
        };
        let (text, json) =
            (json!({ "bytes": "3", "text": "[1]" }), json!({ "bytes": "3", "json": [1] }));
        let (typed, plain) = (shown(Some("Text/Plain"), text), shown(None, json));
        assert_eq!(readable(&[stored(Some("Text/Plain")), stored(None)]), json!([typed, plain]));
    }

    #[test]
    fn what_has_too_many_values_is_a_text_that_says_so() {
        let shown = readable(&vec![(); MAX_VALUES]);
        assert_eq!(shown.as_array().map(Vec::len), Some(MAX_VALUES));
        let text = json!("more than 1000000 values: not shown");
        assert_eq!(readable(&vec![(); MAX_VALUES + 1]), text);
        assert_eq!(readable(&vec![vec![(); 1_000]; 1_000]), text);
    }
}
