//! Changes of the consortium: what each is, what it must fulfil, and how it is carried out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::keys::PublicKey;
use crate::ledger::Event;
use crate::ledger::context::Context;
use crate::ledger::state::State;
use crate::limits::{MAX_ORGS, MAX_TOTAL_POWER};
use crate::modules::consortium::closed::{self, Closed};
use crate::modules::consortium::state::{
    check_new_key, delete_key, find_org, org, org_names, put_key, put_org, put_org_names,
    put_policy,
};
use crate::modules::consortium::{KeyRole, Org, Policy};
use crate::modules::parameters::Parameters;
use crate::modules::{parameters, records, standby};
use crate::types::{Height, OrgName, Power};

/// A change of the consortium, as a motion proposes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Change {
    /// A new organisation becomes a member. Its seat stays left out until its admin key names a
    /// node.
    AddOrg {
        /// Its name, and its seat's.
        name: OrgName,
        /// The key that it keeps off its nodes.
        admin_key: PublicKey,
        /// Voting power of its seat.
        power: Power,
    },
    /// An organisation is a member no more: its seat leaves the role table, its keys leave the
    /// chain.
    RemoveOrg {
        /// Its name.
        name: OrgName,
    },
    /// An organisation keeps its place, but its seat leaves the role table, its nodes the register,
    /// and its keys may send nothing.
    SuspendOrg {
        /// Its name.
        name: OrgName,
    },
    /// A suspension ends. The seat is filled as soon as a node of its pair is alive.
    RestoreOrg {
        /// Its name.
        name: OrgName,
    },
    /// An organisation's seat has another voting power.
    SetPower {
        /// Its name.
        name: OrgName,
        /// The power.
        power: Power,
    },
    /// An organisation whose admin key is lost or stolen gets another.
    ReplaceAdminKey {
        /// Its name.
        name: OrgName,
        /// The new key.
        key: PublicKey,
    },
    /// All parameters of the chain are replaced.
    SetParameters(Parameters),
    /// The policy is replaced.
    SetPolicy(Policy),
}

impl Change {
    /// The organisation that it is about.
    #[must_use]
    pub fn about(&self) -> Option<&OrgName> {
        match self {
            Self::AddOrg { name, .. }
            | Self::RemoveOrg { name }
            | Self::SuspendOrg { name }
            | Self::RestoreOrg { name }
            | Self::SetPower { name, .. }
            | Self::ReplaceAdminKey { name, .. } => Some(name),
            Self::SetParameters(_) | Self::SetPolicy(_) => None,
        }
    }

    /// What it does, in a word: the names of the policy's thresholds.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::AddOrg { .. } => "add",
            Self::RemoveOrg { .. } => "remove",
            Self::SuspendOrg { .. } => "suspend",
            Self::RestoreOrg { .. } => "restore",
            Self::SetPower { .. } => "power",
            Self::ReplaceAdminKey { .. } => "admin_key",
            Self::SetParameters(_) => "parameters",
            Self::SetPolicy(_) => "policy",
        }
    }

    /// Refuses what cannot be done as the consortium is, whatever its seats are.
    pub(super) fn check(&self, state: &mut State) -> Result<(), Error> {
        match self {
            Self::AddOrg { name, admin_key, power } => {
                check_new_org(state, name)?;
                check_new_key(state, admin_key)?;
                check_power(state, name, *power)
            }
            Self::RemoveOrg { name } => must_be_org(state, name).map(drop),
            Self::SuspendOrg { name } => {
                if must_be_org(state, name)?.is_some() {
                    return Err(refused(format!("{name} is suspended already")));
                }
                Ok(())
            }
            Self::RestoreOrg { name } => {
                if must_be_org(state, name)?.is_none() {
                    return Err(refused(format!("{name} is not suspended")));
                }
                Ok(())
            }
            Self::SetPower { name, power } => {
                must_be_org(state, name)?;
                if org(state, name)?.power == *power {
                    return Err(refused(format!("the power of {name} is {power} already")));
                }
                check_power(state, name, *power)
            }
            Self::ReplaceAdminKey { name, key } => {
                must_be_org(state, name)?;
                check_new_key(state, key)
            }
            Self::SetParameters(parameters) => {
                parameters.faults().into_iter().next().map_or(Ok(()), Err)
            }
            Self::SetPolicy(policy) => {
                policy.faults().into_iter().next().map_or(Ok(()), |fault| Err(refused(fault)))
            }
        }
    }

    /// Does it. The height from which it is in effect.
    pub(super) fn carry_out(&self, ctx: &mut Context) -> Result<Height, Error> {
        match self {
            Self::AddOrg { name, admin_key, power } => add(ctx, name, *admin_key, *power),
            Self::RemoveOrg { name } => closed::remove(ctx, name),
            Self::SuspendOrg { name } => closed::suspend(ctx, name),
            Self::RestoreOrg { name } => closed::restore(ctx, name),
            Self::SetPower { name, power } => set_power(ctx, name, *power),
            Self::ReplaceAdminKey { name, key } => replace_admin_key(ctx, name, *key),
            Self::SetParameters(parameters) => {
                parameters::set(&mut ctx.state, parameters);
                Ok(done(ctx, "parameters_set", []))
            }
            Self::SetPolicy(policy) => {
                put_policy(&mut ctx.state, policy);
                Ok(done(ctx, "policy_set", []))
            }
        }
    }
}

