//! The command lines about users, rights on records, and permits to read.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use tandem_chain::keys::PublicKey;
use tandem_chain::limits::MAX_TOKEN_TIME;
use tandem_chain::modules::consortium::UserRole;
use tandem_chain::modules::rights::{Range, Right};
use tandem_chain::types::{ChainId, DataSetName, OrgName};

use super::{Sending, time};
use crate::exit::Usage;
use crate::input;

/// Keys that act for the sender's organisation.
#[derive(Debug, Subcommand)]
pub enum UserTx {
    /// Register a key as a user, with the admin key or as an admin
    Add {
        /// The key: hex with --proof, or its key file
        user: String,
        /// What it is to be: admin, operator, writer, reader or auditor
        #[arg(long, default_value = "writer", value_name = "ROLE", value_parser = role)]
        role: UserRole,
        /// What `tandem keys proof` printed where the key is kept
        #[arg(long, value_name = "HEX")]
        proof: Option<String>,
        #[command(flatten)]
        sending: Sending,
    },
    /// Give a user another role, with the admin key or as an admin
    Role {
        /// The key: hex, or a key file
        user: String,
        /// What it is to be: admin, operator, writer, reader or auditor
        #[arg(value_parser = role)]
        role: UserRole,
        #[command(flatten)]
        sending: Sending,
    },
    /// Take a user back, with the admin key or as an admin
    Remove {
        /// The key: hex, or a key file
        user: String,
        #[command(flatten)]
        sending: Sending,
    },
}

/// Rights on ranges of records.
#[derive(Debug, Subcommand)]
pub enum RightTx {
    /// Grant a right on records, in the place of what the same grantee has on the same keys
    Grant {
        #[command(flatten)]
        on: On,
        /// What may be done: read, write (and read) or admin (and grant both)
        #[arg(value_parser = right)]
        right: Right,
        #[command(flatten)]
        sending: Sending,
    },
    /// Take a grant back: on exactly the keys that it is on
    Revoke {
        #[command(flatten)]
        on: On,
        #[command(flatten)]
        sending: Sending,
    },
}

/// What is granted to whom.
#[derive(Debug, Args)]
pub struct On {
    /// The data set
    pub set: DataSetName,
    #[command(flatten)]
    pub to: To,
    /// The organisation that --user is or was of; asked from the node, when it is left out
    #[arg(long, value_name = "ORG", conflicts_with_all = ["members", "org"])]
    pub of: Option<OrgName>,
    #[command(flatten)]
    pub keys: KeyRange,
}

/// Whom something is granted.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct To {
    /// To all members, those that join later included
    #[arg(long)]
    pub members: bool,
    /// To an organisation with all its keys
    #[arg(long, value_name = "NAME")]
    pub org: Option<OrgName>,
    /// To one user: hex, or a key file
    #[arg(long, value_name = "KEY")]
    pub user: Option<String>,
}

/// A range of records' keys.
#[derive(Debug, Args)]
pub struct KeyRange {
    /// All keys
    #[arg(long, conflicts_with_all = ["prefix", "from", "until"])]
    pub all: bool,
    /// The keys that start so: text, or hex digits after 0x
    #[arg(long, value_name = "KEY", conflicts_with_all = ["from", "until"])]
    pub prefix: Option<String>,
    /// The keys from this one on: text, or hex digits after 0x
    #[arg(long, value_name = "KEY")]
    pub from: Option<String>,
    /// The keys before this one: text, or hex digits after 0x
    #[arg(long, value_name = "KEY")]
    pub until: Option<String>,
}

impl KeyRange {
    /// The range; none when nothing is said.
    pub fn range(&self) -> anyhow::Result<Option<Range>> {
        let Self { all, prefix, from, until } = self;
        if let Some(prefix) = prefix {
            return Ok(Some(Range::prefix(&input::record_key(prefix)?)));
        }
        if !all && from.is_none() && until.is_none() {
            return Ok(None);
        }
        let key = |text: &Option<String>| input::record_key(text.as_deref().unwrap_or_default());
        let range = Range { from: key(from)?, until: key(until)? };
        range.check().map_err(|error| Usage(error.to_string()))?;
        Ok(Some(range))
    }

    /// The range, which must be named.
    pub fn named(&self) -> anyhow::Result<Range> {
        let text = "name the records' keys: --all, --prefix KEY, or --from KEY and --until KEY";
        Ok(self.range()?.ok_or_else(|| Usage(text.to_owned()))?)
    }
}

/// Permits to read, where nodes ask for them.
#[derive(Debug, Subcommand)]
pub enum Permit {
    /// Sign a token: whoever has it reads as its key
    Make(MakePermit),
    /// What a permit says, and whether its signature is good
    Show {
        /// Hex digits, @FILE with them, or - for standard input
        permit: String,
    },
}

#[derive(Debug, Args)]
pub struct MakePermit {
    /// Key file of who reads
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// Time for which it is good, at most 7d
    #[arg(long, default_value = "1h", value_name = "TIME", value_parser = valid)]
    pub valid: Duration,
    /// The node that it is for, in hex; the one that is asked, when it is left out
    #[arg(long, value_name = "NODE")]
    pub at: Option<PublicKey>,
    /// It is for every node
    #[arg(long, conflicts_with = "at")]
    pub any_node: bool,
    /// Id of the chain; asked from the node, when it is left out
    #[arg(long)]
    pub chain_id: Option<ChainId>,
    /// It is for the records of this data set alone
    #[arg(long)]
    pub set: Option<DataSetName>,
    #[command(flatten)]
    pub keys: KeyRange,
}

fn role(text: &str) -> Result<UserRole, String> {
    text.parse().map_err(|error: tandem_chain::Error| error.to_string())
}

fn right(text: &str) -> Result<Right, String> {
    text.parse().map_err(|error: tandem_chain::Error| error.to_string())
}

fn valid(text: &str) -> Result<Duration, String> {
    match time(text)? {
        valid if valid.is_zero() => Err("it would have ended already".to_owned()),
        valid if valid > MAX_TOKEN_TIME => Err("a token is good for 7d at most".to_owned()),
        valid => Ok(valid),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_that_are_named() {
        let none = || KeyRange { all: false, prefix: None, from: None, until: None };
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(none().range().unwrap(), None);
        assert!(none().named().unwrap_err().to_string().contains("--prefix"));
        let all = KeyRange { all: true, ..none() };
        assert_eq!(all.named().unwrap(), Range::all());
        let prefix = KeyRange { prefix: text("a/"), ..none() };
        assert_eq!(prefix.named().unwrap(), Range::prefix(b"a/"));
        let from = KeyRange { from: text("0x00ff"), ..none() };
        assert_eq!(from.named().unwrap(), Range { from: vec![0, 255], until: Vec::new() });
        let back = KeyRange { from: text("b"), until: text("a"), ..none() };
        let error = back.named().unwrap_err();
        assert!(error.is::<Usage>() && error.to_string().contains("holds no key"), "{error}");
    }
}
