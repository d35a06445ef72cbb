//! What is true of the nodes, for the invariants that judge the liveness record; and whether all
//! that is demanded after the faults has come about.

use tandem_chain::types::{Height, TxHash};

use super::invariants::liveness::Health;
use super::invariants::{bounded_switch, f, progress};
use super::node::Slow;
use super::queue::MS;
use super::world::{Event, Phase, World};

/// Blocks that a node may be behind and still count as being at the tip.
const AT_TIP: u64 = 2;

impl World {
    /// Tells the invariants what is true now.
    pub(super) fn look_at_health(&mut self) {
        let (now, height) = (self.queue.now(), self.invariants.height().0);
        for node in 0..self.nodes.len() {
            let health = self.health(node, height);
            self.invariants.liveness.observe(now, height, &self.nodes[node].key, health);
        }
        let table = self.invariants.newest_table();
        let total: u64 = table.values().map(|seat| seat.power).sum();
        let live: u64 = table
            .values()
            .filter(|seat| {
                let node = self.by_key[&seat.holder];
                self.nodes[node].is_correct() && self.health(node, height) == Health::Live
            })
            .map(|seat| seat.power)
            .sum();
        let f = f(table);
        self.invariants.liveness.observers(now, live >= total - f);
    }

    fn health(&self, index: usize, height: u64) -> Health {
        let node = &self.nodes[index];
        if !node.is_correct() {
            return Health::Unclear;
        }
        let Some(process) = &node.process else { return Health::Dead };
        let view = process.replica.view();
        if view.key_lost {
            return Health::Dead;
        }
        let is_at_tip = view.height.0 + AT_TIP > height && view.silent_through < view.height;
        let is_quick = !node.paused && node.slow == Slow::NOT;
        let is_fit = is_quick && is_at_tip && self.links_are_sound();
        if is_fit && self.is_heard(index) { Health::Live } else { Health::Unclear }
    }

    fn links_are_sound(&self) -> bool {
        self.links.loss == 0 && self.links.late == 0
    }

    /// Whether it and every correct node that runs hear each other.
    fn is_heard(&self, index: usize) -> bool {
        (0..self.nodes.len()).all(|peer| {
            let other = &self.nodes[peer];
            let counts = peer != index && other.is_correct() && other.is_up();
            let is_connected =
                self.net.sees(index, peer).is_some() && self.net.sees(peer, index).is_some();
            !counts || (is_connected && !self.net.is_broken(index, peer))
        })
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

    fn open_txs(&self) -> Vec<TxHash> {
        let height = self.invariants.height();
        let open = self.clients.iter().flat_map(super::load::Client::open);
        let open = open.filter(|tx| tx.body().valid_until.0 > height.0 + 1_000);
        open.map(tandem_chain::tx::Tx::hash)
            .filter(|hash| !self.invariants.has_receipt(hash))
            .collect()
    }

    /// Whether all that is demanded after the faults is there; or overdue.
    pub(super) fn look(&mut self) {
        let Phase::Healed { at, height } = self.phase else { return };
        self.look_at_health();
        // What was ordered while the faults lasted may take effect after them.
        let waited = self.queue.now() - at.max(self.last_change);
        let parameters = self.parameters();
        let (heights, overdue, open) = (self.heights(), self.overdue(), self.open_txs());
        let table = self.invariants.newest_table();
        let seats = self.plan.orgs.len();
        let progress_bound = progress::bound(parameters, seats);
        let away = self.plan.lying().count() + self.plan.stay_dead;
        let share = 100 * away as u64 / seats as u64;
        let switch_bound = progress_bound + bounded_switch::bound(parameters, table, share);
        let has_progress = heights.iter().all(|(_, h)| h.0 >= height.0 + progress::NEW_BLOCKS);
        if has_progress && overdue.is_empty() && open.is_empty() {
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
            let verdict = self.invariants.exactly_once.at_end(open.iter());
            self.verdict(verdict);
        }
        self.queue.after(500 * MS, Event::Look);
    }
}
