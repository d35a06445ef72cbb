//! Faults, as they are injected from time to time.

use tandem_chain::keys::PublicKey;
use tandem_chain::modules::{Call, standby};
use tandem_chain::tx::{Tx, TxBody};
use tandem_chain::types::Term;

use super::disk::Disk;
use super::plan::Fault;
use super::queue::{MS, S, Time};
use super::world::{Event, Phase, World, small_offset};

impl World {
    /// The next fault, and the one after it.
    pub(super) fn fault(&mut self) {
        if self.phase != Phase::Faults {
            return;
        }
        let fault = self.random.pick(&self.plan.faults);
        let victims = self.victims();
        if victims.is_empty() {
            return;
        }
        let node = self.random.pick(&victims);
        match fault {
            Fault::Crash => self.crash_and_restart(node),
            Fault::CrashAtEffect => {
                self.nodes[node].crash_after = Some(self.random.below(40));
            }
            Fault::Blackout => self.blackout(&victims),
            Fault::Pause => self.pause(node),
            Fault::Partition => self.partition(),
            Fault::Isolate => self.isolate(node),
            Fault::OneWay => self.one_way(),
            Fault::Wipe => self.wipe(node),
            Fault::Clock => self.clock(node),
            Fault::Switch => self.order_switch(),
        }
        self.look_at_health();
        let delay = self.random.below(self.plan.fault_interval);
        self.queue.after(delay, Event::Fault);
    }

    /// Nodes that may fail.
    fn victims(&self) -> Vec<usize> {
        let nodes = 0..self.nodes.len();
        nodes.filter(|node| self.plan.victims.contains(&self.nodes[*node].org)).collect()
    }

    /// How long a fault lasts.
    fn fault_length(&mut self) -> Time {
        let most = self.random.pick(&self.plan.fault_lengths);
        self.random.below(most)
    }

    /// Ends a process at once, and starts it later.
    pub(super) fn crash_and_restart(&mut self, node: usize) {
        if self.nodes[node].process.is_none() {
            return;
        }
        self.crash(node);
        let delay = self.fault_length();
        self.queue.after(delay, Event::Start(node));
    }

    /// In some histories a node that is given a seat often dies soon after, for long enough that the
    /// seat may move again.
    pub(super) fn hunt(&mut self, holder: Option<PublicKey>) {
        let Some(node) = holder.and_then(|key| self.by_key.get(&key).copied()) else { return };
        let may_fail = self.plan.victims.contains(&self.nodes[node].org);
        let hunts = self.plan.hunts && self.phase == Phase::Faults && may_fail;
        if hunts && self.random.chance(500) {
            let delay = self.random.below(self.plan.parameters.idle_block_interval_ms * 3) * MS;
            self.queue.after(delay, Event::Hunt(node));
        }
    }

    /// The hunted node dies.
    pub(super) fn hunted(&mut self, node: usize) {
        if self.phase == Phase::Faults && self.nodes[node].process.is_some() {
            self.crash(node);
            let delay = self.random.between(S, 15 * S);
            self.queue.after(delay, Event::Start(node));
        }
    }

    fn blackout(&mut self, victims: &[usize]) {
        self.tell(|_| "many processes die at once".to_owned());
        for node in victims {
            self.crash_and_restart(*node);
        }
    }

    fn pause(&mut self, node: usize) {
        if !self.nodes[node].is_up() {
            return;
        }
        self.nodes[node].paused = true;
        self.counts.pauses += 1;
        self.tell(|w| format!("{} stands still", w.nodes[node].name));
        for peer in 0..self.nodes.len() {
            self.fall_silent(node, peer);
        }
        let delay = self.fault_length();
        self.queue.after(delay, Event::Resume(node));
    }

