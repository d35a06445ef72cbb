//! Decoded values: calls, events, records.

use maud::{Markup, html};
use serde_json::{Map, Value};

use super::parts::{bytes, foreign};
use crate::decode::terminal::harmless;

/// Characters of one value that a page shows.
const MAX_SHOWN: usize = 16 * 1024;
/// Values within one another that are shown as tables; deeper ones as JSON.
const MAX_DEPTH: usize = 4;

/// A call's name for people, such as `put`, and its fields; of what [`crate::decode::readable()`] makes
/// of a call.
pub(super) fn call(call: &Value) -> (String, Map<String, Value>) {
    let inner = call.as_object().and_then(|module| module.values().next());
    match inner {
        Some(Value::Object(one)) => match one.iter().next() {
            Some((name, Value::Object(fields))) => (words(name), fields.clone()),
            Some((name, other)) => {
                (words(name), Map::from_iter([("value".to_owned(), other.clone())]))
            }
            None => ("call".to_owned(), Map::new()),
        },
        Some(Value::String(name)) => (words(name), Map::new()),
        _ => ("call".to_owned(), Map::new()),
    }
}

/// `RegisterNode` as `register node`.
fn words(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 4);
    for (i, c) in name.chars().enumerate() {
        match c {
            'A'..='Z' if i > 0 => text.extend([' ', c.to_ascii_lowercase()]),
            '_' => text.push(' '),
            c => text.push(c.to_ascii_lowercase()),
        }
    }
    text
}

/// Where a field's text leads.
fn target(name: &str, text: &str) -> Option<String> {
    let is_key = || text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let is_name = || {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b);
        !text.is_empty() && text.bytes().all(plain)
    };
    match name {
        "sender" | "node" | "user" | "admin_key" | "target" | "from" | "to" | "holder" | "key"
        | "by"
            if is_key() =>
        {
            Some(format!("/explorer/key/{text}"))
        }
        "org" | "seat" | "organization" | "made_by" if is_name() => {
            Some(format!("/explorer/organization/{text}"))
        }
        "data_set" if is_name() => Some(format!("/explorer/data-set/{text}")),
        "motion" if text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() => {
            Some(format!("/explorer/motion/{text}"))
        }
        name if name.ends_with("height") && text.parse::<u64>().is_ok_and(|h| h > 0) => {
            Some(format!("/explorer/block/{text}"))
        }
        _ => None,
    }
}

/// A text by the name of its field.
pub(super) fn field(name: &str, text: &str) -> Markup {
    let is_hex = text.len() >= 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let (shown, rest) = cut(text);
    let shown = foreign(shown);
    html! {
        @match target(name, text) {
            Some(target) => a.hex[is_hex].whole[is_hex] href=(target) { (shown) },
            None => span.hex[is_hex].whole[is_hex] { (shown) },
        }
        (rest)
    }
}

/// As much of a text as is shown, and what says that there is more.
fn cut(text: &str) -> (&str, Markup) {
    if text.len() <= MAX_SHOWN {
        return (text, html! {});
    }
    let end = (0..=MAX_SHOWN).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
    let rest = html! {
        p.muted { "The first " (bytes(end as u64)) " of " (bytes(text.len() as u64)) " are shown." }
    };
    (&text[..end], rest)
}

/// Any value, in tables within tables.
pub(super) fn tree(value: &Value) -> Markup {
    shown("", value, 0)
}

/// The fields of an object.
pub(super) fn fields(fields: &Map<String, Value>) -> Markup {
    object(fields, 0)
}

fn object(fields: &Map<String, Value>, depth: usize) -> Markup {
    html! {
        dl.facts.inner[depth > 0] {
            @for (name, value) in fields {
                div { dt { (foreign(&name.replace('_', " "))) } dd { (shown(name, value, depth + 1)) } }
            }
        }
    }
}

fn shown(name: &str, value: &Value, depth: usize) -> Markup {
    match value {
        Value::Object(fields) if fields.contains_key("bytes") => content(fields),
        Value::Object(fields) if fields.is_empty() => html! { "–" },
        Value::Object(fields) if depth < MAX_DEPTH => object(fields, depth),
        Value::Array(list) if list.is_empty() => html! { "–" },
        Value::Array(list) if depth < MAX_DEPTH && list.len() <= 100 => html! {
            ul.values { @for one in list { li { (shown(name, one, depth + 1)) } } }
        },
        Value::Object(_) | Value::Array(_) => block(&json(value)),
        Value::String(text) => field(name, text),
        Value::Null => html! { span.muted { "–" } },
        other => html! { (other.to_string()) },
    }
}

/// Bytes of users, by what [`crate::decode::content::show`] found in them.
pub(super) fn content(fields: &Map<String, Value>) -> Markup {
    let count = fields.get("bytes").and_then(Value::as_str).and_then(|n| n.parse().ok());
    let (kind, text) =
        match ["json", "text", "cbor", "hex"].iter().find(|k| fields.contains_key(**k)) {
            Some(kind @ &"json") => (*kind, json(&fields[*kind])),
            Some(kind) => (*kind, fields[*kind].as_str().unwrap_or_default().to_owned()),
            None => ("bytes", String::new()),
        };
    html! {
        div.content {
            p.muted.kind { (kind) ", " (bytes(count.unwrap_or(0))) }
            @if text.is_empty() { p.muted { "(empty)" } } @else { (block(&text)) }
        }
    }
}

fn json(value: &Value) -> String {
    harmless(serde_json::to_string_pretty(value).unwrap_or_default())
}

/// Text with its lines.
pub(super) fn block(text: &str) -> Markup {
    let (shown, rest) = cut(text);
    html! { pre tabindex="0" { (foreign(shown)) } (rest) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn calls_have_names_and_fields_that_lead_on() {
        let put = json!({ "Records": { "Put": { "data_set": "prices", "expected": null } } });
        let (name, found) = call(&put);
        assert_eq!((name.as_str(), found.len()), ("put", 2));
        let page = fields(&found).into_string();
        assert!(page.contains("href=\"/explorer/data-set/prices\""), "{page}");
        assert_eq!(words("RegisterNode"), "register node");
        for odd in [json!(null), json!({}), json!({ "A": {} }), json!({ "A": 5 }), json!([1])] {
            assert_eq!(call(&odd).0, "call");
        }
        assert_eq!(call(&json!({ "A": { "One": 5 } })).1["value"], 5);
    }

    #[test]
    fn hostile_values_are_text_and_lead_nowhere() {
        let hostile = "\"><script>\u{1b}[2J";
        let value = json!({ "org": hostile, "key": hostile, hostile: [hostile], "motion": "" });
        let page = tree(&value).into_string();
        assert!(!page.contains("<script") && !page.contains('\u{1b}') && !page.contains("href"));
        let value = json!({ "bytes": "9", "json": { hostile: hostile } });
        let page = tree(&value).into_string();
        assert!(!page.contains("<script") && !page.contains('\u{1b}'), "{page}");
    }

    #[test]
    fn long_and_deep_values_are_cut() {
        let long = "ä".repeat(MAX_SHOWN);
        let page = field("x", &long).into_string();
        assert!(page.len() < 2 * MAX_SHOWN && page.contains("are shown"));
        let mut deep = json!("end");
        for _ in 0..50 {
            deep = json!({ "in": [deep] });
        }
        let page = tree(&deep).into_string();
        assert!(page.contains("<pre") && page.contains("end"));
    }
}
