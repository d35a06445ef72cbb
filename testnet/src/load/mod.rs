//! Load: signs ahead, sends to several nodes at a given rate, and sends again what has no receipt.

mod signer;
mod tracker;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use tandem_chain::modules::{Call, records};
use tandem_chain::tx::Tx;
use tandem_chain::types::Height;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::rpc::Rpc;
use crate::stats::{Latency, per_second};
use crate::until::until;
use crate::watcher::Watcher;

pub use signer::{Signer, Size, sign};
pub use tracker::{Counts, Tracker};

/// Transactions in one request.
const BATCH: usize = 10;
/// Requests to one node at a time.
const CONNECTIONS: usize = 4;
/// Batches that wait for one node; when all nodes' are full the load falls behind its rate.
const MAX_QUEUED: usize = 64;
/// Transactions that are signed at a time, or as many as are sent in a second where those are fewer,
/// and slices of them that are kept ready: what waits for long to be sent would expire.
const SLICE: usize = 500;
const SLICES_AHEAD: usize = 8;
/// Time between two looks at what is to be sent.
const TICK: Duration = Duration::from_millis(5);
/// Time without a receipt after which a transaction is sent again, to another node.
const SEND_AGAIN: Duration = Duration::from_secs(2);
/// Pause of a connection to a node that is not there; its transactions go to others at once.
const NOT_REACHED: Duration = Duration::from_millis(50);
/// Time for one request.
const REQUEST: Duration = Duration::from_secs(5);

/// What is to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Transactions a second; as fast as `in_flight` allows when none.
    pub rate: Option<f64>,
    /// Transactions to send; until told to stop when none.
    pub count: Option<usize>,
    /// Transactions without a receipt at a time.
    pub in_flight: usize,
    /// Whether each is sent to every node, else to one after the other.
    pub everywhere: bool,
    /// Transactions that are signed before the first is sent; more are signed meanwhile.
    pub signed_before: usize,
}

impl Plan {
    /// `rate` transactions a second until told to stop.
    #[must_use]
    pub fn steady(rate: f64) -> Self {
        Self { rate: Some(rate), ..Self::saturating(usize::MAX) }
    }

    /// As many as keep `in_flight` of them without a receipt, until told to stop.
    #[must_use]
    pub fn saturating(in_flight: usize) -> Self {
        Self { rate: None, count: None, in_flight, everywhere: false, signed_before: 0 }
    }
}

/// What came of a load.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Transactions sent, however often.
    pub offered: usize,
    /// Those with a receipt.
    pub committed: usize,
    /// Sent again for want of a receipt.
    pub sent_again: usize,
    /// Seconds in which they were offered.
    pub offered_s: f64,
    /// Offered a second.
    pub offered_per_s: f64,
    /// From the first sending to the sight of the block.
    pub latency: Latency,
}

/// A load that is under way; dropping it ends it.
pub struct Load {
    tracker: Arc<Tracker>,
    started: Instant,
    offering: watch::Receiver<Option<Instant>>,
    stop: watch::Sender<bool>,
    _tasks: JoinSet<()>,
}

impl Load {
    /// Starts to send what `signer` makes to `nodes`; receipts are what `watcher` sees.
    ///
    /// # Errors
    /// When the data sets that it writes to cannot be made.
    pub async fn start(
        nodes: Vec<Rpc>,
        watcher: &Watcher,
        signer: Signer,
        plan: Plan,
    ) -> Result<Self> {
        create_data_sets(&nodes, watcher, &signer).await?;
        let tracker = Arc::new(Tracker::default());
        watcher.report_to(Arc::clone(&tracker));
        let mut tasks = JoinSet::new();
        let queues: Vec<mpsc::Sender<Vec<Tx>>> = nodes
            .into_iter()
            .map(|node| {
                let (queue, queued) = mpsc::channel(MAX_QUEUED);
                let queued = Arc::new(tokio::sync::Mutex::new(queued));
                for _ in 0..CONNECTIONS {
                    tasks.spawn(send(node.clone(), Arc::clone(&queued), Arc::clone(&tracker)));
                }
                queue
            })
            .collect();

        let (slices, mut ready) = mpsc::channel(SLICES_AHEAD);
        let height = watcher.subscribe();
        tasks.spawn_blocking(move || make_slices(signer, plan, &height, &slices));
        // The first ones are there before the clock starts.
        let mut first = ready.recv().await.context("nothing to send")?;
        while first.len() < plan.signed_before
            && let Some(more) = ready.recv().await
        {
            first.extend(more);
        }

        let (stop, stopped) = watch::channel(false);
        let (offered, offering) = watch::channel(None);
        let started = Instant::now();
        let pacer = Pacer { plan, queues, tracker: Arc::clone(&tracker), next: 0 };
        tasks.spawn(async move {
            pacer.run(first, ready, stopped, &offered).await;
        });
        Ok(Self { tracker, started, offering, stop, _tasks: tasks })
    }

