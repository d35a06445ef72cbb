//! The task that owns the swarm: it dials, takes connections in, and decides which of them is the
//! link with a peer. No frame passes through it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use libp2p::core::ConnectedPoint;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionDenied, ConnectionId, DialError, ListenError, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm};
use tandem_chain::keys::PublicKey;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tracing::{debug, error, info, warn};

use super::Source;
use super::context::{Context, FromLink};
use super::dial::{Configured, has_name, resolve};
use super::error::End;
use super::gate::Behaviour;
use super::guest::{Reception, VisitEnd};
use super::hall::NoPlace;
use super::handshakes::Crowded;
use super::identity::{Short, key_of, peer_id};
use super::limits::{CLOSE_TIMEOUT, REFUSALS_LOGGED, STRANGERS_LOGGED};
use super::link::{Candidate, Heard, Stop};
use super::peer::{Connection, Peer};
use super::sparse::Sparse;
use super::streams::Streams;

/// Who is registered.
#[derive(Clone, Debug, Default)]
pub(super) struct Registered {
    /// The nodes and where they listen.
    pub(super) nodes: Arc<BTreeMap<PublicKey, Vec<String>>>,
    /// Nodes of the configuration that are registered, or were at some time.
    pub(super) met: BTreeSet<PublicKey>,
    /// These are the nodes at the height where the chain is now.
    pub(super) caught_up: bool,
    /// There is a host for guests.
    pub(super) receives_guests: bool,
}

pub(super) struct Manager {
    pub(super) swarm: Swarm<Behaviour>,
    pub(super) context: Arc<Context>,
    pub(super) from_links: mpsc::UnboundedReceiver<FromLink>,
    pub(super) registered: watch::Receiver<Registered>,
    pub(super) shutdown: Arc<Notify>,
    /// Addresses of the configuration.
    pub(super) configured: Configured,
    pub(super) state: State,
}

/// What changes.
#[derive(Default)]
pub(super) struct State {
    peers: BTreeMap<PublicKey, Peer>,
    /// Tasks of connections with keys that are not registered.
    visits: HashMap<ConnectionId, AbortHandle>,
    /// Lines about strangers.
    strangers: Sparse,
    /// Lines about connections over a limit, by the limit, and about guests, by what is said.
    lines: BTreeMap<&'static str, Sparse>,
}

