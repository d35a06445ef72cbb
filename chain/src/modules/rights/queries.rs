//! Questions about rights, answered from any store.
//!
//! Each reads the grants to a key's names alone, [`MAX_GRANTS_PER_GRANTEE`] to each of at most three.

use crate::error::Error;
use crate::keys::PublicKey;
use crate::ledger::state::{State, decode};
use crate::limits::{MAX_GRANTS_PER_GRANTEE, MAX_LIST};
use crate::modules::rights::check::{self, Owned, is_void, since};
use crate::modules::rights::roles::reads_blocks;
use crate::modules::rights::state::{grantee_key, grantee_of, grants_of};
use crate::modules::rights::{Grant, Grantee, Range, Reach, Right};
use crate::modules::{consortium, records};
use crate::store::{Column, Store};
use crate::types::{DataSetName, OrgName};

/// Grantees in one answer: their grants together are at most [`MAX_LIST`].
const MAX_LISTED: usize = MAX_LIST / MAX_GRANTS_PER_GRANTEE;

/// A grant, as an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// Whom it was given.
    pub to: Grantee,
    /// It.
    pub grant: Grant,
    /// Whether it counts for nothing: the grantee has left since, and may have come back.
    pub is_void: bool,
}

/// Whether a key may read a record, whether or not that is there.
///
/// # Errors
/// [`Error::UnknownSender`], [`Error::Suspended`], [`Error::NotFound`] for the data set,
/// [`Error::Storage`], [`Error::Damaged`].
pub fn may_read(
    store: &dyn Store,
    key: &PublicKey,
    data_set: &DataSetName,
    record: &[u8],
) -> Result<bool, Error> {
    let state = &mut State::new(store);
    let who = consortium::sender(state, key)?;
    let owner = &records::must_be_owned(state, data_set)?;
    check::has(state, &who, Owned { data_set, owner }, Right::Read, &Range::only(record))
}

/// The records of a data set that a key may read: those for which [`may_read`] says yes, as what
/// [`records::list_within`] takes.
///
/// # Errors
/// As [`may_read`].
pub fn reach(store: &dyn Store, key: &PublicKey, data_set: &DataSetName) -> Result<Reach, Error> {
    let state = &mut State::new(store);
    let who = consortium::sender(state, key)?;
    let owner = &records::must_be_owned(state, data_set)?;
    check::reach(state, &who, Owned { data_set, owner })
}

/// Whether a key may read whole blocks, transactions and their results at a node of organisation
/// `at`: with them it reads every record that was ever written, so it must be of that organisation,
/// whose nodes hold them anyway.
///
/// # Errors
/// [`Error::UnknownSender`], [`Error::Suspended`], [`Error::Storage`], [`Error::Damaged`].
pub fn may_read_blocks(store: &dyn Store, key: &PublicKey, at: &OrgName) -> Result<bool, Error> {
    let who = consortium::sender(&mut State::new(store), key)?;
    Ok(who.org == *at && reads_blocks(&who))
}

/// The grants in a data set, in the order of their keys in the state: to all members first, to an
/// organisation before those to its users, and by range. Of up to `limit` grantees (at least one, at most 62), those behind `after` where
/// it is given.
///
/// # Errors
/// [`Error::NotFound`] for the data set, [`Error::Storage`], [`Error::Damaged`].
pub fn grants(
    store: &dyn Store,
    data_set: &DataSetName,
    after: Option<&Grantee>,
    limit: usize,
) -> Result<Vec<Granted>, Error> {
    let state = &mut State::new(store);
    let owner = &records::must_be_owned(state, data_set)?;
    let prefix = grants_of(data_set);
    let after = after.map(|to| [prefix.as_slice(), &grantee_key(to)].concat());
    let limit = limit.clamp(1, MAX_LISTED);
    let mut listed = Vec::new();
    for (key, list) in store.scan(Column::State, &prefix, after.as_deref(), limit)? {
        let to = grantee_of(&key[prefix.len()..])?;
        let since = since(state, Owned { data_set, owner }, &to)?;
        for grant in decode::<Vec<Grant>>("grants", &list)? {
            let is_void = is_void(&grant, since);
            listed.push(Granted { to: to.clone(), grant, is_void });
        }
    }
    Ok(listed)
}
