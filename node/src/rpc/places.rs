//! Places for what clients have together: so many in all, and so many for one client's address, so that none
//! has all of them. They are for connections and WebSockets, for reads of the database, and for bytes.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::network::Source;

tokio::task_local! {
    static CLIENT: Source;
}

/// Works on what a client has asked for.
pub async fn on_behalf<T>(client: IpAddr, work: impl Future<Output = T>) -> T {
    CLIENT.scope(Source::from(client), work).await
}

/// Whose request this task works on; that of none where it works on none.
fn client() -> Source {
    CLIENT.try_with(|client| *client).unwrap_or(Source::UNKNOWN)
}

/// Places. Shared.
#[derive(Clone, Debug)]
pub struct Places {
    free: Arc<Semaphore>,
    max: usize,
    max_per_client: usize,
    clients: Clients,
}

/// Those that have places or wait for some.
type Clients = Arc<Mutex<HashMap<Source, Client>>>;

#[derive(Debug)]
struct Client {
    /// What it may take still.
    free: Arc<Semaphore>,
    /// How often it has some or waits for some; 1 at least.
    visits: usize,
}

/// Places that are taken, until it is dropped.
#[derive(Debug)]
pub struct Place {
    _free: Free,
    _own: OwnedSemaphorePermit,
    _visit: Visit,
}

/// One of the places, for a client that is not known yet.
pub type Free = OwnedSemaphorePermit;

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// All are taken.
    All,
    /// The client has as many as one may.
    Client,
}

/// Counts in the visits of a client.
#[derive(Debug)]
struct Visit {
    client: Source,
    clients: Clients,
}

impl Places {
    /// So many, and of one client so many.
    pub fn new(max: usize, max_per_client: usize) -> Self {
        let free = Arc::new(Semaphore::new(max));
        Self { free, max, max_per_client, clients: Arc::default() }
    }

    /// Waits for so many, or for as many as a client may have, for whom this task works. A client that has
    /// those waits in a queue of its own, and so before nobody else.
    pub async fn wait(&self, count: usize) -> Place {
        let count = self.at_most(count);
        let (own, visit) = self.visit(client());
        let own = own.acquire_many_owned(count).await.expect(NEVER_CLOSED);
        let free = self.free.clone().acquire_many_owned(count).await.expect(NEVER_CLOSED);
        Place { _free: free, _own: own, _visit: visit }
    }

    /// As [`Places::wait`], at once.
    pub fn take(&self, count: usize) -> Result<Place, Full> {
        let count = self.at_most(count);
        let (own, visit) = self.visit(client());
        let own = own.try_acquire_many_owned(count).map_err(|_| Full::Client)?;
        let free = self.free.clone().try_acquire_many_owned(count).map_err(|_| Full::All)?;
        Ok(Place { _free: free, _own: own, _visit: visit })
    }

    /// Waits for a place.
    pub async fn free(&self) -> Free {
        self.free.clone().acquire_owned().await.expect(NEVER_CLOSED)
    }

    /// Gives a place to a client, unless it has as many as one may.
    pub fn give(&self, free: Free, client: IpAddr) -> Option<Place> {
        let (own, visit) = self.visit(Source::from(client));
        let own = own.try_acquire_owned().ok()?;
        Some(Place { _free: free, _own: own, _visit: visit })
    }

    /// Waits until all places are free.
    pub async fn all_gone(&self) {
        let all = u32::try_from(self.max).unwrap_or(u32::MAX);
        drop(self.free.acquire_many(all).await);
    }

    /// Places that are taken now.
    #[cfg(test)]
    pub fn taken(&self) -> usize {
        self.max - self.free.available_permits()
    }

    fn at_most(&self, count: usize) -> u32 {
        u32::try_from(count.min(self.max_per_client)).unwrap_or(u32::MAX)
    }

    fn visit(&self, client: Source) -> (Arc<Semaphore>, Visit) {
        let mut clients = lock(&self.clients);
        let new = || Client { free: Arc::new(Semaphore::new(self.max_per_client)), visits: 0 };
        let known = clients.entry(client).or_insert_with(new);
        known.visits += 1;
        (known.free.clone(), Visit { client, clients: self.clients.clone() })
    }
}

const NEVER_CLOSED: &str = "it is never closed";

