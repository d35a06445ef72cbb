//! What a write changed in a record, line by line.

use std::fmt::Write as _;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, html};
use serde_json::json;
use similar::{ChangeTag, TextDiff};
use tandem_chain::types::{ContentType, DataSetName};

use crate::decode::content::Content;
use crate::rpc::explorer::Visit;
use crate::rpc::explorer::fault::Fault;
use crate::rpc::explorer::parts::{self, foreign, panel};
use crate::rpc::shapes::records::{RecordHistory, RecordVersion};

/// Lines around each change.
const CONTEXT: usize = 3;
/// Lines that are shown.
const MAX_LINES: usize = 400;
/// Characters of a line.
const MAX_CHARS: usize = 400;
/// Time to look for the least changes; then any that lead from one to the other.
const TIME: Duration = Duration::from_millis(100);
/// Bytes in a line of a value that is no text.
const BYTES_A_LINE: usize = 16;

/// What the write at a place in the chain, `HEIGHT/INDEX`, changed.
pub(super) async fn of_write(
    visit: &Visit,
    name: &DataSetName,
    key: &[u8],
    write: &str,
) -> Result<Markup, Fault> {
    let place = write.split_once('/').and_then(|(height, index)| {
        Some((height.parse::<u64>().ok()?, index.parse::<u32>().ok()?))
    });
    let Some((height, index)) = place else {
        let rule = "write must be a height, a slash and the transaction's place in the block";
        return Err(Fault::bad(rule.to_owned()));
    };
    let digits = hex::encode_upper(key);
    let behind = format!("{height}/{}", index.saturating_add(1));
    let params = json!({ "data_set": name, "key": digits, "before": behind, "limit": 2 });
    let found: RecordHistory = visit.ask("record_history", params).await?;
    let mut versions = found.versions.into_iter();
    let is_it = |one: &RecordVersion| (one.height.0, one.index) == (height, index);
    let Some(after) = versions.next().filter(is_it) else {
        return Err(Fault::not_found(format!(
            "there is no write of this record at {height}/{index}"
        )));
    };
    let before = versions.next();
    let to = format!("/explorer/record/{name}/{digits}");
    visit
        .read(move |_, _| {
            let title = format!("What changed in version {}", after.version);
            let back = (to.as_str(), "The record as it is");
            Ok(panel(&title, Some(back), told(before.as_ref(), &after)))
        })
        .await
}

/// Both writes in words, and what is different.
fn told(before: Option<&RecordVersion>, after: &RecordVersion) -> Markup {
    let lines = Lines::between(&text(before), &text(Some(after)));
    let of = |version: &RecordVersion| {
        html! {
            @if version.is_deleted { "the deletion" } @else { "version " (version.version) }
            " in block " (parts::height(version.height)) ", " (parts::time_text(&version.time))
        }
    };
    let [was, is] = [before, Some(after)].map(|one| one.and_then(|one| one.content_type.as_ref()));
    html! {
        p {
            @if after.is_deleted { "It was deleted in block " (parts::height(after.height)) ", " (parts::time_text(&after.time)) }
            @else { "From " @if let Some(before) = before { (of(before)) } @else { "nothing that this node knows" } " to " (of(after)) }
            ": " strong { (lines.added) } " lines more, " strong { (lines.removed) } " less."
        }
        @if was != is && !after.is_deleted { p { "Content type: " (claimed(was)) " → " (claimed(is)) } }
        @if lines.added + lines.removed == 0 {
            p.empty {
                @if before.and_then(|before| before.digest) == after.digest { "The value is the same." }
                @else { "The bytes are others, and what they say is the same." }
            }
        }
        @else { div.scroll tabindex="0" role="region" aria-label="Lines that are different" { (lines.shown()) } }
        @if lines.is_cut { p.muted { "The first " (MAX_LINES) " lines." } }
        @if lines.is_narrowed { p.muted { "Of lines that end with … the first " (MAX_CHARS) " characters." } }
    }
}

fn claimed(content_type: Option<&ContentType>) -> Markup {
    html! { @if let Some(text) = content_type { (foreign(text.as_str())) } @else { "none" } }
}

