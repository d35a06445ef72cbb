//! Clients that read while the chain is under load: requests at a rate, and subscribers.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::{SinkExt as _, StreamExt as _};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tandem_chain::types::Height;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::rpc::Rpc;
use crate::stats::{Latency, float};
use crate::watcher::Watcher;

/// What subscribers ask for.
const QUERY: &str = "tm.event = 'NewBlockHeader'";
/// Blocks, from the newest back, of which blocks and transactions are asked for.
const RECENT: u64 = 500;
/// Heights that a search is over, at its least.
const SEARCHED: u64 = 20;
/// Bytes of a subscriber's own buffers: a thousand of them stand in one process.
const BUFFER_BYTES: usize = 8 * 1024;
/// Subscribers that connect at once: the queue of a listening socket is not the subject.
const CONNECTING: usize = 50;

/// A method that is asked, in turn with the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum Method {
    Tx,
    Block,
    TxSearch,
}

impl Method {
    const ALL: [Self; 3] = [Self::Tx, Self::Block, Self::TxSearch];

    const fn name(self) -> &'static str {
        match self {
            Self::Tx => "tx",
            Self::Block => "block",
            Self::TxSearch => "tx_search",
        }
    }

    /// Asks for something that was committed lately; none while there is nothing yet.
    fn params(self, watcher: &Watcher) -> Option<Value> {
        let tip = watcher.height().0;
        let lowest = tip.saturating_sub(RECENT).max(1);
        let height = lowest + rand::random_range(0..=tip.saturating_sub(lowest));
        let seen = watcher.since(Height(height));
        match self {
            Self::Tx => {
                let txs = seen.iter().find_map(|seen| seen.block.txs.first())?;
                Some(json!({ "hash": txs.to_string(), "prove": true }))
            }
            Self::Block => Some(json!({ "height": height.to_string() })),
            Self::TxSearch => {
                let query = format!(
                    "record_put.data_set = 'load.alpha' AND tx.height >= {}",
                    height.saturating_sub(SEARCHED)
                );
                Some(json!({ "query": query, "order_by": "desc", "per_page": "30" }))
            }
        }
    }
}

/// What became of the requests by one method.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Reads {
    /// Answered.
    pub answered: usize,
    /// Answered with an error, or not at all; the first one's text.
    pub failed: usize,
    /// What the first that failed was told.
    pub first_failure: Option<String>,
    /// From the moment at which a request was due to its answer.
    pub latency: Latency,
}

/// What became of the subscribers.
#[derive(Clone, Debug, Serialize)]
pub struct Subscribers {
    /// How many there were.
    pub count: usize,
    /// Blocks whose headers they were told.
    pub blocks: usize,
    /// Headers that did not reach a subscriber, of all.
    pub missed: usize,
    /// From the first subscriber that was told of a block to each of them.
    pub latency: Latency,
}

/// What was measured.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Reading {
    /// By method.
    pub reads: BTreeMap<&'static str, Reads>,
    /// None where there were none.
    pub subscribers: Option<Subscribers>,
}

/// Clients that read; they end when the value is dropped.
pub struct Readers {
    asked: Arc<Mutex<BTreeMap<Method, Asked>>>,
    told: Arc<Mutex<Told>>,
    subscribers: usize,
    tasks: JoinSet<Result<()>>,
}

#[derive(Default)]
struct Asked {
    times: Vec<Duration>,
    failures: usize,
    first_failure: Option<String>,
}

/// How long a header that one subscriber has may be on its way to others.
const ON_ITS_WAY: Duration = Duration::from_secs(2);

/// By height, when the first subscriber was told, and how much later each of them.
type Told = BTreeMap<u64, (Instant, Vec<Duration>)>;

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Figures are whole between any two statements that change them.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Readers {
    /// `subscribers` of new headers at one node, and `rate` requests a second to it, beginning when all have
    /// subscribed.
    ///
    /// # Errors
    /// When a subscriber is refused.
    pub async fn start(
        node: &Rpc,
        watcher: Arc<Watcher>,
        rate: f64,
        subscribers: usize,
    ) -> Result<Self> {
        let (asked, told) = (Arc::default(), Arc::default());
        let mut tasks = JoinSet::new();
        let mut sockets = Vec::with_capacity(subscribers);
        for at in (0..subscribers).step_by(CONNECTING) {
            let some = (at..subscribers.min(at + CONNECTING)).map(|_| subscribe(node, QUERY));
            sockets.extend(futures::future::try_join_all(some).await?);
        }
        for socket in sockets {
            tasks.spawn(listen(socket, Arc::clone(&told)));
        }
        if rate > 0.0 {
            tasks.spawn(ask(node.clone(), watcher, rate, Arc::clone(&asked)));
        }
        Ok(Self { asked, told, subscribers, tasks })
    }

    /// Ends them.
    ///
    /// # Errors
    /// When a subscriber was cut off.
    pub fn finish(mut self) -> Result<Reading> {
        while let Some(ended) = self.tasks.try_join_next() {
            ended??;
        }
        self.tasks.abort_all();
        let reads = std::mem::take(&mut *lock(&self.asked)).into_iter().map(|(method, asked)| {
            let reads = Reads {
                answered: asked.times.len(),
                failed: asked.failures,
                first_failure: asked.first_failure,
                latency: Latency::of(asked.times),
            };
            (method.name(), reads)
        });
        let reads = reads.collect();
        let mut told = std::mem::take(&mut *lock(&self.told));
        // The newest may be on their way.
        told.retain(|_, (first, _)| first.elapsed() >= ON_ITS_WAY);
        let subscribers = (self.subscribers > 0).then(|| Subscribers {
            count: self.subscribers,
            blocks: told.len(),
            missed: told
                .values()
                .map(|(_, times)| self.subscribers.saturating_sub(times.len()))
                .sum(),
            latency: Latency::of(told.into_values().flat_map(|(_, times)| times).collect()),
        });
        Ok(Reading { reads, subscribers })
    }
}

