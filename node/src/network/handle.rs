//! The network as the rest of the node holds it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use futures::StreamExt as _;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, Swarm, SwarmBuilder, noise, tcp};
use tandem_chain::codec;
use tandem_chain::keys::{PublicKey, SecretKey};
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::allowance::Allowances;
use super::context::Context;
use super::counters::Counters;
use super::dial::Configured;
use super::error::{End, Error};
use super::events::Events;
use super::gate::Behaviour;
use super::guest::Host;
use super::guests::Guests;
use super::hello::{Hello, PROTOCOL_VERSION};
use super::identity::keypair;
use super::limits::{
    HANDSHAKE_TIMEOUT, MAX_REQUEST_BYTES, MAX_REQUESTS_SERVED, MAX_STREAMS_NEGOTIATED,
};
use super::manager::{Manager, Registered, State};
use super::muxer::Upgrade;
use super::requests::ask;
use super::{Channel, NetworkConfig, PeerInfo};

/// The network. Cheap to clone: all clones are one. It ends with [`Network::shutdown`], or when
/// the last clone is dropped.
#[derive(Clone)]
pub struct Network(Arc<Inner>);

struct Inner {
    context: Arc<Context>,
    registered: watch::Sender<Registered>,
    shutdown: Arc<Notify>,
    manager: Mutex<Option<JoinHandle<()>>>,
    listening: Multiaddr,
    /// Nodes that have an address in the configuration.
    configured: BTreeSet<PublicKey>,
}

impl Network {
    /// Starts to listen. Nobody is let in until [`Network::set_peers`]; nodes of `dial` are dialled
    /// at once. To be called in a tokio runtime.
    ///
    /// # Errors
    /// [`Error::Key`], [`Error::Listen`].
    pub async fn start(config: NetworkConfig) -> Result<(Self, Events), Error> {
        let listen = listen_address(&config.listen)?;
        let mut swarm = swarm(&config.secret)?;
        let listening = start_listening(&mut swarm, &listen).await?;
        tracing::info!(address = %listening, "listening for peers");
        let hello = Hello {
            protocol: PROTOCOL_VERSION,
            chain_id: config.chain_id,
            genesis: config.genesis,
        };
        let (event_sender, events) = Events::new();
        let (to_manager, from_links) = mpsc::unbounded_channel();
        let (registered, registered_end) = watch::channel(Registered::default());
        let context = Arc::new(Context {
            key: config.secret.public(),
            hello_bytes: codec::encode(&hello),
            hello,
            rates: config.rates,
            allowances: Allowances::default(),
            registered: registered_end.clone(),
            counters: Arc::new(Counters::default()),
            links: RwLock::default(),
            events: event_sender,
            manager: to_manager,
            serving: Arc::new(Semaphore::new(MAX_REQUESTS_SERVED)),
            host: Mutex::default(),
            guests: Guests::default(),
        });
        let shutdown = Arc::new(Notify::new());
        let configured = Configured { dial: config.dial, bootstrap: config.bootstrap };
        let known = configured.nodes().copied().collect();
        let manager = Manager {
            swarm,
            context: Arc::clone(&context),
            from_links,
            registered: registered_end,
            shutdown: Arc::clone(&shutdown),
            configured,
            state: State::default(),
        };
        let manager = Mutex::new(Some(tokio::spawn(manager.run())));
        let inner = Inner { context, registered, shutdown, manager, listening, configured: known };
        Ok((Self(Arc::new(inner)), events))
    }

    /// Where it listens, with the port that it really has.
    #[must_use]
    pub fn listening(&self) -> &Multiaddr {
        &self.0.listening
    }

    /// Sets who is registered and where they listen. Only these are let in; all are dialled; those
    /// that are no longer there lose their connections at once. This node's own key in it has no
    /// effect.
    pub fn set_peers(&self, peers: BTreeMap<PublicKey, Vec<String>>) {
        self.0.registered.send_if_modified(|registered| {
            let changed = *registered.nodes != peers;
            if changed {
                let configured = self.0.configured.iter();
                registered.met.extend(configured.filter(|key| peers.contains_key(key)));
                registered.nodes = Arc::new(peers);
            }
            changed
        });
    }

