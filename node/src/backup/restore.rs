//! Putting a backup in the place of a home's database.

use std::fs::{File as OpenFile, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use rustix::fs::{FlockOperation, fcntl_lock};
use tandem_chain::keys::PublicKey;
use tandem_chain::types::Hash;
use zeroize::Zeroizing;

use super::copy::{copy, file_names, read, rename};
use super::manifest::{CONFIG_FILE, DATA, File, GENESIS_FILE, KEY_FILE, Manifest, place};
use super::{BackupError, create, genesis_hash};
use crate::config::Config;
use crate::home::files::{self, io_error, remove_folder, sync_folder};
use crate::home::{GuardFile, GuardState, Home, KeyFile};
use crate::storage::{self, Database};

/// Where the new database comes together: within the folder of the old one, which may be a file
/// system of its own.
pub(super) const RESTORING: &str = "restoring";
/// In it once it is whole: from then on the restore is finished, whatever happens.
const COMPLETE: &str = "complete";
/// The same, once the old database is deleted.
const CLEARED: &str = "cleared";
/// RocksDB's lock, which is held meanwhile.
pub(super) const LOCK: &str = "LOCK";

/// What was restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// What stands in the backup.
    pub manifest: Manifest,
    /// The node's key, which counts as lost now.
    pub node: PublicKey,
}

/// Makes a home's database anew from the backup in `folder`, with what else the home lacks:
/// configuration, genesis, and, if the backup has it, the node's key. With `replace`, a database
/// that the home has is deleted then. The node's key is marked as restored.
///
/// Nothing of the home changes before every file is copied and found right. Interrupted before, the
/// old database stays, and the restore begins again; after, [`finish`] ends it.
///
/// # Errors
/// [`BackupError`].
pub fn restore(home: &Home, folder: &Path, replace: bool) -> Result<Restored, BackupError> {
    let manifest = Manifest::load(folder)?;
    let data = home.data_path();
    files::create_dir(&home.root().join("config"))?;
    files::create_dir(&data)?;
    let _lock = lock(&data)?;
    // The mark that a restore makes would take that of a move away.
    home.check_key_is_here()?;
    finish_locked(&data)?;
    if !replace && storage::holds_database(&data) {
        return Err(BackupError::Occupied { path: data });
    }
    if let Some(expected) = genesis_hash(&home.genesis_path())?
        && expected != manifest.genesis_hash
    {
        return Err(BackupError::OtherGenesis { expected, got: manifest.genesis_hash });
    }
    if !manifest.with_key && !home.node_key_path().exists() {
        return Err(BackupError::NoKey { path: home.node_key_path() });
    }
    let config =
        if home.config_path().exists() { home.config_path() } else { folder.join(CONFIG_FILE) };
    // A key that is wrong or missing is told before anything is copied.
    let storage = home.storage(&Config::load(&config)?)?;
    let opened = Database::open_read_only(&folder.join(DATA), manifest.genesis_hash, &storage);
    if let Err(
        storage::Error::Damaged { .. }
        | storage::Error::Open { .. }
        | storage::Error::None { .. }
        | storage::Error::Content { .. },
    ) = &opened
    {
        // Which of its files is damaged, if it was whole when it was made.
        check_all(&manifest, folder)?;
    }
    let height = opened?.height();
    if height != manifest.height {
        let reason = format!("the database in it ends at height {height}, not {}", manifest.height);
        return Err(BackupError::Damaged { path: folder.to_owned(), reason });
    }

    let restoring = data.join(RESTORING);
    remove_folder(&restoring)?;
    if let Err(error) = copy_all(&manifest, folder, &restoring) {
        // The room that it takes may be what is missing.
        let _ = remove_folder(&restoring);
        return Err(error);
    }

    let own = [
        (CONFIG_FILE, home.config_path()),
        (GENESIS_FILE, home.genesis_path()),
        (KEY_FILE, home.node_key_path()),
    ];
    // The mark goes before the key, as in `init`: never is there a key that seems to be new.
    let key_path = home.node_key_path();
    let key = if key_path.exists() { key_path } else { restoring.join(KEY_FILE) };
    let node = KeyFile::load_public(&key)?;
    GuardFile { public_key: node, state: GuardState::Restored }.store(&home.guard_path())?;
    for (name, path) in own {
        let from = restoring.join(name);
        if from.exists() && !path.exists() {
            // Not by a rename: the two may be on different file systems.
            let bytes = Zeroizing::new(std::fs::read(&from).map_err(io_error("read", &from))?);
            files::write_atomic(&path, &bytes, 0o600)?;
        }
    }
    // That folder first, then the word that all is in it.
    sync_folder(&data)?;
    files::write_atomic(&restoring.join(COMPLETE), b"", 0o600)?;
    finish_locked(&data)?;
    Ok(Restored { manifest, node })
}