/// Asks at a rate, whether answers come or not.
async fn ask(
    node: Rpc,
    watcher: Arc<Watcher>,
    rate: f64,
    asked: Arc<Mutex<BTreeMap<Method, Asked>>>,
) -> Result<()> {
    let mut ticks = interval(Duration::from_secs_f64(1.0 / rate));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut requests = JoinSet::new();
    for method in Method::ALL.into_iter().cycle() {
        let due = ticks.tick().await;
        while requests.try_join_next().is_some() {}
        let Some(params) = method.params(&watcher) else { continue };
        let (node, asked) = (node.clone(), Arc::clone(&asked));
        requests.spawn(async move {
            let answer = node.call::<Value>(method.name(), params).await;
            let took = due.elapsed();
            let mut asked = lock(&asked);
            let asked = asked.entry(method).or_default();
            match answer {
                Ok(_) => asked.times.push(took),
                Err(error) => {
                    asked.failures += 1;
                    asked.first_failure.get_or_insert_with(|| format!("{error:#}"));
                }
            }
        });
    }
    Ok(())
}

/// Host and port of a node's RPC.
pub fn address(node: &Rpc) -> &str {
    node.client().url().trim_start_matches("http://").trim_end_matches('/')
}

/// A WebSocket with a subscription.
///
/// # Errors
/// When it is refused.
pub async fn subscribe(node: &Rpc, query: &str) -> Result<WebSocketStream<TcpStream>> {
    let address = address(node);
    let stream = TcpStream::connect(address).await.with_context(|| address.to_owned())?;
    let config =
        WebSocketConfig::default().read_buffer_size(BUFFER_BYTES).write_buffer_size(BUFFER_BYTES);
    let url = format!("ws://{address}/websocket");
    let (mut socket, _) = client_async_with_config(url, stream, Some(config))
        .await
        .context("a subscriber is refused")?;
    let request =
        json!({"jsonrpc": "2.0", "id": 1, "method": "subscribe", "params": {"query": query}});
    socket.send(Message::text(request.to_string())).await?;
    let answer = socket.next().await.context("a subscriber is cut off")??;
    let answer: Value = serde_json::from_str(answer.to_text()?)?;
    ensure!(answer["result"] == json!({}), "a subscriber is refused: {answer}");
    Ok(socket)
}

/// Takes what comes.
async fn listen(mut socket: WebSocketStream<TcpStream>, told: Arc<Mutex<Told>>) -> Result<()> {
    #[derive(Deserialize)]
    struct Event {
        result: Outcome,
    }
    #[derive(Deserialize)]
    struct Outcome {
        events: BTreeMap<String, Vec<String>>,
    }
    while let Some(message) = socket.next().await {
        let Message::Text(text) = message.context("a subscriber is cut off")? else { continue };
        let now = Instant::now();
        let event: Event =
            serde_json::from_str(&text).with_context(|| format!("a subscriber is told {text}"))?;
        let height = event.result.events.get("block.height").and_then(|values| values.first());
        let height: u64 = height.context("a header has a height")?.parse()?;
        let mut told = lock(&told);
        let (first, times) = told.entry(height).or_insert_with(|| (now, Vec::new()));
        times.push(now.saturating_duration_since(*first));
    }
    anyhow::bail!("a subscriber is cut off")
}

impl Reading {
    /// Lines for people: a name and a value each.
    #[must_use]
    pub fn rows(&self) -> Vec<(&'static str, String)> {
        let mut rows = Vec::new();
        for (method, reads) in &self.reads {
            let Latency { p50_ms, p99_ms, max_ms, .. } = reads.latency;
            let mut row = format!(
                "{} answered, {} failed, p50 {p50_ms:.1} ms, p99 {p99_ms:.1} ms, {max_ms:.1} ms at most",
                reads.answered, reads.failed
            );
            if let Some(failure) = &reads.first_failure {
                let _ = write!(row, "; {failure}");
            }
            rows.push((*method, row));
        }
        if let Some(subscribers) = &self.subscribers {
            let Latency { p50_ms, p99_ms, max_ms, .. } = subscribers.latency;
            let all = float(subscribers.count * subscribers.blocks).max(1.0);
            rows.push((
                "subscribers",
                format!(
                    "{} were told {} headers each, {} missed ({:.2} %); after the first of them p50 {p50_ms:.1} \
                     ms, p99 {p99_ms:.1} ms, {max_ms:.1} ms at most",
                    subscribers.count,
                    subscribers.blocks,
                    subscribers.missed,
                    100.0 * float(subscribers.missed) / all
                ),
            ));
        }
        rows
    }
}
