//! The index of transactions and events, by which they are searched: column family `events`. CometBFT's
//! indexer is the model: an entry for each attribute of each event, under its name and value.
//!
//! | key | value |
//! |---|---|
//! | `t`, name, value, height, place, event | nothing: an attribute of an event of a transaction |
//! | `b`, name, value, height, 0, event | nothing: an attribute of an event of a block itself |
//! | `h`, height | number of the block's transactions, and of those up to and with this block in the index |
//! | `r`, SHA-256 of a record's key in the state, height, place | the version that the record has from then on |
//!
//! A name is kind of the event and name of the attribute, as in `record_put.key`. Name and value end with
//! `00 01`, a zero byte in them is `00 FF`; numbers have their high byte first.
//!
//! Blocks come into the index one after another, behind the chain and without holding it up; up to which
//! it reaches stands in `meta` and is written with the last entries of a block. Entries go when their
//! block does. Nothing of it is needed by the ledger: it can be made anew from the blocks.

use std::ops::RangeInclusive;
use std::sync::PoisonError;

use rocksdb::{DB, DBRawIteratorWithThreadMode, ReadOptions, WriteBatch};
use tandem_chain::block::Block;
use tandem_chain::ledger::{Event, Receipt};
use tandem_chain::modules::{Call, records};
use tandem_chain::types::{DataSetName, Hash, Height};
use tandem_chain::{Error as ChainError, codec};

use super::columns::{EVENTS, META};
use super::family::{Family, fault};
use super::{BlockResults, Database};

/// Height up to which the index reaches.
pub(super) const INDEXED_KEY: &[u8] = b"indexed";

/// Bytes of an attribute's name or value up to which it is in the index.
pub const MAX_INDEXED_BYTES: usize = 1_024;
/// Entries of one write: RocksDB has who writes a vote wait for what is written at once.
pub(super) const MAX_ENTRIES: usize = 1_000;

const ZERO: [u8; 2] = [0, 0xff];
const END: [u8; 2] = [0, 1];
/// Bytes of an encoded [`Place`].
const PLACE_BYTES: usize = 16;

/// Whose events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Those of blocks themselves.
    Block,
    /// Those of transactions.
    Transaction,
}

impl Kind {
    fn tag(self) -> u8 {
        match self {
            Self::Block => b'b',
            Self::Transaction => b't',
        }
    }
}

/// Where an event is. Ordered as they follow each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The block.
    pub height: Height,
    /// The transaction's place in it; 0 for events of the block itself.
    pub tx: u32,
    /// The event's place among those of the transaction or block.
    pub event: u32,
}

impl Place {
    fn encode(self) -> [u8; PLACE_BYTES] {
        let mut bytes = [0; PLACE_BYTES];
        bytes[..8].copy_from_slice(&self.height.0.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.tx.to_be_bytes());
        bytes[12..].copy_from_slice(&self.event.to_be_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (height, rest) = bytes.split_first_chunk::<8>()?;
        let (tx, event) = rest.split_first_chunk::<4>()?;
        Some(Self {
            height: Height(u64::from_be_bytes(*height)),
            tx: u32::from_be_bytes(*tx),
            event: u32::from_be_bytes(event.try_into().ok()?),
        })
    }

    /// The first place above this one; none above the last of all.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        let number = u128::from_be_bytes(self.encode()).checked_add(1)?;
        Self::decode(&number.to_be_bytes())
    }
}

/// A key of the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// An attribute of an event.
    Attribute {
        /// Whose event.
        kind: Kind,
        /// Kind of event and name of attribute.
        name: String,
        /// Its value.
        value: String,
        /// Where it is.
        place: Place,
    },
    /// The number of transactions of a block.
    Count(Height),
    /// A write of a record.
    Write {
        /// SHA-256 of its key in the state.
        record: Hash,
        /// The block.
        height: Height,
        /// The transaction's place.
        tx: u32,
    },
}

