//! The ledger: executes blocks, one after another, on the state in a [`Store`].
//!
//! Work on a block, in this order: its evidence bars keys and moves their seats, its transactions
//! are executed, seats are switched by the rule of design section 6. Then the changes and the pages
//! of the state's Merkle tree go into one [`Batch`].
//!
//! Execution is deterministic and total: a call that fails leaves a receipt with an error and
//! changes nothing else. The only errors of [`Ledger::execute`] are those of the store.

mod check;
pub(crate) mod context;
mod execute;
pub(crate) mod last;
mod receipt;
mod recent;
pub(crate) mod state;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;

use crate::block::Block;
use crate::error::Error;
use crate::evidence::Evidence;
use crate::genesis::Genesis;
use crate::keys::PublicKey;
use crate::modules::{consortium, parameters, standby};
use crate::store::{Batch, Column, MemoryStore, Store};
use crate::tip::Tip;
use crate::tree;
use crate::tx::Tx;
use crate::types::{Height, OrgName};
use crate::vote::Vote;

pub use last::{Last, Origin};
pub use receipt::{Event, Receipt};
pub(crate) use recent::remember_again;
pub use recent::{Recent, is_committed};
use state::{State, missing};

/// The state after the last block, and the rules by which the next one changes it.
#[derive(Clone, Debug)]
pub struct Ledger<S> {
    store: S,
    tip: Arc<Tip>,
}

/// What executing a block gives. Nothing has changed until it is written and applied.
#[derive(Clone, Debug, PartialEq, Eq)]
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
        genesis.validate().expect("a genesis is validated before it is used");
        let empty = MemoryStore::default();
        let mut state = State::new(&empty);
        Origin::new(genesis).write(&mut state);
        Last::genesis(genesis).write(&mut state);
        consortium::genesis(&mut state, genesis);
        standby::genesis(&mut state, genesis);
        parameters::genesis(&mut state, genesis);
        state.keep();
        let mut batch = Batch::default();
        execute::write_state(state, &mut batch).expect("memory does not fail");
        batch
    }

    /// Opens a store that holds the state after any block of this chain, or after genesis.
    ///
    /// # Errors
    /// [`Error::OtherGenesis`], [`Error::Damaged`], [`Error::Storage`].
    pub fn open(store: S, genesis: &Genesis) -> Result<Self, Error> {
        let tip = read_tip(&store, genesis)?;
        Ok(Self { store, tip: Arc::new(tip) })
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
        check::check(&self.store, &self.tip, block)
    }

    /// Those of `txs` that the next block may carry, in their order: valid at its height, within
    /// its limits, not in the chain, none twice.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn select(&self, txs: Vec<Tx>) -> Result<Vec<Tx>, Error> {
        check::select(&self.store, &self.tip, txs)
    }

    /// Executes the block of the next height, which was checked.
    ///
    /// # Errors
    /// [`Error::Storage`], [`Error::Damaged`].
    ///
    /// # Panics
    /// When the block is of another height.
    pub fn execute(&self, block: &Block) -> Result<Execution, Error> {
        execute::execute(&self.store, &self.tip, block)
    }

    /// Makes the state after a block the ledger's: [`Execution::tip`], whose batch is in the store
    /// already.
    ///
    /// # Panics
    /// When it is not that of the next block.
    pub fn apply(&mut self, tip: Arc<Tip>) {
        assert_eq!(tip.height, self.tip.height.next(), "blocks are applied in order");
        self.tip = tip;
    }

    /// Complete evidence from two votes that contradict each other, with power and time: none when
    /// the key held no seat at their height, when that height is not in the chain yet or is out of
    /// the evidence window, or when the key is barred already.
    ///
    /// # Errors
    /// [`Error::Storage`], [`Error::Damaged`].
    pub fn evidence(&self, a: &Vote, b: &Vote, key: PublicKey) -> Result<Option<Evidence>, Error> {
        let complete = check::complete(&self.store, a, b, key, self.tip.height.next())?;
        Ok(complete.ok())
    }
}

/// Evidence from two votes that contradict each other, with power and time, as a block after the newest
/// may carry it. Signatures are another question: [`Evidence::verify`].
///
/// # Errors
/// [`Error::Evidence`]: why no block may carry it; [`Error::Storage`], [`Error::Damaged`].
pub fn evidence(store: &dyn Store, a: &Vote, b: &Vote, key: PublicKey) -> Result<Evidence, Error> {
    check::complete(store, a, b, key, last(store)?.height.next())?
}

/// The organisation that a key may send transactions for: its admin key, a registered node or a
/// user of it.
///
/// # Errors
/// [`Error::UnknownSender`], [`Error::Suspended`], [`Error::Storage`], [`Error::Damaged`].
pub fn may_send(store: &dyn Store, key: &PublicKey) -> Result<OrgName, Error> {
    Ok(consortium::sender(&mut State::new(store), key)?.org)
}

/// The chain that a store's state is of.
///
/// # Errors
/// [`Error::Storage`], [`Error::Damaged`].
pub fn origin(store: &dyn Store) -> Result<Origin, Error> {
    Origin::read(&mut State::new(store))
}

/// The last block that a store's state has in it.
///
/// # Errors
/// [`Error::Storage`], [`Error::Damaged`].
pub fn last(store: &dyn Store) -> Result<Last, Error> {
    Last::read(&mut State::new(store))
}

/// Whether a store holds no state yet, so that [`Ledger::genesis`] is to be written to it.
///
/// # Errors
/// [`Error::Storage`].
pub fn is_empty(store: &dyn Store) -> Result<bool, Error> {
    Ok(store.scan(Column::State, &[], None, 1)?.is_empty())
}

fn read_tip(store: &dyn Store, genesis: &Genesis) -> Result<Tip, Error> {
    let state = &mut State::new(store);
    let (expected, got) = (genesis.hash(), Origin::read(state)?);
    if got.genesis != expected {
        return Err(Error::OtherGenesis { expected, got: got.genesis });
    }
    let last = Last::read(state)?;
    let table = |height: Height| -> Result<_, Error> {
        let table = standby::table_at(store, height)?;
        Ok(Arc::new(table.ok_or_else(|| missing("role table"))?))
    };
    let register = Arc::new(consortium::register(state)?);
    let previous = last::read_previous_register(state)?;
    Ok(Tip {
        chain_id: got.chain_id,
        height: last.height,
        block: last.block,
        time: last.time,
        app_hash: tree::root(store)?,
        results_hash: last.results_hash,
        // At genesis the table of the block's height is that of height 1.
        table: table(Height(last.height.0.max(1)))?,
        next_table: table(last.height.plus(1))?,
        next_next_table: table(last.height.plus(2))?,
        previous_register: previous.map_or_else(|| register.clone(), Arc::new),
        register,
        alive: last.alive.map(Arc::new),
        parameters: Arc::new(parameters::read(state)?),
    })
}
