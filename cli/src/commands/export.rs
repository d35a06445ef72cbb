//! `tandem export`.

use std::io::{BufWriter, ErrorKind, Write};
use std::path::Path;

use serde_json::json;
use tandem_chain::types::Height;
use tandem_node::export::{ExportError, Exported, blocks, records, to_file};

use crate::args::Global;
use crate::args::export::Export;
use crate::{input, output};

pub fn export(global: &Global, args: &Export) -> anyhow::Result<()> {
    let reader = input::reader(global)?;
    let write = |out: &mut dyn Write| {
        if args.records {
            return records::export(&reader, args.compact, out);
        }
        blocks::export(&reader, (args.from.map(Height), args.to.map(Height)), args.compact, out)
    };
    if args.file == Path::new("-") {
        let mut out = BufWriter::new(std::io::stdout().lock());
        return match write(&mut out) {
            // That the reader has gone is no error.
            Err(ExportError::Io(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            done => Ok(done.map(drop)?),
        };
    }
    let Exported { lines, from, to } = to_file(&args.file, write)?;
    let answer = json!({
        "file": args.file,
        "holds": if args.records { "records" } else { "blocks" },
        "from": from.to_string(),
        "to": to.to_string(),
        "lines": lines.to_string(),
    });
    output::show(global, &answer, |_| {
        let file = args.file.display();
        if args.records {
            return format!("{file}: records of height {to}, with their data sets {lines} lines");
        }
        format!("{file}: blocks {from} to {to}")
    })
}
