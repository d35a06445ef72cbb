//! What goes into a replica.

use std::sync::Arc;

use tandem_chain::block::CertifiedBlock;
use tandem_chain::evidence::Evidence;
use tandem_chain::keys::PublicKey;
use tandem_chain::tip::Tip;
use tandem_chain::tx::Tx;
use tandem_chain::types::{BlockId, Height, Round};

use crate::message::Message;
use crate::verify::{Fault, Verified};

/// An input of [`crate::Replica::handle`].
#[derive(Clone, Debug)]
pub enum Input {
    /// The process has started: first of all inputs, once.
    Start,
    /// A message from a peer, verified.
    Message {
        /// The node at the other end of the connection.
        from: PublicKey,
        /// The message.
        message: Verified<Message>,
    },
    /// A peer claims to have committed a height that is too far ahead for its message to be judged.
    Claim {
        /// The node at the other end of the connection.
        from: PublicKey,
        /// The height.
        height: Height,
    },
    /// A connection to a peer is up: what it may lack is sent.
    Connected(PublicKey),
    /// The connection to a peer is gone.
    Disconnected(PublicKey),
    /// Whether there are transactions to put into a block.
    Work(bool),
    /// The answer to [`crate::Effect::Build`].
    Built {
        /// Its height.
        height: Height,
        /// Its round.
        round: Round,
        /// Transactions that are valid on the tip of `height - 1` and fit into a block.
        txs: Vec<Tx>,
        /// Evidence that is valid there too.
        evidence: Vec<Evidence>,
    },
    /// The answer to [`crate::Effect::Check`].
    Checked {
        /// Height of the block.
        height: Height,
        /// The block.
        block: BlockId,
        /// What the ledger found.
        verdict: Result<(), tandem_chain::Error>,
    },
    /// The answer to [`crate::Effect::Commit`]: the block is executed and stored.
    Executed {
        /// The state after it.
        tip: Arc<Tip>,
    },
    /// The answer to [`crate::Effect::Fetch`]: certified blocks, decoded but not verified. Empty
    /// when the peer did not answer, or has none.
    Fetched {
        /// Who was asked.
        from: PublicKey,
        /// The first height asked for.
        first: Height,
        /// What came, in the order in which it came.
        blocks: Vec<CertifiedBlock>,
    },
    /// In the place of [`Input::Fetched`]: the peer says that it does not have the block asked for, since
    /// it has taken it away, or has begun with a state of a greater height.
    Lacks {
        /// Who was asked.
        from: PublicKey,
        /// The first height asked for.
        first: Height,
        /// The lowest height that it has, as it says; above `first`.
        lowest: Height,
    },
    /// The answer to [`crate::Effect::Verify`].
    BlockVerified {
        /// Height of the block.
        height: Height,
        /// What [`crate::verify::certified_block`] found.
        verdict: Result<(), Fault>,
    },
    /// The time of [`crate::Replica::next_wakeup`] has come. Late and repeated ones are harmless.
    Wakeup,
}
