//! Restoring from peers, at the start of a node that is empty and far behind.
//!
//! What peers say is checked before it is used: the way to a trusted header, then the manifest against
//! that header, then each chunk against the manifest. Who sends something else is asked no more; who is
//! slow holds up no other. When nobody has the snapshot any more, another is begun.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tandem_chain::block::{CertifiedBlock, Header};
use tandem_chain::genesis::Genesis;
use tandem_chain::keys::{PublicKey, Strict};
use tandem_chain::snapshot::Manifest;
use tandem_chain::types::{Height, Timestamp};
use tandem_chain::{Error as ChainError, codec};
use tandem_consensus::light::{LightBlock, LightError, Trusted, Walk};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::wire::{Offer, Offers, Question, decode_light};
use super::{Restore, SnapshotError, TrustedBlock, unpack};
use crate::driver::wire as blocks;
use crate::network::{Error as NetworkError, Network};
use crate::storage::Database;

/// Time for an answer.
const ANSWER: Duration = Duration::from_secs(10);
/// Time between two rounds of questions.
const PAUSE: Duration = Duration::from_millis(500);
/// Peers that are asked for chunks at once, where that is not too much for the line of this node.
const MAX_WORKERS: usize = 8;
/// Requests in a row that a peer may leave unanswered.
const MAX_FAILURES: u32 = 3;
/// Peers that are asked for one chunk at once: a second one while the first does not answer.
const MAX_ASKED: u32 = 2;
/// Blocks that are followed back from a trusted one: more than from one snapshot to the next, where the
/// interval is as it is by itself.
const MAX_BACK: u64 = 20_000;

/// How a restore from peers has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The database is at this height.
    Restored(Height),
    /// There was no snapshot to restore. The database is as it was, or empty where a restore had begun.
    Nothing,
}

/// A restore from peers.
pub struct Fetch {
    /// Where to.
    pub db: Database,
    /// The chain's genesis.
    pub genesis: Arc<Genesis>,
    /// Who is asked.
    pub network: Network,
    /// What is trusted first, if not the genesis.
    pub trust: Option<TrustedBlock>,
    /// How old what is trusted may be.
    pub period: Duration,
    /// Time to wait for somebody who has what is needed.
    pub patience: Duration,
    /// This machine's clock.
    pub clock: fn() -> Timestamp,
}

/// Who has which snapshots; none where nobody has answered.
type Offered = Option<BTreeMap<Offer, Vec<PublicKey>>>;

/// Asks a peer for its snapshots; none when it does not answer.
pub async fn offers_of(network: &Network, peer: &PublicKey) -> Option<Vec<Offer>> {
    let question = codec::encode(&Question::List);
    let answer = network.request(peer, &question, ANSWER).await.ok()?;
    Offers::decode(&answer).map(|Offers(offers)| offers).ok()
}

impl Fetch {
    /// Restores the best snapshot that is offered. It may be dropped at any moment, and goes on at the
    /// next call. Where a restore has begun, it waits for as long as no peer answers at all.
    ///
    /// # Errors
    /// [`SnapshotError`] when the database fails, or nothing that is offered can be trusted.
    pub async fn run(&self) -> Result<Ended, SnapshotError> {
        let mut liars = BTreeSet::new();
        let mut pool = Pool { at_once: MAX_WORKERS, late: BTreeMap::new() };
        let mut until = Instant::now() + self.patience;
        let mut fault = None;
        loop {
            let offered = self.offered(&liars).await;
            let begun = Restore::resume(self.db.clone())?.map(Arc::new);
            if begun.is_some() && offered.is_none() {
                until = Instant::now() + self.patience;
            }
            let offered = offered.unwrap_or_default();
            if let Some(restore) = &begun {
                let manifest = restore.manifest().hash();
                let from = offered.iter().find(|(offer, _)| offer.manifest == manifest);
                let before = restore.missing()?.len();
                if let Some((_, from)) = from {
                    self.chunks(restore, from, &mut pool, &mut liars).await?;
                }
                let missing = restore.missing()?.len();
                if missing == 0
                    && let Some(height) = self.finish(restore, &mut liars).await?
                {
                    return Ok(Ended::Restored(height));
                }
                if missing < before {
                    let all = restore.manifest().tiles().len();
                    info!(missing, all, "chunks of the snapshot are restored");
                    until = Instant::now() + self.patience;
                }
            }
            if begun.is_none() || Instant::now() >= until {
                let other = |offer: &Offer| {
                    begun.as_ref().is_none_or(|b| b.manifest().hash() != offer.manifest)
                };
                let offered = offered.iter().filter(|(offer, _)| other(offer)).collect();
                match self.begin(offered, &mut liars).await {
                    Ok(true) => {
                        until = Instant::now() + self.patience;
                        continue;
                    }
                    Ok(false) => {}
                    Err(SnapshotError::Chain(error)) if error.is_of_store() => {
                        return Err(error.into());
                    }
                    Err(error) => fault = Some(error),
                }
            }
            if Instant::now() >= until {
                if begun.is_some() {
                    self.db.abandon_restore()?;
                }
                return fault.map_or(Ok(Ended::Nothing), Err);
            }
            sleep(PAUSE).await;
        }
    }

