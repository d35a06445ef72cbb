//! The state while a block is executed: the store, under the changes of the block so far, under
//! those of the call that is being executed.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec;
use crate::error::Error;
use crate::limits::MAX_ENCODED_BYTES;
use crate::store::{Column, Store};

/// Values up to this many bytes are read from the store once a block and then kept, so that the
/// memory of a block is bounded though its calls may read large values.
const MAX_KEPT_BYTES: usize = 1024;

/// A key's value, none for no value.
type Value = Option<Vec<u8>>;

#[derive(Debug)]
struct Cell {
    value: Value,
    is_changed: bool,
}

/// The state with changes that are not in the store yet.
pub(crate) struct State<'a> {
    store: &'a dyn Store,
    block: BTreeMap<Vec<u8>, Cell>,
    call: BTreeMap<Vec<u8>, Value>,
}

impl<'a> State<'a> {
    pub(crate) fn new(store: &'a dyn Store) -> Self {
        Self { store, block: BTreeMap::new(), call: BTreeMap::new() }
    }

    /// What lies below: the state before the block.
    pub(crate) fn store(&self) -> &'a dyn Store {
        self.store
    }

    pub(crate) fn get(&mut self, key: &[u8]) -> Result<Option<Cow<'_, [u8]>>, Error> {
        if let Some(value) = self.call.get(key) {
            return Ok(value.as_deref().map(Cow::Borrowed));
        }
        if !self.block.contains_key(key) {
            let value = self.store.get(Column::State, key)?;
            if value.as_ref().is_some_and(|value| value.len() > MAX_KEPT_BYTES) {
                return Ok(value.map(Cow::Owned));
            }
            self.block.insert(key.to_vec(), Cell { value, is_changed: false });
        }
        Ok(self.block.get(key).and_then(|cell| cell.value.as_deref()).map(Cow::Borrowed))
    }

    pub(crate) fn read<T: DeserializeOwned>(
        &mut self,
        what: &'static str,
        key: &[u8],
    ) -> Result<Option<T>, Error> {
        self.get(key)?.map(|bytes| decode(what, &bytes)).transpose()
    }

    pub(crate) fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.call.insert(key, Some(value));
    }

    pub(crate) fn write<T: Serialize>(&mut self, key: Vec<u8>, value: &T) {
        self.put(key, codec::encode(value));
    }

    pub(crate) fn delete(&mut self, key: Vec<u8>) {
        self.call.insert(key, None);
    }

    /// Makes what changed since the last `keep` or `undo` part of the block.
    pub(crate) fn keep(&mut self) {
        for (key, value) in std::mem::take(&mut self.call) {
            self.block.insert(key, Cell { value, is_changed: true });
        }
    }

    /// Forgets what changed since the last `keep` or `undo`.
    pub(crate) fn undo(&mut self) {
        self.call.clear();
    }

    /// The keys with a prefix, as they are now; `limit` is more than the store can hold of them.
    pub(crate) fn keys(&self, prefix: &[u8], limit: usize) -> Result<BTreeSet<Vec<u8>>, Error> {
        let stored = self.store.scan(Column::State, prefix, None, limit)?;
        let mut keys: BTreeSet<Vec<u8>> = stored.into_iter().map(|(key, _)| key).collect();
        let block = self.block.iter().map(|(key, cell)| (key, cell.value.is_some()));
        let call = self.call.iter().map(|(key, value)| (key, value.is_some()));
        for (key, is_there) in block.chain(call).filter(|(key, _)| key.starts_with(prefix)) {
            if is_there {
                keys.insert(key.clone());
            } else {
                keys.remove(key);
            }
        }
        Ok(keys)
    }

    /// Whether a key with this prefix has changed in what was kept.
    pub(crate) fn has_changed(&self, prefix: &[u8]) -> bool {
        let from_prefix = self.block.range(prefix.to_vec()..);
        from_prefix.take_while(|(key, _)| key.starts_with(prefix)).any(|(_, cell)| cell.is_changed)
    }

    /// What has changed and was kept, in the order of the keys.
    pub(crate) fn into_changes(self) -> impl Iterator<Item = (Vec<u8>, Value)> {
        let changed = self.block.into_iter().filter(|(_, cell)| cell.is_changed);
        changed.map(|(key, cell)| (key, cell.value))
    }
}