/// Copies a backup, durably, and compares every byte with what `backup.json` says.
fn copy_all(manifest: &Manifest, folder: &Path, to: &Path) -> Result<(), BackupError> {
    for folder in ["config", DATA] {
        files::create_dir(&to.join(folder))?;
    }
    for file in &manifest.files {
        let from = place(folder, file);
        let copied = copy(&from, &place(to, file), file.bytes, &AtomicBool::new(false))?;
        check(file, from, copied)?;
    }
    if genesis_hash(&to.join(GENESIS_FILE))? != Some(manifest.genesis_hash) {
        let reason = "its hash is not that of backup.json".to_owned();
        return Err(BackupError::Damaged { path: folder.join(GENESIS_FILE), reason });
    }
    sync_folder(&to.join(DATA))?;
    Ok(())
}

/// Compares every byte of a backup with what `backup.json` says.
fn check_all(manifest: &Manifest, folder: &Path) -> Result<(), BackupError> {
    for file in &manifest.files {
        let from = place(folder, file);
        let found = read(&from, file.bytes, &AtomicBool::new(false), |_| Ok(()))?;
        check(file, from, found)?;
    }
    Ok(())
}

/// Refuses a file that has another length or SHA-256 than `backup.json` says.
fn check(file: &File, path: PathBuf, found: (u64, Hash)) -> Result<(), BackupError> {
    if found == (file.bytes, file.sha256) {
        return Ok(());
    }
    let reason = match found.0 {
        bytes if bytes > file.bytes => format!("it has more than {} bytes", file.bytes),
        bytes => format!("it has {bytes} bytes and SHA-256 {}", found.1),
    };
    Err(BackupError::Damaged { path, reason })
}

/// Ends a restore that was interrupted when all of it was copied. It is called before a home's
/// database is opened.
///
/// # Errors
/// [`BackupError`]; [`storage::Error::InUse`] while another process is at it.
pub fn finish(home: &Home) -> Result<(), BackupError> {
    let data = home.data_path();
    let restoring = data.join(RESTORING);
    if !restoring.join(COMPLETE).exists() && !restoring.join(CLEARED).exists() {
        return Ok(());
    }
    let _lock = lock(&data)?;
    finish_locked(&data)
}

fn finish_locked(data: &Path) -> Result<(), BackupError> {
    let restoring = data.join(RESTORING);
    let [complete, cleared] = [COMPLETE, CLEARED].map(|name| restoring.join(name));
    if complete.exists() {
        for name in file_names(data)?.iter().filter(|name| *name != LOCK) {
            let old = data.join(name);
            std::fs::remove_file(&old).map_err(io_error("remove", &old))?;
        }
        sync_folder(data)?;
        rename(&complete, &cleared)?;
    }
    if cleared.exists() {
        let new = restoring.join(DATA);
        for name in file_names(&new)? {
            let from = new.join(&name);
            std::fs::rename(&from, data.join(&name)).map_err(io_error("rename", &from))?;
        }
        sync_folder(data)?;
        files::remove(&cleared)?;
        remove_folder(&restoring)?;
    }
    Ok(())
}

/// Deletes what a backup or restore that was cut off has left in a home whose database is open.
///
/// # Errors
/// [`HomeError::Io`](crate::home::HomeError::Io).
pub fn clean_up(home: &Home) -> Result<(), BackupError> {
    remove_folder(&home.data_path().join(RESTORING))?;
    create::clean_up(home)
}

/// Holds the lock that RocksDB takes on a database's folder, so that no node runs on it.
fn lock(data: &Path) -> Result<OpenFile, BackupError> {
    let path = data.join(LOCK);
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(io_error("open", &path))?;
    match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS) => {
            Err(storage::Error::InUse { path: data.to_owned() }.into())
        }
        Err(error) => Err(io_error("lock", &path)(error.into()).into()),
    }
}
