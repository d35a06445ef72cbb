//! Files that survive a crash: written whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use zeroize::Zeroizing;

use super::HomeError;

/// The error of a system call on a path; `action` completes "cannot".
pub(crate) fn io_error<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> HomeError + use<'a> {
    move |source| HomeError::Io { action, path: path.to_owned(), source }
}

/// Makes a folder and its parents, for the owner alone; no error when it is there.
///
/// # Errors
/// [`HomeError::Io`].
pub fn create_dir(path: &Path) -> Result<(), HomeError> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(io_error("create", path))
}

/// The content of a text file; none when it does not exist.
///
/// # Errors
/// [`HomeError::Io`], also for a file that is longer than `max` bytes.
pub fn read(path: &Path, max: u64) -> Result<Option<String>, HomeError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error("open", path)(error)),
    };
    let mut text = String::new();
    io::Read::read_to_string(&mut io::Read::take(file, max + 1), &mut text)
        .map_err(io_error("read", path))?;
    if text.len() as u64 > max {
        let reason = format!("longer than {max} bytes: this is no such file");
        return Err(HomeError::Content { path: path.to_owned(), reason });
    }
    Ok(Some(text))
}

/// The text of a file with a secret, which must be there and be readable by its owner alone.
pub(crate) fn read_private(
    path: &Path,
    max: u64,
    hint: &'static str,
) -> Result<Zeroizing<String>, HomeError> {
    use std::os::unix::fs::PermissionsExt;
    let Some(text) = read(path, max)? else {
        return Err(HomeError::Missing { path: path.to_owned(), hint });
    };
    let text = Zeroizing::new(text);
    let metadata = std::fs::metadata(path).map_err(io_error("read the permissions of", path))?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(HomeError::Permissions { path: path.to_owned(), mode });
    }
    Ok(text)
}

/// Replaces or makes `path` with `bytes` and permission bits `mode`, durably: a crash leaves the
/// old content or the new, and after the return it is the new.
///
/// # Errors
/// [`HomeError::Io`].
pub fn write_atomic(path: &Path, bytes: &[u8], mode: u32) -> Result<(), HomeError> {
    let temporary = write_temporary(path, bytes, mode)?;
    fs::rename(&temporary, path).map_err(io_error("replace", path))?;
    sync_parent(path)
}

/// As [`write_atomic`], for a path that must not exist yet.
///
/// # Errors
/// [`HomeError::Exists`], [`HomeError::Io`].
pub fn create_atomic(path: &Path, bytes: &[u8], mode: u32) -> Result<(), HomeError> {
    let temporary = write_temporary(path, bytes, mode)?;
    // Unlike a rename, a link never replaces what is there.
    let linked = fs::hard_link(&temporary, path);
    fs::remove_file(&temporary).map_err(io_error("remove", &temporary))?;
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(HomeError::Exists {
            path: path.to_owned(),
            hint: "choose another name, or move it away",
        }),
        linked => linked.map_err(io_error("create", path)).and_then(|()| sync_parent(path)),
    }
}

/// Whether [`create_atomic`] and [`write_atomic`] can write beside `path`: it is tried with another name.
///
/// # Errors
/// [`HomeError::Io`].
pub fn probe(path: &Path) -> Result<(), HomeError> {
    let mut name = std::ffi::OsString::from(".probe-of-");
    name.push(path.file_name().unwrap_or_default());
    let probe = path.with_file_name(name);
    remove(&probe)?;
    create_atomic(&probe, b"", 0o600)?;
    remove(&probe)
}

/// Deletes a file, durably; no error when it is not there.
///
/// # Errors
/// [`HomeError::Io`].
pub fn remove(path: &Path) -> Result<(), HomeError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => {
            removed.map_err(io_error("remove", path))?;
            sync_parent(path)
        }
    }
}

/// Deletes a folder with all that is in it; no error when it is not there.
pub(crate) fn remove_folder(path: &Path) -> Result<(), HomeError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(io_error("remove", path)(error))
        }
        _ => Ok(()),
    }
}

fn write_temporary(path: &Path, bytes: &[u8], mode: u32) -> Result<std::path::PathBuf, HomeError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    // What a crashed process with the same id left would keep its own permissions.
    if let Err(error) = fs::remove_file(&temporary)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(io_error("remove", &temporary)(error));
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&temporary)
        .map_err(io_error("create", &temporary))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(io_error("write", &temporary))?;
    Ok(temporary)
}

fn sync_parent(path: &Path) -> Result<(), HomeError> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_folder(parent),
        _ => sync_folder(Path::new(".")),
    }
}

/// Makes the entries of a folder durable.
pub(crate) fn sync_folder(path: &Path) -> Result<(), HomeError> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(io_error("sync", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_whole_and_leaves_nothing_else_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        write_atomic(&path, b"a long first content", 0o600).unwrap();
        write_atomic(&path, b"second", 0o600).unwrap();
        assert_eq!(read(&path, 100).unwrap().as_deref(), Some("second"));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn create_refuses_what_exists() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        create_atomic(&path, b"first", 0o600).unwrap();
        assert!(matches!(create_atomic(&path, b"second", 0o600), Err(HomeError::Exists { .. })));
        assert_eq!(read(&path, 100).unwrap().as_deref(), Some("first"));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_over_the_limit_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "12345").unwrap();
        assert!(read(&path, 5).unwrap().is_some());
        assert!(matches!(read(&path, 4), Err(HomeError::Content { .. })));
        assert_eq!(read(&dir.path().join("none"), 4).unwrap(), None);
    }
}
