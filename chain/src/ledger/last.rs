//! What the ledger keeps in the state for itself.
//!
//! | state key | value |
//! |---|---|
//! | `ledger/genesis` | [`Origin`] |
//! | `ledger/last` | [`Last`] |
//! | `ledger/previous_register` | the register after the block before the last, where it differs from that after the last |

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::genesis::Genesis;
use crate::keys::PublicKey;
use crate::ledger::state::{State, missing};
use crate::roles::Register;
use crate::types::{BlockId, ChainId, Hash, Height, Timestamp};

const ORIGIN: &str = "ledger/genesis";
const LAST: &str = "ledger/last";
const PREVIOUS_REGISTER: &str = "ledger/previous_register";

/// The chain that the state is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Hash of the genesis.
    pub genesis: Hash,
    /// Id of the chain.
    pub chain_id: ChainId,
}

impl Origin {
    pub(super) fn new(genesis: &Genesis) -> Self {
        Self { genesis: genesis.hash(), chain_id: genesis.chain_id.clone() }
    }

    pub(super) fn read(state: &mut State) -> Result<Self, Error> {
        state.read("genesis", ORIGIN.as_bytes())?.ok_or_else(|| missing("genesis"))
    }

    pub(super) fn write(&self, state: &mut State) {
        state.write(ORIGIN.into(), self);
    }
}

/// The last block, as far as the next one depends on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Last {
    /// Its height; 0 at genesis.
    pub height: Height,
    /// Its id; none at genesis.
    pub block: Option<BlockId>,
    /// Its time, or that of genesis.
    pub time: Timestamp,
    /// Root over its results.
    pub results_hash: Hash,
    /// The nodes that its record calls alive; none at genesis and in block 1.
    pub alive: Option<BTreeSet<PublicKey>>,
}

impl Last {
    pub(super) fn genesis(genesis: &Genesis) -> Self {
        Self {
            height: Height::ZERO,
            block: None,
            time: genesis.genesis_time,
            results_hash: Hash::EMPTY,
            alive: None,
        }
    }

    pub(crate) fn read(state: &mut State) -> Result<Self, Error> {
        state.read("last block", LAST.as_bytes())?.ok_or_else(|| missing("last block"))
    }

    pub(super) fn write(&self, state: &mut State) {
        state.write(LAST.into(), self);
    }
}

pub(super) fn read_previous_register(state: &mut State) -> Result<Option<Register>, Error> {
    state.read("previous register", PREVIOUS_REGISTER.as_bytes())
}

pub(super) fn write_previous_register(state: &mut State, register: Option<&Register>) {
    match register {
        Some(register) => state.write(PREVIOUS_REGISTER.into(), register),
        None => state.delete(PREVIOUS_REGISTER.into()),
    }
}