/// A value as lines: JSON a member a line, CBOR in its notation, other bytes by sixteen.
fn text(version: Option<&RecordVersion>) -> String {
    let Some(version) = version else { return String::new() };
    let value = version.value.as_ref().and_then(|value| STANDARD.decode(value).ok());
    match Content::of(&value.unwrap_or_default(), version.content_type.as_ref()) {
        Content::Text(text) | Content::Cbor(text) => text,
        Content::Json(value) => format!("{value:#}"),
        Content::Bytes(bytes) => {
            let mut lines = String::new();
            for (place, line) in bytes.chunks(BYTES_A_LINE).enumerate() {
                let digits = hex::encode_upper(line);
                writeln!(lines, "{:08X}  {digits}", place * BYTES_A_LINE).expect("into a text");
            }
            lines
        }
    }
}

/// Lines that are different, with some around them.
struct Lines {
    added: usize,
    removed: usize,
    /// Those of one place after the other.
    places: Vec<Vec<(ChangeTag, String)>>,
    is_cut: bool,
    /// Whether lines were cut.
    is_narrowed: bool,
}

impl Lines {
    fn between(before: &str, after: &str) -> Self {
        let diff = TextDiff::configure().timeout(TIME).diff_lines(before, after);
        let mut lines =
            Self { added: 0, removed: 0, places: Vec::new(), is_cut: false, is_narrowed: false };
        let mut room = MAX_LINES;
        for place in diff.grouped_ops(CONTEXT) {
            let mut shown = Vec::new();
            for change in place.iter().flat_map(|op| diff.iter_changes(op)) {
                match change.tag() {
                    ChangeTag::Insert => lines.added += 1,
                    ChangeTag::Delete => lines.removed += 1,
                    ChangeTag::Equal => {}
                }
                if room == 0 {
                    lines.is_cut = true;
                    continue;
                }
                room -= 1;
                let text = change.value().trim_end_matches(['\r', '\n']);
                let mut line: String = text.chars().take(MAX_CHARS).collect();
                if line.len() < text.len() {
                    lines.is_narrowed = true;
                    line.push('…');
                }
                shown.push((change.tag(), line));
            }
            if !shown.is_empty() {
                lines.places.push(shown);
            }
        }
        lines
    }

    fn shown(&self) -> Markup {
        html! {
            pre.diff {
                @for (i, place) in self.places.iter().enumerate() {
                    @if i > 0 { span.between { "⋯" } "\n" }
                    @for (tag, text) in place {
                        @match tag {
                            ChangeTag::Insert => { ins { "+ " (foreign(text)) } },
                            ChangeTag::Delete => { del { "− " (foreign(text)) } },
                            ChangeTag::Equal => { "  " (foreign(text)) },
                        }
                        "\n"
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn html_of(before: &str, after: &str) -> (usize, usize, String) {
        let lines = Lines::between(before, after);
        (lines.added, lines.removed, lines.shown().into_string())
    }

    #[test]
    fn lines_that_are_different_are_shown_with_some_around_them() {
        let before = (0..40).fold(String::new(), |text, i| text + &format!("line {i}\n"));
        let after = before.replace("line 7\n", "line <seven>\n").replace("line 30\n", "");
        let (added, removed, html) = html_of(&before, &after);
        assert_eq!((added, removed), (1, 2));
        assert!(html.contains("<del>− ") && html.contains("<ins>+ "), "{html}");
        assert!(html.contains("line &lt;seven&gt;") && html.contains("line 4"), "{html}");
        assert!(
            !html.contains("line 3<") && !html.contains("line 20") && html.contains('⋯'),
            "{html}"
        );
        assert_eq!(html_of("a\nb", "a\nb").0, 0);
        let (added, removed, html) = html_of("", "\u{1b}[1m\u{202e}");
        assert!((added, removed) == (1, 0) && !html.contains(['\u{1b}', '\u{202e}']), "{html}");
    }

    #[test]
    fn what_is_shown_of_long_values_is_bounded() {
        let (before, after) = ("x\n".repeat(90_000), "y\n".repeat(90_000));
        let lines = Lines::between(&before, &after);
        assert_eq!((lines.added, lines.removed, lines.is_cut), (90_000, 90_000, true));
        assert_eq!(lines.places.iter().map(Vec::len).sum::<usize>(), MAX_LINES);
        let (_, _, html) = html_of(&"a".repeat(190_000), &"b".repeat(190_000));
        assert!(html.len() < 4 * MAX_CHARS, "{}", html.len());
    }
}
