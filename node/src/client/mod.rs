//! A client of the RPC, for the command line and the test networks.

mod answers;
mod plain;
mod reading;
mod records;
mod submit;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tandem_chain::keys::PublicKey;
use tandem_chain::modules::consortium::Change;
use tandem_chain::permit::Permit;
use tandem_chain::types::{DataSetName, Height, OrgName, TxHash};

use crate::operator::{OperatorCall, OperatorRequest};
use crate::rpc::reading::SCHEME;
use crate::rpc::shapes::motions::{MotionInfo, Motions, PolicyInfo, Tried};
use crate::rpc::shapes::rights::{MayRead, Rights, Users};
use crate::rpc::shapes::tandem::{
    KeyInfo, Nodes, Organizations, ParametersInfo, Seats, Snapshots, Switches,
};

pub use answers::{Broadcast, QueryAnswer, Status, SyncInfo, TxInfo};
pub use reading::As;
pub use submit::{Submission, SubmitError, VALID_FOR, prepare, submit_and_wait};

use plain::{plain, short};
use reading::Reading;

/// Time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Time for an answer: more than the server's own limits.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of an answer.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nothing answers.
    #[error("{url} is not reachable: {reason}; is the node running, and is this its rpc.listen?")]
    Unreachable {
        /// Where it was sent.
        url: String,
        /// What the system says.
        reason: String,
    },
    /// The answer did not come in time.
    #[error("{url} gave no answer to {method} within {} s", REQUEST_TIMEOUT.as_secs())]
    Timeout {
        /// Where it was sent.
        url: String,
        /// What was asked.
        method: String,
    },
    /// The answer is an error.
    #[error("{method}: {data} ({message}, {code})")]
    Rpc {
        /// What was asked.
        method: String,
        /// JSON-RPC's code.
        code: i64,
        /// What kind of error.
        message: String,
        /// The detail.
        data: String,
    },
    /// The answer is not what this program knows.
    #[error("{url} gave an answer to {method} that is not understood: {reason}")]
    BadAnswer {
        /// Where it was sent.
        url: String,
        /// What was asked.
        method: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The URL is none.
    #[error(
        "\"{url}\" is no address of a node: expected http://HOST:PORT, its rpc.listen (TLS is for other programs: \
         reach a node elsewhere by a tunnel)"
    )]
    BadUrl {
        /// What was given.
        url: String,
    },
}

/// A client of one node. Cheap to clone: clones share their connections.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    url: Arc<str>,
    next_id: Arc<AtomicU64>,
    reading: Reading,
}

impl Client {
    /// For the node at `url`, such as `http://127.0.0.1:26657`; `http://` may be left out.
    ///
    /// # Errors
    /// [`ClientError::BadUrl`].
    pub fn new(url: &str) -> Result<Self, ClientError> {
        let full = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let parsed = reqwest::Url::parse(&full).ok();
        if !parsed.is_some_and(|url| url.scheme() == "http" && url.has_host()) {
            return Err(ClientError::BadUrl { url: tandem_chain::types::escaped(url) });
        }
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .tcp_nodelay(true)
            // Nodes are spoken to directly; a proxy of the environment is for other things.
            .no_proxy()
            .build()
            .map_err(|error| ClientError::Unreachable {
                url: full.clone(),
                reason: error.to_string(),
            })?;
        Ok(Self { http, url: full.into(), next_id: Arc::default(), reading: Reading::default() })
    }

    /// The same, that shows a permit where the node asks for one.
    #[must_use]
    pub fn reading(self, reads_as: As) -> Self {
        Self { reading: Reading::new(reads_as), ..self }
    }

