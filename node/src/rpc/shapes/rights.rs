//! Answers about users and rights. The server writes these types, the client reads them.

use serde::{Deserialize, Serialize};
use tandem_chain::Error as ChainError;
use tandem_chain::keys::PublicKey;
use tandem_chain::modules::consortium::{User, UserRole};
use tandem_chain::modules::rights::{Granted, Grantee, Range, Right};
use tandem_chain::types::{DataSetName, Height, OrgName};

use super::text;

/// Answer of `users`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Users {
    /// The member.
    pub organization: OrgName,
    /// Its users, in the order of their keys.
    pub users: Vec<UserEntry>,
}

/// A user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserEntry {
    /// Its key.
    pub key: PublicKey,
    /// What it is to its organisation.
    pub role: UserRole,
    /// The block that registered it; 0 for one of genesis.
    #[serde(with = "text")]
    pub since: Height,
}

impl UserEntry {
    /// From the ledger's answer.
    #[must_use]
    pub fn new(key: PublicKey, User { role, since }: User) -> Self {
        Self { key, role, since }
    }
}

/// A range of records' keys, in hex.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeText {
    /// The first key; empty for the first of all.
    pub from: String,
    /// The key that is the first behind it; empty where it has no end.
    pub until: String,
}

impl From<&Range> for RangeText {
    fn from(range: &Range) -> Self {
        let [from, until] = [&range.from, &range.until].map(hex::encode_upper);
        Self { from, until }
    }
}

impl RangeText {
    /// The range.
    ///
    /// # Errors
    /// What is no hex.
    pub fn range(&self) -> Result<Range, hex::FromHexError> {
        Ok(Range { from: hex::decode(&self.from)?, until: hex::decode(&self.until)? })
    }
}

/// Answer of `rights`: a part of what is granted in a data set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rights {
    /// The data set.
    pub data_set: DataSetName,
    /// Grants to all members first, to an organisation before those to its users, by range.
    pub rights: Vec<RightEntry>,
    /// What to give as `after` for the next part; none when this was the last.
    pub next: Option<String>,
}

/// A right on a range of records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RightEntry {
    /// The organisation to which it is granted, or whose user it is; none for all members.
    pub organization: Option<OrgName>,
    /// The user to whom it is granted alone.
    pub user: Option<PublicKey>,
    /// The records.
    pub range: RangeText,
    /// What may be done with them.
    pub right: Right,
    /// The block that granted it.
    #[serde(with = "text")]
    pub height: Height,
    /// Whether it counts for nothing: the grantee has left since, and may have come back.
    pub is_void: bool,
}

impl From<Granted> for RightEntry {
    fn from(Granted { to, grant, is_void }: Granted) -> Self {
        let (organization, user) = match to {
            Grantee::Members => (None, None),
            Grantee::Org(org) => (Some(org), None),
            Grantee::User { org, key } => (Some(org), Some(key)),
        };
        let (range, right, height) = (RangeText::from(&grant.range), grant.right, grant.height);
        Self { organization, user, range, right, height, is_void }
    }
}

/// A grantee in a text: `*`, `ORG` or `ORG/KEY`.
#[must_use]
pub fn grantee_text(to: &Grantee) -> String {
    match to {
        Grantee::Members => "*".to_owned(),
        Grantee::Org(org) => org.to_string(),
        Grantee::User { org, key } => format!("{org}/{key}"),
    }
}

/// What [`grantee_text`] wrote.
///
/// # Errors
/// What is no name or no key.
pub fn grantee_from_text(text: &str) -> Result<Grantee, ChainError> {
    if text == "*" {
        return Ok(Grantee::Members);
    }
    match text.split_once('/') {
        None => Ok(Grantee::Org(text.parse()?)),
        Some((org, key)) => Ok(Grantee::User { org: org.parse()?, key: key.parse()? }),
    }
}

/// Answer of `may_read`: what of a data set a key may read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MayRead {
    /// The member whose key it is; none when it is nobody's that may do anything.
    pub organization: Option<OrgName>,
    /// The data set.
    pub data_set: DataSetName,
    /// The records that it may read, in their order.
    pub ranges: Vec<RangeText>,
    /// Whether the record that was asked for is one of them; none when none was.
    pub record: Option<bool>,
    /// Whether it reads whole blocks at this node, with every record that was ever written.
    pub blocks: bool,
    /// Why it may read nothing at all.
    pub reason: Option<String>,
}

#[cfg(test)]
mod tests {
    use tandem_chain::keys::SecretKey;

    use super::*;

    #[test]
    fn grantees_and_ranges_come_back_from_their_texts() {
        let key = SecretKey::from_seed(&[1; 32]).public();
        let org: OrgName = "alpha".parse().unwrap();
        for to in [Grantee::Members, Grantee::Org(org.clone()), Grantee::User { org, key }] {
            assert_eq!(grantee_from_text(&grantee_text(&to)), Ok(to));
        }
        for bad in ["", "**", "Alpha", "alpha/", "alpha/12", "/", "alpha/*"] {
            assert!(grantee_from_text(bad).is_err(), "{bad}");
        }
        for range in [Range::all(), Range::prefix(b"a/"), Range::prefix(b"\xff")] {
            assert_eq!(RangeText::from(&range).range(), Ok(range));
        }
    }
}
