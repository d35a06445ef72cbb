//! `tandem export` and `tandem import`.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
pub struct Export {
    /// File to make; - for standard output
    pub file: PathBuf,
    /// Data sets and records as they are now, in the place of blocks
    #[arg(long)]
    pub records: bool,
    /// First block; 1, when it is left out
    #[arg(long, value_name = "HEIGHT", conflicts_with = "records")]
    pub from: Option<u64>,
    /// Last block; the newest, when it is left out
    #[arg(long, value_name = "HEIGHT", conflicts_with = "records")]
    pub to: Option<u64>,
    /// Leave out what is for people, which is most of the file
    #[arg(long)]
    pub compact: bool,
}

#[derive(Debug, Args)]
pub struct Import {
    /// File that `tandem export` made; - for standard input
    pub file: PathBuf,
}
