//! Processes that die, at any moment or at a chosen point of their work, and such that stand still.

use tandem_chain::keys::PublicKey;

use crate::sim::coverage::Row as _;
use crate::sim::coverage::crashes::{Kind, Point};
use crate::sim::node::Doom;
use crate::sim::plan::{CrashPoint, Fault};
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
        // A rare effect may never come.
        if self.nodes[node].doom.is_some_and(|doom| doom.effect.is_none()) {
            return false;
        }
        if self.random.chance(600) {
            let mut effects = Point::all();
            if self.random.chance(500) {
                effects.retain(|effect| effect.kind.is_persist());
            }
            let effect = self.random.pick(&effects);
            let doom = Doom { point: CrashPoint::of(effect), effect: Some(effect), left: 0 };
            self.nodes[node].doom = Some(doom);
            return true;
        }
        let point = self.random.pick(&CrashPoint::ALL);
        let is_at_start = point == CrashPoint::AtStart;
        if is_at_start && !self.crash_and_restart(node) {
            return false;
        }
        let left = if is_at_start { 0 } else { self.random.below(8) };
        self.nodes[node].doom = Some(Doom { point, effect: None, left });
        true
    }

    /// A node whose key has been lost may die as it asks for it, or as it may sign again.
    pub(super) fn crash_over_lost_key(&mut self, node: usize) {
        if self.plan.faults.contains(&Fault::CrashAtPoint) && self.random.chance(500) {
            let mut effects = Point::all();
            effects.retain(|effect| matches!(effect.kind, Kind::PersistKey | Kind::LostKey));
            let effect = self.random.pick(&effects);
            let doom = Doom { point: CrashPoint::of(effect), effect: Some(effect), left: 0 };
            self.nodes[node].doom = Some(doom);
        }
    }

    /// A process comes to a point of its work; whether it dies there.
    pub(in crate::sim) fn dies_at(&mut self, node: usize, point: CrashPoint) -> bool {
        let entry = &mut self.nodes[node];
        let Some(doom) = entry.doom.as_mut().filter(|doom| doom.point == point) else {
            return false;
        };
        let progress = entry.process.as_ref().map(|process| &process.progress);
        let is_there = doom.effect.is_none_or(|effect| progress.is_some_and(|p| p.is_at(effect)));
        if !is_there || self.phase != Phase::Faults {
            return false;
        }
        if doom.left > 0 {
            doom.left -= 1;
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
