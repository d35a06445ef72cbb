//! `tandem db` and `tandem snapshot`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use tandem_node::snapshots::TrustedBlock;

#[derive(Debug, Subcommand)]
pub enum Db {
    /// Entries, bytes and levels of each column family
    Stats,
    /// Bring everything into tables, and what was deleted off the disk
    Compact,
    /// Take away old blocks, but those that evidence, repeated transactions and snapshots need
    Prune {
        /// The newest blocks that stay; what config.toml says, when neither is given
        #[arg(long, value_name = "N")]
        keep_blocks: Option<u64>,
        /// Days for which blocks stay; with both, the one that keeps more counts
        #[arg(long, value_name = "DAYS")]
        keep_days: Option<u64>,
        /// Say what would go, and take nothing away
        #[arg(long)]
        dry_run: bool,
    },
    /// Copy the database, configuration and genesis, while the node runs or stands
    Backup {
        /// Name of the backup's folder; the time, when it is left out
        name: Option<String>,
        /// Folder to make it in; storage.backup_dir of the configuration, when it is left out
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
        /// Put the node's private key in, too
        #[arg(long)]
        with_key: bool,
    },
    /// Make the home's database anew from a backup; the node's key counts as lost afterwards
    Restore {
        /// The backup's folder
        folder: PathBuf,
        /// Delete the database that the home has
        #[arg(long)]
        replace: bool,
    },
    /// Make a key that a new database is encrypted with, for storage.key_file
    Key {
        /// File to write, readable by its owner alone
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub enum Snapshot {
    /// Have the home's running node take one, and wait until it is there
    Create,
    /// Those in the home folder, the newest first
    List,
    /// Check every chunk in a folder, and that its state is to be trusted
    Verify(SnapshotFolder),
    /// Put the state in a folder into the home folder's empty database, while the node is stopped
    Restore(SnapshotFolder),
}

#[derive(Debug, Args)]
pub struct SnapshotFolder {
    /// The folder
    pub folder: PathBuf,
    /// Block above the snapshot's, as another member's node shows it; else the genesis is trusted
    #[arg(long, value_name = "HEIGHT:HASH")]
    pub trust: Option<TrustedBlock>,
    /// Key that the folder is encrypted with, when it is another than the home's
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
}
