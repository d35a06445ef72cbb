//! Places for inbound connections that are in the handshake.
//!
//! Until Noise has shown a key, a connection is known by where it comes from alone. Addresses at
//! which registered nodes listen have places of their own, which nobody else can take: neither
//! strangers nor other members, however many, keep a node at such an address out. All further
//! connections share [`MAX_HANDSHAKES`] places. Names are not looked up: a node whose address is
//! a name, or which connects from elsewhere than where it listens, is among those that share.

use std::collections::HashMap;

use libp2p::Multiaddr;
use libp2p::swarm::ConnectionId;

use super::Source;
use super::limits::{MAX_HANDSHAKES, MAX_HANDSHAKES_PER_NODE, MAX_HANDSHAKES_PER_SOURCE};

/// There is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Crowded {
    #[error("{max} handshakes are under way besides those with addresses of nodes", max = MAX_HANDSHAKES)]
    InAll,
    #[error("{max} handshakes with {0} are under way", max = MAX_HANDSHAKES_PER_SOURCE)]
    OneSource(Source),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Place {
    Own,
    Shared,
}

/// The places, and who has them.
#[derive(Default)]
pub(super) struct Handshakes {
    /// How many registered nodes listen there.
    nodes_at: HashMap<Source, usize>,
    pending: HashMap<ConnectionId, (Source, Place)>,
    taken: HashMap<(Source, Place), usize>,
    /// Those of `taken` that are shared.
    shared: usize,
}

impl Handshakes {
    /// Sets where registered nodes listen, and how many there. Those who have a place keep it.
    pub(super) fn set_nodes_at(&mut self, nodes_at: HashMap<Source, usize>) {
        self.nodes_at = nodes_at;
    }

    /// A handshake begins, if there is a place.
    pub(super) fn begin(&mut self, id: ConnectionId, from: &Multiaddr) -> Result<(), Crowded> {
        // TCP connections all come from somewhere.
        let source = Source::of(from).unwrap_or(Source::UNKNOWN);
        let own = self.nodes_at.get(&source).map_or(0, |nodes| nodes * MAX_HANDSHAKES_PER_NODE);
        let taken = |place| self.taken.get(&(source, place)).copied().unwrap_or_default();
        let place = if taken(Place::Own) < own {
            Place::Own
        } else if taken(Place::Shared) >= MAX_HANDSHAKES_PER_SOURCE {
            return Err(Crowded::OneSource(source));
        } else if self.shared >= MAX_HANDSHAKES {
            return Err(Crowded::InAll);
        } else {
            self.shared += 1;
            Place::Shared
        };
        *self.taken.entry((source, place)).or_default() += 1;
        self.pending.insert(id, (source, place));
        Ok(())
    }

    /// A handshake is over, well or not; nothing happens when it is none of these.
    pub(super) fn end(&mut self, id: ConnectionId) {
        let Some(place) = self.pending.remove(&id) else { return };
        let count = self.taken.get_mut(&place).expect("both maps hold the same");
        *count -= 1;
        if *count == 0 {
            self.taken.remove(&place);
        }
        if place.1 == Place::Shared {
            self.shared -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Places, and the connections that have one.
    #[derive(Default)]
    struct Test {
        handshakes: Handshakes,
        last: usize,
    }

    impl Test {
        fn begin(&mut self, from: &str) -> Result<ConnectionId, Crowded> {
            self.last += 1;
            let id = ConnectionId::new_unchecked(self.last);
            self.handshakes.begin(id, &from.parse().unwrap()).map(|()| id)
        }

        /// How many get a place.
        fn fill(&mut self, from: &str) -> usize {
            std::iter::from_fn(|| self.begin(from).ok()).count()
        }
    }

    fn source(address: &str) -> Source {
        Source::of(&address.parse().unwrap()).unwrap()
    }

    #[test]
    fn one_source_has_few_and_its_places_come_free() {
        let mut test = Test::default();
        let (crowd, other) = ("/ip4/192.0.2.1/tcp/1000", "/ip4/192.0.2.2/tcp/1000");
        let first = test.begin(crowd).unwrap();
        assert_eq!(test.fill(crowd), MAX_HANDSHAKES_PER_SOURCE - 1);
        assert_eq!(test.begin(crowd), Err(Crowded::OneSource(source(crowd))));
        assert_eq!(test.fill("/ip6/::ffff:192.0.2.1/tcp/1001"), 0, "the same, written otherwise");
        assert!(test.begin(other).is_ok());
        for _ in 0..2 {
            test.handshakes.end(first);
        }
        assert_eq!(test.fill(crowd), 1, "once");
        for id in 0..=test.last {
            test.handshakes.end(ConnectionId::new_unchecked(id));
        }
        assert!(test.handshakes.pending.is_empty() && test.handshakes.taken.is_empty());
        assert_eq!(test.handshakes.shared, 0);
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_source() {
        let mut test = Test::default();
        let address = |net: u16, host: usize| format!("/ip6/2001:db8:0:{net:x}::{host:x}/tcp/1");
        for host in 0..MAX_HANDSHAKES_PER_SOURCE {
            assert!(test.begin(&address(1, host)).is_ok());
        }
        let crowded = test.begin(&address(1, 0xffff)).unwrap_err();
        assert_eq!(crowded, Crowded::OneSource(source(&address(1, 0))));
        assert!(crowded.to_string().contains("2001:db8:0:1::/64"), "{crowded}");
        assert!(test.begin(&address(2, 0)).is_ok());
    }

    #[test]
    fn addresses_of_nodes_have_places_that_nobody_else_can_take() {
        let mut test = Test::default();
        let (one, two) = ("/ip4/192.0.2.1/tcp/1", "/ip6/2001:db8::1/tcp/1");
        test.handshakes.set_nodes_at([(source(one), 1), (source(two), 2)].into());
        // Strangers from everywhere, until none is let in.
        let strangers: usize =
            (0..=u8::MAX).map(|net| test.fill(&format!("/ip4/198.51.{net}.1/tcp/1"))).sum();
        assert_eq!(strangers, MAX_HANDSHAKES);
        assert_eq!(test.begin("/ip4/203.0.113.1/tcp/1"), Err(Crowded::InAll));
        // A member that wants all of them takes none of another's.
        assert_eq!(test.fill(one), MAX_HANDSHAKES_PER_NODE);
        assert_eq!(test.fill("/ip6/2001:db8::2/tcp/9"), 2 * MAX_HANDSHAKES_PER_NODE);
    }

    #[test]
    fn an_address_of_a_node_has_shared_places_besides_its_own() {
        let mut test = Test::default();
        let one = "/ip4/192.0.2.1/tcp/1";
        test.handshakes.set_nodes_at([(source(one), 1)].into());
        assert_eq!(test.fill(one), MAX_HANDSHAKES_PER_NODE + MAX_HANDSHAKES_PER_SOURCE);
        // It is removed: what it has is given back to where it was taken.
        test.handshakes.set_nodes_at(HashMap::new());
        for id in 0..=test.last {
            test.handshakes.end(ConnectionId::new_unchecked(id));
        }
        assert!(test.handshakes.taken.is_empty() && test.handshakes.shared == 0);
        assert_eq!(test.fill(one), MAX_HANDSHAKES_PER_SOURCE);
    }
}
