//! RPC of one node, as far as commands, stories and measurements need it.

mod block_view;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use tandem_chain::keys::PublicKey;
use tandem_chain::roles::{RoleTable, Seat};
use tandem_chain::tx::Tx;
use tandem_chain::types::{Height, OrgName, Power, Term, TxHash};
use tandem_node::client::{Broadcast, Client, Status, TxInfo, submit_and_wait};
use tandem_node::rpc::shapes::tandem::Nodes;

pub use block_view::{BlockView, HeaderView, height};

/// Headers that are asked for at once: what a node answers in one batch by default.
pub const MAX_HEADERS: usize = 10;

/// Time for an answer, where a caller does not set its own: a node that is stopped where it stands
/// takes connections and never answers.
const PATIENCE: Duration = Duration::from_secs(3);

/// What came of a block's transactions.
#[derive(Clone, Debug, Default)]
pub struct Results {
    /// Their result codes; 0 is success.
    pub codes: Vec<u32>,
    /// Nodes that came into the register (true) or left it, in order.
    pub register: Vec<(PublicKey, bool)>,
}

/// RPC of one node. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Rpc {
    name: Arc<str>,
    client: Client,
}

impl Rpc {
    /// Of the node called `name`, at `url`.
    ///
    /// # Errors
    /// When `url` is none.
    pub fn new(name: &str, url: &str) -> Result<Self> {
        Ok(Self { name: name.into(), client: Client::new(url)? })
    }

