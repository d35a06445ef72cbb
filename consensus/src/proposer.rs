//! Whose turn it is to propose (design, section 4).

use std::collections::BTreeSet;

use tandem_chain::keys::PublicKey;
use tandem_chain::roles::{RoleTable, Seat};
use tandem_chain::types::{Height, Round};

/// The seat whose holder proposes at a height and round.
///
/// Round-robin over the seats in the order of their names. With n seats, and L those whose holder
/// the record of the block before calls alive (all of them if there is no record or L is empty):
/// rounds below n take `L[(h + r) mod |L|]`, later rounds `all[(h + r) mod n]`, so that a record
/// can never stop the chain.
///
/// # Panics
/// When `table` has no seat: a ledger never makes such a table.
#[must_use]
pub fn proposer<'t>(
    table: &'t RoleTable,
    alive: Option<&BTreeSet<PublicKey>>,
    height: Height,
    round: Round,
) -> &'t Seat {
    let all: Vec<&Seat> = table.seats().values().collect();
    let count = all.len() as u64;
    assert!(count > 0, "a role table has at least one seat");
    let turn = height.0 + u64::from(round.0);
    let pick = |seats: &[&'t Seat]| {
        let index = turn % seats.len() as u64;
        seats[usize::try_from(index).expect("an index of a list")]
    };
    if let Some(alive) = alive.filter(|_| u64::from(round.0) < count) {
        let live: Vec<&Seat> = all.iter().copied().filter(|s| alive.contains(&s.holder)).collect();
        if !live.is_empty() {
            return pick(&live);
        }
    }
    pick(&all)
}
