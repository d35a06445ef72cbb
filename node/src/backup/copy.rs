//! Copying of files, hashed on the way.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use sha2::{Digest, Sha256};
use tandem_chain::types::Hash;

use super::BackupError;
use crate::home::files::{io_error, sync_folder};

/// Bytes that are copied at once; between two such parts it is seen whether the copy is still wanted.
const AT_ONCE: usize = 1024 * 1024;

/// Copies a file to a path that must not exist, durably, with permission bits 0600; of one that is
/// longer than `max` bytes no more than one byte beyond that. Returns length and SHA-256 of what was
/// copied.
pub(super) fn copy(
    from: &Path,
    to: &Path,
    max: u64,
    stop: &AtomicBool,
) -> Result<(u64, Hash), BackupError> {
    let mut target = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)
        .map_err(io_error("create", to))?;
    let write = |bytes: &[u8]| Ok(target.write_all(bytes).map_err(io_error("write", to))?);
    let copied = read(from, max, stop, write)?;
    target.sync_all().map_err(io_error("write", to))?;
    Ok(copied)
}

/// Reads a file part by part, of one that is longer than `max` bytes no more than one byte beyond that.
/// Returns length and SHA-256 of what was read.
pub(super) fn read(
    from: &Path,
    max: u64,
    stop: &AtomicBool,
    mut take: impl FnMut(&[u8]) -> Result<(), BackupError>,
) -> Result<(u64, Hash), BackupError> {
    // A pipe would keep whoever opens it.
    if !std::fs::metadata(from).map_err(io_error("open", from))?.is_file() {
        return Err(io_error("read", from)(io::Error::other("it is no file")).into());
    }
    let source = File::open(from).map_err(io_error("open", from))?;
    let mut source = source.take(max.saturating_add(1));
    let mut hasher = Sha256::new();
    let mut bytes = 0u64;
    let mut buffer = vec![0; AT_ONCE];
    loop {
        if stop.load(Ordering::Relaxed) {
            return Err(BackupError::Stopped);
        }
        let read = source.read(&mut buffer).map_err(io_error("read", from))?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
        take(&buffer[..read])?;
        bytes += read as u64;
    }
    Ok((bytes, Hash(hasher.finalize().into())))
}

/// Names of the files in a folder, in order; not of folders in it, nor what no program of ours calls
/// a file.
pub(super) fn file_names(folder: &Path) -> Result<Vec<String>, BackupError> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io_error("read", folder))? {
        let entry = entry.map_err(io_error("read", folder))?;
        if entry.file_type().map_err(io_error("read", folder))?.is_file() {
            names.extend(entry.file_name().into_string().ok());
        }
    }
    names.sort_unstable();
    Ok(names)
}

pub(super) fn rename(from: &Path, to: &Path) -> Result<(), BackupError> {
    std::fs::rename(from, to).map_err(io_error("rename", from))?;
    to.parent().map_or(Ok(()), sync_folder)?;
    Ok(())
}