impl Manager {
    pub(super) async fn run(mut self) {
        self.set_registered();
        loop {
            let due = self.state.peers.values().filter_map(|peer| peer.due).min();
            let wait = due.map(|due| due.saturating_duration_since(Instant::now()));
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_swarm(event),
                message = self.from_links.recv() => {
                    self.on_link(message.expect("this holds a sender in its context"));
                }
                changed = self.registered.changed() => match changed {
                    Ok(()) => self.set_registered(),
                    Err(_) => break,
                },
                () = self.shutdown.notified() => break,
                () = tokio::time::sleep(wait.unwrap_or(Duration::MAX)) => self.dial_due(),
            }
        }
        self.stop().await;
    }

    /// Ends all links and gives their tasks a moment to tell the driver.
    async fn stop(mut self) {
        for peer in self.state.peers.values_mut() {
            peer.allowed = false;
            peer.stop_all(&End::Shutdown);
        }
        for (_, visit) in self.state.visits.drain() {
            visit.abort();
        }
        let ended = async {
            while self.state.peers.values().any(|peer| !peer.is_idle()) {
                let message = self.from_links.recv().await;
                self.on_link(message.expect("this holds a sender in its context"));
            }
        };
        if timeout(CLOSE_TIMEOUT, ended).await.is_err() {
            debug!("links were cut off");
        }
    }

    /// Takes over who is registered: new ones are let in and dialled, removed ones lose their
    /// connections.
    fn set_registered(&mut self) {
        let Registered { nodes, met, caught_up, receives_guests } =
            self.registered.borrow_and_update().clone();
        let ids = |keys: &mut dyn Iterator<Item = &PublicKey>| -> HashMap<PeerId, PublicKey> {
            let others = keys.filter(|key| **key != self.context.key);
            others.filter_map(|key| Some((peer_id(key)?, *key))).collect()
        };
        let others = ids(&mut nodes.keys());
        // Nodes of the configuration that were never registered as far as this node knows may be
        // dialled while it is behind, so that it can learn from one that it has not heard of.
        let is_guide = |key: &&PublicKey| !caught_up && !met.contains(key);
        let guides = ids(&mut self.configured.nodes().filter(is_guide));

        let now = Instant::now();
        for (id, key) in others.iter().chain(&guides) {
            let on_chain = nodes.get(key).map_or(&[][..], Vec::as_slice);
            let peer = self.state.peers.entry(*key).or_insert_with(|| Peer::new(*id));
            if peer.set_addresses(self.configured.addresses_of(key, on_chain), now) {
                // What is under way would only use up time: it is given up. An error means no more
                // than that there is no connection to close.
                let _ = self.swarm.disconnect_peer_id(*id);
            }
        }
        let mut removed = Vec::new();
        for peer in self.state.peers.values_mut() {
            if !others.contains_key(&peer.id) && !guides.contains_key(&peer.id) {
                peer.allowed = false;
                peer.due = None;
                peer.stop_all(&End::Removed);
                removed.push(peer.id);
            }
        }
        let mut nodes_at: HashMap<Source, usize> = HashMap::new();
        for key in others.values() {
            for source in self.configured.sources_of(key, &nodes[key]) {
                *nodes_at.entry(source).or_default() += 1;
            }
        }
        let gate = &mut self.swarm.behaviour_mut().gate;
        // Who was registered just now comes in anew, by the other door.
        let members = gate.hall.connections_of(|peer| others.contains_key(peer));
        gate.set(others, guides);
        gate.handshakes.set_nodes_at(nodes_at);
        // One that is behind would judge by what was.
        gate.hall.open(receives_guests && caught_up);
        for connection in members {
            self.swarm.close_connection(connection);
        }
        for id in removed {
            // An error means that there is no connection to close.
            let _ = self.swarm.disconnect_peer_id(id);
        }
        self.state.peers.retain(|_, peer| !peer.is_gone());
        self.context.allowances.forget(|key| self.state.peers.contains_key(key));
    }

    fn on_swarm(&mut self, event: SwarmEvent<std::convert::Infallible>) {
        match event {
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.on_connection(peer_id, connection_id, &endpoint);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, cause, .. } => {
                if let Some(cause) = cause {
                    debug!(peer = %peer_id, %cause, "connection closed");
                }
                let mut peers = self.state.peers.values();
                if let Some(peer) = peers.find(|peer| peer.id == peer_id) {
                    peer.stop(connection_id, End::Closed);
                }
            }
            SwarmEvent::IncomingConnectionError { error, send_back_addr, peer_id, .. } => {
                self.on_refused(&error, &send_back_addr, peer_id);
            }
            SwarmEvent::OutgoingConnectionError { peer_id: Some(id), error, .. } => {
                let peers = self.state.peers.iter();
                let key = peers.filter(|(_, peer)| peer.id == id).map(|(key, _)| *key).next();
                if let Some(key) = key {
                    self.on_dial_failed(key, &error);
                }
            }
            SwarmEvent::ListenerClosed { reason, addresses, .. } => {
                error!(?addresses, ?reason, "no longer listening for peers");
            }
            SwarmEvent::ListenerError { error, .. } => warn!(%error, "listener"),
            SwarmEvent::NewListenAddr { address, .. } => info!(%address, "listening for peers"),
            _ => {}
        }
    }

    fn on_connection(&mut self, id: PeerId, connection: ConnectionId, endpoint: &ConnectedPoint) {
        let gate = &mut self.swarm.behaviour_mut().gate;
        let streams = gate.take(connection);
        let (is_stranger, key) = (gate.hall.has(connection), gate.key(&id));
        if let Some(streams) = streams {
            match key {
                _ if is_stranger => return self.on_stranger(id, connection, endpoint, streams),
                Some(key) => return self.on_peer(id, key, connection, endpoint, streams),
                None => {}
            }
        }
        // Removed between the gate's yes and this event.
        self.swarm.close_connection(connection);
    }

    fn on_peer(
        &mut self,
        id: PeerId,
        key: PublicKey,
        connection: ConnectionId,
        endpoint: &ConnectedPoint,
        streams: Streams,
    ) {
        let dialled = endpoint.is_dialer();
        let peer = self.state.peers.entry(key).or_insert_with(|| Peer::new(id));
        if dialled {
            peer.dialling = false;
            peer.moved = false;
        }
        peer.due = None;
        let (stop, heard) = (Arc::new(Stop::default()), Arc::new(Heard::new()));
        let (go, chosen) = oneshot::channel();
        let candidate = Candidate {
            context: Arc::clone(&self.context),
            peer: key,
            allowance: self.context.allowances.of(key, &self.context.rates),
            id: connection,
            address: endpoint.get_remote_address().to_string(),
            dialled,
            streams,
            stop: Arc::clone(&stop),
            go: chosen,
            heard: Arc::clone(&heard),
        };
        tokio::spawn(candidate.run());
        peer.add(connection, Connection { stop, go: Some(go), heard, up: false });
        if self.context.key < key {
            peer.choose(connection, Instant::now());
        }
    }

    /// Receives whoever is not registered.
    fn on_stranger(
        &mut self,
        id: PeerId,
        connection: ConnectionId,
        endpoint: &ConnectedPoint,
        streams: Streams,
    ) {
        let address = endpoint.get_remote_address().clone();
        let context = Arc::clone(&self.context);
        let reception = Reception { context, peer: id, id: connection, address, streams };
        let visit = tokio::spawn(reception.run());
        self.state.visits.insert(connection, visit.abort_handle());
    }

    fn on_visit_ended(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        address: &Multiaddr,
        end: &VisitEnd,
    ) {
        self.swarm.close_connection(connection);
        self.state.visits.remove(&connection);
        end.count(&self.context.counters);
        let key = key_of(&peer);
        match end {
            VisitEnd::NoInvitation => self.on_unregistered(key, address),
            VisitEnd::Told { node, reason } => {
                if let Some(times) = self.line("told", STRANGERS_LOGGED) {
                    info!(%address, node = %Short(node), reason, times, "a guest is not received");
                }
            }
            VisitEnd::NoPlace { node, limit } => {
                if let Some(times) = self.line(limit, REFUSALS_LOGGED) {
                    let cause = format!("too many {limit}");
                    info!(%address, node = %Short(node), cause, times, "a guest is not received");
                }
            }
            VisitEnd::Over { node } => {
                if let Some(times) = self.line("left", STRANGERS_LOGGED) {
                    info!(%address, node = %Short(node), times, "a guest has left");
                }
            }
            VisitEnd::Broken { node, reason } => {
                if let Some(times) = self.line("shown out", STRANGERS_LOGGED) {
                    warn!(%address, node = %Short(node), reason, times, "a guest was shown out");
                }
            }
        }
    }

    /// Counts an occasion of a kind of line; how many it stands for, when it is due.
    fn line(&mut self, kind: &'static str, apart: Duration) -> Option<u64> {
        self.state.lines.entry(kind).or_default().count(apart, Instant::now())
    }

    fn on_refused(&mut self, error: &ListenError, address: &Multiaddr, peer: Option<PeerId>) {
        let counters = &self.context.counters;
        let ListenError::Denied { cause } = error else {
            debug!(%address, %error, "handshake failed");
            return;
        };
        if cause.downcast_ref() != Some(&NoPlace::Closed) {
            counters.refused_limit.count();
            if let Some(times) = self.line(limit(cause), REFUSALS_LOGGED) {
                info!(%address, cause = text(cause), times, "connection refused");
            }
            return;
        }
        counters.refused_unregistered.count();
        self.on_unregistered(peer.as_ref().and_then(key_of), address);
    }

    fn on_unregistered(&mut self, key: Option<PublicKey>, address: &Multiaddr) {
        if let Some(times) = self.state.strangers.count(STRANGERS_LOGGED, Instant::now()) {
            // Whole, so that it can be compared with what its owner says, and registered.
            let peer = key.map(|key| key.to_string()).unwrap_or_default();
            warn!(peer, %address, times, "connection refused: its key is not registered");
        }
    }

    fn on_dial_failed(&mut self, key: PublicKey, error: &DialError) {
        self.context.counters.dials_failed.count();
        let Some(peer) = self.state.peers.get_mut(&key) else { return };
        peer.not_reached(Instant::now());
        debug!(peer = %Short(&key), %error, "not reached");
        if let DialError::WrongPeerId { obtained, address } = error {
            let fault = format!("{address} is node {obtained}");
            if peer.is_new_fault(fault) {
                warn!(peer = %Short(&key), %address, %obtained, "another node is at its address");
            }
        }
        self.schedule(key);
    }

    fn on_link(&mut self, message: FromLink) {
        match message {
            FromLink::Invited { id } => self.swarm.behaviour_mut().gate.hall.keep(id),
            FromLink::Ready { peer, id } => {
                if let Some(peer) = self.state.peers.get_mut(&peer) {
                    peer.follow(id);
                }
            }
            FromLink::Up { peer: key, id } => {
                let Some(peer) = self.state.peers.get_mut(&key) else { return };
                peer.up(id);
                let link = self.context.link(&key);
                let address = link.map(|link| link.address.clone()).unwrap_or_default();
                info!(peer = %Short(&key), address, "connected");
            }
            FromLink::Ended { peer, id, end } => self.on_ended(peer, id, &end),
            FromLink::VisitEnded { peer, id, address, end } => {
                self.on_visit_ended(peer, id, &address, &end);
            }
            FromLink::Resolved { peer: key, addresses } => {
                let Some(peer) = self.state.peers.get_mut(&key) else { return };
                let is_of_old = peer.moved;
                peer.not_reached(Instant::now());
                if !is_of_old && peer.wants_dial() {
                    self.dial_at(key, addresses);
                }
            }
        }
    }

    fn on_ended(&mut self, key: PublicKey, id: ConnectionId, end: &End) {
        self.swarm.close_connection(id);
        let Some(peer) = self.state.peers.get_mut(&key) else { return };
        let Some(connection) = peer.ended(id) else { return };
        let reason = end.to_string();
        if end.is_fault() {
            if peer.is_new_fault(reason.clone()) {
                warn!(peer = %Short(&key), reason, "connection closed");
            }
        } else if connection.up {
            info!(peer = %Short(&key), reason, "disconnected");
        } else {
            debug!(peer = %Short(&key), reason, "connection closed");
        }
        if peer.is_gone() {
            self.state.peers.remove(&key);
        } else {
            self.schedule(key);
        }
    }

    /// Sets the time of the next attempt to connect, when one makes sense and none is set.
    fn schedule(&mut self, key: PublicKey) {
        let Some(peer) = self.state.peers.get_mut(&key) else { return };
        if peer.wants_dial() && peer.due.is_none() {
            peer.due = Some(Instant::now() + peer.back_off.next());
        }
    }

    fn dial_due(&mut self) {
        let now = Instant::now();
        let is_due = |peer: &Peer| peer.due.is_some_and(|due| due <= now);
        let peers = self.state.peers.iter_mut().filter(|(_, peer)| is_due(peer));
        let mut dials = Vec::new();
        for (key, peer) in peers {
            peer.due = None;
            if peer.wants_dial() {
                dials.push((*key, peer.addresses.clone()));
            }
        }
        for (key, addresses) in dials {
            if addresses.iter().any(has_name) {
                self.resolve(key, addresses);
            } else {
                self.dial_at(key, addresses);
            }
        }
    }

    /// Resolves names in a task of their own: a resolver may take its time.
    fn resolve(&mut self, key: PublicKey, addresses: Vec<Multiaddr>) {
        let Some(peer) = self.state.peers.get_mut(&key) else { return };
        peer.dialling = true;
        let manager = self.context.manager.clone();
        tokio::spawn(async move {
            let addresses = resolve(addresses).await;
            let _ = manager.send(FromLink::Resolved { peer: key, addresses });
        });
    }

    fn dial_at(&mut self, key: PublicKey, addresses: Vec<Multiaddr>) {
        let Some(peer) = self.state.peers.get_mut(&key) else { return };
        peer.dialling = true;
        // From a port of its own: from the port that this node listens on, a second connection to
        // one address could not be made while remains of the first are there.
        let options = DialOpts::peer_id(peer.id)
            .addresses(addresses)
            .condition(PeerCondition::Always)
            .allocate_new_port()
            .build();
        if let Err(error) = self.swarm.dial(options) {
            self.on_dial_failed(key, &error);
        }
    }
}

/// Which limit a connection was refused for.
fn limit(cause: &ConnectionDenied) -> &'static str {
    if cause.downcast_ref() == Some(&NoPlace::Full) {
        return "strangers";
    }
    match cause.downcast_ref() {
        Some(Crowded::InAll) => "handshakes",
        Some(Crowded::OneSource(_)) => "handshakes with one source",
        None => "connections with one node",
    }
}

/// Why the swarm refused a connection, for the log.
fn text(cause: &ConnectionDenied) -> String {
    let source = std::error::Error::source(cause);
    source.map_or_else(|| cause.to_string(), ToString::to_string)
}
