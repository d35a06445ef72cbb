//! Questions about the consortium, answered from any store.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::keys::PublicKey;
use crate::ledger::last::Last;
use crate::ledger::state::{State, decode};
use crate::limits::{MAX_LIST, MAX_MOTION_HISTORY};
use crate::modules::consortium::motions::{Docket, find, tally};
use crate::modules::consortium::state::{
    find_org, find_user, key_entry, org_names, read_policy, users_of,
};
use crate::modules::consortium::weigh::{Sheet, weigh};
use crate::modules::consortium::{
    Change, KeyEntry, Motion, Node, Org, Outcome, Policy, Tally, User, Weighed, closed,
};
use crate::store::{Column, Store};
use crate::types::{Height, OrgName, Power};

/// An organisation, as an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Organization {
    /// Its name, and its seat's.
    pub name: OrgName,
    /// Its admin key.
    pub admin_key: PublicKey,
    /// Voting power of its seat.
    pub power: Power,
    /// The nodes of its pair.
    pub pair: BTreeMap<PublicKey, Node>,
    /// Its other registered nodes.
    pub observers: BTreeMap<PublicKey, Node>,
    /// Number of its users: see [`users`].
    pub users: u64,
    /// The block that made it a member; 0 for one of genesis.
    pub since: Height,
    /// Whether it is suspended.
    pub is_suspended: bool,
}

impl Organization {
    fn new(name: OrgName, org: Org, is_suspended: bool) -> Self {
        let (pair, observers) = org.nodes.into_iter().partition(|(_, node)| node.pair);
        let Org { admin_key, power, users, since, .. } = org;
        Self { name, admin_key, power, pair, observers, users, since, is_suspended }
    }
}

/// All organisations by name.
///
/// # Errors
/// [`Error::Storage`], [`Error::Damaged`].
pub fn organizations(store: &dyn Store) -> Result<Vec<Organization>, Error> {
    let names = org_names(&mut State::new(store))?;
    let found = names.iter().map(|name| organization(store, name));
    found.filter_map(Result::transpose).collect()
}

/// One organisation; none when it is no member.
///
/// # Errors
/// [`Error::Storage`], [`Error::Damaged`].
pub fn organization(store: &dyn Store, name: &OrgName) -> Result<Option<Organization>, Error> {
    let state = &mut State::new(store);
    let closed = closed::of(state, name)?;
    if closed.as_ref().is_some_and(|closed| closed.is_removed) {
        return Ok(None);
    }
    let org = find_org(state, name)?;
    Ok(org.map(|org| Organization::new(name.clone(), org, closed.is_some())))
}

/// What a key is in the chain; none when it never had a role, or has none any more.
///
/// # Errors
/// [`Error::Storage`], [`Error::Damaged`].
pub fn key(store: &dyn Store, key: &PublicKey) -> Result<Option<KeyEntry>, Error> {
    key_entry(&mut State::new(store), key)
}

/// What a key is as a user of an organisation; none when it is no user of it.
///
/// # Errors
/// [`Error::Storage`], [`Error::Damaged`].
pub fn user(store: &dyn Store, org: &OrgName, key: &PublicKey) -> Result<Option<User>, Error> {
    find_user(&mut State::new(store), org, key)
}

/// Up to `limit` (at most [`MAX_LIST`]) users of an organisation in the order of their keys, those
/// after `after` where it is given.
///
/// # Errors
/// [`Error::Storage`], [`Error::Damaged`].
pub fn users(
    store: &dyn Store,
    org: &OrgName,
    after: Option<&PublicKey>,
    limit: usize,
) -> Result<Vec<(PublicKey, User)>, Error> {
    let prefix = users_of(org);
    let after = after.map(|key| [prefix.as_slice(), &key.0].concat());
    let found = store.scan(Column::State, &prefix, after.as_deref(), limit.min(MAX_LIST))?;
    let users = found.iter().map(|(key, user)| {
        let key = PublicKey::from_slice(&key[prefix.len()..])
            .map_err(|error| Error::Damaged { what: "users", reason: error.to_string() })?;
        Ok((key, decode("user", user)?))
    });
    users.collect()
}

/// A motion, as an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MotionView {
    /// Its number.
    pub number: u64,
    /// It.
    pub motion: Motion,
    /// Where it stands.
    pub status: MotionStatus,
    /// Its votes by the policy and the members of now.
    pub tally: Tally,
}

/// Where a motion stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MotionStatus {
    /// It can be voted on.
    Open,
    /// Its change was made.
    Carried,
    /// Something else was carried that closed it: [`Outcome::Dropped`].
    Dropped,
    /// Too few voted for it in time.
    Expired,
}

/// The policy.
///
/// # Errors
/// [`Error::Storage`], [`Error::Damaged`].
pub fn policy(store: &dyn Store) -> Result<Policy, Error> {
    read_policy(&mut State::new(store))
}

/// A motion by its number; none when there was none or it is forgotten.
///
/// # Errors
/// [`Error::Storage`], [`Error::Damaged`].
pub fn motion(store: &dyn Store, number: u64) -> Result<Option<MotionView>, Error> {
    let state = &mut State::new(store);
    let Some(motion) = find(state, number)? else { return Ok(None) };
    let status = match motion.outcome {
        Some(Outcome::Carried { .. }) => MotionStatus::Carried,
        Some(Outcome::Dropped { .. }) => MotionStatus::Dropped,
        // The next block, which could hold a vote, is a later one.
        None if motion.expires <= Last::read(state)?.time => MotionStatus::Expired,
        None => MotionStatus::Open,
    };
    let tally = tally(state, &motion)?;
    Ok(Some(MotionView { number, motion, status, tally }))
}

/// Up to `limit` (at most [`MAX_LIST`]) motions that are remembered, the newest first, those with
/// numbers below `before` where it is given; whether only those that are open.
///
/// # Errors
/// [`Error::Storage`], [`Error::Damaged`].
pub fn motions(
    store: &dyn Store,
    only_open: bool,
    before: Option<u64>,
    limit: usize,
) -> Result<Vec<MotionView>, Error> {
    let docket = Docket::read(&mut State::new(store))?;
    let end = before.unwrap_or(docket.next).min(docket.next);
    let remembered = docket.next.saturating_sub(MAX_MOTION_HISTORY).max(1)..end;
    let mut numbers: BTreeSet<u64> = docket.open.keys().copied().filter(|n| *n < end).collect();
    if !only_open {
        numbers.extend(remembered);
    }
    let found = numbers.into_iter().rev().map(|number| motion(store, number));
    let wanted = found.filter_map(Result::transpose).filter(|found| {
        let is_open = |view: &MotionView| view.status == MotionStatus::Open;
        !only_open || found.as_ref().map_or(true, is_open)
    });
    wanted.take(limit.min(MAX_LIST)).collect()
}

/// What a change would do if it were made in the next block, by the last record.
///
/// # Errors
/// Why it cannot be done as the consortium is, such as [`Error::NotFound`], [`Error::Exists`] and
/// [`Error::Refused`]; [`Error::Storage`], [`Error::Damaged`].
pub fn try_change(store: &dyn Store, change: &Change) -> Result<Weighed, Error> {
    let state = &mut State::new(store);
    change.check(state)?;
    let alive = Last::read(state)?.alive;
    Ok(weigh(&Sheet::read(state, alive.as_ref())?, change))
}
