//! Bytes that the chain does not look into, such as the value of a record, shown by what is in them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tandem_chain::limits::MAX_TX_BYTES;

use super::cbor;

/// Bytes that are looked at for JSON and CBOR: no value of a record is longer, and a byte may be worth a
/// hundred in memory.
const MAX_PARSED_BYTES: usize = MAX_TX_BYTES;
/// Levels of JSON that is shown as such, objects and arrays within one another. A reader of what is shown
/// may know a limit itself, such as 128, and a value stands some levels deep there.
const MAX_JSON_DEPTH: usize = 64;

/// What bytes hold, by their look: nobody has said what they are.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// A JSON object or array, at most 64 levels deep, that comes out again as it is, but for space and the
    /// order of members.
    Json(Value),
    /// Text without control characters, but for tab, line feed and carriage return.
    Text(String),
    /// A CBOR array, map or tagged value, in the diagnostic notation of RFC 8949.
    Cbor(String),
    /// Anything else.
    Bytes(Vec<u8>),
}

impl Content {
    /// Looks at bytes. JSON with members twice, or with numbers that have more digits than are kept, is
    /// text: nothing that is shown differs from what is there.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let is_short = bytes.len() <= MAX_PARSED_BYTES;
        if let Ok(text) = std::str::from_utf8(bytes) {
            if let Some(value) = Some(text).filter(|_| is_short).and_then(json_of) {
                return Self::Json(value);
            }
            let is_plain = |c: char| !c.is_control() || "\t\n\r".contains(c);
            if text.chars().all(is_plain) {
                return Self::Text(text.to_owned());
            }
        }
        let cbor = Some(bytes).filter(|_| is_short).and_then(cbor::diagnostic);
        cbor.map_or_else(|| Self::Bytes(bytes.to_vec()), Self::Cbor)
    }
}

/// Bytes as JSON: `bytes` is their number, and one of `json`, `text`, `cbor`, or `hex` with `base64`
/// has them.
#[must_use]
pub fn show(bytes: &[u8]) -> Value {
    let mut shown = match Content::of(bytes) {
        Content::Json(json) => json!({ "json": json }),
        Content::Text(text) => json!({ "text": text }),
        Content::Cbor(notation) => json!({ "cbor": notation }),
        Content::Bytes(bytes) => {
            json!({ "hex": hex::encode_upper(&bytes), "base64": STANDARD.encode(&bytes) })
        }
    };
    shown["bytes"] = Value::String(bytes.len().to_string());
    shown
}

/// The object or array that a text is, where it comes out again token by token.
fn json_of(text: &str) -> Option<Value> {
    if !text.trim_start().starts_with(['{', '[']) {
        return None;
    }
    let value: Value = serde_json::from_str(text).ok()?;
    let again = value.to_string();
    let (mut before, mut after) = (tokens(text), tokens(&again));
    if depth(&before) > MAX_JSON_DEPTH {
        return None;
    }
    before.sort_unstable();
    after.sort_unstable();
    (before == after).then_some(value)
}

/// Levels of the JSON text that has these tokens.
fn depth(tokens: &[&str]) -> usize {
    let mut open = 0usize;
    let levels = tokens.iter().map(|token| {
        match *token {
            "{" | "[" => open += 1,
            "}" | "]" => open = open.saturating_sub(1),
            _ => {}
        }
        open
    });
    levels.max().unwrap_or(0)
}