    /// Where this client's node answers.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Calls a method.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn call<T: DeserializeOwned>(
        &self,
        method: &str,
        params: Value,
    ) -> Result<T, ClientError> {
        let answer = self.post(method, &self.request(method, &params)).await?;
        self.result(method, answer)
    }

    /// Calls several methods in one request; the answers are in the order of the calls.
    ///
    /// # Errors
    /// When the request as a whole has no answer.
    pub async fn batch(
        &self,
        calls: Vec<(&str, Value)>,
    ) -> Result<Vec<Result<Value, ClientError>>, ClientError> {
        let names: Vec<&str> = calls.iter().map(|(method, _)| *method).collect();
        let requests: Vec<Value> =
            calls.into_iter().map(|(method, params)| self.request(method, &params)).collect();
        let bad = |reason: &str| self.bad_answer("batch", reason);
        let answers = match self.post("batch", &Value::Array(requests)).await? {
            Value::Array(answers) if answers.len() == names.len() => answers,
            // The batch as a whole was refused.
            answer @ Value::Object(_) => {
                return match self.result::<Value>("batch", answer) {
                    Err(error) => Err(error),
                    Ok(_) => Err(bad("one answer to many requests")),
                };
            }
            _ => return Err(bad("not one answer to each request")),
        };
        // The server answers in the order of the requests.
        let pairs = names.into_iter().zip(answers);
        Ok(pairs.map(|(method, answer)| self.result(method, answer)).collect())
    }

    fn request(&self, method: &str, params: &Value) -> Value {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
    }

    async fn post(&self, method: &str, body: &Value) -> Result<Value, ClientError> {
        let bytes = body.to_string().into_bytes();
        let permit = if self.reading.is_asked_for() { self.permit(&bytes).await? } else { None };
        let answer = self.send(method, bytes.clone(), permit.as_ref()).await?;
        if permit.is_some() || !self.reading.must_ask_again(&answer) {
            return Ok(answer);
        }
        let permit = self.permit(&bytes).await?;
        self.send(method, bytes, permit.as_ref()).await
    }

    /// The permit for a request's body; none when there is nothing to make one of.
    async fn permit(&self, body: &[u8]) -> Result<Option<Permit>, ClientError> {
        let place = async {
            let request = self.request("status", &Value::Null).to_string();
            let answer = self.send("status", request.into_bytes(), None).await?;
            let status: Status = self.result("status", answer)?;
            Ok((status.node_info.network, status.tandem.public_key))
        };
        self.reading.permit(body, place).await
    }

    async fn send(
        &self,
        method: &str,
        body: Vec<u8>,
        permit: Option<&Permit>,
    ) -> Result<Value, ClientError> {
        let failed = |error: reqwest::Error| {
            let url = self.url.to_string();
            if error.is_timeout() && !error.is_connect() {
                return ClientError::Timeout { url, method: method.to_owned() };
            }
            ClientError::Unreachable { url, reason: innermost(&error) }
        };
        let mut request = self.http.post(&*self.url).body(body);
        request = request.header(header::CONTENT_TYPE, "application/json");
        if let Some(permit) = permit {
            request = request.header(header::AUTHORIZATION, format!("{SCHEME} {permit}"));
        }
        let mut response = request.send().await.map_err(failed)?;
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if bytes.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(self.bad_answer(method, "it is too long"));
            }
            bytes.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&bytes).map_err(|error| {
            let status = response.status();
            self.bad_answer(method, &format!("{error} (HTTP status {status})"))
        })
    }

    fn result<T: DeserializeOwned>(&self, method: &str, answer: Value) -> Result<T, ClientError> {
        let mut answer = plain(answer);
        if let Some(error) = answer.get("error") {
            let text = |name: &str| short(error[name].as_str().unwrap_or_default());
            return Err(ClientError::Rpc {
                method: method.to_owned(),
                code: error["code"].as_i64().unwrap_or_default(),
                message: text("message"),
                data: text("data"),
            });
        }
        let result = answer.get_mut("result").map(Value::take);
        let result = result.ok_or_else(|| self.bad_answer(method, "no result in it"))?;
        serde_json::from_value(result).map_err(|error| self.bad_answer(method, &error.to_string()))
    }

    fn bad_answer(&self, method: &str, reason: &str) -> ClientError {
        ClientError::BadAnswer {
            url: self.url.to_string(),
            method: method.to_owned(),
            reason: tandem_chain::types::escaped(reason),
        }
    }

    /// `status`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn status(&self) -> Result<Status, ClientError> {
        self.call("status", Value::Null).await
    }

    /// `health`: an error of the RPC names what is not well.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn health(&self) -> Result<(), ClientError> {
        self.call::<Value>("health", Value::Null).await.map(drop)
    }

    /// `seats`, with a grid of the last `blocks`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn seats(&self, blocks: u64) -> Result<Seats, ClientError> {
        self.call("seats", json!({ "blocks": blocks })).await
    }

    /// `switches`, the newest first.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn switches(&self, skip: u64, limit: u64) -> Result<Switches, ClientError> {
        self.call("switches", json!({ "skip": skip, "limit": limit })).await
    }

    /// `snapshots`, the newest first.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn snapshots(&self) -> Result<Snapshots, ClientError> {
        self.call("snapshots", Value::Null).await
    }

    /// `organizations`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn organizations(&self) -> Result<Organizations, ClientError> {
        self.call("organizations", Value::Null).await
    }

    /// `nodes`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn nodes(&self) -> Result<Nodes, ClientError> {
        self.call("nodes", Value::Null).await
    }

    /// `parameters`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn parameters(&self) -> Result<ParametersInfo, ClientError> {
        self.call("parameters", Value::Null).await
    }

    /// `key`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn key(&self, key: &PublicKey) -> Result<KeyInfo, ClientError> {
        self.call("key", json!({ "key": key })).await
    }

    /// `users` of a member.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn users(&self, organization: &OrgName) -> Result<Users, ClientError> {
        self.call("users", json!({ "organization": organization })).await
    }

    /// `rights` in a data set; `after` is [`Rights::next`].
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn rights(
        &self,
        data_set: &DataSetName,
        after: Option<&str>,
    ) -> Result<Rights, ClientError> {
        self.call("rights", json!({ "data_set": data_set, "after": after })).await
    }

    /// `may_read`: what a key may read of a data set, and whether a record, where one is given.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn may_read(
        &self,
        key: &PublicKey,
        data_set: &DataSetName,
        record: Option<&[u8]>,
    ) -> Result<MayRead, ClientError> {
        let record = record.map(hex::encode);
        self.call("may_read", json!({ "key": key, "data_set": data_set, "record": record })).await
    }

    /// `policy`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn policy(&self) -> Result<PolicyInfo, ClientError> {
        self.call("policy", Value::Null).await
    }

    /// `motions`, the newest first; whether only those that are open.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn motions(&self, open: bool, limit: u64) -> Result<Motions, ClientError> {
        self.call("motions", json!({ "open": open, "limit": limit })).await
    }

    /// `motion`.
    ///
    /// # Errors
    /// [`ClientError`]; of the RPC when there is no such motion.
    pub async fn motion(&self, number: u64) -> Result<MotionInfo, ClientError> {
        self.call("motion", json!({ "motion": number })).await
    }

    /// `try_change`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn try_change(&self, change: &Change) -> Result<Tried, ClientError> {
        self.call("try_change", json!({ "change": change })).await
    }

    /// `storage`, which answers with [`StorageInfo`], or `backup`, `compact`, `take_snapshot` or `prune`,
    /// with [`Job`]: that is begun, and goes on after the answer.
    ///
    /// # Errors
    /// [`ClientError`].
    ///
    /// [`StorageInfo`]: crate::rpc::shapes::tandem::StorageInfo
    /// [`Job`]: crate::rpc::shapes::tandem::Job
    pub async fn operator<T: DeserializeOwned>(
        &self,
        request: &OperatorRequest,
    ) -> Result<T, ClientError> {
        let mut params = json!({
            "time": request.time.0.to_string(),
            "signature": request.signature,
        });
        match &request.call {
            OperatorCall::Backup { name, with_key } => {
                params["name"] = json!(name);
                params["with_key"] = json!(with_key);
                self.call("backup", params).await
            }
            OperatorCall::Compact => self.call("compact", params).await,
            OperatorCall::Storage { wait } => {
                params["wait"] = json!(wait);
                self.call("storage", params).await
            }
            OperatorCall::Snapshot => self.call("take_snapshot", params).await,
            OperatorCall::Prune { keep_blocks, keep_days, dry_run } => {
                params["keep_blocks"] = json!(keep_blocks.to_string());
                params["keep_days"] = json!(keep_days.to_string());
                params["dry_run"] = json!(dry_run);
                self.call("prune", params).await
            }
        }
    }

    /// `broadcast_tx_sync`.
    ///
    /// # Errors
    /// [`ClientError`]; a transaction that is refused is an answer with a code.
    pub async fn broadcast_tx_sync(&self, tx: &[u8]) -> Result<Broadcast, ClientError> {
        self.call("broadcast_tx_sync", json!({ "tx": STANDARD.encode(tx) })).await
    }

    /// `tx`: none when it is not in the chain.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn tx(&self, hash: &TxHash) -> Result<Option<TxInfo>, ClientError> {
        found(self.call("tx", json!({ "hash": STANDARD.encode(hash.as_bytes()) })).await)
    }

    /// `block`, as CometBFT's JSON; the newest without a height.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn block(&self, height: Option<Height>) -> Result<Value, ClientError> {
        let height = height.map(|height| height.to_string());
        self.call("block", json!({ "height": height })).await
    }

    /// `abci_query`.
    ///
    /// # Errors
    /// [`ClientError`]; what is not found is an answer with a code.
    pub async fn abci_query(&self, path: &str, data: &[u8]) -> Result<QueryAnswer, ClientError> {
        let params = json!({ "path": path, "data": hex::encode(data) });
        let answer: Value = self.call("abci_query", params).await?;
        let response = answer.get("response").cloned().unwrap_or_default();
        serde_json::from_value(response)
            .map_err(|error| self.bad_answer("abci_query", &error.to_string()))
    }
}