impl Drop for Visit {
    fn drop(&mut self) {
        let mut clients = lock(&self.clients);
        if let Some(client) = clients.get_mut(&self.client) {
            client.visits -= 1;
            if client.visits == 0 {
                clients.remove(&self.client);
            }
        }
    }
}

fn lock(clients: &Clients) -> MutexGuard<'_, HashMap<Source, Client>> {
    clients.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn address(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    #[tokio::test]
    async fn places_are_bounded_in_all_and_for_each_client() {
        let places = Places::new(4, 2);
        let take = |address: &str| {
            let client = address.parse().unwrap();
            on_behalf(client, async { places.take(1) }).now_or_never().unwrap()
        };
        let first = take("10.0.0.1").unwrap();
        // As a socket for both versions of IP shows it.
        let second = take("::ffff:10.0.0.1").unwrap();
        assert_eq!(take("10.0.0.1").unwrap_err(), Full::Client);
        let third = take("2001:db8::1").unwrap();
        let fourth = take("2001:db8::ffff:0:0:1").unwrap();
        assert_eq!(take("2001:db8::2").unwrap_err(), Full::Client);
        assert_eq!(take("2001:db8:0:1::1").unwrap_err(), Full::All);
        drop(first);
        let fifth = take("10.0.0.2").unwrap();
        assert_eq!(take("10.0.0.1").unwrap_err(), Full::All);
        drop(second);
        let sixth = take("10.0.0.1").unwrap();
        drop((third, fourth, fifth, sixth));
        assert!(lock(&places.clients).is_empty(), "who wants nothing is forgotten");
        assert_eq!(Places::new(0, 1).take(1).unwrap_err(), Full::All);
    }

    #[tokio::test]
    async fn a_place_that_was_free_before_its_client_came_counts_for_it() {
        let places = Places::new(2, 1);
        let first = places.give(places.free().await, address(1)).unwrap();
        assert!(places.give(places.free().await, address(1)).is_none());
        let second = places.give(places.free().await, address(2)).unwrap();
        let more = on_behalf(address(2), async { places.take(1) }).await;
        assert_eq!(more.unwrap_err(), Full::Client);
        drop((first, second));
        places.all_gone().await;
        assert!(lock(&places.clients).is_empty());
    }

    #[tokio::test]
    async fn who_waits_for_all_to_go_waits_for_the_last() {
        let places = Places::new(2, 2);
        let place = places.take(1).unwrap();
        let mut gone = Box::pin(places.all_gone());
        assert!((&mut gone).now_or_never().is_none());
        drop(place);
        gone.await;
    }

    #[tokio::test]
    async fn who_has_as_many_as_one_may_waits_before_nobody_else() {
        let places = Places::new(4, 2);
        let wait = |last| Box::pin(on_behalf(address(last), places.wait(1)));
        let first = [wait(1).await, wait(1).await];
        let mut waiting: Vec<_> = (0..10).map(|_| wait(1)).collect();
        for wait in &mut waiting {
            assert!(wait.now_or_never().is_none());
        }
        let other = wait(2).await;
        assert_eq!(places.taken(), 3, "there is more, for others");
        let more = on_behalf(address(1), async { places.take(1) }).await;
        assert_eq!(more.unwrap_err(), Full::Client);
        drop(first);
        // In the order in which they came.
        let next = [(&mut waiting[0]).await, (&mut waiting[1]).await];
        assert!((&mut waiting[2]).now_or_never().is_none());
        drop((waiting, next, other));
        assert_eq!(places.taken(), 0);
        assert!(lock(&places.clients).is_empty());
    }

    #[tokio::test]
    async fn more_than_one_may_have_is_what_one_may_have() {
        let places = Places::new(5, 3);
        let place = on_behalf(address(1), places.wait(100)).await;
        assert_eq!(places.taken(), 3);
        let others = on_behalf(address(2), async { (places.take(3), places.take(2)) });
        let (more, rest) = others.await;
        assert_eq!(more.unwrap_err(), Full::All);
        assert_eq!((rest.is_ok(), places.taken()), (true, 5));
        drop((place, rest));
        assert_eq!((places.taken(), client()), (0, Source::UNKNOWN));
        assert!(lock(&places.clients).is_empty());
    }
}
