//! Invitations: a node comes into the register though no admin key names it.
//!
//! An organisation's admin key signs what a newcomer may be, a *one-time key*, and the block time until
//! which that holds. Whoever has the one-time key registers one node by it, its own, in a transaction
//! that the node's key signs: [`Call::RegisterInvited`](super::Call::RegisterInvited). An invitation is
//! seen by others before it is in a block, so it counts for nothing by itself: with it comes a *claim*,
//! the one-time key's signature over the node's key, which nobody else can make for another node.
//!
//! The one-time key is remembered until the invitation has expired, so that it is good for one node;
//! also when the organisation is removed meanwhile, since one of its name may come with the same admin
//! key.
//!
//! An invitation counts as long as its organisation could invite anew: not while that is suspended,
//! nor when it was removed, has another admin key, or had its admin key barred.

#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::keys::{Domain, PublicKey, Signature, Signer};
use crate::ledger::context::Context;
use crate::ledger::state::State;
use crate::limits::{MAX_INVITATION_LIFE, MAX_USED_INVITATIONS_PER_ORG};
use crate::modules::Sender;
use crate::modules::consortium::calls::{
    check_no_holder, check_room, holds_seat, node_event, not_found, pair_changed,
};
use crate::modules::consortium::change::refused;
use crate::modules::consortium::state::{
    check_free, check_new_key, delete_key, find_org, key_entry, put_key, put_org,
    put_used_invitations, used_invitations,
};
use crate::modules::consortium::{KeyRole, Node, Org, check_addresses, closed};
use crate::store::Store;
use crate::tip::Tip;
use crate::types::{ChainId, OrgName, Timestamp};

/// What a newcomer is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InvitedAs {
    /// It takes the free place in the pair.
    Standby,
    /// A node outside the pair.
    Observer,
    /// It takes the place of a node that is lost, in the pair or beside it; that node leaves the
    /// register.
    Replacement {
        /// The lost node, which must not hold the seat.
        lost: PublicKey,
    },
}

/// What an organisation's admin key signs, in [`Domain::Invitation`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvitationBody {
    /// The chain.
    pub chain_id: ChainId,
    /// The organisation that the node is to be of.
    pub org: OrgName,
    /// The one-time key, by which invitations are told from each other: whoever holds it may use this
    /// one.
    pub claim: PublicKey,
    /// What the node is to be.
    pub part: InvitedAs,
    /// Last block time at which it may be used; at most [`MAX_INVITATION_LIFE`] after the block of
    /// its use.
    pub valid_until: Timestamp,
}

/// An invitation of one node. It is no secret: who uses it shows with [`Invitation::claim`] that it
/// holds the one-time key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// What it says.
    pub body: InvitationBody,
    /// The admin key's signature.
    pub signature: Signature,
}

/// An invitation that was used, as the state remembers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsedInvitation {
    /// Its one-time key.
    pub claim: PublicKey,
    /// When it would have expired, and may be forgotten.
    pub valid_until: Timestamp,
    /// The node that it was used for.
    pub node: PublicKey,
}

/// Whether a good invitation may still be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It may.
    Open,
    /// It was.
    Used {
        /// The node that it was used for, which may have left the register since.
        by: PublicKey,
    },
}

impl Invitation {
    /// Signs an invitation with an organisation's admin key.
    #[must_use]
    pub fn sign(body: InvitationBody, admin: &impl Signer) -> Self {
        let signature = admin.sign(&sign_bytes(&body));
        Self { body, signature }
    }

    /// Checks the admin key's signature.
    ///
    /// # Errors
    /// [`Error::BadSignature`].
    pub fn verify(&self, admin: &PublicKey) -> Result<(), Error> {
        if admin.verifies(&sign_bytes(&self.body), &self.signature) {
            Ok(())
        } else {
            Err(Error::BadSignature { what: "invitation", key: *admin })
        }
    }

    /// Claims it for a node, with its one-time key.
    #[must_use]
    pub fn claim(&self, one_time: &impl Signer, node: &PublicKey) -> Signature {
        one_time.sign(&self.claim_bytes(node))
    }

