//! `tandem decode`.

use anyhow::{Context, bail};
use serde_json::{Value, json};
use tandem_node::decode::text::MAX_INPUT_BYTES;
use tandem_node::decode::{content, entry, kinds, text};
use tandem_node::storage::{FamilyName, Reader};

use crate::args::Global;
use crate::args::decode::Decode;
use crate::exit::Usage;
use crate::{input, output};

pub fn decode(global: &Global, args: Decode) -> anyhow::Result<()> {
    if args.list_kinds {
        let kinds: Vec<Value> = kinds::KINDS
            .iter()
            .map(|kind| json!({ "kind": kind.name, "what": kind.what }))
            .collect();
        return output::show(global, &json!({ "kinds": kinds }), |_| {
            let rows = kinds::KINDS.iter().map(|kind| [kind.name.to_owned(), kind.what.to_owned()]);
            output::table(["KIND", "WHAT"], rows)
        });
    }
    match (args.item, args.family) {
        (Some(text), _) => item(global, &text, args.kind.as_deref()),
        (None, Some(family)) => {
            let reader = input::reader(global)?;
            match &args.key {
                Some(key) => one(&reader, family, key),
                None => listing(global, &reader, family, args.prefix.as_deref(), args.limit),
            }
        }
        (None, None) => {
            Err(Usage("name an item, or a column family with --family".to_owned()).into())
        }
    }
}

/// Items are JSON for people and for scripts alike.
fn item(global: &Global, text: &str, kind: Option<&str>) -> anyhow::Result<()> {
    let kind = kind.map(kinds::find).transpose().map_err(|error| Usage(error.to_string()))?;
    let is_file = text == "-" || text.starts_with('@');
    let bytes = input::value_within(text, MAX_INPUT_BYTES)?;
    let found = text::decode(&bytes, is_file, kind)?;
    let count = found["items"].as_array().map_or(0, Vec::len);
    if count > 1 && !global.json {
        eprintln!("{count} kinds fit these bytes; --kind tries one alone");
    }
    output::print_json(&found)
}

fn one(reader: &Reader, family: FamilyName, key: &str) -> anyhow::Result<()> {
    let bytes = entry::key_of_text(family, key).map_err(|error| Usage(error.to_string()))?;
    let name = entry::key_text(family, &bytes);
    let Some(value) = reader.value(family, &bytes)? else {
        bail!("there is no key {name} in column family {}", family.as_str());
    };
    let (shown, error) = shown(family, &bytes, &value);
    output::print_json(&shown)?;
    error.map_or(Ok(()), |error| Err(error).context(format!("the value of {name}")))
}

/// One line of JSON for each entry.
fn listing(
    global: &Global,
    reader: &Reader,
    family: FamilyName,
    prefix: Option<&str>,
    limit: usize,
) -> anyhow::Result<()> {
    let prefix = entry::prefix_of_text(family, prefix.unwrap_or_default())
        .map_err(|error| Usage(error.to_string()))?;
    let mut damaged = 0;
    let more = reader.visit(family, &prefix, limit, |key, value| {
        let (shown, error) = shown(family, key, value);
        damaged += usize::from(error.is_some());
        output::print_json_line(&shown)
    })?;
    if more && !global.json {
        eprintln!("there are more: use --prefix or --limit");
    }
    if damaged > 0 {
        bail!("{damaged} of these values cannot be decoded: see member error of their lines");
    }
    Ok(())
}

/// An entry; with it an error where its value is not what its key says, and is shown as bytes.
fn shown(family: FamilyName, key: &[u8], value: &[u8]) -> (Value, Option<tandem_chain::Error>) {
    let mut shown = json!({
        "family": family.as_str(),
        "key": entry::key_text(family, key),
        "key_hex": hex::encode_upper(key),
        "bytes": value.len().to_string(),
    });
    match entry::show(family, key, value) {
        Ok(entry::Shown { kind, value }) => {
            shown["kind"] = kind.into();
            shown["value"] = value;
            (shown, None)
        }
        Err(error) => {
            shown["error"] = error.to_string().into();
            shown["value"] = content::show(value, None);
            (shown, Some(error))
        }
    }
}