impl Key {
    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Attribute { kind, name, value, place } => {
                let mut key = attribute_prefix(*kind, name, Some(value));
                key.extend_from_slice(&place.encode());
                key
            }
            Self::Count(height) => [&b"h"[..], &height.0.to_be_bytes()].concat(),
            Self::Write { record, height, tx } => {
                let mut key = write_prefix(record);
                key.extend_from_slice(&height.0.to_be_bytes());
                key.extend_from_slice(&tx.to_be_bytes());
                key
            }
        }
    }

    /// The key that bytes are, if they are one.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (tag, rest) = bytes.split_first()?;
        let kind = match tag {
            b'b' => Kind::Block,
            b't' => Kind::Transaction,
            b'h' => return Some(Self::Count(Height(u64::from_be_bytes(rest.try_into().ok()?)))),
            b'r' => {
                let (record, rest) = rest.split_first_chunk::<{ Hash::LEN }>()?;
                let (height, tx) = rest.split_first_chunk::<8>()?;
                let height = Height(u64::from_be_bytes(*height));
                let tx = u32::from_be_bytes(tx.try_into().ok()?);
                return Some(Self::Write { record: Hash(*record), height, tx });
            }
            _ => return None,
        };
        let (name, rest) = text(rest)?;
        let (value, rest) = text(rest)?;
        Some(Self::Attribute { kind, name, value, place: Place::decode(rest)? })
    }
}

/// What all keys of an attribute start with, or of an attribute with a value.
fn attribute_prefix(kind: Kind, name: &str, value: Option<&str>) -> Vec<u8> {
    let mut key = vec![kind.tag()];
    for text in [Some(name), value].into_iter().flatten() {
        for byte in text.bytes() {
            if byte == 0 { key.extend_from_slice(&ZERO) } else { key.push(byte) }
        }
        key.extend_from_slice(&END);
    }
    key
}

/// What the keys of a transaction's or block's attributes start with of which `NAME` or `NAME=VALUE` is the
/// beginning.
#[must_use]
pub fn attribute_start(kind: Kind, text: &str) -> Vec<u8> {
    let (name, value) =
        text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
    let mut key = attribute_prefix(kind, name, value);
    // It goes on.
    key.truncate(key.len() - END.len());
    key
}

fn write_prefix(record: &Hash) -> Vec<u8> {
    [&b"r"[..], record.as_bytes()].concat()
}

/// The text at the front, and what is behind its end.
fn text(bytes: &[u8]) -> Option<(String, &[u8])> {
    let (mut text, mut rest) = (Vec::new(), bytes);
    loop {
        let (byte, behind) = rest.split_first()?;
        rest = behind;
        if *byte != 0 {
            text.push(*byte);
            continue;
        }
        let (mark, behind) = rest.split_first()?;
        rest = behind;
        match [0, *mark] {
            ZERO => text.push(0),
            END => return Some((String::from_utf8(text).ok()?, rest)),
            _ => return None,
        }
    }
}

/// The hash by which the index knows a record.
fn record_hash(data_set: &DataSetName, key: &[u8]) -> Hash {
    Hash::of(&records::state_key(data_set, key))
}

/// The entries of a block but that of [`Key::Count`], in no order. `results` are none of a block with which
/// the state was restored: nothing of it is found then.
fn entries(block: &Block, receipts: &[Receipt], events: &[Event]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let height = block.header.height;
    let mut entries = Vec::new();
    let mut add = |kind, tx, events: &[Event]| {
        for (event, happened) in (0..).zip(events) {
            for (attribute, value) in &happened.attributes {
                let name = format!("{}.{attribute}", happened.kind);
                if name.len() > MAX_INDEXED_BYTES || value.len() > MAX_INDEXED_BYTES {
                    continue;
                }
                let place = Place { height, tx, event };
                let key = Key::Attribute { kind, name, value: value.clone(), place };
                entries.push((key.encode(), Vec::new()));
            }
        }
    };
    add(Kind::Block, 0, events);
    for (place, receipt) in (0..).zip(receipts) {
        add(Kind::Transaction, place, &receipt.events);
    }
    for ((place, tx), receipt) in (1..).zip(&block.txs).zip(receipts.iter().skip(1)) {
        let (
            Call::Records(
                records::Call::Put { data_set, key, .. }
                | records::Call::Delete { data_set, key, .. },
            ),
            true,
        ) = (&tx.body().call, receipt.is_ok())
        else {
            continue;
        };
        let record = record_hash(data_set, key);
        // What a write answers is the encoded version.
        entries.push((Key::Write { record, height, tx: place }.encode(), receipt.data.clone()));
    }
    entries
}

