//! Genesis: what every node of a chain starts from.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::codec;
use crate::error::Error;
use crate::keys::PublicKey;
use crate::limits::{MAX_NODES_PER_ORG, MAX_ORGS, MAX_TOTAL_POWER, MAX_USERS_PER_ORG};
use crate::modules::consortium::{Policy, address_faults};
use crate::modules::parameters::Parameters;
use crate::roles::{RoleTable, Seat};
use crate::types::{ChainId, Hash, OrgName, Power, Term, Timestamp, escaped};

/// The first state of a chain, as the organisations agree on it.
///
/// As JSON: keys in hex, the time in RFC 3339, unknown fields refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Genesis {
    /// Id of the chain; never used for another.
    pub chain_id: ChainId,
    /// Time of height 0: block 1 is later.
    #[serde(with = "rfc3339")]
    pub genesis_time: Timestamp,
    /// Parameters from height 1 on.
    pub parameters: Parameters,
    /// How many members must agree to a change of the consortium.
    #[serde(default)]
    pub policy: Policy,
    /// The members.
    pub organizations: Vec<GenesisOrg>,
}

/// A member of the consortium: the public part that it hands to the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisOrg {
    /// Its name, and its seat's.
    pub name: OrgName,
    /// The key that it keeps off its nodes.
    pub admin_key: PublicKey,
    /// Voting power of its seat.
    #[serde(default = "one")]
    pub power: Power,
    /// Its nodes.
    pub nodes: Vec<GenesisNode>,
    /// Further keys that may send transactions.
    #[serde(default)]
    pub users: Vec<PublicKey>,
}

/// A node of a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisNode {
    /// Its public key.
    pub key: PublicKey,
    /// What it is at first.
    pub role: GenesisRole,
    /// Where it listens for peers, as multiaddresses without the peer id.
    #[serde(default)]
    pub addresses: Vec<String>,
}

/// What a node is at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GenesisRole {
    /// It holds the seat.
    Validator,
    /// The other node of the pair.
    Standby,
    /// A node outside the pair.
    Observer,
}

impl GenesisRole {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Validator, Self::Standby, Self::Observer];

    /// Its name, as it stands in files and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Validator => "validator",
            Self::Standby => "standby",
            Self::Observer => "observer",
        }
    }
}

/// A century of 36,525 days before the end of nanoseconds in a u64: no time that a chain comes to
/// overflows.
const LATEST_GENESIS_TIME: Timestamp = Timestamp(u64::MAX - 36_525 * 86_400 * 1_000_000_000);

fn one() -> Power {
    Power(1)
}

impl Genesis {
    /// From JSON. Its content is not validated yet: see [`Genesis::validate`].
    ///
    /// # Errors
    /// [`Error::Genesis`] with the place of what cannot be read.
    pub fn from_json(json: &str) -> Result<Self, Error> {
        serde_json::from_str(json)
            .map_err(|error| Error::Genesis { faults: vec![format!("not readable: {error}")] })
    }

    /// As JSON, indented, with a line feed at the end.
    #[must_use]
    pub fn to_json(&self) -> String {
        let json = serde_json::to_string_pretty(self);
        json.expect("strings, numbers and lists") + "\n"
    }

    /// Identifies the genesis: SHA-256 of its encoding. It does not depend on how the JSON is laid
    /// out, but on the order of organisations, nodes, users and addresses.
    #[must_use]
    pub fn hash(&self) -> Hash {
        Hash::of(&codec::encode(self))
    }

    /// The role table of height 1 (and 2): each organisation's first validator.
    #[must_use]
    pub fn role_table(&self) -> RoleTable {
        let seats = self.organizations.iter().filter_map(|org| {
            let holder = org.nodes.iter().find(|n| n.role == GenesisRole::Validator)?;
            let seat = Seat { holder: holder.key, power: org.power, term: Term::ZERO };
            Some((org.name.clone(), seat))
        });
        seats.collect::<BTreeMap<_, _>>().into()
    }