    /// The transactions' fate so far.
    #[must_use]
    pub fn tracker(&self) -> &Arc<Tracker> {
        &self.tracker
    }

    /// Offers nothing new; what has no receipt is still sent again.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Waits until all of a counted load was offered.
    ///
    /// # Errors
    /// When that takes longer than `deadline`.
    pub async fn offered(&self, deadline: Duration) -> Result<()> {
        let mut offering = self.offering.clone();
        let waited = tokio::time::timeout(deadline, offering.wait_for(Option::is_some)).await;
        waited.context("the nodes do not take the load")?.context("the load ended")?;
        Ok(())
    }

    /// Stops, and waits until every transaction that was offered has a receipt.
    ///
    /// # Errors
    /// When one has none within `deadline`, or one was seen twice.
    pub async fn finish(self, deadline: Duration) -> Result<Summary> {
        self.stop();
        self.offered(deadline).await?;
        until("every transaction has a receipt", deadline, || async {
            match (self.tracker.pending(), self.tracker.any_pending()) {
                (count, Some(one)) => bail!("{count} have none, one of them {one}"),
                _ => Ok(()),
            }
        })
        .await?;
        let summary = self.summary();
        let twice = self.tracker.counts().twice;
        if let Some(one) = twice.first() {
            bail!("{} transactions were committed twice, one of them {one}", twice.len());
        }
        Ok(summary)
    }

    /// What came of it so far.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let counts = self.tracker.counts();
        let end = self.offering.borrow().unwrap_or_else(Instant::now);
        let time = end - self.started;
        Summary {
            offered: counts.offered,
            committed: counts.committed,
            sent_again: counts.sent_again,
            offered_s: time.as_secs_f64(),
            offered_per_s: per_second(counts.offered, time),
            latency: Latency::of(self.tracker.latencies()),
        }
    }
}

/// Hands transactions out to the nodes' queues.
struct Pacer {
    plan: Plan,
    queues: Vec<mpsc::Sender<Vec<Tx>>>,
    tracker: Arc<Tracker>,
    next: usize,
}

