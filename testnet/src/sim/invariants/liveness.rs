//! 7. While dead, lost and lying power is at most f: no framing, no clinging, no long-dead standby; and
//!    no flicker of a node that has come back.
//!
//! A record is derived from observations ([`super::seats`] does it again): a node is alive if
//! observers with more than f power saw it. Those that sign have more than 2/3 of the power, so at
//! least one of more than f is neither lying nor out of reach. Hence the invariants are held against
//! each observation of a correct validator, at the moment when it is signed:
//!
//! - *Framing.* A live node is seen by every live observer. Live is who reaches, and is reached by, every
//!   correct holder that runs, within the bound; who has been at the tip since that began, and has
//!   committed two blocks since, so that whatever there is to show has had to be shown anew: a
//!   quarter of the grace lies between two follow messages, and the bound is for their way; who waits
//!   for no answer that was lost before that began, either, since it may take seconds to ask anew; nor,
//!   where more than f power lies, for one longer than the bound: claims of heights may be false there, and
//!   who believes that it is far behind gives a peer more time to answer. Where one
//!   seat is a quorum by itself, no block waits for the network, and blocks may be made faster than
//!   they can be fetched: there, live is also who lacks no more of them than come in one answer.
//! - *Clinging.* A correct node is not seen when blocks have taken longer than the grace since the
//!   first that it cannot have shown, the second above the highest that it committed while its key
//!   might sign; whatever became of it: dead, standing still, cut off, behind, its key lost.
//! - *Flicker.* A node that has come back and was seen, on messages since its return, is seen for
//!   ever, as long as it hears and is heard and lacks no more than a quarter of the grace of blocks.
//!   What it says when it lacks more than half it keeps to itself; between the two it catches up.
//!   Nor is it recorded dead again: when one observer has seen it, its next message to all, a quarter
//!   of the grace later at most, shows it to the others.

use std::collections::{BTreeMap, BTreeSet};

use tandem_chain::keys::PublicKey;
use tandem_chain::liveness::Bits;

use super::{Chain, Member, Verdict, broken};
use crate::sim::messages::MAX_ANSWER;
use crate::sim::queue::{MS, Time};

const RULE: &str = "7 liveness";

/// What the world knows of the network at a moment, by index.
#[derive(Clone, Debug)]
pub struct Picture {
    /// Nodes that are correct, and whose process runs.
    pub up: Vec<bool>,
    /// By `from * nodes + to`: the connection, while messages go over it in both directions.
    pub links: Vec<Option<u64>>,
    /// When each asked the first question for blocks that it has no answer to.
    pub asked_at: Vec<Option<Time>>,
    /// Whether no link loses or delays messages beyond the bound, and no correct node's clock is off
    /// by more than the others' may be.
    pub is_calm: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Truth {
    /// Since when it and every correct holder that runs reach each other.
    joined_since: Option<Time>,
    /// Whether it has been at the tip since then.
    was_at_tip: bool,
    /// Blocks that it has committed since.
    commits: u32,
    /// From when on it is live.
    live_from: Option<Time>,
    /// Height that it has committed.
    tip: u64,
    /// Highest height that it can have shown.
    shown_most: u64,
    /// When it last lacked more than a quarter of the grace of blocks.
    lagged_at: Option<Time>,
    /// Since when it has been recorded alive without a break.
    alive_since: Option<Time>,
}

/// A bit of an observation.
#[derive(Clone, Copy)]
struct Sight {
    now: Time,
    observer: usize,
    node: usize,
    height: u64,
    is_seen: bool,
}

/// What is true of the nodes, and since when.
#[derive(Debug)]
pub struct Liveness {
    /// Whether more than f power may lie, and records may say anything.
    beyond_f: bool,
    members: Vec<Member>,
    by_key: BTreeMap<PublicKey, usize>,
    nodes: Vec<Truth>,
    links: Vec<Option<(u64, Time)>>,
    /// By observer and node: since when the one has seen the other without a break.
    seen: BTreeMap<(usize, usize), Time>,
    /// When each height was first committed.
    committed: Vec<Time>,
    /// Observations of live nodes.
    pub framing: u64,
    /// Observations of nodes that could show nothing new for longer than the grace.
    pub clinging: u64,
    /// Observations of nodes that had been seen since their return.
    pub flicker: u64,
}

impl Liveness {
    /// Of these nodes; `beyond_f` says whether more than f power may lie.
    pub(super) fn new(members: &[Member], beyond_f: bool) -> Self {
        let nodes = members.len();
        Self {
            beyond_f,
            members: members.to_vec(),
            by_key: members.iter().enumerate().map(|(i, member)| (member.key, i)).collect(),
            nodes: vec![Truth::default(); nodes],
            links: vec![None; nodes * nodes],
            seen: BTreeMap::new(),
            committed: vec![0],
            framing: 0,
            clinging: 0,
            flicker: 0,
        }
    }

