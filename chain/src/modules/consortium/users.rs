//! Users: keys of an organisation with a role each.
//!
//! A role says what a key may do at all; where it may do that with records is the business of
//! [`crate::modules::rights`]. The tables of both are in `docs/rights.md`, and a test executes them.
//!
//! The admin key gives and takes every role. A user that is [`UserRole::Admin`] gives and takes those
//! that touch neither the organisation's seat nor other admins.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::keys::{PublicKey, Signature};
use crate::ledger::Event;
use crate::ledger::context::Context;
use crate::limits::MAX_USERS_PER_ORG;
use crate::modules::Sender;
use crate::modules::consortium::KeyRole;
use crate::modules::consortium::calls::{check_proof, not_found};
use crate::modules::consortium::change::refused;
use crate::modules::consortium::state::{
    check_new_key, delete_user, find_user, org, put_org, put_user,
};
use crate::types::{Height, escaped};

/// What a user is to its organisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UserRole {
    /// Sees to its users, its data sets and the rights on them.
    Admin,
    /// Runs the nodes that the admin key has registered: switches and partners.
    Operator,
    /// Creates data sets, writes and reads records.
    Writer,
    /// Reads records.
    Reader,
    /// Reads all records of the organisation, and whole blocks at its nodes.
    Auditor,
}

impl UserRole {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Admin, Self::Operator, Self::Writer, Self::Reader, Self::Auditor];

    /// Whether a user that is [`UserRole::Admin`] gives and takes it; the others are the admin key's
    /// alone.
    fn is_below_admin(self) -> bool {
        matches!(self, Self::Writer | Self::Reader | Self::Auditor)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Operator => "operator",
            Self::Writer => "writer",
            Self::Reader => "reader",
            Self::Auditor => "auditor",
        }
    }
}

impl fmt::Display for UserRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for UserRole {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|role| role.name() == text);
        found.ok_or_else(|| Error::Name {
            what: "role of a user",
            rule: "admin, operator, writer, reader or auditor",
            got: escaped(text),
        })
    }
}

/// A user in the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// What it is to its organisation.
    pub role: UserRole,
    /// The block that registered it; 0 for one of genesis.
    pub since: Height,
}

/// Refuses a sender that may not give or take a role.
fn must_give(sender: &Sender, role: UserRole) -> Result<(), Error> {
    let (is_given, needed) = if role.is_below_admin() {
        (sender.is(UserRole::Admin), "an organisation's admin key, or an admin of it,")
    } else {
        (false, "an organisation's admin key")
    };
    if is_given || sender.role == KeyRole::Admin {
        Ok(())
    } else {
        Err(Error::NotAllowed { sender: sender.key, needed })
    }
}

/// A user of the sender's organisation whose role the sender may take.
fn own_user(ctx: &mut Context, sender: &Sender, key: &PublicKey) -> Result<User, Error> {
    let found = find_user(&mut ctx.state, &sender.org, key)?;
    let user = found.ok_or_else(|| not_found("user", key))?;
    must_give(sender, user.role)?;
    Ok(user)
}

fn tell(ctx: &mut Context, kind: &str, sender: &Sender, key: &PublicKey, role: UserRole) {
    let attributes =
        [("org", sender.org.to_string()), ("user", key.to_string()), ("role", role.to_string())];
    ctx.events.push(Event::new(kind, attributes));
}

pub(super) fn add(
    ctx: &mut Context,
    sender: &Sender,
    key: &PublicKey,
    role: UserRole,
    proof: &Signature,
) -> Result<Vec<u8>, Error> {
    must_give(sender, role)?;
    check_new_key(&mut ctx.state, key)?;
    check_proof(ctx, sender, key, proof)?;
    let mut entry = org(&mut ctx.state, &sender.org)?;
    if entry.users >= MAX_USERS_PER_ORG as u64 {
        let max = MAX_USERS_PER_ORG;
        return Err(Error::TooMany { what: "users", max, got: max + 1 });
    }
    entry.users += 1;
    put_org(&mut ctx.state, &sender.org, &entry)?;
    put_user(&mut ctx.state, &sender.org, key, User { role, since: ctx.height });
    tell(ctx, "user_added", sender, key, role);
    Ok(Vec::new())
}

pub(super) fn remove(
    ctx: &mut Context,
    sender: &Sender,
    key: &PublicKey,
) -> Result<Vec<u8>, Error> {
    let user = own_user(ctx, sender, key)?;
    delete_user(&mut ctx.state, &sender.org, key)?;
    tell(ctx, "user_removed", sender, key, user.role);
    Ok(Vec::new())
}

pub(super) fn set_role(
    ctx: &mut Context,
    sender: &Sender,
    key: &PublicKey,
    role: UserRole,
) -> Result<Vec<u8>, Error> {
    let user = own_user(ctx, sender, key)?;
    must_give(sender, role)?;
    if user.role == role {
        return Err(refused(format!("user {key} is {role} already")));
    }
    put_user(&mut ctx.state, &sender.org, key, User { role, ..user });
    tell(ctx, "user_role_set", sender, key, role);
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_have_the_names_that_json_has() {
        for role in UserRole::ALL {
            assert_eq!(role.to_string().parse(), Ok(role));
            assert_eq!(serde_json::to_string(&role).unwrap(), format!("\"{role}\""));
        }
        let error = "root".parse::<UserRole>().unwrap_err().to_string();
        assert!(error.contains("admin, operator, writer") && error.contains("\"root\""));
    }
}
