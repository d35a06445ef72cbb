//! Restoring from peers, at the start of a node with few blocks, or none, that is far behind.
//!
//! What peers say is checked before it is used: the way to a trusted header, then the manifest against
//! that header, then each chunk against the manifest. Who sends something else is asked no more; who is
//! slow holds up no other. When nobody gives the snapshot any more, another is begun, rather one that is
//! offered by those whose snapshots were not given up.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tandem_chain::block::{CertifiedBlock, Header};
use tandem_chain::codec;
use tandem_chain::genesis::Genesis;
use tandem_chain::keys::{PublicKey, Strict};
use tandem_chain::snapshot::Manifest;
use tandem_chain::types::{Height, Timestamp};
use tandem_consensus::light::{LightBlock, LightError, Trusted, Walk};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::wire::{Offer, Offers, Question, decode_light};
use super::{Restore, SnapshotError, TrustedBlock, unpack};
use crate::driver::wire as blocks;
use crate::network::limits::MAX_SERVED_OF_PEER;
use crate::network::{Error as NetworkError, Network};
use crate::storage::Database;

/// Time for an answer.
const ANSWER: Duration = Duration::from_secs(10);
/// Time between two rounds of questions.
const PAUSE: Duration = Duration::from_millis(500);
/// Chunks that are asked for at once, where that is not too much for the line of this node.
const MAX_AT_ONCE: usize = 8;
/// Those of them that are asked of one peer: one waits there while others are on their way.
const MAX_OF_PEER: usize = MAX_SERVED_OF_PEER + 1;
/// Requests in a row that a peer may leave unanswered.
const MAX_FAILURES: u32 = 3;
/// Peers that are asked for one chunk at once: a second one while the first does not answer.
const MAX_ASKED: u32 = 2;
/// Blocks that are followed back from a trusted one: more than from one snapshot to the next, where the
/// interval is as it is by itself.
const MAX_BACK: u64 = 20_000;

/// Snapshots that are begun before blocks are fetched in their place: each takes time for which peers
/// that offer one, and give nothing of it, can hold this node up.
const MAX_BEGUN: u32 = 16;

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

/// What has been learnt of peers.
#[derive(Default)]
struct Known {
    /// They have sent something wrong.
    liars: BTreeSet<PublicKey>,
    /// How long each took for its last answer; [`ANSWER`] where it gave none.
    waits: BTreeMap<PublicKey, Duration>,
    /// Questions in a row that each has left unanswered.
    silent: BTreeMap<PublicKey, u32>,
    /// How often a snapshot that each offered was given up.
    given_up: BTreeMap<PublicKey, u32>,
}

impl Known {
    fn distrust(&mut self, peer: PublicKey, error: &dyn std::fmt::Display) {
        warn!(%peer, %error, "a peer's part of a snapshot is wrong: it is asked no more");
        self.liars.insert(peer);
    }

    fn asked(&mut self, peer: &PublicKey, wait: Duration, is_answered: bool) {
        // Who refuses at once is not quicker than who answers.
        self.waits.insert(*peer, if is_answered { wait } else { ANSWER });
        let silent = self.silent.entry(*peer).or_default();
        *silent = if is_answered { 0 } else { silent.saturating_add(1) };
    }

    fn is_silent(&self, peer: &PublicKey) -> bool {
        self.silent.get(peer).is_some_and(|silent| *silent >= MAX_FAILURES)
    }