    fn link(&self, a: usize, b: usize) -> Option<Time> {
        self.links[a * self.nodes.len() + b].map(|(_, since)| since)
    }

    /// A node keeps to the protocol no more: nothing is demanded of it or for it.
    pub(super) fn faulty(&mut self, node: usize) {
        self.members[node].is_correct = false;
    }

    /// A process starts from this height, which may be one whose write had failed; `may_sign` is whether
    /// its key may sign at the next.
    pub(super) fn started(&mut self, node: usize, tip: u64, may_sign: bool) {
        let truth = &mut self.nodes[node];
        truth.tip = tip;
        if may_sign {
            truth.shown_most = truth.shown_most.max(tip);
        }
        self.seen.retain(|(observer, _), _| *observer != node);
    }

    /// A correct node has committed a block; `may_sign` is whether its key may sign at the next.
    pub(super) fn committed(&mut self, node: usize, now: Time, may_sign: bool, chain: &Chain) {
        let truth = &mut self.nodes[node];
        truth.tip += 1;
        if may_sign {
            truth.shown_most = truth.shown_most.max(truth.tip);
        }
        truth.commits += u32::from(truth.was_at_tip);
        if truth.commits >= 2 && truth.live_from.is_none() {
            let bound = chain.seats.parameters().network_bound_ms * MS;
            truth.live_from = Some(now + chain.grace() / 4 + bound);
        }
    }

    /// What is true now. `signs` tells whether a node's key surely signs.
    pub(super) fn look(
        &mut self,
        now: Time,
        picture: &Picture,
        signs: &dyn Fn(usize) -> bool,
        chain: &Chain,
    ) {
        for (link, epoch) in self.links.iter_mut().zip(&picture.links) {
            *link = epoch.map(|epoch| match *link {
                Some((known, since)) if known == epoch => (epoch, since),
                _ => (epoch, now),
            });
        }
        let holders = self.holders(chain, picture);
        let height = chain.height();
        let parameters = chain.seats.parameters();
        let bound = parameters.network_bound_ms * MS;
        let (grace, idle) = (chain.grace(), parameters.idle_block_interval_ms * MS);
        let powers = chain.seats.order(height + 1);
        let powers = powers.iter().map(|holder| holder.power);
        let is_alone = powers.clone().any(|power| 3 * power > 2 * powers.clone().sum::<u64>());
        for node in 0..self.nodes.len() {
            let is_up = picture.up[node] && signs(node);
            let mut others = holders.iter().filter(|holder| **holder != node);
            let is_joined = is_up && others.all(|holder| self.link(node, *holder).is_some());
            let links = holders.iter().filter(|holder| **holder != node);
            let newest = links.filter_map(|holder| self.link(node, *holder)).max();
            let truth = &mut self.nodes[node];
            let since = truth.joined_since.unwrap_or(now).max(newest.unwrap_or(0));
            let joined_since = (is_joined && picture.is_calm).then_some(since);
            let lacks = height.saturating_sub(truth.tip);
            let is_outrun = is_alone && lacks > MAX_ANSWER;
            // Far behind, as more than f power can make it believe, a node is patient.
            let is_patient = |at: Time| self.beyond_f && at + bound < now;
            let is_lost = picture.asked_at[node].is_some_and(|at| at < since || is_patient(at));
            if joined_since.is_none() || joined_since != truth.joined_since || is_outrun || is_lost
            {
                (truth.was_at_tip, truth.commits, truth.live_from) = (false, 0, None);
            }
            truth.joined_since = joined_since;
            truth.was_at_tip |= truth.joined_since.is_some()
                && (lacks <= 1 || chain.seats.took(truth.tip, height) <= idle);
            if lacks > 1 && chain.seats.took(truth.tip + 1, height) > grace / 4 {
                truth.lagged_at = Some(now);
            }
        }
    }

