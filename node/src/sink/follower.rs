//! Follows the chain, and brings the server after it.

use std::sync::Arc;
use std::time::Duration;

use tandem_chain::Error;
use tandem_chain::genesis::Genesis;
use tandem_chain::tip::Tip;
use tandem_chain::types::Height;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tokio_postgres::{Client, NoTls};
use tracing::{info, warn};

use super::error::SinkError;
use super::rows::Rows;
use super::writer::{Writer, in_time};
use super::{Figures, Server};
use crate::storage::Database;

/// Wait after the first attempt that failed; each further one doubles it.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// The longest wait.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// Brings the server after the chain.
pub(super) struct Follower {
    server: Server,
    genesis: Arc<Genesis>,
    db: Database,
    tip: watch::Receiver<Arc<Tip>>,
    figures: watch::Sender<Figures>,
    /// What was told last of what is wrong; none while nothing is.
    told: Option<String>,
    /// The highest height that was left out.
    left_out: Height,
}

impl Follower {
    pub fn new(
        server: Server,
        genesis: Arc<Genesis>,
        db: Database,
        tip: watch::Receiver<Arc<Tip>>,
        figures: watch::Sender<Figures>,
    ) -> Self {
        Self { server, genesis, db, tip, figures, told: None, left_out: Height::ZERO }
    }

    /// Until the node stops.
    pub async fn follow(mut self) {
        let mut wait = FIRST_WAIT;
        while let Err(error) = self.connect().await {
            self.figures.send_modify(|figures| figures.failures += 1);
            // It has been mended since the last failure.
            if self.told.is_none() {
                wait = FIRST_WAIT;
            }
            let error = error.to_string();
            if self.told.as_ref() != Some(&error) {
                warn!(error, "PostgreSQL does not get what is committed; it is tried again");
                self.told = Some(error);
            }
            sleep(wait).await;
            wait = MAX_WAIT.min(2 * wait);
        }
    }

    /// Over one connection, which ends with an error, or with the node.
    async fn connect(&mut self) -> Result<(), SinkError> {
        let (client, connection) = in_time(self.server.connect(NoTls)).await?;
        tokio::select! {
            // Its error says more than what a request gets that waits for an answer over it.
            biased;
            ended = connection => {
                ended?;
                Err(SinkError::Closed)
            }
            ended = self.write(client) => ended,
        }
    }

    async fn write(&mut self, client: Client) -> Result<(), SinkError> {
        let mut writer = Writer::new(client, &self.genesis).await?;
        let (mut height, mut end) = self.place(&writer).await?;
        // From where on heights are missing that the next one that is written leaves behind.
        let mut left = None;
        self.figures.send_modify(|figures| figures.height = Some(height));
        loop {
            let next = height.next();
            let Ok(tip) = self.tip.wait_for(|tip| tip.height >= next).await.map(|tip| tip.height)
            else {
                return Ok(());
            };
            height = match self.rows(next, tip).await? {
                Found::Rows(rows) => {
                    in_time(writer.write(&rows, left.take())).await?;
                    next
                }
                Found::From(first) => {
                    self.skip(next, first);
                    // A gap that is being filled is known.
                    if end.is_none() {
                        left.get_or_insert(next);
                    }
                    first.back(1)
                }
            };
            if end.is_some_and(|end| height >= end) {
                (height, end) = self.place(&writer).await?;
            }
            self.figures.send_modify(|figures| figures.height = Some(height));
            // That it answers alone does not say that it takes anything.
            if self.told.take().is_some() {
                info!(%height, "PostgreSQL gets what is committed again");
            }
        }
    }

    /// The height behind which it goes on: in a gap in which this node has something, up to its end, or at the
    /// highest.
    async fn place(&self, writer: &Writer) -> Result<(Height, Option<Height>), SinkError> {
        let db = self.db.clone();
        let first = blocking(move || Found::first(&db)).await?;
        let standing = writer.standing(first).await?;
        Ok(match standing.gap {
            Some((low, high)) => (low.max(first).back(1), Some(high)),
            None => (standing.highest, None),
        })
    }

    /// Counts the heights from `next` on and below `first` that were not counted before.
    fn skip(&mut self, next: Height, first: Height) {
        let (next, last) = (next.max(self.left_out.next()), first.back(1));
        if next > last {
            return;
        }
        self.left_out = last;
        self.figures.send_modify(|figures| figures.skipped += first.0 - next.0);
        warn!(
            from = %next, to = %last,
            "PostgreSQL lacks these heights: this node has not got them, or not what came of them, any more"
        );
    }

    /// The rows of a height up to `tip`.
    async fn rows(&self, height: Height, tip: Height) -> Result<Found, SinkError> {
        let db = self.db.clone();
        Ok(blocking(move || Found::read(&db, height, tip)).await?)
    }
}

/// Reads the database.
async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let read = spawn_blocking(read).await;
    read.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

/// What a node has of a height.
#[derive(Debug)]
enum Found {
    /// Its rows.
    Rows(Box<Rows>),
    /// Nothing; it may have something of this height.
    From(Height),
}

impl Found {
    /// The lowest height of which a node may have something.
    fn first(db: &Database) -> Result<Height, Error> {
        let first = db.first_height().max(Height(1));
        // Of the block with which the state was restored nobody knows here what it did.
        let has_results = first > db.height() || db.results(first)?.is_some();
        Ok(if has_results { first } else { first.next() })
    }

    fn read(db: &Database, height: Height, tip: Height) -> Result<Self, Error> {
        // It rises before blocks go.
        let block = db.block(height)?;
        let results = db.results(height)?;
        let first = db.first_height();
        if height < first {
            return Ok(Self::From(first));
        }
        let Some(block) = block else {
            let reason = format!("block {height} of {tip} is missing, and is not below the lowest");
            return Err(Error::Damaged { what: "block", reason });
        };
        // Of the block with which the state was restored nobody knows here what it did.
        Ok(results.map_or(Self::From(height.next()), |results| {
            Self::Rows(Box::new(Rows::new(&block.block, &results)))
        }))
    }
}
