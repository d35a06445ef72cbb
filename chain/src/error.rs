//! The crate's one error type. Text that came from outside is escaped and cut before it gets here.

use crate::keys::PublicKey;
use crate::types::{ChainId, Hash, Height, OrgName, Term, Timestamp, TxHash};

/// What can be wrong with a value, transaction, block, certificate or genesis.
///
/// Errors are of what came from outside; a broken rule of our own is a panic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the message of each variant says what it is")]
pub enum Error {
    // Encodings
    #[error("{what}: {got} bytes where {expected} belong")]
    Length { what: &'static str, expected: usize, got: usize },
    #[error("{what}: not hex digits")]
    NotHex { what: &'static str },
    #[error("{what}: {got} bytes, at most {max} are allowed")]
    TooLong { what: &'static str, max: usize, got: usize },
    #[error("{what}: {got} items, at most {max} are allowed")]
    TooMany { what: &'static str, max: usize, got: usize },
    #[error("{what} cannot be decoded: {reason}")]
    Undecodable { what: &'static str, reason: String },
    #[error("{what} is not in its one canonical encoding")]
    NotCanonical { what: &'static str },
    #[error("{what} must be {rule}, got \"{got}\"")]
    Name { what: &'static str, rule: &'static str, got: String },
    #[error("key {key} is no point of the curve or of small order: make another")]
    WeakKey { key: PublicKey },

    // Anything signed
    #[error("{what}: the signature is not that of key {key}")]
    BadSignature { what: &'static str, key: PublicKey },
    #[error("{what} is for chain {got}, this is {expected}")]
    OtherChain { what: &'static str, expected: ChainId, got: ChainId },

    // Permits to read
    #[error("permit ended at {}, it is {}: make a new one", ends.to_rfc3339(), now.to_rfc3339())]
    PermitEnded { ends: Timestamp, now: Timestamp },
    #[error(
        "permit ends at {}, at the latest {} is allowed now: make one for less time",
        ends.to_rfc3339(), latest.to_rfc3339()
    )]
    PermitTooLong { ends: Timestamp, latest: Timestamp },
    #[error(
        "permit is for another {what}, {expected}; this is {got}: make one for this or for any"
    )]
    PermitElsewhere { what: &'static str, expected: String, got: String },

    // Transactions as such
    #[error("transaction expired at height {valid_until}, the block is {height}")]
    Expired { valid_until: Height, height: Height },
    #[error("transaction is valid until {valid_until}, at most {latest} is allowed now")]
    TooFar { valid_until: Height, latest: Height },
    #[error("transaction {hash} is in the chain already, or twice in one block")]
    Repeated { hash: TxHash },
    #[error("sender {sender} is no registered key of any organisation")]
    UnknownSender { sender: PublicKey },
    #[error("organisation {org} is suspended: its keys may send nothing")]
    Suspended { org: OrgName },
    #[error("mempool is full: {what}, at most {max}; send again later")]
    MempoolFull { what: &'static str, max: usize },

    // Calls that fail
    #[error("{what} {name} does not exist")]
    NotFound { what: &'static str, name: String },
    #[error("{what} {name} exists already")]
    Exists { what: &'static str, name: String },
    #[error("key {key} is registered already, as {role} of {org}: make another")]
    KeyTaken { key: PublicKey, role: &'static str, org: OrgName },
    #[error(
        "address {address} is that of node {node} of {org}: give another, or have that node moved or \
         removed first"
    )]
    AddressTaken { address: String, node: PublicKey, org: OrgName },
    #[error("sender {sender} may not do this: {needed} may")]
    NotAllowed { sender: PublicKey, needed: &'static str },
    #[error("record is at version {got}, {expected} was expected")]
    Version { expected: u64, got: u64 },
    #[error("seat is in term {got}, {expected} was expected")]
    Term { expected: Term, got: Term },
    #[error("no switch: {reason}")]
    NoSwitch { reason: &'static str },
    #[error(
        "invitation expired at {}, the block is of {}: ask for a new one",
        valid_until.to_rfc3339(),
        time.to_rfc3339()
    )]
    InvitationExpired { valid_until: Timestamp, time: Timestamp },
    #[error(
        "invitation is valid until {}, at most until {} is allowed now",
        valid_until.to_rfc3339(),
        latest.to_rfc3339()
    )]
    InvitationTooFar { valid_until: Timestamp, latest: Timestamp },
    #[error("invitation was used by node {node}: each is good for one node, ask for a new one")]
    InvitationUsed { node: PublicKey },
    #[error("parameter {name} is {got}: {rule}")]
    Parameter { name: &'static str, rule: String, got: u64 },
    #[error("refused: {reason}")]
    Refused { reason: String },

    // Blocks and certificates
    #[error("block is of height {got}, {expected} is next")]
    WrongHeight { expected: Height, got: Height },
    #[error("header field {field} is {got}, {expected} belongs there")]
    Header { field: &'static str, expected: String, got: String },
    #[error("header time is not later than the parent's")]
    TimeNotRising,
    #[error("liveness record differs: {what}")]
    Record { what: &'static str },
    #[error("certificate: {what}")]
    Certificate { what: &'static str },
    #[error("evidence: {what}")]
    Evidence { what: &'static str },

    // Genesis, snapshots and stores
    #[error("snapshot: {what}")]
    Snapshot { what: &'static str },
    #[error("genesis has {} fault(s):\n  - {}", faults.len(), faults.join("\n  - "))]
    Genesis { faults: Vec<String> },
    #[error("the database is of genesis {got}, this is {expected}: use another data folder")]
    OtherGenesis { expected: Hash, got: Hash },
    #[error("stored {what} is damaged: {reason}")]
    Damaged { what: &'static str, reason: String },
    #[error("storage: {reason}")]
    Storage { reason: String },
}

impl Error {
    /// Whether the store failed or holds damage: no fault of what was asked of it.
    #[must_use]
    pub fn is_of_store(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::Storage { .. })
    }

    /// The code of a receipt with this error: 0 is success, 1 to 99 are codes of the ledger.
    /// Codes are part of the chain's results hash: they never change their meaning.
    #[must_use]
    pub fn code(&self) -> u32 {
        match self {
            Self::Length { .. }
            | Self::NotHex { .. }
            | Self::TooLong { .. }
            | Self::Undecodable { .. }
            | Self::NotCanonical { .. }
            | Self::Name { .. } => 1,
            Self::BadSignature { .. } => 2,
            Self::OtherChain { .. } => 3,
            Self::Expired { .. } | Self::InvitationExpired { .. } | Self::PermitEnded { .. } => 4,
            Self::TooFar { .. } | Self::InvitationTooFar { .. } | Self::PermitTooLong { .. } => 5,
            Self::Repeated { .. } => 6,
            Self::UnknownSender { .. } => 7,
            Self::MempoolFull { .. } => 8,
            Self::Suspended { .. } => 9,
            Self::NotFound { .. } => 10,
            Self::Exists { .. } | Self::KeyTaken { .. } | Self::AddressTaken { .. } => 11,
            Self::NotAllowed { .. } | Self::PermitElsewhere { .. } => 12,
            Self::Version { .. } => 13,
            Self::Term { .. } => 14,
            Self::NoSwitch { .. } => 15,
            Self::Parameter { .. } => 16,
            Self::Refused { .. } | Self::InvitationUsed { .. } => 17,
            Self::WeakKey { .. } => 18,
            Self::TooMany { .. } => 19,
            Self::WrongHeight { .. }
            | Self::Header { .. }
            | Self::TimeNotRising
            | Self::Record { .. }
            | Self::Certificate { .. }
            | Self::Evidence { .. }
            | Self::Snapshot { .. }
            | Self::Genesis { .. }
            | Self::OtherGenesis { .. }
            | Self::Damaged { .. }
            | Self::Storage { .. } => 99,
        }
    }
}
