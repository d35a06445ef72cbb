//! The role table and its switches: design section 6.

use serde::{Deserialize, Serialize};

use crate::keys::PublicKey;
use crate::types::{OrgName, Term};

/// A call of this module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Call {
    /// A planned switch: signed by the organisation's admin key or by the holder in table(k+1);
    /// refused unless the partner is alive in R_k.
    Switch {
        /// The seat.
        seat: OrgName,
        /// The node that is to hold it.
        target: PublicKey,
        /// The seat's term before the switch.
        term: Term,
    },
}
