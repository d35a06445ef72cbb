//! Faults, as they are injected from time to time.

mod disks;
mod growth;
mod heal;
mod machines;
mod motions;
mod network;
mod orders;
mod processes;
mod strangers;
mod switches;

pub use self::growth::Growth;
use super::plan::Fault;
use super::queue::Time;
use super::world::{Event, Phase, World};

impl World {
    /// The next fault, and the one after it.
    pub(super) fn fault(&mut self) {
        if self.phase != Phase::Faults {
            return;
        }
        let fault = self.random.pick(&self.plan.faults);
        if self.inject(fault) {
            *self.counts.faults.entry(fault).or_default() += 1;
        }
        self.look_at_health();
        let delay = self.random.below(self.plan.fault_interval);
        self.queue.after(delay, Event::Fault);
    }

    /// Lets a fault happen; false when it cannot now.
    fn inject(&mut self, fault: Fault) -> bool {
        match fault {
            Fault::Switch => return self.order_switch(),
            Fault::OddSwitch => return self.order_odd_switch(),
            Fault::Members => return self.order_members(),
            Fault::Parameters => return self.order_parameters(),
            Fault::Motions => return self.order_motion(),
            Fault::Addresses => return self.order_address(),
            Fault::Rollback => return self.roll_back(),
            _ => {}
        }
        let victims = self.victims();
        if victims.is_empty() {
            return false;
        }
        let node = self.random.pick(&victims);
        match fault {
            Fault::Crash => self.crash_and_restart(node),
            Fault::CrashAtPoint => self.crash_at_point(node),
            Fault::Blackout => self.blackout(&victims),
            Fault::Pause => self.pause(node),
            Fault::SlowMachine => self.slow_machine(node),
            Fault::SlowDisk => self.slow_disk(node),
            Fault::FullDisk => self.full_disk(node),
            Fault::Partition => self.partition(),
            Fault::Asymmetric => self.asymmetric(),
            Fault::Ring => self.ring(),
            Fault::Isolate => self.isolate(node),
            Fault::OneWay => self.one_way(),
            Fault::Wipe => self.wipe(node),
            Fault::Restore => self.restore(node),
            Fault::Prune => self.prune(node),
            Fault::ClockJump => self.clock_jump(node),
            Fault::ClockDrift => self.clock_drift(node),
            Fault::Lag => self.lag(),
            Fault::Switch
            | Fault::OddSwitch
            | Fault::Members
            | Fault::Parameters
            | Fault::Motions
            | Fault::Addresses
            | Fault::Rollback => false,
        }
    }

    /// Whether a node may fail: it runs for an organisation that is among the victims.
    fn may_fail(&self, node: usize) -> bool {
        let node = &self.nodes[node];
        node.is_installed && self.plan.victims.contains(&node.org)
    }

    /// Nodes that may fail.
    fn victims(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|node| self.may_fail(*node)).collect()
    }

    /// How long a fault lasts.
    fn fault_length(&mut self) -> Time {
        let most = self.random.pick(&self.plan.fault_lengths);
        self.random.below(most)
    }
}
