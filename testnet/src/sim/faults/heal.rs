//! The end of the faults.

use crate::sim::clock::Clock;
use crate::sim::invariants::f;
use crate::sim::queue::S;
use crate::sim::world::{Event, Phase, World};

impl World {
    /// The faults stop: everything but the Byzantine is whole again, and some holders stay dead.
    pub(in crate::sim) fn heal(&mut self) {
        self.net.heal();
        self.links = self.plan.links.healed();
        let (now, height) = (self.queue.now(), self.invariants.height());
        self.phase = Phase::Healed { at: now, height };
        self.tell(|_| format!("the faults stop at height {height}"));
        self.reform();
        self.choose_dead();
        for node in &mut self.nodes {
            // Of one that came in by an invitation and has not been told, the operator learns it.
            node.is_installed |= self.invariants.is_registered(&node.key);
        }
        self.healing = Some(self.healing());
        let bound_ns = self.plan.parameters.max_clock_ahead_ms * 1_000_000;
        for node in 0..self.nodes.len() {
            self.nodes[node].doom = None;
            self.nodes[node].clock = Clock::kept(&mut self.random, bound_ns, now);
            self.room(node);
            self.fast(node);
            if std::mem::take(&mut self.nodes[node].lowest) > 0 {
                // Its peers learn that it has all blocks again when they connect.
                self.crash(node);
            }
            if self.nodes[node].stays_dead {
                self.crash(node);
            } else if self.nodes[node].process.is_none() {
                let delay = self.random.below(S);
                self.queue.after(delay, Event::Start(node));
            } else {
                self.resume(node);
            }
        }
        for node in 0..self.nodes.len() {
            self.connect_all(node);
        }
        self.look_at_health();
        self.queue.after(S, Event::Look);
    }

    /// Holders that stay dead: with the Byzantine, and those whose key was lost and may still be
    /// silent, at most f power.
    fn choose_dead(&mut self) {
        let table = self.invariants.newest_table().clone();
        let may_be_silent = |org: usize| self.nodes.iter().any(|n| n.org == org && n.key_was_lost);
        let is_liar = |org: usize| self.plan.lies(org);
        let power = |org: usize| self.plan.orgs[org].power;
        let orgs = 0..self.plan.orgs.len();
        let away: u64 = orgs.filter(|org| may_be_silent(*org) || is_liar(*org)).map(power).sum();
        let mut room = f(&table).saturating_sub(away);
        let mut holders: Vec<usize> = table
            .values()
            .filter_map(|seat| self.by_key.get(&seat.holder).copied())
            .filter(|node| !is_liar(self.nodes[*node].org) && !may_be_silent(self.nodes[*node].org))
            .collect();
        self.random.shuffle(&mut holders);
        for node in holders.into_iter().take(self.plan.stay_dead) {
            let power = self.plan.orgs[self.nodes[node].org].power;
            if power > room {
                continue;
            }
            room -= power;
            self.nodes[node].stays_dead = true;
            self.tell(|w| format!("{} dies for good", w.nodes[node].name));
        }
    }
}