    /// Checks that it is claimed for a node.
    ///
    /// # Errors
    /// [`Error::BadSignature`].
    pub fn verify_claim(&self, node: &PublicKey, claim: &Signature) -> Result<(), Error> {
        let key = self.body.claim;
        if key.verifies(&self.claim_bytes(node), claim) {
            Ok(())
        } else {
            Err(Error::BadSignature { what: "claim of an invitation", key })
        }
    }

    fn claim_bytes(&self, node: &PublicKey) -> Vec<u8> {
        Domain::Claim.sign_bytes(&self.body.chain_id, &(&self.body.org, node))
    }
}

fn sign_bytes(body: &InvitationBody) -> Vec<u8> {
    Domain::Invitation.sign_bytes(&body.chain_id, body)
}

/// Whether an invitation may be used in the block after `tip`, by what the store holds.
///
/// # Errors
/// [`Error::OtherChain`], [`Error::NotFound`] for an organisation that is none,
/// [`Error::BadSignature`]; when the admin key has signed it, [`Error::Suspended`],
/// [`Error::Refused`] for an admin key that is barred, [`Error::InvitationExpired`],
/// [`Error::InvitationTooFar`]; those of the store.
pub fn standing(store: &dyn Store, tip: &Tip, invitation: &Invitation) -> Result<Standing, Error> {
    let state = &mut State::new(store);
    let org = inviting(state, &tip.chain_id, invitation)?;
    // The signature first: nobody else is told anything about it.
    invitation.verify(&org.admin_key)?;
    check_may_invite(state, &invitation.body.org, &org)?;
    check_window(invitation, next_time(tip))?;
    let used = used_invitations(state, &invitation.body.org)?;
    let use_of_it = used.iter().find(|used| used.claim == invitation.body.claim);
    Ok(use_of_it.map_or(Standing::Open, |used| Standing::Used { by: used.node }))
}

/// Whether `node` may register by an invitation in the block after `tip`, as far as the store tells:
/// all that [`Call::RegisterInvited`](super::Call::RegisterInvited) checks.
///
/// # Errors
/// Those of the call.
pub fn check_invited(
    store: &dyn Store,
    tip: &Tip,
    node: &PublicKey,
    invitation: &Invitation,
    claim: &Signature,
    addresses: &[String],
) -> Result<(), Error> {
    let state = &mut State::new(store);
    admit(state, &tip.chain_id, next_time(tip), node, invitation, claim, addresses)?;
    match &invitation.body.part {
        // Whoever holds the seat two heights after the tip holds it when the next block is executed,
        // whatever stands in that.
        InvitedAs::Replacement { lost } if tip.next_next_table.by_key(lost).is_some() => {
            Err(holds_seat())
        }
        _ => Ok(()),
    }
}

/// The earliest time of the next block.
fn next_time(tip: &Tip) -> Timestamp {
    tip.time.plus(Duration::from_nanos(1))
}

/// The organisation that invites; one that was removed is none, though it may be about to go.
fn inviting(state: &mut State, chain_id: &ChainId, it: &Invitation) -> Result<Org, Error> {
    if it.body.chain_id != *chain_id {
        let (expected, got) = (chain_id.clone(), it.body.chain_id.clone());
        return Err(Error::OtherChain { what: "invitation", expected, got });
    }
    let name = &it.body.org;
    let is_removed = closed::of(state, name)?.is_some_and(|closed| closed.is_removed);
    let found = find_org(state, name)?.filter(|_| !is_removed);
    found.ok_or_else(|| Error::NotFound { what: "organisation", name: name.to_string() })
}

/// Refuses what a member has signed that is suspended, or whose admin key is barred.
fn check_may_invite(state: &mut State, name: &OrgName, org: &Org) -> Result<(), Error> {
    if closed::of(state, name)?.is_some() {
        return Err(Error::Suspended { org: name.clone() });
    }
    let admin = key_entry(state, &org.admin_key)?;
    if admin.is_none_or(|entry| entry.role != KeyRole::Admin) {
        return Err(refused(format!("the admin key of {name} is barred: it invites nobody")));
    }
    Ok(())
}