    fn peers(&self, liars: &BTreeSet<PublicKey>) -> Vec<PublicKey> {
        self.network.connected().into_iter().filter(|peer| !liars.contains(peer)).collect()
    }

    /// The snapshots that connected peers have.
    async fn offered(&self, liars: &BTreeSet<PublicKey>) -> Offered {
        let mut asked = JoinSet::new();
        for peer in self.peers(liars) {
            let network = self.network.clone();
            asked.spawn(async move { (peer, offers_of(&network, &peer).await) });
        }
        let mut offered = None;
        while let Some(answer) = asked.join_next().await {
            let Ok((peer, Some(offers))) = answer else { continue };
            let offered: &mut BTreeMap<Offer, Vec<PublicKey>> = offered.get_or_insert_default();
            for offer in offers {
                offered.entry(offer).or_default().push(peer);
            }
        }
        offered
    }

    /// Begins with the best of what is offered: what most peers have, and of that the newest. False when
    /// there is nothing.
    async fn begin(
        &self,
        offered: Vec<(&Offer, &Vec<PublicKey>)>,
        liars: &mut BTreeSet<PublicKey>,
    ) -> Result<bool, SnapshotError> {
        let mut offered = offered;
        offered.sort_by_key(|(offer, from)| std::cmp::Reverse((from.len(), offer.height)));
        let mut fault = None;
        for (offer, from) in offered {
            let above = match self.trusted(offer.height.next(), liars).await {
                Ok(above) => above,
                Err(error) => {
                    warn!(height = %offer.height, %error, "a snapshot that is offered cannot be trusted");
                    fault = Some(error);
                    continue;
                }
            };
            for peer in from {
                if liars.contains(peer) {
                    continue;
                }
                match self.manifest(peer, offer, &above).await {
                    Ok(Some(manifest)) => {
                        let chunks = manifest.tiles().len();
                        info!(height = %offer.height, chunks, "a snapshot is being restored");
                        let db = self.db.clone();
                        let above = above.clone();
                        blocking(move || Restore::begin(db, manifest, above)).await?;
                        return Ok(true);
                    }
                    Ok(None) => {}
                    Err(error) => distrust(liars, *peer, &error),
                }
            }
        }
        fault.map_or(Ok(false), Err)
    }

    /// The manifest that a peer offers; none when it does not answer.
    ///
    /// # Errors
    /// When it is not that of the state that `above` names.
    async fn manifest(
        &self,
        peer: &PublicKey,
        offer: &Offer,
        above: &Header,
    ) -> Result<Option<Manifest>, SnapshotError> {
        let Some(bytes) = self.ask(peer, Question::Manifest(offer.manifest)).await else {
            return Ok(None);
        };
        let manifest = blocking(move || Ok(Manifest::decode(&bytes)?)).await?;
        let is_it = manifest.hash() == offer.manifest
            && manifest.height().next() == above.height
            && manifest.app_hash() == above.app_hash
            && *manifest.chain_id() == above.chain_id;
        if is_it {
            return Ok(Some(manifest));
        }
        let what = "its manifest is not of the state that the trusted header names".to_owned();
        Err(SnapshotError::Unfit { what })
    }

