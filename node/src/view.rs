//! What the driver publishes for those who only watch: RPC, explorer, metrics.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tandem_chain::block::CertifiedBlock;
use tandem_chain::ledger::{Event, Receipt};
use tandem_chain::tip::Tip;
use tandem_chain::types::{Height, OrgName, Round};
use tandem_consensus::{Role, Standing};

/// The part that a node plays, whatever its organisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// It holds its organisation's seat.
    Validator,
    /// It is the other node of the pair.
    Standby,
    /// It is registered, outside the pair.
    Observer,
    /// It is not registered.
    Unregistered,
}

impl Part {
    /// All.
    pub const ALL: [Self; 4] = [Self::Validator, Self::Standby, Self::Observer, Self::Unregistered];

    /// That of a role, and the organisation of a node that is registered.
    #[must_use]
    pub fn of(role: &Role) -> (Self, Option<&OrgName>) {
        match role {
            Role::Validator { seat, .. } => (Self::Validator, Some(seat)),
            Role::Standby { seat } => (Self::Standby, Some(seat)),
            Role::Observer { org } => (Self::Observer, Some(org)),
            Role::Unregistered => (Self::Unregistered, None),
        }
    }

    /// As status, metrics and hooks tell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Validator => "validator",
            Self::Standby => "standby",
            Self::Observer => "observer",
            Self::Unregistered => "unregistered",
        }
    }
}

/// Where a node stands. Published after each step; readers never touch what consensus works on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeView {
    /// The height that is being decided.
    pub height: Height,
    /// Its round.
    pub round: Round,
    /// The step of the round, such as `propose`.
    pub step: String,
    /// The votes of the height, as they were a moment ago; none before the first look.
    pub standing: Option<Arc<Standing>>,
    /// The node's part at that height.
    pub role: Role,
    /// Whether it fetches blocks that others have already.
    pub catching_up: bool,
    /// Heights since the start that were decided in a round above 0, one for each such round.
    pub rounds_above_zero: u64,
    /// Whether the key is lost: it signs nothing before the others have told how far it may have
    /// signed.
    pub key_lost: bool,
    /// The height at and below which the key signs nothing; 0 when it was never lost.
    pub silent_through: Height,
    /// Durable writes since the start.
    pub fsyncs: u64,
    /// What an operator must look at, for people; empty when all is well.
    pub alarms: Vec<String>,
    /// Milliseconds that this node's clock seemed ahead of the others' (behind is negative) at the last
    /// height, with the time that their votes took; none when too few were heard to tell.
    pub clock_offset_ms: Option<i64>,
    /// Seats whose validators' clocks are ahead of this node's.
    pub clocks_ahead: Vec<OrgName>,
}

impl Default for NodeView {
    fn default() -> Self {
        Self {
            height: Height(1),
            round: Round::ZERO,
            step: "start".to_owned(),
            standing: None,
            role: Role::Unregistered,
            catching_up: true,
            rounds_above_zero: 0,
            key_lost: false,
            silent_through: Height::ZERO,
            fsyncs: 0,
            alarms: Vec::new(),
            clock_offset_ms: None,
            clocks_ahead: Vec::new(),
        }
    }
}

/// A block that was committed just now.
#[derive(Clone, Debug)]
pub struct Committed {
    /// The block with its certificate.
    pub block: Arc<CertifiedBlock>,
    /// By place in the block: 0 is the liveness record.
    pub receipts: Arc<Vec<Receipt>>,
    /// What the block did apart from its transactions.
    pub events: Arc<Vec<Event>>,
    /// What is known of the chain after it.
    pub tip: Arc<Tip>,
}
