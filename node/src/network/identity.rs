//! Node keys as libp2p identities: peer id and vote key are one.

use std::fmt;

use libp2p::PeerId;
use libp2p::identity::{self, Keypair};
use tandem_chain::keys::{PublicKey, SecretKey};

use super::error::Error;

/// The peer id of a node's key; none when the bytes are no point of the curve, so that nobody can
/// prove to have that key.
#[must_use]
pub fn peer_id(key: &PublicKey) -> Option<PeerId> {
    let key = identity::ed25519::PublicKey::try_from_bytes(key.as_bytes()).ok()?;
    Some(identity::PublicKey::from(key).to_peer_id())
}

/// The key in a peer id: an ed25519 key's id holds the whole key. None for ids of other keys.
pub(super) fn key_of(peer: &PeerId) -> Option<PublicKey> {
    let digest = peer.to_bytes().split_off(2);
    let key = identity::PublicKey::try_decode_protobuf(&digest).ok()?.try_into_ed25519().ok()?;
    Some(PublicKey(key.to_bytes()))
}

/// The libp2p key pair of a node key.
pub(super) fn keypair(secret: &SecretKey) -> Result<Keypair, Error> {
    Keypair::ed25519_from_bytes(secret.seed())
        .map_err(|source| Error::Key { reason: source.to_string() })
}

/// The first digits of a key: enough for people to tell nodes apart in a log.
pub(super) struct Short<'a>(pub(super) &'a PublicKey);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_bytes()[..4].iter().try_for_each(|byte| write!(f, "{byte:02X}"))
    }
}
