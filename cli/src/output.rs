//! Tables for people, JSON for scripts.

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use serde::Serialize;
use serde_json::json;
use tandem_chain::keys::PublicKey;
use tandem_node::decode::terminal::harmless;

use crate::args::Global;
use crate::exit::Exit;

/// Hex digits of a key in a table: enough to tell nodes apart; `--json` has them all.
const KEY_DIGITS: usize = 12;

/// Prints `value` as JSON when it is asked for, else what `text` makes of it.
pub fn show<T: Serialize>(
    global: &Global,
    value: &T,
    text: impl FnOnce(&T) -> String,
) -> anyhow::Result<()> {
    if global.json { print_json(value) } else { print(&text(value)) }
}

/// Prints JSON over several lines.
pub fn print_json<T: Serialize>(value: &T) -> anyhow::Result<()> {
    print(&harmless(serde_json::to_string_pretty(value)?))
}

/// JSON over several lines.
pub fn json_text(value: &serde_json::Value) -> String {
    harmless(format!("{value:#}"))
}

/// Prints JSON on one line.
pub fn print_json_line<T: Serialize>(value: &T) -> anyhow::Result<()> {
    print(&harmless(serde_json::to_string(value)?))
}

/// Prints a text with one line feed at its end. That the reader has gone is no error.
pub fn print(text: &str) -> anyhow::Result<()> {
    use std::io::{ErrorKind, Write};
    match writeln!(std::io::stdout().lock(), "{}", text.trim_end_matches('\n')) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// What an error says, with its causes behind it: those that it has not told itself.
pub fn text_of(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// Says on standard error why the command failed; as JSON it is one object on one line.
pub fn error(json: bool, text: &str, exit: Exit) {
    if json {
        eprintln!("{}", json!({ "error": text, "code": exit as u8 }));
    } else {
        eprintln!("error: {text}");
    }
}

/// A table with its heads.
pub fn table<const N: usize>(
    heads: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(heads);
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

/// Names and values, a line each.
pub fn facts(facts: &[(&str, String)]) -> String {
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines: Vec<String> =
        facts.iter().map(|(name, value)| format!("{name:width$}  {value}")).collect();
    lines.join("\n")
}

/// The beginning of a key.
pub fn short(key: &PublicKey) -> String {
    key.to_string()[..KEY_DIGITS].to_owned()
}

/// The beginning of a key, or a dash.
pub fn short_or_dash(key: Option<&PublicKey>) -> String {
    key.map_or_else(|| "-".to_owned(), short)
}

/// Yes, no, or a question mark where it is not known.
pub fn yes_no(value: Option<bool>) -> String {
    match value {
        Some(true) => "yes",
        Some(false) => "no",
        None => "?",
    }
    .to_owned()
}

/// Bytes as text where they are printable, else as hex digits after `0x`.
pub fn readable(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.is_empty() && !text.chars().any(char::is_control) => text.to_owned(),
        _ => format!("0x{}", hex::encode(bytes)),
    }
}
