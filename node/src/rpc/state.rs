//! What the RPC answers from: published snapshots and the database, never what consensus locks.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use serde_json::Value;
use tandem_chain::block::CertifiedBlock;
use tandem_chain::genesis::Genesis;
use tandem_chain::keys::PublicKey;
use tandem_chain::tip::Tip;
use tandem_chain::types::{BlockId, Hash, Height, TxHash};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};
use tracing::warn;

use super::alive::AliveBlocks;
use super::answer::{MAX_UNSENT_BYTES, Unsent};
use super::error::RpcError;
use super::places::{Place, Places};
use super::rates::Rates;
use super::requests::Requests;
use super::waiters::{Found, Waiters};
use super::websocket::Hub;
use crate::admission::Admission;
use crate::config::Config;
use crate::driver::Accusation;
use crate::maintenance::Maintenance;
use crate::snapshots::Server;
use crate::storage::Database;
use crate::view::{Committed, NodeView};

/// Reads of the database at once; more wait for their turn.
pub(super) const MAX_READS: usize = 16;

/// Of those, for one client.
const MAX_READS_PER_CLIENT: usize = 12;

/// Reads of many blocks at once, of those reads: each may take a processor for as long as its bounds let it.
const MAX_SCANS: usize = 6;

/// Of those, for one client.
const MAX_SCANS_PER_CLIENT: usize = 4;

/// Bytes of long bodies that are worked on at once; more wait for their turn. What is parsed takes many times
/// as much.
const MAX_LONG_BYTES: usize = 32 * 1024 * 1024;

/// Of those, for one client.
const MAX_LONG_BYTES_PER_CLIENT: usize = MAX_LONG_BYTES / 2;

/// Bytes of a body that is not long.
const SHORT_BODY_BYTES: usize = 32 * 1024;

/// Time that an answer from the index waits for the blocks that are not in it yet.
const INDEX_WAIT: Duration = Duration::from_secs(2);

/// Blocks that the index may be behind so that it is waited for.
const INDEX_SOON: u64 = 1_000;

/// A connected node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its key.
    pub key: PublicKey,
    /// The other end of the connection, as a multiaddress.
    pub address: String,
    /// Its IP address.
    pub ip: IpAddr,
    /// Whether this node dialled it.
    pub is_outbound: bool,
    /// Since when it is connected.
    pub connected_for: Duration,
    /// How long it took last to it and back; none before it was measured.
    pub round_trip: Option<Duration>,
    /// Bytes received on the connection.
    pub received: u64,
    /// Bytes sent on it.
    pub sent: u64,
}

/// Who knows the connected nodes.
pub trait Peers: Send + Sync + 'static {
    /// Those that are connected now.
    fn peers(&self) -> Vec<Peer>;

    /// What has happened so far, by name.
    fn counters(&self) -> BTreeMap<&'static str, u64> {
        BTreeMap::new()
    }
}

/// What the driver hands to the RPC.
pub struct Setup {
    /// The node's key.
    pub me: PublicKey,
    /// The chain's genesis.
    pub genesis: Arc<Genesis>,
    /// The node's configuration.
    pub config: Config,
    /// The database.
    pub db: Database,
    /// What is known of the chain after the newest block.
    pub tip: watch::Receiver<Arc<Tip>>,
    /// Where the node stands.
    pub view: watch::Receiver<Arc<NodeView>>,
    /// Blocks as they are committed; they are in the database already.
    pub commits: broadcast::Receiver<Arc<Committed>>,
    /// Admission of transactions.
    pub admission: Admission,
    /// The network.
    pub network: Arc<dyn Peers>,
    /// Backups and compactions.
    pub maintenance: Arc<Maintenance>,
    /// The snapshots of this node.
    pub snapshots: Server,
    /// Takes double signings that clients bring.
    pub accuse: SyncSender<Accusation>,
    /// Where calls are counted.
    pub requests: Arc<Requests>,
}

