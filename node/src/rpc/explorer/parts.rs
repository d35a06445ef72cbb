//! Pieces that pages are made of.

use std::collections::BTreeMap;
use std::sync::Arc;

use maud::{Markup, html};
use tandem_chain::keys::PublicKey;
use tandem_chain::types::{Address, Hash, Height, OrgName, Timestamp};

use super::summary::{Summary, TxSummary};
use crate::decode::terminal::visible;

/// Text of others: what would not be seen, or turns the direction, is shown as an escape. The markup
/// escapes what HTML acts on.
pub(super) fn foreign(text: &str) -> String {
    visible(text)
}

/// A page's heading, with a line under it.
pub(super) fn heading(title: &str, under: Option<Markup>) -> Markup {
    html! {
        div.heading {
            h1 { (title) }
            @if let Some(under) = under { p.muted { (under) } }
        }
    }
}

/// A time: in UTC here, in the reader's zone by the script.
pub(super) fn time(time: Timestamp) -> Markup {
    time_text(&time.to_rfc3339())
}

/// The same, of a text in RFC 3339.
pub(super) fn time_text(text: &str) -> Markup {
    let plain = text.get(..19).unwrap_or(text).replace('T', " ");
    html! { time datetime=(text) title={ (text) } { (plain) } }
}

/// Digits of a number in groups of three.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push('\u{2009}');
        }
        text.push(digit);
    }
    text
}

/// Bytes for people.
pub(super) fn bytes(count: u64) -> String {
    match count {
        0..1_024 => format!("{count} B"),
        1_024..1_048_576 => format!("{:.1} KiB", count as f64 / 1_024.0),
        _ => format!("{:.1} MiB", count as f64 / 1_048_576.0),
    }
}

/// Milliseconds for people.
pub(super) fn millis(ms: u64) -> String {
    match ms {
        0..10_000 => format!("{ms} ms"),
        10_000..120_000 => format!("{:.1} s", ms as f64 / 1_000.0),
        120_000..7_200_000 => format!("{} min", ms / 60_000),
        7_200_000..172_800_000 => format!("{} h", ms / 3_600_000),
        _ => format!("{} days", ms / 86_400_000),
    }
}

/// The first and last digits of a long text of hex digits.
pub(super) fn short(digits: &str) -> String {
    match (digits.get(..8), digits.get(digits.len().saturating_sub(4)..)) {
        (Some(first), Some(last)) if digits.len() > 16 => format!("{first}…{last}"),
        _ => digits.to_owned(),
    }
}

/// A block's height with the way there; below the first there is genesis.
pub(super) fn height(height: Height) -> Markup {
    match height {
        Height::ZERO => html! { "genesis" },
        _ => html! { a.num href={ "/explorer/block/" (height) } { (grouped(height.0)) } },
    }
}

/// A key with the way there.
pub(super) fn key(key: &PublicKey) -> Markup {
    let digits = key.to_string();
    html! { a.hex href={ "/explorer/key/" (digits) } title=(digits) { (short(&digits)) } }
}

/// A whole key with the way there.
pub(super) fn whole_key(key: &PublicKey) -> Markup {
    html! { a.hex.whole href={ "/explorer/key/" (key) } { (key) } }
}

/// A transaction's hash with the way there.
pub(super) fn tx(hash: &Hash) -> Markup {
    let digits = hash.to_string();
    html! { a.hex href={ "/explorer/tx/" (digits) } title=(digits) { (short(&digits)) } }
}

/// A hash in full.
pub(super) fn hash(hash: &Hash) -> Markup {
    html! { span.hex.whole { (hash) } }
}

/// An organisation with the way there.
pub(super) fn org(name: &OrgName) -> Markup {
    html! { a href={ "/explorer/organization/" (name) } { (name) } }
}

/// Who proposed a block.
pub(super) fn proposer(orgs: &BTreeMap<Address, OrgName>, address: &Address) -> Markup {
    match orgs.get(address) {
        Some(name) => org(name),
        None => {
            let digits = address.to_string();
            html! { span.hex title={ (digits) ", registered no more" } { (short(&digits)) } }
        }
    }
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Bad,
    Warn,
    Plain,
    Accent,
}

impl Tone {
    fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Warn => "warn",
            Self::Plain => "plain",
            Self::Accent => "accent",
        }
    }
}

/// A word in a frame.
pub(super) fn badge(tone: Tone, text: &str) -> Markup {
    html! { span class={ "badge " (tone.class()) } { (text) } }
}

/// Whether a record calls a node alive.
pub(super) fn alive(alive: Option<bool>) -> Markup {
    match alive {
        Some(true) => badge(Tone::Good, "alive"),
        Some(false) => badge(Tone::Bad, "dead"),
        None => badge(Tone::Plain, "no record yet"),
    }
}

