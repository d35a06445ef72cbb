//! Bytes that the chain does not look into, such as the value of a record, shown by what is in them.
//!
//! | claimed content type | shown, where that is what they are |
//! |---|---|
//! | `application/json`, `…+json` (RFC 6839) | as JSON, numbers and texts alone too |
//! | `application/cbor`, `…+cbor` (RFC 8949) | as CBOR, numbers and texts alone too |
//! | `text/…` in UTF-8 or US-ASCII | as text, JSON too |
//! | another, or none | by their look |

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tandem_chain::limits::MAX_TX_BYTES;
use tandem_chain::types::ContentType;

use super::cbor;

/// Bytes that are looked at for JSON and CBOR: no value of a record is longer, and a byte may be worth a
/// hundred in memory.
const MAX_PARSED_BYTES: usize = MAX_TX_BYTES;
/// Levels of JSON that is shown as such, objects and arrays within one another. A reader of what is shown
/// may know a limit itself, such as 128, and a value stands some levels deep there.
const MAX_JSON_DEPTH: usize = 64;

/// What bytes hold.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// JSON of at most 64 levels that comes out again as it is, but for space and the order of members: an
    /// object or array, or any value where JSON is claimed.
    Json(Value),
    /// Text without control characters, but for tab, line feed and carriage return.
    Text(String),
    /// CBOR in the diagnostic notation of RFC 8949: an array, map or tagged value, or any item where CBOR
    /// is claimed.
    Cbor(String),
    /// Anything else.
    Bytes(Vec<u8>),
}

impl Content {
    /// Looks at bytes, and first whether they are what is `claimed`; what they are not, they are not shown as.
    /// JSON with members twice, or with numbers that have more digits than are kept, is text: nothing that
    /// is shown differs from what is there.
    #[must_use]
    pub fn of(bytes: &[u8], claimed: Option<&ContentType>) -> Self {
        let found = match claimed.and_then(Claim::of) {
            Some(Claim::Json) => json(bytes),
            Some(Claim::Cbor) => short(bytes).and_then(cbor::diagnostic).map(Self::Cbor),
            Some(Claim::Text) => text(bytes),
            None => None,
        };
        found.unwrap_or_else(|| by_look(bytes))
    }
}

/// A claim that can be looked into.
enum Claim {
    Json,
    Cbor,
    Text,
}

impl Claim {
    fn of(claimed: &ContentType) -> Option<Self> {
        let media_type = claimed.media_type();
        let is = |name: &str, suffix: &str| media_type == name || media_type.ends_with(suffix);
        if is("application/json", "+json") {
            return Some(Self::Json);
        }
        if is("application/cbor", "+cbor") {
            return Some(Self::Cbor);
        }
        let charset = claimed.parameter("charset").unwrap_or("utf-8");
        let is_read = ["utf-8", "us-ascii"].iter().any(|name| name.eq_ignore_ascii_case(charset));
        (media_type.starts_with("text/") && is_read).then_some(Self::Text)
    }
}

/// What bytes hold when nobody has said it.
fn by_look(bytes: &[u8]) -> Content {
    let is_structured = matches!(bytes.trim_ascii_start().first(), Some(b'{' | b'['));
    let found = Some(bytes).filter(|_| is_structured).and_then(json);
    let cbor = || short(bytes).and_then(cbor::structured).map(Content::Cbor);
    let found = found.or_else(|| text(bytes)).or_else(cbor);
    found.unwrap_or_else(|| Content::Bytes(bytes.to_vec()))
}

/// Bytes that are not too long to be taken apart.
fn short(bytes: &[u8]) -> Option<&[u8]> {
    Some(bytes).filter(|bytes| bytes.len() <= MAX_PARSED_BYTES)
}

fn json(bytes: &[u8]) -> Option<Content> {
    let text = std::str::from_utf8(short(bytes)?).ok()?;
    json_of(text).map(Content::Json)
}

fn text(bytes: &[u8]) -> Option<Content> {
    let is_plain = |c: char| !c.is_control() || "\t\n\r".contains(c);
    let text = std::str::from_utf8(bytes).ok().filter(|text| text.chars().all(is_plain))?;
    Some(Content::Text(text.to_owned()))
}

