//! Forwarding: what clients brought goes to every validator, again and again until it is
//! committed.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tandem_chain::keys::PublicKey;
use tandem_chain::tip::Tip;
use tandem_chain::tx::Tx;
use tandem_chain::types::TxHash;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::{Counted, Forward, Shared, frame};

/// Frames go out at most this often, so that many transactions share one.
const LINGER: Duration = Duration::from_millis(10);
/// Time after which a transaction that still waits is forwarded again.
pub const REPEAT_AFTER: Duration = Duration::from_secs(3);
/// How often the repeats are looked at.
const REPEAT_TICK: Duration = Duration::from_secs(1);
/// Transactions that are forwarded again in one go, to all or to one that has connected.
const MAX_REPEATED: usize = 5_000;

/// What clients have brought here and this node therefore forwards. At most what the mempool holds
/// and what came in since the last repeats.
#[derive(Default)]
pub struct Brought {
    hashes: HashSet<TxHash>,
    /// Of those, what was not forwarded yet.
    fresh: Vec<Tx>,
}

impl Brought {
    /// Whether this node forwards it already.
    pub fn contains(&self, hash: &TxHash) -> bool {
        self.hashes.contains(hash)
    }

    /// Adds one. Returns whether it is to be forwarded for the first time.
    pub fn add(&mut self, tx: Tx) -> bool {
        let is_new = self.hashes.insert(tx.hash());
        if is_new {
            self.fresh.push(tx);
        }
        is_new
    }
}

/// A transaction that this node forwards until it is committed or expires.
struct Own {
    tx: Tx,
    due: Instant,
}

/// The task that forwards.
pub struct Forwarding {
    me: PublicKey,
    network: Arc<dyn Forward>,
    shared: Arc<Shared>,
    /// In the order in which they are due. At most what the mempool holds and what came in since
    /// the last repeats: each look at it drops what waits no longer.
    own: VecDeque<Own>,
    targets: BTreeSet<PublicKey>,
}

impl Forwarding {
    pub fn new(me: PublicKey, network: Arc<dyn Forward>, shared: Arc<Shared>) -> Self {
        let targets = targets(&shared.tip(), &me);
        Self { me, network, shared, own: VecDeque::new(), targets }
    }

    /// Runs until its sender is gone or the task is aborted.
    pub async fn run(mut self, mut connected: mpsc::Receiver<PublicKey>) {
        let shared = self.shared.clone();
        let mut tip = shared.tip.clone();
        let mut ticks = interval(REPEAT_TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut next_frame = Instant::now();
        let mut waiting = false;
        loop {
            tokio::select! {
                () = shared.forward_wakes.notified(), if !waiting => waiting = true,
                () = sleep_until(next_frame), if waiting => {
                    waiting = false;
                    next_frame = Instant::now() + LINGER;
                    self.forward_fresh();
                }
                Ok(()) = tip.changed() => {
                    let tip = tip.borrow_and_update().clone();
                    self.retarget(&tip);
                }
                peer = connected.recv() => match peer {
                    Some(peer) if self.targets.contains(&peer) => self.catch_up(&[peer]),
                    Some(_) => {}
                    None => return,
                },
                now = ticks.tick() => self.repeat(now),
            }
        }
    }

    /// Sends what has come in since the last time.
    fn forward_fresh(&mut self) {
        let fresh = std::mem::take(&mut self.shared.brought().fresh);
        let targets: Vec<PublicKey> = self.targets.iter().copied().collect();
        self.send(&targets, &fresh);
        self.keep(fresh, Instant::now());
    }

    /// Takes over what was forwarded at `now`.
    pub fn keep(&mut self, txs: Vec<Tx>, now: Instant) {
        let due = now + REPEAT_AFTER;
        self.own.extend(txs.into_iter().map(|tx| Own { tx, due }));
    }

    /// Sends what waits to those that have become validators.
    fn retarget(&mut self, tip: &Tip) {
        let targets = targets(tip, &self.me);
        let new: Vec<PublicKey> = targets.difference(&self.targets).copied().collect();
        self.targets = targets;
        if !new.is_empty() {
            self.catch_up(&new);
        }
    }

    /// Sends what waits, the oldest first, to some validators alone; the regular repeats bring
    /// what is over the bound.
    fn catch_up(&mut self, to: &[PublicKey]) {
        let mempool = self.shared.mempool();
        let waiting = self.own.iter().filter(|own| mempool.contains(&own.tx.hash()));
        let txs: Vec<Tx> = waiting.take(MAX_REPEATED).map(|own| own.tx.clone()).collect();
        drop(mempool);
        self.send(to, &txs);
    }

    /// Sends what has waited for long to all, and forgets what waits no longer.
    pub fn repeat(&mut self, now: Instant) {
        let (mut txs, mut gone) = (Vec::new(), Vec::new());
        let mempool = self.shared.mempool();
        while txs.len() < MAX_REPEATED && self.own.front().is_some_and(|own| own.due <= now) {
            let own = self.own.pop_front().expect("there is a first");
            if mempool.contains(&own.tx.hash()) {
                txs.push(own.tx);
            } else {
                gone.push(own.tx.hash());
            }
        }
        drop(mempool);
        let mut brought = self.shared.brought();
        for hash in &gone {
            brought.hashes.remove(hash);
        }
        drop(brought);
        let targets: Vec<PublicKey> = self.targets.iter().copied().collect();
        self.send(&targets, &txs);
        self.keep(txs, now);
    }

    fn send(&self, to: &[PublicKey], txs: &[Tx]) {
        if to.is_empty() {
            return;
        }
        self.shared.counters.count(Counted::Forwarded, txs.len() as u64);
        for frame in frame::encode(txs) {
            self.network.forward(to, frame);
        }
    }
}

/// The validators of the present and the next role table, without this node.
fn targets(tip: &Tip, me: &PublicKey) -> BTreeSet<PublicKey> {
    let tables = [&tip.next_table, &tip.next_next_table];
    let keys = tables.into_iter().flat_map(|table| table.validators()).map(|v| v.key);
    keys.filter(|key| key != me).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Chain;

    #[test]
    fn what_is_brought_twice_is_forwarded_once() {
        let tx = Chain::new().create(1);
        let mut brought = Brought::default();
        assert!(!brought.contains(&tx.hash()));
        assert!(brought.add(tx.clone()) && !brought.add(tx.clone()));
        assert!(brought.contains(&tx.hash()));
        assert_eq!(std::mem::take(&mut brought.fresh), std::slice::from_ref(&tx));
        assert!(!brought.add(tx), "it was forwarded, and is repeated");
        assert!(brought.fresh.is_empty());
    }
}