    /// Checks everything, and says what the operator should know though it is allowed.
    ///
    /// # Errors
    /// [`Error::Genesis`] with every fault there is.
    pub fn validate(&self) -> Result<Vec<String>, Error> {
        let mut faults = Vec::new();
        if self.genesis_time == Timestamp::default() {
            faults.push("genesis_time is missing or not after 1970-01-01T00:00:00Z".to_owned());
        }
        if self.genesis_time > LATEST_GENESIS_TIME {
            faults.push(format!(
                "genesis_time is {}, at most {} is allowed: times end a century after that",
                self.genesis_time.to_rfc3339(),
                LATEST_GENESIS_TIME.to_rfc3339()
            ));
        }
        faults.extend(self.parameters.faults().iter().map(Error::to_string));
        faults.extend(self.policy.faults());
        if self.organizations.is_empty() {
            faults.push("there is no organisation".to_owned());
        }
        if self.organizations.len() > MAX_ORGS {
            let got = self.organizations.len();
            faults.push(format!("{got} organisations, at most {MAX_ORGS} are allowed"));
        }
        let total = self.organizations.iter().fold(0u64, |sum, o| sum.saturating_add(o.power.0));
        if total > MAX_TOTAL_POWER {
            faults.push(format!("total power is {total}, at most {MAX_TOTAL_POWER} is allowed"));
        }
        let mut names = BTreeSet::new();
        let (mut keys, mut addresses) = (BTreeMap::new(), BTreeMap::new());
        for org in &self.organizations {
            if !names.insert(&org.name) {
                faults.push(format!("two organisations are named {}", org.name));
            }
            org.find_faults(&mut keys, &mut faults);
            org.find_shared_addresses(&mut addresses, &mut faults);
        }
        if faults.is_empty() { Ok(self.warnings()) } else { Err(Error::Genesis { faults }) }
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = self.role_table().warnings();
        warnings.extend(self.policy.warnings());
        let without = self
            .organizations
            .iter()
            .filter(|org| org.nodes.iter().all(|node| node.role != GenesisRole::Standby));
        warnings.extend(without.map(|org| {
            format!("{} has no standby: its seat is never switched automatically", org.name)
        }));
        warnings
    }
}

impl GenesisOrg {
    /// Adds this member's faults; `keys` has every key seen so far and whose it is.
    fn find_faults(&self, keys: &mut BTreeMap<PublicKey, String>, faults: &mut Vec<String>) {
        let name = &self.name;
        if self.power.0 == 0 {
            faults.push(format!("{name}: power is 0"));
        }
        let count = |role| self.nodes.iter().filter(|node| node.role == role).count();
        let (validators, standbys) = (count(GenesisRole::Validator), count(GenesisRole::Standby));
        match (validators, standbys) {
            (0, 0) => faults.push(format!("{name}: no node is its validator")),
            (0, _) => faults.push(format!("{name}: it has a standby and no validator")),
            _ => {}
        }
        if validators > 1 {
            faults.push(format!("{name}: {validators} validators, one node holds a seat"));
        }
        if validators + standbys > 2 {
            let pair = validators + standbys;
            faults.push(format!("{name}: {pair} validators and standbys, a pair has two nodes"));
        }
        if self.nodes.len() > MAX_NODES_PER_ORG {
            let got = self.nodes.len();
            faults.push(format!("{name}: {got} nodes, at most {MAX_NODES_PER_ORG} are allowed"));
        }
        if self.users.len() > MAX_USERS_PER_ORG {
            let got = self.users.len();
            faults.push(format!("{name}: {got} users, at most {MAX_USERS_PER_ORG} are allowed"));
        }
        let nodes = self.nodes.iter().map(|node| (node.key, "node"));
        let users = self.users.iter().map(|user| (*user, "user"));
        for (key, role) in [(self.admin_key, "admin key")].into_iter().chain(nodes).chain(users) {
            let owner = format!("{role} of {name}");
            if key.check().is_err() {
                faults.push(format!("{owner}: key {key} is weak or no key: make another"));
            }
            if let Some(first) = keys.get(&key) {
                faults.push(format!("key {key} is there twice: {first}, {owner}"));
            } else {
                keys.insert(key, owner);
            }
        }
        for node in &self.nodes {
            let of_node = address_faults(&node.addresses);
            faults.extend(of_node.map(|error| format!("{name}, node {}: {error}", node.key)));
        }
    }

    /// Adds the addresses that another node has, too; `found` has every address seen so far.
    fn find_shared_addresses<'a>(
        &'a self,
        found: &mut BTreeMap<&'a str, (PublicKey, &'a OrgName)>,
        faults: &mut Vec<String>,
    ) {
        for node in &self.nodes {
            for address in &node.addresses {
                let (first, org) = *found.entry(address.as_str()).or_insert((node.key, &self.name));
                if first != node.key {
                    faults.push(format!(
                        "address {} is there twice: node {first} of {org}, node {} of {}",
                        escaped(address),
                        node.key,
                        self.name
                    ));
                }
            }
        }
    }
}

/// A time as RFC 3339 text where people read it, as a number where it is hashed.
mod rfc3339 {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::types::Timestamp;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
    pub fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(&time.to_rfc3339())
        } else {
            time.serialize(serializer)
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            Timestamp::from_rfc3339(&text).map_err(D::Error::custom)
        } else {
            Timestamp::deserialize(deserializer)
        }
    }
}
