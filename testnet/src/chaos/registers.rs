//! Clients that work on registers: records with a version, in a data set of one organisation.
//!
//! Writes go through consensus, each sent until its receipt is there. A read asks one node for its
//! committed state, which may be old. What makes it a linearizable read is its least height: before
//! it asks, a client looks up the greatest height that any client has been told of, in a receipt or
//! a read, and takes no answer of a lower one. Whatever had returned by then is in that state, and
//! what is invoked after the read comes into a later block. Clients that do not tell each other what
//! they have seen would have to send a transaction instead.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use tandem_chain::codec;
use tandem_chain::keys::SecretKey;
use tandem_chain::modules::{self, records};
use tandem_chain::tx::Tx;
use tandem_chain::types::{ChainId, DataSetName, Height, TxHash};
use tandem_node::client::{SubmitError, TxInfo, submit_and_wait};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::history::{Answer, Call, Content, History, OperationId};
use crate::layout::Layout;
use crate::load::sign;
use crate::rpc::Rpc;
use crate::sim::random::Random;
use crate::until::until;

/// Clients, each with one operation at a time.
const CLIENTS: usize = 6;
/// Registers at a time: few, so that operations meet.
const REGISTERS: u64 = 3;
/// Operations on a register, before another takes its place: what is checked at once.
const OPERATIONS: u64 = 300;
/// Longest pause between two operations of a client, in milliseconds.
const PAUSE_MS: u64 = 150;
/// Time for one operation; one that has not returned by then is open.
const PATIENCE: Duration = Duration::from_secs(3);
/// Time for one node's part in it: one that is paused takes requests and never answers.
const ATTEMPT: Duration = Duration::from_secs(1);
/// Pause before the next node is asked.
const NEXT: Duration = Duration::from_millis(20);
/// Time for a question at the end, when every node answers.
const AT_END: Duration = Duration::from_secs(30);
/// Codes of receipts and answers: see docs/formats.md.
const NOT_FOUND: u32 = 10;
const OTHER_VERSION: u32 = 13;

/// Sends a transaction to one of `nodes` after another, from `first` on, the same bytes each time,
/// until one has its receipt; none after `patience`.
pub async fn submit(nodes: &[Rpc], first: usize, tx: &Tx, patience: Duration) -> Option<TxInfo> {
    let end = Instant::now() + patience;
    for node in nodes.iter().cycle().skip(first % nodes.len()) {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        let (client, attempt) = (std::slice::from_ref(node.client()), left.min(ATTEMPT));
        let submitted = timeout(attempt, submit_and_wait(client, tx, attempt)).await;
        if let Ok(Ok(submission)) = submitted {
            return Some(submission.info);
        }
        sleep(NEXT).await;
    }
    None
}

/// Clients at work; dropping it ends them.
pub struct Registers {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    clients: JoinSet<Result<()>>,
}

/// What all clients know.
struct Shared {
    nodes: Vec<Rpc>,
    chain_id: ChainId,
    data_set: DataSetName,
    /// The greatest height that any client was told of.
    newest: AtomicU64,
    /// The last value that was written: each is written once.
    last_value: AtomicU64,
    /// Operations so far, which the names of the present registers follow from.
    invoked: AtomicU64,
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    history: History,
    /// Puts without a receipt.
    open: HashMap<TxHash, (OperationId, Tx)>,
    /// Receipts: height and code.
    receipts: HashMap<TxHash, (Height, u32)>,
}

/// What came of it.
pub struct Outcome {
    /// All operations.
    pub history: History,
    /// Receipts that clients were given: height and code.
    pub receipts: HashMap<TxHash, (Height, u32)>,
    /// Operations whose client heard nothing in time.
    pub unheard: usize,
}

