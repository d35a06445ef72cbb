//! What can be wrong with snapshots.

use std::path::PathBuf;

use tandem_chain::types::Height;
use tandem_consensus::light::LightError;

use crate::home::HomeError;
use crate::storage;

/// Why a snapshot is not taken, verified or restored.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// A file holds something else than belongs there.
    #[error("{}: {reason}; take another snapshot, or get another copy of this one", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A folder is encrypted, and not with the key that there is.
    #[error(
        "{} is encrypted with another key than the home's: name the file with its own by --key-file",
        path.display()
    )]
    Key {
        /// The folder.
        path: PathBuf,
    },
    /// Writing would leave too little room for the node itself.
    #[error(
        "less than {} MiB are free where {} is written: make room, or set snapshots.interval to 0",
        least >> 20,
        path.display()
    )]
    Room {
        /// The folder.
        path: PathBuf,
        /// Bytes that must stay free.
        least: u64,
    },
    /// A file or folder.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The database does not open.
    #[error(transparent)]
    Storage(#[from] storage::Error),
    /// A chunk, manifest or block is wrong, or the database fails.
    #[error(transparent)]
    Chain(#[from] tandem_chain::Error),
    /// The header that names the state is not to be trusted.
    #[error("the snapshot's header is not to be trusted: {0}")]
    Trust(#[from] LightError),
    /// The snapshot is of something else than what is asked for.
    #[error("{what}")]
    Unfit {
        /// Of what, and what to do.
        what: String,
    },
    /// The database holds blocks that a restore would throw away.
    #[error(
        "the database is at height {height}: a snapshot is restored to an empty one only; move the data \
         folder away first"
    )]
    NotEmpty {
        /// The height.
        height: Height,
    },
    /// No peer has what is needed.
    #[error("no connected peer {what}")]
    NoPeer {
        /// Does what.
        what: &'static str,
    },
    /// The database that a state is restored to cannot be written.
    #[error(
        "the restore has stopped: {fault}; make room, or mend the disk, and do the same again: it goes \
         on where it stopped"
    )]
    Disk {
        /// The database's fault.
        fault: tandem_chain::Error,
    },
    /// It was told to stop.
    #[error("stopped")]
    Stopped,
}

impl SnapshotError {
    /// The same, as who restores is to read it: a database that fails is one that cannot be written.
    #[must_use]
    pub fn stopped(self) -> Self {
        match self {
            Self::Chain(fault @ tandem_chain::Error::Storage { .. }) => Self::Disk { fault },
            other => other,
        }
    }
}
