//! The thread that owns the ledger: builds, checks and executes blocks, one job after another.

use std::sync::Arc;
use std::sync::mpsc as std_mpsc;
use std::thread;

use tandem_chain::Error;
use tandem_chain::block::{Block, CertifiedBlock};
use tandem_chain::evidence_pool::EvidencePool;
use tandem_chain::keys::PublicKey;
use tandem_chain::ledger::Ledger;
use tandem_chain::limits::MAX_ACCUSED;
use tandem_chain::tip::Tip;
use tandem_chain::tx::Tx;
use tandem_chain::types::{BlockId, Height, Round};
use tandem_chain::vote::Vote;
use tandem_consensus::Input;
use tokio::sync::{broadcast, mpsc, watch};

use super::{Done, Fatal};
use crate::admission::Admission;
use crate::run::wall_clock;
use crate::snapshots::Taker;
use crate::storage::Database;
use crate::view::Committed;

/// Where the results of a block are published.
pub struct Publishers {
    /// The state after the newest block.
    pub tip: watch::Sender<Arc<Tip>>,
    /// Every block as it is committed.
    pub commits: broadcast::Sender<Arc<Committed>>,
    /// Who takes snapshots, if anybody does.
    pub snapshots: Option<Taker>,
}

/// Two votes of a key that contradict each other, brought from outside: judged, signatures and all.
#[derive(Clone, Debug)]
pub struct Accusation {
    /// The key.
    pub key: PublicKey,
    /// One vote.
    pub one: Vote,
    /// The other.
    pub other: Vote,
}

/// Where double signings are brought from outside, and where the executor takes them up when it builds a
/// block.
#[must_use]
pub fn accusations() -> (std_mpsc::SyncSender<Accusation>, std_mpsc::Receiver<Accusation>) {
    std_mpsc::sync_channel(MAX_ACCUSED)
}

pub(super) enum Job {
    Build { height: Height, round: Round },
    Check { id: BlockId, block: Arc<Block> },
    Commit(Arc<CertifiedBlock>),
    Evidence { key: PublicKey, one: Box<Vote>, other: Box<Vote> },
}

pub(super) enum Outcome {
    /// An answer to the replica.
    Input(Box<Input>),
    /// A block is executed and stored.
    Committed(Arc<Tip>),
    /// The database has failed.
    Failed(Error),
}

/// Its thread ends when it is dropped.
pub(super) struct Executor(pub(super) std_mpsc::Sender<Job>);

impl Executor {
    pub fn start(
        ledger: Ledger<Database>,
        db: Database,
        admission: Admission,
        publishers: Publishers,
        accusations: std_mpsc::Receiver<Accusation>,
        done: mpsc::Sender<Done>,
    ) -> Self {
        let (sender, receiver) = std_mpsc::channel();
        let evidence = EvidencePool::default();
        let mut worker = Worker { ledger, db, admission, publishers, evidence, accusations };
        thread::Builder::new()
            .name("executor".to_owned())
            .spawn(move || {
                for job in receiver {
                    let outcome = worker.run(job).unwrap_or_else(|e| Some(Outcome::Failed(e)));
                    let Some(outcome) = outcome else { continue };
                    if done.blocking_send(Done::Executor(outcome)).is_err() {
                        return;
                    }
                }
            })
            .expect("the system gives a thread");
        Self(sender)
    }

    /// Hands over a job. The replica asks for few at a time: one build and one commit, and a check
    /// per proposal.
    pub fn send(&self, job: Job) -> Result<(), Fatal> {
        self.0.send(job).map_err(|_| Fatal::Gone("executor thread"))
    }
}

/// Executes a block that was decided and checked, and stores it with all that it changes.
///
/// # Errors
/// [`Error::Storage`], [`Error::Damaged`].
pub(crate) fn commit(
    ledger: &mut Ledger<Database>,
    db: &Database,
    certified: &Arc<CertifiedBlock>,
) -> Result<Committed, Error> {
    let execution = ledger.execute(&certified.block)?;
    db.commit(certified, &execution)?;
    let committed = Committed {
        block: Arc::clone(certified),
        receipts: Arc::new(execution.receipts),
        events: Arc::new(execution.events),
        tip: Arc::clone(&execution.tip),
    };
    ledger.apply(execution.tip);
    Ok(committed)
}

struct Worker {
    ledger: Ledger<Database>,
    db: Database,
    admission: Admission,
    publishers: Publishers,
    evidence: EvidencePool,
    accusations: std_mpsc::Receiver<Accusation>,
}

impl Worker {
    fn run(&mut self, job: Job) -> Result<Option<Outcome>, Error> {
        let input = |input| Ok(Some(Outcome::Input(Box::new(input))));
        match job {
            Job::Build { height, round } => {
                if height != self.ledger.tip().height.next() {
                    return Ok(None);
                }
                let txs = self.choose()?;
                for Accusation { key, one, other } in self.accusations.try_iter() {
                    self.evidence.add(key, one, other);
                }
                let evidence = self.evidence.for_block(&self.ledger)?;
                input(Input::Built { height, round, txs, evidence })
            }
            Job::Check { id, block } => {
                let height = block.header.height;
                let verdict = match self.ledger.check(&block) {
                    Err(error @ (Error::Storage { .. } | Error::Damaged { .. })) => {
                        return Err(error);
                    }
                    verdict => verdict,
                };
                input(Input::Checked { height, block: id, verdict })
            }
            Job::Commit(block) => self.commit(block).map(Some),
            Job::Evidence { key, one, other } => {
                self.evidence.add(key, *one, *other);
                Ok(None)
            }
        }
    }

    /// Transactions for the next block. What no block may carry any more leaves the mempool.
    fn choose(&self) -> Result<Vec<Tx>, Error> {
        let parameters = &self.ledger.tip().parameters;
        let bound = |limit: u64| usize::try_from(limit).unwrap_or(usize::MAX);
        let taken =
            self.admission.take(bound(parameters.block_max_bytes), bound(parameters.block_max_txs));
        let chosen = self.ledger.select(taken.clone())?;
        let mut kept = chosen.iter().map(Tx::hash).peekable();
        for tx in &taken {
            if kept.next_if_eq(&tx.hash()).is_none() {
                self.admission.remove(&tx.hash());
            }
        }
        Ok(chosen)
    }

    fn commit(&mut self, certified: Arc<CertifiedBlock>) -> Result<Outcome, Error> {
        let committed = commit(&mut self.ledger, &self.db, &certified)?;
        if let Some(taker) = &self.publishers.snapshots {
            taker.committed(&certified.block.header, wall_clock());
        }
        let tip = Arc::clone(&committed.tip);
        self.publishers.tip.send_replace(Arc::clone(&tip));
        self.admission.committed(&certified.block);
        // Nobody listens while the RPC is down: the database has it all.
        let _ = self.publishers.commits.send(Arc::new(committed));
        Ok(Outcome::Committed(tip))
    }
}
