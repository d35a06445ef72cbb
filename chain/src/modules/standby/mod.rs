//! The role table and its switches: design section 6.
//!
//! Block k fixes the role table of k+2. What may move a seat in it, in this order:
//!
//! | reason | when | file |
//! |---|---|---|
//! | barred | evidence against the holder, or a seat without a good holder that can be filled | `barred` |
//! | membership | an organisation joins, is suspended, restored or removed, by a motion | `vacant` |
//! | planned | a [`Call::Switch`] | `calls` |
//! | automatic | the holder was dead and its partner alive for long enough | `automatic`, by `rule` |
//!
//! A seat changes its holder or pair once a block, and a second change is refused, but by a motion that
//! suspends or removes its organisation.
//!
//! | state key | value |
//! |---|---|
//! | `standby/seats` | name -> [`SeatState`] |
//! | `standby/table/~HEIGHT` | the role table from that height on, until the next one; the key holds the height's complement in eight bytes, high byte first, so that the newest comes first |
//! | `standby/switch/NUMBER` | [`Switch`], the last [`crate::limits::MAX_SWITCH_HISTORY`] |
//! | `standby/switches` | how many there were |
//! | `standby/past_term/NAME` | [`Term`] of the seat of an organisation that was removed |

mod automatic;
mod barred;
mod calls;
mod queries;
mod rule;
mod state;
#[cfg(test)]
mod tests;
mod vacant;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::keys::PublicKey;
use crate::types::{Height, OrgName, Term};

pub(crate) use automatic::switch_automatically;
pub(crate) use barred::settle;
pub(crate) use calls::{execute, holder, is_holder, pair_changed};
pub use queries::{SeatView, history, seats, table_at};
pub use rule::{Run, Step};
pub(crate) use state::{finish, genesis, holders};
pub(crate) use vacant::{close_seat, forget_seat, open_seat, power_changed, reopen_seat};

/// A call of this module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Call {
    /// A planned switch: signed by the organisation's admin key, an operator of it, or the holder in
    /// table(k+1); refused unless the partner is alive in R_k.
    Switch {
        /// The seat.
        seat: OrgName,
        /// The node that is to hold it.
        target: PublicKey,
        /// The seat's term before the switch.
        term: Term,
    },
}

/// A seat in the state after block k.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeatState {
    /// The holder in table(k+2); none while the seat is left out.
    pub holder: Option<PublicKey>,
    /// The holder is barred and stays only until another node can take the last seat.
    pub barred: bool,
    /// Why it is left out: [`Reason::Barred`] or [`Reason::Membership`]; none while it has a holder.
    pub vacant: Option<Reason>,
    /// Its organisation is suspended or removed: nothing fills it.
    pub closed: bool,
    /// A node that is registered until no role table to come names it: it is barred, or its
    /// organisation closed.
    pub leaving: Option<PublicKey>,
    /// How often the holder has changed.
    pub term: Term,
    /// e: height from which the last change of holder or pair is in effect.
    pub effective: Height,
    /// The run of blocks that count towards a switch.
    pub run: Run,
}

/// All seats by name.
type Seats = BTreeMap<OrgName, SeatState>;

/// Why a seat changed its holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reason {
    /// By the liveness record.
    Automatic,
    /// By a transaction.
    Planned,
    /// The holder signed twice; or a seat that was left out for that is filled again.
    Barred,
    /// Its organisation was suspended or removed; or the seat of one that joined, or was restored,
    /// is filled.
    Membership,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Automatic => "automatic",
            Self::Planned => "planned",
            Self::Barred => "barred",
            Self::Membership => "membership",
        })
    }
}

/// A change of a seat's holder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switch {
    /// The block that decided it.
    pub height: Height,
    /// Height from which it is in effect.
    pub effective: Height,
    /// The seat.
    pub seat: OrgName,
    /// The holder before; none when the seat was left out.
    pub from: Option<PublicKey>,
    /// The holder after; none when the seat is left out.
    pub to: Option<PublicKey>,
    /// The seat's term after.
    pub term: Term,
    /// Why.
    pub reason: Reason,
}
