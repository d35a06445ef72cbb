//! Organisations, their nodes, pairs, addresses and users.
//!
//! A key has one role in the whole chain: admin key, node or user of one organisation. The key of a
//! node that signed twice is barred, whatever its key is by then and in whichever organisation: it
//! leaves the register as soon as no role table names it, and never enters the chain again.
//!
//! A node or user is registered with a proof that its key is held by who registers it:
//! [`registration_proof`], the key's signature over its organisation and itself. An admin key that an
//! organisation sets itself comes with the same proof. Or a node registers itself, by an [`Invitation`] that
//! the admin key has signed (`invitations`).
//!
//! Members come and go, and the rules change, by *motions* (`motions`): each proposes a [`Change`]
//! (`change`), is tried on paper (`weigh`), and is carried out when as many members as the
//! [`Policy`] (`policy`) asks for have voted for it. What becomes of who is suspended or removed
//! is in `closed`.
//!
//! | state key | value |
//! |---|---|
//! | `consortium/orgs` | names of all organisations, in order |
//! | `consortium/org/NAME` | [`Org`] |
//! | `consortium/key/KEY` | [`KeyEntry`] of every key that has or had a role |
//! | `consortium/user/NAME/KEY` | [`User`]: the organisation's users |
//! | `consortium/address/ADDRESS` | key of the node whose address it is: each leads to one |
//! | `consortium/invited/NAME` | list of [`UsedInvitation`] of the organisation |
//! | `consortium/closed` | name -> [`Closed`] of those that are suspended, or removed and about to go |
//!
//! and those of `motions`.

mod address;
mod calls;
mod change;
mod closed;
mod invitations;
mod motions;
mod policy;
mod queries;
mod state;
#[cfg(test)]
mod tests;
mod users;
mod weigh;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::codec;
use crate::keys::{Domain, PublicKey, Signature, Signer};
use crate::limits::MAX_ADDRESSES_PER_NODE;
use crate::types::{ChainId, Height, OrgName, Power, Timestamp};

pub(crate) use address::address_faults;
pub use address::check_addresses;
pub(crate) use calls::execute;
pub use change::Change;
pub use closed::Closed;
pub use invitations::{
    Invitation, InvitationBody, InvitedAs, Standing, UsedInvitation, check_invited, standing,
};
pub use motions::{Decision, Docket, Motion, Opened, Outcome, Tally};
pub use policy::{Policy, Threshold};
pub use queries::{
    MotionStatus, MotionView, Organization, key, motion, motions, organization, organizations,
    policy, try_change, user, users,
};
pub(crate) use state::{
    Barred, bar, find_user, genesis, may_have_changed_register, member_since, org, pair, register,
    sender, sender_of, unregister,
};
pub use users::{User, UserRole};
pub use weigh::{Numbers, Weighed};