    /// The node's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The client underneath.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// What the node says of itself.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn status(&self) -> Result<Status> {
        let status = tokio::time::timeout(PATIENCE, self.client.status()).await;
        Ok(status.with_context(|| format!("{} does not answer", self.name))??)
    }

    /// The node's newest block.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn height(&self) -> Result<Height> {
        #[derive(Deserialize)]
        struct Answer {
            response: Info,
        }
        #[derive(Deserialize)]
        struct Info {
            last_block_height: String,
        }
        let answer: Answer = self.call("abci_info", Value::Null).await?;
        height(&answer.response.last_block_height)
    }

    /// A block.
    ///
    /// # Errors
    /// When the node does not answer or does not have it.
    pub async fn block(&self, height: Height) -> Result<BlockView> {
        BlockView::read(self.call("block", json!({ "height": height.to_string() })).await?)
    }

    /// What the headers of `count` blocks from height `first` on say, at most [`MAX_HEADERS`].
    ///
    /// # Errors
    /// When the node does not answer or does not have one of them.
    pub async fn headers(&self, first: Height, count: usize) -> Result<Vec<HeaderView>> {
        let calls = (0..count as u64)
            .map(|i| ("commit", json!({ "height": first.plus(i).to_string() })))
            .collect();
        let answers = tokio::time::timeout(PATIENCE, self.client.batch(calls)).await;
        let answers = answers.with_context(|| format!("{} does not answer", self.name))??;
        answers.into_iter().map(|answer| HeaderView::read(answer?)).collect()
    }

    /// The newest header, with the certificate that the node itself has for it.
    ///
    /// # Errors
    /// When the node does not answer or has no block yet.
    pub async fn newest_header(&self) -> Result<HeaderView> {
        HeaderView::read(self.call("commit", Value::Null).await?)
    }

    /// The role table of a height.
    ///
    /// # Errors
    /// When the node does not answer or does not know it.
    pub async fn role_table(&self, height: Height) -> Result<RoleTable> {
        #[derive(Deserialize)]
        struct Answer {
            total: String,
            validators: Vec<Entry>,
        }
        #[derive(Deserialize)]
        struct Entry {
            organization: OrgName,
            term: String,
            voting_power: String,
            pub_key: Key,
        }
        #[derive(Deserialize)]
        struct Key {
            value: String,
        }
        let params = json!({ "height": height.to_string(), "per_page": "100" });
        let answer: Answer = self.call("validators", params).await?;
        let mut seats = BTreeMap::new();
        for entry in answer.validators {
            let seat = Seat {
                holder: PublicKey::from_slice(&STANDARD.decode(entry.pub_key.value)?)?,
                power: Power(entry.voting_power.parse()?),
                term: Term(entry.term.parse()?),
            };
            seats.insert(entry.organization, seat);
        }
        ensure!(seats.len().to_string() == answer.total, "a role table of more than one page");
        Ok(seats.into())
    }

    /// What came of a block's transactions, the liveness record left out.
    ///
    /// # Errors
    /// When the node does not answer or does not have the block.
    pub async fn results(&self, height: Height) -> Result<Results> {
        #[derive(Deserialize)]
        struct Answer {
            txs_results: Vec<Entry>,
        }
        #[derive(Deserialize)]
        struct Entry {
            code: u32,
            events: Vec<Event>,
        }
        #[derive(Deserialize)]
        struct Event {
            #[serde(rename = "type")]
            kind: String,
            attributes: Vec<Attribute>,
        }
        #[derive(Deserialize)]
        struct Attribute {
            key: String,
            value: String,
        }
        let params = json!({ "height": height.to_string() });
        let answer: Answer = self.call("block_results", params).await?;
        let mut results = Results::default();
        for entry in answer.txs_results.into_iter().skip(1) {
            results.codes.push(entry.code);
            for event in entry.events {
                let comes = match event.kind.as_str() {
                    "node_registered" => true,
                    "node_removed" => false,
                    _ => continue,
                };
                let mut attributes = event.attributes.iter();
                let node = attributes.find(|attribute| attribute.key == "node");
                let node = node.with_context(|| format!("{} names no node", event.kind))?;
                results.register.push((node.value.parse()?, comes));
            }
        }
        Ok(results)
    }

    /// The registered nodes, as this node knows them.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn nodes(&self) -> Result<Nodes> {
        let nodes = tokio::time::timeout(PATIENCE, self.client.nodes()).await;
        Ok(nodes.with_context(|| format!("{} does not answer", self.name))??)
    }

    /// Sends transactions, in one request; for each, why it was not accepted, where it was not.
    ///
    /// # Errors
    /// When the node does not answer.
    pub async fn submit(&self, txs: &[Tx]) -> Result<Vec<Result<(), String>>> {
        let call = |tx: &Tx| ("broadcast_tx_sync", json!({ "tx": STANDARD.encode(tx.bytes()) }));
        let answers = self.client.batch(txs.iter().map(call).collect()).await?;
        let verdict = |answer: Result<Value, _>| {
            let answer = answer.map_err(|error| format!("{error}"))?;
            let code = answer["code"].as_u64();
            if code == Some(0) { Ok(()) } else { Err(format!("code {}", answer["code"])) }
        };
        Ok(answers.into_iter().map(verdict).collect())
    }

    /// Sends the bytes of one transaction, whatever they are.
    ///
    /// # Errors
    /// When the node does not answer.
    pub async fn submit_bytes(&self, bytes: &[u8]) -> Result<Broadcast> {
        Ok(self.client.broadcast_tx_sync(bytes).await?)
    }

    /// Sends a transaction, and again, until it has a receipt.
    ///
    /// # Errors
    /// When it is refused, or has no receipt within `patience`.
    pub async fn execute(&self, tx: &Tx, patience: Duration) -> Result<TxInfo> {
        let clients = std::slice::from_ref(&self.client);
        Ok(submit_and_wait(clients, tx, patience).await?.info)
    }

    /// The receipt of a transaction.
    ///
    /// # Errors
    /// When there is none.
    pub async fn receipt(&self, hash: &TxHash) -> Result<TxInfo> {
        let found = self.client.tx(hash).await?;
        found.ok_or_else(|| anyhow!("{} has no receipt for {hash}", self.name))
    }

    /// Calls any method.
    ///
    /// # Errors
    /// When the node does not answer, or with an error.
    pub async fn call<T: serde::de::DeserializeOwned>(
        &self,
        method: &str,
        params: Value,
    ) -> Result<T> {
        let answer = tokio::time::timeout(PATIENCE, self.client.call(method, params)).await;
        Ok(answer.with_context(|| format!("{} does not answer", self.name))??)
    }
}
