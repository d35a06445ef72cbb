//! What is true of the nodes and of the network, for the invariants that judge the liveness record;
//! and whether all that is demanded after the faults has come about.

use tandem_chain::types::{Height, TxHash};

use super::invariants::liveness::Picture;
use super::invariants::progress::{self, Healing};
use super::invariants::{bounded_switch, f, invitations};
use super::node::Slow;
use super::queue::{MS, S, Time};
use super::world::{Event, Phase, World};

/// How long a chain is watched that need not go on.
const STAND_STILL: Time = 10 * S;

impl World {
    /// Tells the invariants what is true now.
    pub(super) fn look_at_health(&mut self) {
        let nodes = 0..self.nodes.len();
        let up = nodes.clone().map(|node| {
            let node = &self.nodes[node];
            node.is_up() && node.is_correct() && node.slow == Slow::NOT
        });
        let links = nodes.clone().flat_map(|a| nodes.clone().map(move |b| (a, b)));
        let links = links.map(|(a, b)| self.reach(a, b)).collect();
        let asked_at = |node: usize| self.nodes[node].process.as_ref()?.fetches.values().min();
        let picture = Picture {
            up: up.collect(),
            links,
            asked_at: nodes.clone().map(|node| asked_at(node).copied()).collect(),
            is_calm: self.is_calm(),
        };
        let now = self.queue.now();
        self.invariants.look(now, &picture);
        let table = self.invariants.newest_table();
        let total = table.values().map(|seat| seat.power).sum();
        let up = table.values().filter(|seat| self.nodes[self.by_key[&seat.holder]].is_up());
        self.watch.power(now, up.map(|seat| seat.power).sum(), total);
    }

    /// The connection of two nodes, while messages go over it in both directions, and none that is
    /// late holds up those behind it.
    fn reach(&self, a: usize, b: usize) -> Option<u64> {
        let epoch = self.net.sees(a, b)?;
        let in_time = self.queue.now() + self.links.delay_max;
        let is_clear = self.net.clear_at(a, b).max(self.net.clear_at(b, a)) <= in_time;
        let is_whole = self.net.sees(b, a) == Some(epoch) && !self.net.is_broken(a, b);
        (is_whole && is_clear).then_some(epoch)
    }

    /// Whether messages that arrive do so within the bound, and clocks are as they are without
    /// faults.
    fn is_calm(&self) -> bool {
        let bound_ns = self.parameters().max_clock_ahead_ms * MS;
        let is_right = |node: usize| self.clock_offset(node).unsigned_abs() <= bound_ns / 4;
        let mut correct = (0..self.nodes.len()).filter(|node| self.nodes[*node].is_correct());
        let is_whole = self.links.loss == 0 && self.links.late == 0;
        is_whole && correct.all(is_right)
    }

    /// Live nodes that must go on after the faults, with their heights.
    fn heights(&self) -> Vec<(String, Height)> {
        self.nodes
            .iter()
            .filter(|node| {
                let is_wanted = node.is_correct() && !node.stays_dead;
                is_wanted && self.invariants.is_registered(&node.key)
            })
            .map(|node| {
                let height = node.process.as_ref().map(|p| p.ledger.tip().height);
                (node.name.clone(), height.unwrap_or_default())
            })
            .collect()
    }

