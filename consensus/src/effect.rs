//! What comes out of a replica.

use std::sync::Arc;

use tandem_chain::block::{Block, CertifiedBlock};
use tandem_chain::keys::PublicKey;
use tandem_chain::roles::RoleTable;
use tandem_chain::types::{BlockId, Height, OrgName, Round, Term};
use tandem_chain::vote::Vote;

use crate::journal::Slot;
use crate::message::Message;
use crate::verify::Fault;

/// Something for the driver to do.
///
/// Effects run in order, and no send, broadcast or commit starts until every earlier persist is
/// durable. The other effects may run at once.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Make these values durable, all or none.
    Persist(Vec<(Slot, Vec<u8>)>),
    /// Send a message to one peer.
    Send {
        /// The peer.
        to: PublicKey,
        /// The message.
        message: Message,
    },
    /// Send a message to every connected peer.
    Broadcast(Message),
    /// Choose transactions and evidence for a block; answered by [`crate::Input::Built`].
    Build {
        /// Height of the block.
        height: Height,
        /// Round for which it is wanted.
        round: Round,
    },
    /// Let the ledger check a proposed block's content; answered by [`crate::Input::Checked`].
    Check {
        /// Its id.
        id: BlockId,
        /// The block.
        block: Arc<Block>,
    },
    /// Execute a decided block and store it with its results, all or nothing; answered by
    /// [`crate::Input::Executed`].
    Commit(Arc<CertifiedBlock>),
    /// Ask a peer for certified blocks; answered by [`crate::Input::Fetched`] or
    /// [`crate::Input::Lacks`], at the latest after [`crate::limits::FETCH_TIMEOUT`].
    Fetch {
        /// The peer.
        from: PublicKey,
        /// The first height.
        first: Height,
        /// How many at most.
        count: u64,
    },
    /// Verify the signatures of a fetched block; answered by [`crate::Input::BlockVerified`].
    Verify {
        /// The block.
        block: Arc<CertifiedBlock>,
        /// The role table of its height.
        table: Arc<RoleTable>,
    },
    /// This node's role from a height on, when it has changed and at the start.
    RoleChanged {
        /// The first height.
        height: Height,
        /// The role.
        role: Role,
    },
    /// Two votes of one key that contradict each other.
    DoubleSign {
        /// The key.
        key: PublicKey,
        /// One vote.
        one: Box<Vote>,
        /// The other.
        other: Box<Vote>,
    },
    /// A peer did something wrong. It had no effect.
    Report {
        /// The peer.
        peer: PublicKey,
        /// What.
        fault: Fault,
    },
    /// The process must end: going on could do harm.
    Halt {
        /// Why, for the operator.
        reason: String,
    },
}

/// The part that a node plays at a height.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// It holds its organisation's seat: it proposes and votes.
    Validator {
        /// The seat.
        seat: OrgName,
        /// The seat's term.
        term: Term,
    },
    /// It is the other node of the pair.
    Standby {
        /// The seat.
        seat: OrgName,
    },
    /// It is registered, outside the pair.
    Observer {
        /// Its organisation.
        org: OrgName,
    },
    /// It is not registered.
    Unregistered,
}
