//! Who is let in: libp2p asks here at each step of a connection.
//!
//! A stranger costs a place among the handshakes, of which there are few, and the handshake
//! itself. When Noise has shown which key the other side has, a key that is not registered is
//! refused, before it can open a stream.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::net::IpAddr;
use std::task::{Context, Poll};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::behaviour::{ConnectionEstablished, DialFailure, ListenFailure};
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandlerInEvent, THandlerOutEvent,
    ToSwarm,
};
use libp2p::{Multiaddr, PeerId, connection_limits};
use tandem_chain::keys::PublicKey;

use super::limits::{MAX_CONNECTIONS_PER_PEER, MAX_HANDSHAKES, MAX_HANDSHAKES_PER_ADDRESS};
use super::streams::{Handler, Streams};

/// The swarm's behaviour: limits come first, so that what the gate lets in stays.
#[derive(NetworkBehaviour)]
#[behaviour(to_swarm = "Infallible")]
pub(super) struct Behaviour {
    limits: connection_limits::Behaviour,
    pub(super) gate: Gate,
}

impl Behaviour {
    pub(super) fn new() -> Self {
        let limits = connection_limits::ConnectionLimits::default()
            .with_max_pending_incoming(Some(MAX_HANDSHAKES))
            .with_max_established_per_peer(Some(MAX_CONNECTIONS_PER_PEER));
        Self { limits: connection_limits::Behaviour::new(limits), gate: Gate::default() }
    }
}

/// The key that the other side has shown is not registered.
#[derive(Debug)]
pub(super) struct NotRegistered;

impl fmt::Display for NotRegistered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("its key is not registered")
    }
}

impl std::error::Error for NotRegistered {}

/// Too many handshakes from one IP address.
#[derive(Debug)]
struct Crowded(IpAddr);

impl fmt::Display for Crowded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "more than {MAX_HANDSHAKES_PER_ADDRESS} handshakes from {}", self.0)
    }
}

impl std::error::Error for Crowded {}

/// Lets registered keys in.
#[derive(Default)]
pub(super) struct Gate {
    /// Who may connect to this node, and whom it may connect to.
    registered: HashMap<PeerId, PublicKey>,
    /// Whom it may connect to besides: nodes that it was told of and has not heard of on the chain.
    guides: HashMap<PeerId, PublicKey>,
    handshakes: HashMap<ConnectionId, IpAddr>,
    handshakes_of: HashMap<IpAddr, usize>,
    /// Connections that were let in, until they are taken by [`Gate::take`].
    arrived: HashMap<ConnectionId, Streams>,
}

impl Gate {
    /// Replaces both lists. Connections that are open stay: closing them is the caller's.
    pub(super) fn set(
        &mut self,
        registered: HashMap<PeerId, PublicKey>,
        guides: HashMap<PeerId, PublicKey>,
    ) {
        self.registered = registered;
        self.guides = guides;
    }

    /// The key of a peer that may be connected.
    pub(super) fn key(&self, peer: &PeerId) -> Option<PublicKey> {
        self.registered.get(peer).or_else(|| self.guides.get(peer)).copied()
    }

    /// The streams of a connection that was just made.
    pub(super) fn take(&mut self, connection: ConnectionId) -> Option<Streams> {
        self.arrived.remove(&connection)
    }

    fn let_in(&mut self, connection: ConnectionId) -> Handler {
        let (handler, streams) = Handler::new();
        self.arrived.insert(connection, streams);
        handler
    }

    fn handshake_over(&mut self, connection: ConnectionId) {
        let Some(address) = self.handshakes.remove(&connection) else { return };
        let count = self.handshakes_of.get_mut(&address).expect("both maps hold the same");
        *count -= 1;
        if *count == 0 {
            self.handshakes_of.remove(&address);
        }
    }
}

fn ip(address: &Multiaddr) -> Option<IpAddr> {
    address.iter().find_map(|part| match part {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(ip.to_canonical()),
        _ => None,
    })
}