fn check_window(invitation: &Invitation, time: Timestamp) -> Result<(), Error> {
    let valid_until = invitation.body.valid_until;
    let latest = time.plus(MAX_INVITATION_LIFE);
    if valid_until < time {
        Err(Error::InvitationExpired { valid_until, time })
    } else if valid_until > latest {
        Err(Error::InvitationTooFar { valid_until, latest })
    } else {
        Ok(())
    }
}

/// What a newcomer changes.
struct Admitted {
    /// The organisation with the newcomer among its nodes, and without the one that it replaces.
    org: Org,
    /// Whether it is of the pair.
    pair: bool,
    /// The organisation's used invitations, this one among them.
    used: Vec<UsedInvitation>,
}

/// Checks a registration by an invitation, the signatures at the end since they cost the most.
fn admit(
    state: &mut State,
    chain_id: &ChainId,
    time: Timestamp,
    node: &PublicKey,
    invitation: &Invitation,
    claim: &Signature,
    addresses: &[String],
) -> Result<Admitted, Error> {
    let mut org = inviting(state, chain_id, invitation)?;
    check_may_invite(state, &invitation.body.org, &org)?;
    check_window(invitation, time)?;
    check_addresses(addresses)?;
    check_new_key(state, node)?;
    let InvitationBody { org: name, claim: one_time, part, valid_until, .. } = &invitation.body;
    let mut used = used_invitations(state, name)?;
    if let Some(used) = used.iter().find(|used| used.claim == *one_time) {
        return Err(Error::InvitationUsed { node: used.node });
    }
    used.retain(|used| used.valid_until >= time);
    if used.len() >= MAX_USED_INVITATIONS_PER_ORG {
        let (what, max) = ("used invitations that have not expired", MAX_USED_INVITATIONS_PER_ORG);
        return Err(Error::TooMany { what, max, got: max + 1 });
    }
    used.push(UsedInvitation { claim: *one_time, valid_until: *valid_until, node: *node });
    let pair = match part {
        InvitedAs::Standby => true,
        InvitedAs::Observer => false,
        InvitedAs::Replacement { lost } => {
            org.nodes.remove(lost).ok_or_else(|| not_found("node", lost))?.pair
        }
    };
    let replaced = match part {
        InvitedAs::Replacement { lost } => lost,
        InvitedAs::Standby | InvitedAs::Observer => node,
    };
    check_free(state, addresses, replaced)?;
    check_room(&org, pair)?;
    org.nodes.insert(*node, Node { pair, addresses: addresses.to_vec() });
    invitation.verify(&org.admin_key)?;
    invitation.verify_claim(node, claim)?;
    Ok(Admitted { org, pair, used })
}

/// Executes [`Call::RegisterInvited`](super::Call::RegisterInvited) of `sender`, which has no role
/// yet. Its data is as that of the other calls.
pub(super) fn register(
    ctx: &mut Context,
    sender: &Sender,
    invitation: &Invitation,
    claim: &Signature,
    addresses: &[String],
) -> Result<Vec<u8>, Error> {
    let (chain_id, time, node) = (&ctx.tip.chain_id, ctx.time, sender.key);
    let admitted = admit(&mut ctx.state, chain_id, time, &node, invitation, claim, addresses)?;
    if let InvitedAs::Replacement { lost } = &invitation.body.part {
        check_no_holder(ctx, sender, lost)?;
        delete_key(&mut ctx.state, lost)?;
        ctx.events.push(node_event("node_removed", sender, lost));
    }
    put_org(&mut ctx.state, &sender.org, &admitted.org)?;
    put_key(&mut ctx.state, &node, &sender.org, KeyRole::Node);
    put_used_invitations(&mut ctx.state, &sender.org, &admitted.used);
    ctx.events.push(node_event("node_registered", sender, &node));
    if admitted.pair { pair_changed(ctx, sender, Some(&node)) } else { Ok(Vec::new()) }
}