/// Whether a transaction did what it says.
pub(super) fn outcome(is_ok: Option<bool>) -> Markup {
    match is_ok {
        Some(true) => badge(Tone::Good, "done"),
        Some(false) => badge(Tone::Bad, "failed"),
        None => badge(Tone::Plain, "result not kept"),
    }
}

/// Names with what belongs to them.
pub(super) fn facts(rows: &[(&str, Markup)]) -> Markup {
    html! {
        dl.facts {
            @for (name, value) in rows {
                div { dt { (name) } dd { (value) } }
            }
        }
    }
}

/// A panel with a title, and a way to more.
pub(super) fn panel(title: &str, more: Option<(&str, &str)>, content: Markup) -> Markup {
    html! {
        section.panel {
            div.bar {
                h2 { (title) }
                @if let Some((target, text)) = more { a href=(target) { (text) } }
            }
            (content)
        }
    }
}

/// A table that can be moved sideways where it is too wide.
pub(super) fn table(caption: &str, heads: &[&str], rows: &[Vec<Markup>]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label=(caption) {
            table {
                caption.hidden { (caption) }
                thead { tr { @for head in heads { th scope="col" { (head) } } } }
                tbody {
                    @for row in rows { tr { @for cell in row { td { (cell) } } } }
                }
            }
        }
        @if rows.is_empty() { p.empty { "Nothing yet." } }
    }
}

/// A table of blocks.
pub(super) fn blocks(blocks: &[Arc<Summary>], orgs: &BTreeMap<Address, OrgName>) -> Markup {
    let rows: Vec<Vec<Markup>> = blocks
        .iter()
        .map(|block| {
            vec![
                height(block.height),
                time(block.time),
                html! { span.num { @if let Some(ms) = block.interval_ms { (millis(ms)) } @else { "–" } } },
                proposer(orgs, &block.proposer),
                html! {
                    span.num { (grouped(block.txs as u64)) }
                    @if block.failed > 0 { " " span.bad-text { (block.failed) " failed" } }
                    @for seat in &block.switched { " " (badge(Tone::Accent, &format!("switch {seat}"))) }
                },
                html! {
                    span.num { (block.signed) " of " (block.seats) }
                    @if block.round.0 > 0 { " " (badge(Tone::Warn, &format!("round {}", block.round))) }
                },
            ]
        })
        .collect();
    let heads = ["Height", "Time", "After", "Proposer", "Transactions", "Signed by"];
    table("Blocks, the newest first", &heads, &rows)
}

/// A table of transactions.
pub(super) fn txs(caption: &str, txs: &[TxSummary]) -> Markup {
    let rows: Vec<Vec<Markup>> = txs
        .iter()
        .map(|one| {
            vec![
                tx(&one.hash),
                html! {
                    (one.what)
                    @if let Some(about) = &one.about { " " span.muted { (foreign(about)) } }
                },
                key(&one.sender),
                height(one.height),
                time(one.time),
                outcome(one.is_ok),
            ]
        })
        .collect();
    let heads = ["Transaction", "Call", "Sender", "Block", "Time", "Result"];
    table(caption, &heads, &rows)
}

/// Ways to the pages before and after.
pub(super) fn pager(newer: Option<String>, older: Option<String>, names: (&str, &str)) -> Markup {
    html! {
        nav.pager aria-label={ (names.0) " and " (names.1) } {
            @if let Some(target) = newer { a.button href=(target) rel="prev" { "← " (names.0) } }
            @else { span.button.off { "← " (names.0) } }
            @if let Some(target) = older { a.button href=(target) rel="next" { (names.1) " →" } }
            @else { span.button.off { (names.1) " →" } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1\u{2009}000")] {
            assert_eq!(grouped(number), text);
        }
        assert_eq!(grouped(u64::MAX).split('\u{2009}').count(), 7);
        assert_eq!([bytes(12), bytes(1_536), bytes(3 << 20)], ["12 B", "1.5 KiB", "3.0 MiB"]);
        let texts = [999, 12_500, 180_000, 7_200_000, 172_800_000].map(millis);
        assert_eq!(texts, ["999 ms", "12.5 s", "3 min", "2 h", "2 days"]);
        assert_eq!(short(&"AB".repeat(32)), "ABABABAB…ABAB");
        assert_eq!(short("ABAB"), "ABAB");
    }

    #[test]
    fn what_others_wrote_is_text() {
        let hostile = "<script>alert(1)</script>\"\u{1b}[31m\u{202e}";
        let shown = html! { p title=(foreign(hostile)) { (foreign(hostile)) } }.into_string();
        assert!(!shown.contains("<script") && !shown.contains('\u{1b}'), "{shown}");
        assert!(shown.contains("&lt;script&gt;") && shown.contains("\\u{1b}[31m\\u{202e}"));
    }
}