    /// Says whether this node has caught up with the chain, so that it knows who is registered now.
    /// While it has not, as at the start, it is also linked with nodes of `dial` that it has not
    /// heard of on the chain, to learn from them. Once it has, they lose their connections.
    pub fn set_caught_up(&self, caught_up: bool) {
        self.0.registered.send_if_modified(|registered| {
            std::mem::replace(&mut registered.caught_up, caught_up) != caught_up
        });
    }

    /// Says who receives guests: from now on, while this node has caught up, whoever is not registered
    /// may show an invitation. The first host stays.
    pub fn receive_guests(&self, host: Arc<dyn Host>) {
        self.0.context.host().get_or_insert(host);
        self.0.registered.send_modify(|registered| registered.receives_guests = true);
    }

    /// Sends a frame to a peer, without waiting. A frame to a peer that is not connected is
    /// dropped. When the peer's queue is full, a frame of transactions is dropped, and one of
    /// consensus ends the link: the driver will see it lost and made again.
    ///
    /// # Panics
    /// When the frame is empty or over [`Channel::max_frame`]: that is for the caller to see to.
    pub fn send(&self, to: &PublicKey, channel: Channel, bytes: Arc<[u8]>) {
        check_frame(channel, &bytes);
        let Some(link) = self.0.context.link(to) else {
            self.0.context.counters.unconnected_dropped.count();
            return;
        };
        let queue = match channel {
            Channel::Consensus => &link.consensus,
            Channel::Transactions => &link.transactions,
        };
        if queue.push(bytes).is_err() {
            match channel {
                Channel::Consensus => link.stop.set(End::Overflow(channel)),
                Channel::Transactions => self.0.context.counters.transactions_dropped.count(),
            }
        }
    }

    /// Sends a frame to every connected peer; see [`Network::send`].
    ///
    /// # Panics
    /// As [`Network::send`].
    pub fn broadcast(&self, channel: Channel, bytes: &Arc<[u8]>) {
        for peer in self.connected() {
            self.send(&peer, channel, Arc::clone(bytes));
        }
    }

    /// The peers that are connected, in the order of their keys.
    #[must_use]
    pub fn connected(&self) -> Vec<PublicKey> {
        let links = self.0.context.links.read().unwrap_or_else(PoisonError::into_inner);
        links.keys().copied().collect()
    }

    /// Asks a peer and waits for its answer, at most for `limit`. A few requests to one peer run
    /// at a time, further ones wait; a slow peer holds up only its own.
    ///
    /// # Errors
    /// [`Error::NotConnected`], [`Error::TimedOut`], [`Error::Refused`], [`Error::AnswerTooLong`].
    ///
    /// # Panics
    /// When the request is over [`MAX_REQUEST_BYTES`].
    pub async fn request(
        &self,
        to: &PublicKey,
        bytes: &[u8],
        limit: Duration,
    ) -> Result<Vec<u8>, Error> {
        assert!(bytes.len() <= MAX_REQUEST_BYTES, "requests are made within the limit");
        ask(&self.0.context, *to, bytes, limit).await
    }

    /// The connected peers, in the order of their keys.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerInfo> {
        let links = self.0.context.links.read().unwrap_or_else(PoisonError::into_inner);
        let info = |(key, link): (&PublicKey, &Arc<super::link::Link>)| PeerInfo {
            key: *key,
            address: link.address.clone(),
            dialled: link.dialled,
            since: link.since,
            round_trip: link.round_trip.get(),
            bytes_received: link.traffic.received.load(Ordering::Relaxed),
            bytes_sent: link.traffic.sent.load(Ordering::Relaxed),
        };
        links.iter().map(info).collect()
    }

    /// What has happened so far.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.0.context.counters
    }

    /// The values of all [`Network::counters`], by name.
    #[must_use]
    pub fn totals(&self) -> BTreeMap<&'static str, u64> {
        self.counters().all().collect()
    }

    /// Ends all links and stops listening, and lets go of the host of guests; returns when that is
    /// done.
    pub async fn shutdown(&self) {
        self.0.shutdown.notify_one();
        let manager = self.0.manager.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(manager) = manager
            && let Err(error) = manager.await
            && let Ok(panic) = error.try_into_panic()
        {
            std::panic::resume_unwind(panic);
        }
        // It may hold this network in its turn.
        drop(self.0.context.host().take());
    }
}

