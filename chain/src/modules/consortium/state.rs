//! What the module keeps in the state.

use crate::codec;
use crate::error::Error;
use crate::genesis::{Genesis, GenesisRole};
use crate::keys::PublicKey;
use crate::ledger::state::{State, key_of, missing};
use crate::modules::consortium::{Call, KeyEntry, KeyRole, Node, Org, UsedInvitation};
use crate::modules::{self, Sender};
use crate::roles::{NodeEntry, Register};
use crate::tx::TxBody;
use crate::types::OrgName;

const ORGS: &str = "consortium/orgs";
/// Prefix of organisations: the register follows from what is under it.
pub(crate) const ORG: &str = "consortium/org/";
const KEY: &str = "consortium/key/";
const USER: &str = "consortium/user/";
const INVITED: &str = "consortium/invited/";

pub(crate) fn genesis(state: &mut State, genesis: &Genesis) {
    let mut names: Vec<&OrgName> = genesis.organizations.iter().map(|org| &org.name).collect();
    names.sort();
    state.write(ORGS.into(), &names);
    for org in &genesis.organizations {
        let name = &org.name;
        let nodes = org.nodes.iter().map(|node| {
            let pair = node.role != GenesisRole::Observer;
            (node.key, Node { pair, addresses: node.addresses.clone() })
        });
        let entry = Org {
            admin_key: org.admin_key,
            power: org.power,
            nodes: nodes.collect(),
            users: org.users.len() as u64,
        };
        put_org(state, name, &entry);
        put_key(state, &org.admin_key, name, KeyRole::Admin);
        for node in &org.nodes {
            put_key(state, &node.key, name, KeyRole::Node);
        }
        for user in &org.users {
            put_user(state, name, user);
        }
    }
}

pub(crate) fn org_names(state: &mut State) -> Result<Vec<OrgName>, Error> {
    state.read("list of organisations", ORGS.as_bytes())?.ok_or_else(|| missing("organisations"))
}

/// An organisation that is known to exist.
pub(crate) fn org(state: &mut State, name: &OrgName) -> Result<Org, Error> {
    find_org(state, name)?.ok_or_else(|| missing("organisation"))
}

pub(super) fn find_org(state: &mut State, name: &OrgName) -> Result<Option<Org>, Error> {
    state.read("organisation", &key_of(ORG, name.as_str().as_bytes()))
}

pub(super) fn put_org(state: &mut State, name: &OrgName, org: &Org) {
    state.write(key_of(ORG, name.as_str().as_bytes()), org);
}

pub(super) fn key_entry(state: &mut State, key: &PublicKey) -> Result<Option<KeyEntry>, Error> {
    state.read("key", &key_of(KEY, &key.0))
}

pub(super) fn put_key(state: &mut State, key: &PublicKey, org: &OrgName, role: KeyRole) {
    state.write(key_of(KEY, &key.0), &KeyEntry { org: org.clone(), role });
}

/// Forgets a key that has a role no more; one that is barred is remembered for ever.
pub(super) fn delete_key(state: &mut State, key: &PublicKey) -> Result<(), Error> {
    if key_entry(state, key)?.is_some_and(|entry| entry.role != KeyRole::Barred) {
        state.delete(key_of(KEY, &key.0));
    }
    Ok(())
}

/// Prefix of an organisation's users.
pub(super) fn users_of(org: &OrgName) -> Vec<u8> {
    key_of(USER, format!("{org}/").as_bytes())
}

fn user_key(org: &OrgName, user: &PublicKey) -> Vec<u8> {
    [users_of(org).as_slice(), &user.0].concat()
}

pub(super) fn put_user(state: &mut State, org: &OrgName, user: &PublicKey) {
    put_key(state, user, org, KeyRole::User);
    state.put(user_key(org, user), Vec::new());
}

