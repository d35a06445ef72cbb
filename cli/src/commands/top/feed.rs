//! Asks nodes, again and again.

use std::time::{Duration, Instant};

use futures::future::join_all;
use serde::Deserialize;
use serde_json::json;
use tandem_chain::types::Height;
use tandem_node::client::{Client, ClientError};
use tokio::sync::watch;

use super::view::{Asked, Chain, Rate, View};
use crate::commands::genesis::now;

/// Blocks of the grid that are asked for; as many are shown as there is room.
const GRID_BLOCKS: u64 = 100;
/// Answers with headers that are asked for at a time. Of more blocks than are in them the transactions are
/// reckoned by the others.
const MAX_PAGES: usize = 5;

/// Nodes that are asked, and what was seen so far.
pub struct Feed {
    clients: Vec<Client>,
    view: View,
    /// The newest block that was counted, and when.
    counted: Option<(Height, Instant)>,
}

/// What is read of the answer of `blockchain`.
#[derive(Deserialize)]
struct Headers {
    block_metas: Vec<Meta>,
}

#[derive(Deserialize)]
struct Meta {
    /// The liveness record too.
    num_txs: String,
}

impl Feed {
    /// Of these nodes.
    pub fn new(clients: Vec<Client>) -> Self {
        let asked =
            clients.iter().map(|client| Asked { url: client.url().to_owned(), status: None });
        let view = View { asked: asked.collect(), ..View::default() };
        Self { clients, view, counted: None }
    }

    /// Gives a view each `interval`, until nobody looks.
    pub async fn run(mut self, views: &watch::Sender<View>, interval: Duration) {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !views.is_closed() {
            ticks.tick().await;
            self.ask().await;
            views.send_replace(self.view.clone());
        }
    }

    /// Asks all nodes at once, and the first that answers for the chain.
    async fn ask(&mut self) {
        let statuses = join_all(self.clients.iter().map(Client::status)).await;
        for (asked, status) in self.view.asked.iter_mut().zip(statuses) {
            asked.status = Some(status.map(Box::new).map_err(|error| error.to_string()));
        }
        let answers = self.view.asked.iter().map(|asked| asked.status.as_ref()?.as_ref().ok());
        let first = answers.zip(&self.clients).find_map(|(status, client)| Some((status?, client)));
        let Some((status, client)) = first else {
            (self.view.chain, self.view.untold, self.counted) = (None, None, None);
            return;
        };
        let made = status.sync_info.time().ok();
        let age = made.and_then(|made| Some(now().ok()?.since(made)));
        match chain(client, age).await {
            Ok(chain) => {
                let height = chain.seats.height;
                (self.view.chain, self.view.untold) = (Some(chain), None);
                let at = Instant::now();
                let before = self.counted.replace((height, at));
                if let Some((from, since)) = before
                    && let Ok(rate) = rate(client, from, height, at - since).await
                {
                    self.view.add_rate(rate);
                }
            }
            Err(error) => {
                (self.view.chain, self.view.untold, self.counted) =
                    (None, Some(error.to_string()), None);
            }
        }
    }
}

async fn chain(client: &Client, age: Option<Duration>) -> Result<Chain, ClientError> {
    let (seats, nodes) = tokio::join!(client.seats(GRID_BLOCKS), client.nodes());
    Ok(Chain { age, seats: seats?, nodes: nodes?.nodes })
}

/// Rates of the blocks above `from` up to `to`, which came in this time.
async fn rate(
    client: &Client,
    from: Height,
    to: Height,
    time: Duration,
) -> Result<Rate, ClientError> {
    let (mut next, mut headers, mut txs) = (to, 0_usize, 0_u64);
    for _ in 0..MAX_PAGES {
        if next <= from {
            break;
        }
        let range = json!({ "minHeight": from.next().to_string(), "maxHeight": next.to_string() });
        let page: Headers = client.call("blockchain", range).await?;
        if page.block_metas.is_empty() {
            break;
        }
        headers += page.block_metas.len();
        txs = page.block_metas.iter().fold(txs, |sum, meta| sum.saturating_add(meta.txs()));
        next = next.back(page.block_metas.len() as u64);
    }
    Ok(reckoned(to.0.saturating_sub(from.0), headers, txs, time))
}

/// The rates of so many blocks, of which `headers` were read with `txs` transactions.
pub fn reckoned(blocks: u64, headers: usize, txs: u64, time: Duration) -> Rate {
    let seconds = time.as_secs_f64().max(f64::MIN_POSITIVE);
    let share = if headers == 0 { 0.0 } else { blocks as f64 / headers as f64 };
    Rate { blocks: blocks as f64 / seconds, txs: txs as f64 * share / seconds }
}

impl Meta {
    fn txs(&self) -> u64 {
        self.num_txs.parse::<u64>().unwrap_or(0).saturating_sub(1)
    }
}