fn check_frame(channel: Channel, bytes: &[u8]) {
    let (got, max) = (bytes.len(), channel.max_frame());
    assert!((1..=max).contains(&got), "frame of {channel} has {got} bytes, 1 to {max} are allowed");
}

pub(super) fn swarm(secret: &SecretKey) -> Result<Swarm<Behaviour>, Error> {
    let key = |source: &dyn std::fmt::Display| Error::Key { reason: source.to_string() };
    let builder = SwarmBuilder::with_existing_identity(keypair(secret)?)
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, Upgrade::default)
        .map_err(|source| key(&source))?
        .with_behaviour(|_| Behaviour::new())
        .map_err(|source| key(&source))?;
    Ok(builder
        .with_swarm_config(|config| {
            config.with_max_negotiating_inbound_streams(MAX_STREAMS_NEGOTIATED)
        })
        .with_connection_timeout(HANDSHAKE_TIMEOUT)
        .build())
}

/// Whether a node could listen here now: on an address as [`NetworkConfig::listen`] has it.
///
/// # Errors
/// [`Error::Listen`].
pub fn try_listen(listen: &str) -> Result<(), Error> {
    listen_address(listen).map(drop)
}

/// The socket at an address; none when that is not `/ip4/ADDRESS/tcp/PORT` or `/ip6/ADDRESS/tcp/PORT`.
pub(crate) fn socket(address: &Multiaddr) -> Option<SocketAddr> {
    let parts: Vec<Protocol<'_>> = address.iter().collect();
    match parts[..] {
        [Protocol::Ip4(ip), Protocol::Tcp(port)] => Some(SocketAddr::from((ip, port))),
        [Protocol::Ip6(ip), Protocol::Tcp(port)] => Some(SocketAddr::from((ip, port))),
        _ => None,
    }
}

/// Reads the address to listen on, and tries it: libp2p would share a port with another process
/// without a word, and each would get some of the connections.
fn listen_address(text: &str) -> Result<Multiaddr, Error> {
    let fault = |reason: String| Error::Listen { address: text.to_owned(), reason };
    let form = || fault("it must be /ip4/ADDRESS/tcp/PORT or /ip6/ADDRESS/tcp/PORT".to_owned());
    let address: Multiaddr = text.parse().map_err(|_| form())?;
    let socket = socket(&address).ok_or_else(form)?;
    TcpListener::bind(socket).map_err(|source| fault(source.to_string()))?;
    Ok(address)
}

async fn start_listening(
    swarm: &mut Swarm<Behaviour>,
    address: &Multiaddr,
) -> Result<Multiaddr, Error> {
    let fault = |reason: String| Error::Listen { address: address.to_string(), reason };
    swarm.listen_on(address.clone()).map_err(|source| fault(source.to_string()))?;
    let listening = async {
        loop {
            match swarm.select_next_some().await {
                SwarmEvent::NewListenAddr { address, .. } => return Ok(address),
                SwarmEvent::ListenerError { error, .. } => return Err(fault(error.to_string())),
                SwarmEvent::ListenerClosed { reason, .. } => {
                    let reason = reason.err().map_or_else(String::new, |error| error.to_string());
                    return Err(fault(reason));
                }
                _ => {}
            }
        }
    };
    timeout(HANDSHAKE_TIMEOUT, listening)
        .await
        .unwrap_or_else(|_| Err(fault("no network interface has this address".to_owned())))
}
