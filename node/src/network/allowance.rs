//! What one key may use of this node, over all its links: a new connection brings nothing that the
//! one before has used up.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tandem_chain::keys::PublicKey;
use tokio::sync::Semaphore;

use super::Channel;
use super::events::{Budget, Share};
use super::limits::{LINKS_APART, MAX_SERVED_OF_PEER};
use super::rate::{Meter, Rates};

/// The allowances of all keys that may be linked, and of those of which something is still there.
#[derive(Default)]
pub(super) struct Allowances(Mutex<BTreeMap<PublicKey, Arc<Allowance>>>);

impl Allowances {
    /// That of one key, for a connection with it.
    pub(super) fn of(&self, key: PublicKey, rates: &Rates) -> Arc<Allowance> {
        let mut all = lock(&self.0);
        let new = || Arc::new(Allowance::new(rates, Instant::now()));
        Arc::clone(all.entry(key).or_insert_with(new))
    }

    /// Forgets the keys that may no longer be linked and of which nothing is there any more.
    pub(super) fn forget(&self, may_be_linked: impl Fn(&PublicKey) -> bool) {
        // One that a connection has is held here and there.
        let is_used =
            |it: &Arc<Allowance>| Arc::strong_count(it) > 1 || it.has_frames() || it.has_requests();
        lock(&self.0).retain(|key, it| may_be_linked(key) || is_used(it));
    }
}

/// What one key may use.
pub(super) struct Allowance {
    consensus: Reading,
    transactions: Reading,
    /// One permit per request of this key that is being served.
    pub(super) serving: Arc<Semaphore>,
    /// When its last link began.
    began: Mutex<Option<Instant>>,
}

/// What it may send in one channel.
struct Reading {
    budget: Budget,
    meter: Mutex<Meter>,
}

impl Allowance {
    fn new(rates: &Rates, now: Instant) -> Self {
        let reading = |channel| Reading {
            budget: Budget::new(channel),
            meter: Mutex::new(Meter::new(rates.of(channel), now)),
        };
        Self {
            consensus: reading(Channel::Consensus),
            transactions: reading(Channel::Transactions),
            serving: Arc::new(Semaphore::new(MAX_SERVED_OF_PEER)),
            began: Mutex::default(),
        }
    }

    fn reading(&self, channel: Channel) -> &Reading {
        match channel {
            Channel::Consensus => &self.consensus,
            Channel::Transactions => &self.transactions,
        }
    }

    /// Waits until a frame of this length has room.
    pub(super) async fn share(&self, channel: Channel, length: usize) -> Share {
        self.reading(channel).budget.share(length).await
    }

    /// Counts a frame that was read.
    pub(super) fn count(&self, channel: Channel, length: usize, now: Instant) {
        lock(&self.reading(channel).meter).count(length, now);
    }

    /// The time to wait before the next frame is read.
    pub(super) fn wait(&self, channel: Channel, now: Instant) -> Option<Duration> {
        lock(&self.reading(channel).meter).wait(now)
    }

    /// The time to wait before the next link begins.
    pub(super) fn wait_for_link(&self, now: Instant) -> Option<Duration> {
        let next = (*lock(&self.began))? + LINKS_APART;
        Some(next.saturating_duration_since(now)).filter(|wait| !wait.is_zero())
    }

    /// A link begins.
    pub(super) fn begin_link(&self, now: Instant) {
        *lock(&self.began) = Some(now);
    }

    fn has_frames(&self) -> bool {
        !self.consensus.budget.is_whole() || !self.transactions.budget.is_whole()
    }

    fn has_requests(&self) -> bool {
        self.serving.available_permits() < MAX_SERVED_OF_PEER
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;
    use crate::network::limits::MAX_UNREAD_CONSENSUS_BYTES;

    const KEY: PublicKey = PublicKey([1; 32]);

    #[test]
    fn links_begin_apart() {
        let start = Instant::now();
        let allowance = Allowance::new(&Rates::default(), start);
        assert_eq!(allowance.wait_for_link(start), None);
        allowance.begin_link(start);
        assert_eq!(allowance.wait_for_link(start), Some(LINKS_APART));
        let half = start + LINKS_APART / 2;
        assert_eq!(allowance.wait_for_link(half), Some(LINKS_APART / 2));
        assert_eq!(allowance.wait_for_link(start + LINKS_APART), None);
    }

    #[test]
    fn a_key_is_forgotten_when_it_may_not_be_linked_and_nothing_of_it_is_there() {
        let allowances = Allowances::default();
        let is_known = |allowances: &Allowances| lock(&allowances.0).contains_key(&KEY);
        let allowance = allowances.of(KEY, &Rates::default());
        let share = allowance.share(Channel::Consensus, MAX_UNREAD_CONSENSUS_BYTES);
        let frame = share.now_or_never().unwrap().hold(vec![1]);
        let request = Arc::clone(&allowance.serving).try_acquire_owned().unwrap();
        allowances.forget(|_| false);
        assert!(is_known(&allowances), "a connection has it");
        drop(allowance);
        allowances.forget(|_| false);
        assert!(is_known(&allowances), "a frame is unread");
        drop(frame);
        allowances.forget(|_| false);
        assert!(is_known(&allowances), "a request is served");
        drop(request);
        allowances.forget(|_| true);
        assert!(is_known(&allowances), "it may be linked");
        allowances.forget(|_| false);
        assert!(!is_known(&allowances));
    }
}
