//! What the manager knows of one peer: its connections, which of them is the link, and when it is
//! dialled. Decisions only; the manager acts on them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};
use tokio::sync::oneshot;

use super::dial::BackOff;
use super::error::End;
use super::limits::FRESH;
use super::link::{Heard, Stop};

/// A connection with a peer.
pub(super) struct Connection {
    /// Ends its task.
    pub(super) stop: Arc<Stop>,
    /// Lets its task make the link; gone once that is done.
    pub(super) go: Option<oneshot::Sender<()>>,
    /// When something was last heard on it.
    pub(super) heard: Arc<Heard>,
    /// It is the link, and was told to be there.
    pub(super) up: bool,
}

/// A peer.
pub(super) struct Peer {
    pub(super) id: PeerId,
    /// False once it was removed; it is forgotten when its last connection has ended.
    pub(super) allowed: bool,
    pub(super) addresses: Vec<Multiaddr>,
    connections: BTreeMap<ConnectionId, Connection>,
    /// The connection that is the link, or is being made it.
    active: Option<ConnectionId>,
    /// The connection that becomes the link when the active one has ended.
    next: Option<ConnectionId>,
    pub(super) back_off: BackOff,
    /// An attempt to connect is under way.
    pub(super) dialling: bool,
    /// That attempt goes to addresses which are not its own any more: the next one is due as soon as
    /// it has ended.
    pub(super) moved: bool,
    /// When the next attempt is due.
    pub(super) due: Option<Instant>,
    /// The fault that was logged last, so that one that repeats is logged once.
    pub(super) fault: Option<String>,
}

impl Peer {
    pub(super) fn new(id: PeerId) -> Self {
        Self {
            id,
            allowed: true,
            addresses: Vec::new(),
            connections: BTreeMap::new(),
            active: None,
            next: None,
            back_off: BackOff::default(),
            dialling: false,
            moved: false,
            due: None,
            fault: None,
        }
    }

    /// Whether an attempt to connect makes sense.
    pub(super) fn wants_dial(&self) -> bool {
        self.allowed && self.connections.is_empty() && !self.dialling && !self.addresses.is_empty()
    }

    /// Whether nothing is left of it.
    pub(super) fn is_gone(&self) -> bool {
        !self.allowed && self.connections.is_empty()
    }

    /// Whether no task of a connection with it runs.
    pub(super) fn is_idle(&self) -> bool {
        self.connections.is_empty()
    }

    pub(super) fn add(&mut self, id: ConnectionId, connection: Connection) {
        self.connections.insert(id, connection);
    }

    /// Takes over where it is to be dialled, and when: at once if that is news.
    pub(super) fn set_addresses(&mut self, addresses: Vec<Multiaddr>, now: Instant) {
        if self.allowed && self.addresses == addresses {
            return;
        }
        self.allowed = true;
        self.addresses = addresses;
        self.back_off.reset();
        self.moved = self.dialling;
        self.due = self.wants_dial().then_some(now);
    }

    /// An attempt to connect has ended without a connection.
    pub(super) fn not_reached(&mut self, now: Instant) {
        self.dialling = false;
        if std::mem::take(&mut self.moved) && self.wants_dial() {
            self.due = Some(now);
        }
    }

