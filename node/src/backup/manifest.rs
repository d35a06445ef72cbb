//! `backup.json`: what a backup holds.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tandem_chain::keys::PublicKey;
use tandem_chain::types::{ChainId, Hash, Height, Timestamp};

use super::BackupError;
use super::create::{CHECKPOINT, GATHERING};
use super::restore::{LOCK, RESTORING};
use crate::home::files;
use crate::rpc::shapes::text;
use crate::storage::SYNCED_FILE;

/// Its name in the backup's folder.
pub const BACKUP_FILE: &str = "backup.json";
/// Format of `backup.json` and of the folder. A later one is refused.
pub const FORMAT: u32 = 1;

/// Bytes that the file may have, and files that it may name.
const MAX_BYTES: u64 = 64 * 1024 * 1024;
const MAX_FILES: usize = 200_000;

pub(super) const DATA: &str = "data";
pub(super) const CONFIG_FILE: &str = "config/config.toml";
pub(super) const GENESIS_FILE: &str = "config/genesis.json";
pub(super) const KEY_FILE: &str = "config/node_key.json";

/// Content of `backup.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`] of the program that made it.
    pub format: u32,
    /// The chain.
    pub chain_id: ChainId,
    /// Hash of its genesis.
    pub genesis_hash: Hash,
    /// The newest block that is in it.
    #[serde(with = "text")]
    pub height: Height,
    /// The node that it is from.
    pub node: PublicKey,
    /// When it was made, by that machine's clock, RFC 3339.
    pub time: String,
    /// Whether the database is encrypted: then it is nothing without its key.
    pub encrypted: bool,
    /// Whether the node's private key is in it.
    pub with_key: bool,
    /// All files but this one.
    pub files: Vec<File>,
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Where it lies, from the backup's folder on.
    pub path: String,
    /// Its length.
    #[serde(with = "text")]
    pub bytes: u64,
    /// SHA-256 of its content.
    pub sha256: Hash,
}

impl Manifest {
    /// Bytes of all files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.bytes))
    }

    /// Reads and checks that of a backup's folder.
    ///
    /// # Errors
    /// [`BackupError::Incomplete`], [`BackupError::Home`].
    pub fn load(folder: &Path) -> Result<Self, BackupError> {
        let incomplete =
            |reason: String| BackupError::Incomplete { path: folder.to_owned(), reason };
        let text = files::read(&folder.join(BACKUP_FILE), MAX_BYTES)?
            .ok_or_else(|| incomplete(format!("it has no {BACKUP_FILE}")))?;
        let manifest: Self = serde_json::from_str(&text)
            .map_err(|error| incomplete(format!("{BACKUP_FILE} cannot be read: {error}")))?;
        manifest.check().map_err(incomplete)?;
        Ok(manifest)
    }

    /// What every backup must hold, and nothing that lies outside its folder.
    fn check(&self) -> Result<(), String> {
        if self.format > FORMAT {
            return Err(format!(
                "it is of format {}, this program knows up to {FORMAT}",
                self.format
            ));
        }
        if Timestamp::from_rfc3339(&self.time).is_err() {
            let time = tandem_chain::types::escaped(&self.time);
            return Err(format!("\"{time}\" is no time as RFC 3339 has it"));
        }
        if self.files.len() > MAX_FILES {
            return Err(format!("{} files, at most {MAX_FILES} are allowed", self.files.len()));
        }
        let paths: BTreeSet<&str> = self.files.iter().map(|file| file.path.as_str()).collect();
        if paths.len() != self.files.len() {
            return Err("it names a file twice".to_owned());
        }
        if let Some(bad) = paths.iter().find(|path| !is_allowed(path)) {
            let bad = tandem_chain::types::escaped(bad);
            return Err(format!("\"{bad}\" is no file of a backup"));
        }
        for needed in [CONFIG_FILE, GENESIS_FILE, "data/CURRENT"] {
            if !paths.contains(needed) {
                return Err(format!("{needed} is not in it"));
            }
        }
        if self.with_key != paths.contains(KEY_FILE) {
            return Err(format!("it does not agree with itself on {KEY_FILE}"));
        }
        Ok(())
    }

    /// Writes it into a backup's folder, durably.
    pub(super) fn store(&self, folder: &Path) -> Result<(), BackupError> {
        let text = serde_json::to_string_pretty(self).expect("a plain struct");
        Ok(files::write_atomic(&folder.join(BACKUP_FILE), format!("{text}\n").as_bytes(), 0o600)?)
    }
}

/// Whether what has this name in a database's folder belongs to the process that has it open, or to a
/// backup or restore under way: it is part of no copy.
pub(super) fn is_of_process(name: &str) -> bool {
    [LOCK, SYNCED_FILE, RESTORING, CHECKPOINT, GATHERING].contains(&name) || name.starts_with("LOG")
}

/// Whether it names a file or folder, none that is hidden, and has no sign that means anything to a
/// shell.
pub(super) fn is_plain(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    !name.is_empty() && !name.starts_with('.') && name.bytes().all(plain)
}

/// Whether a backup may hold a file there.
fn is_allowed(path: &str) -> bool {
    match path.strip_prefix("data/") {
        Some(name) => is_plain(name) && !is_of_process(name),
        None => [CONFIG_FILE, GENESIS_FILE, KEY_FILE].contains(&path),
    }
}

/// Where a file of a backup lies; the path has been checked.
pub(super) fn place(folder: &Path, file: &File) -> PathBuf {
    folder.join(&file.path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes() {
        let file = |path: &str| File { path: path.to_owned(), bytes: 5, sha256: Hash([1; 32]) };
        let manifest = Manifest {
            format: FORMAT,
            chain_id: "test-1".parse().unwrap(),
            genesis_hash: Hash([2; 32]),
            height: Height(7),
            node: PublicKey([3; 32]),
            time: "2027-01-15T08:00:00Z".to_owned(),
            encrypted: false,
            with_key: false,
            files: [CONFIG_FILE, GENESIS_FILE, "data/CURRENT"].map(file).to_vec(),
        };
        let dir = tempfile::tempdir().unwrap();
        manifest.store(dir.path()).unwrap();
        let text = std::fs::read_to_string(dir.path().join(BACKUP_FILE)).unwrap();
        let (one, two, three) = ("01".repeat(32), "02".repeat(32), "03".repeat(32));
        let file = |path: &str| {
            let lines =
                ["{", "  \"path\": \"PATH\",", "  \"bytes\": \"5\",", "  \"sha256\": \"ONE\"", "}"];
            let lines = lines.map(|line| format!("    {line}"));
            lines.join("\n").replace("PATH", path).replace("ONE", &one)
        };
        let files = [CONFIG_FILE, GENESIS_FILE, "data/CURRENT"].map(file).join(",\n");
        let expected = format!(
            "{{\n  \"format\": 1,\n  \"chain_id\": \"test-1\",\n  \"genesis_hash\": \"{two}\",\n  \
             \"height\": \"7\",\n  \"node\": \"{three}\",\n  \"time\": \"2027-01-15T08:00:00Z\",\n  \
             \"encrypted\": false,\n  \"with_key\": false,\n  \"files\": [\n{files}\n  ]\n}}\n"
        );
        assert_eq!(text, expected);
        assert_eq!(Manifest::load(dir.path()).unwrap(), manifest);
    }
}