    /// Correct nodes that run and hold a seat now or soon.
    fn holders(&self, chain: &Chain, picture: &Picture) -> BTreeSet<usize> {
        let height = chain.height();
        let tables = [height, height + 1, height + 2].map(|height| chain.seats.order(height));
        let holders = tables.iter().flat_map(|order| order.iter());
        let nodes = holders.filter_map(|holder| self.by_key.get(&holder.holder).copied());
        nodes.filter(|node| picture.up[*node]).collect()
    }

    /// A correct validator signs this observation with a precommit at a height. `heard_at` is when it
    /// last heard each node show something.
    pub(super) fn observed(
        &mut self,
        now: Time,
        observer: usize,
        height: u64,
        seen: &Bits,
        heard_at: &BTreeMap<PublicKey, Time>,
        chain: &Chain,
    ) -> Verdict {
        let register = chain.seats.register(height - 1);
        for (bit, key) in register.iter().enumerate() {
            let Some(node) = self.by_key.get(key).copied() else { continue };
            if node == observer || !self.members[node].is_correct {
                continue;
            }
            let sight = Sight { now, observer, node, height, is_seen: seen.get(bit) };
            self.clings(sight, chain)?;
            self.framed(sight, chain)?;
            self.flickers(sight, heard_at.get(key).copied())?;
        }
        Ok(())
    }

    fn is_live(&self, node: usize, at: Time) -> bool {
        self.nodes[node].live_from.is_some_and(|from| from <= at)
    }

    fn clings(&mut self, sight: Sight, chain: &Chain) -> Verdict {
        let Sight { node, height, is_seen, .. } = sight;
        let most = self.nodes[node].shown_most;
        let is_stale = most + 2 < height && {
            let grace = chain.grace_at(height);
            chain.seats.took(most + 1, height - 1) > grace
        };
        self.clinging += u64::from(is_stale);
        if is_stale && is_seen {
            let name = &self.members[node].name;
            let what = format!("{name}, which can have shown {most}, is seen at {height}");
            return broken(RULE, what);
        }
        Ok(())
    }

    fn framed(&mut self, sight: Sight, chain: &Chain) -> Verdict {
        let Sight { now, observer, node, height, is_seen } = sight;
        let bound = chain.seats.parameters().network_bound_ms * MS;
        let is_live = self.is_live(node, now)
            && self.is_live(observer, now)
            && self.link(observer, node).is_some_and(|since| since + bound <= now);
        self.framing += u64::from(is_live);
        if is_live && !is_seen {
            let [name, by] = [node, observer].map(|node| self.members[node].name.as_ref());
            let from = self.nodes[node].live_from.unwrap_or_default() / MS;
            let what = format!("{name}, live from {from} ms on, is not seen by {by} at {height}");
            return broken(RULE, what);
        }
        Ok(())
    }