/// Turns the server's "not found" into none.
fn found<T>(answer: Result<T, ClientError>) -> Result<Option<T>, ClientError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(ClientError::Rpc { code: -32603, data, .. }) if data.ends_with("not found") => Ok(None),
        Err(error) => Err(error),
    }
}

/// The cause at the end of the chain: what the system said.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for good in ["127.0.0.1:26657", "http://localhost:1", "http://[::1]:26657"] {
            assert!(Client::new(good).is_ok(), "{good}");
        }
        for bad in ["", "https://x", "ftp://x:1", "http://", "a b"] {
            assert!(matches!(Client::new(bad), Err(ClientError::BadUrl { .. })), "{bad}");
        }
    }

    #[test]
    fn no_text_of_a_node_reaches_the_terminal_as_it_is() {
        let client = Client::new("localhost:1").unwrap();
        let evil = "\u{1b}[2J\u{7}\nfine";
        let answer = json!({ "error": { "code": -32000, "message": evil, "data": evil } });
        let error = client.result::<Value>("status", answer).unwrap_err().to_string();
        assert!(error.contains("fine") && !error.contains(char::is_control), "{error:?}");
        let hash = tandem_chain::types::Hash::EMPTY;
        let answer = json!({ "result": { "code": 7, "log": evil, "hash": hash } });
        let answer: Broadcast = client.result("broadcast_tx_sync", answer).unwrap();
        assert_eq!(answer.log, "\\u{1b}[2J\\u{7}\\nfine");
    }

    #[tokio::test]
    async fn a_node_that_is_not_there_is_unreachable() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let client = Client::new(&address.to_string()).unwrap();
        let error = client.status().await.unwrap_err();
        assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }
}
