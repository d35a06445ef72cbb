//! CBOR in the diagnostic notation of RFC 8949, section 8.

use std::fmt::Write as _;

use minicbor::Decoder;
use minicbor::data::Type;
use minicbor::decode::Error;

/// Characters of notation for each byte, above which bytes are no CBOR that anyone reads: a bound on
/// the memory that a value of one-byte items takes.
const MAX_CHARS_PER_BYTE: usize = 12;
/// Items within one another, likewise.
const MAX_DEPTH: usize = 1_000;

/// An item that has begun.
struct Open {
    /// Items that are to come; none until a break.
    left: Option<u64>,
    is_map: bool,
    items: u64,
    close: &'static str,
}

/// The notation of the one item that all of `bytes` are; none for other bytes. What is nested deeper than
/// anyone reads is none, either.
/// Memory is in proportion to the bytes; nothing is recursive.
#[must_use]
pub fn diagnostic(bytes: &[u8]) -> Option<String> {
    written(bytes).ok().flatten()
}

/// As [`diagnostic`], of an array, a map or a tagged value alone: any byte at all begins some CBOR, and
/// a number or a text is none that could be told by its look.
#[must_use]
pub fn structured(bytes: &[u8]) -> Option<String> {
    let kind = Decoder::new(bytes).datatype().ok()?;
    let is_structured =
        matches!(kind, Type::Array | Type::ArrayIndef | Type::Map | Type::MapIndef | Type::Tag);
    if is_structured { diagnostic(bytes) } else { None }
}

fn written(bytes: &[u8]) -> Result<Option<String>, Error> {
    let mut decoder = Decoder::new(bytes);
    let mut open: Vec<Open> = Vec::new();
    let mut text = String::new();
    loop {
        if text.len() > MAX_CHARS_PER_BYTE * bytes.len() {
            return Ok(None);
        }
        let kind = decoder.datatype()?;
        if kind == Type::Break {
            decoder.set_position(decoder.position() + 1);
            match open.pop() {
                Some(Open { left: None, close, is_map, items })
                    if !is_map || items.is_multiple_of(2) =>
                {
                    text.push_str(close);
                }
                _ => return Ok(None),
            }
            count(&mut open);
        } else {
            if let Some(Open { is_map, items, .. }) = open.last() {
                text.push_str(match (items, is_map) {
                    (0, _) => "",
                    (odd, true) if odd % 2 == 1 => ": ",
                    _ => ", ",
                });
            }
            if let Some(item) = begin(&mut decoder, kind, &mut text)? {
                if open.len() == MAX_DEPTH {
                    return Ok(None);
                }
                open.push(item);
            } else {
                count(&mut open);
            }
        }
        while let Some(done) = open.pop_if(|item| item.left == Some(0)) {
            text.push_str(done.close);
            count(&mut open);
        }
        if open.is_empty() {
            let is_all = decoder.position() == bytes.len();
            return Ok(is_all.then_some(text));
        }
    }
}

/// An item within the innermost one is whole.
fn count(open: &mut [Open]) {
    if let Some(item) = open.last_mut() {
        item.items += 1;
        item.left = item.left.map(|left| left - 1);
    }
}

/// Writes an item; of one that has others within it, the beginning.
fn begin(decoder: &mut Decoder, kind: Type, text: &mut String) -> Result<Option<Open>, Error> {
    let opened = |left, is_map, close| Ok(Some(Open { left, is_map, items: 0, close }));
    match kind {
        Type::Array | Type::ArrayIndef => {
            let left = decoder.array()?;
            text.push_str(if left.is_some() { "[" } else { "[_ " });
            return opened(left, false, "]");
        }
        Type::Map | Type::MapIndef => {
            let left = decoder.map()?;
            text.push_str(if left.is_some() { "{" } else { "{_ " });
            let twice = left.map(|pairs| pairs.checked_mul(2).ok_or_else(Error::end_of_input));
            return opened(twice.transpose()?, true, "}");
        }
        Type::Tag => {
            let _ = write!(text, "{}(", decoder.tag()?.as_u64());
            return opened(Some(1), false, ")");
        }
        Type::Bytes => {
            let _ = write!(text, "h'{}'", hex::encode(decoder.bytes()?));
        }
        Type::String => quote(text, decoder.str()?),
        Type::BytesIndef => {
            text.push_str("(_ ");
            for (i, part) in decoder.bytes_iter()?.enumerate() {
                let comma = if i == 0 { "" } else { ", " };
                let _ = write!(text, "{comma}h'{}'", hex::encode(part?));
            }
            text.push(')');
        }
        Type::StringIndef => {
            text.push_str("(_ ");
            for (i, part) in decoder.str_iter()?.enumerate() {
                text.push_str(if i == 0 { "" } else { ", " });
                quote(text, part?);
            }
            text.push(')');
        }
        Type::Bool => text.push_str(if decoder.bool()? { "true" } else { "false" }),
        Type::Null => {
            decoder.null()?;
            text.push_str("null");
        }
        Type::Undefined => {
            decoder.undefined()?;
            text.push_str("undefined");
        }
        Type::Simple => {
            let _ = write!(text, "simple({})", decoder.simple()?);
        }
        Type::F16 => {
            let at = decoder.position() + 1;
            let half = decoder.input().get(at..at + 2).ok_or_else(Error::end_of_input)?;
            let half = u16::from_be_bytes([half[0], half[1]]);
            decoder.set_position(at + 2);
            float(text, from_half(half));
        }
        Type::F32 => float(text, decoder.f32()?),
        Type::F64 => float(text, decoder.f64()?),
        Type::U8 | Type::U16 | Type::U32 | Type::U64 => {
            let _ = write!(text, "{}", decoder.u64()?);
        }
        Type::I8 | Type::I16 | Type::I32 | Type::I64 | Type::Int => {
            let _ = write!(text, "{}", decoder.int()?);
        }
        Type::Break | Type::Unknown(_) => return Err(Error::message("no item")),
    }
    Ok(None)
}

