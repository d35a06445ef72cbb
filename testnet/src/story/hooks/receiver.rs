//! Takes what nodes post to their webhook, each change at the second attempt.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result, ensure};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use serde_json::Value;
use tandem_chain::keys::PublicKey;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::Line;

/// A server on a loopback port; it ends when it is dropped.
pub struct Receiver {
    url: String,
    taken: Arc<Taken>,
    server: JoinHandle<()>,
}

#[derive(Default)]
struct Taken(Mutex<Posted>);

#[derive(Default)]
struct Posted {
    /// Ids that were refused once.
    refused: BTreeSet<String>,
    /// What was taken, in order.
    taken: Vec<Value>,
}

impl Taken {
    fn lock(&self) -> MutexGuard<'_, Posted> {
        // Values are whole between any two statements that change them.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn take(State(taken): State<Arc<Taken>>, body: String) -> StatusCode {
    let Ok(change) = serde_json::from_str::<Value>(&body) else { return StatusCode::BAD_REQUEST };
    let mut posted = taken.lock();
    if posted.refused.insert(change["id"].to_string()) {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    posted.taken.push(change);
    StatusCode::OK
}

impl Receiver {
    /// On a port of the system's choice.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/role", listener.local_addr()?);
        let taken = Arc::<Taken>::default();
        let router = Router::new().route("/role", post(take)).with_state(Arc::clone(&taken));
        let server = tokio::spawn(async move {
            // It never ends by itself.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { url, taken, server })
    }

    /// Where changes are posted.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What was taken of a node, in order.
    pub fn lines(&self, node: &PublicKey) -> Result<Vec<Line>> {
        let posted = self.taken.lock();
        let key = serde_json::to_value(node)?;
        let own = posted.taken.iter().filter(|change| change["node"] == key);
        own.map(|change| {
            let text = |name: &str| {
                change[name]
                    .as_str()
                    .map(str::to_owned)
                    .with_context(|| format!("{name}: {change}"))
            };
            let (height, term) = (text("height")?.parse()?, text("term")?.parse()?);
            let again = change["again"].as_bool().context("again")?;
            Ok(Line { height, old: text("old_role")?, new: text("new_role")?, term, again })
        })
        .collect()
    }

    /// No change was taken twice, though each was refused once; but for those that are marked, whose node
    /// was killed while it posted them.
    pub fn took_each_once(&self) -> Result<usize> {
        let posted = self.taken.lock();
        let mut ids = BTreeSet::new();
        for change in &posted.taken {
            let is_new = ids.insert(change["id"].to_string());
            ensure!(is_new || change["again"] == true, "a change was taken twice: {change}");
        }
        ensure!(ids == posted.refused, "a change was refused, and not posted again");
        Ok(ids.len())
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}