    /// The header of a height, trusted.
    async fn trusted(
        &self,
        target: Height,
        liars: &mut BTreeSet<PublicKey>,
    ) -> Result<Header, SnapshotError> {
        let first = match self.trust {
            None => Trusted::genesis(&self.genesis),
            Some(trust) => self.named(trust).await?,
        };
        if first.height().0 > target.0 + MAX_BACK {
            let what = format!(
                "the snapshot of height {} lies too far below the trusted height {}",
                target.back(1),
                first.height()
            );
            return Err(SnapshotError::Unfit { what });
        }
        let mut walk = Walk::new(first, target, self.period);
        while let Some(height) = walk.wanted() {
            let (from, block) = self.light(height, liars).await?;
            match walk.take(&Strict, (self.clock)(), from, block) {
                Ok(()) => {}
                Err((_, error @ LightError::Expired { .. })) => return Err(error.into()),
                Err((from, error)) => distrust(liars, from, &error),
            }
        }
        let header = walk.trusted().header().cloned();
        Ok(header.expect("a height above 0 has a header"))
    }

    /// The block that was named. Where all peers have another, none of them is called a liar for it: the
    /// hash may be wrong.
    async fn named(&self, trust: TrustedBlock) -> Result<Trusted, SnapshotError> {
        let mut fault = None;
        for peer in self.network.connected() {
            let Some(bytes) = self.ask(&peer, Question::Light(trust.height)).await else {
                continue;
            };
            let Ok(block) = decode_light(&bytes) else { continue };
            match Trusted::named(&Strict, &self.genesis.chain_id, trust.hash, &block) {
                Ok(trusted) => return Ok(trusted),
                Err(error) => fault = Some(error),
            }
        }
        Err(fault
            .map_or(SnapshotError::NoPeer { what: "has the block that is trusted" }, Into::into))
    }

    /// The header of a height with its certificate, by any peer that has it.
    async fn light(
        &self,
        height: Height,
        liars: &mut BTreeSet<PublicKey>,
    ) -> Result<(PublicKey, LightBlock), SnapshotError> {
        for peer in self.peers(liars) {
            let Some(bytes) = self.ask(&peer, Question::Light(height)).await else { continue };
            match decode_light(&bytes) {
                Ok(block) => return Ok((peer, block)),
                Err(error) => distrust(liars, peer, &error),
            }
        }
        Err(SnapshotError::NoPeer { what: "has a header on the way to the snapshot's" })
    }

    /// The answer of a peer; none when it does not answer or does not have it.
    async fn ask(&self, peer: &PublicKey, question: Question) -> Option<Vec<u8>> {
        let answer = self.network.request(peer, &codec::encode(&question), ANSWER).await;
        answer.ok().filter(|bytes| !bytes.is_empty())
    }

    /// Fetches the chunks that are missing from several peers at once, as far as they have them.
    async fn chunks(
        &self,
        restore: &Arc<Restore>,
        from: &[PublicKey],
        pool: &mut Pool,
        liars: &mut BTreeSet<PublicKey>,
    ) -> Result<(), SnapshotError> {
        let missing = restore.missing()?;
        let work = Arc::new(Work(Mutex::new(missing.into_iter().map(|i| (i, 0)).collect())));
        let mut workers = JoinSet::new();
        for peer in pool.choose(from.iter().filter(|peer| !liars.contains(peer))) {
            let network = self.network.clone();
            let (restore, work) = (Arc::clone(restore), Arc::clone(&work));
            workers
                .spawn(async move { (peer, fetch_chunks(&network, peer, &restore, &work).await) });
        }
        let mut are_all_late = !workers.is_empty();
        while let Some(ended) = workers.join_next().await {
            match ended {
                Ok((peer, Ok(late))) => {
                    are_all_late &= late;
                    *pool.late.entry(peer).or_default() += u32::from(late);
                }
                Ok((_, Err(SnapshotError::Chain(error)))) if error.is_of_store() => {
                    return Err(error.into());
                }
                Ok((peer, Err(error))) => distrust(liars, peer, &error),
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            }
        }
        if are_all_late {
            pool.at_once = (pool.at_once / 2).max(1);
        }
        Ok(())
    }

