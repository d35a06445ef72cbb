//! Copying of files, hashed on the way.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use sha2::{Digest, Sha256};
use tandem_chain::types::Hash;

use super::BackupError;

/// Bytes that are copied at once; between two such parts it is seen whether the copy is still wanted.
const AT_ONCE: usize = 1024 * 1024;

pub(super) fn io_error<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> BackupError + use<'a> {
    move |source| BackupError::Io { action, path: path.to_owned(), source }
}

/// Copies a file to a path that must not exist, durably, with permission bits 0600. Returns length
/// and SHA-256 of what was copied.
pub(super) fn copy(from: &Path, to: &Path, stop: &AtomicBool) -> Result<(u64, Hash), BackupError> {
    let mut source = File::open(from).map_err(io_error("open", from))?;
    let mut target = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)
        .map_err(io_error("create", to))?;
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
        target.write_all(&buffer[..read]).map_err(io_error("write", to))?;
        bytes += read as u64;
    }
    target.sync_all().map_err(io_error("write", to))?;
    Ok((bytes, Hash(hasher.finalize().into())))
}

/// Names of the files in a folder, in order; not of folders in it.
pub(super) fn file_names(folder: &Path) -> Result<Vec<String>, BackupError> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io_error("read", folder))? {
        let entry = entry.map_err(io_error("read", folder))?;
        if entry.file_type().map_err(io_error("read", folder))?.is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Makes the entries of a folder durable.
pub(super) fn sync_folder(path: &Path) -> Result<(), BackupError> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(io_error("sync", path))
}

/// Deletes a folder with all that is in it; no error when it is not there.
pub(super) fn remove_folder(path: &Path) -> Result<(), BackupError> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(io_error("remove", path)(error))
        }
        _ => Ok(()),
    }
}

pub(super) fn rename(from: &Path, to: &Path) -> Result<(), BackupError> {
    std::fs::rename(from, to).map_err(io_error("rename", from))?;
    to.parent().map_or(Ok(()), sync_folder)
}
