//! One column family as it is read and written: plain, or through its cipher.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Deref;

use rocksdb::{
    ColumnFamily, DBPinnableSlice, Direction, IterateBounds, IteratorMode, PrefixRange,
    ReadOptions, WriteBatch,
};
use serde::de::DeserializeOwned;
use tandem_chain::limits::MAX_ENCODED_BYTES;
use tandem_chain::store::Entry;
use tandem_chain::{Error as ChainError, codec};

use super::cipher::Cipher;
use super::error::ADVICE;

/// Above every key, plain or encrypted.
const END: [u8; 600] = [0xff; 600];

/// What RocksDB found for a key.
pub(super) type Found<'a> = Result<Option<DBPinnableSlice<'a>>, rocksdb::Error>;

/// A column family of an open database. Without a cipher nothing is copied that RocksDB does not
/// copy itself.
#[derive(Clone, Copy)]
pub(super) struct Family<'a> {
    pub name: &'static str,
    pub handle: &'a ColumnFamily,
    pub cipher: Option<&'a Cipher>,
    /// Whether entries lie in the order of their keys: always, but in some encrypted families.
    pub is_ordered: bool,
}

/// A value that was found, and is that of its key.
pub(super) enum Value<'a> {
    Plain(DBPinnableSlice<'a>),
    Opened(Vec<u8>),
}

impl Deref for Value<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Plain(bytes) => bytes,
            Self::Opened(bytes) => bytes,
        }
    }
}

impl Value<'_> {
    pub fn into_vec(self) -> Vec<u8> {
        match self {
            Self::Plain(bytes) => bytes.to_vec(),
            Self::Opened(bytes) => bytes,
        }
    }
}

impl Family<'_> {
    /// A key as it is stored.
    pub fn key<'k>(&self, key: &'k [u8]) -> Cow<'k, [u8]> {
        match self.cipher {
            None => Cow::Borrowed(key),
            Some(cipher) => Cow::Owned(cipher.key(key)),
        }
    }

    pub fn put(&self, batch: &mut WriteBatch, key: &[u8], value: &[u8]) {
        match self.cipher {
            None => batch.put_cf(self.handle, key, value),
            Some(cipher) => {
                let key = cipher.key(key);
                let value = cipher.seal(&key, value);
                batch.put_cf(self.handle, key, value);
            }
        }
    }

    pub fn delete(&self, batch: &mut WriteBatch, key: &[u8]) {
        batch.delete_cf(self.handle, self.key(key));
    }

    /// What was found for the key that is stored as `key`.
    pub fn value<'v>(&self, key: &[u8], found: Found<'v>) -> Result<Option<Value<'v>>, ChainError> {
        let Some(bytes) = found.map_err(|source| fault(self.name, &source))? else {
            return Ok(None);
        };
        match self.cipher {
            None => Ok(Some(Value::Plain(bytes))),
            Some(cipher) => match cipher.open(key, &bytes) {
                Ok(value) => Ok(Some(Value::Opened(value))),
                Err(reason) => Err(self.damaged(reason)),
            },
        }
    }

    /// As [`Family::value`], decoded; `what` names it in errors.
    pub fn decoded<T: DeserializeOwned>(
        &self,
        what: &'static str,
        key: &[u8],
        found: Found<'_>,
    ) -> Result<Option<T>, ChainError> {
        let Some(bytes) = self.value(key, found)? else { return Ok(None) };
        decode(what, &bytes).map(Some)
    }

    /// Deletes all entries.
    pub fn delete_all(&self, batch: &mut WriteBatch) {
        // Where RocksDB's order is that of encrypted keys, the bounds are of the same kind.
        let bound = |key| if self.is_ordered { self.key(key) } else { Cow::Borrowed(key) };
        batch.delete_range_cf(self.handle, bound(&[]), bound(&END));
    }

    /// Bounds of a scan over the keys that start with `prefix`, and where it begins.
    pub fn range(&self, prefix: &[u8], after: Option<&[u8]>) -> (ReadOptions, Vec<u8>) {
        if !self.is_ordered {
            return (ReadOptions::default(), Vec::new());
        }
        let (from, to) = PrefixRange(prefix).into_bounds();
        let stored = |key: Option<Vec<u8>>| key.map(|key| self.key(&key).into_owned());
        let mut options = ReadOptions::default();
        if let Some(from) = stored(from) {
            options.set_iterate_lower_bound(from);
        }
        if let Some(to) = stored(to) {
            options.set_iterate_upper_bound(to);
        }
        let start = after.filter(|after| *after >= prefix).unwrap_or(prefix);
        (options, self.key(start).into_owned())
    }

    /// Up to `limit` entries of a scan over the keys that start with `prefix`, without that of
    /// `after` itself and those before it.
    pub fn entries(
        &self,
        found: impl Iterator<Item = Result<(Box<[u8]>, Box<[u8]>), rocksdb::Error>>,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Entry>, ChainError> {
        // Of an unordered family all entries come; no more are held than are asked for.
        let mut entries = BTreeMap::new();
        for entry in found {
            let (key, value) = entry.map_err(|source| fault(self.name, &source))?;
            let (key, value) = self.opened(key, value)?;
            if !key.starts_with(prefix) || after.is_some_and(|after| key.as_slice() <= after) {
                continue;
            }
            if self.is_ordered && entries.len() == limit {
                break;
            }
            entries.insert(key, value);
            if entries.len() > limit {
                entries.pop_last();
            }
        }
        Ok(entries.into_iter().collect())
    }

    /// An entry as it was written.
    pub fn opened(&self, key: Box<[u8]>, value: Box<[u8]>) -> Result<Entry, ChainError> {
        let Some(cipher) = self.cipher else { return Ok((key.into_vec(), value.into_vec())) };
        let opened = cipher.open_key(&key).ok_or_else(|| self.damaged("a key is broken"))?;
        let value = cipher.open(&key, &value).map_err(|reason| self.damaged(reason))?;
        Ok((opened, value))
    }

    fn damaged(&self, reason: &str) -> ChainError {
        ChainError::Damaged { what: self.name, reason: format!("{reason}: {ADVICE}") }
    }
}

/// A value as it was encoded; `what` names it in errors.
pub(super) fn decode<T: DeserializeOwned>(
    what: &'static str,
    bytes: &[u8],
) -> Result<T, ChainError> {
    codec::decode(what, bytes, MAX_ENCODED_BYTES)
        .map_err(|source| ChainError::Damaged { what, reason: format!("{source}: {ADVICE}") })
}

/// The first key of a scan, for RocksDB.
pub(super) fn from(start: &[u8]) -> IteratorMode<'_> {
    IteratorMode::From(start, Direction::Forward)
}

/// A fault that RocksDB reports while the database is open.
pub(super) fn fault(what: &'static str, source: &rocksdb::Error) -> ChainError {
    match source.kind() {
        rocksdb::ErrorKind::Corruption => {
            ChainError::Damaged { what, reason: format!("{source}: {ADVICE}") }
        }
        _ => ChainError::Storage { reason: source.to_string() },
    }
}
