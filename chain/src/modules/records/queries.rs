//! Questions about records, answered from any store.

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::ledger::state::{State, decode};
use crate::limits::{MAX_DATA_SETS, MAX_LIST, MAX_LIST_BYTES};
use crate::modules::records::Stored;
use crate::modules::records::state::{SET, owner, record, state_key};
use crate::store::{Column, Store};
use crate::types::{DataSetName, Hash, OrgName};

/// A data set, as an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataSet {
    /// Its name.
    pub name: DataSetName,
    /// The organisation that writes to it.
    pub owner: OrgName,
}

/// A record, as an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its key.
    pub key: Vec<u8>,
    /// How often it was written.
    pub version: u64,
    /// Its value; none when it was deleted.
    pub value: Option<Vec<u8>>,
    /// SHA-256 of the value; none when it was deleted.
    pub digest: Option<Hash>,
}

impl Record {
    fn new(key: Vec<u8>, stored: Stored) -> Self {
        let value = (!stored.is_deleted).then_some(stored.value);
        let digest = value.as_deref().map(Hash::of);
        Self { key, version: stored.version, value, digest }
    }
}

/// A part of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// Records that exist, in the order of their keys.
    pub records: Vec<Record>,
    /// The key after which the listing goes on; none when this was the last part. A part may be
    /// empty and yet not the last: deleted records are passed over.
    pub next: Option<Vec<u8>>,
}

/// All data sets by name.
///
/// # Errors
/// [`Error::Storage`], [`Error::Damaged`].
pub fn data_sets(store: &dyn Store) -> Result<Vec<DataSet>, Error> {
    let found = store.scan(Column::State, SET.as_bytes(), None, MAX_DATA_SETS)?;
    let sets = found.into_iter().map(|(key, owner)| {
        let damaged = |reason: String| Error::Damaged { what: "data set", reason };
        let name = String::from_utf8(key[SET.len()..].to_vec());
        let name = name.map_err(|error| damaged(error.to_string()))?;
        let name = name.try_into().map_err(|error: Error| damaged(error.to_string()))?;
        Ok(DataSet { name, owner: decode("data set", &owner)? })
    });
    sets.collect()
}

/// A record: none when it was never written, one without value when it was deleted.
///
/// # Errors
/// [`Error::NotFound`] for the data set, [`Error::Storage`], [`Error::Damaged`].
pub fn get(store: &dyn Store, data_set: &DataSetName, key: &[u8]) -> Result<Option<Record>, Error> {
    let state = &mut State::new(store);
    check_exists(state, data_set)?;
    let found = record(state, &state_key(data_set, key))?;
    Ok(found.map(|stored| Record::new(key.to_vec(), stored)))
}

/// A part of the records whose keys start with `prefix`, of those after `after` where it is given:
/// up to `limit` of them, looking at no more than [`MAX_LIST`] and [`MAX_LIST_BYTES`].
///
/// # Errors
/// [`Error::NotFound`] for the data set, [`Error::Storage`], [`Error::Damaged`].
pub fn list(
    store: &dyn Store,
    data_set: &DataSetName,
    prefix: &[u8],
    after: Option<&[u8]>,
    limit: usize,
) -> Result<Page, Error> {
    // A few at a time: a page of large values would take much memory at once.
    const AT_ONCE: usize = 16;
    check_exists(&mut State::new(store), data_set)?;
    let limit = limit.clamp(1, MAX_LIST);
    let of_set = state_key(data_set, b"").len();
    let prefix = state_key(data_set, prefix);
    let mut last = after.map(|key| state_key(data_set, key));
    let mut page = Page::default();
    let (mut seen, mut bytes) = (0, 0);
    loop {
        let found = store.scan(Column::State, &prefix, last.as_deref(), AT_ONCE)?;
        let is_end = found.len() < AT_ONCE;
        for (key, value) in found {
            if page.records.len() >= limit || seen >= MAX_LIST || bytes >= MAX_LIST_BYTES {
                page.next = last.map(|key| key[of_set..].to_vec());
                return Ok(page);
            }
            seen += 1;
            bytes += key.len() + value.len();
            let stored: Stored = decode("record", &value)?;
            if !stored.is_deleted {
                page.records.push(Record::new(key[of_set..].to_vec(), stored));
            }
            last = Some(key);
        }
        if is_end {
            return Ok(page);
        }
    }
}

fn check_exists(state: &mut State, data_set: &DataSetName) -> Result<(), Error> {
    match owner(state, data_set)? {
        Some(_) => Ok(()),
        None => Err(Error::NotFound { what: "data set", name: data_set.to_string() }),
    }
}
