//! What a record's value is, as its writer says.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::escaped;
use crate::error::Error;
use crate::limits::MAX_CONTENT_TYPE_BYTES;

/// A media type as in RFC 9110, section 8.3.1: type, slash, subtype, and perhaps parameters, such as
/// `text/csv; charset=utf-8`. It is the writer's claim: the ledger does not look into values.
///
/// - Type and subtype are names of RFC 6838, section 4.2. Behind each semicolon there is a parameter, and
///   none stands twice.
/// - It is at most [`MAX_CONTENT_TYPE_BYTES`] long and has printable ASCII alone, without `<`, `>`, `'`,
///   backtick and backslash: no markup, escape or end of a line can come with it, wherever it is shown.
/// - It is kept as it was written. To write it otherwise would take the signature from the transaction
///   that brought it, and in the values of some parameters case counts; [`Self::media_type`] and
///   [`Self::parameter`] leave it aside where it does not.
///
/// Serializers are told its name, so that one for people can show the bytes that stand behind it by it;
/// its bytes are those of the text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct ContentType(String);

impl ContentType {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Type and subtype in lower case, without parameters, such as `text/csv`.
    #[must_use]
    pub fn media_type(&self) -> String {
        self.0.split([';', ' ']).next().unwrap_or_default().to_ascii_lowercase()
    }

    /// The value of a parameter, without quotes; its name in lower or upper case.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let mut parameters = Parameters::of(&self.0).flatten();
        parameters.find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

impl TryFrom<String> for ContentType {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        const { assert!(MAX_CONTENT_TYPE_BYTES == 127, "the rule names it") };
        if text.len() <= MAX_CONTENT_TYPE_BYTES && is_media_type(&text) {
            return Ok(Self(text));
        }
        let rule = "a media type such as text/csv or application/json, with parameters such as \
                    ; charset=utf-8 or none, of at most 127 ASCII characters";
        Err(Error::Name { what: "content type", rule, got: escaped(&text) })
    }
}

impl FromStr for ContentType {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        text.to_owned().try_into()
    }
}

impl fmt::Display for ContentType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_media_type(text: &str) -> bool {
    let names = text.split([';', ' ']).next().unwrap_or_default();
    let are_names = names.split_once('/').is_some_and(|(kind, sub)| is_name(kind) && is_name(sub));
    let Some(parameters) = Parameters::of(text).collect::<Option<Vec<_>>>() else { return false };
    let mut names: Vec<_> = parameters.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    names.sort_unstable();
    names.dedup();
    are_names && names.len() == parameters.len()
}

/// A restricted name of RFC 6838, section 4.2.
fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
}

/// A character of a token of RFC 9110, section 5.6.2, but for `'` and backtick.
fn is_of_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&*+-.^_|~".contains(c)
}

/// A character between quotes.
fn is_of_quoted(c: char) -> bool {
    matches!(c, ' '..='~') && !"\"\\<>'`".contains(c)
}

/// The parameters of a text, each with its name and its value without quotes; none, and that is the end,
/// where something else stands.
struct Parameters<'a>(&'a str);

impl<'a> Parameters<'a> {
    fn of(text: &'a str) -> Self {
        Self(text.find([';', ' ']).map_or("", |at| &text[at..]))
    }
}

impl<'a> Iterator for Parameters<'a> {
    type Item = Option<(&'a str, &'a str)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let found = parameter(self.0);
        self.0 = found.map_or("", |(_, rest)| rest);
        Some(found.map(|(parameter, _)| parameter))
    }
}

