//! Why a database does not open.

use std::path::PathBuf;

use tandem_chain::types::Hash;

/// Why a database does not open. Once it is open, faults are those of [`tandem_chain::Error`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the message of each variant says what it is")]
pub enum Error {
    #[error(
        "there is no database in {}: name the home of a node that has started, with --home",
        path.display()
    )]
    Missing { path: PathBuf },
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
    #[error("{} cannot be opened as a database: {reason}", path.display())]
    Open { path: PathBuf, reason: String },
    #[error("the database in {} does not answer: {source}", path.display())]
    Content { path: PathBuf, source: tandem_chain::Error },
}