/// Bytes as JSON, by what they are `claimed` to be or by their look: `bytes` is their number, and one of
/// `json`, `text`, `cbor`, or `hex` with `base64` has them.
#[must_use]
pub fn show(bytes: &[u8], claimed: Option<&ContentType>) -> Value {
    let mut shown = match Content::of(bytes, claimed) {
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

/// The JSON that a text is, where it comes out again token by token.
fn json_of(text: &str) -> Option<Value> {
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
            assert_eq!(show(bytes, None), expected);
        }
    }

    #[test]
    fn bytes_are_shown_as_what_is_claimed_where_they_are_that() {
        let json = "{\"a\": 1}";
        for (claimed, bytes, expected) in [
            ("application/json", json.as_bytes(), json!({ "json": { "a": 1 } })),
            ("application/vnd.api+JSON; a=b", b"[1]", json!({ "json": [1] })),
            ("application/json", b"81.2", json!({ "json": 81.2 })),
            ("application/json", b" \"x\\n\" ", json!({ "json": "x\n" })),
            ("application/json", b"null", json!({ "json": null })),
            ("application/cbor", b"\x61a", json!({ "cbor": "\"a\"" })),
            ("application/senml+cbor", b"\x01", json!({ "cbor": "1" })),
            ("Application/CBOR", b"\xa1\x61a\x01", json!({ "cbor": "{\"a\": 1}" })),
            ("text/plain", json.as_bytes(), json!({ "text": json })),
            ("TEXT/csv; charset=\"UTF-8\"", "Zürich".as_bytes(), json!({ "text": "Zürich" })),
            ("text/plain; charset=us-ascii", b"[1]", json!({ "text": "[1]" })),
            // What is claimed is not what it is, or is not looked into.
            ("application/json", b"81.20", json!({ "text": "81.20" })),
            ("application/json", b"{\"a\": 1", json!({ "text": "{\"a\": 1" })),
            ("application/json", b"\xa1\x61a\x01", json!({ "cbor": "{\"a\": 1}" })),
            ("application/json", b"\xff", json!({ "hex": "FF", "base64": "/w==" })),
            ("application/json", b"", json!({ "text": "" })),
            ("application/cbor", json.as_bytes(), json!({ "json": { "a": 1 } })),
            ("application/cbor", b"\x61ab", json!({ "text": "aab" })),
            ("application/cbor", b"", json!({ "text": "" })),
            ("text/plain", b"\x1b[2J", json!({ "hex": "1B5B324A", "base64": "G1sySg==" })),
            ("text/plain", b"\xff", json!({ "hex": "FF", "base64": "/w==" })),
            ("text/plain; charset=iso-8859-1", b"[1]", json!({ "json": [1] })),
            ("image/png", b"[1]", json!({ "json": [1] })),
            ("application/octet-stream", b"x", json!({ "text": "x" })),
        ] {
            let mut expected = expected;
            expected["bytes"] = json!(bytes.len().to_string());
            let shown = show(bytes, Some(&claimed.parse().unwrap()));
            assert_eq!(shown, expected, "{claimed}: {bytes:?}");
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
            assert_eq!(
                Content::of(text.as_bytes(), None),
                Content::Text(text.to_owned()),
                "{text}"
            );
        }
        let nested = |levels| "[".repeat(levels) + &"]".repeat(levels);
        let of = |levels| Content::of(nested(levels).as_bytes(), None);
        assert!(matches!(of(MAX_JSON_DEPTH), Content::Json(_)));
        for levels in [MAX_JSON_DEPTH + 1, 120, 100_000] {
            assert!(matches!(of(levels), Content::Text(_)), "{levels}");
        }
    }

    #[test]
    fn what_is_longer_than_any_value_is_not_taken_apart() {
        let claimed = |text: &str| Some(text.parse::<ContentType>().unwrap());
        let json = |bytes: usize| "[".to_owned() + &" ".repeat(bytes - 2) + "]";
        let (longest, longer) = (json(MAX_PARSED_BYTES), json(MAX_PARSED_BYTES + 1));
        for claimed in [None, claimed("application/json")] {
            let of = |text: &str| Content::of(text.as_bytes(), claimed.as_ref());
            assert!(matches!(of(&longest), Content::Json(_)));
            assert!(matches!(of(&longer), Content::Text(_)));
        }
        let head =
            |count: usize| [vec![0x9a], u32::try_from(count).unwrap().to_be_bytes().to_vec()];
        let cbor = |bytes: usize| [head(bytes - 5).concat(), vec![0xf5; bytes - 5]].concat();
        let (longest, longer) = (cbor(MAX_PARSED_BYTES), cbor(MAX_PARSED_BYTES + 1));
        for claimed in [None, claimed("application/cbor")] {
            assert!(matches!(Content::of(&longest, claimed.as_ref()), Content::Cbor(_)));
            assert!(matches!(Content::of(&longer, claimed.as_ref()), Content::Bytes(_)));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_shown_and_text_and_hex_are_them(
            bytes: Vec<u8>,
            claimed in prop::sample::select(vec!["a/b", "a/json", "text/a", "a/b+json", "a/b+cbor"]),
        ) {
            let shown = show(&bytes, Some(&claimed.parse().unwrap()));
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
                prop_assert_eq!(Content::of(text.as_bytes(), None), Content::Json(value.clone()));
            }
        }
    }
}
