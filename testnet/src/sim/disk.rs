//! A node's disk: a log of writes, of which the last may be lost.
//!
//! Everything goes into one write-ahead log, as in the node's database. A commit is written without
//! being synced; a persist is synced, and with it all that was written before. What a crash leaves is
//! what was synced and some first part of the rest, each write whole or not at all.

use std::collections::BTreeMap;
use std::rc::Rc;

use tandem_chain::block::{Certificate, CertifiedBlock};
use tandem_chain::codec;
use tandem_chain::limits::MAX_ENCODED_BYTES;
use tandem_chain::store::{Batch, MemoryStore};
use tandem_consensus::journal::{Durable, Journal, KeyState, Slot};

/// What a disk holds.
#[derive(Clone, Debug, Default)]
pub struct Image {
    /// The ledger's state.
    pub store: MemoryStore,
    /// All blocks, from height 1.
    pub blocks: Vec<Rc<CertifiedBlock>>,
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

    fn slot<T: serde::de::DeserializeOwned>(&self, slot: Slot) -> Option<T> {
        let bytes = self.slots.get(&slot)?;
        Some(codec::decode("slot", bytes, MAX_ENCODED_BYTES).expect("what was written is read"))
    }
}

/// One write.
#[derive(Clone, Debug)]
pub enum Write {
    /// A block with its changes of the state.
    Commit(Rc<CertifiedBlock>, Rc<Batch>),
    /// Values of the replica.
    Slots(Vec<(Slot, Rc<[u8]>)>),
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
    pub fn new(genesis: &Batch) -> Self {
        let mut disk = Self::default();
        disk.synced.store.apply(genesis);
        disk
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

    /// Syncs the first `count` of the writes that are not.
    pub fn sync(&mut self, count: usize) {
        for write in self.log.drain(..count) {
            match write {
                Write::Commit(block, batch) => {
                    self.synced.store.apply(&batch);
                    self.synced.blocks.push(block);
                }
                Write::Slots(values) => self.synced.slots.extend(values),
            }
        }
    }

    /// A crash: the first `kept` writes that were not synced are there, the rest is lost.
    pub fn crash(&mut self, kept: usize) {
        self.sync(kept);
        self.log.clear();
    }
}
