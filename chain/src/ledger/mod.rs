//! The ledger: executes blocks, one after another, on the state in a [`Store`].
//!
//! Work on a block, in this order: its evidence bars keys and moves their seats, its transactions
//! are executed, seats are switched by the rule of design section 6. Then the changes and the pages
//! of the state's Merkle tree go into one [`Batch`].
//!
//! Execution is deterministic and total: a call that fails leaves a receipt with an error and
//! changes nothing else. The only errors of [`Ledger::execute`] are those of the store.

mod receipt;

use std::sync::Arc;

use crate::block::Block;
use crate::error::Error;
use crate::evidence::Evidence;
use crate::genesis::Genesis;
use crate::keys::PublicKey;
use crate::store::{Batch, Store};
use crate::tip::Tip;
use crate::tx::Tx;
use crate::types::{OrgName, TxHash};
use crate::vote::Vote;

pub use receipt::{Event, Receipt};

/// The state after the last block, and the rules by which the next one changes it.
#[derive(Debug)]
pub struct Ledger<S> {
    store: S,
    tip: Arc<Tip>,
}

/// What executing a block gives. Nothing has changed until it is written and applied.
#[derive(Clone, Debug)]
pub struct Execution {
    /// What to write to the store.
    pub batch: Batch,
    /// By place in the block: 0 is the liveness record, which always succeeds.
    pub receipts: Vec<Receipt>,
    /// What the block did apart from its transactions.
    pub events: Vec<Event>,
    /// What is known of the chain after the block.
    pub tip: Arc<Tip>,
}

impl<S: Store> Ledger<S> {
    /// What an empty store must hold before it is opened.
    ///
    /// # Panics
    /// When the genesis has faults: [`Genesis::validate`] comes first.
    #[must_use]
    pub fn genesis(genesis: &Genesis) -> Batch {
        let _ = genesis;
        todo!()
    }

    /// Opens a store that holds the state after any block of this chain, or after genesis.
    ///
    /// # Errors
    /// [`Error::OtherGenesis`], [`Error::Damaged`], [`Error::Storage`].
    pub fn open(store: S, genesis: &Genesis) -> Result<Self, Error> {
        let _ = (store, genesis);
        todo!()
    }

    /// What is known of the chain after its last block.
    pub fn tip(&self) -> &Arc<Tip> {
        &self.tip
    }

    /// The store.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// The store, to write an [`Execution::batch`] to.
    pub fn store_mut(&mut self) -> &mut S {
        &mut self.store
    }

    /// Checks what a block carries against the state at the tip: its height, its transactions'
    /// validity, number, size and that none is in the chain, and its evidence. Not signatures, nor
    /// header, record and certificate.
    ///
    /// # Errors
    /// [`Error::WrongHeight`], [`Error::Expired`], [`Error::TooFar`], [`Error::Repeated`],
    /// [`Error::TooMany`], [`Error::TooLong`], [`Error::Evidence`], [`Error::Storage`].
    pub fn check(&self, block: &Block) -> Result<(), Error> {
        let _ = block;
        todo!()
    }

    /// Those of `txs` that the next block may carry, in their order: valid at its height, within
    /// its limits, not in the chain, none twice.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn select(&self, txs: Vec<Tx>) -> Result<Vec<Tx>, Error> {
        let _ = txs;
        todo!()
    }

    /// Executes the block of the next height, which was checked.
    ///
    /// # Errors
    /// [`Error::Storage`], [`Error::Damaged`].
    pub fn execute(&self, block: &Block) -> Result<Execution, Error> {
        let _ = block;
        todo!()
    }

    /// Makes the state after the block the ledger's; its batch is in the store already.
    ///
    /// # Panics
    /// When the execution is not that of the next block.
    pub fn apply(&mut self, execution: Execution) {
        self.tip = execution.tip;
    }

    /// Complete evidence from two votes that contradict each other, with power and time: none when
    /// the key held no seat at their height, when that height is not in the chain yet or is out of
    /// the evidence window, or when the key is barred already.
    ///
    /// # Errors
    /// [`Error::Storage`], [`Error::Damaged`].
    pub fn evidence(&self, a: &Vote, b: &Vote, key: PublicKey) -> Result<Option<Evidence>, Error> {
        let _ = (a, b, key);
        todo!()
    }
}

/// The organisation that a key may send transactions for: its admin key, a registered node or a
/// user of it.
///
/// # Errors
/// [`Error::Storage`], [`Error::Damaged`].
pub fn may_send(store: &dyn Store, key: &PublicKey) -> Result<Option<OrgName>, Error> {
    let _ = (store, key);
    todo!()
}

/// Whether a transaction stands in a block of the chain. Transactions that can no longer be valid
/// are forgotten.
///
/// # Errors
/// [`Error::Storage`].
pub fn is_committed(store: &dyn Store, hash: &TxHash) -> Result<bool, Error> {
    let _ = (store, hash);
    todo!()
}
