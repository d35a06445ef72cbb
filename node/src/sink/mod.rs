//! A sink for transactions and events: a PostgreSQL, for explorers that outgrow one node.
//!
//! ```text
//!   tip (watch): how far the chain is ──┐
//!   database: blocks, results ──────────┴──> follower ──> one transaction a height ──> PostgreSQL
//!                                             ^                                            │
//!                                             └────── the highest height that is there ────┘
//! ```
//!
//! - **Restart-safe.** The node keeps no record of what it wrote: with each connection it asks for the
//!   highest height that is there, and goes on behind it, reading from its own database. What was left out
//!   below stands there as a gap, which a node that has something of it fills first.
//! - **Exactly once.** A height, with all that is about it, is written in one transaction, which begins
//!   with a row that is unique for chain and height. Whoever finds that row there, his own of before
//!   a kill or that of another node of the same chain, leaves the height as it is.
//! - **In order.** A height is written when the one below stands there or is known as a gap, so that nothing
//!   is missing unnoticed, whoever of several nodes is killed.
//! - **Beside all else.** A task of its own holds one block at a time. Consensus and pruning do not wait
//!   for it. What was taken away before it was written, or was never there in a node that restored a
//!   snapshot, is left out, told in the log and counted.
//!
//! Tables and views are those of CometBFT's `psql` indexer: `schema.sql`, beside this file.

mod error;
mod follower;
mod rows;
#[cfg(test)]
mod tests;
mod writer;

use std::sync::Arc;

use tandem_chain::genesis::Genesis;
use tandem_chain::tip::Tip;
use tandem_chain::types::Height;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::storage::Database;
use follower::Follower;

/// How the server is reached, with its password.
pub use tokio_postgres::Config as Server;

/// What became of the sink since the node's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Height up to which the node has seen or written everything there; none before it has asked.
    pub height: Option<Height>,
    /// Heights that this node could not write: it has not got them any more.
    pub skipped: u64,
    /// Attempts that failed.
    pub failures: u64,
}

/// Writes what the node commits to a PostgreSQL.
pub struct Sink {
    /// Its end is told by dropping it.
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
    figures: watch::Receiver<Figures>,
}

impl Sink {
    /// For the node with this database, whose chain `tip` tells of. Called within a tokio runtime. A server
    /// that does not answer is no error: it is tried again, with waits that grow up to a bound.
    #[must_use]
    pub fn start(
        server: Server,
        genesis: Arc<Genesis>,
        db: Database,
        tip: watch::Receiver<Arc<Tip>>,
    ) -> Self {
        let (end, ended) = oneshot::channel::<()>();
        let (sender, figures) = watch::channel(Figures::default());
        let follower = Follower::new(server, genesis, db, tip, sender);
        let task = tokio::spawn(async move {
            tokio::select! {
                _ = ended => {}
                () = follower.follow() => {}
            }
        });
        Self { end, task, figures }
    }

    /// Follows what becomes of it.
    #[must_use]
    pub fn figures(&self) -> watch::Receiver<Figures> {
        self.figures.clone()
    }

    /// Ends it. What is being written comes whole or not at all, as with a kill.
    pub async fn stop(self) {
        drop(self.end);
        // Its panic has ended the process, or is the test's that stops it.
        let _ = self.task.await;
    }
}
