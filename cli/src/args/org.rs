//! The command line of `tandem org`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use tandem_chain::limits::MAX_MOTION_LIFE;
use tandem_chain::types::{OrgName, Power};

use super::{Sending, power, time};

#[derive(Debug, Subcommand)]
pub enum Org {
    /// The members
    List,
    /// A member: its keys, its seat, its nodes
    Show {
        /// Its name
        name: OrgName,
    },
    /// Propose a change of the consortium, with an admin key; that is a vote for it
    #[command(subcommand)]
    Propose(Propose),
    /// Vote for a motion, with an admin key
    Vote {
        /// Its number
        motion: u64,
        #[command(flatten)]
        sending: Sending,
    },
    /// Motions, the newest first; or one of them, and what it would do now
    Motions {
        /// Its number
        motion: Option<u64>,
        /// Only those that can be voted on
        #[arg(long, conflicts_with = "motion")]
        open: bool,
        /// How many at most
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=100))]
        limit: u64,
    },
    /// How many members must agree to what
    Policy,
    /// Replace the own admin key: signed by the old one, at once
    AdminKey {
        /// The new key's file
        new: PathBuf,
        #[command(flatten)]
        sending: Sending,
    },
}

#[derive(Debug, Subcommand)]
pub enum Propose {
    /// A new organisation
    Add {
        /// Its name
        name: OrgName,
        /// Its admin key: hex, or a key file
        #[arg(long, value_name = "KEY")]
        admin_key: String,
        /// Voting power of its seat
        #[arg(long, default_value = "1", value_parser = power)]
        power: Power,
        #[command(flatten)]
        proposing: Proposing,
    },
    /// That an organisation is a member no more
    Remove {
        /// Its name
        name: OrgName,
        #[command(flatten)]
        proposing: Proposing,
    },
    /// That an organisation's seat is left out, and its keys send nothing, until it is restored
    Suspend {
        /// Its name
        name: OrgName,
        #[command(flatten)]
        proposing: Proposing,
    },
    /// The end of a suspension
    Restore {
        /// The organisation's name
        name: OrgName,
        #[command(flatten)]
        proposing: Proposing,
    },
    /// Another voting power of a seat
    Power {
        /// The organisation's name
        name: OrgName,
        /// The power
        #[arg(value_parser = power)]
        power: Power,
        #[command(flatten)]
        proposing: Proposing,
    },
    /// Another admin key for an organisation that has lost its own
    AdminKey {
        /// The organisation's name
        name: OrgName,
        /// The new key: hex, or a key file
        new: String,
        #[command(flatten)]
        proposing: Proposing,
    },
    /// Other parameters of the chain
    Parameters {
        /// Those that are to be different, as NAME=VALUE
        #[arg(required = true, value_name = "NAME=VALUE")]
        set: Vec<String>,
        #[command(flatten)]
        proposing: Proposing,
    },
    /// Another policy
    Policy {
        /// The thresholds that are to be different, as NAME=THRESHOLD: any-one, more-than-half,
        /// more-than-two-thirds or all
        #[arg(required = true, value_name = "NAME=THRESHOLD")]
        set: Vec<String>,
        #[command(flatten)]
        proposing: Proposing,
    },
}

impl Propose {
    /// Key file of who proposes.
    pub fn key(&self) -> &Path {
        match self {
            Self::Add { proposing, .. }
            | Self::Remove { proposing, .. }
            | Self::Suspend { proposing, .. }
            | Self::Restore { proposing, .. }
            | Self::Power { proposing, .. }
            | Self::AdminKey { proposing, .. }
            | Self::Parameters { proposing, .. }
            | Self::Policy { proposing, .. } => &proposing.sending.key,
        }
    }
}

/// A motion's life from the newest block on. The block that it comes into is later.
fn life(text: &str) -> Result<Duration, String> {
    let found = time(text)?;
    let bounds = Duration::from_secs(60)..=MAX_MOTION_LIFE;
    if bounds.contains(&found) { Ok(found) } else { Err("a motion lives for 1m to 90d".to_owned()) }
}

/// Options of all proposals.
#[derive(Clone, Debug, Args)]
pub struct Proposing {
    /// Print what the change would do, and send nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Carry it out though fewer seats than a quorum would be online; takes the policy's highest
    /// threshold
    #[arg(long)]
    pub force: bool,
    /// Time after which it cannot be voted on any more, such as 30m, 12h or 7d: at most 90d
    #[arg(long, default_value = "7d", value_name = "TIME", value_parser = life)]
    pub expires_in: Duration,
    #[command(flatten)]
    pub sending: Sending,
}
