//! Organisations, their nodes, pairs, addresses and users.

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::keys::PublicKey;
use crate::limits::{MAX_ADDRESS_LEN, MAX_ADDRESSES_PER_NODE};
use crate::types::escaped;

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

/// Checks a node's addresses: few, short, `/ip4|ip6|dns4|dns6/HOST/tcp/PORT`.
///
/// # Errors
/// [`Error::TooMany`], [`Error::Name`].
pub fn check_addresses(addresses: &[String]) -> Result<(), Error> {
    if addresses.len() > MAX_ADDRESSES_PER_NODE {
        let got = addresses.len();
        return Err(Error::TooMany { what: "addresses", max: MAX_ADDRESSES_PER_NODE, got });
    }
    match addresses.iter().find(|address| !is_address(address)) {
        Some(address) => Err(Error::Name {
            what: "address",
            rule: "/ip4|ip6|dns4|dns6/HOST/tcp/PORT, at most 256 characters",
            got: escaped(address),
        }),
        None => Ok(()),
    }
}

fn is_address(text: &str) -> bool {
    let parts: Vec<&str> = text.split('/').collect();
    let &["", protocol, host, "tcp", port] = parts.as_slice() else { return false };
    let host_is_good = match protocol {
        "ip4" => host.parse::<std::net::Ipv4Addr>().is_ok(),
        "ip6" => host.parse::<std::net::Ipv6Addr>().is_ok(),
        "dns4" | "dns6" => {
            let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
            !host.is_empty() && host.bytes().all(allowed)
        }
        _ => false,
    };
    // A number that reads "+1" or "0080" is one that others refuse.
    let port_is_good = port.parse::<u16>().is_ok_and(|p| p > 0 && p.to_string() == port);
    text.len() <= MAX_ADDRESS_LEN && host_is_good && port_is_good
}
