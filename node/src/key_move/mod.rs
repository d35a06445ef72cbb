//! Moving a node's key to another home, with what it has signed, so that it never signs anything twice.
//!
//! ```text
//! the old home                    FILE                        the new home
//! guard: leaving   1
//!                                 key and record   2
//! guard: moved     3
//!                                                             guard: coming          4
//!                                                             key, record            5
//!                                 taken, without the key  6
//!                                                             guard: used            7
//! ```
//!
//! Each step is on the medium before the next one begins. From step 1 on the old home does not start; before
//! step 7 the new one does not. Whoever is interrupted gives the same command again and goes on: the marks
//! name the move, and the file of an export that was begun is always the same. That FILE was used is written
//! into it, so that no second home takes it; of a copy nobody can know, but a home that has the key already
//! refuses it, and a node that catches up and is shown later signatures of its key stops.
//!
//! The record is all that consensus has made durable: the guard over the signatures, and lock, valid value
//! and votes of the height that was under way. So the key goes on where it was, even if the chain waits for it
//! at that very height, and contradicts nothing.

mod export;
mod file;
mod import;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use tandem_chain::types::Hash;

use crate::backup::BackupError;
use crate::config::ConfigError;
use crate::home::HomeError;
use crate::run::NodeError;
use crate::storage;

pub use export::{Exported, export};
pub use import::{Imported, import};

/// Why a key was not moved.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// A file of the home, or the file that the key moves in.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The home, as its node would start from it.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The database: [`storage::Error::InUse`] while the node runs.
    #[error(transparent)]
    Storage(#[from] storage::Error),
    /// A restore that was interrupted cannot be finished.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The database fails, or is damaged.
    #[error(transparent)]
    Chain(#[from] tandem_chain::Error),
    /// An export was begun into another file.
    #[error(
        "an export of this home's key into {} was begun, and may be there: finish it with that name",
        begun.display()
    )]
    OtherFile {
        /// Where it goes.
        begun: PathBuf,
    },
    /// The file has been imported.
    #[error(
        "{} was imported into {into} at {time}, and is good for one import: there the key signs",
        path.display()
    )]
    Taken {
        /// The file.
        path: PathBuf,
        /// The home, as its machine calls it, escaped.
        into: String,
        /// When, RFC 3339.
        time: String,
    },
    /// Another import is at the file.
    #[error("another program is at {}: wait for it", path.display())]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// The home has the key.
    #[error(
        "{} has this key already, and may have signed with it since the export: nothing is imported",
        path.display()
    )]
    HasKey {
        /// The key's file.
        path: PathBuf,
    },
    /// The home has another key.
    #[error("{} is the key of another node: choose another --home", path.display())]
    OtherKey {
        /// The key's file.
        path: PathBuf,
    },
    /// The key has signed here what the file does not know.
    #[error(
        "{} is of a time before this home's key signed last: find the export of the home that has the \
         key now",
        path.display()
    )]
    Older {
        /// The file.
        path: PathBuf,
    },
    /// The home is one of another chain.
    #[error(
        "the key is of a chain with genesis {got}, the home of {expected}: choose another --home"
    )]
    OtherGenesis {
        /// The home's.
        expected: Hash,
        /// The file's.
        got: Hash,
    },
}

/// A point between two steps, at which a process may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Point {
    /// Before step 1.
    Begun,
    /// Behind step 1.
    Leaving,
    /// Behind step 2.
    Written,
    /// Behind step 4.
    Coming,
    /// In step 5: the key is there, and nothing of its record.
    Key,
    /// Behind step 5.
    Record,
    /// Behind step 6.
    Taken,
}

/// Told each point as it is reached; an error ends the move there, as the end of the process would.
pub(crate) type At<'a> = &'a mut dyn FnMut(Point) -> Result<(), MoveError>;
