//! Checks markup: every element is closed where it belongs, ids are there once, and nothing in it is
//! script or style of its own.

use std::collections::BTreeSet;

/// Elements without an end.
const VOID: [&str; 5] = ["meta", "link", "input", "br", "img"];

/// Panics with the place where a page is wrong.
pub fn check(text: &str) {
    let text = text.strip_prefix("<!DOCTYPE html>").expect("a page begins with its kind");
    let mut open: Vec<&str> = Vec::new();
    let mut ids = BTreeSet::new();
    let mut heads = 0;
    for part in text.split('<').skip(1) {
        let (tag, behind) =
            part.split_once('>').unwrap_or_else(|| panic!("no end of a tag: {part}"));
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "closed where it does not belong");
            continue;
        }
        let name = tag.split_ascii_whitespace().next().unwrap();
        assert!(name.bytes().all(|b| b.is_ascii_alphanumeric()), "{tag}");
        heads += usize::from(name == "h1");
        for (at, _) in tag.match_indices("=\"") {
            let attribute = tag[..at].rsplit(' ').next().unwrap();
            assert!(attribute != "style" && !attribute.starts_with("on"), "{tag}");
            let value = tag[at + 2..].split('"').next().unwrap();
            if attribute == "id" {
                assert!(ids.insert(value.to_owned()), "the id {value} is there twice");
            }
            if ["href", "src", "action"].contains(&attribute) {
                assert!(value.starts_with('/') || value.starts_with('#'), "{tag}");
                assert!(!value.starts_with("//"), "{tag}");
            }
        }
        if name == "script" {
            assert!(tag.contains(" src=\"/explorer/assets/") && behind.is_empty(), "{tag}");
        }
        if name == "svg" {
            assert!(
                tag.contains("role=\"img\" aria-label=\"") || tag.contains("aria-hidden=\"true\""),
                "{tag}"
            );
        }
        assert!(name != "style", "{tag}");
        if !VOID.contains(&name) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "not closed: {open:?}");
    assert_eq!(heads, 1, "a page has one heading of the first level");
    for part in [
        "<main class=\"wide\" id=\"main\"",
        "<nav class=\"ways\"",
        "href=\"#main\"",
        "<html lang=\"en\">",
    ] {
        assert!(text.contains(part), "{part} is missing");
    }
}