/// Decodes a value of the state.
pub(crate) fn decode<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, Error> {
    codec::decode(what, bytes, MAX_ENCODED_BYTES)
        .map_err(|error| Error::Damaged { what, reason: error.to_string() })
}

/// What must be in the state and is not: the database is damaged.
pub(crate) fn missing(what: &'static str) -> Error {
    Error::Damaged { what, reason: "it is missing".to_owned() }
}

/// A key of the state: a prefix of the module, and what follows it.
pub(crate) fn key_of(prefix: &str, rest: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(prefix.len() + rest.len());
    key.extend_from_slice(prefix.as_bytes());
    key.extend_from_slice(rest);
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Batch, MemoryStore};

    fn store() -> MemoryStore {
        let mut batch = Batch::default();
        batch.put(Column::State, b"a".to_vec(), b"1".to_vec());
        batch.put(Column::State, b"big".to_vec(), vec![7; MAX_KEPT_BYTES + 1]);
        let mut store = MemoryStore::default();
        store.apply(&batch);
        store
    }

    fn get(state: &mut State, key: &str) -> Option<Vec<u8>> {
        state.get(key.as_bytes()).unwrap().map(Cow::into_owned)
    }

    #[test]
    fn a_call_that_is_undone_leaves_what_was_kept() {
        let store = store();
        let mut state = State::new(&store);
        state.put(b"a".to_vec(), b"2".to_vec());
        state.keep();
        state.put(b"a".to_vec(), b"3".to_vec());
        state.delete(b"b".to_vec());
        assert_eq!(get(&mut state, "a"), Some(b"3".to_vec()));
        state.undo();
        assert_eq!(get(&mut state, "a"), Some(b"2".to_vec()));
        state.delete(b"a".to_vec());
        assert_eq!(get(&mut state, "a"), None);
        state.keep();
        assert_eq!(state.into_changes().collect::<Vec<_>>(), [(b"a".to_vec(), None)]);
    }

    #[test]
    fn what_was_only_read_is_no_change_and_large_values_are_not_kept() {
        let store = store();
        let mut state = State::new(&store);
        assert_eq!(get(&mut state, "a"), Some(b"1".to_vec()));
        assert_eq!(get(&mut state, "none"), None);
        assert_eq!(get(&mut state, "big"), Some(vec![7; MAX_KEPT_BYTES + 1]));
        assert!(!state.block.contains_key(&b"big"[..]));
        assert!(!state.has_changed(b""));
        state.put(b"b/1".to_vec(), vec![]);
        assert!(!state.has_changed(b"b/"));
        state.keep();
        assert!(state.has_changed(b"b/") && !state.has_changed(b"a"));
        assert_eq!(state.into_changes().count(), 1);
    }

    #[test]
    fn keys_are_those_of_store_block_and_call() {
        let store = store();
        let mut state = State::new(&store);
        let keys = |state: &State, prefix: &str| {
            let keys = state.keys(prefix.as_bytes(), 10).unwrap();
            keys.iter().map(|key| String::from_utf8_lossy(key).into_owned()).collect::<Vec<_>>()
        };
        assert_eq!(keys(&state, ""), ["a", "big"]);
        state.put(b"b2".to_vec(), vec![]);
        state.delete(b"big".to_vec());
        assert_eq!(keys(&state, "b"), ["b2"]);
        state.keep();
        state.put(b"b1".to_vec(), vec![]);
        state.delete(b"b2".to_vec());
        state.put(b"big".to_vec(), vec![]);
        assert_eq!(keys(&state, "b"), ["b1", "big"]);
        state.undo();
        assert_eq!(keys(&state, ""), ["a", "b2"]);
    }

    #[test]
    fn values_that_cannot_be_decoded_are_damage() {
        let store = store();
        let read = State::new(&store).read::<u64>("number", b"a");
        assert!(matches!(read, Err(Error::Damaged { what: "number", .. })));
    }
}
