//! Scrapes over HTTP.

use std::future::Future;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tandem_chain::keys::PublicKey;
use tandem_chain::tip::Tip;
use tandem_chain::types::ChainId;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, broadcast, watch};
use tokio::task::spawn_blocking;
use tracing::warn;

use super::blocks::Blocks;
use super::page::CONTENT_TYPE;
use super::sample;
use crate::admission::Admission;
use crate::config::Instrumentation;
use crate::hooks::Roles;
use crate::rpc::{Peers, Places, Requests, Served};
use crate::sink::Figures;
use crate::storage::Database;
use crate::view::{Committed, NodeView};

/// What metrics are served from, and how.
pub struct Setup {
    /// How.
    pub config: Instrumentation,
    /// The chain, which stands as a label on every metric.
    pub chain_id: ChainId,
    /// Blocks as they are committed.
    pub commits: broadcast::Receiver<Arc<Committed>>,
    /// What scrapes look at.
    pub sources: Sources,
}

/// What a scrape looks at, beside what was counted of blocks.
pub struct Sources {
    /// The node's key.
    pub me: PublicKey,
    /// The database.
    pub db: Database,
    /// What is known of the chain after the newest block.
    pub tip: watch::Receiver<Arc<Tip>>,
    /// Where the node stands.
    pub view: watch::Receiver<Arc<NodeView>>,
    /// Admission of transactions.
    pub admission: Admission,
    /// The network.
    pub network: Arc<dyn Peers>,
    /// Calls of the RPC.
    pub requests: Arc<Requests>,
    /// What hooks are told of changes of the role, if any is.
    pub(crate) roles: Option<Roles>,
    /// What becomes of the sink, if there is one.
    pub sink: Option<watch::Receiver<Figures>>,
}

/// What every scrape sees.
struct Shared {
    namespace: String,
    chain_id: ChainId,
    sources: Sources,
    blocks: Arc<Blocks>,
    /// Held while a scrape is made: one after the other, since each reads the database.
    turn: Mutex<()>,
}

/// Answers scrapes at `/metrics` until `stop` is ready.
pub async fn serve(listener: TcpListener, setup: Setup, stop: impl Future<Output = ()>) {
    let Setup { config, chain_id, commits, sources } = setup;
    let Instrumentation { max_open_connections: max_connections, namespace, .. } = config;
    let blocks = Arc::new(Blocks::new());
    let follower = Arc::clone(&blocks).follow(sources.me, sources.db.clone(), commits);
    let follower = tokio::spawn(follower);
    let turn = Mutex::default();
    let shared = Arc::new(Shared { namespace, chain_id, sources, blocks, turn });
    let router = Router::new()
        .route("/", get(|| async { "metrics for Prometheus are at /metrics\n" }))
        .route("/metrics", get(scrape))
        .with_state(shared);
    // One who holds connections does not keep out whoever else scrapes.
    let places = Places::new(max_connections, max_connections.div_ceil(2));
    let served = Served { name: "prometheus", router, places, tls: None };
    served.until(listener, stop, std::future::ready(())).await;
    follower.abort();
}

async fn scrape(State(shared): State<Arc<Shared>>) -> Response {
    let _turn = shared.turn.lock().await;
    let of = Arc::clone(&shared);
    let taken = spawn_blocking(move || sample::take(&of.sources, &of.blocks)).await;
    let error = match taken {
        Ok(Ok(page)) => {
            let text = page.text(&shared.namespace, shared.chain_id.as_str());
            return ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response();
        }
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    };
    warn!(error, "no metrics can be given");
    (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response()
}
