//! Making a genesis: every organisation hands out its public part, one of them puts the parts
//! together, and all check that they have the same hash.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tandem_chain::Error as ChainError;
use tandem_chain::codec;
use tandem_chain::genesis::{Genesis, GenesisNode, GenesisOrg, GenesisRole};
use tandem_chain::keys::PublicKey;
use tandem_chain::modules::consortium::{Policy, Threshold};
use tandem_chain::modules::parameters::Parameters;
use tandem_chain::types::{ChainId, Hash, OrgName, Power, Timestamp, escaped};

use crate::home::{Home, HomeError, files};

/// Bytes that a genesis or a part of one may have.
pub const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// What is added to an organisation's part file.
#[derive(Clone, Debug)]
pub struct PartChange {
    /// Name of the organisation.
    pub org: OrgName,
    /// Its admin key; needed when the file is new.
    pub admin_key: Option<PublicKey>,
    /// Voting power of its seat; that of the file, or 1, when none is given.
    pub power: Option<Power>,
    /// A node to add.
    pub node: Option<GenesisNode>,
    /// Users to add.
    pub users: Vec<PublicKey>,
}

/// Reads an organisation's part.
///
/// # Errors
/// [`HomeError::Missing`], [`HomeError::Content`].
pub fn load_part(path: &Path) -> Result<GenesisOrg, HomeError> {
    let text = files::read(path, MAX_BYTES)?.ok_or_else(|| HomeError::Missing {
        path: path.to_owned(),
        hint: "every organisation makes its part with `tandem init --org-part FILE`",
    })?;
    serde_json::from_str(&text).map_err(|error| HomeError::Content {
        path: path.to_owned(),
        reason: format!("no part of an organisation: {error}"),
    })
}

/// An organisation's part as it would be with a change; nothing is written.
///
/// # Errors
/// [`HomeError::Content`] when the change contradicts what is in the file.
pub fn changed_part(path: &Path, change: PartChange) -> Result<GenesisOrg, HomeError> {
    let wrong = |reason: String| HomeError::Content { path: path.to_owned(), reason };
    let PartChange { org, admin_key, power, node, users } = change;
    let mut part = if path.exists() {
        load_part(path)?
    } else {
        let missing = || wrong("it is new: the organisation's admin key is needed".to_owned());
        let admin_key = admin_key.ok_or_else(missing)?;
        let power = Power(1);
        GenesisOrg { name: org.clone(), admin_key, power, nodes: Vec::new(), users: Vec::new() }
    };
    if part.name != org {
        return Err(wrong(format!("it is the part of {}, not of {org}", part.name)));
    }
    if let Some(other) = admin_key.filter(|key| *key != part.admin_key) {
        return Err(wrong(format!("its admin key is {}, not {other}", part.admin_key)));
    }
    part.power = power.unwrap_or(part.power);
    if let Some(node) = node {
        part.nodes.retain(|other| other.key != node.key);
        part.nodes.push(node);
    }
    for user in users {
        if !part.users.contains(&user) {
            part.users.push(user);
        }
    }
    Ok(part)
}

/// Writes an organisation's part file.
///
/// # Errors
/// [`HomeError::Io`].
pub fn store_part(path: &Path, part: &GenesisOrg) -> Result<(), HomeError> {
    let text = serde_json::to_string_pretty(part).expect("strings, numbers and lists");
    files::write_atomic(path, format!("{text}\n").as_bytes(), 0o644)
}

/// What tells a part from every other: the SHA-256 of its encoding.
#[must_use]
pub fn part_hash(part: &GenesisOrg) -> Hash {
    Hash::of(&codec::encode(part))
}

