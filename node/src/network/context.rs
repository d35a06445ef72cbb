//! What the tasks of the network share.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockWriteGuard};

use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};
use tandem_chain::keys::PublicKey;
use tokio::sync::{Semaphore, mpsc, watch};

use super::allowance::Allowances;
use super::counters::Counters;
use super::error::End;
use super::events::EventSender;
use super::guest::{Host, VisitEnd};
use super::hello::Hello;
use super::link::Link;
use super::manager::Registered;
use super::rate::Rates;

/// Shared by the handle, the manager and the tasks of links.
pub(super) struct Context {
    /// This node's key.
    pub(super) key: PublicKey,
    pub(super) hello: Hello,
    pub(super) hello_bytes: Vec<u8>,
    pub(super) rates: Rates,
    pub(super) allowances: Allowances,
    pub(super) registered: watch::Receiver<Registered>,
    pub(super) counters: Arc<Counters>,
    pub(super) links: RwLock<BTreeMap<PublicKey, Arc<Link>>>,
    pub(super) events: EventSender,
    /// To the manager. At most a few messages per connection, so that it needs no bound.
    pub(super) manager: mpsc::UnboundedSender<FromLink>,
    /// One permit per request of any peer that is being served.
    pub(super) serving: Arc<Semaphore>,
    /// Who receives guests; nobody does before it is set.
    pub(super) host: OnceLock<Arc<dyn Host>>,
    /// One permit per guest.
    pub(super) guests: Arc<Semaphore>,
}

impl Context {
    /// The link with a peer.
    pub(super) fn link(&self, peer: &PublicKey) -> Option<Arc<Link>> {
        self.links.read().unwrap_or_else(PoisonError::into_inner).get(peer).cloned()
    }

    /// Whether this node knows the key from the chain, at its own height.
    pub(super) fn is_registered(&self, peer: &PublicKey) -> bool {
        self.registered.borrow().nodes.contains_key(peer)
    }

    /// All links, to change them.
    pub(super) fn links(&self) -> RwLockWriteGuard<'_, BTreeMap<PublicKey, Arc<Link>>> {
        self.links.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the manager hears.
#[derive(Debug)]
pub(super) enum FromLink {
    /// A visit has ended, on a connection with a key that is not registered.
    VisitEnded { peer: PeerId, id: ConnectionId, address: Multiaddr, end: VisitEnd },
    /// The other side wants this connection to be the link.
    Ready { peer: PublicKey, id: ConnectionId },
    /// The link is there.
    Up { peer: PublicKey, id: ConnectionId },
    /// The connection's task has ended.
    Ended { peer: PublicKey, id: ConnectionId, end: End },
    /// The addresses to dial a peer at, names resolved.
    Resolved { peer: PublicKey, addresses: Vec<Multiaddr> },
}
