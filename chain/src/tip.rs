//! What the rest of a node needs to know of the chain after a block.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::keys::PublicKey;
use crate::modules::parameters::Parameters;
use crate::roles::{Register, RoleTable};
use crate::types::{BlockId, ChainId, Hash, Height, Timestamp};

/// The state after a block, as far as consensus and network need it. Made by the ledger alone;
/// cheap to clone and share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tip {
    /// Id of the chain.
    pub chain_id: ChainId,
    /// Height of the block; 0 at genesis.
    pub height: Height,
    /// The block; none at genesis.
    pub block: Option<BlockId>,
    /// The block's time; genesis time at height 0.
    pub time: Timestamp,
    /// State commitment after the block.
    pub app_hash: Hash,
    /// Root over the block's results.
    pub results_hash: Hash,
    /// Role table of the block's height; that of height 1 at genesis.
    pub table: Arc<RoleTable>,
    /// Role table of the next height.
    pub next_table: Arc<RoleTable>,
    /// Role table of the height after the next.
    pub next_next_table: Arc<RoleTable>,
    /// Registered nodes after the block: bits of observations of the next height.
    pub register: Arc<Register>,
    /// Registered nodes after the block before: bits of the next block's record.
    pub previous_register: Arc<Register>,
    /// The nodes that this block's record calls alive; none at genesis and in block 1, which have
    /// no record.
    pub alive: Option<Arc<BTreeSet<PublicKey>>>,
    /// Parameters from the next height on.
    pub parameters: Arc<Parameters>,
}