    /// The fewest snapshots that were given up of any of these peers.
    fn given_up(&self, peers: &[PublicKey]) -> u32 {
        let times = |peer| self.given_up.get(peer).copied().unwrap_or(0);
        peers.iter().map(times).min().unwrap_or(0)
    }
}

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
        let mut known = Known::default();
        // Who offers what is being restored, and how many were begun.
        let (mut offering, mut count) = (BTreeSet::new(), 0);
        let mut pool = Pool { at_once: MAX_AT_ONCE, late: BTreeMap::new() };
        let mut until = Instant::now() + self.patience;
        let mut fault = None;
        loop {
            let offered = self.offered(&known).await;
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
                    offering.extend(from);
                    if self.chunks(restore, from, &mut pool, &mut known).await? {
                        until = Instant::now() + self.patience;
                    }
                }
                let missing = restore.missing()?.len();
                if missing == 0
                    && let Some(height) = self.finish(restore, &mut known).await?
                {
                    return Ok(Ended::Restored(height));
                }
                if missing < before {
                    let all = restore.manifest().tiles().len();
                    info!(missing, all, "chunks of the snapshot are restored");
                    until = Instant::now() + self.patience;
                }
            }
            let is_over = Instant::now() >= until;
            if count < MAX_BEGUN && (begun.is_none() || is_over) {
                if begun.is_some() {
                    for peer in std::mem::take(&mut offering) {
                        *known.given_up.entry(peer).or_default() += 1;
                    }
                }
                let other = |offer: &Offer| {
                    begun.as_ref().is_none_or(|b| b.manifest().hash() != offer.manifest)
                };
                let offered = offered.iter().filter(|(offer, _)| other(offer)).collect();
                match self.begin(offered, &mut known).await {
                    Ok(true) => {
                        count += 1;
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
            if is_over {
                if begun.is_some() {
                    self.db.abandon_restore()?;
                }
                return fault.map_or(Ok(Ended::Nothing), Err);
            }
            sleep(PAUSE).await;
        }
    }

    /// Connected peers, those first whose last answers came soonest.
    fn peers(&self, known: &Known) -> Vec<PublicKey> {
        let peers = self.network.connected().into_iter();
        let mut peers: Vec<PublicKey> = peers.filter(|peer| !known.liars.contains(peer)).collect();
        peers.sort_by_key(|peer| known.waits.get(peer).copied().unwrap_or_default());
        peers
    }

    /// The snapshots that connected peers have.
    async fn offered(&self, known: &Known) -> Offered {
        let mut asked = JoinSet::new();
        for peer in self.peers(known) {
            let network = self.network.clone();
            asked.spawn(async move { (peer, offers_of(&network, &peer).await) });
        }
        let mut offered = None;
        while let Some(answer) = asked.join_next().await {
            let Ok((peer, Some(offers))) = answer else { continue };
            let offered: &mut BTreeMap<Offer, Vec<PublicKey>> = offered.get_or_insert_default();
            // What one says twice counts once.
            for offer in BTreeSet::from_iter(offers) {
                offered.entry(offer).or_default().push(peer);
            }
        }
        offered
    }

    /// Begins with the best of what is offered: what any peer has of which nothing was given up yet, of
    /// that what most have, and of that the newest. False when there is nothing.
    async fn begin(
        &self,
        offered: Vec<(&Offer, &Vec<PublicKey>)>,
        known: &mut Known,
    ) -> Result<bool, SnapshotError> {
        known.silent.clear();
        let mut offered = offered;
        offered.sort_by_key(|(offer, from)| {
            (known.given_up(from), Reverse((from.len(), offer.height)))
        });
        let mut fault = None;
        for (offer, from) in offered {
            let above = match self.trusted(offer.height.next(), known).await {
                Ok(above) => above,
                Err(error) => {
                    warn!(height = %offer.height, %error, "a snapshot that is offered cannot be trusted");
                    fault = Some(error);
                    continue;
                }
            };
            for peer in from {
                if known.liars.contains(peer) || known.is_silent(peer) {
                    continue;
                }
                match self.manifest(peer, offer, &above, known).await {
                    Ok(Some(manifest)) => {
                        let chunks = manifest.tiles().len();
                        info!(height = %offer.height, chunks, "a snapshot is being restored");
                        let db = self.db.clone();
                        let above = above.clone();
                        blocking(move || Restore::begin(db, manifest, above)).await?;
                        return Ok(true);
                    }
                    Ok(None) => {}
                    Err(error) => known.distrust(*peer, &error),
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
        known: &mut Known,
    ) -> Result<Option<Manifest>, SnapshotError> {
        let question = Question::Manifest(offer.manifest);
        let Some(bytes) = self.ask(peer, question, known).await else {
            return Ok(None);
        };
        let manifest = blocking(move || Ok(Manifest::decode(&bytes)?)).await?;
        let is_it = manifest.hash() == offer.manifest
            && manifest.height() == offer.height
            && manifest.tiles().len() == offer.chunks as usize
            && manifest.app_hash() == above.app_hash
            && *manifest.chain_id() == above.chain_id;
        if is_it {
            return Ok(Some(manifest));
        }
        let what = "its manifest is not of the state that the trusted header names".to_owned();
        Err(SnapshotError::Unfit { what })
    }

    /// The header of a height, trusted.
    async fn trusted(&self, target: Height, known: &mut Known) -> Result<Header, SnapshotError> {
        let first = match self.trust {
            None => Trusted::genesis(&self.genesis),
            Some(trust) => self.named(trust, known).await?,
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
            let (from, block) = self.light(height, known).await?;
            match walk.take(&Strict, (self.clock)(), from, block) {
                Ok(()) => {}
                Err((_, error @ LightError::Expired { .. })) => return Err(error.into()),
                Err((from, error)) => known.distrust(from, &error),
            }
        }
        let header = walk.trusted().header().cloned();
        Ok(header.expect("a height above 0 has a header"))
    }

    /// The block that was named. Where all peers have another, none of them is called a liar for it: the
    /// hash may be wrong.
    async fn named(
        &self,
        trust: TrustedBlock,
        known: &mut Known,
    ) -> Result<Trusted, SnapshotError> {
        let mut fault = None;
        for peer in self.peers(known) {
            let Some(bytes) = self.ask(&peer, Question::Light(trust.height), known).await else {
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
        known: &mut Known,
    ) -> Result<(PublicKey, LightBlock), SnapshotError> {
        for peer in self.peers(known) {
            if known.is_silent(&peer) {
                continue;
            }
            let question = Question::Light(height);
            let Some(bytes) = self.ask(&peer, question, known).await else { continue };
            match decode_light(&bytes) {
                Ok(block) => return Ok((peer, block)),
                Err(error) => known.distrust(peer, &error),
            }
        }
        Err(SnapshotError::NoPeer { what: "has a header on the way to the snapshot's" })
    }

    /// The answer of a peer; none when it does not answer or does not have it.
    async fn ask(
        &self,
        peer: &PublicKey,
        question: Question,
        known: &mut Known,
    ) -> Option<Vec<u8>> {
        let began = Instant::now();
        let answer = self.network.request(peer, &codec::encode(&question), ANSWER).await;
        known.asked(peer, began.elapsed(), answer.is_ok());
        answer.ok().filter(|bytes| !bytes.is_empty())
    }

    /// Fetches the chunks that are missing from several peers at once, as far as they have them. Whether
    /// fewer at once are asked for from now on.
    async fn chunks(
        &self,
        restore: &Arc<Restore>,
        from: &[PublicKey],
        pool: &mut Pool,
        known: &mut Known,
    ) -> Result<bool, SnapshotError> {
        let missing = restore.missing()?;
        let work = Arc::new(Work(Mutex::new(missing.into_iter().map(|i| (i, 0)).collect())));
        let mut workers = JoinSet::new();
        for peer in pool.choose(from.iter().filter(|peer| !known.liars.contains(peer))) {
            let network = self.network.clone();
            let (restore, work) = (Arc::clone(restore), Arc::clone(&work));
            workers
                .spawn(async move { (peer, fetch_chunks(&network, peer, &restore, &work).await) });
        }
        let asked = workers.len();
        let mut are_all_late = asked > 0;
        while let Some(ended) = workers.join_next().await {
            match ended {
                Ok((peer, Ok(late))) => {
                    are_all_late &= late;
                    *pool.late.entry(peer).or_default() += u32::from(late);
                }
                Ok((_, Err(SnapshotError::Chain(error)))) if error.is_of_store() => {
                    return Err(error.into());
                }
                Ok((peer, Err(error))) => known.distrust(peer, &error),
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            }
        }
        Ok(are_all_late && pool.ask_for_fewer(asked))
    }

    /// Fetches the block of the state, and makes both the database's; none when no peer has it now.
    async fn finish(
        &self,
        restore: &Arc<Restore>,
        known: &mut Known,
    ) -> Result<Option<Height>, SnapshotError> {
        let first = restore.manifest().height();
        for peer in self.peers(known) {
            let question = codec::encode(&blocks::Question { first, count: 1 });
            let Ok(bytes) = self.network.request(&peer, &question, ANSWER).await else { continue };
            let block = match blocks::Answer::decode(&bytes) {
                Ok(answer) => answer.blocks.into_iter().next(),
                Err(error) => {
                    known.distrust(peer, &error);
                    None
                }
            };
            let Some(block): Option<CertifiedBlock> = block else { continue };
            let (restore, genesis) = (Arc::clone(restore), Arc::clone(&self.genesis));
            match blocking(move || restore.finish(&genesis, &block)).await {
                Ok(height) => return Ok(Some(height)),
                Err(error @ SnapshotError::Trust(_)) => known.distrust(peer, &error),
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}

/// Which peers are asked for chunks.
struct Pool {
    /// Chunks at once: fewer where all were late, since that may be too much for the line of this node.
    at_once: usize,
    /// How often each was late.
    late: BTreeMap<PublicKey, u32>,
}

impl Pool {
    /// Those that were late least often, once for each chunk that is asked of them at once.
    fn choose<'a>(&self, from: impl Iterator<Item = &'a PublicKey>) -> Vec<PublicKey> {
        let mut chosen: Vec<PublicKey> = from.copied().collect();
        chosen.sort_by_key(|peer| self.late.get(peer).copied().unwrap_or(0));
        let of_peers = MAX_OF_PEER * chosen.len();
        chosen.into_iter().cycle().take(self.at_once.min(of_peers)).collect()
    }

    /// Half as many as were asked for at once; false when that was one.
    fn ask_for_fewer(&mut self, asked: usize) -> bool {
        self.at_once = (asked / 2).max(1);
        asked > 1
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

    /// One that turns out wrong is missing in the next round.
    fn has_come(&self, index: u32) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&index);
    }
}

/// Asks one peer for chunk after chunk, until none is missing, or it does not have them or answer. Whether
/// any did not come in time. While a chunk is checked and written, the next one is on its way.
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
    let mut writing = JoinSet::new();
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
        work.has_come(index);
        written(&mut writing).await?;
        let to = Arc::clone(restore);
        writing.spawn(blocking(move || to.put(index, &unpack(&packed)?)));
    }
    written(&mut writing).await?;
    Ok(late)
}

/// Waits until what has come is written.
async fn written(writing: &mut JoinSet<Result<(), SnapshotError>>) -> Result<(), SnapshotError> {
    match writing.join_next().await {
        None => Ok(()),
        Some(Ok(result)) => result,
        Some(Err(error)) => std::panic::resume_unwind(error.into_panic()),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_takes_one_chunk_at_a_time_is_soon_asked_for_no_more() {
        let peers: Vec<PublicKey> = (0..9).map(|i| PublicKey([i; 32])).collect();
        for (count, expected) in
            [(1, &[3, 1][..]), (2, &[6, 3, 1]), (3, &[8, 4, 2, 1]), (9, &[8, 4, 2, 1])]
        {
            let mut pool = Pool { at_once: MAX_AT_ONCE, late: BTreeMap::new() };
            let mut asked = Vec::new();
            loop {
                let chosen = pool.choose(peers[..count].iter());
                let most = peers.iter().map(|peer| chosen.iter().filter(|it| *it == peer).count());
                assert!(most.max().unwrap() <= MAX_OF_PEER);
                asked.push(chosen.len());
                if !pool.ask_for_fewer(chosen.len()) {
                    break;
                }
            }
            assert_eq!(asked, expected, "{count} peers");
        }
    }
}
