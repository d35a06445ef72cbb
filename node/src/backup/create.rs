//! Making a backup.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use tandem_chain::genesis::Genesis;
use tandem_chain::keys::PublicKey;
use tandem_chain::types::Timestamp;

use super::BackupError;
use super::copy::{copy, file_names, rename};
use super::manifest::{
    CONFIG_FILE, DATA, FORMAT, File, GENESIS_FILE, KEY_FILE, Manifest, is_of_process, is_plain,
};
use crate::home::Home;
use crate::home::files::{self, remove_folder, sync_folder};
use crate::storage::{Database, StorageConfig};

/// Where the database's tables are held together while they are copied: within its folder, which may
/// be a file system of its own, so that they are links and take no room. The other is the same while
/// RocksDB gathers them.
pub(super) const CHECKPOINT: &str = "checkpoint";
pub(super) const GATHERING: &str = "checkpoint.tmp";
/// Characters of a name.
const MAX_NAME: usize = 64;

/// What a backup is made of, and where.
#[derive(Clone, Copy)]
pub struct Order<'a> {
    /// The node's home.
    pub home: &'a Home,
    /// Its database, which may be in use.
    pub db: &'a Database,
    /// How that is kept.
    pub storage: &'a StorageConfig,
    /// The chain's genesis.
    pub genesis: &'a Genesis,
    /// The node's key.
    pub node: PublicKey,
    /// The present time, for `backup.json`.
    pub time: Timestamp,
    /// The folder of backups; it is made when it is not there.
    pub dir: &'a Path,
    /// The backup's name in it.
    pub name: &'a str,
    /// Whether the node's private key goes in.
    pub with_key: bool,
}

/// Refuses what is no plain name of a folder.
///
/// # Errors
/// [`BackupError::Name`].
pub fn check_name(name: &str) -> Result<(), BackupError> {
    if name.len() <= MAX_NAME && is_plain(name) {
        return Ok(());
    }
    Err(BackupError::Name { got: tandem_chain::types::escaped(name) })
}

/// Makes a backup; `stop` ends it early. Nothing stands under its name before it is whole; what an
/// earlier attempt of this node left is deleted.
///
/// # Errors
/// [`BackupError`].
pub fn create(order: &Order<'_>, stop: &AtomicBool) -> Result<Manifest, BackupError> {
    check_name(order.name)?;
    if order.with_key {
        order.home.check_key_is_here()?;
    }
    let target = order.dir.join(order.name);
    if target.exists() {
        return Err(BackupError::Exists { path: target });
    }
    files::create_dir(order.dir)?;
    let partial = Temporary::new(order.dir.join(format!(".{}.partial", order.node)))?;
    clean_up(order.home)?;
    let checkpoint = Temporary(order.home.data_path().join(CHECKPOINT));
    order.db.checkpoint(&checkpoint.0)?;
    let hash = order.genesis.hash();
    // What the key has signed since would be missing: without any of it the key counts as lost, also
    // when somebody puts the files back by hand.
    Database::open_existing(&checkpoint.0, hash, order.storage)?.forget_signing()?;
    let copied = Database::open_read_only(&checkpoint.0, hash, order.storage)?;
    if copied.verify(stop)?.is_none() {
        return Err(BackupError::Stopped);
    }
    let (height, encrypted) = (copied.height(), copied.is_encrypted());
    drop(copied);

    let mut files = Vec::new();
    let mut add = |from: &Path, path: String| {
        let (bytes, sha256) = copy(from, &partial.0.join(&path), u64::MAX, stop)?;
        files.push(File { path, bytes, sha256 });
        Ok::<(), BackupError>(())
    };
    let folders = [partial.0.join("config"), partial.0.join(DATA)];
    for folder in &folders {
        files::create_dir(folder)?;
    }
    add(&order.home.genesis_path(), GENESIS_FILE.to_owned())?;
    add(&order.home.config_path(), CONFIG_FILE.to_owned())?;
    if order.with_key {
        add(&order.home.node_key_path(), KEY_FILE.to_owned())?;
    }
    for name in file_names(&checkpoint.0)?.iter().filter(|name| !is_of_process(name)) {
        add(&checkpoint.0.join(name), format!("{DATA}/{name}"))?;
    }
    for folder in &folders {
        sync_folder(folder)?;
    }
    let manifest = Manifest {
        format: FORMAT,
        chain_id: order.genesis.chain_id.clone(),
        genesis_hash: hash,
        height,
        node: order.node,
        time: order.time.to_rfc3339(),
        encrypted,
        with_key: order.with_key,
        files,
    };
    manifest.store(&partial.0)?;
    rename(&partial.0, &target)?;
    Ok(manifest)
}

/// Deletes what a backup that was cut off has left in a home.
pub(super) fn clean_up(home: &Home) -> Result<(), BackupError> {
    remove_folder(&home.data_path().join(GATHERING))?;
    remove_folder(&home.data_path().join(CHECKPOINT))?;
    Ok(())
}

/// A folder that goes when it is dropped. At first there is nothing in its place.
struct Temporary(PathBuf);

impl Temporary {
    fn new(path: PathBuf) -> Result<Self, BackupError> {
        remove_folder(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // What stays is deleted by the next backup, or at the next start.
        let _ = remove_folder(&self.0);
    }
}