pub(super) fn refused(reason: String) -> Error {
    Error::Refused { reason }
}

/// Tells a change that moves no seat: it is in effect from the next height on.
fn done<const N: usize>(ctx: &mut Context, kind: &str, attributes: [(&str, String); N]) -> Height {
    let effective = ctx.height.next();
    let mut event = Event::new(kind, attributes);
    event.attributes.push(("effective_height".to_owned(), effective.to_string()));
    ctx.events.push(event);
    effective
}

/// Tells a change of an organisation that is in effect from a height on.
pub(super) fn tell(ctx: &mut Context, kind: &str, name: &OrgName, effective: Height) {
    let effective = ("effective_height", effective.to_string());
    ctx.events.push(Event::new(kind, [("org", name.to_string()), effective]));
}

/// Refuses the name of what is no member; how it is closed, where it is.
fn must_be_org(state: &mut State, name: &OrgName) -> Result<Option<Closed>, Error> {
    let closed = closed::of(state, name)?;
    let is_gone = closed.as_ref().is_some_and(|closed| closed.is_removed);
    if is_gone || find_org(state, name)?.is_none() {
        return Err(Error::NotFound { what: "organisation", name: name.to_string() });
    }
    Ok(closed)
}

fn check_new_org(state: &mut State, name: &OrgName) -> Result<(), Error> {
    if find_org(state, name)?.is_some() {
        return Err(Error::Exists { what: "organisation", name: name.to_string() });
    }
    let orgs = org_names(state)?.len();
    if orgs >= MAX_ORGS {
        return Err(Error::TooMany { what: "organisations", max: MAX_ORGS, got: orgs + 1 });
    }
    let sets = records::count(state, name)?;
    if sets > 0 {
        return Err(refused(format!(
            "{sets} data set(s) are owned by an earlier organisation named {name}, and would go \
             to this one: take another name"
        )));
    }
    Ok(())
}

fn check_power(state: &mut State, name: &OrgName, power: Power) -> Result<(), Error> {
    if power.0 == 0 {
        return Err(refused(format!("the power of {name} would be 0: remove or suspend it")));
    }
    let mut total = power.0;
    for other in org_names(state)?.iter().filter(|other| *other != name) {
        total = total.saturating_add(org(state, other)?.power.0);
    }
    if total > MAX_TOTAL_POWER {
        return Err(refused(format!(
            "total power would be {total}, at most {MAX_TOTAL_POWER} is allowed"
        )));
    }
    Ok(())
}

fn add(
    ctx: &mut Context,
    name: &OrgName,
    admin_key: PublicKey,
    power: Power,
) -> Result<Height, Error> {
    let state = &mut ctx.state;
    let mut names = org_names(state)?;
    names.push(name.clone());
    names.sort();
    put_org_names(state, &names);
    let since = ctx.height;
    let org = Org { admin_key, power, nodes: BTreeMap::new(), users: 0, since };
    put_org(state, name, &org)?;
    put_key(state, &admin_key, name, KeyRole::Admin);
    standby::open_seat(ctx, name)?;
    let attributes = [("org", name.to_string()), ("power", power.to_string())];
    Ok(done(ctx, "org_added", attributes))
}

fn set_power(ctx: &mut Context, name: &OrgName, power: Power) -> Result<Height, Error> {
    let mut entry = org(&mut ctx.state, name)?;
    entry.power = power;
    put_org(&mut ctx.state, name, &entry)?;
    standby::power_changed(ctx, name)?;
    let effective = ctx.effective();
    let attributes = [
        ("org", name.to_string()),
        ("power", power.to_string()),
        ("effective_height", effective.to_string()),
    ];
    ctx.events.push(Event::new("power_set", attributes));
    Ok(effective)
}

/// Gives an organisation another admin key; the old one has no role any more.
pub(super) fn replace_admin_key(
    ctx: &mut Context,
    name: &OrgName,
    key: PublicKey,
) -> Result<Height, Error> {
    let mut entry = org(&mut ctx.state, name)?;
    let old = std::mem::replace(&mut entry.admin_key, key);
    put_org(&mut ctx.state, name, &entry)?;
    delete_key(&mut ctx.state, &old)?;
    put_key(&mut ctx.state, &key, name, KeyRole::Admin);
    let attributes = [("org", name.to_string()), ("key", key.to_string())];
    Ok(done(ctx, "admin_key_replaced", attributes))
}