/// A text with its quotes, as JSON writes it.
fn quote(text: &mut String, content: &str) {
    text.push_str(&serde_json::Value::from(content).to_string());
}

/// A number with as many digits as tell it from others of its type.
fn float(text: &mut String, number: impl std::fmt::Debug) {
    text.push_str(&format!("{number:?}").replace("inf", "Infinity"));
}

/// A number of IEEE 754 binary16 (RFC 8949, appendix D).
fn from_half(half: u16) -> f32 {
    let (exponent, mantissa) = (i32::from(half >> 10 & 0x1f), f32::from(half & 0x3ff));
    let value = match exponent {
        0 => mantissa * 2f32.powi(-24),
        31 if mantissa == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (mantissa + 1024.0) * 2f32.powi(exponent - 25),
    };
    if half >> 15 == 1 { -value } else { value }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(digits: &str) -> Option<String> {
        structured(&hex::decode(digits).unwrap())
    }

    /// Examples of RFC 8949, appendix A.
    #[test]
    fn the_examples_of_the_rfc() {
        for (digits, expected) in [
            ("80", "[]"),
            ("83010203", "[1, 2, 3]"),
            ("8301820203820405", "[1, [2, 3], [4, 5]]"),
            ("a0", "{}"),
            ("a201020304", "{1: 2, 3: 4}"),
            ("a26161016162820203", "{\"a\": 1, \"b\": [2, 3]}"),
            ("826161a161626163", "[\"a\", {\"b\": \"c\"}]"),
            ("c074323031332d30332d32315432303a30343a30305a", "0(\"2013-03-21T20:04:00Z\")"),
            ("d74401020304", "23(h'01020304')"),
            ("9fff", "[_ ]"),
            ("9f018202039f0405ffff", "[_ 1, [2, 3], [_ 4, 5]]"),
            ("83018202039f0405ff", "[1, [2, 3], [_ 4, 5]]"),
            ("bf61610161629f0203ffff", "{_ \"a\": 1, \"b\": [_ 2, 3]}"),
            ("815f42010243030405ff", "[(_ h'0102', h'030405')]"),
            ("817f657374726561646d696e67ff", "[(_ \"strea\", \"ming\")]"),
            ("8720f4f5f6f7f8fff0", "[-1, false, true, null, undefined, simple(255), simple(16)]"),
            ("84f93c00f97bfff90001f9c400", "[1.0, 65504.0, 5.9604645e-8, -4.0]"),
            ("83f97c00f97e00f9fc00", "[Infinity, NaN, -Infinity]"),
            ("82fa47c35000fb3ff199999999999a", "[100000.0, 1.1]"),
            (
                "821bffffffffffffffff3bffffffffffffffff",
                "[18446744073709551615, -18446744073709551616]",
            ),
            // What could be taken for more of the notation is escaped.
            ("81635d2c22", "[\"],\\\"\"]"),
        ] {
            assert_eq!(of(digits).as_deref(), Some(expected), "{digits}");
        }
    }

    #[test]
    fn what_is_no_whole_array_map_or_tag_is_none() {
        for digits in [
            "",
            "01",
            "6161",
            "f6",
            "8301",
            "8101ff",
            "80ff",
            "a101",
            "bf01ff",
            "9f",
            "c1",
            "ff",
            "818181",
            "9bffffffffffffffff01",
            "bbffffffffffffffff01",
            "81f900",
            "8161ff",
            "811c",
        ] {
            assert_eq!(of(digits), None, "{digits}");
        }
    }

    #[test]
    fn other_items_are_written_where_they_are_asked_for() {
        for (digits, expected) in [
            ("01", Some("1")),
            ("3903e7", Some("-1000")),
            ("6449455446", Some("\"IETF\"")),
            ("7f657374726561646d696e67ff", Some("(_ \"strea\", \"ming\")")),
            ("4401020304", Some("h'01020304'")),
            ("f6", Some("null")),
            ("f97e00", Some("NaN")),
            ("83010203", Some("[1, 2, 3]")),
            ("", None),
            ("0101", None),
            ("ff", None),
            ("61", None),
            ("1c", None),
        ] {
            assert_eq!(diagnostic(&hex::decode(digits).unwrap()).as_deref(), expected, "{digits}");
        }
    }

    #[test]
    fn depth_takes_no_stack_and_length_is_bounded() {
        let of_depth = |depth| diagnostic(&[vec![0x81; depth], vec![0x80]].concat());
        assert!(of_depth(MAX_DEPTH - 1).is_some_and(|text| text.starts_with("[[[[")));
        assert_eq!([MAX_DEPTH, 200_000].map(of_depth), [None, None]);
        let many = [vec![0x9a, 0, 3, 0, 0], vec![0xf7; 3 << 16]].concat();
        let text = diagnostic(&many).unwrap();
        assert!(text.len() <= (MAX_CHARS_PER_BYTE + 1) * many.len());
    }

    proptest! {
        #[test]
        fn any_bytes_are_none_or_written(bytes: Vec<u8>, first: u8) {
            let bytes = [vec![first], bytes].concat();
            if let Some(text) = diagnostic(&bytes) {
                prop_assert!(text.len() <= (MAX_CHARS_PER_BYTE + 6) * bytes.len(), "{text:?}");
            }
        }
    }
}