impl Pacer {
    async fn run(
        mut self,
        first: Vec<Tx>,
        mut ready: mpsc::Receiver<Vec<Tx>>,
        mut stopped: watch::Receiver<bool>,
        offered: &watch::Sender<Option<Instant>>,
    ) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let start = Instant::now();
        let mut slice = first.into_iter();
        let mut sent = 0;
        let mut offering = true;
        loop {
            ticks.tick().await;
            self.send_again();
            if !offering {
                continue;
            }
            let mut due = self.due(start, sent);
            while due > 0 && offering {
                let mut batch: Vec<Tx> = slice.by_ref().take(BATCH.min(due)).collect();
                if batch.is_empty() {
                    tokio::select! {
                        more = ready.recv() => match more {
                            Some(more) => slice = more.into_iter(),
                            None => offering = false,
                        },
                        _ = stopped.wait_for(|stop| *stop) => offering = false,
                    }
                    continue;
                }
                due -= batch.len();
                sent += batch.len();
                let now = Instant::now();
                for tx in &batch {
                    self.tracker.offered(tx, now);
                }
                // All queues full: waits, and so falls behind the rate.
                while let Some(back) = self.hand_out(batch).await {
                    batch = back;
                    ticks.tick().await;
                }
                offering &= !*stopped.borrow();
            }
            offering &= !*stopped.borrow();
            if !offering {
                offered.send_replace(Some(Instant::now()));
            }
        }
    }

    /// Transactions that should be sent by now and were not.
    fn due(&self, start: Instant, sent: usize) -> usize {
        let room = self.plan.in_flight.saturating_sub(self.tracker.pending());
        match self.plan.rate {
            None => room,
            Some(rate) => {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a count"
                )]
                let target = (start.elapsed().as_secs_f64() * rate) as usize;
                room.min(target.saturating_sub(sent))
            }
        }
    }

    /// Puts a batch into every queue, waiting for room in each, or into the next one with room;
    /// gives it back when there is none.
    async fn hand_out(&mut self, batch: Vec<Tx>) -> Option<Vec<Tx>> {
        if self.plan.everywhere {
            for queue in &self.queues {
                // An error means that the load has ended.
                let _ = queue.send(batch.clone()).await;
            }
            return None;
        }
        self.next_with_room(batch)
    }

    fn next_with_room(&mut self, mut batch: Vec<Tx>) -> Option<Vec<Tx>> {
        for _ in 0..self.queues.len() {
            self.next = (self.next + 1) % self.queues.len();
            match self.queues[self.next].try_send(batch) {
                Ok(()) => return None,
                Err(error) => batch = error.into_inner(),
            }
        }
        Some(batch)
    }

    fn send_again(&mut self) {
        let due = self.tracker.due(SEND_AGAIN, BATCH * MAX_QUEUED, Instant::now());
        for batch in due.chunks(BATCH) {
            // Without room it is due again a little later.
            let _ = self.next_with_room(batch.to_vec());
        }
    }
}

/// Sends the batches of one node's queue, one at a time.
async fn send(
    node: Rpc,
    queued: Arc<tokio::sync::Mutex<mpsc::Receiver<Vec<Tx>>>>,
    tracker: Arc<Tracker>,
) {
    loop {
        let Some(batch) = queued.lock().await.recv().await else { return };
        match tokio::time::timeout(REQUEST, node.submit(&batch)).await {
            Ok(Ok(answers)) => {
                for refusal in answers.into_iter().filter_map(Result::err) {
                    tracker.refused(&refusal);
                }
            }
            Ok(Err(_)) => {
                tracker.refused("not reached");
                tracker.send_at_once(&batch, SEND_AGAIN);
                tokio::time::sleep(NOT_REACHED).await;
            }
            Err(_) => tracker.refused("no answer in time"),
        }
    }
}

/// Signs slices until enough were made or nobody wants more.
fn make_slices(
    mut signer: Signer,
    plan: Plan,
    height: &watch::Receiver<Height>,
    slices: &mpsc::Sender<Vec<Tx>>,
) {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
    let most = plan.rate.map_or(SLICE, |rate| (rate.ceil() as usize).clamp(1, SLICE));
    let mut left = plan.count.unwrap_or(usize::MAX);
    while left > 0 {
        let slice = signer.make_many(left.min(most), *height.borrow());
        left -= slice.len();
        if slices.blocking_send(slice).is_err() {
            return;
        }
    }
}

/// Makes the data sets that are written to, where they are not there yet.
async fn create_data_sets(nodes: &[Rpc], watcher: &Watcher, signer: &Signer) -> Result<()> {
    let node = nodes.first().context("no node to send to")?;
    let mut created = Vec::new();
    for (key, data_set) in signer.data_sets() {
        let call = Call::Records(records::Call::Create { data_set });
        let tx = sign(signer.chain_id(), &key, rand::random(), watcher.height(), call);
        let answer = node.submit(std::slice::from_ref(&tx)).await?.remove(0);
        answer.map_err(|reason| anyhow::anyhow!("the load's data set was refused: {reason}"))?;
        created.push(tx.hash());
    }
    for hash in created {
        until("the load's data set is there", Duration::from_secs(20), || async {
            // A receipt with an error says that it was there already.
            node.receipt(&hash).await
        })
        .await?;
    }
    Ok(())
}
