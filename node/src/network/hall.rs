//! Places for connections with keys that are not registered, of which there are few: a stranger may
//! stay for a moment to show an invitation.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};

use super::handshakes::Source;
use super::limits::{MAX_STRANGERS, MAX_STRANGERS_PER_SOURCE};

/// The places, and who has them.
#[derive(Default)]
pub(super) struct Hall {
    open: bool,
    inside: HashMap<ConnectionId, (PeerId, Source)>,
}

impl Hall {
    /// Opens it, or closes it for those who are not inside yet.
    pub(super) fn open(&mut self, open: bool) {
        self.open = open;
    }

    /// Takes a place, where there is one.
    pub(super) fn enter(&mut self, id: ConnectionId, peer: PeerId, from: &Multiaddr) -> bool {
        // TCP connections all come from somewhere.
        let source = Source::of(from).unwrap_or_else(|| Source::from(Ipv4Addr::UNSPECIFIED));
        let of_source = self.inside.values().filter(|(_, other)| *other == source).count();
        let has_place =
            self.open && self.inside.len() < MAX_STRANGERS && of_source < MAX_STRANGERS_PER_SOURCE;
        if has_place {
            self.inside.insert(id, (peer, source));
        }
        has_place
    }

    /// Gives the place back; nothing happens when it has none.
    pub(super) fn leave(&mut self, id: ConnectionId) {
        self.inside.remove(&id);
    }

    /// Whether a connection has a place.
    pub(super) fn has(&self, id: ConnectionId) -> bool {
        self.inside.contains_key(&id)
    }

    /// The connections inside with some peers.
    pub(super) fn connections_of(&self, is_one: impl Fn(&PeerId) -> bool) -> Vec<ConnectionId> {
        let found = self.inside.iter().filter(|(_, (peer, _))| is_one(peer));
        found.map(|(id, _)| *id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_few_fewer_for_one_source_and_come_free() {
        let mut hall = Hall::default();
        let peer = PeerId::random();
        let mut last = 0;
        let mut enter = |hall: &mut Hall, host: u8| {
            last += 1;
            let id = ConnectionId::new_unchecked(last);
            let from = format!("/ip4/192.0.2.{host}/tcp/1000").parse().unwrap();
            hall.enter(id, peer, &from).then_some(id)
        };
        assert_eq!(enter(&mut hall, 1), None, "it is closed at first");
        hall.open(true);
        let first = enter(&mut hall, 1).unwrap();
        let of_source = 1 + std::iter::from_fn(|| enter(&mut hall, 1)).count();
        assert_eq!(of_source, MAX_STRANGERS_PER_SOURCE);
        let all = of_source + (2..=u8::MAX).filter_map(|host| enter(&mut hall, host)).count();
        assert_eq!(all, MAX_STRANGERS);
        assert!(hall.has(first));
        for _ in 0..2 {
            hall.leave(first);
        }
        assert!(!hall.has(first));
        assert!(enter(&mut hall, 1).is_some());
        assert_eq!(enter(&mut hall, 9), None);
        assert_eq!(hall.connections_of(|other| *other == peer).len(), MAX_STRANGERS);
        assert!(hall.connections_of(|other| *other != peer).is_empty());
        hall.open(false);
        hall.leave(hall.connections_of(|_| true)[0]);
        assert_eq!(enter(&mut hall, 1), None);
    }
}
