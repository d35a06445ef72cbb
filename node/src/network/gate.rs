//! Who is let in: libp2p asks here at each step of a connection.
//!
//! A stranger costs a place among the handshakes, of which there are few (see `handshakes`), and the
//! handshake itself. When Noise has shown which key the other side has, a key that is not registered is
//! refused, before it can open a stream; or, where guests are received, is let into the hall (`hall`),
//! in which it can open one stream to show an invitation on (`guest`), and no other.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::task::{Context, Poll};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::behaviour::{
    ConnectionClosed, ConnectionEstablished, DialFailure, ListenFailure,
};
use libp2p::swarm::{
    CloseConnection, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandlerInEvent,
    THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId, connection_limits};
use tandem_chain::keys::PublicKey;

use super::hall::{GivesWay, Hall};
use super::handshakes::Handshakes;
use super::limits::{MAX_CONNECTIONS_PER_PEER, MAX_STREAMS_OF_STRANGER, MAX_STREAMS_WAITING};
use super::streams::{Handler, OF_GUESTS, OF_MEMBERS, Streams};

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
            .with_max_established_per_peer(Some(MAX_CONNECTIONS_PER_PEER));
        Self { limits: connection_limits::Behaviour::new(limits), gate: Gate::default() }
    }
}

/// The key that the other side has shown is not registered.
#[derive(Debug)]
struct NotRegistered;

impl fmt::Display for NotRegistered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("its key is not registered")
    }
}

impl std::error::Error for NotRegistered {}

/// Lets registered keys in.
#[derive(Default)]
pub(super) struct Gate {
    /// Who may connect to this node, and whom it may connect to.
    registered: HashMap<PeerId, PublicKey>,
    /// Whom it may connect to besides: nodes that it was told of and has not heard of on the chain.
    guides: HashMap<PeerId, PublicKey>,
    pub(super) handshakes: Handshakes,
    /// Where those are who are not registered.
    pub(super) hall: Hall,
    /// Connections of strangers that have given way to others.
    to_close: Vec<GivesWay>,
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

    fn let_in(&mut self, connection: ConnectionId, is_member: bool) -> Handler {
        let (handler, streams) = if is_member {
            Handler::new(OF_MEMBERS, MAX_STREAMS_WAITING)
        } else {
            Handler::new(OF_GUESTS, MAX_STREAMS_OF_STRANGER)
        };
        self.arrived.insert(connection, streams);
        handler
    }
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
        self.handshakes.begin(connection, remote).map_err(ConnectionDenied::new)
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<Handler, ConnectionDenied> {
        if self.registered.contains_key(&peer) {
            Ok(self.let_in(connection, true))
        } else {
            let gives_way = self.hall.enter(connection, peer, remote);
            self.to_close.extend(gives_way.map_err(ConnectionDenied::new)?);
            Ok(self.let_in(connection, false))
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
            Ok(self.let_in(connection, true))
        } else {
            Err(ConnectionDenied::new(NotRegistered))
        }
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished { connection_id, .. }) => {
                self.handshakes.end(connection_id);
            }
            FromSwarm::ListenFailure(ListenFailure { connection_id, .. })
            | FromSwarm::DialFailure(DialFailure { connection_id, .. }) => {
                self.handshakes.end(connection_id);
                self.arrived.remove(&connection_id);
                self.hall.leave(connection_id);
            }
            FromSwarm::ConnectionClosed(ConnectionClosed { connection_id, .. }) => {
                self.arrived.remove(&connection_id);
                self.hall.leave(connection_id);
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
        // The swarm asks whenever it has asked whether to let someone in.
        match self.to_close.pop() {
            Some((peer_id, id)) => {
                let connection = CloseConnection::One(id);
                Poll::Ready(ToSwarm::CloseConnection { peer_id, connection })
            }
            None => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Source;
    use crate::network::handshakes::Crowded;

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
    fn strangers_do_not_keep_out_a_node_that_is_known_by_its_address() {
        let mut behaviour = Behaviour::new();
        let local = Multiaddr::empty();
        let member: Multiaddr = "/ip4/192.0.2.1/tcp/1000".parse().unwrap();
        let source = Source::of(&member).unwrap();
        behaviour.gate.handshakes.set_nodes_at([(source, 1)].into());
        let mut last = 0;
        let mut ask = |behaviour: &mut Behaviour, from: &Multiaddr| {
            last += 1;
            let id = ConnectionId::new_unchecked(last);
            behaviour.handle_pending_inbound_connection(id, &local, from).map(|()| id)
        };
        let mut let_in = Vec::new();
        let denied = (0..=u8::MAX).find_map(|host| {
            let stranger = format!("/ip4/198.51.100.{host}/tcp/1").parse().unwrap();
            ask(&mut behaviour, &stranger).map(|id| let_in.push(id)).err()
        });
        let denied = denied.expect("the places are fewer than the strangers");
        assert_eq!(denied.downcast_ref::<Crowded>(), Some(&Crowded::InAll));
        assert!(ask(&mut behaviour, &member).is_ok());

        // A handshake that failed gives its place back.
        let stranger: Multiaddr = "/ip4/203.0.113.1/tcp/1".parse().unwrap();
        assert!(ask(&mut behaviour, &stranger).is_err());
        behaviour.on_swarm_event(FromSwarm::ListenFailure(ListenFailure {
            local_addr: &local,
            send_back_addr: &stranger,
            error: &libp2p::swarm::ListenError::Aborted,
            connection_id: let_in[0],
            peer_id: None,
        }));
        assert!(ask(&mut behaviour, &stranger).is_ok());
    }
}
