//! What the module keeps in the state.

use crate::error::Error;
use crate::ledger::state::{State, key_of};
use crate::modules::records::Stored;
use crate::types::{DataSetName, OrgName};

const SETS: &str = "records/sets/";
pub(super) const SET: &str = "records/set/";
const DATA: &str = "records/data/";

fn count_key(org: &OrgName) -> Vec<u8> {
    key_of(SETS, org.as_str().as_bytes())
}

/// How many data sets an organisation owns, or owned when it was removed.
pub(crate) fn count(state: &mut State, org: &OrgName) -> Result<u64, Error> {
    Ok(state.read("number of data sets", &count_key(org))?.unwrap_or(0))
}

pub(super) fn put_count(state: &mut State, org: &OrgName, count: u64) {
    state.write(count_key(org), &count);
}

fn set_key(name: &DataSetName) -> Vec<u8> {
    key_of(SET, name.as_str().as_bytes())
}

pub(super) fn owner(state: &mut State, name: &DataSetName) -> Result<Option<OrgName>, Error> {
    state.read("data set", &set_key(name))
}

/// The organisation that owns a data set.
///
/// # Errors
/// [`Error::NotFound`] when there is no such data set; those of the store.
pub(crate) fn must_be_owned(state: &mut State, name: &DataSetName) -> Result<OrgName, Error> {
    let found = owner(state, name)?;
    found.ok_or_else(|| Error::NotFound { what: "data set", name: name.to_string() })
}

pub(super) fn put_owner(state: &mut State, name: &DataSetName, owner: &OrgName) {
    state.write(set_key(name), owner);
}

/// The key in the state under which a record lies: what a [`crate::tree::Proof`] is about. It is
/// also the prefix of the keys of all records whose keys start with `key`.
#[must_use]
pub fn state_key(data_set: &DataSetName, key: &[u8]) -> Vec<u8> {
    let name = data_set.as_str().as_bytes();
    let mut bytes = Vec::with_capacity(DATA.len() + name.len() + 1 + key.len());
    bytes.extend_from_slice(DATA.as_bytes());
    bytes.extend_from_slice(name);
    bytes.push(b'/');
    bytes.extend_from_slice(key);
    bytes
}

pub(super) fn record(state: &mut State, state_key: &[u8]) -> Result<Option<Stored>, Error> {
    state.read("record", state_key)
}
