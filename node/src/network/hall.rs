//! Places for connections with keys that are not registered, of which there are few: a stranger may
//! stay for a moment to show an invitation. Where all places are taken, who has shown nothing gives way,
//! the one that has been inside for longest; those of the newcomer's own address first.

use std::collections::HashMap;
use std::fmt;

use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};

use super::Source;
use super::limits::{MAX_STRANGERS, MAX_STRANGERS_PER_SOURCE};

/// The places, and who has them.
#[derive(Default)]
pub(super) struct Hall {
    open: bool,
    inside: HashMap<ConnectionId, Stranger>,
    /// How many have come in, by which the oldest is told.
    entered: u64,
}

struct Stranger {
    peer: PeerId,
    source: Source,
    number: u64,
    /// It has shown something that counts.
    is_guest: bool,
}

/// Why a stranger is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoPlace {
    /// Nobody is.
    Closed,
    /// All places are taken by guests.
    Full,
}

impl fmt::Display for NoPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "its key is not registered",
            Self::Full => "too many guests are here",
        })
    }
}

impl std::error::Error for NoPlace {}

/// Who has to leave for another.
pub(super) type GivesWay = (PeerId, ConnectionId);

impl Hall {
    /// Opens it, or closes it for those who are not inside yet.
    pub(super) fn open(&mut self, open: bool) {
        self.open = open;
    }

    /// Takes a place. With it comes who loses its own for it, if anyone does: that connection is the
    /// caller's to close.
    pub(super) fn enter(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        from: &Multiaddr,
    ) -> Result<Option<GivesWay>, NoPlace> {
        if !self.open {
            return Err(NoPlace::Closed);
        }
        // TCP connections all come from somewhere.
        let source = Source::of(from).unwrap_or(Source::UNKNOWN);
        let of_source = self.inside.values().filter(|other| other.source == source).count();
        let is_source_full = of_source >= MAX_STRANGERS_PER_SOURCE;
        let mut gives_way = None;
        if is_source_full || self.inside.len() >= MAX_STRANGERS {
            let silent = self.inside.iter().filter(|(_, other)| {
                !other.is_guest && (other.source == source || !is_source_full)
            });
            let oldest = silent.min_by_key(|(_, other)| (other.source != source, other.number));
            let (id, other) = oldest.ok_or(NoPlace::Full)?;
            gives_way = Some((other.peer, *id));
        }
        if let Some((_, id)) = gives_way {
            self.inside.remove(&id);
        }
        self.entered += 1;
        let stranger = Stranger { peer, source, number: self.entered, is_guest: false };
        self.inside.insert(id, stranger);
        Ok(gives_way)
    }

    /// It has shown that it was invited, and keeps its place.
    pub(super) fn keep(&mut self, id: ConnectionId) {
        if let Some(stranger) = self.inside.get_mut(&id) {
            stranger.is_guest = true;
        }
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
        let found = self.inside.iter().filter(|(_, stranger)| is_one(&stranger.peer));
        found.map(|(id, _)| *id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hall that is entered again and again.
    #[derive(Default)]
    struct Test {
        hall: Hall,
        last: usize,
    }

    impl Test {
        /// From an address of this number: the place, and who has given way, by the order of entry.
        fn enter(&mut self, host: u8) -> Result<Option<usize>, NoPlace> {
            let from = format!("/ip4/192.0.2.{host}/tcp/1000").parse().unwrap();
            let entered = self.hall.enter(id(self.last), PeerId::random(), &from);
            let number = |gone: ConnectionId| (0..self.last).find(|number| id(*number) == gone);
            let entered = entered.map(|gone| gone.and_then(|(_, gone)| number(gone)));
            self.last += usize::from(entered.is_ok());
            entered
        }
    }

    fn id(number: usize) -> ConnectionId {
        ConnectionId::new_unchecked(number)
    }

    #[test]
    fn places_are_few_and_fewer_for_one_source() {
        let mut test = Test::default();
        assert_eq!(test.enter(1), Err(NoPlace::Closed), "at first");
        test.hall.open(true);
        for _ in 0..MAX_STRANGERS_PER_SOURCE {
            assert_eq!(test.enter(1), Ok(None));
        }
        // The oldest of the source gives way, and nobody else.
        assert_eq!(test.enter(1), Ok(Some(0)));
        assert!(!test.hall.has(id(0)) && test.hall.has(id(1)));
        let host = |number: usize| u8::try_from(number + 2).unwrap();
        for number in 0..MAX_STRANGERS - MAX_STRANGERS_PER_SOURCE {
            assert_eq!(test.enter(host(number)), Ok(None));
        }
        assert_eq!(test.enter(2), Ok(Some(3)), "its own");
        assert_eq!(test.enter(200), Ok(Some(1)), "the oldest of all");
        assert_eq!(test.hall.connections_of(|_| true).len(), MAX_STRANGERS);
        test.hall.open(false);
        test.hall.leave(id(2));
        assert_eq!(test.enter(1), Err(NoPlace::Closed));
    }

    #[test]
    fn guests_give_way_to_nobody() {
        let mut test = Test::default();
        test.hall.open(true);
        for number in 0..MAX_STRANGERS_PER_SOURCE {
            assert_eq!(test.enter(1), Ok(None));
            test.hall.keep(id(number));
        }
        assert_eq!(test.enter(1), Err(NoPlace::Full));
        for number in MAX_STRANGERS_PER_SOURCE..MAX_STRANGERS {
            assert_eq!(test.enter(u8::try_from(number + 1).unwrap()), Ok(None));
            test.hall.keep(id(number));
        }
        assert_eq!(test.enter(99), Err(NoPlace::Full));
        test.hall.leave(id(0));
        assert_eq!(test.enter(99), Ok(None), "a place is free");
    }
}
