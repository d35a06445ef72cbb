//! What nodes fetch from each other: blocks from the database, and snapshots.

use tandem_chain::block::CertifiedBlock;
use tandem_chain::keys::PublicKey;
use tandem_chain::types::Height;
use tandem_chain::{Error, codec};
use tandem_consensus::Input;
use tandem_consensus::limits::{FETCH_TIMEOUT, MAX_FETCH_BLOCKS, MAX_FETCH_BYTES};
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, error, info};

use super::Done;
use super::executor::Outcome;
use super::wire::{Answer, Question};
use crate::network::Network;
use crate::snapshots::{self, Server, offers_of};
use crate::storage::Database;

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
        let answer = match network.request(&from, &question, FETCH_TIMEOUT).await {
            Ok(bytes) => decode(bytes).await.unwrap_or_else(|error| {
                debug!(peer = %from, %error, "an answer to a fetch is damaged");
                Answer::default()
            }),
            Err(error) => {
                debug!(peer = %from, %error, "a fetch was not answered");
                Answer::default()
            }
        };
        let input = input(from, first, answer);
        // The loop has ended when nobody receives.
        let _ = done.send(Done::Input(Box::new(input))).await;
    });
}

/// What an answer is to the replica.
fn input(from: PublicKey, first: Height, answer: Answer) -> Input {
    let Answer { blocks, lowest } = answer;
    if blocks.is_empty() && lowest > first {
        // Once for each connection. Where all say so, there is an alarm.
        info!(
            peer = %from, block = %first, %lowest,
            "a peer does not have a block that is needed here: others are asked"
        );
        Input::Lacks { from, first, lowest }
    } else {
        Input::Fetched { from, first, blocks }
    }
}

async fn decode(bytes: Vec<u8>) -> Result<Answer, Error> {
    let decoded = tokio::task::spawn_blocking(move || Answer::decode(&bytes));
    decoded.await.unwrap_or_else(|_| {
        let reason = "the decoder ended".to_owned();
        Err(Error::Undecodable { what: "answer to a fetch", reason })
    })
}

/// Peers that are asked for snapshots at once.
const MAX_OFFERING: usize = 8;

/// Asks connected peers for their snapshots; the height of the newest goes to the loop.
pub(super) fn ask_offers(network: &Network, done: &mpsc::Sender<Done>) {
    let (network, done) = (network.clone(), done.clone());
    tokio::spawn(async move {
        let peers = network.connected().into_iter().take(MAX_OFFERING);
        let asked = peers.map(|peer| {
            let network = network.clone();
            async move { offers_of(&network, &peer).await }
        });
        let offers = futures::future::join_all(asked).await;
        let heights = offers.iter().flatten().flatten().map(|offer| offer.height);
        if let Some(height) = heights.max() {
            let _ = done.send(Done::Offered(height)).await;
        }
    });
}

/// Answers a peer's question, for blocks or about snapshots.
pub(super) fn serve(
    db: &Database,
    snapshots: &Server,
    done: &mpsc::Sender<Done>,
    from: PublicKey,
    question: Vec<u8>,
    reply: oneshot::Sender<Vec<u8>>,
) {
    let (db, snapshots, done) = (db.clone(), snapshots.clone(), done.clone());
    tokio::task::spawn_blocking(move || {
        let outcome = match answer(&db, &snapshots, &question) {
            // A peer that has gone meanwhile needs no answer.
            Ok(Ok(answer)) => return drop(reply.send(answer)),
            Ok(Err(error)) => {
                error!(%error, "what a peer asks for cannot be read from the database");
                Done::Executor(Outcome::Failed(error))
            }
            Err(error) => Done::Misbehaved(from, error.into()),
        };
        let _ = done.blocking_send(outcome);
    });
}

/// The answer to a question, or why the database has none; or what is wrong with the question.
fn answer(
    db: &Database,
    server: &Server,
    question: &[u8],
) -> Result<Result<Vec<u8>, Error>, Error> {
    if question.len() == Question::BYTES {
        let question = Question::decode(question)?;
        let blocks = read(db, question, MAX_FETCH_BYTES);
        return Ok(blocks.map(|blocks| {
            let lowest = db.first_height();
            codec::encode(&Answer { blocks, lowest })
        }));
    }
    let question = snapshots::wire::Question::decode(question)?;
    Ok(server.answer(db, question))
}

