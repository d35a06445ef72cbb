//! Processes that die, at any moment or at a chosen point of their work, and such that stand still.

use tandem_chain::keys::PublicKey;

use crate::sim::plan::CrashPoint;
use crate::sim::queue::{MS, S};
use crate::sim::world::{Event, Phase, World};

impl World {
    /// Ends a process at once, and starts it later; false when it does not run.
    pub(in crate::sim) fn crash_and_restart(&mut self, node: usize) -> bool {
        if self.nodes[node].process.is_none() {
            return false;
        }
        self.crash(node);
        let delay = self.fault_length();
        self.queue.after(delay, Event::Start(node));
        true
    }

    /// A process will die at some point of its work; most often that of a holder, which comes to all of
    /// them.
    pub(super) fn crash_at_point(&mut self, node: usize) -> bool {
        let holders = self.invariants.newest_table().values();
        let holders = holders.map(|seat| self.by_key[&seat.holder]);
        let holders: Vec<usize> = holders.filter(|node| self.may_fail(*node)).collect();
        let is_any = holders.is_empty() || self.random.chance(200);
        let node = if is_any { node } else { self.random.pick(&holders) };
        if self.nodes[node].crash_at.is_some() {
            return false;
        }
        let point = self.random.pick(&CrashPoint::ALL);
        let is_at_start = point == CrashPoint::AtStart;
        if is_at_start && !self.crash_and_restart(node) {
            return false;
        }
        let times = if is_at_start { 0 } else { self.random.below(8) };
        self.nodes[node].crash_at = Some((point, times));
        true
    }

    /// A process comes to a point of its work; whether it dies there.
    pub(in crate::sim) fn dies_at(&mut self, node: usize, point: CrashPoint) -> bool {
        let Some((at, left)) = self.nodes[node].crash_at.as_mut() else { return false };
        if *at != point || self.phase != Phase::Faults {
            return false;
        }
        if *left > 0 {
            *left -= 1;
            return false;
        }
        *self.counts.crash_points.entry(point).or_default() += 1;
        self.tell(|w| format!("{} comes to its end {point}", w.nodes[node].name));
        self.crash_and_restart(node)
    }

    /// In some histories a node that is given a seat often dies soon after, for long enough that the
    /// seat may move again.
    pub(in crate::sim) fn hunt(&mut self, holder: Option<PublicKey>) {
        let Some(node) = holder.and_then(|key| self.by_key.get(&key).copied()) else { return };
        let hunts = self.plan.hunts && self.phase == Phase::Faults && self.may_fail(node);
        if hunts && self.random.chance(500) {
            let delay = self.random.below(self.parameters().idle_block_interval_ms * 3) * MS;
            self.queue.after(delay, Event::Hunt(node));
        }
    }

    /// The hunted node dies.
    pub(in crate::sim) fn hunted(&mut self, node: usize) {
        if self.phase == Phase::Faults && self.nodes[node].process.is_some() {
            self.crash(node);
            let delay = self.random.between(S, 15 * S);
            self.queue.after(delay, Event::Start(node));
        }
    }

    pub(super) fn blackout(&mut self, victims: &[usize]) -> bool {
        self.tell(|_| "many processes die at once".to_owned());
        for node in victims {
            self.crash_and_restart(*node);
        }
        true
    }

    pub(super) fn pause(&mut self, node: usize) -> bool {
        if !self.nodes[node].is_up() {
            return false;
        }
        self.nodes[node].paused = true;
        self.tell(|w| format!("{} stands still", w.nodes[node].name));
        for peer in 0..self.nodes.len() {
            self.fall_silent(node, peer);
        }
        let delay = self.fault_length();
        self.queue.after(delay, Event::Resume(node));
        true
    }

    /// A process goes on, with all that has come meanwhile.
    pub(in crate::sim) fn resume(&mut self, node: usize) {
        let entry = &mut self.nodes[node];
        if !std::mem::take(&mut entry.paused) {
            return;
        }
        let held = std::mem::take(&mut entry.held);
        self.tell(|w| format!("{} goes on", w.nodes[node].name));
        for event in held {
            self.queue.after(0, event);
        }
        self.connect_all(node);
        self.look_at_health();
    }
}
