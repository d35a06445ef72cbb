//! The command lines of `tandem keys`.

use std::path::PathBuf;

use clap::Subcommand;
use tandem_chain::types::{ChainId, OrgName};

use super::Places;

#[derive(Debug, Subcommand)]
pub enum Keys {
    /// Make a key for an admin or user
    New {
        /// File to write, readable by its owner alone
        file: PathBuf,
        /// Encrypt it with a passphrase
        #[arg(long)]
        encrypt: bool,
    },
    /// Encrypt a key file with a passphrase
    Encrypt {
        /// The file; the node key of the home folder, when it is left out
        file: Option<PathBuf>,
    },
    /// Decrypt a key file: whoever reads it has the key then
    Decrypt {
        /// The file; the node key of the home folder, when it is left out
        file: Option<PathBuf>,
    },
    /// Change the passphrase of a key file
    Passphrase {
        /// The file; the node key of the home folder, when it is left out
        file: Option<PathBuf>,
        /// File with the new passphrase; it may also stand in TANDEM_NEW_PASSPHRASE, or is asked for at a
        /// terminal
        #[arg(long, env = "TANDEM_NEW_PASSPHRASE_FILE", value_name = "FILE")]
        new_passphrase_file: Option<PathBuf>,
    },
    /// Move the node key of the home, with what it has signed, into a file: the home refuses to start then
    Export {
        /// File to write; an export that was interrupted is finished with the same name
        file: PathBuf,
        /// Encrypt the key in it with a passphrase, when it is not encrypted in the home
        #[arg(long)]
        encrypt: bool,
    },
    /// Move the node key in such a file into the home, which is made where it is not there
    Import {
        /// What `tandem keys export` wrote; it is good for one import
        file: PathBuf,
        #[command(flatten)]
        places: Places,
    },
    /// Print the public key of a key file
    Show {
        /// The file; the node key of the home folder, when it is left out
        file: Option<PathBuf>,
    },
    /// Print a key's proof that it is to be of an organisation, for `node register` and `tx user add`
    Proof {
        /// Its file; the node key of the home folder, when it is left out
        file: Option<PathBuf>,
        /// Name of the organisation
        #[arg(long)]
        org: OrgName,
        /// Id of the chain
        #[arg(long)]
        chain_id: ChainId,
    },
}
