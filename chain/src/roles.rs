//! The role table and the register of nodes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::keys::PublicKey;
use crate::types::{Address, OrgName, Power, Term};

/// A seat of a role table: the one node that may sign for an organisation at a height.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seat {
    /// Key of the holder.
    pub holder: PublicKey,
    /// Voting power.
    pub power: Power,
    /// How often the seat has changed its holder.
    pub term: Term,
}

/// The role table of one height: for every filled seat the one node that may sign for it. It *is*
/// the CometBFT validator set of that height.
///
/// Seats are ordered by name (the order of turns to propose); [`RoleTable::validators`] gives
/// CometBFT's order (power descending, then address), which certificates and votes index.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<OrgName, Seat>", into = "BTreeMap<OrgName, Seat>")]
pub struct RoleTable {
    seats: BTreeMap<OrgName, Seat>,
    validators: Vec<Validator>,
    total: Power,
}

/// One entry of a role table in CometBFT's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validator {
    /// The seat's organisation.
    pub org: OrgName,
    /// Address of the holder.
    pub address: Address,
    /// Key of the holder.
    pub key: PublicKey,
    /// Voting power.
    pub power: Power,
    /// The seat's term.
    pub term: Term,
}

impl From<BTreeMap<OrgName, Seat>> for RoleTable {
    fn from(seats: BTreeMap<OrgName, Seat>) -> Self {
        let mut validators: Vec<Validator> = seats
            .iter()
            .map(|(org, seat)| Validator {
                org: org.clone(),
                address: seat.holder.address(),
                key: seat.holder,
                power: seat.power,
                term: seat.term,
            })
            .collect();
        validators.sort_by(|a, b| b.power.cmp(&a.power).then(a.address.cmp(&b.address)));
        let total = Power(validators.iter().map(|v| v.power.0).fold(0, u64::saturating_add));
        Self { seats, validators, total }
    }
}

impl From<RoleTable> for BTreeMap<OrgName, Seat> {
    fn from(table: RoleTable) -> Self {
        table.seats
    }
}

impl RoleTable {
    /// The filled seats by name.
    #[must_use]
    pub fn seats(&self) -> &BTreeMap<OrgName, Seat> {
        &self.seats
    }

    /// The holders in CometBFT's order; a validator index counts in it.
    #[must_use]
    pub fn validators(&self) -> &[Validator] {
        &self.validators
    }

    /// Power of all filled seats.
    #[must_use]
    pub fn total_power(&self) -> Power {
        self.total
    }

    /// f: the greatest whole number of power below a third of the total. 0 for an empty table.
    #[must_use]
    pub fn f(&self) -> Power {
        Power(self.total.0.saturating_sub(1) / 3)
    }

    /// Whether `power` is more than 2/3 of the total.
    #[must_use]
    pub fn is_quorum(&self, power: Power) -> bool {
        power.0 * 3 > self.total.0 * 2
    }

    /// Whether `power` is more than 1/3 of the total: at least one correct node is in it.
    #[must_use]
    pub fn is_third(&self, power: Power) -> bool {
        power.0 * 3 > self.total.0
    }

    /// The least power that is more than 2/3 of the total.
    #[must_use]
    pub fn quorum(&self) -> Power {
        Power(self.total.0 * 2 / 3 + 1)
    }

    /// Index and entry of the holder with this key.
    #[must_use]
    pub fn by_key(&self, key: &PublicKey) -> Option<(usize, &Validator)> {
        self.validators.iter().enumerate().find(|(_, v)| v.key == *key)
    }

    /// What those who agree on a table should know though it is allowed: no seat may fail, or one of
    /// them may not.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let f = self.f();
        if f.0 == 0 {
            return vec![format!(
                "{} seat(s) with power {} together, so f = 0: the chain stops while any validator \
                 is down, and no seat is switched automatically",
                self.seats.len(),
                self.total
            )];
        }
        let heavy = self.seats.iter().filter(|(_, seat)| seat.power > f);
        heavy
            .map(|(name, seat)| {
                format!(
                    "the seat of {name} has power {}, more than f = {f}: the chain stops while its \
                     validator is down, and it is never switched automatically",
                    seat.power
                )
            })
            .collect()
    }

    /// K: the most turns in a row that seats of at most f power can hold, whichever of the other
    /// seats are left out: the number of lightest seats that fit in f. For equal powers it is f
    /// divided by that power.
    #[must_use]
    pub fn k(&self) -> u64 {
        let mut room = self.f().0;
        let mut count = 0;
        for validator in self.validators.iter().rev() {
            let Some(left) = room.checked_sub(validator.power.0) else { break };
            room = left;
            count += 1;
        }
        count
    }
}

/// A registered node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeEntry {
    /// The organisation it belongs to.
    pub org: OrgName,
    /// Whether it is of its organisation's pair; else it is an observer.
    pub pair: bool,
    /// Where it listens for peers, as multiaddresses without the peer id.
    pub addresses: Vec<String>,
}

/// All registered nodes. Bits of an observation are in the order of its keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Register {
    /// The nodes by key.
    pub nodes: BTreeMap<PublicKey, NodeEntry>,
}

impl Register {
    /// Place of a node's bit.
    #[must_use]
    pub fn index(&self, key: &PublicKey) -> Option<usize> {
        self.nodes.contains_key(key).then(|| self.nodes.range(..key).count())
    }
}

#[cfg(test)]
mod tests;
