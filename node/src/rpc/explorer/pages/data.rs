//! Data sets, their records and rights, and one record.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, html};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, percent_encode};
use serde_json::{Value, json};
use tandem_chain::types::{ContentType, DataSetName, Hash, escaped};

use super::{Asked, Nav, Page, diff, history};
use crate::decode::content::{Content, show};
use crate::rpc::error::RpcError;
use crate::rpc::explorer::Visit;
use crate::rpc::explorer::fault::Fault;
use crate::rpc::explorer::parts::{self, Tone, badge, facts, foreign, grouped, panel};
use crate::rpc::explorer::query::parsed;
use crate::rpc::explorer::{live, value};
use crate::rpc::shapes::rights::{RightEntry, Rights};
use crate::rpc::shapes::tandem::RecordsPage;

/// Data sets on a page.
const SETS: usize = 100;
/// Records on a page.
const RECORDS: usize = 50;
/// What stands for itself nowhere in an address (RFC 3986, section 2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What `abci_query` answers.
pub(super) struct Answered {
    /// Of a record.
    version: u64,
    /// Of a record, as who wrote it said.
    content_type: Option<ContentType>,
    pub(super) value: Vec<u8>,
}

impl Visit {
    /// Asks `abci_query`.
    pub(super) async fn query(&self, path: &str, data: &str) -> Result<Answered, Fault> {
        let params = json!({ "path": path, "data": data });
        let answer: Value = self.ask("abci_query", params).await?;
        let response = &answer["response"];
        let text = |name: &str| response[name].as_str().unwrap_or_default();
        if response["code"] != 0 {
            return Err(Fault::not_found(text("log").to_owned()));
        }
        let value = STANDARD.decode(text("value"));
        let value = value.map_err(|error| Fault::from(RpcError::internal(error.to_string())))?;
        Ok(Answered {
            version: text("version").parse().unwrap_or(0),
            content_type: text("content_type").parse().ok(),
            value,
        })
    }
}

/// A record's key for people.
fn key_text(key: &[u8]) -> Markup {
    match Content::of(key, None) {
        Content::Text(_) | Content::Json(_) => {
            html! { span.record-key { (foreign(&String::from_utf8_lossy(key))) } }
        }
        _ => html! { span.hex { "0x" (hex::encode_upper(key)) } },
    }
}

/// What a value is said to be.
fn content_type(claimed: Option<&ContentType>) -> Markup {
    html! {
        @if let Some(claimed) = claimed { span.claimed { (foreign(claimed.as_str())) } }
        @else { span.muted { "–" } }
    }
}

pub(super) async fn sets(Asked { visit, query, .. }: Asked<'_>) -> Result<Page, Fault> {
    query.only(&["page"])?;
    let found = visit.data_sets().await?.data_sets;
    let pages = found.len().div_ceil(SETS).max(1);
    let place = usize::try_from(query.number("page")?.unwrap_or(1)).unwrap_or(usize::MAX);
    if !(1..=pages).contains(&place) {
        return Err(Fault::not_found(format!("page should be within 1 to {pages}, given {place}")));
    }
    let shown = found.iter().skip((place - 1) * SETS).take(SETS);
    let rows: Vec<Vec<Markup>> = shown
        .map(|set| {
            vec![
                html! { a href={ "/explorer/data-set/" (set.name) } { strong { (set.name) } } },
                parts::org(&set.owner),
            ]
        })
        .collect();
    let to = |page: usize| format!("/explorer/data-sets?page={page}");
    let body = html! {
        (parts::heading("Data sets", Some(html! { (grouped(found.len() as u64)) " data sets of records: key, value, version." })))
        section.panel { (live("sets", parts::table("Data sets", &["Data set", "Owner"], &rows))) }
        @if pages > 1 {
            (parts::pager((place > 1).then(|| to(place - 1)), (place < pages).then(|| to(place + 1)), ("Before", "Behind")))
        }
    };
    Ok(Page { title: "Data sets".to_owned(), nav: Nav::Data, poll: Some(5_000), body })
}