impl Database {
    /// Height up to which the index reaches; 0 when nothing is in it.
    #[must_use]
    pub fn indexed(&self) -> Height {
        *self.0.indexed.borrow()
    }

    /// Follows [`Database::indexed`].
    #[must_use]
    pub fn follow_indexed(&self) -> tokio::sync::watch::Receiver<Height> {
        self.0.indexed.subscribe()
    }

    /// Forgets up to which block the index reaches: it is made anew.
    pub(super) fn forget_index(&self) -> Result<(), ChainError> {
        let mut batch = WriteBatch::default();
        self.column(META).delete(&mut batch, INDEXED_KEY);
        self.write(batch, true)
    }

    pub(super) fn set_indexed(&self, height: Height) {
        self.0.indexed.send_replace(height);
    }

    /// Brings the lowest block that is not in the index into it; false when all are. `at_hand` is a block
    /// with what it left behind: it spares reading, when it is that one. Like [`Database::prune`] it
    /// outlives the process when it returns; a process that ends before begins with that block again.
    ///
    /// # Errors
    /// [`ChainError::Storage`], [`ChainError::Damaged`].
    pub fn index_next(
        &self,
        at_hand: Option<(&Block, &[Receipt], &[Event])>,
    ) -> Result<bool, ChainError> {
        let _one = self.0.pruning.lock().unwrap_or_else(PoisonError::into_inner);
        let height = self.indexed().next().max(self.first_height());
        if height > self.height() {
            return Ok(false);
        }
        let (found, count) = match at_hand.filter(|(block, ..)| block.header.height == height) {
            Some((block, receipts, events)) => (entries(block, receipts, events), receipts.len()),
            None => self.entries_of(height)?,
        };
        let before = self.transactions_through(height.back(1))?;
        let count = u32::try_from(count).expect("transactions of a block are bounded");
        let family = self.column(EVENTS);
        let mut batch = WriteBatch::default();
        for (key, value) in found {
            if batch.len() == MAX_ENTRIES {
                self.write(std::mem::take(&mut batch), false)?;
            }
            family.put(&mut batch, &key, &value);
        }
        let total = before + u64::from(count);
        family.put(&mut batch, &Key::Count(height).encode(), &codec::encode(&(count, total)));
        self.column(META).put(&mut batch, INDEXED_KEY, &codec::encode(&height));
        self.write(batch, false)?;
        self.set_indexed(height);
        Ok(true)
    }

    /// The entries of a block that is there, and how many transactions it has results of.
    fn entries_of(&self, height: Height) -> Result<(Vec<(Vec<u8>, Vec<u8>)>, usize), ChainError> {
        let mut options = ReadOptions::default();
        options.fill_cache(false);
        let block = self.block_by(height, &options)?.ok_or_else(|| {
            let reason = format!("block {height} is missing, and is not below the lowest");
            ChainError::Damaged { what: "block", reason }
        })?;
        let BlockResults { receipts, events } = self.results(height)?.unwrap_or_default();
        Ok((entries(&block.block, &receipts, &events), receipts.len()))
    }

    /// The sum at a height; 0 where there is none.
    fn transactions_through(&self, height: Height) -> Result<u64, ChainError> {
        let key = Key::Count(height).encode();
        let found: Option<(u32, u64)> = self.read("number of transactions", EVENTS, &key)?;
        Ok(found.map_or(0, |(_, total)| total))
    }

