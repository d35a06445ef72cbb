//! Why a database does not open.

use std::path::PathBuf;

use tandem_chain::types::{Hash, Height};

/// What to do about a database that is damaged.
pub(super) const ADVICE: &str = "stop the node, and run `tandem db restore` with a backup, or move \
                                 the database's folder away: the node then fetches the chain from \
                                 the others";

/// Why a database does not open. Once it is open, faults are those of [`tandem_chain::Error`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the message of each variant says what it is")]
pub enum Error {
    #[error("another tandem process uses {}: stop it first, or use another home", path.display())]
    InUse { path: PathBuf },
    #[error(
        "the database in {} is of genesis {got}, this chain's is {expected}: use another home, or \
         the genesis file that belongs to it",
        path.display()
    )]
    OtherGenesis { path: PathBuf, expected: Hash, got: Hash },
    #[error(
        "the database in {} is of format {got}, this program knows up to {known}: use the newer \
         program that wrote it",
        path.display()
    )]
    NewerFormat { path: PathBuf, known: u32, got: u32 },
    #[error(
        "the database in {} has column families that this program does not know, {names}: use the \
         newer program that wrote it",
        path.display()
    )]
    NewerFamilies { path: PathBuf, names: String },
    #[error(
        "the database in {} is encrypted with another key: set storage.key_file in config.toml to \
         the file with its own",
        path.display()
    )]
    KeyWrong { path: PathBuf },
    #[error(
        "the database in {} is encrypted: set storage.key_file in config.toml to the file with its \
         key",
        path.display()
    )]
    KeyMissing { path: PathBuf },
    #[error(
        "the database in {} is not encrypted (it has no encryption.json), and storage.key_file in \
         config.toml names a key: take that out, or move the folder away to begin an encrypted one",
        path.display()
    )]
    KeyUnexpected { path: PathBuf },
    #[error("the database in {} is damaged: {reason}; {ADVICE}", path.display())]
    Damaged { path: PathBuf, reason: String },
    #[error("there is no database in {}", path.display())]
    None { path: PathBuf },
    #[error("{} cannot be opened as a database: {reason}", path.display())]
    Open { path: PathBuf, reason: String },
    #[error(
        "the database in {} holds a part of the state of height {height}: a restore from a snapshot \
         was interrupted; start the node, which goes on with it, or run `tandem snapshot restore` again",
        path.display()
    )]
    Restoring { path: PathBuf, height: Height },
    #[error("the database in {} does not answer: {source}", path.display())]
    Content { path: PathBuf, source: tandem_chain::Error },
}
