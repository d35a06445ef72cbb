//! Putting a backup in the place of a home's database.

use std::fs::{File as OpenFile, OpenOptions};
use std::path::Path;
use std::sync::atomic::AtomicBool;

use rustix::fs::{FlockOperation, fcntl_lock};
use tandem_chain::keys::PublicKey;

use super::copy::{copy, io_error, remove_folder, rename, sync_folder};
use super::manifest::{CONFIG_FILE, DATA, GENESIS_FILE, KEY_FILE, Manifest, place};
use super::{BackupError, create, genesis_hash};
use crate::config::Config;
use crate::home::{GuardFile, GuardState, Home, KeyFile, files};
use crate::storage::{self, Database};

/// Where the new database comes together, and where the old one waits to be deleted.
const RESTORING: &str = "data.restoring";
const REPLACED: &str = "data.replaced";
/// In the first of them once it is whole: from then on the restore is finished, whatever happens.
const COMPLETE: &str = "complete";

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
/// that the home has is deleted at the end. The node's key is marked as restored.
///
/// Nothing of the home changes before every file is copied and found right. Interrupted before, the
/// old database stays, and the restore begins again; after, [`finish`] ends it.
///
/// # Errors
/// [`BackupError`].
pub fn restore(home: &Home, folder: &Path, replace: bool) -> Result<Restored, BackupError> {
    let manifest = Manifest::load(folder)?;
    files::create_dir(&home.root().join("config"))?;
    files::create_dir(&home.data_path())?;
    let lock = lock(&home.data_path())?;
    finish_locked(home)?;
    if !replace && home.data_path().join("CURRENT").exists() {
        return Err(BackupError::Occupied { path: home.data_path() });
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
    let config = Config::load(&config).map_err(|error| BackupError::Incomplete {
        path: folder.to_owned(),
        reason: error.to_string(),
    })?;
    // A key that is wrong or missing is told before anything is copied.
    let storage = home.storage(&config)?;
    let height =
        Database::open_read_only(&folder.join(DATA), manifest.genesis_hash, &storage)?.height();
    if height != manifest.height {
        let reason = format!("the database in it ends at height {height}, not {}", manifest.height);
        return Err(BackupError::Damaged { path: folder.to_owned(), reason });
    }

    let restoring = home.root().join(RESTORING);
    remove_folder(&restoring)?;
    for folder in ["config", DATA] {
        files::create_dir(&restoring.join(folder))?;
    }
    for file in &manifest.files {
        let from = place(folder, file);
        let copied = copy(&from, &place(&restoring, file), &AtomicBool::new(false))?;
        if copied != (file.bytes, file.sha256) {
            let reason = format!("it has {} bytes and SHA-256 {}", copied.0, copied.1);
            return Err(BackupError::Damaged { path: from, reason });
        }
    }
    if genesis_hash(&restoring.join(GENESIS_FILE))? != Some(manifest.genesis_hash) {
        let reason = "its hash is not that of backup.json".to_owned();
        return Err(BackupError::Damaged { path: folder.join(GENESIS_FILE), reason });
    }

    let own = [
        (CONFIG_FILE, home.config_path()),
        (GENESIS_FILE, home.genesis_path()),
        (KEY_FILE, home.node_key_path()),
    ];
    // The mark goes before the key, as in `init`: never is there a key that seems to be new.
    let key_path = home.node_key_path();
    let key = if key_path.exists() { key_path } else { restoring.join(KEY_FILE) };
    let node = KeyFile::load(&key)?.public();
    GuardFile { public_key: node, state: GuardState::Restored }.store(&home.guard_path())?;
    for (name, path) in own {
        let from = restoring.join(name);
        if from.exists() && !path.exists() {
            rename(&from, &path)?;
        }
    }
    let data = restoring.join(DATA);
    sync_folder(&data)?;
    files::write_atomic(&restoring.join(COMPLETE), b"", 0o600)?;
    finish_locked(home)?;
    drop(lock);
    Ok(Restored { manifest, node })
}

/// Ends a restore that was interrupted when all of it was copied. It is called before a home's
/// database is opened.
///
/// # Errors
/// [`BackupError`]; [`storage::Error::InUse`] while another process is at it.
pub fn finish(home: &Home) -> Result<(), BackupError> {
    let [restoring, replaced] = [RESTORING, REPLACED].map(|name| home.root().join(name));
    if !restoring.join(COMPLETE).exists() && !replaced.exists() {
        return Ok(());
    }
    files::create_dir(&home.data_path())?;
    let _lock = lock(&home.data_path())?;
    finish_locked(home)
}

fn finish_locked(home: &Home) -> Result<(), BackupError> {
    let [restoring, replaced] = [RESTORING, REPLACED].map(|name| home.root().join(name));
    if restoring.join(COMPLETE).exists() {
        let (new, data) = (restoring.join(DATA), home.data_path());
        // None when it stands in its place already.
        if new.exists() {
            if data.exists() {
                remove_folder(&replaced)?;
                rename(&data, &replaced)?;
            }
            rename(&new, &data)?;
        }
        remove_folder(&restoring)?;
    }
    remove_folder(&replaced)
}

/// Deletes what a backup or restore that was cut off has left in a home whose database is open.
///
/// # Errors
/// [`BackupError::Io`].
pub fn clean_up(home: &Home) -> Result<(), BackupError> {
    remove_folder(&home.root().join(RESTORING))?;
    create::clean_up(home)
}

/// Holds the lock that RocksDB takes on a database's folder, so that no node runs on it.
fn lock(data: &Path) -> Result<OpenFile, BackupError> {
    let path = data.join("LOCK");
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
        Err(error) => Err(io_error("lock", &path)(error.into())),
    }
}
