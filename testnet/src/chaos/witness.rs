//! What nodes tell on the way and not at the end: the certificate that each itself has for its newest
//! block, until the next block settles which one stands in the chain; and the role tables, which
//! they keep for a window of heights.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tandem_chain::block::Commit;
use tandem_chain::comet;
use tandem_chain::roles::RoleTable;
use tandem_chain::types::{Hash, Height};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

use crate::rpc::Rpc;
use crate::watcher::Watcher;

/// Time between two looks at all nodes.
const LOOK: Duration = Duration::from_millis(500);
/// Time for a node to answer; who is paused never does.
const PATIENCE: Duration = Duration::from_millis(500);

/// Asks all nodes again and again, until the value is dropped.
pub struct Witness {
    found: Arc<Mutex<Found>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Found {
    certificates: Vec<Commit>,
    /// By the hashes that headers name them with.
    tables: BTreeMap<Hash, RoleTable>,
}

fn lock(found: &Mutex<Found>) -> MutexGuard<'_, Found> {
    // Both are whole between any two statements.
    found.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Witness {
    /// Starts to ask `nodes`.
    #[must_use]
    pub fn start(nodes: Vec<Rpc>, watcher: Arc<Watcher>) -> Self {
        let found = Arc::<Mutex<Found>>::default();
        let task = tokio::spawn(look_on(nodes, watcher, Arc::clone(&found)));
        Self { found, task }
    }

    /// Certificates that nodes showed of their newest blocks.
    #[must_use]
    pub fn certificates(&self) -> Vec<Commit> {
        lock(&self.found).certificates.clone()
    }

    /// Role tables of the heights that were seen.
    #[must_use]
    pub fn tables(&self) -> Vec<RoleTable> {
        lock(&self.found).tables.values().cloned().collect()
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn look_on(nodes: Vec<Rpc>, watcher: Arc<Watcher>, found: Arc<Mutex<Found>>) {
    let mut next = Height(1);
    loop {
        let mut asked = JoinSet::new();
        for node in nodes.clone() {
            asked.spawn(async move { timeout(PATIENCE, node.newest_header()).await });
        }
        while let Some(answer) = asked.join_next().await {
            if let Ok(Ok(Ok(header))) = answer {
                lock(&found).certificates.push(header.commit);
            }
        }
        for seen in watcher.since(next) {
            let (height, hash) = (seen.block.height, seen.block.validators_hash);
            let is_known = lock(&found).tables.contains_key(&hash);
            if !is_known {
                let table = timeout(PATIENCE, any_table(&nodes, height)).await.ok().flatten();
                let table = table.filter(|table| comet::validators_hash(table) == hash);
                // It is asked for again at the next look.
                let Some(table) = table else { break };
                lock(&found).tables.insert(hash, table);
            }
            next = height.next();
        }
        sleep(LOOK).await;
    }
}

/// The role table of a height, from the first of `nodes` that tells it.
pub async fn any_table(nodes: &[Rpc], height: Height) -> Option<RoleTable> {
    let mut asked = JoinSet::new();
    for node in nodes {
        let node = node.clone();
        asked.spawn(async move { node.role_table(height).await });
    }
    while let Some(answer) = asked.join_next().await {
        if let Ok(Ok(table)) = answer {
            return Some(table);
        }
    }
    None
}