    /// The keys of the entries that a block may have in the index, that of [`Key::Count`] first.
    pub(super) fn index_keys_of(&self, height: Height) -> Result<Vec<Vec<u8>>, ChainError> {
        // A step that did not end may have left entries of the block above.
        if height > self.indexed().next() {
            return Ok(Vec::new());
        }
        let found = self.entries_of(height)?.0.into_iter().map(|(key, _)| key);
        Ok(std::iter::once(Key::Count(height).encode()).chain(found).collect())
    }

    /// The index as it is now.
    #[must_use]
    pub fn events(&self) -> Events<'_> {
        let (family, first) = (self.column(EVENTS), self.first_height());
        Events { family, first, moment: self.0.db.snapshot() }
    }
}

/// What [`Database::events`] gives: the index at one moment.
pub struct Events<'a> {
    family: Family<'a>,
    /// The lowest block that the node has. RocksDB passes over what was deleted one by one: below it nothing
    /// is looked for.
    first: Height,
    moment: rocksdb::Snapshot<'a>,
}

impl Events<'_> {
    fn raw(&self, prefix: &[u8]) -> DBRawIteratorWithThreadMode<'_, DB> {
        let (options, _) = self.family.range(prefix, None);
        self.moment.raw_iterator_cf_opt(self.family.handle, options)
    }

    /// The lowest and the highest block that are in it, of those that the node has; none when none is.
    ///
    /// # Errors
    /// [`ChainError::Storage`], [`ChainError::Damaged`].
    pub fn heights(&self) -> Result<Option<(Height, Height)>, ChainError> {
        let mut raw = self.raw(b"h");
        let at = |raw: &DBRawIteratorWithThreadMode<'_, DB>| {
            let found = current(&self.family, raw)?;
            Ok::<_, ChainError>(match found.map(|(key, _)| Key::decode(&key)) {
                Some(Some(Key::Count(height))) => Some(height),
                _ => None,
            })
        };
        raw.seek(self.family.key(&Key::Count(self.first).encode()));
        let first = at(&raw)?;
        raw.seek_to_last();
        Ok(first.zip(at(&raw)?))
    }

    /// The number of transactions of a block, and of those up to and with it; none when it is not in the
    /// index.
    ///
    /// # Errors
    /// [`ChainError::Storage`], [`ChainError::Damaged`].
    pub fn transactions(&self, height: Height) -> Result<Option<(u32, u64)>, ChainError> {
        let key = Key::Count(height).encode();
        let key = self.family.key(&key);
        let found = self.moment.get_pinned_cf(self.family.handle, &key);
        self.family.decoded("number of transactions", &key, found)
    }

    /// The places of events with an attribute of this value, in their order.
    #[must_use]
    pub fn places(&self, kind: Kind, name: &str, value: &str) -> Places<'_> {
        let prefix = attribute_prefix(kind, name, Some(value));
        Places { family: self.family, raw: self.raw(&prefix), prefix, at: None }
    }

    /// Visits the attributes of a name in these blocks, in the order of their values. Of each value that is
    /// there in lower or higher blocks, too, one place in each of them is visited, and the rest passed over.
    ///
    /// # Errors
    /// Those of `visit`; [`ChainError::Storage`], [`ChainError::Damaged`].
    pub fn visit<E: From<ChainError>>(
        &self,
        kind: Kind,
        name: &str,
        heights: &RangeInclusive<Height>,
        visit: impl FnMut(&str, Place) -> Result<(), E>,
    ) -> Result<(), E> {
        self.visit_prefix(attribute_prefix(kind, name, None), heights, visit)
    }

    /// As [`Events::visit`], of all attributes of a kind of events.
    ///
    /// # Errors
    /// Those of `visit`; [`ChainError::Storage`], [`ChainError::Damaged`].
    pub fn visit_kind<E: From<ChainError>>(
        &self,
        kind: Kind,
        of: &str,
        heights: &RangeInclusive<Height>,
        visit: impl FnMut(&str, Place) -> Result<(), E>,
    ) -> Result<(), E> {
        self.visit_prefix(attribute_start(kind, &format!("{of}.")), heights, visit)
    }

    fn visit_prefix<E: From<ChainError>>(
        &self,
        prefix: Vec<u8>,
        heights: &RangeInclusive<Height>,
        mut visit: impl FnMut(&str, Place) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut raw = self.raw(&prefix);
        raw.seek(self.family.key(&prefix));
        while let Some((mut key, _)) = current(&self.family, &raw)? {
            let Some(Key::Attribute { value, place, .. }) = Key::decode(&key) else {
                return Err(damaged().into());
            };
            visit(&value, place)?;
            if heights.contains(&place.height) {
                raw.next();
                continue;
            }
            key.truncate(key.len() - PLACE_BYTES);
            if place.height < *heights.start() {
                key.extend(Place { height: *heights.start(), ..Place::default() }.encode());
            } else if let Some(last) = key.last_mut() {
                // Behind the end of this value, and before those that begin with it.
                *last += 1;
            }
            raw.seek(self.family.key(&key));
        }
        Ok(())
    }

    /// The newest writes of a record that come before a place, of those in blocks that the node has, at most
    /// `limit`, the newest first: block, place and the version that it had from then on.
    ///
    /// # Errors
    /// [`ChainError::Storage`], [`ChainError::Damaged`].
    pub fn writes(
        &self,
        data_set: &DataSetName,
        key: &[u8],
        before: (Height, u32),
        limit: usize,
    ) -> Result<Vec<(Height, u32, u64)>, ChainError> {
        let record = record_hash(data_set, key);
        let lowest = Key::Write { record, height: self.first, tx: 0 }.encode();
        let (mut options, _) = self.family.range(&write_prefix(&record), None);
        options.set_iterate_lower_bound(self.family.key(&lowest).into_owned());
        let mut raw = self.moment.raw_iterator_cf_opt(self.family.handle, options);
        let (height, tx) = before;
        let bound = Key::Write { record, height, tx }.encode();
        raw.seek_for_prev(self.family.key(&bound));
        if let Some((found, _)) = current(&self.family, &raw)?
            && found == bound
        {
            raw.prev();
        }
        let mut writes = Vec::new();
        while writes.len() < limit
            && let Some((key, value)) = current(&self.family, &raw)?
        {
            let Some(Key::Write { height, tx, .. }) = Key::decode(&key) else {
                return Err(damaged());
            };
            writes.push((height, tx, super::family::decode("version of a record", &value)?));
            raw.prev();
        }
        Ok(writes)
    }
}