impl Registers {
    /// Creates the data set and starts the clients, all of the first organisation.
    ///
    /// # Errors
    /// When the data set cannot be created.
    pub async fn start(layout: &Layout, nodes: Vec<Rpc>, now: Height, seed: u64) -> Result<Self> {
        let shared = Shared {
            nodes,
            chain_id: layout.chain_id.clone(),
            data_set: "registers".parse().context("a name")?,
            newest: AtomicU64::new(now.0),
            last_value: AtomicU64::new(0),
            invoked: AtomicU64::new(0),
            book: Mutex::default(),
        };
        let users = layout.users(&layout.orgs[0]);
        ensure!(users.len() >= CLIENTS, "there are too few users");
        let create = records::Call::Create { data_set: shared.data_set.clone() };
        let tx = shared.sign(&users[0], create);
        let created = submit(&shared.nodes, 0, &tx, AT_END).await;
        let created = created.context("the registers' data set has no receipt")?;
        ensure!(created.receipt.is_ok(), "the registers' data set: {}", created.receipt.log);
        shared.seen(created.height);

        let shared = Arc::new(shared);
        let (stop, stopped) = watch::channel(false);
        let mut clients = JoinSet::new();
        for (number, key) in users.into_iter().take(CLIENTS).enumerate() {
            let random = Random::new(seed ^ (number as u64 + 1).rotate_left(32));
            let shared = Arc::clone(&shared);
            let client = Client { number, key, random, shared, versions: BTreeMap::new() };
            clients.spawn(client.work(stopped.clone()));
        }
        Ok(Self { shared, stop, clients })
    }

    /// Stops the clients, settles what is open, and reads each register once more from every node.
    /// For a network that is whole again.
    ///
    /// # Errors
    /// When an operation had an answer that it cannot have, or a question at the end has none.
    pub async fn finish(mut self) -> Result<Outcome> {
        self.stop.send_replace(true);
        while let Some(ended) = self.clients.join_next().await {
            ended.context("a client of registers ended")??;
        }
        let shared = &self.shared;
        let unheard = shared.book().history.counts().1;
        let open: Vec<(OperationId, Tx)> =
            shared.book().open.drain().map(|(_, open)| open).collect();
        for (id, tx) in open {
            if let Some(info) = shared.settle(&tx).await? {
                let answer = shared.receipted(&info)?;
                shared.book().history.returned(id, answer);
            }
        }
        for register in self.shared.names() {
            for node in &shared.nodes {
                let id = shared.book().history.invoked(&register, CLIENTS, Call::Get);
                let found = shared.get(std::slice::from_ref(node), &register, 0, AT_END).await?;
                let found = found.with_context(|| {
                    format!("register {register} cannot be read from {}", node.name())
                })?;
                shared.book().history.returned(id, Answer::Content(found));
            }
        }
        let Book { history, receipts, .. } = std::mem::take(&mut *shared.book());
        Ok(Outcome { history, receipts, unheard })
    }
}