/// What every request sees.
pub struct RpcState {
    pub(super) me: PublicKey,
    pub(super) genesis: Arc<Genesis>,
    pub(super) config: Config,
    pub(super) db: Database,
    pub(super) tip: watch::Receiver<Arc<Tip>>,
    pub(super) view: watch::Receiver<Arc<NodeView>>,
    pub(super) admission: Admission,
    pub(super) network: Arc<dyn Peers>,
    pub(super) maintenance: Arc<Maintenance>,
    pub(super) snapshots: Server,
    pub(super) accuse: SyncSender<Accusation>,
    pub(super) requests: Arc<Requests>,
    pub(super) genesis_hash: Hash,
    pub(super) waiters: Arc<Waiters>,
    pub(super) hub: Arc<Hub>,
    pub(super) websockets: Places,
    pub(super) rates: Arc<Rates>,
    pub(super) alive: AliveBlocks,
    /// The part of `status` about the lowest block, with its height.
    pub(super) earliest: Mutex<Option<(Height, Value)>>,
    pub(super) unsent: Unsent,
    pub(super) reads: Places,
    pub(super) scans: Places,
    bodies: Places,
}

impl RpcState {
    /// The state, and a task of this runtime that follows the commits until their sender is gone.
    pub(super) fn start(setup: Setup) -> Arc<Self> {
        let alive = AliveBlocks::read(&setup.db, &setup.tip.borrow()).unwrap_or_else(|error| {
            warn!(%error, "the records of the last blocks cannot be read: who was alive is not known");
            AliveBlocks::default()
        });
        let state = Arc::new(Self {
            websockets: Places::new(
                setup.config.rpc.max_websockets,
                setup.config.rpc.max_websockets_per_client,
            ),
            rates: Arc::new(Rates::new(setup.config.rpc.max_requests_per_s)),
            me: setup.me,
            genesis_hash: setup.genesis.hash(),
            genesis: setup.genesis,
            config: setup.config,
            db: setup.db,
            tip: setup.tip,
            view: setup.view,
            admission: setup.admission,
            network: setup.network,
            maintenance: setup.maintenance,
            snapshots: setup.snapshots,
            accuse: setup.accuse,
            requests: setup.requests,
            waiters: Arc::default(),
            hub: Arc::default(),
            alive,
            earliest: Mutex::default(),
            unsent: Unsent::new(MAX_UNSENT_BYTES),
            reads: Places::new(MAX_READS, MAX_READS_PER_CLIENT),
            scans: Places::new(MAX_SCANS, MAX_SCANS_PER_CLIENT),
            bodies: Places::new(MAX_LONG_BYTES, MAX_LONG_BYTES_PER_CLIENT),
        });
        tokio::spawn(follow(Arc::downgrade(&state), setup.commits));
        state
    }

    /// Tells all that wait for blocks that no more come.
    pub(super) fn close(&self) {
        self.waiters.close();
        self.hub.close();
    }

    pub(super) fn tip(&self) -> Arc<Tip> {
        self.tip.borrow().clone()
    }

    pub(super) fn view(&self) -> Arc<NodeView> {
        self.view.borrow().clone()
    }

