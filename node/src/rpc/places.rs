//! Places for connections and for WebSockets: so many in all, and so many for one client's address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::network::Source;

/// Places. Shared.
#[derive(Clone, Debug)]
pub struct Places {
    free: Arc<Semaphore>,
    max: usize,
    max_per_client: usize,
    /// How many each client has, 1 at least.
    taken: Arc<Mutex<HashMap<Source, usize>>>,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub struct Place {
    _free: Free,
    client: Source,
    taken: Arc<Mutex<HashMap<Source, usize>>>,
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

impl Places {
    /// So many, and of one client so many.
    pub fn new(max: usize, max_per_client: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(max)), max, max_per_client, taken: Arc::default() }
    }

    /// A place for a client, at once.
    pub fn take(&self, address: IpAddr) -> Result<Place, Full> {
        self.fill(address, || self.free.clone().try_acquire_owned().map_err(|_| Full::All))
    }

    /// Waits for a place.
    pub async fn free(&self) -> Free {
        self.free.clone().acquire_owned().await.expect("it is never closed")
    }

    /// Gives a place to a client, unless it has as many as one may.
    pub fn give(&self, free: Free, address: IpAddr) -> Option<Place> {
        self.fill(address, || Ok(free)).ok()
    }

    fn fill(
        &self,
        address: IpAddr,
        free: impl FnOnce() -> Result<Free, Full>,
    ) -> Result<Place, Full> {
        let client = Source::from(address);
        let mut taken = lock(&self.taken);
        let has = taken.get(&client).copied().unwrap_or(0);
        if has >= self.max_per_client {
            return Err(Full::Client);
        }
        let free = free()?;
        taken.insert(client, has + 1);
        drop(taken);
        Ok(Place { _free: free, client, taken: self.taken.clone() })
    }

    /// Waits until all places are free.
    pub async fn all_gone(&self) {
        let all = u32::try_from(self.max).unwrap_or(u32::MAX);
        drop(self.free.acquire_many(all).await);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = lock(&self.taken);
        if let Some(has) = taken.get_mut(&self.client) {
            *has -= 1;
            if *has == 0 {
                taken.remove(&self.client);
            }
        }
    }
}

fn lock(taken: &Mutex<HashMap<Source, usize>>) -> MutexGuard<'_, HashMap<Source, usize>> {
    taken.lock().expect("no holder of the lock panics")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_in_all_and_for_each_client() {
        let places = Places::new(4, 2);
        let take = |address: &str| places.take(address.parse().unwrap());
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
        assert!(lock(&places.taken).is_empty());
        assert!(Places::new(0, 1).take([10, 0, 0, 1].into()).is_err());
    }

    #[tokio::test]
    async fn a_place_that_was_free_before_its_client_came_counts_for_it() {
        let places = Places::new(2, 1);
        let [one, other] = [1, 2].map(|last| IpAddr::from([10, 0, 0, last]));
        let first = places.give(places.free().await, one).unwrap();
        assert!(places.give(places.free().await, one).is_none());
        let second = places.give(places.free().await, other).unwrap();
        assert_eq!(places.take(other).unwrap_err(), Full::Client);
        drop((first, second));
        places.all_gone().await;
        assert!(lock(&places.taken).is_empty());
    }

    #[tokio::test]
    async fn who_waits_for_all_to_go_waits_for_the_last() {
        use futures::FutureExt;
        let places = Places::new(2, 2);
        let place = places.take([10, 0, 0, 1].into()).unwrap();
        let mut gone = Box::pin(places.all_gone());
        assert!((&mut gone).now_or_never().is_none());
        drop(place);
        gone.await;
    }
}
