//! Organisations, their nodes, pairs, addresses and users.
//!
//! A key has one role in the whole chain: admin key, node or user of one organisation. The key of a
//! node that signed twice is barred, whatever its key is by then and in whichever organisation: it
//! leaves the register as soon as no role table names it, and never enters the chain again.
//!
//! A node is registered with a proof that its key is held by who registers it:
//! [`registration_proof`], the node's signature over its organisation and key. Or it registers itself,
//! with an [`Invitation`] that the admin key has signed.
//!
//! | state key | value |
//! |---|---|
//! | `consortium/orgs` | names of all organisations, in order |
//! | `consortium/org/NAME` | [`Org`] |
//! | `consortium/key/KEY` | [`KeyEntry`] of every key that has or had a role |
//! | `consortium/user/NAME/KEY` | nothing: the organisation's users |
//! | `consortium/invited/NAME` | list of [`UsedInvitation`] of the organisation |

mod address;
mod calls;
mod invitations;
mod queries;
mod state;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::codec;
use crate::keys::{Domain, PublicKey, Signature, Signer};
use crate::limits::MAX_ADDRESSES_PER_NODE;
use crate::types::{ChainId, OrgName, Power};

pub(crate) use address::address_faults;
pub use address::check_addresses;
pub(crate) use calls::execute;
pub use invitations::{
    Invitation, InvitationBody, InvitationNonce, InvitedAs, Standing, UsedInvitation,
    check_invited, standing,
};
pub use queries::{Organization, key, organization, organizations, users};
pub(crate) use state::{
    Barred, ORG, bar, genesis, org, org_names, pair, register, sender, unregister,
};

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
    /// becomes an observer; signed by the admin key.
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
    /// Registers a key that may send transactions; signed by the admin key.
    AddUser {
        /// The key.
        user: PublicKey,
    },
    /// Takes such a key back; signed by the admin key.
    RemoveUser {
        /// The key.
        user: PublicKey,
    },
    /// Registers the sending key, which has no role yet, as the node that an invitation asks for;
    /// signed by that key, which is its proof.
    RegisterInvited {
        /// The invitation.
        invitation: Invitation,
        /// Where it listens for peers.
        #[serde(deserialize_with = "codec::list::<MAX_ADDRESSES_PER_NODE, _, _>")]
        addresses: Vec<String>,
    },
}

/// A node's proof that it is to be a node of an organisation, for [`Call::RegisterNode`].
#[must_use]
pub fn registration_proof(chain_id: &ChainId, org: &OrgName, node: &impl Signer) -> Signature {
    node.sign(&registration_bytes(chain_id, org, &node.public()))
}

fn registration_bytes(chain_id: &ChainId, org: &OrgName, node: &PublicKey) -> Vec<u8> {
    Domain::Registration.sign_bytes(chain_id, &(org, node))
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
    /// A key that may send transactions.
    User,
    /// A node that signed twice; it may do nothing, for ever.
    Barred,
}