    /// Seats whose dead holder has a live partner and power of at most f.
    fn overdue(&self) -> Vec<String> {
        let table = self.invariants.newest_table();
        let f = f(table);
        table
            .iter()
            .filter(|(name, seat)| {
                let is_dead = self.nodes[self.by_key[&seat.holder]].stays_dead;
                let partners = self.invariants.pair(name);
                let has_partner = partners.iter().any(|key| {
                    let node = &self.nodes[self.by_key[key]];
                    *key != seat.holder && node.is_correct() && !node.stays_dead
                });
                is_dead && has_partner && seat.power <= f
            })
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// Transactions that have no receipt and may still get one: not those of users whose organisation
    /// is suspended or was removed. They are sent again as long as that is so, and there are no new
    /// ones after the faults.
    fn open_txs(&self) -> Vec<TxHash> {
        let height = self.invariants.height();
        let open = self.clients.iter().flat_map(super::load::Client::open);
        let open = open.filter(|tx| {
            tx.body().valid_until > height && self.invariants.may_send(&tx.body().sender)
        });
        open.map(tandem_chain::tx::Tx::hash)
            .filter(|hash| !self.invariants.has_receipt(hash))
            .collect()
    }

    /// What is so as the faults stop, or when nodes, partners or parameters have changed since.
    pub(super) fn healing(&self) -> Healing {
        let table = self.invariants.newest_table();
        let is_bad = |node: usize| {
            let entry = &self.nodes[node];
            let is_away = !entry.is_correct() || entry.stays_dead;
            is_away || (entry.key_was_lost && !self.invariants.watch.signs(node))
        };
        let bad = table.values().filter(|seat| is_bad(self.by_key[&seat.holder]));
        let height = self.invariants.height().0;
        let wanted = self.nodes.iter().filter(|node| node.is_installed && !node.stays_dead);
        let tip = wanted.map(|node| node.process.as_ref().map_or(0, |p| p.ledger.tip().height.0));
        let processes = self.nodes.iter().filter_map(|node| node.process.as_ref());
        let rounds = processes.map(|process| process.replica.view().round.0);
        Healing {
            parameters: self.parameters().clone(),
            seats: table.len() as u64,
            bad: bad.count() as u64,
            round: rounds.max().unwrap_or(0),
            behind: height - tip.min().unwrap_or(height).min(height),
            ahead: self.invariants.time().saturating_sub(self.truth().0),
        }
    }

    /// Whether all that is demanded after the faults is there; or overdue.
    pub(super) fn look(&mut self) {
        let (Phase::Healed { at, height }, Some(healing)) = (&self.phase, &self.healing) else {
            return;
        };
        let (at, height) = (*at, *height);
        let progress_bound = healing.bound();
        let switch_bound = bounded_switch::bound(healing, self.invariants.newest_table());
        self.look_at_health();
        if self.may_stand_still() {
            if self.queue.now() - at > STAND_STILL {
                self.counts.stood_still += 1;
                self.is_over = true;
            }
            self.queue.after(500 * MS, Event::Look);
            return;
        }
        // What was ordered while the faults lasted may take effect after them.
        let waited = self.queue.now() - at.max(self.last_change);
        let (heights, overdue, open) = (self.heights(), self.overdue(), self.open_txs());
        let awaited = self.awaited();
        let has_progress = heights.iter().all(|(_, h)| h.0 >= height.0 + progress::NEW_BLOCKS);
        let needed = [
            (!has_progress, progress_bound, &mut self.counts.progress_percent_max),
            (!overdue.is_empty(), switch_bound, &mut self.counts.switch_percent_max),
        ];
        for (is_open, bound, most) in needed {
            *most = (*most).max(if is_open { 100 * waited / bound } else { 0 });
        }
        if has_progress && overdue.is_empty() && open.is_empty() && awaited.is_empty() {
            let waited = self.queue.now() - at;
            self.counts.healed_ms_max = self.counts.healed_ms_max.max(waited / MS);
            self.is_over = true;
            return;
        }
        if waited > progress_bound {
            let verdict = progress::at_bound(height, &heights);
            self.verdict(verdict);
        }
        if waited > switch_bound {
            let verdict = bounded_switch::at_bound(&overdue);
            self.verdict(verdict);
        }
        if waited > switch_bound + progress_bound {
            let verdict = self.invariants.exactly_once.at_end(open.iter());
            self.verdict(verdict.and_then(|()| invitations::at_end(&awaited)));
        }
        self.queue.after(500 * MS, Event::Look);
    }
}
