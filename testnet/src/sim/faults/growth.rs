//! A network that begins with one seat: organisation after organisation is moved and voted in, each
//! time through another member, invites its own machine through yet another, and has its seat before
//! the next comes; then members are removed until few are left. Faults go on meanwhile.

use std::time::Duration;

use tandem_chain::modules::Call;
use tandem_chain::modules::consortium::{self, Change, InvitedAs};
use tandem_chain::types::{Power, Timestamp};

use crate::sim::coverage::Entry;
use crate::sim::plan::{GROWN, SHRUNK};
use crate::sim::queue::{MS, S, Time};
use crate::sim::world::{Event, Phase, World};

/// Time for which a motion can be voted on.
const MOTION: Duration = Duration::from_secs(30);
/// How many times as long as it is to last a history waits for its network to have grown and shrunk.
const PATIENCE: Time = 4;

/// How far it is.
#[derive(Debug, Default)]
pub struct Growth {
    /// Whether it has grown to its most.
    has_grown: bool,
    /// Whether it has shrunk again.
    has_shrunk: bool,
    /// Counts the members through which something was done.
    turn: usize,
    /// Until when a motion is on its way, or waits for votes.
    moved_until: Time,
}

impl World {
    /// Whether the faults go on, since a network has not grown and shrunk as yet.
    pub(in crate::sim) fn still_grows(&self) -> bool {
        let is_late = self.queue.now() >= PATIENCE * self.plan.fault_time;
        self.plan.grows() && !self.growth.has_shrunk && !is_late
    }

    /// The next step.
    pub(in crate::sim) fn grow(&mut self) {
        if self.phase != Phase::Faults || self.growth.has_shrunk {
            return;
        }
        let is_member =
            |org: &usize| self.invariants.is_suspended(self.names[*org].as_str()).is_some();
        let members: Vec<usize> = (0..self.names.len()).filter(is_member).collect();
        if self.growth.has_grown {
            self.shrink(&members);
        } else {
            self.join_next(&members);
        }
        if self.random.chance(100) {
            self.widen(&members);
        }
        self.ballot();
        let delay = self.random.between(S / 5, S);
        self.queue.after(delay, Event::Grow);
    }

    /// Another member than the last one, in turns.
    fn through(&mut self, members: &[usize]) -> usize {
        self.growth.turn += 1;
        members[self.growth.turn % members.len()]
    }

    fn join_next(&mut self, members: &[usize]) {
        let table = self.invariants.newest_table();
        let mut all = 0..self.names.len();
        let Some(next) = all.find(|org| !table.contains_key(self.names[*org].as_str())) else {
            if members.len() == GROWN {
                self.growth.has_grown = true;
                self.watch.entry(Entry::Grown);
                self.tell(|_| "the network has grown".to_owned());
            }
            return;
        };
        if !members.contains(&next) {
            let (name, admin_key) = (self.names[next].clone(), self.admins[next][0].public());
            let change = Change::AddOrg { name, admin_key, power: Power(1) };
            self.moves(members, None, change);
            return;
        }
        let of_org = |node: &usize| self.nodes[*node].org == next;
        let machines: Vec<usize> = (0..self.nodes.len()).filter(of_org).collect();
        let is_coming = machines.iter().any(|node| !self.is_free(*node));
        if !is_coming && !machines.is_empty() {
            let member = self.through(members);
            let of_member = |node: &usize| {
                let node = &self.nodes[*node];
                node.org == member && self.invariants.is_registered(&node.key)
            };
            let node = (0..self.nodes.len()).find(of_member);
            self.invite(machines[0], InvitedAs::Standby, node);
        }
    }

    /// A member that has a seat invites one machine more.
    fn widen(&mut self, members: &[usize]) {
        let org = self.random.pick(members);
        let name = self.names[org].as_str();
        let (has_seat, pair) =
            (self.invariants.newest_table().contains_key(name), self.invariants.pair(name));
        let is_free = |node: &usize| self.nodes[*node].org == org && self.is_free(*node);
        if let Some(machine) = (0..self.nodes.len()).find(is_free).filter(|_| has_seat) {
            self.invite_as_it_is(machine, &pair);
        }
    }

    fn shrink(&mut self, members: &[usize]) {
        if members.len() <= SHRUNK {
            self.growth.has_shrunk = true;
            self.watch.entry(Entry::Shrunk);
            self.tell(|_| "the network has shrunk".to_owned());
            return;
        }
        let gone = self.random.pick(members);
        let name = self.names[gone].clone();
        self.moves(members, Some(gone), Change::RemoveOrg { name });
    }

    /// A member proposes a change, unless one is on its way.
    fn moves(&mut self, members: &[usize], about: Option<usize>, change: Change) {
        let now = self.queue.now();
        let others: Vec<usize> =
            members.iter().copied().filter(|org| Some(*org) != about).collect();
        if others.is_empty() || now < self.growth.moved_until || self.invariants.is_moved(&change) {
            return;
        }
        self.growth.moved_until = now + self.random.between(2_000, 4_000) * MS;
        let org = self.through(&others);
        let expires = Timestamp(self.invariants.time()).plus(MOTION);
        let call = consortium::Call::Propose { change, force: false, expires };
        self.order(org, Call::Consortium(call));
    }
}