/// The invitations of an organisation that were used, those that have expired since among them.
pub(super) fn used_invitations(
    state: &mut State,
    org: &OrgName,
) -> Result<Vec<UsedInvitation>, Error> {
    let found = state.read("used invitations", &key_of(INVITED, org.as_str().as_bytes()))?;
    Ok(found.unwrap_or_default())
}

pub(super) fn put_used_invitations(state: &mut State, org: &OrgName, used: &[UsedInvitation]) {
    state.put(key_of(INVITED, org.as_str().as_bytes()), codec::encode(used));
}

/// Forgets a user of an organisation and counts it no more.
pub(super) fn delete_user(
    state: &mut State,
    name: &OrgName,
    user: &PublicKey,
) -> Result<(), Error> {
    let mut entry = org(state, name)?;
    entry.users -= 1;
    put_org(state, name, &entry);
    delete_key(state, user)?;
    state.delete(user_key(name, user));
    Ok(())
}

/// Who sends a transaction. Whoever registers itself by an invitation has no role yet: it sends as
/// the node that it would be, and the call itself checks whether it may.
pub(crate) fn sender(state: &mut State, body: &TxBody) -> Result<Sender, Error> {
    let key = body.sender;
    if let modules::Call::Consortium(Call::RegisterInvited { invitation, .. }) = &body.call {
        return Ok(Sender { key, org: invitation.body.org.clone(), role: KeyRole::Node });
    }
    match key_entry(state, &key)? {
        Some(KeyEntry { org, role }) if role != KeyRole::Barred => Ok(Sender { key, org, role }),
        _ => Err(Error::UnknownSender { sender: key }),
    }
}

/// All registered nodes.
pub(crate) fn register(state: &mut State) -> Result<Register, Error> {
    let mut register = Register::default();
    for name in org_names(state)? {
        for (key, Node { pair, addresses }) in org(state, &name)?.nodes {
            register.nodes.insert(key, NodeEntry { org: name.clone(), pair, addresses });
        }
    }
    Ok(register)
}

/// The nodes of an organisation's pair, at most two, in the order of their keys.
pub(crate) fn pair(state: &mut State, name: &OrgName) -> Result<Vec<PublicKey>, Error> {
    let nodes = org(state, name)?.nodes;
    Ok(nodes.into_iter().filter(|(_, node)| node.pair).map(|(key, _)| key).collect())
}

/// What [`bar`] took a key out of.
pub(crate) struct Barred {
    /// The organisation that it is of, or was of last.
    pub(crate) org: OrgName,
    /// Whether it was a node of that organisation's pair.
    pub(crate) was_pair: bool,
}

/// Bars a key that held the seat of `voted_for` once, in whatever role it has now: it may have
/// gone to another organisation since. A user is one no more; a node leaves its pair at once, and
/// [`unregister`] takes it out of the register.
pub(crate) fn bar(
    state: &mut State,
    voted_for: &OrgName,
    key: &PublicKey,
) -> Result<Barred, Error> {
    let (name, role) = match key_entry(state, key)? {
        Some(KeyEntry { org, role }) => (org, Some(role)),
        None => (voted_for.clone(), None),
    };
    let mut was_pair = false;
    match role {
        Some(KeyRole::Node) => {
            let mut entry = org(state, &name)?;
            let node = entry.nodes.get_mut(key).ok_or_else(|| missing("node"))?;
            was_pair = std::mem::replace(&mut node.pair, false);
            put_org(state, &name, &entry);
        }
        Some(KeyRole::User) => delete_user(state, &name, key)?,
        // Admin keys are set at genesis and hold no seat.
        Some(KeyRole::Admin | KeyRole::Barred) | None => {}
    }
    put_key(state, key, &name, KeyRole::Barred);
    Ok(Barred { org: name, was_pair })
}

/// Takes a barred key out of the register; nothing happens when it is not there.
pub(crate) fn unregister(state: &mut State, name: &OrgName, key: &PublicKey) -> Result<(), Error> {
    let mut entry = org(state, name)?;
    if entry.nodes.remove(key).is_some() {
        put_org(state, name, &entry);
    }
    Ok(())
}
