//! The module's calls.

use crate::error::Error;
use crate::ledger::Event;
use crate::ledger::context::Context;
use crate::limits::MAX_GRANTS_PER_GRANTEE;
use crate::modules::rights::check::{Owned, is_void, must_grant, since};
use crate::modules::rights::state::{grants, put_grants};
use crate::modules::rights::{Call, Grant, Grantee, Range, Right};
use crate::modules::{Sender, records};
use crate::stored::Plain;
use crate::types::{DataSetName, Height};

/// Executes a call. Its data is empty.
pub(crate) fn execute(ctx: &mut Context, sender: &Sender, call: &Call) -> Result<Vec<u8>, Error> {
    match call {
        Call::Grant { data_set, to, range, right } => {
            let owner = &records::must_be_owned(&mut ctx.state, data_set)?;
            grant(ctx, sender, Owned { data_set, owner }, to, range, *right)?;
        }
        Call::Revoke { data_set, to, range } => {
            let owner = &records::must_be_owned(&mut ctx.state, data_set)?;
            revoke(ctx, sender, Owned { data_set, owner }, to, range)?;
        }
    }
    Ok(Vec::new())
}

fn grant(
    ctx: &mut Context,
    sender: &Sender,
    of: Owned,
    to: &Grantee,
    range: &Range,
    right: Right,
) -> Result<(), Error> {
    range.check()?;
    must_grant(ctx, sender, of, right, range)?;
    let since = must_be_there(ctx, of, to)?;
    let mut list = grants(&mut ctx.state, of.data_set, to)?;
    list.retain(|grant| !is_void(grant, Some(since)));
    if let Some(old) = take(&mut list, range) {
        must_grant(ctx, sender, of, old.right, range)?;
    }
    list.push(Grant { range: range.clone(), right, height: ctx.height });
    list.sort_by(|one, other| one.range.cmp(&other.range));
    if list.len() > MAX_GRANTS_PER_GRANTEE {
        let (max, got) = (MAX_GRANTS_PER_GRANTEE, list.len());
        return Err(Error::TooMany { what: "ranges granted to one in a data set", max, got });
    }
    put_grants(&mut ctx.state, of.data_set, to, &list)?;
    ctx.events.push(event("right_granted", of.data_set, to, range, right));
    Ok(())
}

fn revoke(
    ctx: &mut Context,
    sender: &Sender,
    of: Owned,
    to: &Grantee,
    range: &Range,
) -> Result<(), Error> {
    let mut list = grants(&mut ctx.state, of.data_set, to)?;
    let Some(old) = take(&mut list, range) else {
        let name = format!("on {range} in {} to {to}", of.data_set);
        return Err(Error::NotFound { what: "grant", name });
    };
    must_grant(ctx, sender, of, old.right, range)?;
    put_grants(&mut ctx.state, of.data_set, to, &list)?;
    ctx.events.push(event("right_revoked", of.data_set, to, range, old.right));
    Ok(())
}

fn take(list: &mut Vec<Grant>, range: &Range) -> Option<Grant> {
    let at = list.iter().position(|grant| grant.range == *range)?;
    Some(list.remove(at))
}

/// Refuses a grantee to whom a grant of this block would be void; the block that gave it its place.
fn must_be_there(ctx: &mut Context, of: Owned, to: &Grantee) -> Result<Height, Error> {
    let Some(since) = since(&mut ctx.state, of, to)? else {
        return Err(Error::NotFound { what: "grantee", name: to.to_string() });
    };
    if since >= ctx.height {
        let reason = format!("{to} came in this very block: grant in a later one");
        return Err(Error::Refused { reason });
    }
    Ok(since)
}

/// Organisation and user are empty in a grant to all members.
fn event(kind: &str, data_set: &DataSetName, to: &Grantee, range: &Range, right: Right) -> Event {
    let (org, user) = match to {
        Grantee::Members => (String::new(), String::new()),
        Grantee::Org(org) => (org.to_string(), String::new()),
        Grantee::User { org, key } => (org.to_string(), key.to_string()),
    };
    let attributes = [
        ("data_set", data_set.to_string()),
        ("org", org),
        ("user", user),
        ("from", Plain(&range.from).to_string()),
        ("until", Plain(&range.until).to_string()),
        ("right", right.to_string()),
    ];
    Event::new(kind, attributes)
}