/// A call of this module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Call {
    /// Registers a node of the sender's organisation; signed by its admin key.
    RegisterNode {
        /// Key of the node.
        node: PublicKey,
        /// Proof that the node's key is held by who registers it: [`registration_proof`].
        proof: Signature,
        /// Whether it takes the free place in the pair; else it is an observer.
        pair: bool,
        /// Where it listens for peers.
        #[serde(deserialize_with = "codec::list::<MAX_ADDRESSES_PER_NODE, _, _>")]
        addresses: Vec<String>,
    },
    /// Takes a node that holds no seat out of the register; signed by the admin key.
    RemoveNode {
        /// Key of the node.
        node: PublicKey,
    },
    /// Makes an observer the partner in the pair, in the place of the present partner, which
    /// becomes an observer; signed by the admin key or an operator of the organisation.
    SetPartner {
        /// Key of the observer.
        node: PublicKey,
    },
    /// Replaces the addresses of the sending node; signed by that node's key.
    SetAddresses {
        /// Where it listens for peers.
        #[serde(deserialize_with = "codec::list::<MAX_ADDRESSES_PER_NODE, _, _>")]
        addresses: Vec<String>,
    },
    /// Registers a user of the sender's organisation; signed by its admin key, or by an admin of it
    /// for one that is to write, read or audit.
    AddUser {
        /// Its key.
        user: PublicKey,
        /// What it is to be.
        role: UserRole,
        /// Proof that it is held by who registers it: [`registration_proof`]. Without one, an
        /// organisation could take the key that others are about to give a role.
        proof: Signature,
    },
    /// Takes a user back, and with it all rights that were granted to its key; signed as to register
    /// it.
    RemoveUser {
        /// Its key.
        user: PublicKey,
    },
    /// Makes a motion, which is a vote for it; signed by the admin key of any member. An
    /// organisation has up to [`crate::limits::MAX_OPEN_MOTIONS_PER_ORG`] that are open.
    Propose {
        /// What is proposed.
        change: Change,
        /// Whether to carry it out though fewer seats than a quorum would be online after it: that
        /// takes the policy's highest threshold.
        force: bool,
        /// The last block time at which it can be voted on: [`crate::limits::MIN_MOTION_LIFE`] to
        /// [`crate::limits::MAX_MOTION_LIFE`] after this block's.
        expires: Timestamp,
    },
    /// A vote for a motion; signed by the admin key of a member that has not voted for it.
    Vote {
        /// Its number.
        motion: u64,
    },
    /// Replaces the sender's own admin key; signed by the old one.
    SetAdminKey {
        /// The new key.
        key: PublicKey,
        /// Proof that it is held by who sets it: [`registration_proof`], made with the new key.
        proof: Signature,
    },
    /// Registers the sending key, which has no role yet, as the node that an invitation asks for;
    /// signed by that key, which is its proof.
    RegisterInvited {
        /// The invitation.
        invitation: Invitation,
        /// Its one-time key's signature for the sender: [`Invitation::claim`].
        claim: Signature,
        /// Where it listens for peers.
        #[serde(deserialize_with = "codec::list::<MAX_ADDRESSES_PER_NODE, _, _>")]
        addresses: Vec<String>,
    },
    /// Gives a user another role; signed by who may register it with the old and with the new one.
    /// What was granted to its key stays.
    SetRole {
        /// Its key.
        user: PublicKey,
        /// What it is to be.
        role: UserRole,
    },
}

/// A key's proof that it is to be of an organisation, for [`Call::RegisterNode`], [`Call::AddUser`] and
/// [`Call::SetAdminKey`].
#[must_use]
pub fn registration_proof(chain_id: &ChainId, org: &OrgName, key: &impl Signer) -> Signature {
    key.sign(&registration_bytes(chain_id, org, &key.public()))
}

fn registration_bytes(chain_id: &ChainId, org: &OrgName, key: &PublicKey) -> Vec<u8> {
    Domain::Registration.sign_bytes(chain_id, &(org, key))
}

/// An organisation in the state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Org {
    /// The key that it keeps off its nodes.
    pub admin_key: PublicKey,
    /// Voting power of its seat.
    pub power: Power,
    /// Its registered nodes.
    pub nodes: BTreeMap<PublicKey, Node>,
    /// Number of its users.
    pub users: u64,
    /// The block that made it a member; 0 for one of genesis.
    pub since: Height,
}

/// A registered node in the state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Whether it is of the pair; else it is an observer, or barred and about to leave.
    pub pair: bool,
    /// Where it listens for peers.
    pub addresses: Vec<String>,
}

/// What a key is in the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyEntry {
    /// The organisation that it is of.
    pub org: OrgName,
    /// What it is there.
    pub role: KeyRole,
}

/// The role of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyRole {
    /// The organisation's admin key.
    Admin,
    /// A registered node.
    Node,
    /// A user, whose role for its organisation is in [`User`].
    User,
    /// A node that signed twice; it may do nothing, for ever.
    Barred,
}