impl Shared {
    fn book(&self) -> MutexGuard<'_, Book> {
        // A panic elsewhere leaves a history that is still whole.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen(&self, height: Height) {
        self.newest.fetch_max(height.0, Ordering::SeqCst);
    }

    fn newest(&self) -> Height {
        Height(self.newest.load(Ordering::SeqCst))
    }

    fn sign(&self, key: &SecretKey, call: records::Call) -> Tx {
        sign(&self.chain_id, key, rand::random(), self.newest(), modules::Call::Records(call))
    }

    /// One of the present registers.
    fn register(&self, random: &mut Random) -> String {
        let count = self.invoked.fetch_add(1, Ordering::SeqCst);
        name(count / (OPERATIONS * REGISTERS), random.below(REGISTERS))
    }

    /// All registers that were used.
    fn names(&self) -> Vec<String> {
        let ages = self.invoked.load(Ordering::SeqCst).div_ceil(OPERATIONS * REGISTERS);
        (0..ages).flat_map(|age| (0..REGISTERS).map(move |number| name(age, number))).collect()
    }

    /// Reads a register from one of `nodes` after another, until one answers with the state of a height
    /// that is at least the newest known when it was asked for; none after `patience`.
    async fn get(
        &self,
        nodes: &[Rpc],
        register: &str,
        first: usize,
        patience: Duration,
    ) -> Result<Option<Content>> {
        let (end, least) = (Instant::now() + patience, self.newest());
        for node in nodes.iter().cycle().skip(first % nodes.len()) {
            if Instant::now() >= end {
                break;
            }
            let asked = node.client().record(&self.data_set, register.as_bytes());
            if let Ok(Ok(answer)) = timeout(ATTEMPT, asked).await
                && answer.height >= least
            {
                self.seen(answer.height);
                return match answer.code {
                    0 => {
                        let value = number(&answer.value)?;
                        Ok(Some(Content { version: answer.version, value }))
                    }
                    NOT_FOUND => Ok(Some(Content::default())),
                    code => bail!("{} answers with code {code}: {}", node.name(), answer.log),
                };
            }
            sleep(NEXT).await;
        }
        Ok(None)
    }

    /// Notes a receipt, and reads what it says.
    fn receipted(&self, info: &TxInfo) -> Result<Answer> {
        self.seen(info.height);
        let (code, hash) = (info.receipt.code, info.hash);
        self.book().receipts.insert(hash, (info.height, code));
        match code {
            0 => {
                let data = &info.receipt.data;
                Ok(Answer::Written(codec::decode_canonical("version", data, data.len())?))
            }
            OTHER_VERSION => Ok(Answer::OtherVersion),
            _ => bail!("a put, {hash}, failed with code {code}: {}", info.receipt.log),
        }
    }

    /// Sends a transaction that nobody knows the fate of until it has its receipt: a mempool may
    /// still hold it, so that to ask would not be enough. None when it can have no effect any more.
    async fn settle(&self, tx: &Tx) -> Result<Option<TxInfo>> {
        let hash = tx.hash();
        let least = self.newest();
        let found = until("a node has all that was seen", AT_END, || async {
            for node in &self.nodes {
                if node.height().await? >= least {
                    return Ok(node.client().tx(&hash).await?);
                }
            }
            bail!("all are below height {least}")
        });
        if let Some(info) = found.await? {
            return Ok(Some(info));
        }
        if least >= tx.body().valid_until {
            return Ok(None);
        }
        let clients: Vec<_> = self.nodes.iter().map(|node| node.client().clone()).collect();
        match submit_and_wait(&clients, tx, AT_END).await {
            Ok(submission) => Ok(Some(submission.info)),
            Err(SubmitError::Expired { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Registers are named after when they were used.
fn name(age: u64, number: u64) -> String {
    format!("{age}.{number}")
}

fn number(bytes: &[u8]) -> Result<u64> {
    Ok(u64::from_be_bytes(bytes.try_into().context("a register's value has eight bytes")?))
}

struct Client {
    number: usize,
    key: SecretKey,
    random: Random,
    shared: Arc<Shared>,
    /// The version of each register when this client last heard of it.
    versions: BTreeMap<String, u64>,
}

impl Client {
    async fn work(mut self, stopped: watch::Receiver<bool>) -> Result<()> {
        while !*stopped.borrow() {
            let register = self.shared.register(&mut self.random);
            match self.random.below(10) {
                0..4 => self.get(&register).await?,
                4..8 => {
                    let seen = self.versions.get(&register).copied().unwrap_or(0);
                    self.put(&register, Some(seen)).await?;
                }
                _ => self.put(&register, None).await?,
            }
            sleep(Duration::from_millis(self.random.below(PAUSE_MS))).await;
        }
        Ok(())
    }

    /// Any node.
    fn first(&mut self) -> usize {
        self.random.index(self.shared.nodes.len())
    }

    async fn get(&mut self, register: &str) -> Result<()> {
        let first = self.first();
        let id = self.shared.book().history.invoked(register, self.number, Call::Get);
        let found = self.shared.get(&self.shared.nodes, register, first, PATIENCE).await?;
        if let Some(found) = found {
            self.shared.book().history.returned(id, Answer::Content(found));
            self.versions.insert(register.to_owned(), found.version);
        }
        Ok(())
    }

    async fn put(&mut self, register: &str, expected: Option<u64>) -> Result<()> {
        let value = self.shared.last_value.fetch_add(1, Ordering::SeqCst) + 1;
        let call = records::Call::Put {
            data_set: self.shared.data_set.clone(),
            key: register.as_bytes().to_vec(),
            content_type: None,
            value: value.to_be_bytes().to_vec(),
            expected,
        };
        let (tx, first) = (self.shared.sign(&self.key, call), self.first());
        let call = Call::Put { value, expected };
        let id = {
            let mut book = self.shared.book();
            let id = book.history.invoked(register, self.number, call);
            book.open.insert(tx.hash(), (id, tx.clone()));
            id
        };
        let Some(info) = submit(&self.shared.nodes, first, &tx, PATIENCE).await else {
            return Ok(());
        };
        let answer = self.shared.receipted(&info)?;
        let mut book = self.shared.book();
        book.open.remove(&tx.hash());
        book.history.returned(id, answer);
        if let Answer::Written(version) = answer {
            self.versions.insert(register.to_owned(), version);
        }
        Ok(())
    }
}
