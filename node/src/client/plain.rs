//! Texts of a node's answers, made fit for a terminal. A node may be another organisation's, and what
//! users wrote comes through it: escape sequences could rewrite what is on the screen.

use serde_json::Value;

/// Characters of an error's text.
const MAX_ERROR_CHARS: usize = 2_000;

/// All texts of an answer with what is no printable character escaped. JSON keeps them apart: quotes
/// and backslashes stay as they are.
pub fn plain(value: Value) -> Value {
    match value {
        Value::String(text) if is_plain(&text) => Value::String(text),
        Value::String(text) => Value::String(escaped(&text)),
        Value::Array(values) => Value::Array(values.into_iter().map(plain).collect()),
        Value::Object(members) => {
            let members = members.into_iter().map(|(name, value)| {
                (if is_plain(&name) { name } else { escaped(&name) }, plain(value))
            });
            Value::Object(members.collect())
        }
        other => other,
    }
}

/// The beginning of an error's text.
pub fn short(text: &str) -> String {
    text.chars().take(MAX_ERROR_CHARS).collect()
}

/// Most texts are: this is quick.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' | '\'' | '\\' => escaped.push(character),
            other => escaped.extend(other.escape_debug()),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_terminal_would_act_on_is_escaped_and_the_rest_stays() {
        for (text, expected) in [
            ("path \"/a\" isn't C:\\x", "path \"/a\" isn't C:\\x"),
            ("Zürich 東京 é", "Zürich 東京 é"),
            ("\u{1b}[2J\u{1b}]0;x\u{7}", "\\u{1b}[2J\\u{1b}]0;x\\u{7}"),
            ("one\ntwo\r\tthree", "one\\ntwo\\r\\tthree"),
            ("\u{9b}31m\u{7f}", "\\u{9b}31m\\u{7f}"),
            ("\u{202e}txt.exe\u{200b}", "\\u{202e}txt.exe\\u{200b}"),
        ] {
            assert_eq!(plain(json!(text)), json!(expected));
        }
        let nested = json!({ "a\n": [1, null, true, { "b": "\u{0}" }] });
        assert_eq!(plain(nested), json!({ "a\\n": [1, null, true, { "b": "\\0" }] }));
        assert_eq!(short(&"é".repeat(5_000)).chars().count(), MAX_ERROR_CHARS);
    }
}