/// The entry that an iterator stands at.
fn current(
    family: &Family<'_>,
    raw: &DBRawIteratorWithThreadMode<'_, DB>,
) -> Result<Option<(Vec<u8>, Vec<u8>)>, ChainError> {
    let Some((key, value)) = raw.item() else {
        raw.status().map_err(|source| fault(EVENTS, &source))?;
        return Ok(None);
    };
    family.opened(key.into(), value.into()).map(Some)
}

fn damaged() -> ChainError {
    ChainError::Damaged { what: EVENTS, reason: "a key is none of the index".to_owned() }
}

/// Places in their order, of which those between can be passed over.
pub struct Places<'a> {
    family: Family<'a>,
    raw: DBRawIteratorWithThreadMode<'a, DB>,
    prefix: Vec<u8>,
    /// Where `raw` stands.
    at: Option<Place>,
}

impl Places<'_> {
    /// The first place that is not below `from`.
    ///
    /// # Errors
    /// [`ChainError::Storage`], [`ChainError::Damaged`].
    pub fn seek(&mut self, from: Place) -> Result<Option<Place>, ChainError> {
        // The next entry is cheaper to find than any other.
        if self.at.is_some_and(|at| at.next() == Some(from)) {
            self.raw.next();
        } else {
            let key = [self.prefix.as_slice(), &from.encode()].concat();
            self.raw.seek(self.family.key(&key));
        }
        self.at = None;
        let Some((key, _)) = current(&self.family, &self.raw)? else { return Ok(None) };
        let place = key.strip_prefix(self.prefix.as_slice()).and_then(Place::decode);
        self.at = Some(place.ok_or_else(damaged)?);
        Ok(self.at)
    }
}
