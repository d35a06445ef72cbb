//! What a worker thread does.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::Instant;

use tandem_chain::Error as ChainError;
use tandem_chain::keys::{Prepared, PublicKey};
use tandem_chain::ledger::{is_committed, may_send};
use tandem_chain::mempool::check_validity;
use tandem_chain::modules::Call;
use tandem_chain::modules::consortium::{self, check_invited};
use tandem_chain::tip::Tip;
use tandem_chain::tx::Tx;
use tandem_chain::types::{Hash, TxHash};
use tracing::{debug, warn};

use super::queue::{Job, Reply};
use super::{AdmissionError, Counted, Shared};

/// Transactions that a worker takes in one go, with one look at the mempool's lock.
const BATCH: usize = 64;
/// Senders whose right to send is remembered until members change.
const MAX_SENDERS: usize = 4_096;

/// What the checks of a transaction come to.
enum Verdict {
    /// It may wait in the mempool.
    Good(Tx),
    /// It waits there already; with it, when a client brought what only peers had brought so far.
    Waiting(TxHash, Option<Tx>),
    /// It may not.
    Bad(ChainError),
}

/// What a transaction comes to, who brought it, and who waits for the answer.
type Answer = (Result<TxHash, ChainError>, Option<PublicKey>, Option<Reply>);

/// What a worker remembers of senders.
#[derive(Default)]
pub struct Senders {
    /// Change of the members as of which `known` is.
    members: u64,
    /// Who may send.
    known: HashMap<PublicKey, Result<(), ChainError>>,
    keys: Prepared,
}

/// Works until the queue is closed.
pub fn run(shared: &Shared) {
    let mut senders = Senders::default();
    while let Some(jobs) = shared.queue.pop(BATCH, shared.workers) {
        take_in(shared, &mut senders, jobs);
    }
}

/// Checks transactions and takes in those that are good.
pub fn take_in(shared: &Shared, senders: &mut Senders, jobs: Vec<Job>) {
    let tip = shared.tip();
    let checked: Vec<_> = jobs
        .into_iter()
        .map(|Job { bytes, from, reply }| {
            (check(shared, senders, &tip, bytes, from.is_none()), from, reply)
        })
        .collect();
    let mut answers: Vec<Answer> = Vec::with_capacity(checked.len());
    let mut fresh = Vec::new();
    let mut admitted = 0;
    let mut mempool = shared.mempool();
    for (verdict, from, reply) in checked {
        let answer = match verdict {
            Verdict::Bad(error) => Err(error),
            Verdict::Waiting(hash, tx) => {
                shared.counters.count(Counted::Duplicate, 1);
                fresh.extend(tx);
                Ok(hash)
            }
            Verdict::Good(tx) => {
                let hash = tx.hash();
                match mempool.add(tx.clone(), tip.height) {
                    Ok(()) => {
                        admitted += 1;
                        if from.is_none() {
                            fresh.push(tx);
                        }
                        Ok(hash)
                    }
                    // Another worker was faster with the same transaction.
                    Err(ChainError::Repeated { .. }) if mempool.contains(&hash) => {
                        shared.counters.count(Counted::Duplicate, 1);
                        fresh.extend(from.is_none().then_some(tx));
                        Ok(hash)
                    }
                    Err(error) => Err(error),
                }
            }
        };
        answers.push((answer, from, reply));
    }
    drop(mempool);
    if admitted > 0 {
        shared.counters.count(Counted::Admitted, admitted);
        shared.arrivals.notify_one();
    }
    let mut brought = shared.brought();
    let mut is_any_new = false;
    for tx in fresh {
        is_any_new |= brought.add(tx);
    }
    drop(brought);
    if is_any_new {
        shared.forward_wakes.notify_one();
    }
    let now = Instant::now();
    for (answer, from, reply) in answers {
        if let Err(error) = &answer {
            refused(shared, error, from, now);
        }
        if let Some(reply) = reply {
            // The client may have gone.
            let _ = reply.send(answer.map_err(AdmissionError::from));
        }
    }
}

