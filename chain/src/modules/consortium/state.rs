//! What the module keeps in the state.

use std::collections::BTreeMap;

use crate::codec;
use crate::error::Error;
use crate::genesis::{Genesis, GenesisRole};
use crate::keys::PublicKey;
use crate::ledger::state::{State, key_of, missing};
use crate::limits::MAX_USERS_PER_ORG;
use crate::modules::consortium::closed::{self, CLOSED};
use crate::modules::consortium::{
    Call, KeyEntry, KeyRole, Node, Org, Policy, UsedInvitation, User, UserRole,
};
use crate::modules::{self, Sender};
use crate::roles::{NodeEntry, Register};
use crate::tx::TxBody;
use crate::types::{Height, OrgName};

const ORGS: &str = "consortium/orgs";
const ORG: &str = "consortium/org/";
const POLICY: &str = "consortium/policy";
const KEY: &str = "consortium/key/";
const USER: &str = "consortium/user/";
const INVITED: &str = "consortium/invited/";
const ADDRESS: &str = "consortium/address/";

pub(crate) fn genesis(state: &mut State, genesis: &Genesis) {
    let mut names: Vec<&OrgName> = genesis.organizations.iter().map(|org| &org.name).collect();
    names.sort();
    state.write(ORGS.into(), &names);
    put_policy(state, &genesis.policy);
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
            since: Height::ZERO,
        };
        state.write(org_key(name), &entry);
        for (address, node) in addresses(&entry) {
            put_address(state, address, node);
        }
        put_key(state, &org.admin_key, name, KeyRole::Admin);
        for node in &org.nodes {
            put_key(state, &node.key, name, KeyRole::Node);
        }
        for user in &org.users {
            put_user(state, name, user, User { role: UserRole::Writer, since: Height::ZERO });
        }
    }
}

pub(crate) fn org_names(state: &mut State) -> Result<Vec<OrgName>, Error> {
    state.read("list of organisations", ORGS.as_bytes())?.ok_or_else(|| missing("organisations"))
}

pub(super) fn put_org_names(state: &mut State, names: &[OrgName]) {
    state.write(ORGS.into(), &names);
}

/// The policy.
pub(super) fn read_policy(state: &mut State) -> Result<Policy, Error> {
    state.read("policy", POLICY.as_bytes())?.ok_or_else(|| missing("policy"))
}

pub(super) fn put_policy(state: &mut State, policy: &Policy) {
    state.write(POLICY.into(), policy);
}

/// An organisation that is known to exist.
pub(crate) fn org(state: &mut State, name: &OrgName) -> Result<Org, Error> {
    find_org(state, name)?.ok_or_else(|| missing("organisation"))
}

pub(super) fn find_org(state: &mut State, name: &OrgName) -> Result<Option<Org>, Error> {
    state.read("organisation", &org_key(name))
}

fn org_key(name: &OrgName) -> Vec<u8> {
    key_of(ORG, name.as_str().as_bytes())
}

/// The block that made an organisation a member; none when it is no member.
pub(crate) fn member_since(state: &mut State, name: &OrgName) -> Result<Option<Height>, Error> {
    if closed::of(state, name)?.is_some_and(|closed| closed.is_removed) {
        return Ok(None);
    }
    Ok(find_org(state, name)?.map(|org| org.since))
}

/// Writes an organisation, and which node each address of its nodes leads to.
pub(super) fn put_org(state: &mut State, name: &OrgName, org: &Org) -> Result<(), Error> {
    let before = find_org(state, name)?;
    let before = before.as_ref().map(addresses).unwrap_or_default();
    let after = addresses(org);
    for address in before.keys().filter(|address| !after.contains_key(*address)) {
        state.delete(address_key(address));
    }
    for (address, node) in &after {
        if before.get(address) != Some(node) {
            put_address(state, address, node);
        }
    }
    state.write(org_key(name), org);
    Ok(())
}

pub(super) fn delete_org(state: &mut State, name: &OrgName) -> Result<(), Error> {
    for address in find_org(state, name)?.iter().flat_map(addresses).map(|(address, _)| address) {
        state.delete(address_key(address));
    }
    state.delete(org_key(name));
    Ok(())
}

/// The addresses of an organisation's nodes, and whose each is.
fn addresses(org: &Org) -> BTreeMap<&str, &PublicKey> {
    let nodes = org.nodes.iter();
    nodes.flat_map(|(key, node)| node.addresses.iter().map(move |at| (at.as_str(), key))).collect()
}

fn address_key(address: &str) -> Vec<u8> {
    key_of(ADDRESS, address.as_bytes())
}

fn put_address(state: &mut State, address: &str, node: &PublicKey) {
    state.write(address_key(address), node);
}

/// Refuses addresses of nodes other than `own`, one of which may be about to go.
pub(super) fn check_free(
    state: &mut State,
    addresses: &[String],
    own: &PublicKey,
) -> Result<(), Error> {
    for address in addresses {
        let found: Option<PublicKey> = state.read("node at an address", &address_key(address))?;
        let Some(node) = found.filter(|node| node != own) else { continue };
        let entry = key_entry(state, &node)?.ok_or_else(|| missing("key of a node"))?;
        return Err(Error::AddressTaken { address: address.clone(), node, org: entry.org });
    }
    Ok(())
}