    /// A process goes on, with all that has come meanwhile.
    pub(super) fn resume(&mut self, node: usize) {
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

    fn cut(&mut self, cuts: Vec<(usize, usize)>) {
        self.counts.partitions += 1;
        for (from, to) in &cuts {
            self.net.set_cut(*from, *to, true);
            self.fall_silent(*from, *to);
        }
        self.tell(|w| {
            let names: Vec<String> = cuts
                .iter()
                .map(|(from, to)| format!("{}>{}", w.nodes[*from].name, w.nodes[*to].name))
                .collect();
            format!("links are cut: {}", names.join(" "))
        });
        let delay = self.fault_length();
        self.queue.after(delay, Event::Mend(cuts));
    }

    /// Links are whole again.
    pub(super) fn mend(&mut self, cuts: &[(usize, usize)]) {
        for (from, to) in cuts {
            self.net.set_cut(*from, *to, false);
        }
        self.tell(|_| "links are mended".to_owned());
        for node in 0..self.nodes.len() {
            self.connect_all(node);
        }
        self.look_at_health();
    }

    fn partition(&mut self) {
        let groups = self.random.between(2, 3);
        let sides: Vec<u64> = (0..self.nodes.len()).map(|_| self.random.below(groups)).collect();
        let all = self.all_links();
        let cuts = all.into_iter().filter(|(from, to)| sides[*from] != sides[*to]);
        self.cut(cuts.collect());
    }

    fn isolate(&mut self, node: usize) {
        let all = self.all_links();
        self.cut(all.into_iter().filter(|(from, to)| *from == node || *to == node).collect());
    }

    fn one_way(&mut self) {
        let share = self.random.pick(&[30, 100, 300]);
        let all = self.all_links();
        let cuts = all.into_iter().filter(|_| self.random.chance(share)).collect();
        self.cut(cuts);
    }

    fn all_links(&self) -> Vec<(usize, usize)> {
        let nodes = 0..self.nodes.len();
        let links = nodes.clone().flat_map(|a| nodes.clone().map(move |b| (a, b)));
        let may_fail = |node: &usize| self.plan.victims.contains(&self.nodes[*node].org);
        links.filter(|(a, b)| a != b && (may_fail(a) || may_fail(b))).collect()
    }

    /// A disk is lost, and the key's record with it. Only as many as the protocol allows for: lost
    /// and lying power stays within f.
    fn wipe(&mut self, node: usize) {
        let org = self.nodes[node].org;
        let is_lost = |w: &Self, node: usize| {
            let node = &w.nodes[node];
            let is_silent = node.process.as_ref().is_none_or(|p| {
                let view = p.replica.view();
                view.key_lost || view.silent_through >= view.height
            });
            !node.is_correct() || (node.wiped && is_silent)
        };
        let lost: u64 = (0..self.plan.orgs.len())
            .filter(|other| {
                *other == org
                    || (0..self.nodes.len())
                        .any(|n| self.nodes[n].org == *other && is_lost(self, n))
            })
            .map(|other| self.plan.orgs[other].power)
            .sum();
        let total: u64 = self.plan.orgs.iter().map(|org| org.power).sum();
        let pair_is_touched = (0..self.nodes.len())
            .any(|n| n != node && self.nodes[n].org == org && is_lost(self, n));
        if lost > (total - 1) / 3 || pair_is_touched || !self.nodes[node].is_correct() {
            return;
        }
        self.crash(node);
        self.nodes[node].disk = Disk::new(&self.genesis_batch);
        self.nodes[node].wiped = true;
        self.counts.wipes += 1;
        self.tell(|w| format!("{} loses its disk", w.nodes[node].name));
        let delay = self.fault_length();
        self.queue.after(delay, Event::Start(node));
    }

    fn clock(&mut self, node: usize) {
        let most = self.random.pick(&[200 * MS, 2 * S, 30 * S, 3600 * S]);
        let offset = self.random.below(2 * most).cast_signed() - most.cast_signed();
        self.nodes[node].clock_offset = offset;
        self.counts.clocks += 1;
        self.tell(|w| {
            format!("the clock of {} is off by {} ms", w.nodes[node].name, offset / 1_000_000)
        });
    }

    /// An organisation's admin orders a planned switch.
    fn order_switch(&mut self) {
        let org = self.random.index(self.plan.orgs.len());
        let name = self.genesis.organizations[org].name.clone();
        let table = self.invariants.newest_table();
        let Some(seat) = table.get(name.as_str()) else { return };
        let (holder, term) = (seat.holder, Term(seat.term));
        let Some(target) = self.invariants.pair(name.as_str()).into_iter().find(|k| *k != holder)
        else {
            return;
        };
        let body = TxBody {
            chain_id: self.genesis.chain_id.clone(),
            sender: self.admins[org].public(),
            nonce: self.random.next(),
            valid_until: self.invariants.height().plus(50),
            call: Call::Standby(standby::Call::Switch { seat: name, target, term }),
        };
        let tx = Tx::sign(body, &self.admins[org]);
        self.good_txs.insert(tx.hash());
        self.submit(&tx);
    }

    /// The faults stop: everything but the Byzantine is whole again, and some holders stay dead.
    pub(super) fn heal(&mut self) {
        self.net.heal();
        self.links = self.plan.links.healed();
        let bound_ns = self.plan.parameters.max_clock_ahead_ms * 1_000_000;
        let height = self.invariants.height();
        self.phase = Phase::Healed { at: self.queue.now(), height };
        self.tell(|_| format!("the faults stop at height {height}"));
        self.choose_dead();
        for node in 0..self.nodes.len() {
            self.nodes[node].crash_after = None;
            self.nodes[node].clock_offset = small_offset(&mut self.random, bound_ns);
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
        let may_be_silent = |org: usize| self.nodes.iter().any(|n| n.org == org && n.wiped);
        let is_liar = |org: usize| self.plan.byzantine.iter().any(|(liar, _)| *liar == org);
        let power = |org: usize| self.plan.orgs[org].power;
        let orgs = 0..self.plan.orgs.len();
        let total: u64 = table.values().map(|seat| seat.power).sum();
        let away: u64 = orgs.filter(|org| may_be_silent(*org) || is_liar(*org)).map(power).sum();
        let mut room = ((total.max(1) - 1) / 3).saturating_sub(away);
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
