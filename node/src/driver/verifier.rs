//! Decoding and verification of messages, off the loop.

use std::sync::{Arc, RwLock};

use tandem_chain::block::CertifiedBlock;
use tandem_chain::keys::PublicKey;
use tandem_chain::roles::RoleTable;
use tandem_chain::tip::Tip;
use tandem_consensus::Input;
use tandem_consensus::verify::{Fault, Keys, Triage, certified_block};
use tokio::sync::{Semaphore, mpsc};

use super::memo::Memo;
use super::{Done, claim_of};
use crate::admission::Admission;
use crate::network::Frame;

pub(super) struct Verifiers(Arc<Shared>);

struct Shared {
    keys: RwLock<Arc<Keys>>,
    memo: Memo,
    admission: Admission,
    done: mpsc::Sender<Done>,
    threads: Semaphore,
}

impl Shared {
    fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.keys.read().expect("no holder of the lock panics"))
    }
}

impl Verifiers {
    pub fn start(tip: &Tip, admission: Admission, done: mpsc::Sender<Done>) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let shared = Arc::new(Shared {
            keys: RwLock::new(Arc::new(Keys::of(tip))),
            memo: Memo::default(),
            admission,
            done,
            threads: Semaphore::new(threads),
        });
        Self(shared)
    }

    /// Messages are verified with the keys of this tip from now on.
    pub fn set_tip(&self, tip: &Tip) {
        let keys = Arc::new(Keys::of(tip));
        *self.0.keys.write().expect("no holder of the lock panics") = keys;
    }

    /// Decodes and verifies a message; what comes of it goes to the loop. The frame counts against
    /// its peer until then, so that a peer that sends faster than this node verifies is not read
    /// from.
    pub fn message(&self, from: PublicKey, frame: Frame) {
        let shared = Arc::clone(&self.0);
        tokio::spawn(async move {
            let _permit = shared.threads.acquire().await.expect("the semaphore is never closed");
            let worker = Arc::clone(&shared);
            let verified = tokio::task::spawn_blocking(move || verify(&worker, from, &frame)).await;
            let done = match verified {
                Ok(Ok(None)) | Err(_) => return,
                Ok(Ok(Some(input))) => Done::Input(Box::new(input)),
                Ok(Err(fault)) => Done::Misbehaved(from, fault),
            };
            // The loop has ended when nobody receives.
            let _ = shared.done.send(done).await;
        });
    }

    /// Verifies a fetched block.
    pub fn block(&self, block: Arc<CertifiedBlock>, table: Arc<RoleTable>) {
        let shared = Arc::clone(&self.0);
        tokio::spawn(async move {
            let worker = Arc::clone(&shared);
            let height = block.block.header.height;
            let verdict = tokio::task::spawn_blocking(move || {
                certified_block(&worker.memo, &worker.keys(), &table, &block)
            });
            let Ok(verdict) = verdict.await else { return };
            let input = Input::BlockVerified { height, verdict };
            let _ = shared.done.send(Done::Input(Box::new(input))).await;
        });
    }
}

fn verify(shared: &Shared, from: PublicKey, bytes: &[u8]) -> Result<Option<Input>, Fault> {
    let keys = shared.keys();
    let message = Keys::decode(bytes)?;
    let triage = keys.triage(&message);
    if triage != Triage::Verify {
        return Ok(claim_of(triage, from));
    }
    let known = |tx: &tandem_chain::tx::Tx| shared.admission.is_verified(&tx.hash());
    let message = keys.verify(&shared.memo, message, &known)?;
    Ok(Some(Input::Message { from, message }))
}