    /// Runs `read`, which may block on the disk, off the async loop. Once begun it cannot be stopped,
    /// and keeps its place when whoever asked has gone: no more than [`MAX_READS`] ever run, whatever
    /// clients do, since what they read with is what consensus needs, too.
    pub(super) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&Self) -> Result<T, RpcError> + Send + 'static,
    ) -> Result<T, RpcError> {
        let place = self.reads.wait(1).await;
        let state = self.clone();
        let read = move || {
            let _place = place;
            read(&state)
        };
        tokio::task::spawn_blocking(read)
            .await
            .unwrap_or_else(|_| Err(RpcError::internal("the answer could not be computed")))
    }

    /// As [`RpcState::read`], of many blocks: no more than [`MAX_SCANS`] ever run, and those that wait for
    /// their turn hold up no other read.
    pub(super) async fn scan<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&Self) -> Result<T, RpcError> + Send + 'static,
    ) -> Result<T, RpcError> {
        let place = self.scans.wait(1).await;
        self.read(move |state| {
            let _place = place;
            read(state)
        })
        .await
    }

    /// Waits for room for a body that was read, to be kept while it is worked on.
    pub(super) async fn body(&self, bytes: usize) -> Option<Place> {
        if bytes <= SHORT_BODY_BYTES {
            return None;
        }
        Some(self.bodies.wait(bytes).await)
    }

    /// As [`RpcState::scan`], of the index.
    ///
    /// # Errors
    /// Those of `read`, and when this node has no index.
    pub(super) async fn search<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&Self) -> Result<T, RpcError> + Send + 'static,
    ) -> Result<T, RpcError> {
        if !self.config.index.enabled {
            return Err(RpcError::internal(
                "transaction indexing is disabled: index.enabled is false in this node's configuration",
            ));
        }
        self.index_is_there().await;
        self.scan(read).await
    }

    /// Waits, for a moment, until the index has the blocks that are there now.
    async fn index_is_there(&self) {
        let height = self.db.height();
        if height.0.saturating_sub(self.db.indexed().0) <= INDEX_SOON {
            let mut indexed = self.db.follow_indexed();
            let _ = tokio::time::timeout(INDEX_WAIT, indexed.wait_for(|at| *at >= height)).await;
        }
    }

    /// A height that was asked for, which must have a block; when none was, the newest that is
    /// published.
    pub(super) fn block_height(&self, asked: Option<Height>) -> Result<Height, RpcError> {
        let newest = self.db.height();
        match asked {
            _ if newest == Height::ZERO => {
                Err(RpcError::internal("there is no block yet: the chain has only its genesis"))
            }
            // A block is in the database a moment before what follows from it is published.
            None => Ok(self.tip().height.max(Height(1))),
            Some(height) if height > newest => Err(RpcError::internal(format!(
                "height {height} must be less than or equal to the current blockchain height \
                 {newest}"
            ))),
            Some(height) if height < self.db.first_height() => Err(self.not_available(height)),
            Some(height) => Ok(height),
        }
    }

    /// The block with this id, if it is here.
    pub(super) fn block_by_id(&self, id: &BlockId) -> Result<Option<CertifiedBlock>, RpcError> {
        match self.db.block_height_by_id(id)? {
            Some(height) => Ok(self.db.block(height)?),
            None => Ok(None),
        }
    }

    /// A height whose block is not there any more, in CometBFT's words.
    pub(super) fn not_available(&self, height: Height) -> RpcError {
        let lowest = self.db.first_height();
        RpcError::internal(format!("height {height} is not available, lowest height is {lowest}"))
    }

    /// Where a transaction of the chain is, with its result.
    pub(super) fn find(&self, hash: &TxHash) -> Result<Option<Found>, RpcError> {
        let Some((height, index)) = self.db.tx(hash)? else { return Ok(None) };
        let results = self.db.results(height)?;
        let receipt = results.and_then(|r| r.receipts.into_iter().nth(index as usize));
        Ok(receipt.map(|receipt| Found { height, index, receipt }))
    }
}

async fn follow(state: Weak<RpcState>, mut commits: broadcast::Receiver<Arc<Committed>>) {
    loop {
        let received = commits.recv().await;
        let Some(state) = state.upgrade() else { return };
        match received {
            Ok(committed) => {
                state.alive.committed(&committed.tip);
                state.waiters.committed(&committed);
                state.hub.publish(committed);
            }
            // Blocks were missed; what they held is in the database.
            Err(RecvError::Lagged(_)) => {
                state.hub.missed();
                let looked_up = state.read(|state| {
                    for hash in state.waiters.hashes() {
                        if let Some(found) = state.find(&hash)? {
                            state.waiters.resolve(&hash, &found);
                        }
                    }
                    Ok(())
                });
                if let Err(error) = looked_up.await {
                    tracing::warn!(error = error.data, "commits were missed and not looked up");
                }
            }
            // The driver has ended: no more blocks come.
            Err(RecvError::Closed) => return state.close(),
        }
    }
}
