//! Values that several tests use: fixed keys, tables, votes and blocks.

use tandem_chain::keys::{PublicKey, SecretKey};
use tandem_chain::roles::{RoleTable, Seat};
use tandem_chain::types::{ChainId, Hash, OrgName, Power, Term, Timestamp};

/// The chain that samples are of.
pub fn chain_id() -> ChainId {
    "tandem-golden-1".parse().expect("a chain id")
}

/// Key number `n`.
pub fn secret(n: u8) -> SecretKey {
    SecretKey::from_seed(&[n; 32])
}

/// Public key number `n`.
pub fn public(n: u8) -> PublicKey {
    secret(n).public()
}

/// A hash of the bytes `n`.
pub fn hash(n: u8) -> Hash {
    Hash([n; 32])
}

/// An organisation's name.
pub fn org(name: &str) -> OrgName {
    name.parse().expect("a name")
}

/// 14 November 2023, 22:13:20 UTC, and `ms` milliseconds and one nanosecond.
pub fn time(ms: u64) -> Timestamp {
    Timestamp(1_700_000_000_000_000_001 + ms * 1_000_000)
}

/// A table of seats: name, key number of the holder, power, term.
pub fn table(seats: &[(&str, u8, u64, u64)]) -> RoleTable {
    let seats = seats.iter().map(|(name, key, power, term)| {
        (org(name), Seat { holder: public(*key), power: Power(*power), term: Term(*term) })
    });
    RoleTable::from(seats.collect::<std::collections::BTreeMap<_, _>>())
}
