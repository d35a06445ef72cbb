//! Who waits for a transaction to be committed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use tandem_chain::ledger::Receipt;
use tandem_chain::types::{Height, TxHash};
use tokio::sync::oneshot;

use super::error::RpcError;
use crate::view::Committed;

/// Requests that wait at once.
pub const MAX_WAITERS: usize = 4_096;

/// Where a transaction was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The block.
    pub height: Height,
    /// The place in it.
    pub index: u32,
    /// The result.
    pub receipt: Receipt,
}

/// All that wait. Shared.
#[derive(Debug, Default)]
pub struct Waiters(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    by_hash: HashMap<TxHash, Vec<(u64, oneshot::Sender<Found>)>>,
    count: usize,
    next: u64,
    closed: bool,
}

/// One that waits; it is taken out when it is dropped.
pub struct Waiter {
    hash: TxHash,
    number: u64,
    found: oneshot::Receiver<Found>,
    all: Arc<Waiters>,
}

impl Waiters {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().expect("no holder of the lock panics")
    }

    /// Waits for a transaction from now on.
    ///
    /// # Errors
    /// When [`MAX_WAITERS`] wait already, or the node stops.
    pub fn add(self: &Arc<Self>, hash: TxHash) -> Result<Waiter, RpcError> {
        let (sender, found) = oneshot::channel();
        let mut waiting = self.lock();
        if waiting.closed {
            return Err(RpcError::busy("the node is stopping: send the transaction to another"));
        }
        if waiting.count >= MAX_WAITERS {
            return Err(RpcError::busy(format!(
                "{MAX_WAITERS} requests wait for a block already: use broadcast_tx_sync and tx"
            )));
        }
        let number = waiting.next;
        waiting.next += 1;
        waiting.count += 1;
        waiting.by_hash.entry(hash).or_default().push((number, sender));
        Ok(Waiter { hash, number, found, all: self.clone() })
    }

    /// Tells those that wait for a transaction of this block.
    pub fn committed(&self, committed: &Committed) {
        let mut waiting = self.lock();
        if waiting.by_hash.is_empty() {
            return;
        }
        let block = &committed.block.block;
        for (index, (tx, receipt)) in
            (1u32..).zip(block.txs.iter().zip(committed.receipts.iter().skip(1)))
        {
            let found = || Found { height: block.header.height, index, receipt: receipt.clone() };
            waiting.resolve(&tx.hash(), found);
        }
    }

    /// Tells all that no more blocks come, and those that ask later.
    pub fn close(&self) {
        *self.lock() = Waiting { closed: true, ..Waiting::default() };
    }

    /// The transactions that are waited for.
    pub fn hashes(&self) -> Vec<TxHash> {
        self.lock().by_hash.keys().copied().collect()
    }

    /// Tells those that wait for one transaction.
    pub fn resolve(&self, hash: &TxHash, found: &Found) {
        self.lock().resolve(hash, || found.clone());
    }
}

impl Waiting {
    fn resolve(&mut self, hash: &TxHash, found: impl Fn() -> Found) {
        let Some(senders) = self.by_hash.remove(hash) else { return };
        self.count -= senders.len();
        for (_, sender) in senders {
            // Its request may have ended.
            let _ = sender.send(found());
        }
    }
}

impl Waiter {
    /// The result, when it is there; none when the node stops.
    pub async fn found(&mut self) -> Option<Found> {
        (&mut self.found).await.ok()
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut waiting = self.all.lock();
        let Some(senders) = waiting.by_hash.get_mut(&self.hash) else { return };
        let before = senders.len();
        senders.retain(|(number, _)| *number != self.number);
        let (gone, empty) = (before - senders.len(), senders.is_empty());
        if empty {
            waiting.by_hash.remove(&self.hash);
        }
        waiting.count -= gone;
    }
}

#[cfg(test)]
mod tests {
    use tandem_chain::types::Hash;

    use super::*;

    fn found() -> Found {
        Found { height: Height(3), index: 1, receipt: Receipt::default() }
    }

    #[tokio::test]
    async fn all_that_wait_for_a_transaction_are_told() {
        let waiters = Arc::new(Waiters::default());
        let hash = Hash::of(b"tx");
        let mut one = waiters.add(hash).unwrap();
        let mut two = waiters.add(hash).unwrap();
        waiters.resolve(&hash, &found());
        assert_eq!(one.found().await, Some(found()));
        assert_eq!(two.found().await, Some(found()));
        drop((one, two));
        assert_eq!(waiters.lock().count, 0);
    }

    #[tokio::test]
    async fn all_are_told_when_the_node_stops() {
        let waiters = Arc::new(Waiters::default());
        let mut one = waiters.add(Hash::of(b"one")).unwrap();
        let mut two = waiters.add(Hash::of(b"two")).unwrap();
        waiters.close();
        assert_eq!((one.found().await, two.found().await), (None, None));
        assert_eq!(waiters.add(Hash::of(b"three")).err().unwrap().code, -32000);
        drop((one, two));
        assert_eq!(waiters.lock().count, 0);
    }

    #[test]
    fn those_that_give_up_make_room() {
        let waiters = Arc::new(Waiters::default());
        let hash = Hash::of(b"tx");
        let mut all: Vec<Waiter> = (0..MAX_WAITERS).map(|_| waiters.add(hash).unwrap()).collect();
        assert_eq!(waiters.add(hash).err().unwrap().code, -32000);
        all.pop();
        waiters.add(hash).unwrap();
        drop(all);
        assert_eq!(waiters.lock().count, 0);
        assert!(waiters.hashes().is_empty());
    }
}
