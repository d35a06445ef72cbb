//! Who takes part in a history: organisations, their machines, keys and clients.

use tandem_chain::genesis::{Genesis, GenesisNode, GenesisOrg, GenesisRole};
use tandem_chain::keys::SecretKey;
use tandem_chain::types::{Hash, OrgName, Power};

use super::plan::{Org, Plan};
use super::world::GENESIS_TIME;

/// Everyone in a history.
pub struct Members {
    /// The chain's beginning.
    pub genesis: Genesis,
    /// Names of all organisations, those that are to join among them.
    pub names: Vec<OrgName>,
    /// All machines: those of genesis in its order, then those to come.
    pub machines: Vec<Machine>,
    /// Their keys.
    pub secrets: Vec<SecretKey>,
    /// Admin keys by organisation: that of genesis, and others to replace it.
    pub admins: Vec<[SecretKey; 3]>,
    /// Keys of clients, each with its organisation.
    pub users: Vec<(usize, SecretKey)>,
}

/// A machine with a node of an organisation.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The organisation's letters and a number.
    pub name: String,
    /// The organisation.
    pub org: usize,
    /// Its role at genesis; none when it is registered later, if ever.
    pub role: Option<GenesisRole>,
}

fn secret(seed: u64, kind: &str, number: usize) -> SecretKey {
    SecretKey::from_seed(&Hash::of(format!("{seed} {kind} {number}").as_bytes()).0)
}

/// Name of an organisation by its number: a to z, then aa, ab, and so on.
fn letters(number: usize) -> String {
    let last = char::from(b'a' + u8::try_from(number % 26).expect("a letter"));
    let before = (number / 26).checked_sub(1).map(letters).unwrap_or_default();
    format!("{before}{last}")
}

fn machines(orgs: &[Org]) -> Vec<Machine> {
    let of_genesis = |org: &Org| {
        if org.joins {
            return Vec::new();
        }
        let mut roles = vec![GenesisRole::Validator];
        roles.extend(org.pair.then_some(GenesisRole::Standby));
        roles.extend(vec![GenesisRole::Observer; org.observers]);
        roles
    };
    let machine = |org: usize, number: usize, role| {
        let name = format!("{}{}", letters(org), number + 1);
        Machine { name, org, role }
    };
    let mut machines = Vec::new();
    for (i, org) in orgs.iter().enumerate() {
        let roles = of_genesis(org).into_iter().enumerate();
        machines.extend(roles.map(|(number, role)| machine(i, number, Some(role))));
    }
    for (i, org) in orgs.iter().enumerate() {
        let first = of_genesis(org).len();
        machines.extend((first..first + org.spares).map(|number| machine(i, number, None)));
    }
    machines
}

/// Genesis of a plan, with the keys of all.
#[must_use]
pub fn members(plan: &Plan) -> Members {
    let seed = plan.seed;
    let machines = machines(&plan.orgs);
    let secrets: Vec<_> = (0..machines.len()).map(|i| secret(seed, "node", i)).collect();
    let admins: Vec<_> = (0..plan.orgs.len())
        .map(|i| ["admin", "second admin", "third admin"].map(|kind| secret(seed, kind, i)))
        .collect();
    let names: Vec<OrgName> =
        (0..plan.orgs.len()).map(|i| letters(i).parse().expect("letters are a name")).collect();
    let at_genesis = plan.orgs.iter().filter(|org| !org.joins).count();
    let users: Vec<_> =
        (0..plan.clients).map(|i| (i % at_genesis, secret(seed, "user", i))).collect();
    let nodes_of = |org: usize| {
        let of_org = machines.iter().zip(&secrets).filter(move |(machine, _)| machine.org == org);
        of_org.filter_map(|(machine, secret)| {
            let role = machine.role?;
            Some(GenesisNode { key: secret.public(), role, addresses: Vec::new() })
        })
    };
    let of_genesis = plan.orgs.iter().enumerate().filter(|(_, org)| !org.joins);
    let organizations = of_genesis.map(|(i, org)| GenesisOrg {
        name: names[i].clone(),
        admin_key: admins[i][0].public(),
        power: Power(org.power),
        nodes: nodes_of(i).collect(),
        users: users.iter().filter(|(o, _)| *o == i).map(|(_, key)| key.public()).collect(),
    });
    let genesis = Genesis {
        chain_id: format!("sim-{seed}").parse().expect("letters and digits"),
        genesis_time: GENESIS_TIME,
        parameters: plan.parameters.clone(),
        policy: plan.policy.clone(),
        organizations: organizations.collect(),
    };
    Members { genesis, names, machines, secrets, admins, users }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn organisations_beyond_the_alphabet_have_names_of_their_own() {
        let names = [0, 25, 26, 27, 51, 52, 701, 702].map(letters);
        assert_eq!(names, ["a", "z", "aa", "ab", "az", "ba", "zz", "aaa"]);
    }

    #[test]
    fn machines_to_come_stand_behind_those_of_genesis_and_go_on_with_their_numbers() {
        let org = |pair, spares, joins| Org { pair, observers: 0, spares, power: 1, joins };
        let all = machines(&[org(true, 1, false), org(false, 2, false), org(false, 1, true)]);
        let names: Vec<&str> = all.iter().map(|machine| machine.name.as_str()).collect();
        assert_eq!(names, ["a1", "a2", "b1", "a3", "b2", "b3", "c1"]);
        assert!(all.iter().take(3).all(|machine| machine.role.is_some()));
        assert!(all.iter().skip(3).all(|machine| machine.role.is_none()));
    }
}
