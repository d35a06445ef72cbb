//! What one client may have of what all clients have together, so that none has all of it.

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
pub fn client() -> Source {
    CLIENT.try_with(|client| *client).unwrap_or(Source::UNKNOWN)
}

/// Room for work that is done at once. Who has its share of it waits in a queue of its own, and so before
/// nobody else. Shared.
#[derive(Clone, Debug)]
pub struct Room {
    all: Arc<Semaphore>,
    share: u32,
    clients: Clients,
}

/// The shares of those that have or wait for a part of them.
type Clients = Arc<Mutex<HashMap<Source, Share>>>;

#[derive(Debug)]
struct Share {
    free: Arc<Semaphore>,
    /// Works that have a part of it or wait for one; 1 at least.
    works: usize,
}

/// A part of the room, until it is dropped.
#[derive(Debug)]
pub struct Part {
    _all: OwnedSemaphorePermit,
    _own: OwnedSemaphorePermit,
    _work: Work,
}

/// A work of a client.
#[derive(Debug)]
struct Work {
    client: Source,
    clients: Clients,
}

impl Room {
    /// So much room, and half of it for one client.
    pub fn new(max: u32) -> Self {
        let all = Arc::new(Semaphore::new(max as usize));
        Self { all, share: max.div_ceil(2), clients: Arc::default() }
    }

    /// Waits for so much room, or for a client's whole share where that is less, on behalf of whom this
    /// task works for.
    pub async fn take(&self, size: u32) -> Part {
        let size = size.min(self.share);
        let (free, work) = self.begin(client());
        let closed = "it is never closed";
        let own = free.acquire_many_owned(size).await.expect(closed);
        let all = self.all.clone().acquire_many_owned(size).await.expect(closed);
        Part { _all: all, _own: own, _work: work }
    }

    /// As [`Room::take`], at once; none where there is not so much.
    pub fn try_take(&self, size: u32) -> Option<Part> {
        let size = size.min(self.share);
        let (free, work) = self.begin(client());
        let own = free.try_acquire_many_owned(size).ok()?;
        let all = self.all.clone().try_acquire_many_owned(size).ok()?;
        Some(Part { _all: all, _own: own, _work: work })
    }

    fn begin(&self, client: Source) -> (Arc<Semaphore>, Work) {
        let mut clients = lock(&self.clients);
        let new = || Share { free: Arc::new(Semaphore::new(self.share as usize)), works: 0 };
        let share = clients.entry(client).or_insert_with(new);
        share.works += 1;
        (share.free.clone(), Work { client, clients: self.clients.clone() })
    }

    /// What is free of all of it.
    #[cfg(test)]
    pub fn free(&self) -> usize {
        self.all.available_permits()
    }

    /// Waits until so much is free, which is all of it.
    #[cfg(test)]
    pub async fn all_free(&self, max: u32) {
        drop(self.all.acquire_many(max).await.unwrap());
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let mut clients = lock(&self.clients);
        if let Some(share) = clients.get_mut(&self.client) {
            share.works -= 1;
            if share.works == 0 {
                clients.remove(&self.client);
            }
        }
    }
}

fn lock(clients: &Clients) -> MutexGuard<'_, HashMap<Source, Share>> {
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
    async fn who_has_a_share_waits_before_nobody_else() {
        let room = Room::new(4);
        let take = |last| Box::pin(on_behalf(address(last), room.take(1)));
        let first = [take(1).await, take(1).await];
        let mut waiting: Vec<_> = (0..10).map(|_| take(1)).collect();
        for wait in &mut waiting {
            assert!(wait.now_or_never().is_none());
        }
        let other = take(2).await;
        assert_eq!(room.free(), 1, "there is more, for others");
        assert!(on_behalf(address(1), async { room.try_take(1) }).await.is_none());
        drop(first);
        // In the order in which they came.
        let next = [(&mut waiting[0]).await, (&mut waiting[1]).await];
        assert!((&mut waiting[2]).now_or_never().is_none());
        drop((waiting, next, other));
        assert_eq!(room.free(), 4);
        assert!(lock(&room.clients).is_empty(), "who wants nothing is forgotten");
    }

    #[tokio::test]
    async fn more_than_a_share_is_the_share() {
        let room = Room::new(5);
        let part = on_behalf(address(1), room.take(100)).await;
        assert_eq!(room.free(), 2);
        assert!(on_behalf(address(2), async { room.try_take(3) }).await.is_none());
        let rest = on_behalf(address(2), async { room.try_take(2) }).await;
        assert!(rest.is_some() && room.free() == 0);
        drop((part, rest));
        assert_eq!((room.free(), client()), (5, Source::UNKNOWN));
        assert!(lock(&room.clients).is_empty());
    }
}
