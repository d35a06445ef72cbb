//! What was written under a record's key, on the record's page.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, html};
use serde_json::json;
use tandem_chain::types::{ContentType, DataSetName};

use super::data::percent;
use crate::decode::content::Content;
use crate::rpc::explorer::fault::Fault;
use crate::rpc::explorer::parts::{self, Tone, badge, foreign, grouped, panel};
use crate::rpc::explorer::{Visit, live};
use crate::rpc::shapes::records::{RecordHistory, RecordVersion};

/// Writes on a page.
const WRITES: usize = 10;
/// Characters of a value in the table.
const MAX_SHOWN: usize = 80;

/// The newest writes, or those before what `before` names.
pub(super) async fn of_record(
    visit: &Visit,
    name: &DataSetName,
    key: &[u8],
    before: Option<&str>,
) -> Result<Markup, Fault> {
    if !visit.rpc().config.index.enabled {
        return Ok(panel(
            "History",
            None,
            html! {
                p.muted { "This node keeps no index: what was written here before is in the blocks alone." }
            },
        ));
    }
    let digits = hex::encode_upper(key);
    let params = json!({ "data_set": name, "key": digits, "before": before, "limit": WRITES });
    let found: RecordHistory = visit.ask("record_history", params).await?;
    let heads = ["Version", "Block", "Time", "Transaction", "Sender", "Value", "Changes"];
    let here = format!("/explorer/record/{name}/{digits}");
    let rows: Vec<Vec<Markup>> = found.versions.iter().map(|version| row(version, &here)).collect();
    let to = |before: &str| format!("{here}?before={}", percent(before.as_bytes()));
    let newest = before.map(|_| here.clone());
    let is_whole = found.versions.last().is_some_and(|oldest| oldest.version == 1);
    Ok(html! {
        section.panel {
            div.bar { h2 { "History" } }
            (live("history", html! {
                (parts::table("What was written here, the newest first", &heads, &rows))
                @if found.next.is_none() && !is_whole {
                    p.muted { "Of what was written below block " (grouped(found.from.0)) " this node knows nothing." }
                }
            }))
        }
        @if newest.is_some() || found.next.is_some() {
            (parts::pager(newest, found.next.as_deref().map(to), ("Newest", "Before")))
        }
    })
}

/// A write of the record whose page is at `here`.
fn row(version: &RecordVersion, here: &str) -> Vec<Markup> {
    vec![
        html! { span.num { (version.version) } },
        parts::height(version.height),
        parts::time_text(&version.time),
        parts::tx(&version.tx),
        parts::key(&version.sender),
        match version.value.as_ref().and_then(|value| STANDARD.decode(value).ok()) {
            None => badge(Tone::Warn, "deleted"),
            Some(value) => in_short(&value, version.content_type.as_ref()),
        },
        html! {
            a href={ (here) "?write=" (version.height) "%2F" (version.index) }
                aria-label={ "Changes in version " (version.version) ", block " (version.height) } {
                "Changes"
            }
        },
    ]
}

/// The beginning of a value that is text, and of any other its size.
fn in_short(value: &[u8], claimed: Option<&ContentType>) -> Markup {
    let size = parts::bytes(value.len() as u64);
    match Content::of(value, claimed) {
        _ if value.is_empty() => html! { span.muted { "(empty)" } },
        Content::Text(_) | Content::Json(_) => {
            let text = String::from_utf8_lossy(value);
            let shown: String = text.chars().take(MAX_SHOWN).collect();
            let is_whole = shown.len() == text.len();
            html! {
                span.record-key { (foreign(&shown)) }
                @if !is_whole { span.muted { "… " (size) } }
            }
        }
        _ => html! { span.muted { (size) } },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_in_short_and_as_text() {
        let shown = |value: &[u8]| in_short(value, None).into_string();
        assert!(shown(b"<b>\xe2\x80\xae").contains("&lt;b&gt;\\u{202e}"));
        assert!(shown(b"\x1b[1m").contains("4 B"));
        assert!(shown(b"").contains("(empty)"));
        let long = shown("ä".repeat(500).as_bytes());
        assert!(long.matches('ä').count() == MAX_SHOWN && long.contains("1000 B"), "{long}");
        assert!(shown(&[0xff; 2_000]).contains("2.0 KiB"), "{}", shown(&[0xff; 2_000]));
    }
}
