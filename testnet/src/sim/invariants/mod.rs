//! The invariants of the design's section 9, each in a file of its own, written without calling the
//! predicates that they check: they count power, derive records and move seats by themselves.

pub mod agreement;
pub mod bounded_switch;
mod calls;
pub mod double_sign;
pub mod exactly_once;
pub mod liveness;
pub mod one_chain;
pub mod one_signer;
pub mod persist_first;
pub mod progress;
pub mod same_state;
mod seats;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::rc::Rc;

use tandem_chain::block::CertifiedBlock;
use tandem_chain::genesis::Genesis;
use tandem_chain::keys::PublicKey;
use tandem_chain::modules::parameters::Parameters;
use tandem_chain::tip::Tip;
use tandem_chain::types::{BlockId, Height, TxHash};
use tandem_consensus::message::Message;

pub use self::calls::Changes;
pub use self::seats::{Moved, Table, f};
use super::disk::Image;
use super::queue::Time;

/// An invariant that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Its name.
    pub rule: &'static str,
    /// What happened instead.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.what)
    }
}

/// Whether an invariant holds.
pub type Verdict = Result<(), Violation>;

pub(super) fn broken(rule: &'static str, what: String) -> Verdict {
    Err(Violation { rule, what })
}

/// A commit by a correct node.
#[derive(Clone, Debug)]
pub struct Commit<'a> {
    /// When.
    pub now: Time,
    /// The node's index.
    pub node: usize,
    /// Its key.
    pub key: PublicKey,
    /// Its block with the certificate that the node has for it.
    pub block: &'a Rc<CertifiedBlock>,
    /// The block's id.
    pub id: BlockId,
    /// The node's state after it.
    pub tip: &'a Tip,
}

/// All invariants, with what they remember.
pub struct Invariants {
    /// Invariant 1.
    pub agreement: agreement::Agreement,
    one_chain: one_chain::OneChain,
    double_sign: double_sign::DoubleSign,
    same_state: same_state::SameState,
    seats: seats::Seats,
    /// Invariant 7.
    pub liveness: liveness::Liveness,
    /// Invariant 10.
    pub exactly_once: exactly_once::ExactlyOnce,
}

impl Invariants {
    /// For a chain that begins with this genesis. `keys` are those of the nodes by index.
    #[must_use]
    pub fn new(genesis: &Genesis, keys: &[PublicKey]) -> Self {
        Self {
            agreement: agreement::Agreement::default(),
            one_chain: one_chain::OneChain::new(keys.len()),
            double_sign: double_sign::DoubleSign::default(),
            same_state: same_state::SameState::default(),
            seats: seats::Seats::new(genesis),
            liveness: liveness::Liveness::new(genesis, keys),
            exactly_once: exactly_once::ExactlyOnce::default(),
        }
    }

    /// A correct node's process starts from a tip.
    ///
    /// # Errors
    /// The invariant that does not hold.
    pub fn started(&mut self, node: usize, tip: &Tip) -> Verdict {
        self.agreement.stored(node, tip.height, tip.block)?;
        self.one_chain.started(node, tip.height);
        Ok(())
    }

    /// A correct node has committed a block. What changed seats, if the block is new.
    ///
    /// # Errors
    /// The invariant that does not hold.
    pub fn committed(&mut self, commit: &Commit) -> Result<Vec<Moved>, Violation> {
        self.one_chain.committed(commit)?;
        let is_new = self.agreement.committed(commit)?;
        self.same_state.committed(commit)?;
        self.liveness.reached(&commit.key, commit.block.block.header.height);
        let mut moved = Vec::new();
        if is_new {
            self.exactly_once.committed(&commit.block.block)?;
            moved = self.seats.extended(&commit.block.block)?;
            self.liveness.extended(commit, &self.seats, &moved)?;
        }
        self.seats.compare(commit.tip)?;
        one_signer::certificate(&self.seats, &commit.block.certificate.commit)?;
        Ok(moved)
    }

    /// A message of its own leaves a correct node; `disk` is what a crash would leave of its disk.
    ///
    /// # Errors
    /// The invariant that does not hold.
    pub fn sent(&mut self, key: &PublicKey, message: &Message, disk: &Image) -> Verdict {
        let is_new = self.double_sign.sent(key, message)?;
        if is_new {
            persist_first::sent(key, message, disk)?;
        }
        one_signer::sent(&self.seats, key, message)
    }

    /// The height that has been committed by any correct node.
    #[must_use]
    pub fn height(&self) -> Height {
        self.agreement.height()
    }

    /// Whether a transaction has a receipt.
    #[must_use]
    pub fn has_receipt(&self, hash: &TxHash) -> bool {
        self.exactly_once.has_receipt(hash)
    }

    /// The role table of a height, as far as it is known.
    #[must_use]
    pub fn table(&self, height: Height) -> Option<&Table> {
        self.seats.table(height)
    }

    /// The newest role table.
    #[must_use]
    pub fn newest_table(&self) -> &Table {
        self.seats.newest()
    }

    /// The nodes of a seat's pair that are not barred.
    #[must_use]
    pub fn pair(&self, seat: &str) -> BTreeSet<PublicKey> {
        self.seats.pair(seat)
    }

    /// The terms of all seats.
    #[must_use]
    pub fn terms(&self) -> BTreeMap<String, u64> {
        self.seats.terms()
    }

    /// Whether a key is of a registered node.
    #[must_use]
    pub fn is_registered(&self, key: &PublicKey) -> bool {
        self.seats.is_registered(key)
    }

    /// The parameters in force at the chain's next height.
    #[must_use]
    pub fn parameters(&self) -> &Parameters {
        self.seats.parameters()
    }

    /// What the calls of organisations changed.
    #[must_use]
    pub fn changes(&self) -> Changes {
        self.seats.changes()
    }

    /// Whether a key is barred.
    #[must_use]
    pub fn is_barred(&self, key: &PublicKey) -> bool {
        self.seats.is_barred(key)
    }
}
