//! Sending a transaction until there is a receipt, or until there can be none.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tandem_chain::keys::SecretKey;
use tandem_chain::modules::Call;
use tandem_chain::tx::{Tx, TxBody};
use tandem_chain::types::{Height, TxHash};
use tokio::time::{Instant, sleep};

use super::{Client, ClientError, TxInfo, found};

/// Heights for which a transaction is valid when nothing else is said.
pub const VALID_FOR: u64 = 2_000;
/// Time after which the same bytes are sent again.
const SEND_AGAIN: Duration = Duration::from_secs(3);
/// First and longest wait between two looks for the receipt.
const LOOK_FIRST: Duration = Duration::from_millis(40);
const LOOK_MAX: Duration = Duration::from_millis(500);
/// Codes of [`tandem_chain::Error::code`] that call for patience rather than an end.
const EXPIRED: u32 = 4;
const IN_THE_CHAIN: u32 = 6;
const FULL: u32 = 8;
/// Those by which a node that is behind refuses what another takes: it is valid until a height that is
/// too far ahead of that node, or signed with a key that the node has not seen registered, or of an
/// organisation that it has not seen restored.
const TOO_FAR: u32 = 5;
const UNKNOWN_SENDER: u32 = 7;
const SUSPENDED: u32 = 9;
/// Of a node that is stopping, or whose storage fails: nothing is wrong with the transaction.
const NOT_NOW: u32 = 99;

/// Why there is no receipt.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// A node refused it at once, or all that could be asked did; it is in no mempool.
    #[error("transaction {hash} is refused: {log}")]
    Refused {
        /// The transaction.
        hash: TxHash,
        /// The code of [`tandem_chain::Error::code`].
        code: u32,
        /// Why.
        log: String,
    },
    /// It was never executed and never will be.
    #[error("transaction {hash} expired at height {valid_until} without being executed")]
    Expired {
        /// The transaction.
        hash: TxHash,
        /// Its last height.
        valid_until: Height,
    },
    /// Nothing is known after the time that was given; it may still be executed.
    #[error(
        "no receipt for transaction {hash} within {} s: it may still be executed up to height \
         {valid_until}; ask later with `tandem query tx {hash}`{}",
        waited.as_secs(),
        last.as_ref().map(|e| format!("; last error: {e}")).unwrap_or_default()
    )]
    Timeout {
        /// The transaction.
        hash: TxHash,
        /// Its last height.
        valid_until: Height,
        /// How long was waited.
        waited: Duration,
        /// What went wrong last, where something did.
        last: Option<ClientError>,
    },
    /// No node could be asked at all.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// A transaction with its receipt.
#[derive(Clone, Debug)]
pub struct Submission {
    /// The receipt and where it is.
    pub info: TxInfo,
    /// How often the bytes were sent.
    pub sent: u32,
}

/// Signs a call for the chain of the node behind `client`, valid for `valid_for` heights from its
/// newest block on, with a random nonce.
///
/// # Errors
/// [`ClientError`].
pub async fn prepare(
    client: &Client,
    key: &SecretKey,
    call: Call,
    valid_for: u64,
) -> Result<Tx, ClientError> {
    let status = client.status().await?;
    let body = TxBody {
        chain_id: status.node_info.network,
        sender: key.public(),
        nonce: rand::random(),
        valid_until: status.sync_info.latest_block_height.plus(valid_for),
        call,
    };
    Ok(Tx::sign(body, key))
}

