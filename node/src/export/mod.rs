//! Ledgers as JSON lines: a file that any program can read, and from which a node can be made.
//!
//! ```text
//!   {"tandem_export":"blocks","version":1,"chain_id":…,"genesis":…,"from":"1","to":"2"}
//!   {"height":"1","block":ID,"certified":BASE64,"content":{…}}
//!   {"height":"2",…}
//!   {"end":{"lines":"2","sha256":HASH}}
//! ```
//!
//! - **The last line** has the number of lines between it and the first, and the SHA-256 of every byte
//!   before it ([`lines`]): a file that was cut off or changed is told from a whole one.
//! - **Blocks** ([`blocks`]) have their encoding with the certificate, in base64, and the same for
//!   people, as [`crate::decode`] shows it.
//! - **Records** ([`records`]) are those of one height, by data set and key, with their versions.
//! - **An import** ([`import`]) is a catch-up from a file in the place of peers: it believes the home's
//!   genesis and nothing else, checks each block as one that was fetched, and executes it as the node
//!   does. What the file has for people is not read.

pub mod blocks;
pub mod import;
pub mod lines;
pub mod records;

use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use tandem_chain::ledger::{self, Origin};
use tandem_chain::types::Height;

use tempfile::NamedTempFile;

use crate::storage::Reader;
use lines::{Header, Kind, LineWriter};

/// Why an export ended before its last line.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The file, or whoever reads.
    #[error("cannot write the export: {0}")]
    Io(#[from] std::io::Error),
    /// The database.
    #[error(transparent)]
    Chain(#[from] tandem_chain::Error),
    /// The file is there already.
    #[error("{} exists already: choose another name, or move it away", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Heights that are not there.
    #[error("heights {from} to {to} are asked for, and there are {first} to {last}")]
    Range {
        /// The first that was asked for.
        from: Height,
        /// The last.
        to: Height,
        /// The lowest that there is.
        first: Height,
        /// The newest.
        last: Height,
    },
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exported {
    /// Lines between the first and the last.
    pub lines: u64,
    /// The height of the first block, or of the state.
    pub from: Height,
    /// That of the last block, or of the state.
    pub to: Height,
}

/// Begins an export: its first line.
fn begin<W: Write>(
    reader: &Reader,
    kind: Kind,
    (from, to): (Height, Height),
    out: W,
) -> Result<LineWriter<W>, ExportError> {
    let Origin { genesis, chain_id } = ledger::origin(reader)?;
    let header =
        Header { tandem_export: kind, version: lines::VERSION, chain_id, genesis, from, to };
    Ok(LineWriter::begin(out, &header)?)
}

/// Makes a file of what `write` writes, readable by its owner alone: the whole of it, or none. What is
/// there already stays.
///
/// # Errors
/// [`ExportError`].
pub fn to_file(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<Exported, ExportError>,
) -> Result<Exported, ExportError> {
    let exists = || ExportError::Exists { path: path.to_owned() };
    if path.exists() {
        return Err(exists());
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let file = NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
    let mut out = BufWriter::new(file);
    let exported = write(&mut out)?;
    let file = out.into_inner().map_err(std::io::IntoInnerError::into_error)?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(exported),
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => Err(exists()),
        Err(error) => Err(error.error.into()),
    }
}