/// The blocks asked for that are there; of at most `max_bytes` together, unless the first alone is
/// more.
fn read(db: &Database, question: Question, max_bytes: usize) -> Result<Vec<CertifiedBlock>, Error> {
    let mut blocks = Vec::new();
    let mut bytes = 0;
    let mut height = question.first;
    while blocks.len() as u64 != question.count.min(MAX_FETCH_BLOCKS) && height <= db.height() {
        let Some(block) = db.block(height)? else { break };
        bytes += codec::encode(&block).len();
        if bytes > max_bytes && !blocks.is_empty() {
            break;
        }
        blocks.push(block);
        height = height.next();
    }
    Ok(blocks)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::snapshots::Shelf;
    use crate::testing::Chain;

    const PEER: PublicKey = PublicKey([1; 32]);

    fn encoded(first: u64, count: u64) -> Vec<u8> {
        codec::encode(&Question { first: Height(first), count })
    }

    /// What the peer is answered, and what the loop is told.
    async fn served(chain: &Chain, question: Vec<u8>) -> (Option<Vec<u8>>, Option<Done>) {
        let (done, mut outcomes) = mpsc::channel(1);
        let (reply, answered) = oneshot::channel();
        let server = Server::new(Arc::new(chain.genesis.clone()), Shelf::new("/nonexistent", None));
        serve(&chain.db, &server, &done, PEER, question, reply);
        drop(done);
        (answered.await.ok(), outcomes.recv().await)
    }

    async fn answer(chain: &Chain, question: Vec<u8>) -> Vec<u8> {
        let (answer, outcome) = served(chain, question).await;
        assert!(outcome.is_none(), "there is nothing to tell");
        answer.expect("an answer")
    }

    /// Heights of the blocks in the answer.
    async fn heights(chain: &Chain, question: Vec<u8>) -> Vec<u64> {
        let Answer { blocks, lowest } = decode(answer(chain, question).await).await.unwrap();
        assert_eq!(lowest, chain.db.first_height());
        blocks.iter().map(|block| block.block.header.height.0).collect()
    }

    #[tokio::test]
    async fn an_answer_has_a_bounded_number_of_blocks() {
        let mut chain = Chain::new();
        let tip = MAX_FETCH_BLOCKS + 2;
        (0..tip).for_each(|_| drop(chain.commit(Vec::new())));
        let cases = [
            ("all that were asked for", (1, 3), 1..=3),
            ("no more than the bound", (1, u64::MAX), 1..=MAX_FETCH_BLOCKS),
            ("the bound, from anywhere", (3, MAX_FETCH_BLOCKS), 3..=tip),
            ("no more than there are", (tip - 1, MAX_FETCH_BLOCKS), tip - 1..=tip),
        ];
        for (name, (first, count), expected) in cases {
            let got = heights(&chain, encoded(first, count)).await;
            assert_eq!(got, expected.collect::<Vec<_>>(), "{name}");
        }
    }

    #[test]
    fn an_answer_has_bounded_bytes_and_at_least_one_block() {
        let mut chain = Chain::new();
        let lengths = [(); 3].map(|()| codec::encode(&*chain.commit(Vec::new()).block).len());
        let [one, two, three] = lengths;
        let question = Question { first: Height(1), count: 3 };
        let cases = [
            ("all that fit", one + two + three, 3),
            ("one byte too little", one + two + three - 1, 2),
            ("as much as two have", one + two, 2),
            ("less than one has", one - 1, 1),
            ("nothing", 0, 1),
        ];
        for (name, max_bytes, expected) in cases {
            let blocks = read(&chain.db, question, max_bytes).unwrap();
            assert_eq!(blocks.len(), expected, "{name}");
        }
    }

    #[tokio::test]
    async fn heights_that_are_not_there_give_an_empty_answer() {
        let mut chain = Chain::new();
        chain.commit(Vec::new());
        for (first, count) in [(2, 1), (2, u64::MAX), (u64::MAX, 64), (0, 64), (1, 0)] {
            assert!(heights(&chain, encoded(first, count)).await.is_empty(), "{first} {count}");
        }
    }

    /// Who has restored a snapshot says so: it does not lie about the height that it has.
    #[test]
    fn that_blocks_are_not_kept_is_told_apart_from_no_answer() {
        let input = |first, lowest, blocks| {
            input(PEER, Height(first), Answer { blocks, lowest: Height(lowest) })
        };
        let Input::Lacks { from: PEER, first: Height(8), lowest: Height(9) } =
            input(8, 9, Vec::new())
        else {
            panic!("it has blocks from 9 on")
        };
        for (first, lowest) in [(9, 9), (8, 0), (8, 1)] {
            let input = input(first, lowest, Vec::new());
            assert!(matches!(input, Input::Fetched { .. }), "{first} {lowest}");
        }
        let block = Chain::new().commit(Vec::new()).block.as_ref().clone();
        assert!(matches!(input(1, 9, vec![block]), Input::Fetched { .. }));
    }

    #[tokio::test]
    async fn what_is_no_question_is_told_and_not_answered() {
        let mut chain = Chain::new();
        chain.commit(Vec::new());
        let question = encoded(1, 1);
        let longer = [&question[..], &[0]].concat();
        for bytes in [Vec::new(), question[..Question::BYTES - 1].to_vec(), longer] {
            let length = bytes.len();
            let (answer, outcome) = served(&chain, bytes).await;
            assert_eq!(answer, None, "{length} bytes");
            let Some(Done::Misbehaved(PEER, fault)) = outcome else { panic!("{length} bytes") };
            assert!(fault.to_string().starts_with("question about snapshots"), "{fault}");
        }
    }

    /// The blocks in an answer are frozen in `chain/tests/it/golden.txt`.
    #[tokio::test]
    async fn golden_bytes() {
        let bytes = [8, 7, 6, 5, 4, 3, 2, 1, 64, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(encoded(0x0102_0304_0506_0708, 64), bytes);
        assert_eq!(bytes.len(), Question::BYTES);

        let mut chain = Chain::new();
        let txs = vec![chain.create(1)];
        let blocks = [txs, Vec::new()].map(|txs| chain.commit(txs).block);
        let [one, two] = blocks.each_ref().map(|block| codec::encode(&**block));
        let count = |count: u64| count.to_le_bytes().to_vec();
        let both = [count(2), one, two.clone(), count(1)].concat();
        assert_eq!(answer(&chain, encoded(1, 64)).await, both);
        assert_eq!(answer(&chain, encoded(2, 1)).await, [count(1), two.clone(), count(1)].concat());
        assert_eq!(answer(&chain, encoded(3, 1)).await, [count(0), count(1)].concat());
        let blocks = blocks.iter().map(|block| (**block).clone()).collect();
        assert_eq!(decode(both).await.unwrap(), Answer { blocks, lowest: Height(1) });

        chain.db.prune(Height(2)).unwrap();
        assert_eq!(answer(&chain, encoded(1, 64)).await, [count(0), count(2)].concat());
        assert_eq!(answer(&chain, encoded(2, 64)).await, [count(1), two, count(2)].concat());
    }
}
