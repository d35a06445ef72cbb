//! A node's disk: a log of writes, of which the last may be lost.
//!
//! Everything goes into one write-ahead log, as in the node's database (`node/src/storage`). What is
//! atomic there is one [`Write`] here, however many values are in it:
//!
//! | write | what is in it | synced |
//! |---|---|---|
//! | [`Write::Commit`] | a block with its certificate, and every change of the state | by the next persist |
//! | [`Write::Slots`] | all values of one `Effect::Persist`: journal, valid value, proposal | at once, by itself |
//!
//! A write is one record of the log, under one checksum. A crash may happen inside it: then the
//! record is torn, and reading the log again ends before it, so that the write vanishes whole, and
//! with it all behind. What a crash leaves is therefore what was synced and some first part of the
//! rest. A write that fails for want of room ends the process; it may be found afterwards
//! or not, whole in either case.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use tandem_chain::block::{Certificate, CertifiedBlock};
use tandem_chain::codec;
use tandem_chain::limits::MAX_ENCODED_BYTES;
use tandem_chain::types::{Height, Round};
use tandem_consensus::journal::{Durable, Journal, KeyState, Slot};

use super::digest::Digest;
use super::states::{Executed, State};

/// Bytes of a height and a round.
const PLACE_BYTES: usize = 8 + 4;

/// What a disk holds.
#[derive(Clone, Debug, Default)]
pub struct Image {
    /// The ledger's state.
    pub state: State,
    /// All blocks, from height 1.
    pub blocks: Vec<Arc<CertifiedBlock>>,
    /// What the replica made durable.
    pub slots: BTreeMap<Slot, Rc<[u8]>>,
}

impl Image {
    /// The certificate of the newest block; the default one at genesis.
    #[must_use]
    pub fn certificate(&self) -> Certificate {
        self.blocks.last().map(|block| block.certificate.clone()).unwrap_or_default()
    }

    /// What the replica starts from; `key` is the state of a key that has no journal.
    #[must_use]
    pub fn durable(&self, key: KeyState) -> Durable {
        let new = Durable::new(key);
        Durable {
            journal: self.slot(Slot::Journal).unwrap_or(new.journal),
            valid: self.slot(Slot::Valid),
            proposal: self.slot(Slot::Proposal),
        }
    }

    /// The journal, if there is one.
    #[must_use]
    pub fn journal(&self) -> Option<Journal> {
        self.slot(Slot::Journal)
    }

    /// Height and round of the valid value, if there is one: they stand first in a [`Valid`].
    ///
    /// [`Valid`]: tandem_consensus::journal::Valid
    #[must_use]
    pub fn valid_at(&self) -> Option<(Height, Round)> {
        let place = self.slots.get(&Slot::Valid)?.first_chunk::<PLACE_BYTES>()?;
        codec::decode("height and round", place, PLACE_BYTES).ok()
    }

    /// Whether a slot holds the encoding of a value.
    #[must_use]
    pub fn holds<T: serde::Serialize>(&self, slot: Slot, value: &T) -> bool {
        self.slots.get(&slot).is_some_and(|bytes| **bytes == *codec::encode(value))
    }

    /// This image as one that was restored from a backup and marked as such: what was signed since
    /// is not in it, so the key is lost, and the record in it is no basis to go on from.
    #[must_use]
    pub fn with_lost_key(mut self) -> Self {
        let journal = codec::encode(&Journal::new(KeyState::Lost)).into();
        self.slots = BTreeMap::from([(Slot::Journal, journal)]);
        self
    }

    fn apply(&mut self, write: Write) {
        match write {
            Write::Commit(block, executed) => {
                self.state = executed.on(&self.state);
                self.blocks.push(block);
            }
            Write::Slots(values) => self.slots.extend(values),
        }
    }

    fn slot<T: serde::de::DeserializeOwned>(&self, slot: Slot) -> Option<T> {
        let bytes = self.slots.get(&slot)?;
        Some(codec::decode("slot", bytes, MAX_ENCODED_BYTES).expect("what was written is read"))
    }
}