/// Refuses a genesis in which an organisation is not as its part says.
///
/// # Errors
/// Names what is otherwise.
pub fn check_part(genesis: &Genesis, part: &GenesisOrg) -> Result<(), String> {
    let name = &part.name;
    let Some(org) = genesis.organizations.iter().find(|org| org.name == *name) else {
        return Err(format!("organisation {name} is not in it"));
    };
    if org == part {
        return Ok(());
    }
    let mut differs = Vec::new();
    if org.admin_key != part.admin_key {
        differs.push(format!("its admin key is {}, not {}", org.admin_key, part.admin_key));
    }
    if org.power != part.power {
        differs.push(format!("its power is {}, not {}", org.power, part.power));
    }
    let missing = part.nodes.iter().filter(|node| !org.nodes.contains(node));
    differs.extend(missing.map(|node| format!("node {} is not in it as it should be", node.key)));
    let added = org.nodes.iter().filter(|node| !part.nodes.contains(node));
    differs.extend(added.map(|node| format!("node {} is not of the part", node.key)));
    if differs.is_empty() {
        differs.push("its users, or the order of its nodes, are others".to_owned());
    }
    Err(format!("organisation {name} is not as its part says: {}", differs.join("; ")))
}

/// Puts a genesis, which has been checked, into a home whose node it has. One that is there already stays when it is
/// the same.
///
/// # Errors
/// [`HomeError::Content`] when the home's node is not in it, or when another genesis is there.
pub fn install(home: &Home, genesis: &Genesis) -> Result<(), HomeError> {
    let path = home.genesis_path();
    let wrong = |path: &Path, reason: String| HomeError::Content { path: path.to_owned(), reason };
    let node = home.node_public_key()?;
    if !genesis.organizations.iter().flat_map(|org| &org.nodes).any(|other| other.key == node) {
        let reason = format!("the home's node, {node}, is none of the genesis");
        return Err(wrong(&home.node_key_path(), reason));
    }
    if path.exists() {
        let (got, expected) = (load(&path)?.0.hash(), genesis.hash());
        if got != expected {
            let reason = format!("another genesis is there, with hash {got}: move it away");
            return Err(wrong(&path, reason));
        }
        return Ok(());
    }
    files::write_atomic(&path, genesis.to_json().as_bytes(), 0o644)
}

/// The role in a part: `validator`, `standby` or `observer`.
///
/// # Errors
/// Names what there is.
pub fn parse_role(text: &str) -> Result<GenesisRole, String> {
    let role = GenesisRole::ALL.into_iter().find(|role| role.name() == text);
    role.ok_or_else(|| "a role is validator, standby or observer".to_owned())
}

/// Puts a genesis together; the organisations are sorted by name, so that the hash does not depend
/// on the order in which the parts are named. It is not validated yet.
#[must_use]
pub fn assemble(
    chain_id: ChainId,
    genesis_time: Timestamp,
    parameters: Parameters,
    policy: Policy,
    mut organizations: Vec<GenesisOrg>,
) -> Genesis {
    organizations.sort_by(|a, b| a.name.cmp(&b.name));
    Genesis { chain_id, genesis_time, parameters, policy, organizations }
}

/// Reads a genesis and validates it; with it come warnings for the operator.
///
/// # Errors
/// [`HomeError::Missing`]; [`HomeError::Content`] with every fault.
pub fn load(path: &Path) -> Result<(Genesis, Vec<String>), HomeError> {
    let text = files::read(path, MAX_BYTES)?.ok_or_else(|| HomeError::Missing {
        path: path.to_owned(),
        hint: "copy the consortium's genesis.json there, or make one with `tandem genesis make`",
    })?;
    let content =
        |error: ChainError| HomeError::Content { path: path.to_owned(), reason: error.to_string() };
    let genesis = Genesis::from_json(&text).map_err(content)?;
    let warnings = genesis.validate().map_err(content)?;
    Ok((genesis, warnings))
}

/// Changes parameters by `name=value` texts.
///
/// # Errors
/// Names the parameter that does not exist, or the value that is no number.
pub fn set_parameters(parameters: Parameters, changes: &[String]) -> Result<Parameters, String> {
    let unknown =
        |name: &str, names: &str| format!("there is no parameter {name}; there are {names}");
    replaced(&parameters, changes, "VALUE", unknown, |name, number| {
        let number: u64 = number
            .parse()
            .map_err(|_| format!("parameter {name} is a whole number, not {}", escaped(number)))?;
        Ok(number.into())
    })
}