/// Refuses keys that may not enter the chain.
pub(super) fn check_new_key(state: &mut State, key: &PublicKey) -> Result<(), Error> {
    key.check()?;
    match key_entry(state, key)? {
        None => Ok(()),
        Some(entry) if entry.role == KeyRole::Barred => {
            Err(Error::Refused { reason: format!("key {key} signed twice and is barred for ever") })
        }
        Some(KeyEntry { org, role }) => {
            let role = match role {
                KeyRole::Admin => "the admin key",
                KeyRole::Node | KeyRole::Barred => "a node",
                KeyRole::User => "a user",
            };
            Err(Error::KeyTaken { key: *key, role, org })
        }
    }
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

/// A user of an organisation; none when the key is not that.
pub(crate) fn find_user(
    state: &mut State,
    org: &OrgName,
    key: &PublicKey,
) -> Result<Option<User>, Error> {
    state.read("user", &user_key(org, key))
}

pub(super) fn put_user(state: &mut State, org: &OrgName, key: &PublicKey, user: User) {
    put_key(state, key, org, KeyRole::User);
    state.write(user_key(org, key), &user);
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
    put_org(state, name, &entry)?;
    delete_key(state, user)?;
    state.delete(user_key(name, user));
    Ok(())
}

/// Forgets all users of an organisation; the caller counts them no more.
pub(super) fn take_users(state: &mut State, org: &OrgName) -> Result<(), Error> {
    let prefix = users_of(org);
    for key in state.keys(&prefix, MAX_USERS_PER_ORG)? {
        let user = PublicKey::from_slice(&key[prefix.len()..])
            .map_err(|error| Error::Damaged { what: "users", reason: error.to_string() })?;
        delete_key(state, &user)?;
        state.delete(key);
    }
    Ok(())
}

/// Who sends a transaction. Whoever registers itself by an invitation has no role yet: it sends as
/// the node that it would be, and the call itself checks whether it may.
pub(crate) fn sender_of(state: &mut State, body: &TxBody) -> Result<Sender, Error> {
    let key = body.sender;
    if let modules::Call::Consortium(Call::RegisterInvited { invitation, .. }) = &body.call {
        let org = invitation.body.org.clone();
        return Ok(Sender { key, org, role: KeyRole::Node, user: None });
    }
    sender(state, &key)
}

/// What a key that has a role may send transactions as.
pub(crate) fn sender(state: &mut State, key: &PublicKey) -> Result<Sender, Error> {
    let unknown = || Error::UnknownSender { sender: *key };
    let KeyEntry { org, role } = key_entry(state, key)?.ok_or_else(unknown)?;
    match closed::of(state, &org)? {
        _ if role == KeyRole::Barred => Err(unknown()),
        None if role == KeyRole::User => {
            let user = find_user(state, &org, key)?.ok_or_else(|| missing("user"))?;
            Ok(Sender { key: *key, org, role, user: Some(user) })
        }
        None => Ok(Sender { key: *key, org, role, user: None }),
        Some(closed) if closed.is_removed => Err(unknown()),
        Some(_) => Err(Error::Suspended { org }),
    }
}

/// All registered nodes. Of an organisation that is closed there is the node that still signs for
/// the next height.
pub(crate) fn register(state: &mut State) -> Result<Register, Error> {
    let mut register = Register::default();
    let closed = closed::all(state)?;
    for name in org_names(state)? {
        let closed = closed.get(&name);
        for (key, Node { pair, addresses }) in org(state, &name)?.nodes {
            if closed.is_none_or(|closed| closed.last == Some(key)) {
                register.nodes.insert(key, NodeEntry { org: name.clone(), pair, addresses });
            }
        }
    }
    Ok(register)
}

/// Whether anything has changed that the register follows from.
pub(crate) fn may_have_changed_register(state: &State) -> bool {
    [ORG, CLOSED].iter().any(|prefix| state.has_changed(prefix.as_bytes()))
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
            put_org(state, &name, &entry)?;
        }
        Some(KeyRole::User) => delete_user(state, &name, key)?,
        // An organisation whose admin key is barred has none until the others give it one.
        Some(KeyRole::Admin | KeyRole::Barred) | None => {}
    }
    put_key(state, key, &name, KeyRole::Barred);
    Ok(Barred { org: name, was_pair })
}

/// No role table to come names this node any more: where it is barred, or its organisation closed, it
/// leaves the register. Whether an organisation that was removed has left with it.
pub(crate) fn unregister(
    state: &mut State,
    name: &OrgName,
    key: &PublicKey,
) -> Result<bool, Error> {
    if closed::last_has_left(state, name, key)? {
        return Ok(true);
    }
    let is_barred = key_entry(state, key)?.is_some_and(|entry| entry.role == KeyRole::Barred);
    if is_barred
        && let Some(mut entry) = find_org(state, name)?
        && entry.nodes.remove(key).is_some()
    {
        put_org(state, name, &entry)?;
    }
    Ok(false)
}
