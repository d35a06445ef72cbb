//! Disks that are lost, restored, rolled back, full or slow.

use crate::sim::disk::{Disk, Image, Write};
use crate::sim::node::Slow;
use crate::sim::queue::{MS, S};
use crate::sim::world::{Event, Phase, World};

/// Most times that disks are rolled back in a history: after each the node has to find its way back.
const MAX_ROLLBACKS: u64 = 3;

impl World {
    /// Whether a node's key may be lost: only as many as the protocol allows for are, so that lost and
    /// lying power stays within f.
    fn may_lose_key(&self, node: usize) -> bool {
        let org = self.nodes[node].org;
        let is_lost = |node: usize| {
            let is_silent =
                self.nodes[node].process.is_none() || !self.invariants.watch.signs(node);
            self.nodes[node].key_was_lost && is_silent
        };
        let of_org = |org: usize| (0..self.nodes.len()).filter(move |n| self.nodes[*n].org == org);
        let lost: u64 = (0..self.plan.orgs.len())
            .filter(|other| *other == org || self.plan.lies(*other) || of_org(*other).any(is_lost))
            .map(|other| self.plan.orgs[other].power)
            .sum();
        let total: u64 = self.plan.orgs.iter().map(|org| org.power).sum();
        let pair_is_touched = of_org(org).any(|n| n != node && is_lost(n));
        lost <= (total - 1) / 3 && !pair_is_touched && !self.plan.lies(org)
    }

    /// A disk is lost, and the key's record with it.
    pub(super) fn wipe(&mut self, node: usize) -> bool {
        if !self.may_lose_key(node) {
            return false;
        }
        self.lose_disk(node);
        true
    }

    pub(in crate::sim) fn lose_disk(&mut self, node: usize) {
        self.crash(node);
        self.nodes[node].disk = Disk::new(self.genesis_state.clone());
        self.nodes[node].key_was_lost = true;
        self.nodes[node].lowest = 0;
        self.invariants.lost_key(node);
        self.tell(|w| format!("{} loses its disk", w.nodes[node].name));
        self.crash_over_lost_key(node);
        let delay = self.fault_length();
        self.queue.after(delay, Event::Start(node));
    }

    /// A copy of the disk is made now, and put back later, marked.
    pub(super) fn restore(&mut self, node: usize) -> bool {
        if !self.may_lose_key(node) {
            return false;
        }
        self.copy_disk(node, true);
        true
    }

    /// A copy of a disk of the faulty organisation is made now, and put back later, unmarked.
    pub(super) fn roll_back(&mut self) -> bool {
        let Some(org) = self.plan.rolls_back else { return false };
        if self.counts.rolled_back >= MAX_ROLLBACKS {
            return false;
        }
        let nodes = 0..self.nodes.len();
        let nodes: Vec<usize> = nodes
            .filter(|node| self.nodes[*node].org == org && self.nodes[*node].is_installed)
            .collect();
        let node = self.random.pick(&nodes);
        self.copy_disk(node, false);
        true
    }

    /// A node takes its oldest blocks away, and has them again when the faults stop.
    pub(super) fn prune(&mut self, node: usize) -> bool {
        let Some(process) = &self.nodes[node].process else { return false };
        let tip = process.ledger.tip().height.0;
        let kept = self.random.pick(&[0, 5, 50]);
        let lowest = self.nodes[node].lowest.max(tip.saturating_sub(kept));
        self.nodes[node].lowest = lowest;
        self.tell(|w| format!("{} has no block below {lowest}", w.nodes[node].name));
        true
    }

    fn copy_disk(&mut self, node: usize, is_marked: bool) {
        let image = Box::new(self.nodes[node].disk.copy());
        self.tell(|w| {
            let height = image.blocks.len();
            format!("the disk of {} is copied at height {height}", w.nodes[node].name)
        });
        let most = self.random.pick(&[200 * MS, 3 * S, 15 * S]);
        let delay = self.random.below(most);
        self.queue.after(delay, Event::Restore { node, image, is_marked });
    }

    /// A disk is as it was when it was copied. Marked, its key is lost; else the node goes on as if
    /// nothing had happened, and counts as a faulty validator.
    pub(in crate::sim) fn restored(&mut self, node: usize, image: Image, is_marked: bool) {
        if self.phase != Phase::Faults || (is_marked && !self.may_lose_key(node)) {
            return;
        }
        self.crash(node);
        let entry = &mut self.nodes[node];
        let height = image.blocks.len();
        if is_marked {
            entry.key_was_lost = true;
            entry.disk = Disk::restored(image.with_lost_key());
            self.invariants.lost_key(node);
            self.counts.restored += 1;
            self.crash_over_lost_key(node);
        } else {
            entry.rolled_back = true;
            entry.disk = Disk::restored(image);
            self.invariants.faulty(node);
            self.counts.rolled_back += 1;
        }
        let how = if is_marked { "restored, and marked so," } else { "rolled back" };
        self.tell(|w| format!("the disk of {} is {how} to height {height}", w.nodes[node].name));
        // Back at once, it may sign again where it has signed.
        let is_quick = !is_marked && self.random.chance(500);
        let delay = if is_quick { self.random.below(20 * MS) } else { self.fault_length() };
        self.queue.after(delay, Event::Start(node));
        self.look_at_health();
    }

    /// A node whose disk was rolled back has seen a signature of its own that it does not know, and
    /// has stopped. Its operator does what its last message says: the data go, and the key is lost.
    pub(in crate::sim) fn stopped_itself(&mut self, node: usize) {
        self.counts.rolled_back_stopped += 1;
        self.lose_disk(node);
    }

    /// A disk has no room, for a while. Nothing is lost that was written; the first write that fails
    /// ends the process, which does not start again before there is room.
    pub(super) fn full_disk(&mut self, node: usize) -> bool {
        if self.nodes[node].disk_is_full || self.nodes[node].process.is_none() {
            return false;
        }
        self.nodes[node].disk_is_full = true;
        self.tell(|w| format!("the disk of {} is full", w.nodes[node].name));
        let delay = self.fault_length();
        self.queue.after(delay, Event::Room(node));
        true
    }

    /// A disk has room again.
    pub(in crate::sim) fn room(&mut self, node: usize) {
        if std::mem::take(&mut self.nodes[node].disk_is_full) {
            self.tell(|w| format!("the disk of {} has room again", w.nodes[node].name));
        }
    }

    /// Writes to a node's log; false when there is no room, and the process has ended over it. What it
    /// had written is kept by the system; the write that failed may be found afterwards, or not.
    pub(in crate::sim) fn write(&mut self, node: usize, write: Write) -> bool {
        if !self.nodes[node].disk_is_full {
            self.nodes[node].disk.write(write);
            return true;
        }
        if self.random.chance(500) {
            self.nodes[node].disk.write(write);
        }
        self.counts.failed_writes += 1;
        self.tell(|w| format!("{} ends: a write fails", w.nodes[node].name));
        let kept = self.nodes[node].disk.unsynced();
        self.end(node, kept);
        self.queue.after(S, Event::Start(node));
        false
    }

    /// A disk takes long for each fsync.
    pub(super) fn slow_disk(&mut self, node: usize) -> bool {
        let disk = self.random.pick(&[5, 30, 200]);
        self.slow_down(node, Slow { disk, ..Slow::NOT })
    }
}
