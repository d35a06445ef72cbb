//! 7. While dead, lost and lying power is at most f: no framing (a live node is not recorded dead,
//!    so no live holder loses its seat), no clinging and no long-dead standby (a node that has been dead
//!    for longer than detection takes is not recorded alive), and none that is behind (what a node
//!    that is recorded alive lacked took no longer than the grace).
//!
//! The world says which nodes are live (their messages reach every correct validator within the
//! bound, and they are at the tip) and which are dead (they send nothing that shows anything).

use std::collections::BTreeMap;

use tandem_chain::genesis::Genesis;
use tandem_chain::keys::PublicKey;
use tandem_chain::types::Height;

use super::seats::{self, Moved, Seats};
use super::{Commit, Verdict, broken};
use crate::sim::queue::{S, Time};

const RULE: &str = "7 liveness";

/// What the world knows of a node at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Its messages reach every correct validator within the bound, and it is at the tip.
    Live,
    /// It shows nothing to anyone.
    Dead,
    /// Neither.
    Unclear,
}

#[derive(Clone, Copy, Debug, Default)]
struct Truth {
    live_since: Option<Time>,
    /// Height of the one chain when it died.
    died_at: Option<u64>,
}

/// What is true of the nodes, and since when.
#[derive(Debug)]
pub struct Liveness {
    nodes: BTreeMap<PublicKey, Truth>,
    /// Since when correct, live observers have all the power but f.
    sound_since: Option<Time>,
    /// When each height was first committed.
    committed: Vec<Time>,
    /// The highest height that each node has ever committed.
    reached: BTreeMap<PublicKey, u64>,
    /// When the parameters last changed. A node cannot show itself more often before it knows that the
    /// grace will be shorter.
    changed: Option<Time>,
    longest_round_ms: u64,
}

impl Liveness {
    pub(super) fn new(genesis: &Genesis, keys: &[PublicKey]) -> Self {
        let truth = Truth { live_since: None, died_at: None };
        Self {
            nodes: keys.iter().map(|key| (*key, truth)).collect(),
            sound_since: None,
            committed: vec![0],
            reached: BTreeMap::new(),
            changed: None,
            longest_round_ms: genesis.parameters.timeout_max_ms,
        }
    }

    /// What is true of a node now.
    pub fn observe(&mut self, now: Time, height: u64, key: &PublicKey, health: Health) {
        let truth = self.nodes.entry(*key).or_default();
        truth.live_since = (health == Health::Live).then(|| truth.live_since.unwrap_or(now));
        truth.died_at = (health == Health::Dead).then(|| truth.died_at.unwrap_or(height));
    }

    /// Whether correct, live observers have all the power but f now.
    pub fn observers(&mut self, now: Time, are_sound: bool) {
        self.sound_since = are_sound.then(|| self.sound_since.unwrap_or(now));
    }

    /// A correct node has committed a height.
    pub(super) fn reached(&mut self, key: &PublicKey, height: Height) {
        let reached = self.reached.entry(*key).or_default();
        *reached = height.0.max(*reached);
    }

    /// A node keeps to the protocol no more: nobody tells what it commits.
    pub fn faulty(&mut self, key: &PublicKey) {
        self.reached.remove(key);
    }

    /// The one chain has a new block, k; its record is about precommits at k - 1.
    pub(super) fn extended(&mut self, commit: &Commit, seats: &Seats, moved: &[Moved]) -> Verdict {
        self.committed.push(commit.now);
        let k = commit.block.block.header.height.0;
        if seats.parameters() != seats.parameters_at(k) {
            self.changed = Some(commit.now);
            self.longest_round_ms = self.longest_round_ms.max(seats.parameters().timeout_max_ms);
        }
        let Some(alive) = seats.alive() else { return Ok(()) };
        let (Some(before), Some(table)) = (k.checked_sub(2), seats.table(Height(k - 1))) else {
            return Ok(());
        };
        let grace = seats::grace(seats.parameters_at(k - 1), table);
        for key in seats.judged() {
            let Some(truth) = self.nodes.get(key) else { continue };
            if alive.contains(key) {
                if let Some(died) = truth.died_at
                    && capped_time(seats, died + 1, before) > grace
                {
                    let what = format!("{key}, dead since height {died}, is alive in block {k}");
                    return broken(RULE, what);
                }
                self.has_caught_up(key, k, grace, seats)?;
                continue;
            }
            let settled = self.settled(grace);
            let index = usize::try_from(before).expect("heights of a history are few");
            let is_old = |since: Option<Time>| {
                since.is_some_and(|since| since + settled <= self.committed[index])
            };
            let is_settled = self.changed.is_none() || is_old(self.changed);
            if is_old(truth.live_since) && is_old(self.sound_since) && is_settled {
                let since = truth.live_since.unwrap_or_default();
                let lost = moved.iter().any(|moved| moved.from == Some(*key));
                let what = format!(
                    "{key}, live since {since} ns, is dead in block {k}; it lost its seat: {lost}"
                );
                return broken(RULE, what);
            }
        }
        Ok(())
    }

    /// A correct node that block k calls alive has shown itself to a correct observer: so what it lacked
    /// took no longer than the grace. A standby that is behind is not eligible, whoever is dead.
    fn has_caught_up(&self, key: &PublicKey, k: u64, grace: u64, seats: &Seats) -> Verdict {
        let Some(reached) = self.reached.get(key) else { return Ok(()) };
        if capped_time(seats, reached + 1, k - 2) <= grace {
            return Ok(());
        }
        broken(RULE, format!("{key}, which has reached {reached}, is alive in block {k}"))
    }

    /// How long after a return a node may still be taken for dead: a follow message may wait for a
    /// quarter of the grace, and for a block, which may take some rounds.
    fn settled(&self, grace: u64) -> Time {
        2 * grace + S + self.longest_round_ms * 3_000_000
    }
}

/// Times between the blocks from `from` to `to`, each capped.
fn capped_time(seats: &Seats, from: u64, to: u64) -> u64 {
    let cap = |height| seats.parameters_at(height).idle_block_interval_ms * 1_000_000;
    (from + 1..=to).map(|j| (seats.time(j) - seats.time(j - 1)).min(cap(j))).sum()
}