    /// Fetches the block of the state, and makes both the database's; none when no peer has it now.
    async fn finish(
        &self,
        restore: &Arc<Restore>,
        liars: &mut BTreeSet<PublicKey>,
    ) -> Result<Option<Height>, SnapshotError> {
        let first = restore.manifest().height();
        for peer in self.peers(liars) {
            let question = codec::encode(&blocks::Question { first, count: 1 });
            let Ok(bytes) = self.network.request(&peer, &question, ANSWER).await else { continue };
            let block = match blocks::Answer::decode(&bytes) {
                Ok(answer) => answer.blocks.into_iter().next(),
                Err(error) => {
                    distrust(liars, peer, &error);
                    None
                }
            };
            let Some(block): Option<CertifiedBlock> = block else { continue };
            let (restore, genesis) = (Arc::clone(restore), Arc::clone(&self.genesis));
            match blocking(move || restore.finish(&genesis, &block)).await {
                Ok(height) => return Ok(Some(height)),
                Err(error @ SnapshotError::Trust(_)) => distrust(liars, peer, &error),
                // A disk that fails may be mended: what is there stays.
                Err(error @ SnapshotError::Chain(ChainError::Storage { .. })) => return Err(error),
                // The chunks were right when they came: what was written is not what is read.
                Err(error) => {
                    self.db.abandon_restore()?;
                    return Err(error);
                }
            }
        }
        Ok(None)
    }
}

/// Which peers are asked for chunks.
struct Pool {
    /// How many at once: fewer where all were late, since that may be too much for the line of this node.
    at_once: usize,
    /// How often each was late.
    late: BTreeMap<PublicKey, u32>,
}

impl Pool {
    /// Those that were late least often.
    fn choose<'a>(&self, from: impl Iterator<Item = &'a PublicKey>) -> Vec<PublicKey> {
        let mut chosen: Vec<PublicKey> = from.copied().collect();
        chosen.sort_by_key(|peer| self.late.get(peer).copied().unwrap_or(0));
        chosen.truncate(self.at_once);
        chosen
    }
}

/// The chunks that are missing, with how many peers are asked for each.
struct Work(Mutex<BTreeMap<u32, u32>>);

impl Work {
    /// The next to ask for: one that fewest are asked for.
    fn next(&self) -> Option<u32> {
        let mut missing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (index, asked) = missing.iter_mut().min_by_key(|(index, asked)| (**asked, **index))?;
        (*asked < MAX_ASKED).then(|| {
            *asked += 1;
            *index
        })
    }

    fn release(&self, index: u32) {
        let mut missing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(asked) = missing.get_mut(&index) {
            *asked = asked.saturating_sub(1);
        }
    }

    fn done(&self, index: u32) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&index);
    }
}

/// Asks one peer for chunk after chunk, until none is missing, or it does not have them or answer. Whether
/// any did not come in time.
///
/// # Errors
/// When it sends something else, or the database fails.
async fn fetch_chunks(
    network: &Network,
    peer: PublicKey,
    restore: &Arc<Restore>,
    work: &Work,
) -> Result<bool, SnapshotError> {
    let manifest = restore.manifest().hash();
    let (mut failures, mut late) = (0, false);
    while failures < MAX_FAILURES
        && let Some(index) = work.next()
    {
        let question = codec::encode(&Question::Chunk(manifest, index));
        let answer = network.request(&peer, &question, ANSWER).await;
        let packed = match answer {
            Ok(packed) => packed,
            Err(error) => {
                work.release(index);
                failures += 1;
                // Its own side gives an answer up that is not taken in time.
                late |=
                    matches!(error, NetworkError::TimedOut { .. } | NetworkError::Refused { .. });
                continue;
            }
        };
        if packed.is_empty() {
            work.release(index);
            break;
        }
        failures = 0;
        let to = Arc::clone(restore);
        let written = blocking(move || to.put(index, &unpack(&packed)?)).await;
        if let Err(error) = written {
            work.release(index);
            return Err(error);
        }
        work.done(index);
    }
    Ok(late)
}

/// Runs what takes the processor or the disk off the async threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SnapshotError> + Send + 'static,
) -> Result<T, SnapshotError> {
    match spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(SnapshotError::Stopped),
    }
}

fn distrust(liars: &mut BTreeSet<PublicKey>, peer: PublicKey, error: &dyn std::fmt::Display) {
    warn!(%peer, %error, "a peer's part of a snapshot is wrong: it is asked no more");
    liars.insert(peer);
}
