//! Organisations that are suspended, or removed and about to go.
//!
//! In the block that closes an organisation its seat leaves the role table of two heights later,
//! but the one of the next height still names its holder, whose vote the others may need: that
//! node alone stays in the register for a block more. Then a removed organisation is forgotten.
//! What was signed before is judged all the same: role tables of the evidence window stay, and a
//! key that is barred then never enters the chain again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::keys::PublicKey;
use crate::ledger::context::Context;
use crate::ledger::state::State;
use crate::modules::consortium::change::tell;
use crate::modules::consortium::state::{
    delete_key, delete_org, org, org_names, put_org, put_org_names, take_users,
};
use crate::modules::standby;
use crate::types::{Height, OrgName};

/// State key of the organisations that are closed: a map of name to [`Closed`], not there when it
/// is empty.
pub(super) const CLOSED: &str = "consortium/closed";

/// How an organisation is closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// It is a member no more, and forgotten as soon as no role table to come names its holder;
    /// else it is suspended.
    pub is_removed: bool,
    /// The node that still signs for the next height.
    pub last: Option<PublicKey>,
}

/// All that are closed, by name.
pub(super) fn all(state: &mut State) -> Result<BTreeMap<OrgName, Closed>, Error> {
    Ok(state.read("closed organisations", CLOSED.as_bytes())?.unwrap_or_default())
}

/// How an organisation is closed; none when it is not.
pub(super) fn of(state: &mut State, name: &OrgName) -> Result<Option<Closed>, Error> {
    Ok(all(state)?.remove(name))
}

fn set(state: &mut State, name: &OrgName, closed: Option<Closed>) -> Result<(), Error> {
    let mut map = all(state)?;
    match closed {
        Some(closed) => map.insert(name.clone(), closed),
        None => map.remove(name),
    };
    if map.is_empty() {
        state.delete(CLOSED.into());
    } else {
        state.write(CLOSED.into(), &map);
    }
    Ok(())
}

/// The members that are not suspended: those that have a vote.
pub(super) fn voters(state: &mut State) -> Result<Vec<OrgName>, Error> {
    let closed = all(state)?;
    let mut names = org_names(state)?;
    names.retain(|name| !closed.contains_key(name));
    Ok(names)
}

pub(super) fn suspend(ctx: &mut Context, name: &OrgName) -> Result<Height, Error> {
    let last = standby::close_seat(ctx, name)?;
    set(&mut ctx.state, name, Some(Closed { is_removed: false, last }))?;
    let effective = ctx.effective();
    tell(ctx, "org_suspended", name, effective);
    Ok(effective)
}

/// Ends a suspension. In effect from the next height on: nodes are in the register and keys may
/// send again; the seat is filled when one of the pair is alive.
pub(super) fn restore(ctx: &mut Context, name: &OrgName) -> Result<Height, Error> {
    standby::reopen_seat(ctx, name)?;
    set(&mut ctx.state, name, None)?;
    let effective = ctx.height.next();
    tell(ctx, "org_restored", name, effective);
    Ok(effective)
}

pub(super) fn remove(ctx: &mut Context, name: &OrgName) -> Result<Height, Error> {
    let last = standby::close_seat(ctx, name)?;
    let mut entry = org(&mut ctx.state, name)?;
    for key in entry.nodes.keys().filter(|key| last != Some(**key)) {
        delete_key(&mut ctx.state, key)?;
    }
    entry.nodes.retain(|key, _| last == Some(*key));
    delete_key(&mut ctx.state, &entry.admin_key)?;
    entry.users = 0;
    put_org(&mut ctx.state, name, &entry)?;
    take_users(&mut ctx.state, name)?;
    set(&mut ctx.state, name, Some(Closed { is_removed: true, last }))?;
    if last.is_none() {
        forget(&mut ctx.state, name)?;
        standby::forget_seat(&mut ctx.state, name)?;
    }
    let effective = ctx.effective();
    tell(ctx, "org_removed", name, effective);
    Ok(effective)
}

/// No role table to come names the holder of a closed organisation any more: it leaves the register,
/// and with it the organisation that was removed; whether it was.
pub(super) fn last_has_left(
    state: &mut State,
    name: &OrgName,
    key: &PublicKey,
) -> Result<bool, Error> {
    let Some(closed) = of(state, name)? else { return Ok(false) };
    if !closed.is_removed {
        set(state, name, Some(Closed { last: None, ..closed }))?;
        return Ok(false);
    }
    delete_key(state, key)?;
    forget(state, name)?;
    Ok(true)
}

fn forget(state: &mut State, name: &OrgName) -> Result<(), Error> {
    let mut names = org_names(state)?;
    names.retain(|other| other != name);
    put_org_names(state, &names);
    delete_org(state, name)?;
    set(state, name, None)
}