pub(super) async fn set(Asked { visit, names, query }: Asked<'_>) -> Result<Page, Fault> {
    query.only(&["after", "prefix"])?;
    let name: DataSetName = parsed(names[0])?;
    let prefix = query.text("prefix").unwrap_or_default();
    let after = query.text("after");
    if let Some(bad) = after.filter(|after| hex::decode(after).is_err()) {
        return Err(Fault::bad(format!("after must be hex digits, got {}", escaped(bad))));
    }
    let path = match after {
        Some(after) => format!("/records/{name}?after={after}&limit={RECORDS}"),
        None => format!("/records/{name}?limit={RECORDS}"),
    };
    let listing = visit.query(&path, &hex::encode(prefix)).await?.value;
    let page: RecordsPage =
        serde_json::from_slice(&listing).map_err(|e| RpcError::internal(e.to_string()))?;
    let rights: Rights = visit.ask("rights", json!({ "data_set": name })).await?;
    let sets = visit.data_sets().await?;
    let owner = sets.data_sets.into_iter().find(|set| set.name == name).map(|set| set.owner);
    let rows: Vec<Vec<Markup>> = (page.records.iter())
        .map(|record| {
            let key = hex::decode(&record.key).unwrap_or_default();
            vec![
                html! { a href={ "/explorer/record/" (name) "/" (record.key) } { (key_text(&key)) } },
                html! { span.num { (record.version) } },
                html! { span.num { (parts::bytes(record.size)) } },
                content_type(record.content_type.as_ref()),
                html! { span.hex title=(record.digest) { (parts::short(&record.digest.to_string())) } },
            ]
        })
        .collect();
    let next = page.next.as_ref().map(|next| {
        // Nothing but hex digits and what the form sent, which is encoded anew.
        format!("/explorer/data-set/{name}?after={next}&prefix={}", percent(prefix.as_bytes()))
    });
    let first =
        after.map(|_| format!("/explorer/data-set/{name}?prefix={}", percent(prefix.as_bytes())));
    let body = html! {
        (parts::heading(name.as_str(), Some(html! {
            "A data set" @if let Some(owner) = &owner { " of " (parts::org(owner)) } "."
        })))
        section.panel {
            div.bar {
                h2 { "Records" }
                form.inline action={ "/explorer/data-set/" (name) } {
                    label { span.hidden { "Keys that begin with" } input name="prefix" value=(prefix) placeholder="Keys that begin with" autocomplete="off" spellcheck="false"; }
                    button type="submit" { "Show" }
                }
            }
            (live("records", parts::table("Records", &["Key", "Version", "Size", "Content type", "SHA-256"], &rows)))
        }
        (parts::pager(first, next, ("First", "Behind")))
        (panel("Rights", None, live("rights", grants(&rights))))
    };
    let poll = after.is_none().then_some(3_000);
    Ok(Page { title: format!("Data set {name}"), nav: Nav::Data, poll, body })
}

/// Bytes as part of a path or query.
pub(super) fn percent(bytes: &[u8]) -> PercentEncode<'_> {
    percent_encode(bytes, RESERVED)
}

fn grants(rights: &Rights) -> Markup {
    let range = |right: &RightEntry| {
        let end = |digits: &str| match hex::decode(digits) {
            Ok(key) if !key.is_empty() => key_text(&key),
            _ => html! { "…" },
        };
        html! { (end(&right.range.from)) " to " (end(&right.range.until)) }
    };
    let rows: Vec<Vec<Markup>> = (rights.rights.iter())
        .map(|right| {
            vec![
                match (&right.organization, &right.user) {
                    (_, Some(user)) => parts::key(user),
                    (Some(org), None) => parts::org(org),
                    (None, None) => html! { "all members" },
                },
                badge(Tone::Plain, &right.right.to_string()),
                range(right),
                html! { (parts::height(right.height)) },
                html! { @if right.is_void { (badge(Tone::Warn, "void")) } @else { "counts" } },
            ]
        })
        .collect();
    html! {
        (parts::table("What is granted", &["To", "Right", "Keys", "Since", "State"], &rows))
        @if rights.next.is_some() { p.muted { "There are more: the method " code { "rights" } " lists them all." } }
    }
}

pub(super) async fn record(Asked { visit, names, query }: Asked<'_>) -> Result<Page, Fault> {
    query.only(&["before", "write"])?;
    let before = query.text("before");
    let name: DataSetName = parsed(names[0])?;
    let bad = || Fault::bad("a record's key stands in the address in hex digits".to_owned());
    let key = hex::decode(names[1]).map_err(|_| bad())?;
    if key.len() > tandem_chain::limits::MAX_RECORD_KEY_BYTES {
        return Err(bad());
    }
    let encoded = percent(&key);
    let found = visit.query(&format!("/records/{name}/{encoded}"), "").await?;
    let shown = show(&found.value, found.content_type.as_ref());
    let changes = match query.text("write") {
        Some(write) => Some(diff::of_write(visit, &name, &key, write).await?),
        None => None,
    };
    let history = history::of_record(visit, &name, &key, before).await?;
    let body = html! {
        (parts::heading("Record", Some(html! {
            a href={ "/explorer/data-set/" (name) } { (name) } " / " (key_text(&key))
        })))
        @if let Some(changes) = &changes { (changes) }
        (live("record", html! {
            (panel("Value", None, html! {
                @if let Some(fields) = shown.as_object() { (value::content(fields)) }
            }))
            (panel("About it", None, facts(&[
                ("Version", html! { span.num { (found.version) } " " span.muted { "how often it was written" } }),
                ("Content type", html! {
                    (content_type(found.content_type.as_ref()))
                    @if found.content_type.is_some() { " " span.muted { "as who wrote it says" } }
                }),
                ("Size", html! { (parts::bytes(found.value.len() as u64)) }),
                ("SHA-256 of the value", parts::hash(&Hash::of(&found.value))),
                ("Key in hex", html! { span.hex.whole { (hex::encode_upper(&key)) } }),
                ("By the API", html! { code.whole { "/abci_query?path=\"/records/" (name) "/" (encoded) "\"" } }),
            ])))
        }))
        (history)
    };
    // What a write changed stays as it is.
    let poll = (before.is_none() && changes.is_none()).then_some(3_000);
    Ok(Page { title: format!("Record of {name}"), nav: Nav::Data, poll, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_prefixes_are_encoded() {
        assert_eq!(percent("a/b&c=\u{e9}".as_bytes()).to_string(), "a%2Fb%26c%3D%C3%A9");
        assert_eq!(key_text(b"\xff\x00").into_string(), "<span class=\"hex\">0xFF00</span>");
        let hostile = key_text(b"<b>").into_string();
        assert!(hostile.contains("&lt;b&gt;"), "{hostile}");
    }
}
