//! Questions about the consortium, answered from any store.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::keys::PublicKey;
use crate::ledger::state::State;
use crate::limits::MAX_LIST;
use crate::modules::consortium::state::{find_org, key_entry, org_names, users_of};
use crate::modules::consortium::{KeyEntry, Node, Org};
use crate::store::{Column, Store};
use crate::types::{OrgName, Power};

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
}

impl Organization {
    fn new(name: OrgName, org: Org) -> Self {
        let (pair, observers) = org.nodes.into_iter().partition(|(_, node)| node.pair);
        Self { name, admin_key: org.admin_key, power: org.power, pair, observers, users: org.users }
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

/// One organisation.
///
/// # Errors
/// [`Error::Storage`], [`Error::Damaged`].
pub fn organization(store: &dyn Store, name: &OrgName) -> Result<Option<Organization>, Error> {
    let org = find_org(&mut State::new(store), name)?;
    Ok(org.map(|org| Organization::new(name.clone(), org)))
}

/// What a key is in the chain; none when it never had a role, or has none any more.
///
/// # Errors
/// [`Error::Storage`], [`Error::Damaged`].
pub fn key(store: &dyn Store, key: &PublicKey) -> Result<Option<KeyEntry>, Error> {
    key_entry(&mut State::new(store), key)
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
) -> Result<Vec<PublicKey>, Error> {
    let prefix = users_of(org);
    let after = after.map(|key| [prefix.as_slice(), &key.0].concat());
    let found = store.scan(Column::State, &prefix, after.as_deref(), limit.min(MAX_LIST))?;
    let keys = found.iter().map(|(key, _)| PublicKey::from_slice(&key[prefix.len()..]));
    keys.collect::<Result<_, _>>()
        .map_err(|error| Error::Damaged { what: "users", reason: error.to_string() })
}