    fn flickers(&mut self, sight: Sight, heard_at: Option<Time>) -> Verdict {
        let Sight { now, observer, node, height, is_seen } = sight;
        let truth = self.nodes[node];
        // Since when the two have heard each other.
        let all = [truth.joined_since, self.nodes[observer].live_from, self.link(observer, node)];
        let since = if all.contains(&None) { None } else { all.into_iter().flatten().max() };
        let seen = self.seen.get(&(observer, node)).copied();
        let seen = seen.filter(|seen| {
            since.is_some_and(|since| since <= *seen)
                && truth.lagged_at.is_none_or(|lagged| lagged < *seen)
        });
        self.flicker += u64::from(seen.is_some());
        if let Some(seen) = seen.filter(|_| !is_seen) {
            let [name, by] = [node, observer].map(|node| self.members[node].name.as_ref());
            let what = format!(
                "{name} is not seen any more by {by} at {height}, and was from {} ms on",
                seen / MS
            );
            return broken(RULE, what);
        }
        let is_shown_anew =
            since.is_some_and(|since| since <= now && heard_at.is_some_and(|at| at >= since));
        if is_seen && is_shown_anew && truth.lagged_at.is_none_or(|lagged| lagged < now) {
            self.seen.insert((observer, node), seen.unwrap_or(now));
        } else {
            self.seen.remove(&(observer, node));
        }
        Ok(())
    }

    /// The one chain has a new block: what its record, about precommits at the height before, says.
    pub(super) fn extended(&mut self, height: u64, now: Time, chain: &Chain) -> Verdict {
        self.committed.push(now);
        self.forget(height, chain);
        let Some(alive) = chain.seats.alive_in(height).filter(|_| !self.beyond_f) else {
            return Ok(());
        };
        // Those precommits were signed when the block before them had been committed.
        let signed_from = self.committed[self.committed.len() - 3];
        for key in chain.seats.register(height - 2) {
            let Some(node) = self.by_key.get(key).copied() else { continue };
            if !self.members[node].is_correct {
                continue;
            }
            let is_alive = alive.contains(key);
            self.is_recorded(node, height, is_alive, chain)?;
            let since = self.nodes[node].alive_since;
            let must_stay = since.is_some_and(|since| self.stays(node, since, signed_from, chain));
            self.flicker += u64::from(must_stay);
            if must_stay && !is_alive {
                let name = &self.members[node].name;
                let what = format!("{name} was recorded alive and is recorded dead in {height}");
                return broken(RULE, what);
            }
            self.nodes[node].alive_since = is_alive.then(|| since.unwrap_or(now));
        }
        Ok(())
    }

    /// A node that is new has shown nothing yet; and when the grace becomes shorter, none can have
    /// shown itself more often before.
    fn forget(&mut self, height: u64, chain: &Chain) {
        let is_shorter = chain.grace_at(height + 1) < chain.grace_at(height);
        let before = chain.seats.register(height - 1);
        for node in 0..self.nodes.len() {
            let key = &self.members[node].key;
            if is_shorter || !before.contains(key) {
                let truth = &mut self.nodes[node];
                (truth.commits, truth.live_from, truth.alive_since) = (0, None, None);
                self.seen.retain(|(_, seen), _| *seen != node);
            }
        }
    }

    fn is_recorded(&self, node: usize, height: u64, is_alive: bool, chain: &Chain) -> Verdict {
        let most = self.nodes[node].shown_most;
        let is_stale = most + 3 < height
            && chain.seats.took(most + 1, height - 2) > chain.grace_at(height - 1);
        if is_alive && is_stale {
            let name = &self.members[node].name;
            let what = format!("{name}, which can have shown {most}, is alive in {height}");
            return broken(RULE, what);
        }
        Ok(())
    }

    /// Whether a node that has been recorded alive since then is seen by all observers but for some of
    /// at most f power who signed from that moment on.
    fn stays(&self, node: usize, since: Time, signed_from: Time, chain: &Chain) -> bool {
        let truth = &self.nodes[node];
        let bound = chain.seats.parameters().network_bound_ms * MS;
        let order = chain.seats.order(chain.height() - 1);
        let blind = order.iter().filter(|holder| {
            let observer = self.by_key.get(&holder.holder);
            observer.is_none_or(|observer| !self.is_live(*observer, signed_from))
        });
        let blind: u64 = blind.map(|holder| holder.power).sum();
        truth.joined_since.is_some_and(|joined| joined <= since)
            && truth.lagged_at.is_none_or(|lagged| lagged < since)
            && since + chain.grace() / 4 + bound <= signed_from
            && 3 * blind < order.iter().map(|holder| holder.power).sum()
    }
}