/// Sends a transaction to the first of `clients` that takes it, and the same bytes again every few
/// seconds, until its receipt is there, it is refused or expired, or `patience` is over. Sending
/// again is harmless: a transaction is executed at most once. What a node refuses that may be behind
/// the others is refused only when the other nodes do so, too.
///
/// # Errors
/// [`SubmitError`].
///
/// # Panics
/// Without clients.
pub async fn submit_and_wait(
    clients: &[Client],
    tx: &Tx,
    patience: Duration,
) -> Result<Submission, SubmitError> {
    let (hash, valid_until) = (tx.hash(), tx.body().valid_until);
    let start = Instant::now();
    let mut next_send = start;
    let mut look = LOOK_FIRST;
    let mut sent = 0;
    let mut was_sent = false;
    let mut last = None;
    let mut refused = None;
    let mut turn = 0;
    loop {
        let client = &clients[turn % clients.len()];
        let is_due = Instant::now() >= next_send;
        match step(client, tx, is_due, was_sent).await {
            Ok(Step::Executed(info)) => {
                return Ok(Submission { info, sent: sent + u32::from(is_due) });
            }
            Ok(Step::Refused { code, log }) => {
                return Err(SubmitError::Refused { hash, code, log });
            }
            Ok(Step::RefusedHere { code, log }) => {
                turn += 1;
                next_send = Instant::now();
                if turn >= clients.len() {
                    return Err(SubmitError::Refused { hash, code, log });
                }
                refused = Some((code, log));
            }
            Ok(Step::Expired) => return Err(SubmitError::Expired { hash, valid_until }),
            Ok(Step::Waiting { taken }) => {
                if is_due {
                    sent += 1;
                    next_send = Instant::now() + SEND_AGAIN;
                }
                was_sent |= taken;
            }
            Err(error) => {
                turn += 1;
                next_send = Instant::now();
                // With nobody there at all, and nothing sent, there is nothing to wait for.
                if !was_sent && turn >= clients.len() {
                    return Err(match refused {
                        Some((code, log)) => SubmitError::Refused { hash, code, log },
                        None => error.into(),
                    });
                }
                last = Some(error);
            }
        }
        let waited = start.elapsed();
        if waited >= patience {
            return Err(SubmitError::Timeout { hash, valid_until, waited, last });
        }
        sleep(look.min(patience.saturating_sub(waited))).await;
        look = (look * 3 / 2).min(LOOK_MAX);
    }
}

/// Where a transaction stands.
enum Step {
    /// Its receipt is there.
    Executed(TxInfo),
    /// A node refused it, and every other would.
    Refused { code: u32, log: String },
    /// This node refused it; another that is further may take it.
    RefusedHere { code: u32, log: String },
    /// It is in no block, and can come into none.
    Expired,
    /// Neither yet; whether a node has just taken it in.
    Waiting { taken: bool },
}

/// Sends the transaction where that is due, and looks for its receipt.
async fn step(client: &Client, tx: &Tx, is_due: bool, was_sent: bool) -> Result<Step, ClientError> {
    let mut taken = false;
    if is_due {
        let answer = client.broadcast_tx_sync(tx.bytes()).await?;
        match answer.code {
            0 | IN_THE_CHAIN => taken = true,
            FULL => {}
            // What was taken in once may have its receipt; the height decides.
            EXPIRED | TOO_FAR | UNKNOWN_SENDER | SUSPENDED if was_sent => {}
            code @ (TOO_FAR | UNKNOWN_SENDER | SUSPENDED) => {
                return Ok(Step::RefusedHere { code, log: answer.log });
            }
            NOT_NOW => return Err(not_now(answer.log)),
            code => return Ok(Step::Refused { code, log: answer.log }),
        }
    }
    let (height, found) = receipt(client, &tx.hash()).await?;
    Ok(match found {
        Some(info) => Step::Executed(info),
        None if height >= tx.body().valid_until => Step::Expired,
        None => Step::Waiting { taken },
    })
}

fn not_now(log: String) -> ClientError {
    ClientError::Rpc {
        method: "broadcast_tx_sync".to_owned(),
        code: NOT_NOW.into(),
        message: "not taken now".to_owned(),
        data: log,
    }
}

/// The node's height, and the receipt if it has it. The height is asked first: when the receipt is
/// not there at a height, it is in no block up to it.
async fn receipt(client: &Client, hash: &TxHash) -> Result<(Height, Option<TxInfo>), ClientError> {
    let ask = json!({ "hash": STANDARD.encode(hash.as_bytes()) });
    let answers = client.batch(vec![("abci_info", Value::Null), ("tx", ask)]).await?;
    let [info, tx] = <[_; 2]>::try_from(answers).expect("one answer to each request");
    let height = info?["response"]["last_block_height"].as_str().and_then(|h| h.parse().ok());
    let tx = match found(tx)? {
        Some(tx) => Some(
            serde_json::from_value(tx)
                .map_err(|error| client.bad_answer("tx", &error.to_string()))?,
        ),
        None => None,
    };
    Ok((Height(height.unwrap_or(0)), tx))
}

#[cfg(test)]
mod tests {
    use axum::routing::post;
    use axum::{Json, Router};
    use tandem_chain::modules::records;

    use super::*;

    fn tx() -> Tx {
        let key = SecretKey::from_seed(&[1; 32]);
        let body = TxBody {
            chain_id: "test".parse().unwrap(),
            sender: key.public(),
            nonce: 1,
            valid_until: Height(10),
            call: Call::Records(records::Call::Create { data_set: "set".parse().unwrap() }),
        };
        Tx::sign(body, &key)
    }

