//! Bytes of users, as they are shown.

use tandem_chain::types::ContentType;

use crate::decode::content::show;
use crate::decode::terminal::{harmless, visible};

/// What is shown of them is JSON, which a terminal is shown with the same meaning, whatever is claimed.
pub fn run(bytes: &[u8]) {
    check(bytes, None);
    for claimed in ["application/json", "application/cbor", "text/plain"] {
        check(bytes, Some(&claimed.parse().expect("a content type")));
    }
}

fn check(bytes: &[u8], claimed: Option<&ContentType>) {
    let shown = show(bytes, claimed);
    let text = harmless(shown.to_string());
    let is_safe = |c: char| c == ' ' || c.is_ascii_graphic() || !c.is_ascii() && !c.is_control();
    assert!(text.chars().all(is_safe), "{text:?}");
    let again: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!(again, shown);
    if let Some(plain) = shown["text"].as_str() {
        assert_eq!(plain.as_bytes(), bytes);
        assert!(!visible(plain).contains(|c: char| c.is_control() && c != '\n' && c != '\t'));
    }
}

/// Some of each kind.
pub fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        "81.20",
        "{\"usd\": [81.2, -1e9, null, true, \"\\u0041\"]}",
        "[[[]]]",
        "\u{202e}Z\u{fc}rich\n",
    ];
    let cbor = [
        "a26161016162820203",
        "bf61610161629f0203ffff",
        "815f42010243030405ff",
        "83f97c00fb3ff199999999999ad74401020304",
    ];
    let cbor = cbor.into_iter().map(|digits| hex::decode(digits).expect("hex digits"));
    texts.into_iter().map(|text| text.as_bytes().to_vec()).chain(cbor).collect()
}