/// One write: all of it is kept by a crash, or nothing.
#[derive(Clone, Debug)]
pub enum Write {
    /// A block with its changes of the state.
    Commit(Arc<CertifiedBlock>, Rc<Executed>),
    /// Values of the replica.
    Slots(Vec<(Slot, Rc<[u8]>)>),
}

impl Write {
    fn mix(&self, digest: &mut Digest) {
        match self {
            Self::Commit(_, executed) => digest.mix(executed.digest),
            Self::Slots(values) => {
                for (slot, bytes) in values {
                    digest.mix(*slot as u64);
                    digest.mix_bytes(bytes);
                }
            }
        }
    }
}

/// A disk.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    synced: Image,
    log: Vec<Write>,
}

impl Disk {
    /// A disk that holds the genesis state.
    #[must_use]
    pub fn new(genesis: State) -> Self {
        Self { synced: Image { state: genesis, ..Image::default() }, log: Vec::new() }
    }

    /// A copy of what a process sees of it: all that was written, synced or not.
    #[must_use]
    pub fn copy(&self) -> Image {
        let mut copy = self.synced.clone();
        self.log.iter().cloned().for_each(|write| copy.apply(write));
        copy
    }

    /// A disk that holds a copy of an earlier one.
    #[must_use]
    pub fn restored(image: Image) -> Self {
        Self { synced: image, log: Vec::new() }
    }

    /// What would be found if it crashed now and lost every write that is not synced.
    #[must_use]
    pub fn synced(&self) -> &Image {
        &self.synced
    }

    /// Writes, without syncing.
    pub fn write(&mut self, write: Write) {
        self.log.push(write);
    }

    /// How many writes are not synced.
    #[must_use]
    pub fn unsynced(&self) -> usize {
        self.log.len()
    }

    /// Syncs the first `count` of the writes that are not, and mixes them into the digest.
    pub fn sync(&mut self, count: usize, digest: &mut Digest) {
        for write in self.log.drain(..count) {
            write.mix(digest);
            self.synced.apply(write);
        }
    }

    /// A crash: the first `kept` writes that were not synced are there, the rest is lost.
    pub fn crash(&mut self, kept: usize, digest: &mut Digest) {
        self.sync(kept, digest);
        self.log.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(byte: u8) -> Write {
        let value = |slot| (slot, Rc::from([byte].as_slice()));
        Write::Slots(vec![value(Slot::Journal), value(Slot::Proposal)])
    }

    #[test]
    fn a_crash_keeps_a_first_part_of_the_writes_and_each_whole() {
        for kept in 0..=3 {
            let mut disk = Disk::default();
            (1..=3).for_each(|byte| disk.write(slots(byte)));
            disk.crash(kept, &mut Digest::new(0));
            let found: Vec<u8> = disk.synced().slots.values().map(|bytes| bytes[0]).collect();
            let expected = u8::try_from(kept).expect("few");
            assert_eq!(found, vec![expected; if kept == 0 { 0 } else { 2 }]);
            assert_eq!(disk.unsynced(), 0);
        }
    }

    #[test]
    fn what_becomes_durable_is_in_the_digest() {
        let digest_of = |kept| {
            let (mut disk, mut digest) = (Disk::default(), Digest::new(0));
            disk.write(slots(1));
            disk.crash(kept, &mut digest);
            digest
        };
        assert_ne!(digest_of(0), digest_of(1));
    }

    #[test]
    fn the_key_of_a_restored_disk_is_lost_whatever_its_record_says() {
        let mut image = Image::default();
        let good = Journal::new(KeyState::Good);
        image.slots.insert(Slot::Journal, codec::encode(&good).into());
        assert!(!image.durable(KeyState::Good).journal.guard.is_lost());
        let durable = image.with_lost_key().durable(KeyState::Good);
        assert!(durable.journal.guard.is_lost() && durable.proposal.is_none());
    }
}
