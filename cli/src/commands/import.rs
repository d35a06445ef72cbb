//! `tandem import`.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::Context;
use serde_json::json;
use tandem_node::export::import::{Imported, import as import_blocks};
use tandem_node::home::Home;

use crate::args::Global;
use crate::args::export::Import;
use crate::output;

/// Blocks between two words on how far it is.
const TOLD_EACH: u64 = 1_000;

pub fn import(global: &Global, args: &Import) -> anyhow::Result<()> {
    let home = Home::new(&global.home);
    let file: Box<dyn BufRead> = if args.file == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        let name = args.file.display();
        Box::new(BufReader::new(
            File::open(&args.file).with_context(|| format!("cannot open {name}"))?,
        ))
    };
    let mut reached = None;
    let imported = import_blocks(&home, file, |height| {
        reached = Some(height);
        if !global.json && height.0.is_multiple_of(TOLD_EACH) {
            eprintln!("block {height}");
        }
    });
    let imported = match reached {
        Some(height) => imported.with_context(|| format!("imported up to block {height}"))?,
        None => imported?,
    };
    let Imported { known, added, height, app_hash, key_is_lost } = imported;
    let answer = json!({
        "known": known.to_string(),
        "added": added.to_string(),
        "height": height.to_string(),
        "app_hash": app_hash,
        "key_is_lost": key_is_lost,
    });
    output::show(global, &answer, |_| {
        let mut facts = vec![
            ("blocks added", added.to_string()),
            ("there before", known.to_string()),
            ("height", height.to_string()),
            ("state", app_hash.to_string()),
        ];
        if key_is_lost {
            let word = "held a seat at these heights: it signs nothing before the others have told how \
                        far the chain is";
            facts.push(("this home's key", word.to_owned()));
        }
        output::facts(&facts)
    })
}
