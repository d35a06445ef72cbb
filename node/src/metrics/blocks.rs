//! What is counted of blocks as they are committed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use prometheus_client::metrics::histogram::Histogram;
use tandem_chain::Error;
use tandem_chain::block::{Block, CertifiedBlock, Commit};
use tandem_chain::keys::PublicKey;
use tandem_chain::ledger::{Event, Receipt};
use tandem_chain::modules::standby::Reason;
use tandem_chain::roles::RoleTable;
use tandem_chain::types::{Address, Height, Power, Timestamp};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};
use tokio::task::spawn_blocking;
use tracing::warn;

use crate::storage::Database;
use crate::view::Committed;

/// Upper bounds of the distribution of block intervals, in seconds: those of CometBFT, and finer ones
/// for a chain of one site.
const INTERVALS: [f64; 13] =
    [0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Number and power of some holders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holders {
    /// How many.
    pub count: usize,
    /// Their power.
    pub power: Power,
}

impl Holders {
    fn of(powers: impl Iterator<Item = Power>) -> Self {
        powers.fold(Self::default(), |Self { count, power: Power(sum) }, Power(power)| Self {
            count: count + 1,
            power: Power(sum.saturating_add(power)),
        })
    }
}

/// What was counted.
#[derive(Clone, Debug)]
pub struct Counts {
    /// Transactions, liveness records left out.
    pub txs: u64,
    /// The newest block.
    pub newest: Option<Arc<CertifiedBlock>>,
    /// Seconds from one block to the next.
    pub intervals: Histogram,
    /// Holders whose votes the newest block's certificate of the block before lacks.
    pub missing: Holders,
    /// Keys against which the newest block has evidence.
    pub byzantine: Holders,
    /// Pieces of evidence.
    pub evidence: u64,
    /// Changes of holders, by reason.
    pub switches: BTreeMap<String, u64>,
    /// The last height whose certificate has this node's vote.
    pub last_signed: Option<Height>,
    /// Certificates without it, at heights at which this node held a seat.
    pub missed: u64,
    /// Height and time of the last block that was counted.
    last: Option<(Height, Timestamp)>,
}

impl Counts {
    fn new() -> Self {
        let reasons =
            [Reason::Automatic, Reason::Planned, Reason::Barred, Reason::Membership].iter();
        Self {
            txs: 0,
            newest: None,
            intervals: Histogram::new(INTERVALS),
            missing: Holders::default(),
            byzantine: Holders::default(),
            evidence: 0,
            switches: reasons.map(|reason| (reason.to_string(), 0)).collect(),
            last_signed: None,
            missed: 0,
            last: None,
        }
    }

    fn add<'a>(
        &mut self,
        block: &Block,
        events: impl Iterator<Item = &'a Event>,
        before: Option<&RoleTable>,
        me: Address,
    ) {
        let header = &block.header;
        if let Some((height, time)) = self.last
            && height.next() == header.height
        {
            self.intervals.observe(header.time.since(time).as_secs_f64());
        }
        self.last = Some((header.height, header.time));
        self.txs += block.txs.len() as u64;
        self.evidence += block.evidence.len() as u64;
        let mut accused = BTreeSet::new();
        let accused = block.evidence.iter().filter(|evidence| accused.insert(evidence.key));
        self.byzantine = Holders::of(accused.map(|evidence| evidence.validator_power));
        for reason in events.filter(|e| e.kind == "switch").filter_map(|e| e.attribute("reason")) {
            if let Some(count) = self.switches.get_mut(reason) {
                *count += 1;
            }
        }
        if let Some(table) = before {
            self.add_votes(&block.last_commit, table, me);
        }
    }

    /// Counts the votes in a certificate, by the role table of its height.
    fn add_votes(&mut self, commit: &Commit, table: &RoleTable, me: Address) {
        let voted = commit.signatures.iter().map(Option::is_some);
        let voted = table.validators().iter().zip(voted);
        let missing = voted.clone().filter(|(_, voted)| !voted);
        self.missing = Holders::of(missing.map(|(holder, _)| holder.power));
        for (_, voted) in voted.filter(|(holder, _)| holder.address == me) {
            if voted {
                self.last_signed = Some(commit.height);
            } else {
                self.missed += 1;
            }
        }
    }
}

/// Counts blocks as they come. Shared by its follower and scrapes alone.
#[derive(Debug)]
pub struct Blocks(watch::Sender<Counts>);

impl Blocks {
    /// Nothing is counted yet.
    pub fn new() -> Self {
        Self(watch::Sender::new(Counts::new()))
    }

    /// Follows what is counted.
    #[cfg(test)]
    pub fn follow_counts(&self) -> watch::Receiver<Counts> {
        self.0.subscribe()
    }

    /// What was counted so far.
    pub fn counts(&self) -> Counts {
        self.0.borrow().clone()
    }

    /// Follows the commits until no more come. Those that were missed are read from the database.
    pub async fn follow(
        self: Arc<Self>,
        me: PublicKey,
        db: Database,
        mut commits: broadcast::Receiver<Arc<Committed>>,
    ) {
        let me = me.address();
        let mut table: Option<(Height, Arc<RoleTable>)> = None;
        loop {
            let committed = match commits.recv().await {
                Ok(committed) => committed,
                Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => return,
            };
            let height = committed.tip.height;
            let next = self.0.borrow().last.map(|(height, _)| height.next());
            if let Some(next) = next.filter(|next| *next < height) {
                let (blocks, db) = (Arc::clone(&self), db.clone());
                let read = spawn_blocking(move || blocks.read(&db, next, height, me)).await;
                if let Ok(Err(error)) = read {
                    warn!(%error, "blocks were missed by the metrics, and not read");
                }
            }
            let before = table.take().filter(|(of, _)| of.next() == height);
            let before = before.as_ref().map(|(_, table)| &**table);
            let Committed { block, receipts, events, tip } = &*committed;
            let of_txs = receipts.iter().flat_map(|receipt: &Receipt| &receipt.events);
            self.0.send_modify(|counts| {
                counts.add(&block.block, events.iter().chain(of_txs), before, me);
                counts.newest = Some(Arc::clone(block));
            });
            table = Some((height, Arc::clone(&tip.table)));
        }
    }

    /// Counts the blocks from `first` to below `end` by what the database has of them.
    fn read(&self, db: &Database, first: Height, end: Height, me: Address) -> Result<(), Error> {
        for height in (first.0..end.0).map(Height) {
            let (Some(block), Some(results)) = (db.block(height)?, db.results(height)?) else {
                continue;
            };
            let of_txs = results.receipts.iter().flat_map(|receipt| &receipt.events);
            let events = results.events.iter().chain(of_txs);
            self.0.send_modify(|counts| counts.add(&block.block, events, None, me));
        }
        Ok(())
    }
}