    /// The link is there.
    pub(super) fn up(&mut self, id: ConnectionId) {
        self.back_off.reset();
        self.fault = None;
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.up = true;
        }
    }

    /// Whether this is news to an operator.
    pub(super) fn is_new_fault(&mut self, fault: String) -> bool {
        let new = self.fault.as_ref() != Some(&fault);
        self.fault = Some(fault);
        new
    }

    /// Chooses `id` to be the link, as the side that chooses: unless there is one that lives.
    pub(super) fn choose(&mut self, id: ConnectionId, now: Instant) {
        let lives = |active| {
            let connection: Option<&Connection> = self.connections.get(active);
            connection.is_some_and(|connection| connection.heard.within(FRESH, now))
        };
        if self.active.as_ref().is_some_and(lives) {
            self.stop(id, End::Surplus);
        } else {
            self.follow(id);
        }
    }

    /// Makes `id` the link, as soon as the one there is has ended.
    pub(super) fn follow(&mut self, id: ConnectionId) {
        let Some(active) = self.active else {
            self.activate(id);
            return;
        };
        if active == id {
            return;
        }
        if let Some(other) = self.next.replace(id).filter(|other| *other != id) {
            self.stop(other, End::Surplus);
        }
        self.stop(active, End::Replaced);
    }

    /// Forgets a connection whose task has ended, and gives it back.
    pub(super) fn ended(&mut self, id: ConnectionId) -> Option<Connection> {
        let connection = self.connections.remove(&id)?;
        if self.next == Some(id) {
            self.next = None;
        }
        if self.active == Some(id) {
            self.active = None;
            if let Some(next) = self.next.take() {
                self.activate(next);
            }
        }
        Some(connection)
    }

    pub(super) fn stop(&self, id: ConnectionId, end: End) {
        if let Some(connection) = self.connections.get(&id) {
            connection.stop.set(end);
        }
    }

    pub(super) fn stop_all(&self, end: &End) {
        for connection in self.connections.values() {
            connection.stop.set(end.clone());
        }
    }

    fn activate(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if let Some(go) = connection.go.take() {
            self.active = Some(id);
            // When its task is gone already, its end is about to be told.
            let _ = go.send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    struct Test {
        peer: Peer,
        stops: Vec<Arc<Stop>>,
        gos: Vec<oneshot::Receiver<()>>,
    }

    impl Test {
        /// A peer with connections 0, 1 and 2.
        fn new() -> Self {
            let mut test =
                Self { peer: Peer::new(PeerId::random()), stops: Vec::new(), gos: Vec::new() };
            for number in 0..3 {
                let (go, chosen) = oneshot::channel();
                let stop = Arc::new(Stop::default());
                let heard = Arc::new(Heard::new());
                let connection =
                    Connection { stop: Arc::clone(&stop), go: Some(go), heard, up: false };
                test.peer.add(id(number), connection);
                test.stops.push(stop);
                test.gos.push(chosen);
            }
            test
        }

        fn state(&mut self) -> Vec<String> {
            let parts = self.gos.iter_mut().zip(&self.stops);
            parts
                .map(|(go, stop)| match (go.try_recv(), stop.reason()) {
                    (_, Some(end)) => format!("{end:?}"),
                    (Ok(()), None) => "go".to_owned(),
                    (Err(_), None) => String::new(),
                })
                .collect()
        }
    }

    fn id(number: usize) -> ConnectionId {
        ConnectionId::new_unchecked(number)
    }

    #[test]
    fn the_first_connection_is_chosen_and_a_second_is_surplus() {
        let mut test = Test::new();
        let now = Instant::now();
        test.peer.choose(id(0), now);
        test.peer.choose(id(1), now);
        assert_eq!(test.state(), ["go", "Surplus", ""]);
        assert!(test.peer.ended(id(1)).is_some());
        assert!(test.peer.ended(id(1)).is_none(), "once");
        test.peer.ended(id(0));
        test.peer.choose(id(2), now);
        assert_eq!(test.state()[2], "go");
    }

    #[test]
    fn a_link_that_is_not_heard_of_gives_way_when_it_has_ended() {
        let mut test = Test::new();
        let later = Instant::now() + FRESH + Duration::from_secs(1);
        test.peer.choose(id(0), later);
        test.peer.choose(id(1), later);
        assert_eq!(test.state(), ["Replaced", "", ""]);
        test.peer.choose(id(2), later);
        assert_eq!(test.state(), ["Replaced", "Surplus", ""]);
        test.peer.ended(id(1));
        test.peer.ended(id(0));
        assert_eq!(test.state(), ["Replaced", "Surplus", "go"]);
    }

    #[test]
    fn the_side_that_follows_goes_where_the_other_leads() {
        let mut test = Test::new();
        test.peer.follow(id(0));
        test.peer.follow(id(0));
        test.peer.follow(id(1));
        assert_eq!(test.state(), ["Replaced", "", ""]);
        test.peer.ended(id(0));
        assert_eq!(test.state()[1], "go");
    }

    #[test]
    fn a_peer_that_has_moved_is_dialled_at_once_whatever_was_under_way() {
        let mut peer = Peer::new(PeerId::random());
        let (start, at) = (Instant::now(), |port| -> Vec<Multiaddr> {
            vec![format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap()]
        });
        let later = |seconds| start + Duration::from_secs(seconds);
        peer.set_addresses(at(1), start);
        assert_eq!(peer.due, Some(start));
        // It is not reached, again and again, and then waited for.
        for _ in 0..9 {
            peer.back_off.next();
        }
        peer.due = Some(later(60));
        peer.set_addresses(at(1), later(1));
        assert_eq!(peer.due, Some(later(60)), "nothing is new");
        peer.set_addresses(at(2), later(2));
        assert_eq!(peer.due, Some(later(2)));
        assert!(peer.back_off.next() < Duration::from_secs(1), "and its attempts begin anew");
        // While an attempt is under way to where it was.
        (peer.due, peer.dialling) = (None, true);
        peer.set_addresses(at(3), later(3));
        assert_eq!(peer.due, None);
        peer.not_reached(later(4));
        assert_eq!((peer.due, peer.moved), (Some(later(4)), false));
        // To where it is, the wait is as ever.
        (peer.due, peer.dialling) = (None, true);
        peer.not_reached(later(5));
        assert_eq!(peer.due, None);
    }

    #[test]
    fn a_peer_is_dialled_only_when_nothing_is_there_or_under_way() {
        let mut test = Test::new();
        test.peer.addresses = vec!["/ip4/127.0.0.1/tcp/1".parse().unwrap()];
        assert!(!test.peer.wants_dial());
        for number in 0..3 {
            test.peer.ended(id(number));
        }
        assert!(test.peer.wants_dial() && test.peer.is_idle() && !test.peer.is_gone());
        test.peer.dialling = true;
        assert!(!test.peer.wants_dial());
        test.peer.dialling = false;
        test.peer.allowed = false;
        assert!(!test.peer.wants_dial() && test.peer.is_gone());
        test.peer.allowed = true;
        test.peer.addresses.clear();
        assert!(!test.peer.wants_dial());
    }
}
