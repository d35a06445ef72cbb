//! A webhook to which a change is posted.

use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::time::sleep;
use tracing::warn;

use super::record::Change;
use super::{Node, escaped};
use crate::config;

/// Attempts for one change.
const ATTEMPTS: u32 = 12;
/// Wait after the first attempt; it doubles from one to the next.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Where changes are posted, and how.
pub struct Webhook {
    client: Client,
    url: String,
    node: Node,
    first_wait: Duration,
}

impl Webhook {
    /// As it is configured; none where none is.
    pub fn new(config: &config::Hooks, node: Node) -> Option<Self> {
        let url = config.role_change_webhook.clone();
        if url.is_empty() {
            return None;
        }
        let builder = Client::builder().timeout(config.timeout).redirect(Policy::none());
        let client = builder.build().expect("a client without TLS needs nothing of the system");
        Some(Self { client, url, node, first_wait: FIRST_WAIT })
    }

    /// The same, that waits less.
    #[cfg(test)]
    pub fn impatient(self) -> Self {
        Self { first_wait: Duration::from_millis(1), ..self }
    }

    /// Posts a change, again and again until it is taken (HTTP 2xx).
    ///
    /// # Errors
    /// Why it was not, for people, after the last attempt.
    pub async fn post(&self, change: &Change) -> Result<(), String> {
        let body = body(change, &self.node).to_string();
        let mut wait = self.first_wait;
        let mut is_warned = false;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let request = self.client.post(&self.url).header("content-type", "application/json");
            let sent = request.body(body.clone()).send().await;
            let error = match sent.map(|answer| answer.status()) {
                Ok(status) if status.is_success() => return Ok(()),
                Ok(status) => refused(status),
                // With what is below it, and without the URL, in which there may be a secret.
                Err(error) => reason(&error.without_url()),
            };
            if attempt == ATTEMPTS {
                return Err(format!("given up after {ATTEMPTS} attempts: {error}"));
            }
            if !std::mem::replace(&mut is_warned, true) {
                warn!(error, "the webhook has not taken a change of role: it is posted again");
            }
            sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }
}

fn refused(status: StatusCode) -> String {
    format!("it answers with HTTP {}", status.as_u16())
}

fn reason(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    escaped(&text)
}

/// The change as JSON. `id` is the same at each attempt, and of no other change.
fn body(change: &Change, node: &Node) -> Value {
    let Change { old, new, again } = change;
    let height = new.height.to_string();
    json!({
        "id": format!("{}-{}-{height}", node.chain_id, node.key),
        "chain_id": node.chain_id,
        "node": node.key,
        "organization": new.organization.as_ref().or(old.organization.as_ref()),
        "old_role": old.role.name(),
        "new_role": new.role.name(),
        "term": new.term.map(|term| term.to_string()),
        "height": height,
        "again": again,
    })
}
