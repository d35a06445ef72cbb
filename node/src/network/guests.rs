//! The guests inside, of whom there are few: one of a node, one by an invitation, and no more than a
//! part of them by the invitations of one organisation.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tandem_chain::keys::PublicKey;
use tandem_chain::types::OrgName;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::limits::{GUEST_WAIT, MAX_GUESTS, MAX_GUESTS_PER_ORG};

/// Who a guest is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestId {
    /// The node for which it has shown to speak.
    pub node: PublicKey,
    /// What its invitation is told by from others.
    pub invitation: PublicKey,
    /// The organisation that has invited it.
    pub org: OrgName,
}

/// The places of guests. Cheap to clone: all clones are one.
#[derive(Clone)]
pub(super) struct Guests {
    inside: Arc<Mutex<Vec<Place>>>,
    /// One permit per guest that is answered.
    permits: Arc<Semaphore>,
}

struct Place {
    id: GuestId,
    /// Told when another takes it.
    taken: Arc<Notify>,
}

impl Default for Guests {
    fn default() -> Self {
        Self { inside: Arc::default(), permits: Arc::new(Semaphore::new(MAX_GUESTS)) }
    }
}

impl Guests {
    /// Takes a place, after a moment if need be. Who is inside for the same node, or by the same
    /// invitation, loses its own.
    ///
    /// # Errors
    /// Which places are taken.
    pub(super) async fn enter(&self, id: GuestId) -> Result<Inside, &'static str> {
        let taken = Arc::new(Notify::new());
        {
            let mut inside = self.inside();
            inside.retain(|place| {
                let gives_way = place.id.node == id.node || place.id.invitation == id.invitation;
                if gives_way {
                    place.taken.notify_one();
                }
                !gives_way
            });
            if inside.iter().filter(|place| place.id.org == id.org).count() >= MAX_GUESTS_PER_ORG {
                return Err("guests of one organisation");
            }
            inside.push(Place { id, taken: Arc::clone(&taken) });
        }
        let mut place = Inside { guests: self.clone(), taken, permit: None };
        let permit = timeout(GUEST_WAIT, Arc::clone(&self.permits).acquire_owned()).await;
        place.permit = Some(permit.map_err(|_| "guests")?.expect("it is never closed"));
        Ok(place)
    }

    fn inside(&self) -> MutexGuard<'_, Vec<Place>> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A guest's place, which is free when this is dropped.
pub(super) struct Inside {
    guests: Guests,
    taken: Arc<Notify>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Inside {
    /// Returns when another has taken the place.
    pub(super) async fn taken(&self) {
        self.taken.notified().await;
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.guests.inside().retain(|place| !Arc::ptr_eq(&place.taken, &self.taken));
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures::FutureExt as _;
    use futures::poll;

    use super::*;

    fn guest(node: u8, invitation: u8, org: &str) -> GuestId {
        let [node, invitation] = [node, invitation].map(|byte| PublicKey([byte; 32]));
        GuestId { node, invitation, org: org.parse().unwrap() }
    }

    #[tokio::test]
    async fn there_is_one_of_a_node_one_by_an_invitation_and_few_of_an_organisation() {
        let guests = Guests::default();
        let first = guests.enter(guest(1, 1, "a")).await.unwrap();
        let second = guests.enter(guest(2, 2, "a")).await.unwrap();
        assert_eq!(guests.enter(guest(3, 3, "a")).await.err(), Some("guests of one organisation"));
        assert!(first.taken().now_or_never().is_none());
        // The same node, the same invitation.
        let mut inside = Vec::new();
        for (id, old) in [(guest(1, 9, "a"), first), (guest(9, 2, "a"), second)] {
            let new = guests.enter(id).await.unwrap();
            assert!(old.taken().now_or_never().is_some());
            assert!(new.taken().now_or_never().is_none());
            // Who has lost its place takes nobody's with it.
            drop(old);
            assert_eq!(guests.inside().len(), 2);
            inside.push(new);
        }
        // All places there are: one more waits until one comes free, or is gone.
        let _one = guests.enter(guest(5, 5, "b")).await.unwrap();
        let two = guests.enter(guest(6, 6, "b")).await.unwrap();
        {
            let mut waits = pin!(guests.enter(guest(7, 7, "c")));
            assert!(poll!(&mut waits).is_pending());
        }
        assert_eq!(guests.inside().len(), MAX_GUESTS);
        let mut waits = pin!(guests.enter(guest(7, 7, "c")));
        assert!(poll!(&mut waits).is_pending());
        drop(two);
        assert!(waits.await.is_ok());
    }
}
