//! Copies of a node's database, with what else its home needs.
//!
//! ```text
//! <folder>/backup.json            what is in it, each file with its length and SHA-256; written last
//! <folder>/config/genesis.json
//! <folder>/config/config.toml
//! <folder>/config/node_key.json   only when it was asked for
//! <folder>/data/                  the database
//! ```
//!
//! A backup is made beside its final name and renamed when all of it is on the medium. It is read
//! back as a database before that, so that damage is found when there is still another copy. The
//! guard record, what consensus has signed, and the key of an encrypted database are never in it.
//!
//! A restore copies into a folder within the database's own, checks every byte against
//! `backup.json`, marks the node's key as restored, and only then deletes the old files and puts the
//! new ones in their place. The mark makes the key a lost one: it may have signed more than the backup knows
//! (`consensus/src/lost.rs`).

mod copy;
mod create;
mod manifest;
mod restore;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use tandem_chain::types::Hash;

use crate::config::ConfigError;
use crate::genesis_files;
use crate::home::HomeError;
use crate::storage;

pub use create::{Order, check_name, create};
pub use manifest::{BACKUP_FILE, FORMAT, File, Manifest};
pub use restore::{Restored, clean_up, finish, restore};

/// Why there is no backup, or nothing was restored from one.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The name is none for a folder.
    #[error(
        "\"{got}\" is no name for a backup: 1 to 64 of a-z, A-Z, 0-9, '-', '_' and '.', the first \
         no '.'"
    )]
    Name {
        /// What was given, escaped.
        got: String,
    },
    /// There is something of that name.
    #[error("{} exists already: choose another name, or move it away", path.display())]
    Exists {
        /// Where.
        path: PathBuf,
    },
    /// A file or folder.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The configuration of the home or of the backup.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The database does not open.
    #[error(transparent)]
    Storage(#[from] storage::Error),
    /// The database fails, or is damaged.
    #[error(transparent)]
    Chain(#[from] tandem_chain::Error),
    /// A folder that is no complete backup.
    #[error("{} is no backup, or one that was not completed: {reason}", path.display())]
    Incomplete {
        /// The folder.
        path: PathBuf,
        /// What is missing or wrong.
        reason: String,
    },
    /// A file of a backup is not what was written.
    #[error(
        "{} is not what was backed up: {reason}; use another backup, or let the node fetch the \
         chain from the others",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How it differs.
        reason: String,
    },
    /// The backup is of another chain.
    #[error("the backup is of genesis {got}, the home of {expected}: use another --home")]
    OtherGenesis {
        /// The home's.
        expected: Hash,
        /// The backup's.
        got: Hash,
    },
    /// The home has a database.
    #[error(
        "{} holds a database already: add --replace to put the backup in its place, which deletes \
         it",
        path.display()
    )]
    Occupied {
        /// Its folder.
        path: PathBuf,
    },
    /// Neither home nor backup has a node key.
    #[error(
        "{} does not exist, and the backup has no key: make the home with `tandem init`, or put the \
         node's key there, first",
        path.display()
    )]
    NoKey {
        /// Where it belongs.
        path: PathBuf,
    },
    /// The node stops.
    #[error("the node stops: the backup was given up")]
    Stopped,
}

/// The genesis hash of a home or backup; none when it has no genesis file.
fn genesis_hash(path: &std::path::Path) -> Result<Option<Hash>, BackupError> {
    if !path.exists() {
        return Ok(None);
    }
    Ok(Some(genesis_files::load(path)?.0.hash()))
}
