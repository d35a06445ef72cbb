//! The module's calls.

use crate::codec;
use crate::error::Error;
use crate::keys::{PublicKey, Signature};
use crate::ledger::Event;
use crate::ledger::context::Context;
use crate::limits::MAX_NODES_PER_ORG;
use crate::modules::consortium::state::{
    check_free, check_new_key, delete_key, key_entry, org, put_key, put_org,
};
use crate::modules::consortium::{
    Call, KeyRole, Node, Org, change, check_addresses, invitations, motions, registration_bytes,
    users,
};
use crate::modules::{Sender, standby};

/// Executes a call. Its data is a [`motions::Decision`] for motions and votes, the effective height
/// where the pair or the admin key changes, else empty.
pub(crate) fn execute(ctx: &mut Context, sender: &Sender, call: &Call) -> Result<Vec<u8>, Error> {
    match call {
        Call::SetPartner { .. } => sender.must_run_nodes()?,
        // A node's own, and those that depend on a user's role.
        Call::SetAddresses { .. }
        | Call::AddUser { .. }
        | Call::RemoveUser { .. }
        | Call::RegisterInvited { .. }
        | Call::SetRole { .. } => {}
        _ => sender.must_be_admin()?,
    }
    match call {
        Call::RegisterNode { node, proof, pair, addresses } => {
            register_node(ctx, sender, node, proof, *pair, addresses)
        }
        Call::RemoveNode { node } => remove_node(ctx, sender, node),
        Call::SetPartner { node } => set_partner(ctx, sender, node),
        Call::AddUser { user, role, proof } => users::add(ctx, sender, user, *role, proof),
        Call::RemoveUser { user } => users::remove(ctx, sender, user),
        Call::SetAddresses { addresses } => set_addresses(ctx, sender, addresses),
        Call::Propose { change, force, expires } => {
            motions::propose(ctx, sender, change, *force, *expires)
        }
        Call::Vote { motion } => motions::vote(ctx, sender, *motion),
        Call::SetAdminKey { key, proof } => set_admin_key(ctx, sender, key, proof),
        Call::RegisterInvited { invitation, claim, addresses } => {
            invitations::register(ctx, sender, invitation, claim, addresses)
        }
        Call::SetRole { user, role } => users::set_role(ctx, sender, user, *role),
    }
}

pub(super) fn not_found(what: &'static str, key: &PublicKey) -> Error {
    Error::NotFound { what, name: key.to_string() }
}

pub(super) fn node_event(kind: &str, sender: &Sender, node: &PublicKey) -> Event {
    Event::new(kind, [("org", sender.org.to_string()), ("node", node.to_string())])
}

fn register_node(
    ctx: &mut Context,
    sender: &Sender,
    node: &PublicKey,
    proof: &Signature,
    pair: bool,
    addresses: &[String],
) -> Result<Vec<u8>, Error> {
    check_new_key(&mut ctx.state, node)?;
    check_addresses(addresses)?;
    check_free(&mut ctx.state, addresses, node)?;
    let mut entry = org(&mut ctx.state, &sender.org)?;
    check_room(&entry, pair)?;
    check_proof(ctx, sender, node, proof)?;
    entry.nodes.insert(*node, Node { pair, addresses: addresses.to_vec() });
    put_org(&mut ctx.state, &sender.org, &entry)?;
    put_key(&mut ctx.state, node, &sender.org, KeyRole::Node);
    ctx.events.push(node_event("node_registered", sender, node));
    if pair { pair_changed(ctx, sender, Some(node)) } else { Ok(Vec::new()) }
}

/// Refuses a key that is not held by who wants to bring it in.
pub(super) fn check_proof(
    ctx: &Context,
    sender: &Sender,
    key: &PublicKey,
    proof: &Signature,
) -> Result<(), Error> {
    if key.verifies(&registration_bytes(&ctx.tip.chain_id, &sender.org, key), proof) {
        Ok(())
    } else {
        Err(Error::BadSignature { what: "registration", key: *key })
    }
}

fn set_admin_key(
    ctx: &mut Context,
    sender: &Sender,
    key: &PublicKey,
    proof: &Signature,
) -> Result<Vec<u8>, Error> {
    check_new_key(&mut ctx.state, key)?;
    check_proof(ctx, sender, key, proof)?;
    let effective = change::replace_admin_key(ctx, &sender.org, *key)?;
    Ok(codec::encode(&effective))
}