/// Counts and logs what was refused. Peers check signatures before they forward, so that a bad one is
/// a sign of a faulty or hostile node; but for that of an invitation, which a peer that is a block
/// behind checks by an admin key that has been replaced.
fn refused(shared: &Shared, error: &ChainError, from: Option<PublicKey>, now: Instant) {
    shared.counters.refused(error);
    match (from, error) {
        (Some(peer), ChainError::BadSignature { what: "transaction", .. })
            if shared.warnings.is_due(now) =>
        {
            let total = shared.counters.get(Counted::BadSignature);
            warn!(%peer, %error, total, "a peer brings transactions with bad signatures");
        }
        (Some(peer), _) => debug!(%peer, %error, "transaction refused"),
        (None, _) => debug!(%error, "transaction of a client refused"),
    }
}

/// What the checks of a transaction come to that is not to be taken in. Whether there is room for it is
/// not asked.
pub fn judge(shared: &Shared, bytes: Vec<u8>) -> Result<TxHash, ChainError> {
    match check(shared, &mut Senders::default(), &shared.tip(), bytes, false) {
        Verdict::Good(tx) => Ok(tx.hash()),
        Verdict::Waiting(hash, _) => Ok(hash),
        Verdict::Bad(error) => Err(error),
    }
}

fn check(
    shared: &Shared,
    senders: &mut Senders,
    tip: &Tip,
    bytes: Vec<u8>,
    of_client: bool,
) -> Verdict {
    let hash = Hash::of(&bytes);
    if shared.mempool().contains(&hash) {
        // The bytes are those of the copy that waits, whose signature is good.
        let is_new = of_client && !shared.brought().contains(&hash);
        let tx = if is_new { Tx::decode(bytes).ok() } else { None };
        return Verdict::Waiting(hash, tx);
    }
    match examine(shared, senders, tip, bytes) {
        Ok(tx) => Verdict::Good(tx),
        Err(error) => Verdict::Bad(error),
    }
}

fn examine(
    shared: &Shared,
    senders: &mut Senders,
    tip: &Tip,
    bytes: Vec<u8>,
) -> Result<Tx, ChainError> {
    let tx = Tx::decode(bytes)?;
    let body = tx.body();
    if body.chain_id != tip.chain_id {
        return Err(ChainError::OtherChain {
            what: "transaction",
            expected: tip.chain_id.clone(),
            got: body.chain_id.clone(),
        });
    }
    check_validity(body.valid_until, tip.height.next())?;
    let hash = tx.hash();
    let check_new = || {
        if is_committed(&*shared.store, &hash)? {
            return Err(ChainError::Repeated { hash });
        }
        Ok(())
    };
    if let Call::Consortium(consortium::Call::RegisterInvited { invitation, claim, addresses }) =
        &body.call
    {
        // Once it is committed its sender is known, and the invitation used.
        check_new()?;
        check_invited(&*shared.store, tip, &body.sender, invitation, claim, addresses)?;
    } else {
        senders.may_send(shared, &body.sender)?;
        check_new()?;
    }
    if !shared.seen().contains(&hash) {
        tx.verify(&senders.keys, &tip.chain_id)?;
        shared.seen().insert(hash);
    }
    Ok(tx)
}

impl Senders {
    /// Refuses a sender that is no member's, or whose organisation is suspended.
    fn may_send(&mut self, shared: &Shared, sender: &PublicKey) -> Result<(), ChainError> {
        let members = shared.members.load(Ordering::Acquire);
        if self.members != members || self.known.len() >= MAX_SENDERS {
            (self.members, self.known) = (members, HashMap::new());
        }
        if let Some(verdict) = self.known.get(sender) {
            return verdict.clone();
        }
        let verdict = may_send(&*shared.store, sender).map(drop);
        if !verdict.as_ref().is_err_and(ChainError::is_of_store) {
            self.known.insert(*sender, verdict.clone());
        }
        verdict
    }
}
