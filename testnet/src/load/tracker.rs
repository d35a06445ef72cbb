//! What became of each transaction that a client sent.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tandem_chain::tx::Tx;
use tandem_chain::types::{Height, TxHash};
use tokio::time::Instant;

/// Different reasons of refusal that are counted; further ones count together.
const MAX_REASONS: usize = 20;

/// Transactions sent, and those with a receipt. Shared by senders and the one who reads blocks.
#[derive(Default)]
pub struct Tracker(Mutex<Book>);

#[derive(Default)]
struct Book {
    pending: HashMap<TxHash, Pending>,
    done: HashMap<TxHash, Height>,
    latencies: Vec<Duration>,
    twice: Vec<TxHash>,
    refusals: BTreeMap<String, usize>,
    sent_again: usize,
}

struct Pending {
    tx: Tx,
    first: Instant,
    last: Instant,
}

/// Counts at one moment.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Transactions handed to senders, each once however often it was sent.
    pub offered: usize,
    /// Those of them that were seen in a block.
    pub committed: usize,
    /// Times that a transaction was sent again for want of a receipt.
    pub sent_again: usize,
    /// Answers other than acceptance, by reason.
    pub refusals: BTreeMap<String, usize>,
    /// Transactions that were seen in two blocks, or twice in one.
    pub twice: Vec<TxHash>,
}

impl Tracker {
    fn book(&self) -> MutexGuard<'_, Book> {
        // A panic elsewhere leaves counts that are still whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A transaction is about to be sent for the first time.
    pub fn offered(&self, tx: &Tx, now: Instant) {
        self.book().pending.insert(tx.hash(), Pending { tx: tx.clone(), first: now, last: now });
    }

    /// A node did not accept a transaction.
    pub fn refused(&self, reason: &str) {
        let mut book = self.book();
        let known = book.refusals.contains_key(reason) || book.refusals.len() < MAX_REASONS;
        *book.refusals.entry(if known { reason } else { "other" }.to_owned()).or_default() += 1;
    }

    /// The block at `height` was seen, with these transactions in it. Others' do not count.
    pub fn committed(&self, hashes: &[TxHash], height: Height, now: Instant) {
        let mut book = self.book();
        for hash in hashes {
            if let Some(pending) = book.pending.remove(hash) {
                book.latencies.push(now - pending.first);
                book.done.insert(*hash, height);
            } else if book.done.contains_key(hash) {
                book.twice.push(*hash);
            }
        }
    }

    /// Transactions without a receipt that were last sent `age` ago or longer; they count as sent
    /// again now. At most `max`, the rest when asked again.
    pub fn due(&self, age: Duration, max: usize, now: Instant) -> Vec<Tx> {
        let mut book = self.book();
        let mut due = Vec::new();
        for pending in book.pending.values_mut().filter(|p| now - p.last >= age).take(max) {
            pending.last = now;
            due.push(pending.tx.clone());
        }
        book.sent_again += due.len();
        due
    }

    /// A node could not be reached: those of its transactions that have no receipt are due at
    /// once, by an age of `age`.
    pub fn send_at_once(&self, txs: &[Tx], age: Duration) {
        let mut book = self.book();
        for tx in txs {
            if let Some(pending) = book.pending.get_mut(&tx.hash()) {
                pending.last = pending.last.checked_sub(age).unwrap_or(pending.last);
            }
        }
    }

    /// Transactions without a receipt.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.book().pending.len()
    }

    /// One of the transactions without a receipt.
    #[must_use]
    pub fn any_pending(&self) -> Option<TxHash> {
        self.book().pending.keys().next().copied()
    }

    /// Transactions whose client was told that they are committed, with their heights.
    #[must_use]
    pub fn receipts(&self) -> HashMap<TxHash, Height> {
        self.book().done.clone()
    }

    /// Times from the first sending to the sight of the block, so far.
    #[must_use]
    pub fn latencies(&self) -> Vec<Duration> {
        self.book().latencies.clone()
    }

    /// The counts now.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let book = self.book();
        Counts {
            offered: book.pending.len() + book.done.len(),
            committed: book.done.len(),
            sent_again: book.sent_again,
            refusals: book.refusals.clone(),
            twice: book.twice.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use tandem_chain::keys::SecretKey;
    use tandem_chain::modules::{Call, records};
    use tandem_chain::tx::TxBody;

    use super::*;

    fn tx(nonce: u64) -> Tx {
        let key = SecretKey::from_seed(&[7; 32]);
        let call = Call::Records(records::Call::Create { data_set: "x".parse().unwrap() });
        let chain_id = "test".parse().unwrap();
        let body = TxBody { chain_id, sender: key.public(), nonce, valid_until: Height(9), call };
        Tx::sign(body, &key)
    }

    #[test]
    fn a_transaction_is_pending_until_seen_and_then_counts_once() {
        let tracker = Tracker::default();
        let start = Instant::now();
        tracker.offered(&tx(1), start);
        tracker.offered(&tx(2), start);
        let second = Duration::from_secs(1);
        tracker.committed(&[tx(1).hash(), tx(9).hash()], Height(5), start + second);
        assert_eq!(tracker.pending(), 1);
        assert_eq!(tracker.any_pending(), Some(tx(2).hash()));
        assert_eq!(tracker.latencies(), [second]);
        assert_eq!(tracker.receipts()[&tx(1).hash()], Height(5));
        tracker.committed(&[tx(1).hash()], Height(6), start + second);
        let counts = tracker.counts();
        assert_eq!((counts.offered, counts.committed, counts.twice.len()), (2, 1, 1));
    }

    #[test]
    fn what_has_no_receipt_is_due_again_after_a_while() {
        let tracker = Tracker::default();
        let start = Instant::now();
        for nonce in 0..3 {
            tracker.offered(&tx(nonce), start);
        }
        let second = Duration::from_secs(1);
        assert!(tracker.due(second, 10, start).is_empty());
        assert_eq!(tracker.due(second, 2, start + second).len(), 2);
        assert_eq!(tracker.due(second, 2, start + second).len(), 1);
        assert!(tracker.due(second, 2, start + second).is_empty());
        assert_eq!(tracker.counts().sent_again, 3);
        tracker.send_at_once(&[tx(1)], second);
        assert_eq!(tracker.due(second, 9, start + second), [tx(1)]);
    }

    #[test]
    fn reasons_of_refusal_are_bounded() {
        let tracker = Tracker::default();
        for i in 0..100 {
            tracker.refused(&format!("reason {i}"));
        }
        assert_eq!(tracker.counts().refusals["other"], 100 - MAX_REASONS);
    }
}
