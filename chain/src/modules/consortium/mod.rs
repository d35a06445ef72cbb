//! Organisations, their nodes, pairs, addresses and users.

use serde::{Deserialize, Serialize};

use crate::keys::PublicKey;

/// A call of this module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Call {
    /// Registers a node of the sender's organisation; signed by its admin key.
    RegisterNode {
        /// Key of the node.
        node: PublicKey,
        /// Proof that the node's key is held by who registers it: see [`Call`]'s module docs.
        proof: crate::keys::Signature,
        /// Whether it takes the free place in the pair; else it is an observer.
        pair: bool,
        /// Where it listens for peers.
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
}
