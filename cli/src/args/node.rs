//! The command lines of `tandem node` and `tandem join`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use tandem_chain::limits::MAX_INVITATION_LIFE;
use tandem_chain::types::Hash;

use super::{Sending, time};

/// Nodes of an organisation: how they come, leave, and where they are.
#[derive(Debug, Subcommand)]
pub enum Node {
    /// Invite a new machine to be a node of the organisation: prints the token for `tandem join`
    Invite(Invite),
    /// Register a node without an invitation, with the organisation's admin key
    Register {
        /// The node: hex with --proof, or its key file
        node: String,
        /// What `tandem keys proof` printed on the node's machine
        #[arg(long, value_name = "HEX")]
        proof: Option<String>,
        /// It takes the free place in the pair; else it is an observer
        #[arg(long)]
        pair: bool,
        /// Where the others reach it; may be repeated
        #[arg(long, value_name = "MULTIADDR")]
        address: Vec<String>,
        #[command(flatten)]
        sending: Sending,
    },
    /// Take a node that holds no seat out of the register, with the admin key
    Remove {
        /// The node's key in hex
        node: String,
        /// Print what that does to the pair, and send nothing
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        sending: Sending,
    },
    /// Make an observer the partner in the pair, with the admin key
    SetPartner {
        /// The observer's key in hex
        node: String,
        /// Print what that does to the pair, and send nothing
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        sending: Sending,
    },
    /// Where a node is reached
    #[command(subcommand)]
    Address(Address),
    /// The registered nodes and where they are
    List,
}

#[derive(Debug, Subcommand)]
pub enum Address {
    /// Replace the addresses of the sending node, with its own key
    Set {
        /// Where the others reach it
        #[arg(required = true, value_name = "MULTIADDR")]
        address: Vec<String>,
        #[command(flatten)]
        sending: Sending,
    },
}

#[derive(Debug, Args)]
pub struct Invite {
    /// Key file of the organisation's admin; it signs here and is sent nowhere
    #[arg(long, value_name = "FILE")]
    pub admin_key: PathBuf,
    /// The node is to be an observer; else it takes the free place in the pair
    #[arg(long)]
    pub observer: bool,
    /// The node is to take the place of this one, which is lost and leaves the register
    #[arg(long, value_name = "NODE", conflicts_with = "observer")]
    pub replace: Option<String>,
    /// Time from now on in which the token may be used, such as 30m or 2d: at most 7d
    #[arg(long, default_value = "1h", value_name = "TIME", value_parser = validity)]
    pub valid: Duration,
    /// Refuse a node of a chain whose genesis has another hash
    #[arg(long, value_name = "HASH")]
    pub genesis_hash: Option<Hash>,
}

#[derive(Debug, Args)]
pub struct Join {
    /// What `tandem node invite` printed; or @FILE with it, or - for standard input
    pub token: String,
    /// Where the others reach this node, such as /ip4/10.0.0.1/tcp/26656; several are allowed
    #[arg(value_name = "ADDRESS")]
    pub address: Vec<String>,
    /// Multiaddress to listen on for other nodes; the port of the first ADDRESS when it is left out
    #[arg(long, value_name = "MULTIADDR")]
    pub listen: Option<String>,
    /// Address and port to answer RPC on
    #[arg(long, value_name = "HOST:PORT")]
    pub rpc_listen: Option<std::net::SocketAddr>,
    /// Levels of log lines, such as info,tandem_node::network=debug
    #[arg(long, value_name = "LEVELS")]
    pub log: Option<String>,
    /// Time for all of it, until the node is in the register
    #[arg(long, default_value = "60s", value_name = "TIME", value_parser = time)]
    pub timeout: Duration,
    /// Encrypt the node key, where one is made, with a passphrase, which each start needs then
    #[arg(long)]
    pub encrypt: bool,
    /// Do not start the node when it has joined
    #[arg(long)]
    pub no_start: bool,
}

/// An invitation's life from the newest block on.
fn validity(text: &str) -> Result<Duration, String> {
    let found = time(text)?;
    if found <= MAX_INVITATION_LIFE {
        Ok(found)
    } else {
        Err("a token is good for 7d at most".to_owned())
    }
}
