//! What a block's execution hands to the modules.

use std::collections::BTreeSet;

use crate::keys::PublicKey;
use crate::ledger::receipt::Event;
use crate::ledger::state::State;
use crate::roles::RoleTable;
use crate::tip::Tip;
use crate::types::{Height, Timestamp};

/// The execution of one block, k.
pub(crate) struct Context<'a> {
    /// The state, with what the block changed so far.
    pub(crate) state: State<'a>,
    /// What was known after block k-1.
    pub(crate) tip: &'a Tip,
    /// k.
    pub(crate) height: Height,
    /// T(k).
    pub(crate) time: Timestamp,
    /// The nodes that R_k calls alive; none in block 1.
    pub(crate) alive: Option<BTreeSet<PublicKey>>,
    /// Events of the call, or of the part of the block, that is being executed.
    pub(crate) events: Vec<Event>,
}

impl<'a> Context<'a> {
    /// The table of k+1, fixed by the block before.
    pub(crate) fn table_after(&self) -> &'a RoleTable {
        &self.tip.next_next_table
    }

    /// k+2: the height at which what block k changes in the role table takes effect.
    pub(crate) fn effective(&self) -> Height {
        self.height.plus(2)
    }

    /// Whether R_k calls a node alive.
    pub(crate) fn is_alive(&self, node: &PublicKey) -> bool {
        self.alive.as_ref().is_some_and(|alive| alive.contains(node))
    }
}
