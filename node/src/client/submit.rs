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

/// Time after which the same bytes are sent again.
const SEND_AGAIN: Duration = Duration::from_secs(3);
/// First and longest wait between two looks for the receipt.
const LOOK_FIRST: Duration = Duration::from_millis(40);
const LOOK_MAX: Duration = Duration::from_millis(500);
/// Codes of [`tandem_chain::Error::code`] that call for patience rather than an end.
const EXPIRED: u32 = 4;
const IN_THE_CHAIN: u32 = 6;
const FULL: u32 = 8;

/// Why there is no receipt.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// A node refused it at once; it is in no mempool.
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

/// Sends a transaction to the first of `clients` that answers, and the same bytes again every few
/// seconds, until its receipt is there, it is refused or expired, or `patience` is over. Sending
/// again is harmless: a transaction is executed at most once.
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
                    return Err(error.into());
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
    /// A node refused it.
    Refused { code: u32, log: String },
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
            EXPIRED if was_sent => {}
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
