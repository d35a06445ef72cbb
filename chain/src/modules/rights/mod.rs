//! Rights on ranges of records, and who may read what.
//!
//! Two questions are asked before a key reads, writes or grants: does its *role* allow that at all,
//! and was the right *granted* on that record.
//!
//! - The role is the ceiling (`roles`): a reader never writes, whatever was granted to it.
//! - A [`Grant`] gives a [`Right`] on a [`Range`] of keys of one data set to a user, to an
//!   organisation, or to all members. A data set begins with one grant, to write everywhere, to the
//!   organisation that created it: that may be revoked like any other, and narrower ones be made.
//! - In its own organisation's data sets an admin has every right and an auditor reads, granted or
//!   not, so that nobody can be shut out of what it answers for.
//!
//! The owner of a data set grants on it. Whoever was granted [`Right::Admin`] on a range, and has a
//! role that allows it, grants and revokes [`Right::Read`] and [`Right::Write`] within that range.
//!
//! A grant counts for who had its place *before* the block of the grant: for the members of that
//! moment, and for a user as long as it stays one. So a name or key that leaves and comes back has
//! nothing of what it had, though nothing had to be cleared away: such a grant is void, and its owner
//! revokes it when it likes.
//!
//! Rights to read bind those who answer questions, as an RPC does. Nodes hold the whole ledger.
//!
//! | state key | value |
//! |---|---|
//! | `rights/grants/SET/*` | list of [`Grant`], by range: those to all members |
//! | `rights/grants/SET/ORG` | those to an organisation |
//! | `rights/grants/SET/ORG/KEY` | those to a user of it |
//! | `rights/grantees/SET` | number of those lists, none of which is empty |

mod calls;
mod check;
mod queries;
mod range;
mod roles;
mod state;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::keys::PublicKey;
use crate::types::{DataSetName, Height, OrgName, escaped};

pub(crate) use calls::execute;
pub(crate) use check::{must_create, must_write};
pub use queries::{Granted, grants, may_read, may_read_blocks, reach};
pub use range::{Range, Reach};
pub(crate) use state::open;

/// A call of this module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Call {
    /// Gives a right on a range of records, in the place of the one that the same range has for the
    /// same grantee.
    Grant {
        /// The data set.
        data_set: DataSetName,
        /// Who is given it.
        to: Grantee,
        /// The records' keys.
        range: Range,
        /// What may be done with them.
        right: Right,
    },
    /// Takes a grant back.
    Revoke {
        /// The data set.
        data_set: DataSetName,
        /// Whom it was given.
        to: Grantee,
        /// Its range, exactly.
        range: Range,
    },
}

/// What may be done with records; a later one includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Right {
    /// Read them.
    Read,
    /// Put and delete them.
    Write,
    /// Grant and revoke the rights before this one.
    Admin,
}

impl Right {
    /// All of them, the least first.
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Admin];

    fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Right {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|right| right.name() == text);
        found.ok_or_else(|| Error::Name {
            what: "right",
            rule: "read, write or admin",
            got: escaped(text),
        })
    }
}

/// Who is given a right.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Grantee {
    /// Every member, also those that join later.
    Members,
    /// All keys of an organisation.
    Org(OrgName),
    /// One user of an organisation.
    User {
        /// The organisation.
        org: OrgName,
        /// The user's key.
        key: PublicKey,
    },
}

impl fmt::Display for Grantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Members => f.write_str("all members"),
            Self::Org(org) => write!(f, "organisation {org}"),
            Self::User { org, key } => write!(f, "user {key} of {org}"),
        }
    }
}

/// A right on a range of a data set's records, in the state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The records' keys.
    pub range: Range,
    /// What may be done with them.
    pub right: Right,
    /// The block that granted it.
    pub height: Height,
}
