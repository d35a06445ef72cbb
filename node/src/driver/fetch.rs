//! Block sync between nodes: a question for certified blocks, and its answer from the database.

use serde::{Deserialize, Serialize};
use tandem_chain::block::CertifiedBlock;
use tandem_chain::keys::PublicKey;
use tandem_chain::limits::MAX_ENCODED_BYTES;
use tandem_chain::types::Height;
use tandem_chain::{Error, codec};
use tandem_consensus::Input;
use tandem_consensus::limits::{FETCH_TIMEOUT, MAX_FETCH_BLOCKS, MAX_FETCH_BYTES};
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, error};

use super::Done;
use super::executor::Outcome;
use crate::network::Network;
use crate::storage::Database;

/// "Send me the blocks from this height on."
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Question {
    first: Height,
    count: u64,
}

/// Bytes of an encoded question.
const QUESTION_BYTES: usize = 16;

/// Asks a peer; the answer, or an empty one when none came, goes to the loop.
pub(super) fn ask(
    network: &Network,
    done: &mpsc::Sender<Done>,
    from: PublicKey,
    first: Height,
    count: u64,
) {
    let (network, done) = (network.clone(), done.clone());
    let question = codec::encode(&Question { first, count });
    tokio::spawn(async move {
        let blocks = match network.request(&from, &question, FETCH_TIMEOUT).await {
            Ok(bytes) => decode(bytes).await.unwrap_or_else(|error| {
                debug!(peer = %from, %error, "an answer to a fetch is damaged");
                Vec::new()
            }),
            Err(error) => {
                debug!(peer = %from, %error, "a fetch was not answered");
                Vec::new()
            }
        };
        let input = Input::Fetched { from, first, blocks };
        // The loop has ended when nobody receives.
        let _ = done.send(Done::Input(Box::new(input))).await;
    });
}

async fn decode(bytes: Vec<u8>) -> Result<Vec<CertifiedBlock>, Error> {
    let decoded = tokio::task::spawn_blocking(move || {
        codec::decode("answer to a fetch", &bytes, MAX_ENCODED_BYTES)
    });
    decoded.await.unwrap_or_else(|_| {
        let reason = "the decoder ended".to_owned();
        Err(Error::Undecodable { what: "answer to a fetch", reason })
    })
}

/// Answers a peer's question from the database.
pub(super) fn serve(
    db: &Database,
    done: &mpsc::Sender<Done>,
    from: PublicKey,
    question: Vec<u8>,
    reply: oneshot::Sender<Vec<u8>>,
) {
    let (db, done) = (db.clone(), done.clone());
    tokio::task::spawn_blocking(move || {
        let outcome = match codec::decode::<Question>("fetch", &question, QUESTION_BYTES) {
            Ok(question) => match read(&db, question) {
                // A peer that has gone meanwhile needs no answer.
                Ok(blocks) => return drop(reply.send(codec::encode(&blocks))),
                Err(error) => {
                    error!(%error, "blocks cannot be read from the database");
                    Done::Executor(Outcome::Failed(error))
                }
            },
            Err(error) => Done::Misbehaved(from, error.into()),
        };
        let _ = done.blocking_send(outcome);
    });
}

fn read(db: &Database, question: Question) -> Result<Vec<CertifiedBlock>, Error> {
    let mut blocks = Vec::new();
    let mut bytes = 0;
    let mut height = question.first;
    while blocks.len() as u64 != question.count.min(MAX_FETCH_BLOCKS) && height <= db.height() {
        let Some(block) = db.block(height)? else { break };
        bytes += codec::encode(&block).len();
        if bytes > MAX_FETCH_BYTES && !blocks.is_empty() {
            break;
        }
        blocks.push(block);
        height = height.next();
    }
    Ok(blocks)
}
