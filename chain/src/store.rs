//! What the ledger needs of a database.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::rc::Rc;
use std::sync::Arc;

use crate::error::Error;

/// A key and its value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// A key space of its own within the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Column {
    /// The state: all of it, and nothing else, is under the state commitment.
    State,
    /// What is derived from the state: pages of its Merkle tree, the index of transaction hashes.
    Tree,
}

/// A change of one entry: a value puts, none deletes.
pub type Change = (Column, Vec<u8>, Option<Vec<u8>>);

/// Changes to be written together or not at all. A key stands in it at most once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch(pub Vec<Change>);

impl Batch {
    /// Adds a value to be written.
    pub fn put(&mut self, column: Column, key: Vec<u8>, value: Vec<u8>) {
        self.0.push((column, key, Some(value)));
    }

    /// Adds a key to be deleted.
    pub fn delete(&mut self, column: Column, key: Vec<u8>) {
        self.0.push((column, key, None));
    }
}

/// A readable database. Writing is its owner's business: see [`Batch`].
pub trait Store {
    /// The value of a key.
    ///
    /// # Errors
    /// [`Error::Storage`] when the medium fails.
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, Error>;

    /// Up to `limit` entries whose keys start with `prefix` and, where `after` is given, are
    /// greater than it; in the order of their keys.
    ///
    /// # Errors
    /// [`Error::Storage`] when the medium fails.
    fn scan(
        &self,
        column: Column,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Entry>, Error>;
}

/// A [`Store::scan`] of keys in order, over all of those from a bound on.
pub fn scan_ordered<'a, K, V, R>(
    range_from: impl FnOnce(Bound<&'a [u8]>) -> R,
    prefix: &'a [u8],
    after: Option<&'a [u8]>,
    limit: usize,
) -> Vec<Entry>
where
    K: AsRef<[u8]> + 'a,
    V: AsRef<[u8]> + 'a,
    R: Iterator<Item = (&'a K, &'a V)>,
{
    let start = match after {
        Some(after) if after >= prefix => Bound::Excluded(after),
        _ => Bound::Included(prefix),
    };
    range_from(start)
        .take_while(|(key, _)| key.as_ref().starts_with(prefix))
        .take(limit)
        .map(|(key, value)| (key.as_ref().to_vec(), value.as_ref().to_vec()))
        .collect()
}

macro_rules! through_pointer {
    ($pointer:ty) => {
        impl<S: Store + ?Sized> Store for $pointer {
            fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
                (**self).get(column, key)
            }

            fn scan(
                &self,
                column: Column,
                prefix: &[u8],
                after: Option<&[u8]>,
                limit: usize,
            ) -> Result<Vec<Entry>, Error> {
                (**self).scan(column, prefix, after, limit)
            }
        }
    };
}
through_pointer!(&S);
through_pointer!(Rc<S>);
through_pointer!(Arc<S>);

/// A database in memory, for tests and simulations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryStore {
    state: BTreeMap<Vec<u8>, Vec<u8>>,
    tree: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl MemoryStore {
    /// Writes a batch.
    pub fn apply(&mut self, batch: &Batch) {
        for (column, key, value) in &batch.0 {
            let map = match column {
                Column::State => &mut self.state,
                Column::Tree => &mut self.tree,
            };
            match value {
                Some(value) => map.insert(key.clone(), value.clone()),
                None => map.remove(key),
            };
        }
    }

    /// All entries of a column.
    #[must_use]
    pub fn entries(&self, column: Column) -> &BTreeMap<Vec<u8>, Vec<u8>> {
        match column {
            Column::State => &self.state,
            Column::Tree => &self.tree,
        }
    }
}

impl Store for MemoryStore {
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.entries(column).get(key).cloned())
    }

    fn scan(
        &self,
        column: Column,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Entry>, Error> {
        let from = |start| self.entries(column).range::<[u8], _>((start, Bound::Unbounded));
        Ok(scan_ordered(from, prefix, after, limit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(keys: &[&str]) -> MemoryStore {
        let mut batch = Batch::default();
        for key in keys {
            batch.put(Column::State, key.as_bytes().to_vec(), b"v".to_vec());
        }
        let mut store = MemoryStore::default();
        store.apply(&batch);
        store
    }

    fn keys(entries: Vec<Entry>) -> Vec<String> {
        entries.into_iter().map(|(key, _)| String::from_utf8(key).unwrap()).collect()
    }

    #[test]
    fn a_scan_keeps_to_its_prefix_and_goes_on_after_a_key() {
        let store = store(&["a", "b/1", "b/2", "b/3", "c"]);
        let scan = |after: Option<&str>, limit| {
            keys(store.scan(Column::State, b"b/", after.map(str::as_bytes), limit).unwrap())
        };
        assert_eq!(scan(None, 9), ["b/1", "b/2", "b/3"]);
        assert_eq!(scan(None, 2), ["b/1", "b/2"]);
        assert_eq!(scan(Some("b/1"), 9), ["b/2", "b/3"]);
        assert_eq!(scan(Some("a"), 9), ["b/1", "b/2", "b/3"]);
        assert!(scan(Some("b/3"), 9).is_empty());
        assert!(scan(Some("c"), 9).is_empty());
        assert!(store.scan(Column::Tree, b"b/", None, 9).unwrap().is_empty());
    }

    #[test]
    fn a_batch_puts_and_deletes() {
        let mut store = store(&["a", "b"]);
        let mut batch = Batch::default();
        batch.delete(Column::State, b"a".to_vec());
        batch.put(Column::State, b"b".to_vec(), b"w".to_vec());
        store.apply(&batch);
        assert_eq!(store.get(Column::State, b"a").unwrap(), None);
        assert_eq!(store.get(Column::State, b"b").unwrap(), Some(b"w".to_vec()));
    }
}