/// The tokens of a JSON text that was parsed: strings with their quotes, numbers and words, and each
/// mark.
fn tokens(json: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = json.trim_start();
    while let Some(first) = rest.bytes().next() {
        let len = match first {
            b'"' => {
                let mut is_escaped = false;
                let end = rest.bytes().skip(1).position(|byte| {
                    let is_end = byte == b'"' && !is_escaped;
                    is_escaped = byte == b'\\' && !is_escaped;
                    is_end
                });
                end.map_or(rest.len(), |end| end + 2)
            }
            b'{' | b'}' | b'[' | b']' | b',' | b':' => 1,
            _ => {
                let is_end = |c: char| "{}[],:\"".contains(c) || c.is_ascii_whitespace();
                rest.find(is_end).unwrap_or(rest.len())
            }
        };
        let (token, behind) = rest.split_at(len);
        tokens.push(token);
        rest = behind.trim_start();
    }
    tokens
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bytes_are_shown_by_what_is_in_them() {
        for (bytes, expected) in [
            (&b""[..], json!({ "bytes": "0", "text": "" })),
            (b"81.20", json!({ "bytes": "5", "text": "81.20" })),
            ("Zürich\n".as_bytes(), json!({ "bytes": "8", "text": "Zürich\n" })),
            (
                b" {\"b\": [1, \"\\\"]\"], \"a\": null} ",
                json!({ "bytes": "30", "json": { "a": null, "b": [1, "\"]"] } }),
            ),
            (b"\xa1\x61a\x01", json!({ "bytes": "4", "cbor": "{\"a\": 1}" })),
            (b"\x1b[2J", json!({ "bytes": "4", "hex": "1B5B324A", "base64": "G1sySg==" })),
            (b"\xff\x00", json!({ "bytes": "2", "hex": "FF00", "base64": "/wA=" })),
        ] {
            assert_eq!(show(bytes), expected);
        }
    }

    #[test]
    fn json_that_would_be_shown_otherwise_than_it_is_stays_text() {
        for text in [
            "{\"a\": 1, \"a\": 1}",
            "{\"a\": 1, \"a\": 2}",
            "[1.10]",
            "[123456789012345678901234567890]",
            "[1e400]",
            "[\"\\u0041\"]",
            "{\"a\": 1",
            "[1] [2]",
        ] {
            assert_eq!(Content::of(text.as_bytes()), Content::Text(text.to_owned()), "{text}");
        }
        let of = |levels| Content::of(("[".repeat(levels) + &"]".repeat(levels)).as_bytes());
        assert!(matches!(of(MAX_JSON_DEPTH), Content::Json(_)));
        for levels in [MAX_JSON_DEPTH + 1, 120, 100_000] {
            assert!(matches!(of(levels), Content::Text(_)), "{levels}");
        }
    }

    #[test]
    fn what_is_longer_than_any_value_is_not_taken_apart() {
        let json = |bytes: usize| "[".to_owned() + &" ".repeat(bytes - 2) + "]";
        assert!(matches!(Content::of(json(MAX_PARSED_BYTES).as_bytes()), Content::Json(_)));
        assert!(matches!(Content::of(json(MAX_PARSED_BYTES + 1).as_bytes()), Content::Text(_)));
        let head =
            |count: usize| [vec![0x9a], u32::try_from(count).unwrap().to_be_bytes().to_vec()];
        let cbor = |bytes: usize| [head(bytes - 5).concat(), vec![0xf5; bytes - 5]].concat();
        assert!(matches!(Content::of(&cbor(MAX_PARSED_BYTES)), Content::Cbor(_)));
        assert!(matches!(Content::of(&cbor(MAX_PARSED_BYTES + 1)), Content::Bytes(_)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_shown_and_text_and_hex_are_them(bytes: Vec<u8>) {
            let shown = show(&bytes);
            prop_assert_eq!(&shown["bytes"], &json!(bytes.len().to_string()));
            if let Some(text) = shown["text"].as_str() {
                prop_assert_eq!(text.as_bytes(), &bytes);
            }
            if let Some(digits) = shown["hex"].as_str() {
                prop_assert_eq!(hex::decode(digits).unwrap(), bytes);
            }
        }

        #[test]
        fn json_is_found_with_its_whole_content(numbers: Vec<i64>, name in "[a-z\"\\\\ ]{0,6}") {
            let value = json!({ name: numbers });
            for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
                prop_assert_eq!(Content::of(text.as_bytes()), Content::Json(value.clone()));
            }
        }
    }
}