/// Refuses a node more, in the pair or beside it, where there is no place.
pub(super) fn check_room(org: &Org, pair: bool) -> Result<(), Error> {
    if org.nodes.len() >= MAX_NODES_PER_ORG {
        let got = org.nodes.len() + 1;
        return Err(Error::TooMany { what: "nodes", max: MAX_NODES_PER_ORG, got });
    }
    if pair && org.nodes.values().filter(|node| node.pair).count() >= 2 {
        let reason = "the pair has two nodes: take one out, or make this one an observer first";
        return Err(Error::Refused { reason: reason.to_owned() });
    }
    Ok(())
}

/// Refuses to take a node out of the register while it holds the seat.
pub(super) fn check_no_holder(
    ctx: &mut Context,
    sender: &Sender,
    node: &PublicKey,
) -> Result<(), Error> {
    if standby::is_holder(ctx, &sender.org, node)? { Err(holds_seat()) } else { Ok(()) }
}

/// A node is not taken out of the register.
pub(super) fn holds_seat() -> Error {
    Error::Refused { reason: "the node holds the seat: switch to its partner first".to_owned() }
}

fn remove_node(ctx: &mut Context, sender: &Sender, node: &PublicKey) -> Result<Vec<u8>, Error> {
    let mut entry = org(&mut ctx.state, &sender.org)?;
    let removed = entry.nodes.remove(node).ok_or_else(|| not_found("node", node))?;
    check_no_holder(ctx, sender, node)?;
    put_org(&mut ctx.state, &sender.org, &entry)?;
    delete_key(&mut ctx.state, node)?;
    ctx.events.push(node_event("node_removed", sender, node));
    if removed.pair { pair_changed(ctx, sender, None) } else { Ok(Vec::new()) }
}

fn set_partner(ctx: &mut Context, sender: &Sender, node: &PublicKey) -> Result<Vec<u8>, Error> {
    let mut entry = org(&mut ctx.state, &sender.org)?;
    let holder = standby::holder(ctx, &sender.org)?;
    let role = key_entry(&mut ctx.state, node)?.map(|entry| entry.role);
    match entry.nodes.get(node) {
        None => return Err(not_found("node", node)),
        Some(node) if node.pair => {
            return Err(Error::Refused { reason: "the node is of the pair already".to_owned() });
        }
        Some(_) if role == Some(KeyRole::Barred) => {
            return Err(Error::Refused {
                reason: "the node signed twice and is barred".to_owned(),
            });
        }
        Some(_) => {}
    }
    for (key, other) in &mut entry.nodes {
        other.pair = key == node || (other.pair && holder == Some(*key));
    }
    put_org(&mut ctx.state, &sender.org, &entry)?;
    pair_changed(ctx, sender, Some(node))
}

/// Restarts the seat's window; `named` is the node that came into the pair.
pub(super) fn pair_changed(
    ctx: &mut Context,
    sender: &Sender,
    named: Option<&PublicKey>,
) -> Result<Vec<u8>, Error> {
    let effective = standby::pair_changed(ctx, &sender.org, named)?;
    let node = named.map(PublicKey::to_string).unwrap_or_default();
    ctx.events.push(Event::new(
        "pair_changed",
        [
            ("org", sender.org.to_string()),
            ("node", node),
            ("effective_height", effective.to_string()),
        ],
    ));
    Ok(codec::encode(&effective))
}

fn set_addresses(
    ctx: &mut Context,
    sender: &Sender,
    addresses: &[String],
) -> Result<Vec<u8>, Error> {
    if sender.role != KeyRole::Node {
        return Err(Error::NotAllowed { sender: sender.key, needed: "a registered node" });
    }
    check_addresses(addresses)?;
    check_free(&mut ctx.state, addresses, &sender.key)?;
    let mut entry = org(&mut ctx.state, &sender.org)?;
    let node = entry.nodes.get_mut(&sender.key).ok_or_else(|| not_found("node", &sender.key))?;
    node.addresses = addresses.to_vec();
    put_org(&mut ctx.state, &sender.org, &entry)?;
    ctx.events.push(node_event("node_addresses", sender, &sender.key));
    Ok(Vec::new())
}
