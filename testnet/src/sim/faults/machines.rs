//! Machines that are slow, standbys that fall behind for it or for want of blocks, and clocks that go
//! wrong.

use crate::sim::clock::Clock;
use crate::sim::node::Slow;
use crate::sim::queue::{MS, S};
use crate::sim::world::{Event, Phase, World};

/// Blocks that a standby lacks to count as behind when its holder dies.
const BEHIND: u64 = 5;

impl World {
    /// Everything takes a machine long, and its timers fire late.
    pub(super) fn slow_machine(&mut self, node: usize) -> bool {
        let work = self.random.pick(&[5, 30, 200]);
        self.slow_down(node, Slow { work, disk: work.min(30) })
    }

    pub(super) fn slow_down(&mut self, node: usize, slow: Slow) -> bool {
        if self.nodes[node].slow != Slow::NOT {
            return false;
        }
        self.nodes[node].slow = slow;
        self.tell(|w| format!("{} is slow: {slow:?}", w.nodes[node].name));
        let delay = self.fault_length();
        self.queue.after(delay, Event::Fast(node));
        true
    }

    /// A machine and its disk are as fast as they were.
    pub(in crate::sim) fn fast(&mut self, node: usize) {
        if self.nodes[node].slow != Slow::NOT {
            self.nodes[node].slow = Slow::NOT;
            self.tell(|w| format!("{} is as fast as before", w.nodes[node].name));
            self.look_at_health();
        }
    }

    /// A standby gets no blocks for a while, or works too slowly to keep up, and before that ends its
    /// holder dies: the seat must not move before the standby has caught up.
    pub(super) fn lag(&mut self) -> bool {
        if self.queue.now() < self.lags_until {
            return false;
        }
        let table = self.invariants.newest_table();
        let pairs = table.iter().filter_map(|(name, seat)| {
            let holder = self.by_key[&seat.holder];
            let pair = self.invariants.pair(name);
            let standby = self.by_key[pair.iter().find(|key| **key != seat.holder)?];
            let is_sound = |node: usize| {
                let entry = &self.nodes[node];
                self.may_fail(node) && entry.is_correct() && entry.is_up()
            };
            (is_sound(holder) && is_sound(standby)).then_some((standby, holder))
        });
        let pairs: Vec<(usize, usize)> = pairs.collect();
        if pairs.is_empty() {
            return false;
        }
        let (standby, holder) = self.random.pick(&pairs);
        let length = self.random.between(S, 8 * S);
        self.tell(|w| {
            let [standby, holder] = [standby, holder].map(|node| w.nodes[node].name.as_str());
            format!("{standby} will be behind when {holder} dies")
        });
        if self.random.chance(500) {
            let cuts = self.links_of(standby);
            self.cut_for(cuts, length);
        } else {
            self.nodes[standby].slow = Slow { work: 500, disk: 30 };
            self.queue.after(length, Event::Fast(standby));
        }
        self.lags_until = self.queue.now() + length;
        let dies = length * self.random.between(5, 9) / 10;
        self.queue.after(dies, Event::Lagging { standby, holder });
        true
    }

    /// The holder dies, while its standby is behind, for long enough that the seat may move.
    pub(in crate::sim) fn lagging(&mut self, standby: usize, holder: usize) {
        if self.phase != Phase::Faults || self.nodes[holder].process.is_none() {
            return;
        }
        let height = self.nodes[standby].process.as_ref().map(|p| p.ledger.tip().height.0);
        if height.is_some_and(|height| height + BEHIND <= self.invariants.height().0) {
            self.counts.died_before_laggard += 1;
        }
        self.crash(holder);
        let delay = self.random.between(5 * S, 15 * S);
        self.queue.after(delay, Event::Start(holder));
    }

    pub(super) fn clock_jump(&mut self, node: usize) -> bool {
        let most = self.random.pick(&[200 * MS, 2 * S, 30 * S, 3600 * S]);
        self.nodes[node].clock = Clock::jumped(&mut self.random, most, self.queue.now());
        self.tell_clock(node);
        true
    }

    /// A clock runs too fast or too slow by up to 0.1, 1 or 10 %.
    pub(super) fn clock_drift(&mut self, node: usize) -> bool {
        let most = self.random.pick(&[1_000, 10_000, 100_000]);
        let clock = self.nodes[node].clock;
        self.nodes[node].clock = clock.drifting(&mut self.random, most, self.queue.now());
        self.tell_clock(node);
        true
    }

    fn tell_clock(&mut self, node: usize) {
        self.tell(|w| {
            format!("{} has another clock: {:?}", w.nodes[node].name, w.nodes[node].clock)
        });
    }
}