impl NetworkBehaviour for Gate {
    type ConnectionHandler = Handler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        let Some(address) = ip(remote) else { return Ok(()) };
        let count = self.handshakes_of.entry(address).or_default();
        if *count >= MAX_HANDSHAKES_PER_ADDRESS {
            return Err(ConnectionDenied::new(Crowded(address)));
        }
        *count += 1;
        self.handshakes.insert(connection, address);
        Ok(())
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<Handler, ConnectionDenied> {
        if self.registered.contains_key(&peer) {
            Ok(self.let_in(connection))
        } else {
            Err(ConnectionDenied::new(NotRegistered))
        }
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<Handler, ConnectionDenied> {
        // Asked again, since it may have been removed while it was dialled.
        if self.key(&peer).is_some() {
            Ok(self.let_in(connection))
        } else {
            Err(ConnectionDenied::new(NotRegistered))
        }
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished { connection_id, .. }) => {
                self.handshake_over(connection_id);
            }
            FromSwarm::ListenFailure(ListenFailure { connection_id, .. })
            | FromSwarm::DialFailure(DialFailure { connection_id, .. }) => {
                self.handshake_over(connection_id);
                self.arrived.remove(&connection_id);
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> (PeerId, PublicKey) {
        let key = tandem_chain::keys::SecretKey::from_seed(&[seed; 32]).public();
        (crate::network::identity::peer_id(&key).unwrap(), key)
    }

    fn inbound(gate: &mut Gate, peer: PeerId) -> bool {
        let address = Multiaddr::empty();
        let id = ConnectionId::new_unchecked(1);
        gate.handle_established_inbound_connection(id, peer, &address, &address).is_ok()
    }

    fn outbound(gate: &mut Gate, peer: PeerId) -> bool {
        let (role, port) = (Endpoint::Dialer, PortUse::New);
        let address = Multiaddr::empty();
        let id = ConnectionId::new_unchecked(1);
        gate.handle_established_outbound_connection(id, peer, &address, role, port).is_ok()
    }

    #[test]
    fn registered_keys_come_in_and_guides_are_only_dialled() {
        let (member, guide, stranger) = (key(1), key(2), key(3));
        let mut gate = Gate::default();
        gate.set([member].into(), [guide].into());
        assert!(inbound(&mut gate, member.0));
        assert!(outbound(&mut gate, member.0));
        assert!(!inbound(&mut gate, guide.0));
        assert!(outbound(&mut gate, guide.0));
        assert!(!inbound(&mut gate, stranger.0));
        assert!(!outbound(&mut gate, stranger.0));
        assert_eq!(gate.key(&guide.0), Some(guide.1));
        assert_eq!(gate.key(&stranger.0), None);
    }

    #[test]
    fn handshakes_from_one_address_are_few_and_their_places_come_free() {
        let mut gate = Gate::default();
        let local = Multiaddr::empty();
        let crowd: Multiaddr = "/ip4/192.0.2.1/tcp/1000".parse().unwrap();
        let same: Multiaddr = "/ip6/::ffff:192.0.2.1/tcp/1001".parse().unwrap();
        let other: Multiaddr = "/ip4/192.0.2.2/tcp/1000".parse().unwrap();
        let ask = |gate: &mut Gate, id, from| {
            let id = ConnectionId::new_unchecked(id);
            gate.handle_pending_inbound_connection(id, &local, from).is_ok()
        };
        for id in 0..MAX_HANDSHAKES_PER_ADDRESS {
            assert!(ask(&mut gate, id, &crowd));
        }
        assert!(!ask(&mut gate, 1000, &crowd));
        assert!(!ask(&mut gate, 1001, &same));
        assert!(ask(&mut gate, 1002, &other));
        gate.handshake_over(ConnectionId::new_unchecked(0));
        gate.handshake_over(ConnectionId::new_unchecked(0));
        assert!(ask(&mut gate, 1003, &crowd));
        assert!(!ask(&mut gate, 1004, &crowd));
        for id in (1..MAX_HANDSHAKES_PER_ADDRESS).chain([1002, 1003]) {
            gate.handshake_over(ConnectionId::new_unchecked(id));
        }
        assert!(gate.handshakes.is_empty() && gate.handshakes_of.is_empty());
    }
}
