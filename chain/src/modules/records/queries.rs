//! Questions about records, answered from any store.

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::ledger::state::{State, decode};
use crate::limits::{MAX_DATA_SETS, MAX_LIST, MAX_LIST_BYTES};
use crate::modules::records::Stored;
use crate::modules::records::state::{SET, must_be_owned, record, state_key};
use crate::modules::rights::{Range, Reach};
use crate::store::{Column, Store};
use crate::types::{ContentType, DataSetName, Hash, OrgName};

/// A data set, as an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataSet {
    /// Its name.
    pub name: DataSetName,
    /// The organisation that created it.
    pub owner: OrgName,
}

/// A record, as an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its key.
    pub key: Vec<u8>,
    /// How often it was written.
    pub version: u64,
    /// What its value is, as who wrote it said; none when it said nothing, or it was deleted.
    pub content_type: Option<ContentType>,
    /// Its value; none when it was deleted.
    pub value: Option<Vec<u8>>,
    /// SHA-256 of the value; none when it was deleted.
    pub digest: Option<Hash>,
}

impl Record {
    fn new(key: Vec<u8>, stored: Stored) -> Self {
        let Stored { version, is_deleted, content_type, value } = stored;
        let value = (!is_deleted).then_some(value);
        let digest = value.as_deref().map(Hash::of);
        Self { key, version, content_type, value, digest }
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
    must_be_owned(state, data_set)?;
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
    let everything = Reach::new(vec![Range::all()]);
    list_within(store, &everything, data_set, prefix, after, limit)
}

/// As [`list`], of the records within `reach` alone: of others the answer tells nothing.
///
/// # Errors
/// As [`list`].
pub fn list_within(
    store: &dyn Store,
    reach: &Reach,
    data_set: &DataSetName,
    prefix: &[u8],
    after: Option<&[u8]>,
    limit: usize,
) -> Result<Page, Error> {
    // A few at a time: a page of large values would take much memory at once.
    const AT_ONCE: usize = 16;
    must_be_owned(&mut State::new(store), data_set)?;
    let limit = limit.clamp(1, MAX_LIST);
    let of_set = state_key(data_set, b"");
    let wanted = Range::prefix(prefix);
    let mut last = after.map(<[u8]>::to_vec);
    let mut page = Page::default();
    let (mut seen, mut bytes) = (0, 0);
    for range in reach.ranges().iter().filter_map(|range| range.common(&wanted)) {
        // What is read behind the end of a range is read in vain: so not many at first.
        let mut at_once = 1;
        let mut place = range.before().max(last.clone()).map(|key| state_key(data_set, &key));
        'range: loop {
            let found = store.scan(Column::State, &of_set, place.as_deref(), at_once)?;
            let is_end = found.len() < at_once;
            for (state_key, value) in found {
                let key = &state_key[of_set.len()..];
                if !range.contains(key) {
                    break 'range;
                }
                if page.records.len() >= limit || seen >= MAX_LIST || bytes >= MAX_LIST_BYTES {
                    page.next = last;
                    return Ok(page);
                }
                seen += 1;
                bytes += state_key.len() + value.len();
                let stored: Stored = decode("record", &value)?;
                if !stored.is_deleted {
                    page.records.push(Record::new(key.to_vec(), stored));
                }
                last = Some(key.to_vec());
                place = Some(state_key);
            }
            if is_end {
                break;
            }
            at_once = (2 * at_once).min(AT_ONCE);
        }
    }
    Ok(page)
}