/// The parameter that a text begins with, and what is behind it.
fn parameter(text: &str) -> Option<((&str, &str), &str)> {
    let text = text.trim_start_matches(' ').strip_prefix(';')?.trim_start_matches(' ');
    let (name, text) = text.split_once('=')?;
    let (value, rest) = if let Some(text) = text.strip_prefix('"') {
        text.split_once('"').filter(|(value, _)| value.chars().all(is_of_quoted))?
    } else {
        let end = text.find(|c| !is_of_token(c)).unwrap_or(text.len());
        Some(text.split_at(end)).filter(|_| end > 0)?
    };
    let is_token = !name.is_empty() && name.chars().all(is_of_token);
    is_token.then_some(((name, value), rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec;

    fn of(text: &str) -> Result<ContentType, Error> {
        text.parse()
    }

    #[test]
    fn a_media_type_is_kept_as_it_was_written() {
        for (text, media_type) in [
            ("text/plain", "text/plain"),
            ("application/json", "application/json"),
            ("Text/HTML;Charset=\"UTF-8\"", "text/html"),
            ("text/html; charset=utf-8", "text/html"),
            ("text/csv ; header=present ;  charset=us-ascii", "text/csv"),
            ("application/vnd.api+json;version=1.1", "application/vnd.api+json"),
            ("application/x-www-form-urlencoded", "application/x-www-form-urlencoded"),
            ("multipart/mixed; boundary=\"a b; c=d, (e)\"", "multipart/mixed"),
            (
                "application/ld+json; profile=\"https://www.w3.org/ns/activitystreams\"",
                "application/ld+json",
            ),
            ("a/b;c=\"\"", "a/b"),
            ("0/1!#$&-^_.+", "0/1!#$&-^_.+"),
        ] {
            let content_type = of(text).unwrap();
            assert_eq!(content_type.as_str(), text);
            assert_eq!(content_type.media_type(), media_type, "{text}");
            assert_eq!(
                codec::encode(&content_type),
                codec::encode(text),
                "its bytes are the text's"
            );
            assert_eq!(serde_json::to_value(&content_type).unwrap(), text);
        }
    }

    #[test]
    fn parameters_are_found_by_name_in_any_case() {
        let html = of("text/html;Charset=\"UTF-8\" ; a=b").unwrap();
        assert_eq!(html.parameter("charset"), Some("UTF-8"));
        assert_eq!((html.parameter("A"), html.parameter("b")), (Some("b"), None));
        let quoted = of("a/b; x=\"; charset=no\"").unwrap();
        assert_eq!(
            (quoted.parameter("charset"), quoted.parameter("x")),
            (None, Some("; charset=no"))
        );
        assert_eq!(of("a/b").unwrap().parameter("charset"), None);
    }

    /// What is no media type, and why.
    const BAD: &[(&str, &str)] = &[
        ("", "empty"),
        ("/", "no names"),
        ("text", "no slash"),
        ("text/", "no subtype"),
        ("/plain", "no type"),
        ("text/plain/x", "two slashes"),
        ("*/*", "a range"),
        ("text/.x", "a name that begins with no letter or digit"),
        (" text/plain", "space before"),
        ("text/plain ", "space behind"),
        ("text /plain", "space within"),
        ("text/plain;", "no parameter behind the semicolon"),
        ("text/plain; charset", "no value"),
        ("text/plain; charset=", "an empty value"),
        ("text/plain; charset =utf-8", "space before the sign"),
        ("text/plain; charset= utf-8", "space behind the sign"),
        ("text/plain; =utf-8", "no name"),
        ("text/plain charset=utf-8", "no semicolon"),
        ("text/plain, text/html", "two of them"),
        ("text/plain; a=b; A=c", "a parameter twice"),
        ("text/plain; a=\"b", "no closing quote"),
        ("text/plain; a=\"b\"c", "something behind the quote"),
        ("text/plain; a=\"\\\"\"", "a backslash"),
        ("text/plain; a=\"<script>\"", "markup"),
        ("text/<b>", "markup in the name"),
        ("text/plain; a='b'", "single quotes"),
        ("text/plain; a=\"' x='\"", "single quotes within others"),
        ("text/plain; a=`b`", "backticks"),
        ("text/plain\r\nX: y", "a line's end"),
        ("text/plain; a=\"\n\"", "a line's end between quotes"),
        ("text/plain;\ta=b", "a tab"),
        ("text/\u{1b}[2J", "an escape"),
        ("text/plain\0", "a zero"),
        ("text/plain; a=\"\u{7f}\"", "a control character between quotes"),
        ("text/plain; a=\"\u{202e}\"", "a mark that turns text round"),
        ("tëxt/plain", "not ASCII"),
        ("text/plain; a=\"ü\"", "not ASCII between quotes"),
    ];

    #[test]
    fn what_is_no_media_type_is_refused_by_text_json_and_codec() {
        for (text, why) in BAD {
            let error = of(text).expect_err(why);
            assert!(matches!(error, Error::Name { what: "content type", .. }), "{why}");
            assert!(!error.to_string().contains(|c: char| c.is_control()), "{why}: {error}");
            let bytes = codec::encode(*text);
            let error = codec::decode::<ContentType>("value", &bytes, 1_000).expect_err(why);
            assert!(error.to_string().contains("content type must be a media type"), "{error}");
            let json = serde_json::to_string(text).unwrap();
            assert!(serde_json::from_str::<ContentType>(&json).is_err(), "{why}");
        }
        // Bytes that are no text at all.
        let bytes = [&2u64.to_le_bytes()[..], b"\xff/"].concat();
        let error = codec::decode::<ContentType>("value", &bytes, 1_000).unwrap_err();
        assert!(error.to_string().contains("not UTF-8"), "{error}");
    }

    #[test]
    fn its_length_is_bounded() {
        let long = |bytes: usize| format!("text/{}", "x".repeat(bytes - 5));
        assert!(of(&long(MAX_CONTENT_TYPE_BYTES)).is_ok());
        let error = of(&long(MAX_CONTENT_TYPE_BYTES + 1)).unwrap_err().to_string();
        assert!(error.contains("at most 127") && error.len() < 300, "{error}");
        let error = of(&long(1 << 20)).unwrap_err().to_string();
        assert!(error.len() < 300, "{error}");
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_safe_to_show(text in "\\PC{0,20}|[a-z]{1,3}/[a-z]{1,3}\\PC{0,20}") {
            if let Ok(content_type) = of(&text) {
                prop_assert_eq!(content_type.as_str(), &text);
                prop_assert!(text.bytes().all(|b| matches!(b, b' '..=b'~')), "{text:?}");
                prop_assert!(!text.contains(['<', '>', '\'', '`', '\\']), "{text:?}");
                prop_assert!(of(&content_type.media_type()).is_ok());
            }
        }

        #[test]
        fn what_is_put_together_by_the_rules_is_taken(
            names in "[A-Za-z0-9][A-Za-z0-9.+-]{0,9}/[A-Za-z0-9][A-Za-z0-9.+-]{0,9}",
            value in "[A-Za-z0-9._~-]{1,9}",
            quoted in "[A-Za-z0-9 ;=,/:?@()]{0,9}",
        ) {
            let content_type = of(&format!("{names}; a={value} ;b=\"{quoted}\"")).unwrap();
            prop_assert_eq!(content_type.media_type(), names.to_lowercase());
            prop_assert_eq!(content_type.parameter("a"), Some(value.as_str()));
            prop_assert_eq!(content_type.parameter("b"), Some(quoted.as_str()));
        }
    }
}