/// A policy with some thresholds replaced, each given as `NAME=THRESHOLD`.
///
/// # Errors
/// Names the one that is wrong, and what there is.
pub fn set_policy(policy: &Policy, changes: &[String]) -> Result<Policy, String> {
    let unknown =
        |name: &str, names: &str| format!("the policy has no threshold for {name}; it has {names}");
    replaced(policy, changes, "THRESHOLD", unknown, |_, threshold| {
        let threshold: Threshold =
            threshold.parse().map_err(|error: ChainError| error.to_string())?;
        Ok(threshold.to_string().into())
    })
}

/// A plain struct with some fields replaced, each given as a text `NAME=` and the value, of which `form`
/// says what it is. `unknown` has the error for a name that is none, with those that there are.
fn replaced<T: Serialize + DeserializeOwned>(
    before: &T,
    changes: &[String],
    form: &str,
    unknown: impl Fn(&str, &str) -> String,
    parse: impl Fn(&str, &str) -> Result<Value, String>,
) -> Result<T, String> {
    let mut value = serde_json::to_value(before).expect("numbers or words by name");
    let fields = value.as_object_mut().expect("a struct");
    for change in changes {
        let (name, text) = change
            .split_once('=')
            .ok_or_else(|| format!("\"{}\" is not NAME={form}", escaped(change)))?;
        let Some(field) = fields.get_mut(name) else {
            let names: Vec<&str> = fields.keys().map(String::as_str).collect();
            return Err(unknown(&escaped(name), &names.join(", ")));
        };
        *field = parse(name, text)?;
    }
    serde_json::from_value(value).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use tandem_chain::keys::SecretKey;

    use super::*;

    fn key(seed: u8) -> PublicKey {
        SecretKey::from_seed(&[seed; 32]).public()
    }

    fn change(org: &str, node: Option<(u8, GenesisRole)>) -> PartChange {
        let node = node.map(|(seed, role)| GenesisNode {
            key: key(seed),
            role,
            addresses: vec![format!("/ip4/127.0.0.1/tcp/{}", 4_000 + u16::from(seed))],
        });
        let org = org.parse().unwrap();
        PartChange { org, admin_key: None, power: None, node, users: Vec::new() }
    }

    fn change_part(path: &Path, change: PartChange) -> Result<GenesisOrg, HomeError> {
        let part = changed_part(path, change)?;
        store_part(path, &part)?;
        Ok(part)
    }

    #[test]
    fn parts_grow_node_by_node_and_make_a_valid_genesis() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let mut parts = Vec::new();
        for (i, org) in (0..4).zip(["a", "b", "c", "d"]) {
            let path = path(org);
            let admin = PartChange { admin_key: Some(key(100 + i)), ..change(org, None) };
            change_part(&path, admin).unwrap();
            change_part(&path, change(org, Some((10 + i, GenesisRole::Validator)))).unwrap();
            change_part(&path, change(org, Some((20 + i, GenesisRole::Standby)))).unwrap();
            // The same again changes nothing.
            change_part(&path, change(org, Some((20 + i, GenesisRole::Standby)))).unwrap();
            parts.push(load_part(&path).unwrap());
        }
        assert!(parts.iter().all(|part| part.nodes.len() == 2));
        let make = |parts| {
            assemble(
                "test".parse().unwrap(),
                Timestamp(1),
                Parameters::lan(),
                Policy::default(),
                parts,
            )
        };
        let genesis = make(parts.clone());
        assert_eq!(genesis.validate(), Ok(Vec::new()));
        parts.reverse();
        assert_eq!(make(parts).hash(), genesis.hash());

        let file = path("genesis.json");
        std::fs::write(&file, genesis.to_json()).unwrap();
        assert_eq!(load(&file).unwrap(), (genesis, Vec::new()));
    }

    #[test]
    fn a_part_that_is_otherwise_in_a_genesis_is_told() {
        let genesis = crate::testing::genesis();
        let part = genesis.organizations[1].clone();
        assert_eq!(check_part(&genesis, &part), Ok(()));
        let with = |change: &dyn Fn(&mut GenesisOrg)| {
            let mut other = part.clone();
            change(&mut other);
            assert_ne!(part_hash(&other), part_hash(&part));
            check_part(&genesis, &other).unwrap_err()
        };
        for (error, word) in [
            (with(&|part| part.name = "omega".parse().unwrap()), "omega is not in it"),
            (with(&|part| part.admin_key = key(9)), "its admin key is"),
            (with(&|part| part.power = Power(2)), "its power is 1, not 2"),
            (with(&|part| part.nodes.truncate(1)), "is not of the part"),
            (with(&|part| part.nodes[0].addresses.clear()), "is not in it as it should be"),
            (with(&|part| part.nodes.reverse()), "the order of its nodes"),
            (with(&|part| part.users.push(key(9))), "its users"),
        ] {
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn a_genesis_is_installed_where_its_nodes_are() {
        let dir = tempfile::tempdir().unwrap();
        let home = |name: &str, secret: &SecretKey| {
            let home = Home::new(dir.path().join(name));
            home.init(&crate::config::Config::default(), secret, None).unwrap();
            home
        };
        let genesis = crate::testing::genesis();
        let one = home("one", &crate::testing::standby(2));
        install(&one, &genesis).unwrap();
        install(&one, &genesis).unwrap();
        assert_eq!(load(&one.genesis_path()).unwrap().0, genesis);
        let mut later = genesis.clone();
        later.genesis_time = Timestamp(later.genesis_time.0 + 1);
        let error = install(&one, &later).unwrap_err().to_string();
        assert!(error.contains("another genesis is there"), "{error}");
        let stranger = home("stranger", &SecretKey::from_seed(&[77; 32]));
        let error = install(&stranger, &genesis).unwrap_err().to_string();
        assert!(error.contains("is none of the genesis"), "{error}");
        assert!(!stranger.genesis_path().exists());
    }

    #[test]
    fn contradictions_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        let no_admin = change_part(&path, change("a", None)).unwrap_err().to_string();
        assert!(no_admin.contains("admin key is needed"), "{no_admin}");
        let admin = |seed| PartChange { admin_key: Some(key(seed)), ..change("a", None) };
        change_part(&path, admin(1)).unwrap();
        assert!(change_part(&path, admin(2)).unwrap_err().to_string().contains("admin key is"));
        let other = change_part(&path, change("b", None)).unwrap_err().to_string();
        assert!(other.contains("the part of a, not of b"), "{other}");
    }

    #[test]
    fn a_broken_genesis_names_every_fault() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("genesis.json");
        assert!(load(&path).unwrap_err().to_string().contains("tandem genesis make"));
        std::fs::write(&path, "{\"chain_id\": 5}").unwrap();
        assert!(load(&path).unwrap_err().to_string().contains("genesis.json"));
        let genesis = assemble(
            "test".parse().unwrap(),
            Timestamp(0),
            Parameters::wan(),
            Policy::default(),
            Vec::new(),
        );
        std::fs::write(&path, genesis.to_json()).unwrap();
        let error = load(&path).unwrap_err().to_string();
        assert!(error.contains("no organisation") && error.contains("genesis_time"), "{error}");
    }

    #[test]
    fn parameters_by_name() {
        let set = |text: &str| set_parameters(Parameters::wan(), &[text.to_owned()]);
        assert_eq!(set("failover_blocks=20").unwrap().failover_blocks, 20);
        for bad in ["failover_blocks", "failover_blocks=x", "fail=1", "failover_blocks=-1"] {
            assert!(set(bad).is_err(), "{bad}");
        }
        assert!(set("fail=1").unwrap_err().contains("failover_blocks"));
        let set = |text: &str| set_policy(&Policy::default(), &[text.to_owned()]);
        assert_eq!(set("policy=all").unwrap().policy, Threshold::All);
        for bad in ["policy", "policy=most", "polity=all", "policy=All"] {
            assert!(set(bad).is_err(), "{bad}");
        }
        assert!(set("x=all").unwrap_err().contains("admin_key"));
    }
}
