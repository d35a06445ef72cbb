//! Text of others on a terminal: nothing that it would act on.

use std::fmt::Write as _;

/// Text with what a terminal would act on, or not show, escaped as Rust writes it; lines and tabs stay.
#[must_use]
pub fn visible(text: &str) -> String {
    let mut visible = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\n' || c == '\t' || is_shown(c) {
            visible.push(c);
        } else {
            visible.extend(c.escape_debug());
        }
    }
    visible
}

/// The same JSON, with everything in its texts escaped that a terminal would act on or not show. JSON's
/// own rule leaves some of that out: DEL, the controls of Latin-1, marks that turn the direction.
#[must_use]
pub fn harmless(json: String) -> String {
    if json.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte)) {
        return json;
    }
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if c == '\n' || is_shown(c) {
            text.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(text, "\\u{unit:04x}");
            }
        }
    }
    text
}

/// Whether a terminal shows a character, and does nothing else with it.
fn is_shown(c: char) -> bool {
    // Marks that join the character before, such as accents, are escaped where they come first alone.
    let is_mark = || String::from_iter(['a', c]).escape_debug().count() == 2;
    matches!(c, ' '..='~') || c.escape_debug().len() == 1 || is_mark()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const HOSTILE: &str = "\u{1b}[2J\u{9b}31m\u{7f}\u{202e}txt.exe\u{200b}\u{e0001}\u{1f600}";

    #[test]
    fn json_keeps_its_meaning_and_has_nothing_that_a_terminal_acts_on() {
        for text in ["plain \"quoted\" C:\\x\n", "Zürich 東京 กำ e\u{301}", HOSTILE] {
            let json = harmless(json!({ "text": text, text: 1 }).to_string());
            let value: Value = serde_json::from_str(&json).unwrap();
            assert_eq!(value, json!({ "text": text, text: 1 }));
            assert!(json.chars().all(is_shown), "{json:?}");
        }
        assert!(harmless(json!("Zürich 東京 กำ").to_string()).contains("Zürich 東京 กำ"));
        assert_eq!(harmless("\"\u{9b}\u{e0001}\"".to_owned()), "\"\\u009b\\udb40\\udc01\"");
    }

    #[test]
    fn text_keeps_its_lines_and_has_nothing_that_a_terminal_acts_on() {
        let plain = "\"C:\\x\"\tZürich 東京 กำ\n";
        assert_eq!(visible(plain), plain);
        let shown = visible(HOSTILE);
        assert!(
            shown.chars().all(is_shown) && shown.starts_with("\\u{1b}[2J\\u{9b}31m"),
            "{shown}"
        );
        assert_eq!(visible("one\r\n"), "one\\r\n");
    }
}