    /// What a node answers to each transaction: its code when it is sent, and whether it has the
    /// receipt afterwards.
    #[derive(Clone, Copy)]
    struct Node {
        code: u32,
        has_receipt: bool,
    }

    /// Takes it in and has its receipt.
    const GOOD: Node = Node { code: 0, has_receipt: true };

    const fn refuses(code: u32) -> Node {
        Node { code, has_receipt: false }
    }

    impl Node {
        fn answer(self, request: &Value) -> Value {
            let hash = tx().hash();
            let (name, value) = match request["method"].as_str().unwrap() {
                "broadcast_tx_sync" => {
                    let log = format!("code {}", self.code);
                    ("result", json!({ "code": self.code, "log": log, "hash": hash }))
                }
                "abci_info" => ("result", json!({ "response": { "last_block_height": "5" } })),
                "tx" if self.has_receipt => {
                    let result = json!({ "code": 0, "data": null, "log": "", "events": [] });
                    let found =
                        json!({ "hash": hash, "height": "5", "index": 1, "tx_result": result });
                    ("result", found)
                }
                _ => ("error", json!({ "code": -32603, "data": "tx (it) not found" })),
            };
            json!({ "jsonrpc": "2.0", "id": request["id"], name: value })
        }

        async fn start(self) -> Client {
            let respond = move |Json(request): Json<Value>| async move {
                Json(match request {
                    Value::Array(all) => all.iter().map(|one| self.answer(one)).collect(),
                    one => self.answer(&one),
                })
            };
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let client = Client::new(&listener.local_addr().unwrap().to_string()).unwrap();
            let router = Router::new().route("/", post(respond));
            tokio::spawn(async { axum::serve(listener, router).await });
            client
        }
    }

    /// A client of a node that closes every connection.
    async fn gone() -> Client {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = Client::new(&listener.local_addr().unwrap().to_string()).unwrap();
        tokio::spawn(async move { while listener.accept().await.is_ok() {} });
        client
    }

    async fn submit(nodes: &[Option<Node>]) -> String {
        let mut clients = Vec::new();
        for node in nodes {
            clients.push(match node {
                Some(node) => node.start().await,
                None => gone().await,
            });
        }
        match submit_and_wait(&clients, &tx(), Duration::from_secs(3_600)).await {
            Ok(submission) => format!("executed at {}", submission.info.height),
            Err(SubmitError::Refused { code, log, .. }) => format!("refused {code}: {log}"),
            Err(SubmitError::Client(ClientError::Rpc { code, data, .. })) => {
                format!("error {code}: {data}")
            }
            Err(SubmitError::Client(ClientError::Unreachable { .. })) => "unreachable".to_owned(),
            Err(other) => panic!("{other}"),
        }
    }

    #[tokio::test]
    async fn a_refusal_is_final_when_no_other_node_may_take_it() {
        let (executed, good) = ("executed at 5", Some(GOOD));
        let [too_far, unknown, stopping, bad] =
            [TOO_FAR, UNKNOWN_SENDER, NOT_NOW, 2].map(|code| Some(refuses(code)));
        let cases: [(&str, &[Option<Node>], &str); 12] = [
            ("all is well", &[good], executed),
            ("the first is behind: it does not know the height", &[too_far, good], executed),
            ("the first is behind: it does not know the key", &[unknown, good], executed),
            ("the first is stopping", &[stopping, good], executed),
            ("the first is not there, the second behind", &[None, unknown, good], executed),
            ("nobody knows the key", &[unknown, unknown], "refused 7: code 7"),
            ("the only one does not", &[unknown], "refused 7: code 7"),
            ("who knows more is not there", &[unknown, None], "refused 7: code 7"),
            ("who knows more is stopping", &[too_far, stopping], "refused 5: code 5"),
            ("the only one is stopping", &[stopping], "error 99: code 99"),
            ("a bad signature is bad everywhere", &[bad, good], "refused 2: code 2"),
            ("nobody is there", &[None, None], "unreachable"),
        ];
        for (name, nodes, expected) in cases {
            assert_eq!(submit(nodes).await, expected, "{name}");
        }
    }

    /// One node has taken it and is gone; the other is behind, and gets its receipt later.
    #[tokio::test]
    async fn what_one_node_took_is_not_refused_by_another() {
        let behind = Node { code: UNKNOWN_SENDER, has_receipt: true };
        let client = behind.start().await;
        let again = step(&client, &tx(), true, true).await.unwrap();
        assert!(matches!(again, Step::Executed(_)));
        let first = step(&client, &tx(), true, false).await.unwrap();
        assert!(matches!(first, Step::RefusedHere { code: UNKNOWN_SENDER, .. }));
    }
}
